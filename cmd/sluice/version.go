package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// version is set by the linker for a release: -X main.version=v1.2.3.
var version = ""

type buildDetails struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go,omitempty"`
}

// readVersion prefers what the linker was told, then the module's version, then the commit.
func readVersion() buildDetails {
	b := buildDetails{Version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "dev"
	}
	return b
}

func versionCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "say which build this is",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			b := readVersion()
			if c.Bool("json") {
				return json.NewEncoder(term.out).Encode(b)
			}
			line := "sluice " + b.Version
			if b.Commit != "" {
				line += " (" + b.Commit + ")"
			}
			_, err := fmt.Fprintln(term.out, line, b.Go)
			return err
		},
	}
}
