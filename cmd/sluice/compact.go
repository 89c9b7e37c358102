package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/kv"
)

func compactCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "compact",
		Usage: "shrink the files of a node, running or not",
		Description: `A project's file keeps the space of what was deleted, for what comes next. This writes it anew without holes and puts the
new file in the place of the old one; both must fit on the disk for a moment. Interrupting it is safe at any time.

A node that runs on --dir, or at --server, does it itself while it goes on serving: one project at a time, with --project.
Ctrl-C then stops watching, not the node.

  sluice compact --dir ./data                    (all projects of a node that is stopped)
  sluice compact --dir ./data --project blog     (one project, running or not)`,
		Flags: clientFlags(&cli.StringFlag{Name: "project", Usage: "name or id of one project (default: all of them)", Sources: cli.EnvVars("SLUICE_PROJECT")}),
		Action: func(ctx context.Context, c *cli.Command) error {
			running, err := nodeRuns(c)
			if err != nil {
				return err
			}
			if running {
				return compactOnline(ctx, c, term)
			}
			return compactProjects(c, term)
		},
	}
}

// nodeRuns reports whether a running node is meant: one at --server, or one that has left its URL in --dir and answers.
func nodeRuns(c *cli.Command) (bool, error) {
	if c.String("server") != "" {
		return true, nil
	}
	address, err := readSmall(filepath.Join(c.String("dir"), "admin-url"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	probe := http.Client{Timeout: 2 * time.Second}
	resp, err := probe.Get(address + "/livez")
	if err != nil {
		return false, nil // it was killed, and could not take its URL away
	}
	return true, resp.Body.Close()
}

// compactOnline has a running node compact one project, and shows how far it is.
func compactOnline(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	name := c.String("project")
	if name == "" {
		return usagef("the node is running: name one project with --project, or stop the node to compact all of them")
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	now, err := node.compact(ctx, name)
	if err != nil {
		return err
	}
	progress, done := term.progress("compacting " + name)
	defer done()
	for now.Running {
		if progress != nil {
			progress(now.Done, now.Total)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		store, err := node.store(ctx, name)
		if err != nil {
			return err
		}
		if store.Compaction == nil {
			return errors.New("the node was restarted meanwhile; its file is as it was")
		}
		now = store.Compaction
	}
	done()
	if now.Error != "" {
		return errors.New(now.Error)
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"projects": []any{map[string]any{"name": name, "before": now.Result.Before, "after": now.Result.After}}})
	}
	fmt.Fprintf(term.out, "%s: %s, was %s\n", name, bytesText(now.Result.After), bytesText(now.Result.Before))
	return nil
}

// compacted is the outcome for one project.
type compacted struct {
	storedProject
	kv.Compacted
	Error string `json:"error,omitempty"`
}

func compactProjects(c *cli.Command, term *terminal) error {
	projects, err := storedProjects(c)
	if err != nil {
		return err
	}
	failed, results := false, make([]compacted, len(projects))
	for i, p := range projects {
		r := &results[i]
		r.storedProject = p
		progress, done := term.progress("compacting " + p.title())
		r.Compacted, err = kv.Compact(p.path, progress)
		done()
		if errors.Is(err, kv.ErrLocked) {
			err = inUse(p.path)
		}
		if err != nil {
			failed, r.Error = true, err.Error()
		}
		switch {
		case c.Bool("json"):
		case err != nil:
			fmt.Fprintf(term.err, "%s %s: %v\n", term.bold(term.err, "sluice:"), p.title(), err)
		default:
			fmt.Fprintf(term.out, "%s: %s, was %s\n", p.title(), bytesText(r.After), bytesText(r.Before))
		}
	}
	if c.Bool("json") {
		if err := json.NewEncoder(term.out).Encode(map[string]any{"projects": results}); err != nil {
			return err
		}
	}
	if failed {
		return exitError(exitFailed)
	}
	return nil
}

// progress shows on a terminal how far something is; done takes the line away again.
func (t *terminal) progress(text string) (progress func(done, total int64), done func()) {
	if !isTerminal(t.err) || os.Getenv("TERM") == "dumb" {
		return nil, func() {}
	}
	shown := int64(-1)
	progress = func(done, total int64) {
		if percent := done * 100 / max(total, 1); percent != shown {
			shown = percent
			fmt.Fprintf(t.err, "\r%s … %3d %%", text, percent)
		}
	}
	return progress, sync.OnceFunc(func() { fmt.Fprintf(t.err, "\r%s\r", strings.Repeat(" ", len(text)+10)) })
}
