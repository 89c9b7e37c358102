package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/runtime/project"
)

const guarded = `
name: guarded
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]
  - name: pairs
    fields:
      - {key: text, type: String}
      - {key: kind, type: String, default: plain}
      - {key: needed, type: String}
      - {key: a, type: Number}
      - {key: b, type: Number}
      - {key: userId, type: String}
    rls: {enabled: true, mode: public-read}
  - name: strictly
    fields: [{key: needed, type: String, required: true}, {key: hook, type: String}, {key: userId, type: String}]
    rls: {enabled: true, mode: public-read}
`

var guestManifest = hooks.Manifest{
	Modules: []hooks.Module{{Name: "guest", File: "guest.wasm"}},
	Bindings: []hooks.Binding{
		{Module: "guest", Event: hooks.EventPolicy, Collections: []string{"pairs", "strictly"}},
		{Module: "guest", Event: hooks.EventBeforeInsert, Collections: []string{"pairs", "strictly"}},
	},
}

// guest builds the tests' guest module, once.
var guest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags", "-s -w", "-o", out, ".")
	cmd.Dir = filepath.Join("testdata", "guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w: %s", err, msg)
	}
	return os.ReadFile(out)
})

// startGuarded starts a node whose project has the tests' guest deployed.
func startGuarded(t *testing.T) *node {
	t.Helper()
	code, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, guarded)
	n.deploy(map[string][]byte{"guest.wasm": code})
	return n
}

func (n *node) deploy(modules map[string][]byte) {
	n.t.Helper()
	p, err := n.server.Registry().Find("guarded")
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.server.Registry().Deploy(context.Background(), p, guestManifest, modules); err != nil {
		n.t.Fatal(err)
	}
}

// TestGuests: what a project's own code may do to a write, and what it cannot.
func TestGuests(t *testing.T) {
	n := startGuarded(t)
	token, id := n.user("alice@example.com")
	for _, c := range []struct {
		name, collection, body string
		key                    string
		status                 int
		reason, text           string // of a refusal
		field, value           string // of what was stored
	}{
		{name: "allowed", collection: "pairs", body: `{"a":60,"b":40}`, status: 201, field: "userId", value: id},
		{name: "denied with the guest's own code and message", collection: "pairs", body: `{"a":60,"b":41}`, status: 403, reason: "policy.sum.too_high", text: "a and b may be 100 together. Lower one of them."},
		{name: "the policy judges the exact bytes that are stored", collection: "pairs", body: `{"policy":"exact","text":"  padded  "}`, status: 201, field: "text", value: "padded"},
		{name: "a trap in a policy denies", collection: "pairs", body: `{"policy":"trap"}`, status: 403, reason: "policy.error"},
		{name: "an endless policy denies", collection: "pairs", body: `{"policy":"loop"}`, status: 403, reason: "policy.error"},
		{name: "and leaves the next call alone", collection: "pairs", body: `{"a":1}`, status: 201},
		{name: "a secret key skips the policy", collection: "pairs", body: `{"a":60,"b":41}`, key: n.sk, status: 201},
		{name: "a secret key does not skip the hook", collection: "pairs", body: `{"hook":"reject"}`, key: n.sk, status: 422, reason: "hook.not.today", text: "Come back tomorrow."},
		{name: "a hook fills what the schema wants", collection: "strictly", body: `{"hook":"fill"}`, status: 201, field: "needed", value: "made by the hook"},
		{name: "the schema has the last word", collection: "strictly", body: `{}`, status: 400, reason: "schema.invalid", text: "Field 'needed' is required."},
		{name: "a hook cannot move ownership", collection: "pairs", body: `{"hook":"move"}`, status: 403, reason: "rls.owner_mismatch"},
		{name: "for a secret key it may", collection: "pairs", body: `{"hook":"move"}`, key: n.sk, status: 201, field: "userId", value: "aaaaaaaaaaaaaaaaaaaaaaaa"},
		{name: "a hook cannot change the id", collection: "pairs", body: `{"hook":"id"}`, status: 422, reason: "hook.error"},
		{name: "a hook cannot store what a client could not", collection: "pairs", body: `{"hook":"dollar"}`, status: 400, reason: "schema.invalid"},
		{name: "a trap in a hook stores nothing", collection: "pairs", body: `{"hook":"trap"}`, status: 422, reason: "hook.error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := n.as(n.pk, token)
			if c.key != "" {
				who = n.as(c.key, "")
			}
			count := func() string {
				return n.send("GET", "/api/data/"+c.collection+"?count=true", "", n.as(n.sk, "")...).field("data.count")
			}
			before := count()
			a := n.send("POST", "/api/data/"+c.collection, c.body, who...)
			if a.status != c.status || a.status >= 400 && a.field("reason") != c.reason || c.text != "" && a.field("message") != c.text || c.field != "" && a.field(c.field) != c.value {
				t.Errorf("got %d %s\nwant %+v", a.status, a.body, c)
			}
			if stored := count() != before; stored != (a.status == 201) {
				t.Errorf("status %d, but stored = %v", a.status, stored)
			}
			if strings.Contains(a.body, "goroutine") || strings.Contains(a.body, "wasm") {
				t.Errorf("the answer shows internals: %s", a.body)
			}
		})
	}
}

// TestPolicyRace: the policy allows a + b up to 100. One writer moves a, another b, each within the limit of what it has
// just seen; only if the check and the write are one step does no stored document ever break it.
func TestPolicyRace(t *testing.T) {
	const rounds = 1000
	n := startGuarded(t)
	token, _ := n.user("alice@example.com")
	doc := n.send("POST", "/api/data/pairs", `{"a":10,"b":10}`, n.as(n.pk, token)...).want(t, 201).field("_id")
	var writers sync.WaitGroup
	var allowed, denied [2]int
	for w, field := range []string{"a", "b"} {
		writers.Go(func() {
			for i := range rounds {
				value := 10
				if i%2 == 0 {
					value = 85 // allowed beside 10, not beside 85
				}
				a := n.send("PATCH", "/api/data/pairs/"+doc, fmt.Sprintf(`{%q:%d}`, field, value), n.as(n.pk, token)...)
				switch {
				case a.status == 200 && a.field("data.a") == "85" && a.field("data.b") == "85":
					t.Errorf("a document that no policy allowed was stored: %s", a.body)
					return
				case a.status == 200:
					allowed[w]++
				case a.status == 403 && a.field("reason") == "policy.sum.too_high":
					denied[w]++
				default:
					t.Errorf("%d %s", a.status, a.body)
					return
				}
			}
		})
	}
	writers.Wait()
	t.Logf("allowed %v, denied %v", allowed, denied)
	if denied[0]+denied[1] == 0 {
		t.Error("the writers never met, so nothing was tested")
	}
}

// TestBundleSurvives: a deployed bundle is live after a restart; a damaged one refuses writes instead of letting them by.
func TestBundleSurvives(t *testing.T) {
	code, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	first := &node{dir: t.TempDir()}
	t.Run("deploy", func(t *testing.T) {
		first.t = t
		first.open()
		done := first.apply(guarded)
		first.pk, first.sk = done.PublishableKey.Reveal(), done.SecretKey.Reveal()
		first.deploy(map[string][]byte{"guest.wasm": code})
		p, _ := first.server.Registry().Find("guarded")
		_, err := first.server.Registry().Deploy(context.Background(), p, guestManifest, map[string][]byte{"guest.wasm": code[:len(code)/2]})
		var refused *project.BundleError
		if !errors.As(err, &refused) {
			t.Errorf("half a module was not refused: %v", err)
		}
		token, _ := first.user("alice@example.com")
		first.send("POST", "/api/data/pairs", `{"a":101}`, first.as(first.pk, token)...).want(t, 403)
	})
	n := &node{dir: first.dir, pk: first.pk, sk: first.sk}
	t.Run("restart", func(t *testing.T) {
		n.t = t
		n.open()
		token, _ := n.user("bob@example.com")
		if a := n.send("POST", "/api/data/pairs", `{"a":101}`, n.as(n.pk, token)...).want(t, 403); a.field("reason") != "policy.sum.too_high" {
			t.Errorf("after a restart: %s", a.body)
		}
	})
	modules, err := filepath.Glob(filepath.Join(n.dir, "projects", "*", "modules", "*.wasm"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("modules on disk: %v %v", modules, err)
	}
	if err := os.WriteFile(modules[0], code[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("damaged", func(t *testing.T) {
		n.t = t
		n.open()
		token, _ := n.user("carol@example.com")
		if a := n.send("POST", "/api/data/pairs", `{"a":1}`, n.as(n.pk, token)...).want(t, 503); a.field("reason") != "bundle.unavailable" {
			t.Errorf("a damaged bundle: %s", a.body)
		}
		n.send("GET", "/api/data/pairs", "", n.as(n.pk, "")...).want(t, 200)
	})
}

// TestRollback: a policy that turned out wrong is taken back, and versions beyond the last 20 go, with their modules.
func TestRollback(t *testing.T) {
	n := start(t, guarded)
	registry := n.server.Registry()
	p, err := registry.Find("guarded")
	if err != nil {
		t.Fatal(err)
	}
	manifest := hooks.Manifest{Modules: []hooks.Module{{Name: "all", File: "all.wasm"}},
		Bindings: []hooks.Binding{{Module: "all", Event: hooks.EventPolicy, Collections: []string{"pairs"}}}}
	allow, deny := hooktest.Guest{Policy: []byte{0x42, 1}}.Wasm(), hooktest.Guest{}.Wasm() // i64.const 1; and 0
	for i, code := range [][]byte{allow, deny} {
		if d, err := registry.Deploy(t.Context(), p, manifest, map[string][]byte{"all.wasm": code}); err != nil || d.Version != i+1 {
			t.Fatalf("deploy %d: %+v %v", i, d, err)
		}
	}
	for name, binding := range map[string]hooks.Binding{
		"on reads of accounts":     {Module: "all", Event: hooks.EventPolicy, Operations: []string{"read"}, Collections: []string{"users"}},
		"on lists of accounts":     {Module: "all", Event: hooks.EventFilter, Collections: []string{"users"}},
		"on a misspelt collection": {Module: "all", Event: hooks.EventPolicy, Collections: []string{"pair"}},
		"on accounts":              {Module: "all", Event: hooks.EventBeforeInsert, Collections: []string{"users"}},
	} {
		unasked := hooks.Manifest{Modules: manifest.Modules, Bindings: []hooks.Binding{binding}}
		var refused *project.BundleError
		if _, err := registry.Deploy(t.Context(), p, unasked, map[string][]byte{"all.wasm": deny}); !errors.As(err, &refused) {
			t.Errorf("a guest %s, which would never be asked, was deployed: %v", name, err)
		}
	}
	token, _ := n.user("alice@example.com")
	n.send("POST", "/api/data/pairs", `{"a":1}`, n.as(n.pk, token)...).want(t, 403)
	if d, err := registry.Rollback(t.Context(), p, 1); err != nil || d.Version != 3 {
		t.Fatalf("rollback: %+v %v", d, err)
	}
	n.send("POST", "/api/data/pairs", `{"a":1}`, n.as(n.pk, token)...).want(t, 201)
	for range 20 {
		if _, err := registry.Deploy(t.Context(), p, manifest, map[string][]byte{"all.wasm": allow}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := p.Versions()
	if err != nil || len(list) != 20 || list[0].Version != 23 || !list[0].Live || list[19].Version != 4 || list[19].Live {
		t.Errorf("versions: %+v %v", list, err)
	}
	if _, err := registry.Rollback(t.Context(), p, 2); !errors.Is(err, project.ErrNoVersion) {
		t.Errorf("a version beyond the last 20: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(n.dir, "projects", p.ID, "modules", "*")); len(files) != 1 {
		t.Errorf("modules of forgotten versions stay: %v", files)
	}
}
