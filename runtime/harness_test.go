package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/project"
)

// node is a real server over real HTTP on a temporary directory, with one project.
type node struct {
	t      testing.TB
	server *runtime.Server
	url    string
	pk, sk string
	dir    string
	stop   func() // ends the server; may be called twice
}

// restart ends the server and starts another one on the same directory.
func (n *node) restart(change ...func(*runtime.Options)) {
	n.t.Helper()
	n.stop()
	n.open(change...)
}

// blog is the project that most tests use.
const blog = `
name: blog
auth: {enabled: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
      - {key: username, type: String}
      - {key: name, type: String}
      - {key: role, type: String}
      - {key: emailVerified, type: Boolean}
  - name: posts
    fields:
      - {key: title, type: String, required: true}
      - {key: price, type: Number}
      - {key: draft, type: Boolean}
      - {key: due, type: Date}
      - {key: tags, type: Array, items: {type: String}}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}]}
      - {key: author, type: Ref, ref: users}
      - {key: slug, type: String, unique: true}
      - {key: userId, type: String}
    rls: {enabled: true, mode: public-read, ownerField: userId}
  - name: notes
    fields:
      - {key: text, type: String}
      - {key: userId, type: String}
    rls: {enabled: true, mode: private}
  - name: open
    fields: []
`

// start opens a node and applies a project file. change may adjust the options.
func start(t testing.TB, file string, change ...func(*runtime.Options)) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir()}
	n.open(change...)
	done := n.apply(file)
	n.pk, n.sk = done.PublishableKey.Reveal(), done.SecretKey.Reveal()
	return n
}

// open starts the server on the node's directory; the test's end stops it.
func (n *node) open(change ...func(*runtime.Options)) {
	n.t.Helper()
	opt := runtime.Options{Dir: n.dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	opt.KV.MapSize = 64 << 20
	for _, c := range change {
		c(&opt)
	}
	server, err := runtime.Open(context.Background(), opt)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, measured := n.t.(*testing.B); !measured {
		server.HashCheaply()
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	n.stop = sync.OnceFunc(func() {
		stop()
		if err := <-served; err != nil {
			n.t.Errorf("serve: %v", err)
		}
		if err := server.Close(); err != nil {
			n.t.Errorf("close: %v", err)
		}
	})
	n.t.Cleanup(n.stop)
	n.server, n.url = server, server.PublicURL()
}

func (n *node) apply(file string) *project.Applied {
	n.t.Helper()
	cfg, err := project.ParseFile("sluice.yaml", []byte(file))
	if err != nil {
		n.t.Fatal(err)
	}
	done, err := n.server.Registry().Apply(context.Background(), cfg, project.ApplyOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	return done
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// field reads a member of the answer's JSON by a dotted path, as text.
func (a *answer) field(path string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "not JSON: " + a.body
	}
	for part := range strings.SplitSeq(path, ".") {
		switch t := v.(type) {
		case map[string]any:
			v = t[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(t) {
				return ""
			}
			v = t[i]
		default:
			return ""
		}
	}
	if s, ok := v.(string); ok {
		return s
	}
	raw, _ := json.Marshal(v)
	return string(raw)
}

// send sends one request. Headers come as name, value, name, value.
func (n *node) send(method, path, body string, headers ...string) *answer {
	n.t.Helper()
	return n.sendTo(n.url, method, path, body, headers...)
}

// sendTo sends one request to a listener.
func (n *node) sendTo(base, method, path, body string, headers ...string) *answer {
	n.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, base, reader)
	if err != nil {
		n.t.Fatal(err)
	}
	req.URL.Opaque = path // as it stands: a client in the wild does not tidy its paths
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return &answer{res.StatusCode, res.Header, string(raw)}
}

// as returns the headers of a caller: a key and, if there is one, a user's token.
func (n *node) as(key, token string) []string {
	h := []string{"x-api-key", key}
	if token != "" {
		h = append(h, "Authorization", "Bearer "+token)
	}
	return h
}

// user signs a new user up and returns its access token and id.
func (n *node) user(email string) (token, id string) {
	n.t.Helper()
	a := n.send("POST", "/api/userAuth/signup", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email), n.as(n.pk, "")...)
	if a.status != http.StatusCreated {
		n.t.Fatalf("sign up %s: %d %s", email, a.status, a.body)
	}
	return a.field("accessToken"), a.field("userId")
}

// want fails the test unless the answer has that status, and says so with the body.
func (a *answer) want(t testing.TB, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}
