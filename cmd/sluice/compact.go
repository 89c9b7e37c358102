package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/kv"
)

func compactCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "compact",
		Usage: "shrink the files of a node that is not running",
		Description: `A project's file keeps the space of what was deleted, for what comes next. This writes it anew without holes and puts the
new file in the place of the old one; both must fit on the disk for a moment. Interrupting it is safe at any time.

  sluice compact --dir ./data --project blog`,
		Flags:  offlineFlags(),
		Action: func(_ context.Context, c *cli.Command) error { return compactProjects(c, term) },
	}
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
	return progress, func() { fmt.Fprintf(t.err, "\r%s\r", strings.Repeat(" ", len(text)+10)) }
}
