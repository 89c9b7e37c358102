package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
)

// maxExplainBody bounds the body that is read for a request to explain.
const maxExplainBody = 1 << 20

// Callers of --as that are no user's id or address.
const (
	asNobody = "nobody"
	asSecret = "secret"
)

func explainCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show every check that a request would pass through, and change nothing",
		ArgsUsage: "METHOD PATH [BODY]",
		Description: `Takes a request through the rules, hooks, schema and policies of a project as they are now, in the name of a user, and stops where a
commit would begin. BODY is JSON, @FILE, or - for standard input.

  sluice explain --project blog --as 65a000000000000000000001 POST /api/data/posts '{"title":"Gold","price":500}'
  sluice explain --project blog --as ada@example.com GET /api/data/posts/65a000000000000000000002
  sluice explain query --project blog 'posts?price_lt=100&sort=-price'`,
		Flags: clientFlags(
			projectFlag(),
			&cli.StringFlag{Name: "as", Value: asNobody, Usage: `who asks: a user's id or address, or "nobody", both with the publishable key, or "secret", the secret key`, Sources: cli.EnvVars("SLUICE_AS")},
		),
		Action: func(ctx context.Context, c *cli.Command) error { return explainRequest(ctx, c, term) },
		Commands: []*cli.Command{{
			Name:      "query",
			Usage:     "show how a list would be found: the plan, what else was weighed, what was read",
			ArgsUsage: "QUERY",
			Description: `QUERY is a collection with the parameters of a list, as behind /api/data/. It is asked as with the secret key.

  sluice explain query --project blog 'posts?price_lt=100&sort=-price'`,
			Action: func(ctx context.Context, c *cli.Command) error { return explainQuery(ctx, c, term) },
		}},
	}
}

// explainAsk is a request to explain.
type explainAsk struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Role   string          `json:"role,omitempty"`
	UserID string          `json:"userId,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// explanation is the node's account of a request.
type explanation struct {
	Request struct {
		Method, Route, Collection, Role, UserID string
	}
	Outcome string
	Status  int
	Reason  string
	Message string
	Checks  []explainedCheck
	Answer  json.RawMessage
	Fuel    uint64
	Millis  float64 `json:"durationMs"`
}

type explainedCheck struct {
	Check, Outcome, Collection, Module string
	Operation                          *int
	Status                             int
	Reason, Message, Code, Cause, Note string
	Fuel, Budget                       uint64
	Document                           json.RawMessage
	Millis                             float64 `json:"durationMs"`
}

// explain asks the node; the answer is returned as it came, too.
func (c *client) explain(ctx context.Context, projectName string, ask *explainAsk) (*explanation, json.RawMessage, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, nil, err
	}
	var raw json.RawMessage
	path := "/admin/v1/projects/" + url.PathEscape(projectName) + "/explain"
	if err := c.do(ctx, http.MethodPost, path, "application/json", bytes.NewReader(body), &raw); err != nil {
		return nil, nil, err
	}
	var x explanation
	return &x, raw, json.Unmarshal(raw, &x)
}

func explainRequest(ctx context.Context, c *cli.Command, term *terminal) error {
	if n := c.Args().Len(); n != 2 && n != 3 {
		return usagef("%s takes %s, got %d words; see: %s --help", c.FullName(), c.ArgsUsage, n, c.FullName())
	}
	ask := &explainAsk{Method: strings.ToUpper(c.Args().Get(0)), Path: c.Args().Get(1)}
	if !strings.HasPrefix(ask.Path, "/") {
		return usagef("PATH %q must begin with a slash, as in /api/data/posts", ask.Path)
	}
	switch as := c.String("as"); as {
	case asNobody:
	case asSecret:
		ask.Role = asSecret
	default:
		ask.UserID = as
	}
	if c.Args().Len() == 3 {
		body, err := bodyArgument(c.Args().Get(2), term.in)
		if err != nil {
			return err
		}
		ask.Body = body
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	x, raw, err := node.explain(ctx, c.String("project"), ask)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		_, err := fmt.Fprintln(term.out, string(raw))
		return err
	}
	return printExplained(term, ask, x)
}

// bodyArgument reads a body: JSON itself, @FILE, or standard input.
func bodyArgument(arg string, stdin io.Reader) (json.RawMessage, error) {
	raw := []byte(arg)
	if name, file := strings.CutPrefix(arg, "@"); file || arg == "-" {
		in := stdin
		if file {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer func() { _ = f.Close() }()
			in = f
		}
		var err error
		if raw, err = io.ReadAll(io.LimitReader(in, maxExplainBody+1)); err != nil {
			return nil, err
		}
	}
	if len(raw) > maxExplainBody {
		return nil, usagef("BODY is larger than %d bytes", maxExplainBody)
	}
	if !json.Valid(raw) {
		return nil, usagef("BODY is not JSON; give it in quotes, as @FILE, or as - for standard input")
	}
	return raw, nil
}

func printExplained(term *terminal, ask *explainAsk, x *explanation) error {
	out := term.out
	who := "nobody"
	switch {
	case ask.Role == asSecret:
		who = "the secret key"
	case ask.UserID != "":
		who = ask.UserID
	}
	fmt.Fprintf(out, "%s %s by %s\n\n", ask.Method, ask.Path, who)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tOUTCOME\tREASON\tGUEST\tFUEL\tTIME")
	for _, k := range x.Checks {
		name := k.Check
		if k.Operation != nil {
			name = fmt.Sprintf("%d %s", *k.Operation, name)
		}
		reason, fuel := k.Reason, ""
		if k.Status != 0 {
			reason = fmt.Sprintf("%d %s", k.Status, k.Reason)
		}
		if k.Fuel > 0 {
			fuel = fuelText(k.Fuel, k.Budget)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.2f ms\n", name, k.Outcome, reason, k.Module, fuel, k.Millis)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, k := range x.Checks {
		for _, text := range []string{k.Note, k.Cause} {
			if text != "" {
				fmt.Fprintf(out, "\n%s: %s\n", k.Check, printable(text))
			}
		}
		if len(k.Document) > 0 {
			fmt.Fprintf(out, "\n%s made of the document: %s\n", k.Check, k.Document)
		}
	}
	verdict := term.green(out, fmt.Sprintf("Allowed: %d.", x.Status))
	if x.Outcome != "allowed" {
		verdict = term.red(out, fmt.Sprintf("Refused: %d %s.", x.Status, x.Reason)) + " " + printable(x.Message)
	}
	_, err := fmt.Fprintf(out, "\n%s %s fuel in all, %.2f ms. Nothing was changed.\n", verdict, thousands(x.Fuel), x.Millis)
	return err
}

// queryPlan is how a list would be found.
type queryPlan struct {
	Plan       string `json:"plan"`
	Considered []struct {
		Plan                              string
		Keys                              int
		Guessed, Ordered, Covered, Chosen bool
	} `json:"considered"`
	Examined int     `json:"examined"`
	Returned int     `json:"returned"`
	Total    int64   `json:"total"`
	Millis   float64 `json:"durationMs"`
}

func explainQuery(ctx context.Context, c *cli.Command, term *terminal) error {
	query, err := oneArgument(c)
	if err != nil {
		return err
	}
	if as := c.String("as"); c.IsSet("as") && as != asSecret {
		return usagef("a plan tells of everybody's documents, so it is asked with the secret key: --as %s cannot be", as)
	}
	path := "/api/data/" + strings.TrimPrefix(strings.TrimPrefix(query, "/"), "api/data/")
	if strings.Contains(path, "?") {
		path += "&explain=true"
	} else {
		path += "?explain=true"
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	x, _, err := node.explain(ctx, c.String("project"), &explainAsk{Method: http.MethodGet, Path: path, Role: asSecret})
	if err != nil {
		return err
	}
	if x.Outcome != "allowed" {
		return fmt.Errorf("%s: %s", x.Reason, x.Message)
	}
	var answer struct{ Data json.RawMessage }
	var p queryPlan
	if err := json.Unmarshal(x.Answer, &answer); err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Data, &p); err != nil || p.Plan == "" {
		return usagef("%q is not a list; name a collection, as in 'posts?price_lt=100'", query)
	}
	if c.Bool("json") {
		_, err := fmt.Fprintln(term.out, string(answer.Data))
		return err
	}
	fmt.Fprintf(term.out, "%s: %d read, %d returned, %d match, %.2f ms\n", term.bold(term.out, p.Plan), p.Examined, p.Returned, p.Total, p.Millis)
	if len(p.Considered) == 0 {
		return nil
	}
	fmt.Fprintln(term.out)
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WEIGHED\tKEYS\tIN ORDER\tWITHOUT READING")
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	for _, o := range p.Considered {
		keys, mark := fmt.Sprint(o.Keys), ""
		if o.Guessed {
			keys = "about " + keys
		}
		if o.Chosen {
			mark = "\tchosen"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\n", o.Plan, keys, yes(o.Ordered), yes(o.Covered), mark)
	}
	return w.Flush()
}
