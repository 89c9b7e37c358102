package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
)

func buildCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "build the modules of a bundle from their sources",
		ArgsUsage: "[DIR]",
		Description: `Each module is built with the tools of its language, from the folder of its name if there is one, else from DIR (default: the
present directory). Which language it is tells go.mod, Cargo.toml, assembly/index.ts or a file in C. JavaScript needs
no building. "test" and "deploy" build by themselves what is older than its sources.

  sluice bundle build posts`,
		Flags:  []cli.Flag{jsonFlag()},
		Action: func(ctx context.Context, c *cli.Command) error { return buildBundle(ctx, c, term) },
	}
}

func buildBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	dir, err := directory(c)
	if err != nil {
		return err
	}
	d, err := bundle.Open(dir)
	if err != nil {
		return err
	}
	all, err := d.Sources()
	if err != nil {
		return err
	}
	sources := all[:0:0]
	for _, s := range all {
		if s.Language != nil {
			sources = append(sources, s)
		}
	}
	if len(sources) == 0 {
		return errors.New("there is nothing to build: no module has sources beside it")
	}
	built, err := buildSources(ctx, term, d, sources)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"modules": built})
	}
	for _, b := range built {
		fmt.Fprintf(term.out, "%s  %s\n", b.File, bytesText(b.Bytes))
	}
	return nil
}
