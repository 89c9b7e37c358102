package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
)

const (
	followWait  = 25          // seconds that the node may hold an answer back until there is something to say
	followLimit = 1000        // entries of one answer
	followRetry = time.Second // between two tries while the node is away
)

// followFlags are those of the verbs that show a log of a project.
func followFlags() []cli.Flag {
	return clientFlags(
		projectFlag(),
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on showing what comes, until Ctrl-C", Sources: cli.EnvVars("SLUICE_FOLLOW")},
		&cli.IntFlag{Name: "limit", Value: 100, Usage: "how many of the newest entries to begin with, 0 to 1000", Sources: cli.EnvVars("SLUICE_LIMIT")},
	)
}

// followed is an answer of one of the logs. The entries are under the log's own name.
type followed struct {
	entries []json.RawMessage
	Next    uint64 `json:"next"`
	Missed  uint64 `json:"missed"`  // entries that made room for newer ones before they were read
	Dropped uint64 `json:"dropped"` // lines that guests wrote too fast, since the node began
}

// follow shows the newest entries of a log of a project and, with --follow, what comes. path is the log's in the admin API, name
// the member of its answers that holds the entries. With --json each entry is a line as the node sent it.
func follow(ctx context.Context, c *cli.Command, term *terminal, path, name string, show func(entry json.RawMessage) (string, error)) error {
	if err := noArguments(c); err != nil {
		return err
	}
	limit := c.Int("limit")
	if limit < 0 || limit > followLimit {
		return usagef("--limit must be from 0 to %d, not %d", followLimit, limit)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	path = "/admin/v1/projects/" + url.PathEscape(c.String("project")) + "/" + path
	print := func(page *followed) error {
		if page.Missed > 0 {
			fmt.Fprintf(term.err, "%d older entries are gone\n", page.Missed)
		}
		for _, entry := range page.entries {
			line := string(entry)
			if !c.Bool("json") {
				var err error
				if line, err = show(entry); err != nil {
					return err
				}
			}
			if _, err := fmt.Fprintln(term.out, line); err != nil {
				return err
			}
		}
		return nil
	}
	page, err := node.followed(ctx, path, name, url.Values{"limit": {strconv.Itoa(limit)}})
	if err == nil {
		err = print(page)
	}
	if err != nil || !c.Bool("follow") {
		return err
	}
	dropped, away := page.Dropped, false
	query := url.Values{"limit": {strconv.Itoa(followLimit)}, "wait": {strconv.Itoa(followWait)}}
	for next := page.Next; ; next = page.Next {
		query.Set("after", strconv.FormatUint(next, 10))
		for {
			if page, err = node.followed(ctx, path, name, query); err == nil {
				break
			}
			var lost net.Error
			switch {
			case ctx.Err() != nil:
				return nil // Ctrl-C is how it ends
			case !errors.As(err, &lost) && !errors.Is(err, errNoNode) && !errors.Is(err, io.ErrUnexpectedEOF):
				return err
			case !away: // it may be restarting; its numbers go on
				fmt.Fprintln(term.err, "the node does not answer; waiting for it")
			}
			away = true
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(followRetry):
			}
		}
		away = false
		if page.Dropped > dropped {
			fmt.Fprintf(term.err, "%d lines were dropped: the guests write too fast\n", page.Dropped-dropped)
		}
		dropped = page.Dropped
		if err := print(page); err != nil {
			return err
		}
	}
}

// followed reads one page of a log.
func (c *client) followed(ctx context.Context, path, name string, query url.Values) (*followed, error) {
	var raw map[string]json.RawMessage
	if err := c.do(ctx, http.MethodGet, path+"?"+query.Encode(), "", nil, &raw); err != nil {
		return nil, err
	}
	var page followed
	for member, into := range map[string]any{name: &page.entries, "next": &page.Next, "missed": &page.Missed, "dropped": &page.Dropped} {
		if err := json.Unmarshal(raw[member], into); err != nil {
			return nil, fmt.Errorf("GET %s: %s: %w", path, member, err)
		}
	}
	return &page, nil
}
