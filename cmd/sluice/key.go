package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

func keyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "show and rotate the keys that a project's access tokens are signed with",
		Commands: []*cli.Command{
			{
				Name:   "list-jwt",
				Usage:  "list the keys that are good, the one that signs first",
				Flags:  clientFlags(projectFlag()),
				Action: func(ctx context.Context, c *cli.Command) error { return listSigningKeys(ctx, c, term) },
			},
			{
				Name:  "rotate-jwt",
				Usage: "sign access tokens with a new key",
				Description: `Tokens of the old key stay good for the overlap: with the default, the life of an access token, nobody notices. If the old key may be
known to others, use --overlap 0: every access token is refused from now on, and every signed address of a file; users stay logged in by their
refresh tokens.

  sluice key rotate-jwt --project blog`,
				Flags: clientFlags(projectFlag(),
					&cli.DurationFlag{Name: "overlap", Value: auth.AccessLifetime, Usage: "how long tokens of the old key stay good, up to 24h", Sources: cli.EnvVars("SLUICE_OVERLAP")}),
				Action: func(ctx context.Context, c *cli.Command) error { return rotateSigningKey(ctx, c, term) },
			},
		},
	}
}

// signingKeys is the node's answer about them.
type signingKeys struct {
	Keys []project.SigningKeyInfo `json:"keys"`
}

func listSigningKeys(ctx context.Context, c *cli.Command, term *terminal) error {
	return withSigningKeys(ctx, c, term, http.MethodGet, "", nil)
}

func rotateSigningKey(ctx context.Context, c *cli.Command, term *terminal) error {
	overlap := c.Duration("overlap")
	if overlap < 0 || overlap > project.MaxOverlap || overlap%time.Second != 0 {
		return usagef("--overlap must be whole seconds from 0 to %s, not %s", project.MaxOverlap, overlap)
	}
	body, err := json.Marshal(map[string]int64{"overlapSeconds": int64(overlap / time.Second)})
	if err != nil {
		return err
	}
	return withSigningKeys(ctx, c, term, http.MethodPost, "/rotate", body)
}

// withSigningKeys asks for the keys, or a change of them, and shows what there is then.
func withSigningKeys(ctx context.Context, c *cli.Command, term *terminal, method, path string, body []byte) error {
	if err := noArguments(c); err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var answer signingKeys
	kind := ""
	if body != nil {
		kind = "application/json"
	}
	if err := node.do(ctx, method, "/admin/v1/projects/"+url.PathEscape(c.String("project"))+"/keys/jwt"+path, kind, bytes.NewReader(body), &answer); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(answer)
	}
	table := tabwriter.NewWriter(term.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "KEY\tCREATED\tTOKENS")
	moment := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.Local().Format("2006-01-02 15:04:05")
	}
	for _, k := range answer.Keys {
		state := "good until " + moment(k.Until)
		if k.Signs {
			state = "signed with it"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", k.ID, moment(k.Created), state)
	}
	return table.Flush()
}
