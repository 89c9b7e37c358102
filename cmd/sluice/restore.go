package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/project"
)

func restoreCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "put a backup into the directory of a node that is not running",
		ArgsUsage: "FILE",
		Description: `First all of the backup is unpacked beside what is there and looked at: its checksums, every page and index of its
databases, their history, modules and files. Only then it takes its place, in one step: whatever goes wrong, and
whenever, the node has what it had. What is replaced is kept beside it, in a directory whose name ends in the time; remove it when you
are content. FILE may be "-" for standard input.

  sluice restore node.tar.zst --dir ./data                (a whole node, into a new directory)
  sluice restore node.tar.zst --dir ./data --replace      (in the place of what is there)
  sluice restore node.tar.zst --project blog --replace    (one project of it; the others stay)
  sluice restore blog.tar.zst --verify                    (is it good? changes nothing)`,
		Flags: []cli.Flag{
			dirFlag("data directory of the node, which must not be running"),
			&cli.StringFlag{Name: "project", Usage: "name or id of the one project to restore (default: all that the backup has)", Sources: cli.EnvVars("SLUICE_PROJECT")},
			&cli.BoolFlag{Name: "replace", Usage: "replace what is there, and keep it beside", Sources: cli.EnvVars("SLUICE_REPLACE")},
			&cli.BoolFlag{Name: "verify", Usage: "only look whether the backup is good", Sources: cli.EnvVars("SLUICE_VERIFY")},
			jsonFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error { return restore(ctx, c, term) },
	}
}

func restore(ctx context.Context, c *cli.Command, term *terminal) (err error) {
	if c.Args().Len() != 1 {
		return usagef("name one backup, or - for standard input")
	}
	opt := runtime.RestoreOptions{Dir: c.String("dir"), Project: c.String("project"), Replace: c.Bool("replace"), Verify: c.Bool("verify")}
	in := io.Reader(os.Stdin)
	if name := c.Args().First(); name != toStdout {
		f, err := os.Open(name)
		if err != nil {
			return usageError{err}
		}
		defer f.Close()
		in = f
	}
	if opt.Verify {
		// It needs space, and should need no node.
		if opt.Dir, err = os.MkdirTemp("", "sluice-verify-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(opt.Dir)) }()
	}
	text := "restoring"
	if opt.Verify {
		text = "verifying"
	}
	progress, done := term.progress(text)
	defer done()
	opt.Progress = progress
	got, err := runtime.Restore(ctx, in, opt)
	done()
	var refused *project.RestoreError
	if errors.As(err, &refused) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(got)
	}
	for _, p := range got.Projects {
		fmt.Fprintf(term.out, "%s (%s): commit %d, %d files\n", p.Name, p.ID, p.Commit, p.Files)
	}
	switch {
	case opt.Verify:
		fmt.Fprintf(term.out, "%s The backup of %s can be restored.\n", term.green(term.out, "Whole."), got.CreatedAt)
	case got.Kept != "":
		fmt.Fprintf(term.out, "Restored as of %s. What was there before is in %s.\n", got.CreatedAt, got.Kept)
	default:
		fmt.Fprintf(term.out, "Restored as of %s.\n", got.CreatedAt)
	}
	return nil
}
