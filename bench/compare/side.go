package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
)

const pocketbaseVersion = "v0.39.11" // as pocketbase/go.mod has it

// side is one of those that are compared, on a prepared directory.
type side interface {
	// start runs the server on a directory that prepare filled, or a copy of it.
	start(ctx context.Context, dir string) (*process.Server, error)
	// requests returns what to ask a running server, and the status that its answers have.
	requests(s *process.Server, op operation) (func(connection int) load.Requests, int, error)
}

// sides prepares what is asked for, each once.
type sides struct {
	dir       string // of everything
	documents int
	progress  func(format string, args ...any)

	binary   *node.Binary
	peer     string // PocketBase's binary
	prepared map[sideName]side
}

// directory is where the data of a side is; some share it.
func (s *sides) directory(name sideName) string {
	switch name {
	case pbDurable, pbHook, pbHookSync:
		name = pocketbase
	}
	return filepath.Join(s.dir, string(name))
}

func (s *sides) get(ctx context.Context, name sideName) (side, error) {
	if got, ok := s.prepared[name]; ok {
		return got, nil
	}
	got, err := s.prepare(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	s.prepared[name] = got
	return got, nil
}

func (s *sides) prepare(ctx context.Context, name sideName) (side, error) {
	dir := s.directory(name)
	switch name {
	case sluice:
		s.progress("filling a node with %d documents", s.documents)
		project, err := s.fillNode(ctx, dir)
		return &nodeSide{s.binary, project, s.documents}, err
	case sluiceGo, sluiceJS, sluiceC:
		plain, err := s.get(ctx, sluice)
		if err != nil {
			return nil, err
		}
		s.progress("deploying a bundle to a copy of it: %s", name)
		if err := node.Copy(dir, s.directory(sluice)); err != nil {
			return nil, err
		}
		guest := *plain.(*nodeSide)
		bundle, err := s.bundle(ctx, name)
		if err != nil {
			return nil, err
		}
		return &guest, s.binary.Deploy(ctx, dir, guest.project, bundle)
	case bareServer:
		return &bareSide{filepath.Join(s.dir, "bin", "bare"), s.documents}, os.MkdirAll(dir, 0o700)
	}
	return s.preparePeer(ctx, name, dir)
}

// bundle returns the directory of a side's bundle, built.
func (s *sides) bundle(ctx context.Context, name sideName) (string, error) {
	switch name {
	case sluiceJS:
		return s.binary.Source("guests/js"), nil
	case sluiceC:
		return s.binary.BuildBundle(ctx, filepath.Join(s.dir, "guest-c"), s.binary.Source("guests/c"))
	}
	return s.binary.Source("../demo"), nil
}

func (s *sides) fillNode(ctx context.Context, dir string) (*node.Project, error) {
	project, err := s.binary.Create(ctx, dir)
	if err != nil {
		return nil, err
	}
	server, err := s.binary.Start(ctx, dir, project)
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Kill() }()
	if err := project.Fill(server.Addr, s.documents); err != nil {
		return nil, err
	}
	if err := project.Wait(server.Addr); err != nil {
		return nil, err
	}
	return project, server.Stop()
}

// nodeSide is Sluice.
type nodeSide struct {
	binary    *node.Binary
	project   *node.Project
	documents int
}

func (n *nodeSide) start(ctx context.Context, dir string) (*process.Server, error) {
	return n.binary.Start(ctx, dir, n.project)
}

func (n *nodeSide) requests(s *process.Server, op operation) (func(int) load.Requests, int, error) {
	token, err := n.project.Token(s.Addr)
	if err != nil {
		return nil, 0, err
	}
	p, status := n.project, 200
	if op == opInsert {
		status = 201
	}
	newest := p.Newest(nil, 20)
	return func(connection int) load.Requests {
		random := rand.New(rand.NewPCG(uint64(connection), 1))
		var body []byte
		return func(dst []byte) []byte {
			switch op {
			case opGet:
				return p.Get(dst, random.IntN(n.documents))
			case opMe:
				return p.Me(dst, token)
			case opList:
				return p.Where(dst, "price="+strconv.Itoa(random.IntN(node.Prices)))
			case opListPlain:
				return p.Where(dst, "count=none&price="+strconv.Itoa(random.IntN(node.Prices)))
			case opNewest:
				return append(dst, newest...)
			case opInsert:
				body = node.AppendMembers(append(body[:0], '{'), random.IntN(1e9), random.IntN(node.Prices), p.UserID)
				return p.Insert(dst, append(body, '}'), token)
			case opUpdate:
				return p.Update(dst, random.IntN(n.documents), random.IntN(node.Prices), token)
			default:
				return p.Login(dst)
			}
		}
	}, status, nil
}

// bareSide is the least that could do the same.
type bareSide struct {
	path      string
	documents int
}

func (b *bareSide) request(dst []byte, i int) []byte {
	dst = append(dst, "GET /"...)
	dst = node.AppendID(dst, i)
	return append(dst, " HTTP/1.1\r\nHost: bench\r\n\r\n"...)
}

func (b *bareSide) start(ctx context.Context, dir string) (*process.Server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.path, "-dir", dir, "-addr", addr, "-documents", fmt.Sprint(b.documents))
	return process.Start(ctx, cmd, addr, b.request(nil, 0))
}

func (b *bareSide) requests(_ *process.Server, op operation) (func(int) load.Requests, int, error) {
	return func(connection int) load.Requests {
		random := rand.New(rand.NewPCG(uint64(connection), 1))
		return func(dst []byte) []byte {
			if op == opLogin {
				return append(dst, "GET /login HTTP/1.1\r\nHost: bench\r\n\r\n"...)
			}
			return b.request(dst, random.IntN(b.documents))
		}
	}, 200, nil
}

// peerSide is PocketBase.
type peerSide struct {
	path      string
	documents int
	owner     string
	env       []string
	tuned     bool
}

func (s *sides) preparePeer(ctx context.Context, name sideName, dir string) (side, error) {
	if s.peer == "" {
		s.progress("building PocketBase %s", pocketbaseVersion)
		path, err := s.binary.BuildModule(ctx, filepath.Join(s.dir, "bin"), "pocketbase")
		if err != nil {
			return nil, err
		}
		s.peer = path
	}
	p := &peerSide{path: s.peer, documents: s.documents, tuned: name == pbTuned}
	// What others may have set must not change what it does.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "POCKETBASE_") && !strings.HasPrefix(v, "PB_") {
			p.env = append(p.env, v)
		}
	}
	hooks := filepath.Join(dir, "no-hooks")
	switch name {
	case pbHook, pbHookSync:
		hooks = s.binary.Source("pocketbase/hooks")
	}
	switch name {
	case pbDurable, pbHookSync:
		p.env = append(p.env, "POCKETBASE_SYNCHRONOUS=FULL")
	}
	p.env = append(p.env, "POCKETBASE_HOOKS="+hooks)
	if name != pocketbase && name != pbTuned {
		plain, err := s.get(ctx, pocketbase)
		if err != nil {
			return nil, err
		}
		p.owner = plain.(*peerSide).owner
		return p, nil
	}
	s.progress("filling %s with %d documents", name, s.documents)
	args := []string{"prepare", "--dir", dir, "--documents", fmt.Sprint(s.documents),
		"--email", node.Email, "--password", node.Password, "--text", node.Text}
	if p.tuned {
		args = append(args, "--tuned")
	}
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Env = p.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if p.owner = strings.TrimSpace(string(out)); err != nil || p.owner == "" {
		return nil, fmt.Errorf("%w\n%s%s", err, out, &stderr)
	}
	return p, nil
}

func (p *peerSide) start(ctx context.Context, dir string) (*process.Server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.path, "serve", "--dir", dir, "--http", addr)
	cmd.Env = p.env
	return process.Start(ctx, cmd, addr, p.get(nil, 0))
}

const records = "/api/collections/posts/records"

func (p *peerSide) head(dst []byte, method, path, token string) []byte {
	dst = append(append(append(dst, method...), ' '), path...)
	dst = append(dst, " HTTP/1.1\r\nHost: bench\r\n"...)
	if token != "" {
		dst = append(append(append(dst, "Authorization: "...), token...), "\r\n"...)
	}
	return dst
}

func (p *peerSide) get(dst []byte, i int) []byte {
	return append(p.head(dst, "GET", fmt.Sprintf("%s/r%014d", records, i), ""), "\r\n"...)
}

// list asks for 20 documents. Without tuning it is what PocketBase's guide and client ask for; @rowid is the order that
// it advises for the newest first.
func (p *peerSide) list(dst []byte, query string) []byte {
	if p.tuned {
		query += "&skipTotal=1"
	}
	return append(p.head(dst, "GET", records+"?perPage=20&"+query, ""), "\r\n"...)
}

func (p *peerSide) login(dst []byte) []byte {
	dst = p.head(dst, "POST", "/api/collections/users/auth-with-password", "")
	return node.AppendBody(dst, fmt.Appendf(nil, `{"identity":%q,"password":%q}`, node.Email, node.Password))
}

func (p *peerSide) requests(s *process.Server, op operation) (func(int) load.Requests, int, error) {
	body, err := load.One(s.Addr, 200, p.login(nil))
	if err != nil {
		return nil, 0, err
	}
	var session struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &session); err != nil || session.Token == "" {
		return nil, 0, fmt.Errorf("login answered %q", body)
	}
	newest := p.list(nil, "sort=-@rowid")
	return func(connection int) load.Requests {
		random := rand.New(rand.NewPCG(uint64(connection), 1))
		var body []byte
		return func(dst []byte) []byte {
			switch op {
			case opGet:
				return p.get(dst, random.IntN(p.documents))
			case opList, opListPlain:
				return p.list(dst, fmt.Sprintf("sort=-created&filter=(price%%3D%d)", random.IntN(node.Prices)))
			case opNewest:
				return append(dst, newest...)
			case opInsert:
				body = node.AppendMembers(append(body[:0], '{'), random.IntN(1e9), random.IntN(node.Prices), node.NoOwner)
				body = append(append(append(body, `,"owner":"`...), p.owner...), `"}`...)
				return node.AppendBody(p.head(dst, "POST", records, session.Token), body)
			case opUpdate:
				dst = p.head(dst, "PATCH", fmt.Sprintf("%s/r%014d", records, random.IntN(p.documents)), session.Token)
				return node.AppendBody(dst, fmt.Appendf(nil, `{"price":%d}`, random.IntN(node.Prices)))
			default:
				return p.login(dst)
			}
		}
	}, 200, nil
}
