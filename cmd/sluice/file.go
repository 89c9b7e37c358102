package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime/project"
)

func fileCommand(term *terminal) *cli.Command {
	private := &cli.BoolFlag{Name: "private", Usage: "only for its owner, secret keys and signed addresses", Sources: cli.EnvVars("SLUICE_PRIVATE")}
	return &cli.Command{
		Name:  "file",
		Usage: "list, store, fetch and remove the files of a project of a running node",
		Commands: []*cli.Command{
			{
				Name:      "list",
				Usage:     "list the files, newest first, or those whose name begins with PREFIX, by name",
				ArgsUsage: "[PREFIX]",
				Flags:     projectFlags(),
				Action:    func(ctx context.Context, c *cli.Command) error { return listFiles(ctx, c, term) },
			},
			{
				Name:      "put",
				Usage:     "store a file and print its address",
				ArgsUsage: "FILE",
				Flags:     projectFlags(private, &cli.StringFlag{Name: "type", Usage: "media type (default: by the name)", Sources: cli.EnvVars("SLUICE_TYPE")}),
				Action:    func(ctx context.Context, c *cli.Command) error { return putFile(ctx, c, term) },
			},
			{
				Name:      "get",
				Usage:     "fetch a file, private ones too, to standard output or --output",
				ArgsUsage: "PATH",
				Flags:     projectFlags(&cli.StringFlag{Name: "output", Usage: "where to write it", Sources: cli.EnvVars("SLUICE_OUTPUT")}),
				Action:    func(ctx context.Context, c *cli.Command) error { return getFile(ctx, c, term) },
			},
			{
				Name:      "rm",
				Usage:     "remove a file",
				ArgsUsage: "PATH",
				Flags:     projectFlags(),
				Action:    func(ctx context.Context, c *cli.Command) error { return removeFile(ctx, c, term) },
			},
			{
				Name:  "sweep",
				Usage: "remove what crashed or abandoned uploads have left; the node does so by itself every hour",
				Flags: projectFlags(&cli.DurationFlag{Name: "age", Value: 24 * time.Hour, Usage: "only what is older", Sources: cli.EnvVars("SLUICE_AGE")}),
				Action: func(ctx context.Context, c *cli.Command) error {
					return sweepFiles(ctx, c, term)
				},
			},
		},
	}
}

// projectFlags are those of the verbs about one project.
func projectFlags(more ...cli.Flag) []cli.Flag {
	return clientFlags(append(more, projectFlag())...)
}

// fileInfo is what a node tells of a file.
type fileInfo struct {
	Path       string `json:"path"`
	Name       string `json:"name"`
	URL        string `json:"url"`
	Size       int64  `json:"size"`
	Type       string `json:"type"`
	SHA256     string `json:"sha256"`
	Visibility string `json:"visibility"`
	Owner      string `json:"owner,omitempty"`
	CreatedAt  string `json:"createdAt"`
	UpdatedAt  string `json:"updatedAt"`
}

// files asks one of the routes of a project's files.
func (c *client) files(ctx context.Context, method, projectName, what string, body, into any) error {
	var (
		reader io.Reader
		kind   string
	)
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader, kind = bytes.NewReader(raw), "application/json"
	}
	return c.do(ctx, method, "/admin/v1/projects/"+url.PathEscape(projectName)+"/files"+what, kind, reader, into)
}

func listFiles(ctx context.Context, c *cli.Command, term *terminal) error {
	prefix := c.Args().First()
	if c.Args().Len() > 1 {
		return usagef("%s takes one PREFIX at most, got %d", c.FullName(), c.Args().Len())
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	all := []fileInfo{}
	for cursor := ""; ; {
		query := url.Values{}
		if prefix != "" {
			query.Set("prefix", prefix)
		}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		var page struct {
			Data struct {
				Items      []fileInfo `json:"items"`
				NextCursor string     `json:"nextCursor"`
			} `json:"data"`
		}
		if err := node.files(ctx, http.MethodGet, c.String("project"), "?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		all = append(all, page.Data.Items...)
		if cursor = page.Data.NextCursor; cursor == "" {
			break
		}
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"files": all})
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CREATED\tSIZE\tVISIBILITY\tTYPE\tPATH")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.CreatedAt, bytesText(f.Size), f.Visibility, f.Type, f.Path)
	}
	return w.Flush()
}

// storedAt is what a node answers to a confirmed upload.
type storedAt struct {
	URL  string `json:"url"`
	Path string `json:"path"`
}

func putFile(ctx context.Context, c *cli.Command, term *terminal) error {
	name, err := oneArgument(c)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return usagef("%s is no file", name)
	case info.Size() == 0:
		return usagef("%s is empty", name)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	kind := c.String("type")
	if kind == "" {
		if kind = mime.TypeByExtension(filepath.Ext(name)); kind == "" {
			kind = "application/octet-stream"
		}
	}
	ask := map[string]any{"filename": filepath.Base(name), "contentType": kind, "size": info.Size()}
	if c.Bool("private") {
		ask["visibility"] = project.VisibilityPrivate
	}
	var asked struct{ SignedURL, FilePath string }
	if err := node.files(ctx, http.MethodPost, c.String("project"), "/upload-request", ask, &asked); err != nil {
		return err
	}
	done := term.working("storing " + name)
	err = transfer(ctx, http.MethodPut, asked.SignedURL, f, info.Size(), io.Discard)
	done()
	if err != nil {
		return err
	}
	var stored storedAt
	if err := node.files(ctx, http.MethodPost, c.String("project"), "/upload-confirm", map[string]any{"filePath": asked.FilePath, "size": info.Size()}, &stored); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(stored)
	}
	_, err = fmt.Fprintf(term.out, "%s\n%s\n", stored.Path, stored.URL)
	return err
}

func getFile(ctx context.Context, c *cli.Command, term *terminal) (err error) {
	path, err := oneArgument(c)
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var signed struct{ SignedURL string }
	if err := node.files(ctx, http.MethodPost, c.String("project"), "/signed-url", map[string]any{"path": path, "expiresIn": 600}, &signed); err != nil {
		return err
	}
	out := term.out
	if name := c.String("output"); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	return transfer(ctx, http.MethodGet, signed.SignedURL, nil, 0, out)
}

// transfer sends or fetches bytes by a signed address.
func transfer(ctx context.Context, method, address string, body io.Reader, size int64, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	resp, err := (&http.Client{}).Do(req) // it takes as long as it takes
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		p := &problem{Status: resp.StatusCode}
		var told struct{ Error string }
		if json.Unmarshal(raw, &told) == nil {
			p.Detail = told.Error
		}
		return p
	}
	_, err = io.Copy(out, resp.Body)
	return err
}

func removeFile(ctx context.Context, c *cli.Command, term *terminal) error {
	path, err := oneArgument(c)
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var told struct {
		Message string `json:"message"`
	}
	if err := node.files(ctx, http.MethodDelete, c.String("project"), "", map[string]any{"path": path}, &told); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(told)
	}
	_, err = fmt.Fprintln(term.out, told.Message)
	return err
}

func sweepFiles(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	if c.Duration("age") < 0 {
		return usagef("--age must not be negative")
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	var swept project.SweptFiles
	if err := node.files(ctx, http.MethodPost, c.String("project"), fmt.Sprintf("/sweep?age=%d", int64(c.Duration("age").Seconds())), nil, &swept); err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(swept)
	}
	_, err = fmt.Fprintf(term.out, "removed %d reservations, %d uploads, and %d files without a record (%s)\n", swept.Reservations, swept.Uploads, swept.Objects, bytesText(swept.Bytes))
	return err
}
