// Package node runs the real binary on a directory, sets a project up in it, and knows how its API is asked.
package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/process"
)

const projectFile = `name: bench
auth: {enabled: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
  - name: posts
    fields:
      - {key: title, type: String, required: true}
      - {key: body, type: String}
      - {key: price, type: Number, index: true}
      - {key: tags, type: Array, items: {type: String}}
      - {key: userId, type: String}
%s    rls: {enabled: true, mode: public-read, ownerField: userId}
`

// Binary is a built sluice.
type Binary struct {
	Path string
	repo string
}

// Build builds the repository's binary, and further commands of this module, into dir.
func Build(ctx context.Context, dir string, commands ...string) (*Binary, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sluice-edge/sluice/bench").Output()
	if err != nil {
		return nil, fmt.Errorf("run this in the directory bench of the repository: %w", err)
	}
	b := &Binary{Path: filepath.Join(dir, "sluice"), repo: filepath.Dir(strings.TrimSpace(string(out)))}
	if err := goBuild(ctx, b.repo, b.Path, "./cmd/sluice"); err != nil {
		return nil, err
	}
	for _, c := range commands {
		if err := goBuild(ctx, filepath.Join(b.repo, "bench"), filepath.Join(dir, c), "./"+c); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// BuildModule builds the command of a module below bench.
func (b *Binary) BuildModule(ctx context.Context, dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	return path, goBuild(ctx, b.Source(name), path, ".")
}

// Source is where a directory of this module is.
func (b *Binary) Source(name string) string { return filepath.Join(b.repo, "bench", name) }

func goBuild(ctx context.Context, in, out, what string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, what)
	cmd.Dir = in
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, text)
	}
	return nil
}

// Commit is the repository's, with a + if there is more than what was committed; "unknown" without git.
func (b *Binary) Commit() string {
	cmd := exec.Command("git", "describe", "--always", "--dirty=+")
	cmd.Dir = b.repo
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Project is a directory with one project in it. Copies of the directory hold the same.
type Project struct {
	ID     string `json:"id"`
	Key    string `json:"publishableKey"`
	Secret string `json:"secretKey"`
	UserID string `json:"userId"` // of the account
}

// Create makes dir, the project in it, and its account. The posts get the further fields, written as in a project file.
func (b *Binary) Create(ctx context.Context, dir string, fields ...string) (*Project, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := b.start(ctx, dir, []byte("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Kill() }()
	more := ""
	for _, f := range fields {
		more += "      - " + f + "\n"
	}
	p, err := b.Apply(ctx, dir, fmt.Sprintf(projectFile, more))
	if err != nil {
		return nil, err
	}
	body, err := load.One(s.Addr, 201, p.account(nil, "signup"))
	if err != nil {
		return nil, err
	}
	var account struct {
		UserID string `json:"userId"`
	}
	if err := json.Unmarshal(body, &account); err != nil || account.UserID == "" {
		return nil, fmt.Errorf("sign-up answered %q", body)
	}
	p.UserID = account.UserID
	return p, s.Stop()
}

// Apply makes a project on the node that runs on dir, of the text of a project file.
func (b *Binary) Apply(ctx context.Context, dir, text string) (*Project, error) {
	file := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, err := b.command(ctx, "project", "apply", file, "--dir", dir, "--json")
	if err != nil {
		return nil, err
	}
	p := &Project{}
	if err := json.Unmarshal(out, p); err != nil || p.Key == "" || p.Secret == "" {
		return nil, fmt.Errorf("project apply printed %q", out)
	}
	return p, nil
}

// DeployTo puts a bundle into a project of the node that runs on dir.
func (b *Binary) DeployTo(ctx context.Context, dir string, p *Project, bundle string) error {
	_, err := b.command(ctx, "bundle", "deploy", bundle, "--project", p.ID, "--dir", dir)
	return err
}

// BuildBundle copies a bundle in C to dir, with the SDK's header beside it, and builds it there.
func (b *Binary) BuildBundle(ctx context.Context, dir, source string) (string, error) {
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "sdk"), os.DirFS(filepath.Join(b.repo, "sdk", "c"))); err != nil {
		return "", err
	}
	_, err := b.command(ctx, "bundle", "build", dir)
	return dir, err
}

// Deploy puts the bundle in a directory into the project.
func (b *Binary) Deploy(ctx context.Context, dir string, p *Project, bundle string) error {
	s, err := b.Start(ctx, dir, p)
	if err != nil {
		return err
	}
	defer func() { _ = s.Kill() }()
	if err := b.DeployTo(ctx, dir, p, bundle); err != nil {
		return err
	}
	return s.Stop()
}

func (b *Binary) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.Path, args...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("sluice %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}

// Start runs a node on dir until the project answers a list.
func (b *Binary) Start(ctx context.Context, dir string, p *Project) (*process.Server, error) {
	return b.start(ctx, dir, p.Newest(nil, 1))
}

// start runs a node as an operator would: with its access log, to a file.
func (b *Binary) start(ctx context.Context, dir string, request []byte) (*process.Server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.Path, "serve", "--dir", dir, "--addr", addr, "--admin-addr", "127.0.0.1:0",
		"--log-level", "warn", "--access-log", filepath.Join(dir, "access.log"))
	cmd.Env = environment()
	return process.Start(ctx, cmd, addr, request)
}

// environment is this process's without anything that would change what sluice does.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SLUICE_") {
			env = append(env, v)
		}
	}
	return env
}

// Token logs the account in.
func (p *Project) Token(addr string) (string, error) {
	body, err := load.One(addr, 200, p.Login(nil))
	if err != nil {
		return "", err
	}
	var session struct {
		AccessToken string `json:"accessToken"`
	}
	if err := json.Unmarshal(body, &session); err != nil || session.AccessToken == "" {
		return "", fmt.Errorf("login answered %q", body)
	}
	return session.AccessToken, nil
}

const bulk = 100 // documents a request, as many as the API takes

// Fill inserts the first n documents over HTTP, with the secret key, which may choose their ids.
func (p *Project) Fill(addr string, n int) error {
	var next atomic.Int64
	_, err := load.Run{
		Addr: addr, Connections: 4, Duration: load.MaxDuration, Count: int64((n + bulk - 1) / bulk), Status: 201,
		Requests: func(int) load.Requests {
			var body []byte
			return func(dst []byte) []byte {
				first := int(next.Add(1)-1) * bulk
				body = append(body[:0], '[')
				for i := first; i < min(first+bulk, n); i++ {
					if i > first {
						body = append(body, ',')
					}
					body = append(body, `{"_id":"`...)
					body = AppendID(body, i)
					body = append(body, `",`...)
					body = append(AppendMembers(body, i, Price(i), p.UserID), '}')
				}
				body = append(body, ']')
				dst = p.head(dst, "POST", "/api/data/posts/bulk", p.Secret, "")
				return AppendBody(dst, body)
			}
		},
	}.Do()
	return err
}

// Wait waits until the indexes of dir's project are built, by which a list finds all it needs.
func (p *Project) Wait(addr string) error {
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		dst := p.head(nil, "GET", "/api/data/posts?price=1&limit=20&explain=true", p.Secret, "")
		body, err := load.One(addr, 200, append(dst, "\r\n"...))
		if err != nil {
			return err
		}
		if bytes.Contains(body, []byte(`"plan":"index:price"`)) {
			return nil
		}
		if time.Since(begun) > 10*time.Minute {
			return fmt.Errorf("the index on price is not used: %s", body)
		}
	}
}

// The requests. Each appends a whole one to dst.

// Get asks for document i.
func (p *Project) Get(dst []byte, i int) []byte {
	dst = append(dst, "GET /api/data/posts/"...)
	dst = AppendID(dst, i)
	return append(p.headers(dst, p.Key, ""), "\r\n"...)
}

// Me asks for the account.
func (p *Project) Me(dst []byte, token string) []byte {
	return append(p.head(dst, "GET", "/api/userAuth/me", p.Key, token), "\r\n"...)
}

// Newest asks for the n newest documents.
func (p *Project) Newest(dst []byte, n int) []byte {
	return append(p.head(dst, "GET", fmt.Sprintf("/api/data/posts?limit=%d", n), p.Key, ""), "\r\n"...)
}

// List asks for the newest documents of any collection.
func (p *Project) List(dst []byte, collection string) []byte {
	dst = append(append(dst, "GET /api/data/"...), collection...)
	return append(p.headers(dst, p.Key, ""), "\r\n"...)
}

// Where asks for the 20 newest documents that match a condition, as a query string has it.
func (p *Project) Where(dst []byte, condition string) []byte {
	dst = append(append(dst, "GET /api/data/posts?limit=20&"...), condition...)
	return append(p.headers(dst, p.Key, ""), "\r\n"...)
}

// Insert inserts a document as the account. It is the owner without saying so.
func (p *Project) Insert(dst []byte, body []byte, token string) []byte {
	return AppendBody(p.head(dst, "POST", "/api/data/posts", p.Key, token), body)
}

// Update gives document i a price, as the account.
func (p *Project) Update(dst []byte, i, price int, token string) []byte {
	dst = append(dst, "PATCH /api/data/posts/"...)
	dst = AppendID(dst, i)
	dst = p.headers(dst, p.Key, token)
	var body [32]byte
	return AppendBody(dst, append(appendInt(append(body[:0], `{"price":`...), price), '}'))
}

// Login logs the account in.
func (p *Project) Login(dst []byte) []byte { return p.account(dst, "login") }

func (p *Project) account(dst []byte, verb string) []byte {
	dst = p.head(dst, "POST", "/api/userAuth/"+verb, p.Key, "")
	return AppendBody(dst, fmt.Appendf(nil, `{"email":%q,"password":%q}`, Email, Password))
}

func (p *Project) head(dst []byte, method, path, key, token string) []byte {
	dst = append(append(append(dst, method...), ' '), path...)
	return p.headers(dst, key, token)
}

func (p *Project) headers(dst []byte, key, token string) []byte {
	dst = append(dst, " HTTP/1.1\r\nHost: bench\r\nx-api-key: "...)
	dst = append(dst, key...)
	if token != "" {
		dst = append(dst, "\r\nAuthorization: Bearer "...)
		dst = append(dst, token...)
	}
	return append(dst, "\r\n"...)
}
