package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
)

func deployCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "check a bundle and make it the live one of a project",
		ArgsUsage: "[DIR]",
		Description: `DIR (default: the present directory) holds sluice.hooks.yaml, which names the modules and says when each of them is asked, and
the modules. Those that are older than their sources are built first. The node compiles and tries the bundle; one that does
not load changes nothing.

  sluice bundle deploy ./hooks --project blog`,
		Flags:  clientFlags(projectFlag(), noBuildFlag()),
		Action: func(ctx context.Context, c *cli.Command) error { return deployBundle(ctx, c, term) },
	}
}

func deployBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	dir, err := directory(c)
	if err != nil {
		return err
	}
	d, err := bundle.Open(dir)
	if err != nil {
		return err
	}
	if err := buildStale(ctx, c, term, d); err != nil {
		return err
	}
	modules, err := d.Modules()
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	done := term.working("deploying " + dir)
	result, err := node.deploy(ctx, c.String("project"), d.Manifest, modules)
	done()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	fmt.Fprintf(term.out, "Project %s runs bundle v%d.\n", c.String("project"), result.Version)
	for _, m := range result.Modules {
		fmt.Fprintf(term.out, "  %s  %d bytes  sha256:%s\n", m.Name, m.Bytes, m.SHA256)
	}
	return nil
}
