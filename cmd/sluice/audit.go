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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
)

// auditPoll is how often the node is asked for new entries.
const auditPoll = 2 * time.Second

func auditCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "audit",
		Usage: "show what has happened to a project's accounts",
		Description: `Prints the newest entries of the audit log, oldest first, and with -f those that come: sign-ups, logins, failed ones (counted together for
each account and address), logouts, replayed refresh tokens, new passwords, changed and deleted accounts, new signing keys.
--json prints one JSON object a line.

  sluice audit --project blog -f
  sluice audit --project blog --user 65a000000000000000000001 --kind login`,
		Flags: append(followFlags(),
			&cli.StringFlag{Name: "user", Usage: "only what happened to the account with this `ID`", Sources: cli.EnvVars("SLUICE_USER")},
			&cli.StringFlag{Name: "kind", Usage: "only entries of this `KIND`, such as login.failed", Sources: cli.EnvVars("SLUICE_KIND")},
		),
		Action: func(ctx context.Context, c *cli.Command) error { return showAudit(ctx, c, term) },
	}
}

// auditPage is an answer of the audit log.
type auditPage struct {
	Entries []json.RawMessage `json:"entries"`
	More    bool              `json:"more"`
}

// auditEntry is what is shown of an entry.
type auditEntry struct {
	ID                          string `json:"_id"`
	Time, First                 time.Time
	Kind, UserID, By, SessionID string
	IP, UserAgent, RequestID    string
	Count                       int
	Detail                      map[string]string
}

func showAudit(ctx context.Context, c *cli.Command, term *terminal) error {
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
	path := "/admin/v1/projects/" + url.PathEscape(c.String("project")) + "/audit"
	query := url.Values{"limit": {strconv.Itoa(max(limit, 1))}}
	for _, name := range []string{"user", "kind"} {
		if value := c.String(name); value != "" {
			query.Set(name, value)
		}
	}
	last := ""
	show := func(page *auditPage, silent bool) error {
		for _, raw := range page.Entries {
			var e auditEntry
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			last = e.ID
			line := string(raw)
			if !c.Bool("json") {
				line = e.line()
			}
			if silent {
				continue
			}
			if _, err := fmt.Fprintln(term.out, line); err != nil {
				return err
			}
		}
		return nil
	}
	page, err := node.audit(ctx, path, query)
	if err == nil {
		err = show(page, limit == 0)
	}
	if err != nil || !c.Bool("follow") {
		return err
	}
	query.Set("limit", strconv.Itoa(followLimit))
	if last == "" {
		last = strings.Repeat("0", 24)
	}
	for away := false; ; {
		select {
		case <-ctx.Done():
			return nil // Ctrl-C is how it ends
		case <-time.After(auditPoll):
		}
		query.Set("after", last)
		page, err := node.audit(ctx, path, query)
		var lost net.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			away = false
			if err := show(page, false); err != nil {
				return err
			}
		case !errors.As(err, &lost) && !errors.Is(err, errNoNode) && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case !away: // it may be restarting
			fmt.Fprintln(term.err, "the node does not answer; waiting for it")
			away = true
		}
	}
}

func (c *client) audit(ctx context.Context, path string, query url.Values) (*auditPage, error) {
	page := new(auditPage)
	return page, c.do(ctx, http.MethodGet, path+"?"+query.Encode(), "", nil, page)
}

// line shows an entry.
func (e *auditEntry) line() string {
	who := "nobody known"
	switch {
	case e.UserID != "":
		who = e.UserID
	case e.By == "operator":
		who = "the operator"
	}
	line := fmt.Sprintf("%s  %-17s  %s", clockText(e.Time), e.Kind, who)
	if e.Count > 1 {
		line += fmt.Sprintf("  %d times since %s", e.Count, clockText(e.First))
	}
	if e.IP != "" {
		line += "  from " + printable(e.IP)
	}
	names := make([]string, 0, len(e.Detail))
	for name := range e.Detail {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		line += "  " + printable(name+"="+e.Detail[name])
	}
	if e.SessionID != "" {
		line += "  session " + e.SessionID
	}
	if e.UserAgent != "" {
		line += "  " + printable(e.UserAgent)
	}
	return line
}
