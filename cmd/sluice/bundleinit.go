package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle/scaffold"
)

func initCommand(term *terminal) *cli.Command {
	languages := strings.Join(scaffold.Languages(), ", ")
	return &cli.Command{
		Name:      "init",
		Usage:     "write a small bundle to begin with",
		ArgsUsage: "[DIR]",
		Description: `Writes into DIR (default: the present directory) a policy on prices and a hook that makes slugs, a project that they guard,
and cases that say what must hold. Files that are there are never replaced.

  sluice bundle init --lang go posts`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "lang", Required: true, Usage: "language: " + languages, Sources: cli.EnvVars("SLUICE_LANG")},
			jsonFlag(),
		},
		Action: func(_ context.Context, c *cli.Command) error { return initBundle(c, term) },
	}
}

func initBundle(c *cli.Command, term *terminal) error {
	dir, err := directory(c)
	if err != nil {
		return err
	}
	language := c.String("lang")
	names, err := scaffold.Write(dir, language)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"dir": dir, "language": language, "files": names})
	}
	fmt.Fprintf(term.out, "Wrote a bundle in %s to %s:\n", language, dir)
	for _, name := range names {
		if !strings.HasPrefix(name, "sdk/") {
			fmt.Fprintf(term.out, "  %s\n", name)
		}
	}
	at := shellWord(dir)
	fmt.Fprintln(term.out, "\nNext:")
	w := tabwriter.NewWriter(term.out, 0, 0, 3, ' ', 0)
	for _, step := range [][2]string{
		{"sluice bundle test " + at, "what its cases say"},
		{"sluice serve --dir data", "a node, in another terminal"},
		{"sluice project apply " + shellWord(filepath.Join(dir, "sluice.yaml")), "the project; prints its keys"},
		{"sluice bundle deploy " + at + " --project blog", "live at once"},
	} {
		fmt.Fprintf(w, "  %s\t%s\n", step[0], step[1])
	}
	return w.Flush()
}

// shellWord puts a word in quotes if a shell would take it apart.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
