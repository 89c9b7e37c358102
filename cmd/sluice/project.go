package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime/project"
)

// maxProjectFile bounds what is read before it is parsed; the parser has the same limit.
const maxProjectFile = 1 << 20

func projectCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "project",
		Usage: "create, change and list the projects of a running node",
		Commands: []*cli.Command{
			{
				Name:      "apply",
				Usage:     "make a project equal to a file, creating it if there is none of that name",
				ArgsUsage: "FILE",
				Description: `FILE describes the whole project in YAML ("-" reads standard input). Applying the same file twice changes nothing.
On creation the project's two keys are printed, once: only their hashes are kept.

  sluice project apply sluice.yaml --dry-run     (shows the changes and makes none)
  sluice project apply sluice.yaml`,
				Flags: clientFlags(
					&cli.BoolFlag{Name: "dry-run", Usage: "show what would change, and change nothing", Sources: cli.EnvVars("SLUICE_DRY_RUN")},
					&cli.BoolFlag{Name: "prune", Usage: "drop collections that hold documents and are no longer in FILE, with all their documents", Sources: cli.EnvVars("SLUICE_PRUNE")},
				),
				Action: func(ctx context.Context, c *cli.Command) error { return applyProject(ctx, c, term) },
			},
			{
				Name:   "list",
				Usage:  "list the projects",
				Flags:  clientFlags(),
				Action: func(ctx context.Context, c *cli.Command) error { return listProjects(ctx, c, term) },
			},
		},
	}
}

func applyProject(ctx context.Context, c *cli.Command, term *terminal) error {
	name, err := oneArgument(c)
	if err != nil {
		return err
	}
	cfg, err := readProjectFile(name, term.in)
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	done := term.working("applying " + name)
	result, err := node.apply(ctx, cfg, c.Bool("dry-run"), c.Bool("prune"))
	done()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	if err := printApplied(term, result); err != nil {
		return err
	}
	return watchIndexes(ctx, node, result, term)
}

func readProjectFile(name string, stdin io.Reader) (*project.Config, error) {
	in, dir := stdin, "."
	if name == "-" {
		name = "standard input"
	} else {
		dir = filepath.Dir(name)
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	src, err := io.ReadAll(io.LimitReader(in, maxProjectFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	cfg, err := project.ParseFile(name, src)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.ReadTemplates(name, os.DirFS(dir))
}

func printApplied(term *terminal, r *applied) error {
	if r.DryRun || !r.Created { // of a new project the keys matter, and its file is at hand
		for _, change := range r.Changes {
			fmt.Fprintln(term.out, change)
		}
	}
	switch {
	case r.DryRun && r.Created:
		fmt.Fprintf(term.out, "Would create project %s. Nothing was changed (--dry-run).\n", r.Name)
	case r.DryRun && len(r.Changes) == 0, len(r.Changes) == 0 && !r.Created:
		fmt.Fprintf(term.out, "Project %s is up to date.\n", r.Name)
	case r.DryRun:
		fmt.Fprintf(term.out, "Would make %d changes to project %s. Nothing was changed (--dry-run).\n", len(r.Changes), r.Name)
	case r.Created:
		fmt.Fprintf(term.out, "Created project %s (%s).\n\n", r.Name, r.ID)
		fmt.Fprintf(term.out, "%s %s   for apps and browsers\n", term.bold(term.out, "publishable key"), r.PublishableKey)
		fmt.Fprintf(term.out, "%s %s   for your servers: it skips every rule\n\n", term.bold(term.out, "secret key     "), r.SecretKey)
		fmt.Fprintln(term.out, "Keep them now: they cannot be shown again.")
	default:
		fmt.Fprintf(term.out, "Changed project %s (%s).\n", r.Name, r.ID)
	}
	return nil
}

func listProjects(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	projects, err := node.projects(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if projects == nil {
			projects = []projectSummary{}
		}
		return json.NewEncoder(term.out).Encode(map[string]any{"projects": projects})
	}
	if len(projects) == 0 {
		fmt.Fprintln(term.out, "There are no projects yet. Create one with: sluice project apply FILE")
		return nil
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tID\tCOLLECTIONS\tBUNDLE")
	for _, p := range projects {
		bundle := "-"
		if p.Bundle > 0 {
			bundle = fmt.Sprintf("v%d", p.Bundle)
		}
		if p.BundleError != "" {
			bundle += " does not run: " + p.BundleError
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", p.Name, p.ID, p.Collections, bundle)
	}
	return table.Flush()
}
