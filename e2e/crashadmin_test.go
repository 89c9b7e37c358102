package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const adminCrashRounds = 8

// operator speaks to the admin API of a node that may die at any moment.
type operator struct {
	n     *node
	token string
}

func newOperator(t *testing.T, n *node) *operator {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.Dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return &operator{n, "Bearer " + strings.TrimSpace(string(token))}
}

func (o *operator) create(name string) (*keys, error) {
	body := fmt.Appendf(nil, `{"name":%q,"collections":[{"name":"posts","fields":[{"key":"title","type":"String","required":true},{"key":"price","type":"Number"}]}]}`, name)
	a, err := trySend("PUT", o.n.AdminURL+"/admin/v1/projects", body, "Authorization", o.token)
	if err != nil {
		return nil, err
	}
	if a.status/100 != 2 {
		return nil, &refusal{fmt.Sprintf("create %s: %d %s", name, a.status, a.body)}
	}
	k := &keys{}
	return k, json.Unmarshal(a.body, k)
}

// deploy deploys the demo's bundle, which gives each post a slug.
func (o *operator) deploy(id string, module []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := form.WriteField("manifest", `{"modules":[{"name":"posts","file":"demo.wasm"}],"bindings":[{"module":"posts","event":"beforeInsert","collections":["posts"]}]}`)
	if err != nil {
		return err
	}
	part, err := form.CreateFormFile("module", "demo.wasm")
	if err != nil {
		return err
	}
	if _, err := part.Write(module); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	a, err := trySend("POST", o.n.AdminURL+"/admin/v1/projects/"+id+"/bundles", body.Bytes(), "Authorization", o.token, "Content-Type", form.FormDataContentType())
	if err == nil && a.status/100 != 2 {
		err = &refusal{fmt.Sprintf("deploy: %d %s", a.status, a.body)}
	}
	return err
}

// refusal is an answer of a node that was alive.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// TestKillWhileProjectsAreMade kills the node while projects are created and bundles deployed. Afterwards the node must start,
// every acknowledged project must open with its keys, and every acknowledged bundle must be asked.
func TestKillWhileProjectsAreMade(t *testing.T) {
	module, err := os.ReadFile("../demo/demo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	type made struct {
		keys
		name     string
		deployed bool
	}
	var projects []made
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	// The first deployment compiles the module; those that follow find it compiled, and are quick enough to be interrupted
	// at every step.
	first, err := newOperator(t, n).create("first")
	if err != nil {
		t.Fatal(err)
	}
	if err := newOperator(t, n).deploy(first.ID, module); err != nil {
		t.Fatal(err)
	}
	projects = append(projects, made{keys: *first, name: "first", deployed: true})
	for round := range adminCrashRounds {
		done := make(chan []made)
		o := newOperator(t, n)
		var last error
		go func() {
			var mine []made
			for i := 0; ; i++ {
				name := fmt.Sprintf("p%d-%d", round, i)
				k, err := o.create(name)
				if last = err; err != nil {
					break
				}
				p := made{keys: *k, name: name}
				if i%2 == 0 {
					err = o.deploy(k.ID, module)
					p.deployed = err == nil
				}
				mine = append(mine, p)
				if last = err; err != nil {
					break
				}
			}
			done <- mine
		}()
		time.Sleep(time.Duration(20+random.IntN(400)) * time.Millisecond)
		_ = n.kill()
		projects = append(projects, <-done...)
		if refused := (*refusal)(nil); errors.As(last, &refused) {
			t.Fatalf("round %d: %v", round, refused)
		}
		n = startNode(t, "--dir", dir)
		for _, p := range projects {
			a, err := trySend("POST", n.URL+"/api/data/posts", []byte(`{"title":"Still here"}`), "x-api-key", p.SecretKey)
			if err != nil || a.status != 201 {
				t.Fatalf("round %d: project %s, acknowledged, does not work: %v, %+v", round, p.name, err, a)
			}
			if p.deployed && !strings.Contains(string(a.body), `"slug":"still-here"`) {
				t.Fatalf("round %d: the bundle of %s, acknowledged, is not asked: %s", round, p.name, a.body)
			}
		}
		// What was cut off can be done again under the same name.
		if _, err := newOperator(t, n).create(fmt.Sprintf("p%d-%d", round, 0)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	deployed := 0
	for _, p := range projects {
		if p.deployed {
			deployed++
		}
	}
	t.Logf("%d kills, %d projects made, %d bundles deployed", adminCrashRounds, len(projects), deployed)
	if deployed < 2 {
		t.Error("no bundle was deployed under fire: this tested nothing")
	}
}
