package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/urfave/cli/v3"
)

func userCommand(term *terminal) *cli.Command {
	verb := func(name, usage, done string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "ID", Flags: clientFlags(projectFlag()),
			Action: func(ctx context.Context, c *cli.Command) error { return setUser(ctx, c, term, done) },
		}
	}
	return &cli.Command{
		Name:  "user",
		Usage: "keep an account of a project's from logging in, or let it again",
		Description: `A disabled account is whole, but nobody logs in as it, and none of its tokens is good any more.

  sluice user disable --project blog 65a000000000000000000001`,
		Commands: []*cli.Command{
			verb("disable", "end all sessions of the account with this ID, and let nobody log in as it", "disabled"),
			verb("enable", "let the account with this ID log in again", "enabled"),
		},
	}
}

// setUser disables or enables an account.
func setUser(ctx context.Context, c *cli.Command, term *terminal, done string) error {
	id, err := oneArgument(c)
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var answer struct {
		ID       string `json:"id"`
		Disabled bool   `json:"disabled"`
		Ended    int    `json:"sessionsEnded"`
	}
	path := "/admin/v1/projects/" + url.PathEscape(c.String("project")) + "/users/" + url.PathEscape(id) + "/" + c.Name
	if err := node.do(ctx, http.MethodPost, path, "", nil, &answer); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(answer)
	}
	_, err = fmt.Fprintf(term.out, "Account %s is %s; %d sessions were ended.\n", answer.ID, done, answer.Ended)
	return err
}
