package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
)

func bundleCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "bundle",
		Usage: "write, build, test and deploy policies and hooks",
		Description: `A bundle is a directory with sluice.hooks.yaml, which names modules and says when each of them is asked, the modules, and
what they are built from. From nothing to a policy that guards a collection:

  sluice bundle init --lang go posts
  sluice bundle test posts
  sluice bundle deploy posts --project blog`,
		Commands: []*cli.Command{
			initCommand(term), buildCommand(term), casesCommand(term), inspectCommand(term), deployCommand(term), versionsCommand(term), rollbackCommand(term), logsCommand(term),
		},
	}
}

func projectFlag() *cli.StringFlag {
	return &cli.StringFlag{Name: "project", Required: true, Usage: "name or id of the project", Sources: cli.EnvVars("SLUICE_PROJECT")}
}

func noBuildFlag() *cli.BoolFlag {
	return &cli.BoolFlag{Name: "no-build", Usage: "take the modules as they are, though sources are newer", Sources: cli.EnvVars("SLUICE_NO_BUILD")}
}

// buildStale builds the modules whose sources are newer, or warns of them if that is not wanted.
func buildStale(ctx context.Context, c *cli.Command, term *terminal, d *bundle.Dir) error {
	stale, err := d.Stale()
	if err != nil {
		return err
	}
	if c.Bool("no-build") {
		for _, s := range stale {
			fmt.Fprintf(term.err, "warning: module %s is older than its sources\n", s.Module.Name)
		}
		return nil
	}
	_, err = buildSources(ctx, term, d, stale)
	return err
}

// buildSources builds modules one after the other and says so on standard error.
func buildSources(ctx context.Context, term *terminal, d *bundle.Dir, sources []bundle.Source) ([]*bundle.Built, error) {
	var all []*bundle.Built
	for _, s := range sources {
		done := term.working("building " + s.Module.Name)
		built, err := d.Build(ctx, &s)
		done()
		if err != nil {
			var failed *bundle.BuildError
			if errors.As(err, &failed) && failed.Output != "" { // what the compiler said is worth more than how it was called
				return nil, fmt.Errorf("module %s does not build:\n%s", failed.Module, failed.Output)
			}
			return nil, err
		}
		if s.Builds() {
			fmt.Fprintf(term.err, "built %s from %s: %s, %s in %s\n", built.Module, built.Language, built.File, bytesText(built.Bytes), shortDuration(built.Took))
		}
		all = append(all, built)
	}
	return all, nil
}
