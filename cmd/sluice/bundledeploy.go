package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/runtime/project"
)

func deployCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "check a bundle and make it the live one of a project",
		ArgsUsage: "[DIR]",
		Description: `DIR (default: the present directory) holds sluice.hooks.yaml, which names the modules and says when each of them is asked, and
the modules. Those that are older than their sources are built first. The node compiles and tries the bundle; one that does
not load changes nothing. What is printed says in what guests may do more or less than those of the version before.

  sluice bundle deploy ./hooks --project blog
  sluice bundle deploy ./hooks --project blog --dry-run     (tries it on the node and activates nothing)`,
		Flags: clientFlags(projectFlag(), noBuildFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "let the node check, compile and try the bundle, and activate nothing", Sources: cli.EnvVars("SLUICE_DRY_RUN")},
		),
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
	done := term.working("compiling and trying " + dir)
	result, err := node.deploy(ctx, c.String("project"), d.Manifest, modules, c.Bool("dry-run"))
	done()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	printDeployed(term, c.String("project"), result)
	return nil
}

// printDeployed says what is live now, what it is made of, and what guests may do or are asked that they did not or were not before.
func printDeployed(term *terminal, projectName string, d *project.Deployed) {
	took := shortDuration(time.Duration(d.Millis * float64(time.Millisecond)))
	if d.DryRun {
		fmt.Fprintf(term.out, "The bundle loads, in %s: it would be v%d of project %s. Nothing was activated (--dry-run).\n", took, d.Version, projectName)
	} else {
		fmt.Fprintf(term.out, "Project %s runs bundle v%d, live in %s.\n", projectName, d.Version, took)
	}
	for _, m := range d.Modules {
		fmt.Fprintf(term.out, "  %s  %s  self-test %s fuel  sha256:%s\n", m.Name, bytesText(int64(m.Bytes)), thousands(m.InitFuel), m.SHA256)
	}
	if len(d.Changes) == 0 {
		fmt.Fprintln(term.out, "Guests may do and are asked what they were before.")
		return
	}
	fmt.Fprintln(term.out, "What guests may do and are asked:")
	for _, change := range d.Changes {
		fmt.Fprintf(term.out, "  %s\n", change)
	}
}
