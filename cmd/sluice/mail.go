package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
)

func mailCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "mail",
		Usage: "look at the mails of a project that wait or were given up",
		Commands: []*cli.Command{
			{
				Name:  "list",
				Usage: "show what waits, what was given up and why, and the templates",
				Description: `A mail that a server does not take for now is tried again, each time later, for about seven hours. One that it refuses for good, or that
nobody took in time, is given up and kept for a week. What mails say is not shown.

  sluice mail list --project blog`,
				Flags:  clientFlags(projectFlag()),
				Action: func(ctx context.Context, c *cli.Command) error { return listMail(ctx, c, term) },
			},
			{
				Name:      "retry",
				Usage:     "send mails again that were given up: one, or all of them",
				ArgsUsage: "[ID]",
				Description: `Codes that are too old by now stay where they are.

  sluice mail retry --project blog                             (all of them)
  sluice mail retry --project blog 65f0c0ffee65f0c0ffee0001    (one)`,
				Flags:  clientFlags(projectFlag()),
				Action: func(ctx context.Context, c *cli.Command) error { return retryMail(ctx, c, term) },
			},
		},
	}
}

// outboxMail is a mail of a project's outbox.
type outboxMail struct {
	ID       string `json:"id"`
	To       string `json:"to"`
	Subject  string `json:"subject"`
	Template string `json:"template"`
	Created  string `json:"created"`
	Next     string `json:"next"`
	OnItsWay bool   `json:"onItsWay"`
	Tries    int    `json:"tries"`
	Error    string `json:"error"`
}

func mailPath(c *cli.Command) string {
	return "/admin/v1/projects/" + url.PathEscape(c.String("project")) + "/mail"
}

func listMail(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := node.do(ctx, http.MethodGet, mailPath(c), "", nil, &raw); err != nil {
		return err
	}
	if c.Bool("json") {
		fmt.Fprintf(term.out, "%s\n", raw)
		return nil
	}
	var answer struct {
		Due, Dead    int
		Sent, Failed uint64
		Waiting      []outboxMail `json:"waiting"`
		DeadLetters  []outboxMail `json:"deadLetters"`
		Templates    []struct{ ID, Name string }
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	fmt.Fprintf(term.out, "%d waiting, %d given up in the last week; %s sent and %s given up since the project was made\n",
		answer.Due, answer.Dead, thousands(answer.Sent), thousands(answer.Failed))
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	for _, list := range []struct {
		title string
		mails []outboxMail
	}{{"WAITING", answer.Waiting}, {"GIVEN UP", answer.DeadLetters}} {
		if len(list.mails) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\tTO\tSUBJECT\tTRIES\t\n", list.title)
		for _, m := range list.mails {
			note := m.Error
			switch {
			case m.OnItsWay:
				note = "on its way"
			case m.Next != "" && m.Tries > 0:
				note = "next " + m.Next + ": " + m.Error
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", m.ID, printable(m.To), printable(m.Subject), m.Tries, printable(note))
		}
	}
	fmt.Fprint(w, "\nTEMPLATE\tID\n")
	for _, t := range answer.Templates {
		fmt.Fprintf(w, "%s\t%s\n", t.Name, t.ID)
	}
	return w.Flush()
}

func retryMail(ctx context.Context, c *cli.Command, term *terminal) error {
	path := mailPath(c) + "/retry"
	if c.Args().Len() > 0 {
		id, err := oneArgument(c)
		if err != nil {
			return err
		}
		path += "?id=" + url.QueryEscape(id)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var answer struct {
		Retried int `json:"retried"`
	}
	if err := node.do(ctx, http.MethodPost, path, "", nil, &answer); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(answer)
	}
	if answer.Retried == 0 {
		fmt.Fprintln(term.out, "There is nothing to send again.")
		return nil
	}
	fmt.Fprintf(term.out, "%d to be sent again; see: sluice mail list\n", answer.Retried)
	return nil
}
