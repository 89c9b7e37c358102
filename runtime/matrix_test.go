package runtime

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// testNode is a server without listeners in use: requests are put into its handler, by one goroutine, and documents into
// its files, past every rule.
type testNode struct {
	t       testing.TB
	server  *Server
	handler fasthttp.RequestHandler
	ctx     fasthttp.RequestCtx
}

func newTestNode(t testing.TB) *testNode {
	t.Helper()
	opt := Options{Dir: memoryDir(t), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), AccessLog: io.Discard}
	opt.HoldMail = true // what a test compares is not changed behind its back
	opt.KV.MapSize = 64 << 20
	s, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testNode{t: t, server: s, handler: s.publicHandler()}
}

// memoryDir is a temporary directory, in memory where the system offers it: thousands of small commits are made, and
// these tests are about rules, not about discs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "sluice")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// tenant is a project on a testNode.
type tenant struct {
	*project.Project
	node   *testNode
	pk, sk string
}

func (n *testNode) apply(file string) *tenant {
	n.t.Helper()
	cfg, err := project.ParseFile("sluice.yaml", []byte(file))
	if err != nil {
		n.t.Fatal(err)
	}
	done, err := n.server.registry.Apply(context.Background(), cfg, project.ApplyOptions{})
	if err != nil {
		n.t.Fatal(err)
	}
	p, err := n.server.registry.Find(done.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	return &tenant{p, n, done.PublishableKey.Reveal(), done.SecretKey.Reveal()}
}

// do puts one request through the handler. The answer is borrowed until the next.
func (n *testNode) do(method, path, body string, headers ...string) (status int, answer []byte) {
	n.ctx.Request.Reset()
	n.ctx.Response.Reset()
	n.ctx.Request.Header.SetMethod(method)
	n.ctx.Request.SetRequestURI("http://node.example" + path)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] != "" {
			n.ctx.Request.Header.Set(headers[i], headers[i+1])
		}
	}
	if body != "" {
		n.ctx.Request.Header.SetContentType("application/json")
		n.ctx.Request.SetBodyString(body)
	}
	n.handler(&n.ctx)
	return n.ctx.Response.StatusCode(), n.ctx.Response.Body()
}

// stock is a document that a test puts in place: canonical JSON that begins with its _id. No JSON: it goes.
type stock struct{ collection, id, json string }

// put writes documents in one commit.
func (p *tenant) put(list ...stock) {
	p.node.t.Helper()
	b := &kv.Batch{Time: time.Now().UnixMilli()}
	if _, err := rand.Read(b.ID[:]); err != nil {
		p.node.t.Fatal(err)
	}
	for _, s := range list {
		id, ok := kv.ParseDocID(s.id)
		if !ok {
			p.node.t.Fatalf("id %q", s.id)
		}
		op := kv.Op{Kind: kv.OpPut, Collection: s.collection, ID: id, Value: []byte(s.json)}
		if s.json == "" {
			op.Kind = kv.OpDelete
		}
		b.Ops = append(b.Ops, op)
	}
	if _, err := p.DB.Commit(context.Background(), b); err != nil {
		p.node.t.Fatal(err)
	}
}

// stored returns a copy of a document's bytes, nil when there is none.
func (p *tenant) stored(collection, id string) []byte {
	p.node.t.Helper()
	snap, err := p.DB.Snapshot()
	if err != nil {
		p.node.t.Fatal(err)
	}
	defer snap.Close()
	c, ok := snap.Collection(collection)
	docID, sound := kv.ParseDocID(id)
	if !ok || !sound {
		p.node.t.Fatalf("no collection %q or bad id %q", collection, id)
	}
	doc, err := snap.Get(c, docID)
	if err != nil {
		return nil
	}
	return bytes.Clone(doc.JSON)
}

// state names everything that a project's file holds: its last commit and the hash over all commits.
func (p *tenant) state() (s [40]byte) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		p.node.t.Fatal(err)
	}
	defer snap.Close()
	h := snap.History()
	copy(s[:], fmt.Appendf(nil, "%08x", snap.Commit()))
	copy(s[8:], h[:])
	return s
}

// signup makes an account and returns its id, access token and refresh token.
func (p *tenant) signup(email string) (id, access, refresh string) {
	p.node.t.Helper()
	status, body := p.node.do("POST", "/api/userAuth/signup", fmt.Sprintf(`{"email":%q,"password":%q}`, email, testPassword),
		"x-api-key", p.pk, "x-refresh-token-mode", "header")
	var a struct{ UserID, AccessToken, RefreshToken string }
	if err := json.Unmarshal(body, &a); err != nil || status != 201 || a.RefreshToken == "" {
		p.node.t.Fatalf("sign up: %d %s %v", status, body, err)
	}
	return a.UserID, a.AccessToken, a.RefreshToken
}

const testPassword = "correct horse battery"

// matrix is the stage on which the cells are played.
type matrix struct {
	*testNode
	a, b    *tenant
	ids     map[string]string // user name → id
	token   map[string][]string
	key     map[string][]string
	secrets [][]byte
	stolen  map[string]string // collection + document → cursor that alice was given
	cells   int

	collections []cell // one for each set of rules; the other axes are empty
	state       [2][40]byte
	failures    map[string]int
	fresh       int
}

// collectionOf names the collection that has the cell's rules.
func collectionOf(c cell) string {
	return strings.ReplaceAll(c.mode+"-"+c.ownerField+"-"+c.policy, " ", "_")
}

// docID is the id of a document of that kind in a collection, the same in both projects.
func docID(collection int, kind string) string {
	if kind == "malformed" {
		return "64a00000000000000000000" // a digit short
	}
	kinds := []string{"own", "other's", "unowned", "null", "shared", "missing", "lo alice", "hi alice", "lo bob", "hi bob"}
	return fmt.Sprintf("64a0000000000000%04x%04x", collection, slices.Index(kinds, kind)+1)
}

// matrixProject declares the collections, and `links`, which refers to all of them.
func (m *matrix) project(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nauth: {enabled: true}\ncollections:\n", name)
	b.WriteString("  - name: users\n    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]\n")
	links := "  - name: links\n    rls: {enabled: true, mode: public-read}\n    fields:\n"
	for i, c := range m.collections {
		fmt.Fprintf(&b, "  - name: %s\n    fields: [{key: text, type: String}, {key: userId, type: String}, {key: rank, type: Number}]\n", collectionOf(c))
		if c.mode != "off" {
			fmt.Fprintf(&b, "    rls: {enabled: true, mode: %s, ownerField: %s}\n", c.mode, c.ownerField)
		}
		links += fmt.Sprintf("      - {key: to%d, type: Ref, ref: %s}\n", i, collectionOf(c))
	}
	return b.String() + links
}

// The guests of the matrix: one for each verdict, small enough to be compiled in no time. What a guest that reads its event
// can do is the business of TestGuests.
var guests = map[string][]byte{
	"allow.wasm": hooktest.Guest{Policy: []byte{0x42, 1}, Hook: []byte{0x42, 1}}.Wasm(), // i64.const 1: yes, as it stands
	"deny.wasm":  hooktest.Guest{}.Wasm(),
	"trap.wasm":  hooktest.Guest{Policy: []byte{0x00}}.Wasm(), // unreachable

	"read allow.wasm":  hooktest.Guest{Policy: []byte{0x42, 1}}.Wasm(),
	"read deny.wasm":   hooktest.Guest{}.Wasm(),
	"read trap.wasm":   hooktest.Guest{Policy: []byte{0x00}}.Wasm(),
	"filter all.wasm":  filterGuest(`{"where":{"text":{"exists":true}}}`),
	"filter none.wasm": filterGuest(`{"any":[{"text":"nothing"},{"rank":{"gt":5}}]}`),
}

// filterGuest is a filter that always says the same.
func filterGuest(predicate string) []byte {
	return hooktest.Guest{Data: predicate, Policy: hooktest.I64Const(hooktest.DataAt<<32 | int64(len(predicate)))}.Wasm()
}

// manifest asks each guest about the writes to its collections, and a write hook before them.
func (m *matrix) manifest() hooks.Manifest {
	var man hooks.Manifest
	var guarded []string
	for _, policy := range policies[1:] {
		man.Modules = append(man.Modules, hooks.Module{Name: policy, File: policy + ".wasm"})
		b := hooks.Binding{Module: policy, Event: hooks.EventPolicy}
		for _, c := range m.collections {
			if c.policy == policy {
				b.Collections = append(b.Collections, collectionOf(c))
			}
		}
		man.Bindings = append(man.Bindings, b)
		guarded = append(guarded, b.Collections...)
	}
	for _, policy := range readers {
		man.Modules = append(man.Modules, hooks.Module{Name: policy, File: policy + ".wasm"})
		b := hooks.Binding{Module: policy, Event: hooks.EventPolicy, Operations: []string{"read"}}
		if strings.HasPrefix(policy, "filter") {
			b = hooks.Binding{Module: policy, Event: hooks.EventFilter}
		}
		for _, c := range m.collections {
			if c.policy == policy {
				b.Collections = append(b.Collections, collectionOf(c))
			}
		}
		man.Bindings = append(man.Bindings, b)
	}
	for _, event := range []string{hooks.EventBeforeInsert, hooks.EventBeforeUpdate, hooks.EventBeforeDelete} {
		man.Bindings = append(man.Bindings, hooks.Binding{Module: "allow", Event: event, Collections: guarded})
	}
	return man
}

// newMatrix sets the stage for the cells with one owner field.
func newMatrix(t *testing.T, ownerField string) *matrix {
	n := newTestNode(t)
	m := &matrix{testNode: n, ids: map[string]string{"mallory": "64c000000000000000000001"}, stolen: map[string]string{}, failures: map[string]int{}}
	for _, mode := range modes {
		for _, policy := range policies {
			m.collections = append(m.collections, cell{mode: mode, ownerField: ownerField, policy: policy})
		}
	}
	for _, policy := range readers {
		m.collections = append(m.collections, cell{mode: "custom", ownerField: ownerField, policy: policy})
	}
	m.collections = append(m.collections, cell{mode: "private", ownerField: ownerField, policy: "filter all"}, cell{mode: "private", ownerField: ownerField, policy: "filter none"},
		cell{mode: "private", ownerField: ownerField, policy: "read trap"}, cell{mode: "public-read", ownerField: ownerField, policy: "read deny"})
	m.a, m.b = n.apply(m.project("a")), n.apply(m.project("b"))
	var access, refresh [3]string
	m.ids["alice"], access[0], refresh[0] = m.a.signup("alice@example.com")
	m.ids["bob"], access[1], refresh[1] = m.a.signup("bob@example.com")
	m.ids["dave"], access[2], refresh[2] = m.b.signup("dave@example.com")
	past, err := m.a.State().Tokens.Issue(auth.Claims{UserID: m.ids["alice"]}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(access[0], ".")
	payload, signature, _ := strings.Cut(tail, ".")
	_, bobs, _ := strings.Cut(access[1], ".")
	bobs, _, _ = strings.Cut(bobs, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	m.token = map[string][]string{
		"none": {""}, "expired": {"Bearer " + past.Reveal()}, "refresh": {"Bearer " + refresh[0]},
		"owner": {"Bearer " + access[0]}, "other user": {"bearer " + access[1]}, "user of B": {"Bearer " + access[2]},
		"garbage": {"Bearer garbage", "Bearer " + head + "." + bobs + "." + signature, "Bearer " + none + "." + payload + ".", access[0],
			"Basic " + access[0], "Bearer", "Bearer " + access[0] + " " + access[0], "Bearer " + m.a.sk},
	}
	m.key = map[string][]string{
		"none": {""}, "pk": {m.a.pk}, "sk": {m.a.sk}, "pk of B": {m.b.pk}, "sk of B": {m.b.sk},
		"bad": {"pk_live_nope", "pk_live_" + strings.Repeat("A", 43), "sk_live_" + m.a.pk[8:], "pk_live_" + m.a.sk[8:], access[0], m.a.pk + "x"},
	}
	for _, secret := range []string{m.a.sk, m.b.sk, m.a.pk, m.b.pk, refresh[0], refresh[1], refresh[2], access[0], access[1], access[2],
		testPassword, "$argon2", "@example.com", n.server.adminToken.Reveal(), n.server.opt.Dir} {
		m.secrets = append(m.secrets, []byte(secret))
	}
	m.stock()
	for _, p := range []*tenant{m.a, m.b} {
		if _, err := n.server.registry.Deploy(context.Background(), p.Project, m.manifest(), guests); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// ownerJSON is what the owner field of a document of that kind holds, "" for a field that is not there.
func (m *matrix) ownerJSON(kind string, inB bool) string {
	switch kind {
	case "null":
		return "null"
	case "shared":
		return fmt.Sprintf(`[%q,%q,%q]`, m.ids["alice"], m.ids["bob"], m.ids["dave"])
	case "unowned":
		return ""
	case "malformed":
		return "5"
	}
	if _, who, pivot := strings.Cut(kind, " "); pivot && who == "bob" {
		kind = "other's"
	} else if pivot {
		kind = "own"
	}
	return `"` + m.ids[ownerOf(kind, inB)] + `"`
}

// member is the owner field as a member of an object with others before it, and a decoy: the field that would be the
// owner under the other rules, which says somebody else.
func (m *matrix) member(field, owner string) string {
	text := ""
	if owner != "" {
		text = `,"` + field + `":` + owner
	}
	decoy := map[string]string{"userId": "author", "author": "userId"}[field]
	return text + `,"` + decoy + `":"` + m.ids["mallory"] + `"`
}

// stock fills the collections of both projects and lets alice make the cursors that others will steal.
func (m *matrix) stock() {
	for _, p := range []*tenant{m.a, m.b} {
		var list []stock
		for i, c := range m.collections {
			for _, kind := range []string{"own", "other's", "unowned", "null", "shared", "lo alice", "hi alice", "lo bob", "hi bob"} {
				rank := 1
				if strings.HasPrefix(kind, "lo") {
					rank = 0
				} else if strings.HasPrefix(kind, "hi") {
					rank = 2
				}
				id := docID(i, kind)
				list = append(list, stock{collectionOf(c), id, fmt.Sprintf(`{"_id":"%s","text":"%s","rank":%d%s,"createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}`,
					id, m.canary(p, i, kind), rank, m.member(c.ownerField, m.ownerJSON(kind, p == m.b)))})
			}
			for _, kind := range docs {
				id := linkID(i, kind)
				list = append(list, stock{"links", id, fmt.Sprintf(`{"_id":"%s","to%d":"%s","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.000Z"}`, id, i, docID(i, kind))})
			}
		}
		p.put(list...)
	}
	for i, c := range m.collections {
		for _, kind := range docs {
			name := collectionOf(c)
			m.stolen[name+kind] = m.nextCursor(name, cursorQuery(i, kind, "alice"), m.a.pk, m.token["owner"][0])
			if m.stolen[name+kind] == "" && kind != "malformed" && c.mode != "custom" && !c.bindsReads() {
				m.t.Fatalf("alice is given no cursor in %s", name)
			}
		}
	}
}

func linkID(collection int, kind string) string {
	if kind == "malformed" {
		return fmt.Sprintf("64b0000000000000%04xffff", collection)
	}
	return strings.Replace(docID(collection, kind), "64a", "64b", 1)
}

// canary is a text that is in one document only.
func (m *matrix) canary(p *tenant, collection int, kind string) string {
	where := "a"
	if p == m.b {
		where = "b"
	}
	return fmt.Sprintf("canary-%s-%d-%s.", where, collection, strings.ReplaceAll(strings.ReplaceAll(kind, " ", "-"), "'", ""))
}

// cursorQuery lists the document between two of one user's: the first page of one shows the first of them.
func cursorQuery(collection int, kind, user string) string {
	return fmt.Sprintf("?_id_in=%s,%s,%s&sort=rank&limit=1", docID(collection, "lo "+user), docID(collection, kind), docID(collection, "hi "+user))
}

// nextCursor asks for a page and returns its nextCursor, "" if it has none.
func (m *matrix) nextCursor(collection, query, key, token string) string {
	_, body := m.do("GET", "/api/data/"+collection+query, "", "x-api-key", key, "Authorization", token)
	next, _ := jsondoc.Lookup(body, "data.nextCursor")
	return string(jsondoc.Unquote(nil, next))
}

// TestAuthorizationMatrix plays every combination of credential, token, access mode, owner field, operation, document and
// policy, and holds the answer and what is stored to the oracle's verdict.
func TestAuthorizationMatrix(t *testing.T) {
	for _, field := range ownerFields { // a node for each half, so that both cores play
		t.Run("owner field "+field, func(t *testing.T) {
			t.Parallel()
			m := newMatrix(t, field)
			began := time.Now()
			m.state = [2][40]byte{m.a.state(), m.b.state()}
			for i, c := range m.collections {
				m.playCollection(i, c)
			}
			t.Logf("%d cells in %s", m.cells, time.Since(began).Round(time.Millisecond))
			for _, kind := range slices.Sorted(maps.Keys(m.failures)) {
				t.Errorf("%d cells: %s", m.failures[kind], kind)
			}
		})
	}
}

// playCollection plays the cells of one collection.
func (m *matrix) playCollection(collection int, c cell) {
	for _, c.credential = range credentials {
		for _, c.token = range tokens {
			for _, c.op = range ops {
				for _, c.doc = range docs {
					if c.bindsReads() && c.op == "cursor" || (c.bindsReads() || c.mode == "custom") && c.op == "stolen cursor" {
						continue // nobody is given one that could be stolen; TestReadsByGuests walks the others
					}
					m.cells++
					m.play(collection, c)
				}
			}
		}
	}
}

// failed notes that a cell came out wrong. what names the defect; of each in each operation the first cell is told in full.
func (m *matrix) failed(c cell, what, format string, args ...any) {
	kind := c.op + ": " + what
	if m.failures[kind]++; m.failures[kind] == 1 {
		m.t.Errorf("%s\n\t%+v\n\t"+format, append([]any{kind, c}, args...)...)
	}
}

// play plays one cell.
func (m *matrix) play(collection int, c cell) {
	want := judge(c)
	p, at := m.a, 0
	if strings.HasSuffix(c.credential, "of B") {
		p, at = m.b, 1
	}
	keys, tokens := m.key[c.credential], m.token[c.token]
	key, token := keys[m.cells%len(keys)], tokens[m.cells%len(tokens)]
	req := m.request(collection, c, at == 1, key, token)
	before := []byte(nil)
	if want.owner != "" && req.id != "" {
		before = p.stored(collectionOf(c), req.id)
	}
	status, body := m.do(req.method, req.path, req.body, "x-api-key", key, "Authorization", token, "If-Match", req.ifMatch)

	if reason := reasonOf(body); status != want.status || want.status >= 400 && reason != want.reason && !strings.HasPrefix(reason, want.reason+".") {
		m.failed(c, fmt.Sprintf("answered %d %s instead of %d %s", status, reason, want.status, want.reason), "%s", body)
	}
	m.checkAnswer(collection, c, p, want, status, body)
	state := [2][40]byte{m.a.state(), m.b.state()}
	if want.owner == "" {
		if state != m.state {
			m.failed(c, "a refused write or a read changed a project", "%d %s", status, body)
			m.stock()
			m.state = [2][40]byte{m.a.state(), m.b.state()}
		}
		return
	}
	if state[1-at] != m.state[1-at] {
		m.failed(c, "the write changed the other project", "%s", body)
	}
	if status == want.status {
		m.checkStored(c, p, req, want, before, body)
	}
	if before != nil && (c.op == "delete" || want.owner == "as sent") {
		p.put(stock{collectionOf(c), req.id, string(before)})
	}
	m.state = [2][40]byte{m.a.state(), m.b.state()}
}

// reasonOf is the reason of an error.
func reasonOf(body []byte) string {
	raw, _ := jsondoc.Lookup(body, "reason")
	return string(jsondoc.Unquote(nil, raw))
}

// cellRequest is the request that a cell stands for.
type cellRequest struct {
	method, path, body, ifMatch string
	id                          string // of the document that it is about; an insert without one has none
	sent                        string // the owner that a write names, as JSON; "" for none
}

func (m *matrix) request(collection int, c cell, inB bool, key, token string) cellRequest {
	name, id := collectionOf(c), docID(collection, c.doc)
	base := "/api/data/" + name
	user := userOf(c.token, inB)
	pivot := "alice"
	if user == "bob" {
		pivot = "bob"
	}
	if user == "" || user == "?" {
		user = ownerOf("own", inB)
	}
	r := cellRequest{method: "GET", path: base + "/" + id, id: id}
	update := func(owner string) cellRequest {
		r.method, r.sent = "PATCH", owner
		r.body = `{"text":"` + m.textOf(c, inB, collection) + `"`
		if owner != "" {
			r.body += `,"` + c.ownerField + `":` + owner
		}
		r.body += "}"
		return r
	}
	switch c.op {
	case "insert array":
		r.method, r.path, r.body = "POST", base, `[{"text":"fresh"`+m.member(c.ownerField, m.ownerJSON(c.doc, inB))+`}]`
	case "list":
		r.path = base + "?_id=" + id
	case "count":
		r.path = base + "?count=true&_id=" + id
	case "cursor":
		query := cursorQuery(collection, c.doc, pivot)
		cursor := m.nextCursor(name, query, key, token)
		if cursor == "" { // refused: the first page cannot be had, and another's cursor must not help
			cursor = m.stolen[name+"own"]
		}
		r.path = base + query + "&cursor=" + cursor
	case "stolen cursor":
		r.path = base + cursorQuery(collection, c.doc, "alice") + "&cursor=" + m.stolen[name+c.doc]
	case "populate":
		r.path = fmt.Sprintf("/api/data/links?_id=%s&populate=to%d", linkID(collection, c.doc), collection)
	case "populate one":
		r.path = fmt.Sprintf("/api/data/links/%s?populate=to%d", linkID(collection, c.doc), collection)
	case "insert", "insert over", "insert over in another's name":
		r.method, r.path, r.id = "POST", base, ""
		chosen := ""
		switch c.op {
		case "insert":
			if r.sent = m.ownerJSON(c.doc, inB); c.doc == "missing" {
				r.sent = `""`
			}
		case "insert over in another's name":
			r.sent = `"` + m.ids["mallory"] + `"`
			fallthrough
		default:
			if r.id = id; c.doc == "missing" {
				m.fresh++
				r.id = fmt.Sprintf("64d00000000000000%07x", m.fresh)
			}
			chosen = `"_id":"` + r.id + `",`
		}
		r.body = "{" + chosen + `"text":"fresh"` + m.member(c.ownerField, r.sent) + "}"
	case "put":
		r = update("")
		r.method = "PUT"
	case "patch":
		return update("")
	case "patch stale":
		r.ifMatch = `"0"`
		return update("")
	case "steal":
		return update(`"` + m.ids[user] + `"`)
	case "give":
		return update(`"` + m.ids["mallory"] + `"`)
	case "disown":
		return update("null")
	case "delete":
		r.method = "DELETE"
	}
	return r
}

// textOf is a document's own text: an update that is allowed leaves the canary in its place.
func (m *matrix) textOf(c cell, inB bool, collection int) string {
	if inB {
		return m.canary(m.b, collection, c.doc)
	}
	return m.canary(m.a, collection, c.doc)
}

// checkAnswer holds an answer to what the caller may see.
func (m *matrix) checkAnswer(collection int, c cell, p *tenant, want verdict, status int, body []byte) {
	header := m.ctx.Response.Header.Header()
	for _, secret := range m.secrets {
		if bytes.Contains(body, secret) || bytes.Contains(header, secret) {
			m.failed(c, "the answer holds a secret", "%q in %s", secret, body)
		}
	}
	canary := m.canary(p, collection, c.doc)
	shown := want.sees && c.op != "count" || want.status == 200 && want.owner != "" && c.op != "delete"
	if got := bytes.Contains(body, []byte(canary)); got != shown {
		m.failed(c, fmt.Sprintf("the document is shown: %v instead of %v", got, shown), "%s", body)
	}
	if other := m.canaryBut(body, collection, c, p); other != "" {
		m.failed(c, "the answer shows another document", "%s in %s", other, body)
	}
	total := ""
	switch {
	case status >= 400:
		code := fmt.Sprintf(`"code":%d,`, status)
		text, _ := jsondoc.Lookup(body, "error")
		message, _ := jsondoc.Lookup(body, "message")
		if !bytes.HasPrefix(body, []byte(`{"success":false,`)) || !bytes.Contains(body, []byte(code)) || len(text) < 3 || !bytes.Equal(text, message) {
			m.failed(c, "not the envelope of an error", "%s", body)
		}
		const missing = `{"success":false,"error":"Document not found.","message":"Document not found.","code":404,"reason":"document.not_found"}`
		if status == 404 && string(body) != missing {
			m.failed(c, "a foreign document can be told from a missing one", "%s", body)
		}
	case c.op == "list" || c.op == "count":
		total = map[bool]string{true: "1", false: "0"}[want.sees]
	case c.op == "cursor" || c.op == "stolen cursor":
		total = map[bool]string{true: "3", false: "2"}[want.sees]
	case want.stands != "":
		_, rest, _ := bytes.Cut(body, fmt.Appendf(nil, `"to%d":`, collection))
		if got := map[jsondoc.Kind]string{jsondoc.Object: "document", jsondoc.String: "id", jsondoc.Null: "null"}[jsondoc.KindOf(rest)]; len(rest) == 0 || got != want.stands {
			m.failed(c, fmt.Sprintf("in the reference's place stands %q instead of %q", got, want.stands), "%s", body)
		}
	}
	if total != "" {
		got, ok := jsondoc.Lookup(body, "data.total")
		if c.op == "count" {
			got, ok = jsondoc.Lookup(body, "data.count")
		}
		if !ok || string(got) != total {
			m.failed(c, "wrong count", "%s documents, want %s: %s", got, total, body)
		}
	}
}

// canaryBut finds the canary of a document in an answer that is not about it. A page of a cursor may show the documents
// of the caller that were put around it.
func (m *matrix) canaryBut(body []byte, collection int, c cell, p *tenant) string {
	for rest := body; ; {
		i := bytes.Index(rest, []byte("canary-"))
		if i < 0 {
			return ""
		}
		rest = rest[i:]
		end := bytes.IndexByte(rest, '.')
		found := string(rest[:end+1])
		rest = rest[end:]
		switch {
		case found == m.canary(p, collection, c.doc): // judged on its own
		case c.op == "cursor" && c.token == "other user" && found == m.canary(p, collection, "hi bob"):
		case c.op == "cursor" && c.token != "other user" && found == m.canary(p, collection, "hi alice"):
		case c.op == "stolen cursor" && found == m.canary(p, collection, "hi alice"):
		default:
			return found
		}
	}
}

// checkStored holds what an accepted write stored to the verdict.
func (m *matrix) checkStored(c cell, p *tenant, req cellRequest, want verdict, before, body []byte) {
	id := req.id
	if id == "" {
		raw, _ := jsondoc.Lookup(body, "_id")
		id = string(jsondoc.Unquote(nil, raw))
	}
	now := p.stored(collectionOf(c), id)
	if c.op == "delete" {
		if now != nil || before == nil {
			m.failed(c, "the document is still there", "%s", now)
		}
		return
	}
	owner, _ := jsondoc.Lookup(now, c.ownerField)
	wanted := req.sent
	switch want.owner {
	case "as sent":
	case "as it was":
		was, _ := jsondoc.Lookup(before, c.ownerField)
		wanted = string(was)
	default:
		wanted = `"` + m.ids[want.owner] + `"`
	}
	if now == nil || string(owner) != wanted {
		m.failed(c, "the stored document has a wrong owner", "%s, want %s: %s", owner, wanted, now)
	}
	decoy := map[string]string{"userId": "author", "author": "userId"}[c.ownerField]
	if raw, _ := jsondoc.Lookup(now, decoy); string(raw) != `"`+m.ids["mallory"]+`"` {
		m.failed(c, "a field that is not the owner field was touched", "%s", now)
	}
}

// TestPopulateTellsCollectionsApart: ids are unique within a collection only, and a client may choose them, so a reference
// must become the document of its own collection even where another reference of the answer has the same id. A profile
// that bears its user's id is the usual case.
func TestPopulateTellsCollectionsApart(t *testing.T) {
	n := newTestNode(t)
	p := n.apply(`
name: namesakes
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}, {key: nick, type: String}]
  - name: profiles
    rls: {enabled: true, mode: private}
    fields: [{key: kind, type: String}]
  - name: posts
    rls: {enabled: true, mode: public-read}
    fields: [{key: kind, type: String}]
  - name: links
    rls: {enabled: true, mode: public-read}
    fields: [{key: profile, type: Ref, ref: profiles}, {key: post, type: Ref, ref: posts}, {key: by, type: Ref, ref: users}]
`)
	const id = "64a000000000000000000001"
	p.put(stock{"posts", id, `{"_id":"` + id + `","kind":"a post"}`},
		stock{"profiles", id, `{"_id":"` + id + `","kind":"a profile","userId":"64a000000000000000000002"}`},
		stock{"users", id, `{"_id":"` + id + `","email":"a@example.com","password":"x","nick":"a user"}`},
		stock{"links", id, `{"_id":"` + id + `","profile":"` + id + `","post":"` + id + `","by":"` + id + `"}`})
	const post, user = `{"_id":"` + id + `","kind":"a post"}`, `{"_id":"` + id + `","nick":"a user"}`
	const profile = `{"_id":"` + id + `","kind":"a profile","userId":"64a000000000000000000002"}`
	for _, c := range []struct{ name, key, populate, profile, post, by string }{
		{"a secret key sees each", p.sk, "profile,post,by", profile, post, user},
		{"a publishable key sees what is public", p.pk, "profile,post,by", `"` + id + `"`, post, user},
		{"one that is not asked for stays", p.pk, "by,profile", `"` + id + `"`, `"` + id + `"`, user},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, body := n.do("GET", "/api/data/links/"+id+"?populate="+c.populate, "", "x-api-key", c.key)
			want := `{"_id":"` + id + `","profile":` + c.profile + `,"post":` + c.post + `,"by":` + c.by + `}`
			if string(body) != want {
				t.Errorf("got  %s\nwant %s", body, want)
			}
		})
	}
}
