package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDeployIsHotAndAtomic deploys two bundles in turn, as fast as the command line can but at most every 100 ms, while clients
// write. No request may fail, and none may see half of a bundle: the strict one has a hook that makes slugs and a policy that
// refuses high prices, the lenient one neither. A dear post that is stored with a slug met the hook of one and the policy
// of the other.
func TestDeployIsHotAndAtomic(t *testing.T) {
	const span, pause, clients = 5 * time.Second, 100 * time.Millisecond, 4
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	module, err := os.ReadFile("../demo/demo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(bindings string) string {
		t.Helper()
		dir := t.TempDir()
		for name, content := range map[string][]byte{"demo.wasm": module, "sluice.hooks.yaml": []byte("modules:\n  - {name: posts, file: demo.wasm}\nbindings:\n" + bindings)} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	bundles := []string{
		bundle("  - {module: posts, event: policy, operations: [insert], collections: [posts]}\n  - {module: posts, event: beforeInsert, collections: [posts]}\n"),
		bundle("  - {module: posts, event: beforeDelete, collections: [posts]}\n"),
	}
	deploy := func(i int) error {
		_, stderr, code := sluice(t, "bundle", "deploy", bundles[i%2], "--project", "blog", "--dir", n.Dir)
		if code != 0 {
			return fmt.Errorf("deploy %d: exit %d: %s", i, code, stderr)
		}
		return nil
	}
	if err := deploy(0); err != nil { // compiled once: what follows is about swapping
		t.Fatal(err)
	}
	token, _ := signUp(t, n.URL, k.PublishableKey, "ada@example.com")

	var (
		wg                     sync.WaitGroup
		stop                   = make(chan struct{})
		requests               atomic.Int64
		strict, lenient, slugs atomic.Int64
	)
	for client := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				dear := (i+client)%2 == 0
				path, body := "/api/data/posts", fmt.Appendf(nil, `{"title":"Post %d","price":50}`, i)
				if dear { // many at once: all meet the hook first, then all the policy, and a swap has time to come between
					path += "/bulk"
					body = append([]byte{'['}, bytes.Repeat([]byte(`{"title":"Dear","price":500},`), 50)...)
					body[len(body)-1] = ']'
				}
				a, err := trySend("POST", n.URL+path, body, "x-api-key", k.PublishableKey, "Authorization", "Bearer "+token)
				if err != nil {
					t.Error(err)
					return
				}
				requests.Add(1)
				slug := strings.Contains(string(a.body), `"slug"`)
				switch {
				case !dear && a.status == 201 && slug:
					slugs.Add(1)
				case !dear && a.status == 201:
				case dear && a.status == 403 && strings.Contains(string(a.body), "policy.posts.price_too_high"):
					strict.Add(1)
				case dear && a.status == 201: // whether they have slugs is looked at in the end
					lenient.Add(1)
				default:
					t.Errorf("dear: %v: %d %.300s", dear, a.status, a.body)
					return
				}
			}
		})
	}
	deploys, tick := 0, time.NewTicker(pause)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < span || deploys < 10; deploys++ {
		if err := deploy(deploys + 1); err != nil {
			t.Error(err)
			break
		}
		<-tick.C
	}
	close(stop)
	wg.Wait()
	t.Logf("%d deploys in the midst of %d requests; of the dear posts %d met the strict bundle, %d the lenient one", deploys, requests.Load(), strict.Load(), lenient.Load())
	if a := send(t, "GET", n.URL+"/api/data/posts?price=500&slug_exists=true&count=true", nil, "x-api-key", k.PublishableKey); !strings.Contains(string(a.body), `"count":0}`) {
		t.Errorf("dear posts with slugs met half of each bundle: %s", a.body)
	}
	if strict.Load() == 0 || lenient.Load() == 0 || slugs.Load() == 0 {
		t.Error("the clients did not meet both bundles")
	}
}
