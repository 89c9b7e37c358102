package cases

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Setup is what a Node is made of.
type Setup struct {
	Dir      string // an empty directory for the node's data
	CacheDir string // for compiled modules, may be shared
	Config   *project.Config
	Manifest *hooks.Manifest
	Modules  map[string][]byte
	Host     hooks.Options
}

// Node is a server in this process with one project and its bundle. It serves one Run at a time.
type Node struct {
	server  *runtime.Server
	project *project.Project
	keys    map[string]auth.Secret // by caller
	clock   *clock
	journal *journal
	client  *http.Client
	stop    func() error

	seeded *File // whose documents are in stored
	stored map[place][]byte
	tokens map[string]auth.Secret // of the users of seeded who have been logged in
	hashes map[string]string      // of passwords, since each takes its time
}

// clock stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Open starts the node, declares the project and deploys the bundle. A bundle that is refused is a *project.BundleError.
// Pages of other origins are let in: which they are says nothing about the bundle.
func Open(ctx context.Context, s Setup) (_ *Node, err error) {
	n := &Node{clock: &clock{now: defaultNow}, journal: newJournal(), hashes: map[string]string{}, client: &http.Client{Timeout: time.Minute}}
	opt := runtime.Options{
		Dir: s.Dir, CacheDir: s.CacheDir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Now: n.clock.Now,
		Logger: slog.New(n.journal), AccessLog: n.journal, Host: s.Host,
		HoldMail: true, // cases write to nobody
	}
	opt.KV.MapSize = 64 << 20
	if n.server, err = runtime.Open(ctx, opt); err != nil {
		return nil, err
	}
	serving, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.server.Serve(serving) }()
	n.stop = sync.OnceValue(func() error {
		n.client.CloseIdleConnections()
		cancel()
		return errors.Join(<-served, n.server.Close())
	})
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop())
		}
	}()
	cfg := s.Config.Clone()
	cfg.AllowedDomains = []string{"*"}
	done, err := n.server.Registry().Apply(ctx, cfg, project.ApplyOptions{})
	if err != nil {
		return nil, err
	}
	n.keys = map[string]auth.Secret{callerAnonymous: done.PublishableKey, callerSecret: done.SecretKey}
	if n.project, err = n.server.Registry().Find(done.ID); err != nil {
		return nil, err
	}
	if _, err = n.server.Registry().Deploy(ctx, n.project, *s.Manifest, s.Modules); err != nil {
		return nil, err
	}
	return n, nil
}

// Close stops the node. Its directory stays.
func (n *Node) Close() error { return n.stop() }

// reset makes the documents exactly those of the file. They are stored as they are, not sent: what is there when a case begins
// is not the bundle's to judge. They must fit the schema, or no case could rest on them.
func (n *Node) reset(ctx context.Context, f *File) error {
	if n.seeded != f {
		docs, err := n.seeds(f)
		if err != nil {
			return err
		}
		n.seeded, n.stored, n.tokens = f, docs, map[string]auth.Secret{}
	}
	docs := n.stored
	n.clock.set(f.Now)
	_, err := n.project.Write(ctx, func() (*kv.Batch, error) {
		b := &kv.Batch{Time: f.Now.UnixMilli()}
		if _, err := rand.Read(b.ID[:]); err != nil {
			return nil, err
		}
		snap, err := n.project.DB.Snapshot()
		if err != nil {
			return nil, err
		}
		defer snap.Close()
		for _, c := range snap.Collections() {
			if c.Name == project.Sessions {
				continue // users stay logged in
			}
			page, err := snap.Find(ctx, c, &kv.Query{Limit: kv.MaxBatchOps / 2})
			if err != nil {
				return nil, err
			}
			for _, d := range page.Docs {
				if _, again := docs[place{c.Name, d.ID}]; !again {
					b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: c.Name, ID: d.ID})
				}
			}
		}
		for at, doc := range docs {
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: at.collection, ID: at.id, Value: doc})
		}
		return b, nil
	})
	var unique *kv.UniqueError
	if errors.As(err, &unique) {
		return f.problem(f.line(unique.Other.String()), "%s has the same %s as another document, and that field is unique", f.names.label(unique.Other.String()), strings.Join(unique.Fields, ", "))
	}
	return err
}

// place is where a document is.
type place struct {
	collection string
	id         kv.DocID
}

// seeds makes the stored form of the file's documents and accounts.
func (n *Node) seeds(f *File) (map[place][]byte, error) {
	docs := map[place][]byte{}
	cfg := n.project.State().Config
	r := &reader{}
	add := func(line int, collection, id string, body []byte) error {
		c := cfg.Collection(collection)
		if c == nil {
			return f.problem(line, "the project has no collection %q", collection)
		}
		value, err := new(jsondoc.Parser).Parse(body, jsondoc.Limits{})
		if err != nil {
			return f.problem(line, "%v", err)
		}
		key, _ := kv.ParseDocID(id)
		at := place{collection, key}
		stamp := project.Stamp{ID: id, Created: project.Timestamp(f.Now), Updated: project.Timestamp(f.Now)}
		for member, into := range map[string]*string{"createdAt": &stamp.Created, "updatedAt": &stamp.Updated} {
			if given := value.Get(member); given.Kind() == jsondoc.String {
				if date, ok := project.ParseDate(string(given.Text())); ok {
					*into = date
				}
			}
		}
		if docs[at], err = c.Conform(nil, value, nil, stamp); err != nil {
			return f.problem(line, "%s does not fit the collection %s: %v", f.names.label(id), collection, err)
		}
		return nil
	}
	for _, u := range f.users {
		line := f.line(u.id)
		if cfg.Collection(project.Users) == nil {
			if u.profile != nil && len(u.profile.Content) > 0 {
				return nil, f.problem(line, "%s has the members of an account, but the project has no collection users", u.name)
			}
			continue
		}
		body, err := n.account(r, f, &u)
		if err != nil {
			return nil, err
		}
		if err := add(line, project.Users, u.id, body); err != nil {
			return nil, err
		}
	}
	for _, d := range f.documents {
		if err := add(d.body.Line, d.collection, d.id, r.json(nil, d.body, &f.names)); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// Accounts get an address and a password unless the file gives them.
const usualPassword = "correct horse battery staple"

func (u *user) email() string {
	if u.profile != nil {
		if n := valueOf(u.profile, "email"); n != nil {
			return n.Value
		}
	}
	return u.name + "@example.com"
}

func (u *user) password() string {
	if u.profile != nil {
		if n := valueOf(u.profile, "password"); n != nil {
			return n.Value
		}
	}
	return usualPassword
}

// account is the body of a user's document. Its password is stored as a hash, as everywhere.
func (n *Node) account(r *reader, f *File, u *user) ([]byte, error) {
	hash, ok := n.hashes[u.password()]
	if !ok {
		var err error
		if hash, err = auth.NewHasher(auth.HasherOptions{}).Hash(context.Background(), u.password()); err != nil {
			return nil, f.problem(f.line(u.id), "password: %v", err)
		}
		n.hashes[u.password()] = hash
	}
	b := append([]byte(`{"email":`), jsondoc.AppendString(nil, u.email())...)
	b = append(append(b, `,"password":`...), jsondoc.AppendString(nil, hash)...)
	if u.profile != nil {
		for i := 0; i+1 < len(u.profile.Content); i += 2 {
			if name := u.profile.Content[i].Value; name != "email" && name != "password" {
				b = append(append(append(b, ','), jsondoc.AppendString(nil, name)...), ':')
				b = r.json(b, u.profile.Content[i+1], &f.names)
			}
		}
	}
	return append(b, '}'), nil
}

// token logs a user in, once for a file, so that the bundle has its say about the claims in the token. In a project without accounts
// it is signed as the log-in would.
func (n *Node) token(ctx context.Context, f *File, name string) (auth.Secret, error) {
	if token, ok := n.tokens[name]; ok {
		return token, nil
	}
	u := f.user(name)
	state := n.project.State()
	if !state.Config.Auth.Enabled || state.Config.Collection(project.Users) == nil {
		return state.Tokens.Issue(auth.Claims{UserID: u.id}, f.Now)
	}
	body, err := json.Marshal(map[string]string{"email": u.email(), "password": u.password()})
	if err != nil {
		return "", err
	}
	a, err := n.send(ctx, http.MethodPost, "/api/userAuth/login", body, n.keys[callerAnonymous], "")
	if err != nil {
		return "", err
	}
	var answer struct{ AccessToken, Reason, Message string }
	if err := json.Unmarshal(a.body, &answer); err != nil || answer.AccessToken == "" {
		return "", f.problem(f.line(u.id), "%s cannot log in: %d %s %s", name, a.status, answer.Reason, answer.Message)
	}
	n.tokens[name] = auth.Secret(answer.AccessToken)
	return n.tokens[name], nil
}

// answer is what the node said.
type answer struct {
	status    int
	body      []byte
	requestID string
	took      time.Duration
}

// ask sends the request of a case.
func (n *Node) ask(ctx context.Context, f *File, c *Case) (*answer, error) {
	method, path := c.request()
	var body []byte
	if c.body != nil {
		body = new(reader).json(nil, c.body, &f.names)
	}
	key, ok := n.keys[c.as]
	if ok {
		return n.send(ctx, method, path, body, key, "")
	}
	token, err := n.token(ctx, f, c.as)
	if err != nil {
		return nil, err
	}
	return n.send(ctx, method, path, body, n.keys[callerAnonymous], token)
}

// send asks the node; an empty token logs nobody in.
func (n *Node) send(ctx context.Context, method, path string, body []byte, key, token auth.Secret) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, n.server.PublicURL()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("x-api-key", key.Reveal())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	begun := time.Now()
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return &answer{status: resp.StatusCode, body: raw, requestID: resp.Header.Get("X-Request-Id"), took: time.Since(begun)}, err
}

// request is the HTTP request that a case stands for.
func (c *Case) request() (method, path string) {
	at := "/api/data/" + c.what.collection
	switch c.what.verb {
	case "insert":
		return http.MethodPost, at
	case "update":
		return http.MethodPut, at + "/" + c.what.id
	case "delete":
		return http.MethodDelete, at + "/" + c.what.id
	case "get":
		return http.MethodGet, at + "/" + c.what.id
	case "list":
		if c.query != "" {
			at += "?" + c.query
		}
		return http.MethodGet, at
	}
	return c.what.method, c.what.path
}

// journal keeps what the node logs, by request.
type journal struct {
	mu    sync.Mutex
	lines map[string][]string // request id → lines for people
	fuel  map[string]uint64
	part  []byte // of a line of the access log
}

func newJournal() *journal { return &journal{lines: map[string][]string{}, fuel: map[string]uint64{}} }

// Enabled, Handle, WithAttrs and WithGroup make the journal the node's logger.
func (j *journal) Enabled(context.Context, slog.Level) bool { return true }

func (j *journal) Handle(_ context.Context, rec slog.Record) error {
	var id, line, module, cause string
	rec.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "request_id":
			id = a.Value.String()
		case "line":
			line = a.Value.String()
		case "module":
			module = a.Value.String()
		case "error":
			cause = a.Value.String()
		}
		return true
	})
	text := ""
	switch {
	case line != "":
		text = fmt.Sprintf("%s logs %s: %s", module, strings.ToLower(rec.Level.String()), line)
	case cause != "":
		text = rec.Message + ": " + cause
	}
	if id != "" && text != "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines[id] = append(j.lines[id], text)
	}
	return nil
}

func (j *journal) WithAttrs([]slog.Attr) slog.Handler { return j }
func (j *journal) WithGroup(string) slog.Handler      { return j }

// Write takes lines of the access log, which say what guests spent.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.part = append(j.part, p...)
	for {
		line, rest, whole := bytes.Cut(j.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		var entry struct {
			RequestID string `json:"request_id"`
			Fuel      uint64 `json:"fuel"`
		}
		if err := json.Unmarshal(line, &entry); err == nil {
			j.fuel[entry.RequestID] = entry.Fuel
		}
		j.part = rest
	}
}

// of returns what was logged about a request.
func (j *journal) of(id string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[id]
}

// spent returns a request's fuel. The access log gathers its lines, so it is complete once the node is closed.
func (j *journal) spent(id string) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fuel[id]
}
