package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

func logsCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "logs",
		Usage: "show what a project's guests log",
		Description: `Prints the newest lines, oldest first, and with -f those that come. --json prints one JSON object a line.
Why requests were refused is another list: see "sluice decisions".

  sluice bundle logs --project blog -f`,
		Flags: followFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			return follow(ctx, c, term, "logs", "lines", showLine)
		},
	}
}

func decisionsCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "decisions",
		Usage: "show why requests to a project were refused",
		Description: `Prints the newest refusals by access rules, policies and hooks, oldest first, and with -f those that come: when, the HTTP status
and reason that the caller got, what it wanted, who it was, and of a guest's no the module, the fuel and the cause.
--json prints one JSON object a line.

  sluice decisions --project blog -f`,
		Flags: followFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			return follow(ctx, c, term, "decisions", "decisions", showDecision)
		},
	}
}

// showLine shows a line that a guest wrote.
func showLine(entry json.RawMessage) (string, error) {
	var e struct {
		Time                     time.Time
		Level, Module, RequestID string
		Text                     string
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s  %-5s  %s  %s  %s", clockText(e.Time), strings.ToLower(e.Level), e.Module, e.RequestID, printable(e.Text)), nil
}

// showDecision shows a refusal.
func showDecision(entry json.RawMessage) (string, error) {
	var e struct {
		Time                           time.Time
		Route, Collection, DocumentID  string
		Operation, Role, UserID        string
		Status                         int
		Reason, Message, Hides         string
		Module, Code, Cause, RequestID string
		Fuel, Budget                   uint64
	}
	if err := json.Unmarshal(entry, &e); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %d %s", clockText(e.Time), e.Status, e.Reason)
	if e.Hides != "" {
		fmt.Fprintf(&b, " (hides %s)", e.Hides)
	}
	what := e.Route
	if e.Operation != "" {
		what = e.Operation + " " + e.Collection
		if e.DocumentID != "" {
			what += "/" + e.DocumentID
		}
	}
	who := "nobody"
	switch {
	case e.UserID != "":
		who = e.UserID
	case e.Role == "secret":
		who = "the secret key"
	}
	fmt.Fprintf(&b, "  %s by %s", what, who)
	if e.Module != "" {
		fmt.Fprintf(&b, "  [%s, %s fuel]", e.Module, fuelText(e.Fuel, e.Budget))
	}
	fmt.Fprintf(&b, "  %s  %s", printable(e.Message), e.RequestID)
	if e.Cause != "" {
		b.WriteString("\n    " + strings.ReplaceAll(printable(e.Cause), "\n", "\n    "))
	}
	return b.String(), nil
}

// fuelText is what a guest spent, of what it had if that is known.
func fuelText(spent, had uint64) string {
	if had == 0 {
		return thousands(spent)
	}
	return thousands(spent) + " of " + thousands(had)
}

// clockText is a moment as a person reads it here and now.
func clockText(t time.Time) string {
	t = t.Local()
	if now := time.Now(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

// printable takes out of a stranger's text what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' {
			return c
		}
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return '\ufffd'
		}
		return c
	}, s)
}
