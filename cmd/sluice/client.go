package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	clientTimeout = 2 * time.Minute // a large bundle is compiled while its sender waits
	maxAnswer     = 16 << 20
)

// errNoNode is returned when nothing listens at the admin URL.
var errNoNode = errors.New("no node answers")

// client speaks to the admin API of one node.
type client struct {
	base  string // without a slash at the end
	token auth.Secret
	http  *http.Client
}

// newClient builds a client from the flags of clientFlags.
func newClient(c *cli.Command, term *terminal) (*client, error) {
	dir, server, token := c.String("dir"), c.String("server"), c.String("token")
	if server == "" {
		found, err := readSmall(filepath.Join(dir, "admin-url"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no node is running on the directory %q; start one (sluice serve --dir %s), or name its admin URL with --server", dir, dir)
		}
		if err != nil {
			return nil, err
		}
		server = found
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return nil, usagef("--server %q is not a URL such as http://127.0.0.1:8091", server)
	}
	local := isLoopback(u.Hostname())
	if token == "" {
		// A token found on this machine goes to this machine only.
		if c.String("server") != "" && !local {
			return nil, usagef("--server names another machine: give its admin token with --token or SLUICE_TOKEN")
		}
		if token, err = readSmall(filepath.Join(dir, "admin-token")); err != nil {
			return nil, fmt.Errorf("no admin token: give --token or SLUICE_TOKEN, or the node's --dir (%w)", err)
		}
	}
	if !local && u.Scheme == "http" {
		fmt.Fprintf(term.err, "warning: the admin token travels unencrypted to %s\n", u.Host)
	}
	return dial(server, auth.Secret(token)), nil
}

func dial(server string, token auth.Secret) *client {
	return &client{base: strings.TrimRight(server, "/"), token: token, http: &http.Client{
		Timeout: clientTimeout,
		// The admin API never redirects; following one could carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func readSmall(path string) (string, error) {
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

// problem is an error answer of the admin API (RFC 9457).
type problem struct {
	Title  string            `json:"title"`
	Status int               `json:"status"`
	Detail string            `json:"detail"`
	Reason string            `json:"reason"`
	Errors []json.RawMessage `json:"errors"` // texts, or objects with a message
}

func (p *problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = http.StatusText(p.Status)
	}
	for _, raw := range p.Errors {
		var (
			line   string
			object struct{ Path, Message string }
		)
		switch {
		case json.Unmarshal(raw, &line) == nil:
		case json.Unmarshal(raw, &object) == nil && object.Path != "":
			line = object.Path + ": " + object.Message
		default:
			line = object.Message
		}
		if line != "" && !strings.Contains(text, line) {
			text += "\n  " + line
		}
	}
	return text
}

// do sends a request and decodes the JSON answer into out.
func (c *client) do(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	resp, err := c.send(ctx, c.http, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not the JSON expected: %w", method, path, err)
	}
	return nil
}

// stream asks for something that is long in coming. The caller closes it.
func (c *client) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	patient := *c.http
	patient.Timeout = 0
	resp, err := c.send(ctx, &patient, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// send sends a request. An answer that is a refusal is an error.
func (c *client) send(ctx context.Context, by *http.Client, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Accept", "application/json, application/problem+json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := by.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, fmt.Errorf("%w at %s: %w", errNoNode, c.base, op.Err)
		}
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	p := &problem{Status: resp.StatusCode}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("%s answers %s to %s %s: is it a Sluice admin URL?", c.base, resp.Status, method, path)
	}
	return nil, p
}

// projectSummary is one line of the list of projects.
type projectSummary struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Collections int    `json:"collections"`
	Bundle      int    `json:"bundle"`                // version; 0: none
	BundleError string `json:"bundleError,omitempty"` // why the deployed bundle does not run
}

func (c *client) projects(ctx context.Context) ([]projectSummary, error) {
	var answer struct {
		Projects []projectSummary `json:"projects"`
	}
	err := c.do(ctx, http.MethodGet, "/admin/v1/projects", "", nil, &answer)
	return answer.Projects, err
}

// applied is the answer to an apply. The keys are there only when the project was created.
type applied struct {
	ID             string           `json:"id"`
	Name           string           `json:"name"`
	Created        bool             `json:"created"`
	DryRun         bool             `json:"dryRun"`
	Changes        []project.Change `json:"changes"`
	Building       []indexBuild     `json:"building,omitempty"` // indexes that queries use once they are complete
	PublishableKey string           `json:"publishableKey,omitempty"`
	SecretKey      string           `json:"secretKey,omitempty"`
}

func (c *client) apply(ctx context.Context, cfg *project.Config, dryRun, prune bool) (*applied, error) {
	body, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	if dryRun {
		query.Set("dryRun", "1")
	}
	if prune {
		query.Set("prune", "1")
	}
	path := "/admin/v1/projects"
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var answer applied
	if err := c.do(ctx, http.MethodPut, path, "application/json", bytes.NewReader(body), &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// deploy sends a manifest and its modules, by file name, to a project; with dryRun only to be tried.
func (c *client) deploy(ctx context.Context, projectName string, m *hooks.Manifest, modules map[string][]byte, dryRun bool) (*project.Deployed, error) {
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("manifest", string(manifest)); err != nil {
		return nil, err
	}
	for _, module := range m.Modules {
		part, err := form.CreateFormFile("module", module.File)
		if err != nil {
			return nil, err
		}
		if _, err := part.Write(modules[module.File]); err != nil {
			return nil, err
		}
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	var answer project.Deployed
	path := "/admin/v1/projects/" + url.PathEscape(projectName) + "/bundles"
	if dryRun {
		path += "?dryRun=1"
	}
	if err := c.do(ctx, http.MethodPost, path, form.FormDataContentType(), &body, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// versions lists the bundle versions that a project keeps.
func (c *client) versions(ctx context.Context, projectName string) ([]project.BundleVersion, error) {
	var answer struct {
		Versions []project.BundleVersion `json:"versions"`
	}
	err := c.do(ctx, http.MethodGet, "/admin/v1/projects/"+url.PathEscape(projectName)+"/bundles", "", nil, &answer)
	return answer.Versions, err
}

// inspect returns what a version of a project's bundle consists of; version may be "live".
func (c *client) inspect(ctx context.Context, projectName, version string) (*project.BundleDetails, error) {
	var answer project.BundleDetails
	path := "/admin/v1/projects/" + url.PathEscape(projectName) + "/bundles/" + url.PathEscape(version)
	if err := c.do(ctx, http.MethodGet, path, "", nil, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// rollback makes an earlier version the live one again.
func (c *client) rollback(ctx context.Context, projectName string, version int) (*project.Deployed, error) {
	var answer project.Deployed
	path := fmt.Sprintf("/admin/v1/projects/%s/bundles/%d/rollback", url.PathEscape(projectName), version)
	if err := c.do(ctx, http.MethodPost, path, "", nil, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}
