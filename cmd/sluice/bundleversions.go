package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
)

func versionsCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "versions",
		Usage: "list the versions that a rollback can bring back",
		Description: `The last 20 versions of a project's bundle are kept, the live one among them.

  sluice bundle versions --project blog`,
		Flags:  clientFlags(projectFlag()),
		Action: func(ctx context.Context, c *cli.Command) error { return listVersions(ctx, c, term) },
	}
}

func rollbackCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "make an earlier version the live one again, as a new version",
		ArgsUsage: "VERSION",
		Description: `Requests in flight end on the bundle on which they began; none fails.

  sluice bundle rollback 3 --project blog`,
		Flags:  clientFlags(projectFlag()),
		Action: func(ctx context.Context, c *cli.Command) error { return rollbackBundle(ctx, c, term) },
	}
}

func listVersions(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	list, err := node.versions(ctx, c.String("project"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"versions": list})
	}
	if len(list) == 0 {
		fmt.Fprintf(term.out, "Project %s has no bundle.\n", c.String("project"))
		return nil
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tDEPLOYED\tMODULES\t")
	for _, v := range list {
		note := ""
		if v.Live {
			note = "live"
		}
		if v.RollbackOf != 0 {
			note = strings.TrimSpace(fmt.Sprintf("%s (as v%d)", note, v.RollbackOf))
		}
		fmt.Fprintf(w, "v%d\t%s\t%s\t%s\n", v.Version, v.DeployedAt, strings.Join(v.Modules, ","), note)
	}
	return w.Flush()
}

func rollbackBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	arg, err := oneArgument(c)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(strings.TrimPrefix(arg, "v"))
	if err != nil || version < 1 {
		return usagef("%q is not a version; see: sluice bundle versions", arg)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	result, err := node.rollback(ctx, c.String("project"), version)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	fmt.Fprintf(term.out, "v%d is v%d again. ", result.Version, version)
	printDeployed(term, c.String("project"), result)
	return nil
}
