package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDeveloperSeesWhatGuestsDo deploys a guest that logs, and looks at it with every verb that shows something of a running node.
func TestDeveloperSeesWhatGuestsDo(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	dir := initialised(t, "go")
	k := applyFile(t, n, filepath.Join(dir, "sluice.yaml"))
	replaceIn(t, filepath.Join(dir, "main.go"), "	if price, ok", "	sluice.Log(sluice.Info, \"asked about \\x1b[31m\"+e.Collection)\n	if price, ok")
	ok := func(t *testing.T, args ...string) string {
		t.Helper()
		stdout, stderr, code := sluice(t, append(args, "--dir", n.Dir)...)
		if code != 0 {
			t.Fatalf("%v: exit %d: %s%s", args, code, stdout, stderr)
		}
		if strings.Contains(stdout, "\x1b") {
			t.Errorf("%v prints an escape: %q", args, stdout)
		}
		return stdout
	}
	says := func(t *testing.T, text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("does not say %q:\n%s", want, text)
			}
		}
	}
	token, user := signUp(t, n.URL, k.PublishableKey, "ada@example.com")
	insert := func(price string) *answer {
		return send(t, "POST", n.URL+"/api/data/posts", []byte(`{"title":"Hello","price":`+price+`}`), "x-api-key", k.PublishableKey, "Authorization", "Bearer "+token)
	}

	t.Run("a dry run tries the bundle and activates nothing", func(t *testing.T) {
		says(t, ok(t, "bundle", "deploy", dir, "--project", "blog", "--dry-run"), `The bundle loads, in .*it would be v1`, `self-test [0-9,]+ fuel`, `\+ collections.posts.policy.insert: \["posts"\]`, `\+ modules.posts.imports.sluice.log`)
		if out := ok(t, "bundle", "versions", "--project", "blog"); !strings.Contains(out, "no bundle") {
			t.Fatal(out)
		}
		if a := insert("500"); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if _, stderr, code := sluice(t, "bundle", "inspect", "--project", "blog", "--dir", n.Dir); code != 1 || !strings.Contains(stderr, "No such bundle version") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		says(t, ok(t, "bundle", "inspect", dir, "--project", "blog"), "has no bundle yet")
	})
	t.Run("deploy builds what is older than its sources, and says what is new", func(t *testing.T) {
		later := time.Now().Add(time.Minute)
		if err := os.Chtimes(filepath.Join(dir, "main.go"), later, later); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := sluice(t, "bundle", "deploy", dir, "--project", "blog", "--dir", n.Dir)
		if code != 0 || !strings.Contains(stderr, "built posts from go") {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		says(t, stdout, `runs bundle v1, live in [0-9.]+ m?s`, `\+ modules.posts`)
		stdout, stderr, code = sluice(t, "bundle", "deploy", dir, "--project", "blog", "--dir", n.Dir, "--no-build")
		if code != 0 || !strings.Contains(stderr, "module posts is older than its sources") {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		says(t, stdout, "runs bundle v2", "may do and are asked what they were before")
	})
	t.Run("inspect shows a module, a version, and a difference", func(t *testing.T) {
		says(t, ok(t, "bundle", "inspect", filepath.Join(dir, "posts.wasm")), `posts.wasm .*memory .*self-test [0-9,]+ fuel`, `imports +sluice: log\n +wasi_snapshot_preview1: `, `exports .*hook, policy`)
		says(t, ok(t, "bundle", "inspect", "--project", "blog"), "Bundle v2 of project blog, live")
		says(t, ok(t, "bundle", "inspect", "--project", "blog", "--version", "v1"), "Bundle v1 of project blog\n", "live bundle, v2, may do and is asked the same")
		manifest := filepath.Join(dir, "sluice.hooks.yaml")
		replaceIn(t, manifest, "operations: [insert, update]", "operations: [insert]")
		var report struct {
			Against int
			Modules []struct {
				Imports  []string
				InitFuel uint64
			}
			Changes []struct{ Op, Path string }
		}
		if err := json.Unmarshal([]byte(ok(t, "bundle", "inspect", dir, "--project", "blog", "--json")), &report); err != nil || report.Against != 2 || len(report.Modules) != 1 || report.Modules[0].InitFuel == 0 ||
			len(report.Changes) != 1 || report.Changes[0].Op != "remove" || report.Changes[0].Path != "collections.posts.policy.update" {
			t.Fatalf("%v: %+v", err, report)
		}
		replaceIn(t, manifest, "operations: [insert]", "operations: [insert, update]")
	})
	t.Run("logs and decisions are shown, and followed", func(t *testing.T) {
		follow := func(args ...string) (line func() string, stop func()) {
			cmd := exec.Command(binary, append(args, "--project", "blog", "-f", "--limit", "0", "--dir", n.Dir)...)
			cmd.Env = environment()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := make(chan string, 16)
			go func() {
				defer close(lines)
				for s := bufio.NewScanner(out); s.Scan(); {
					lines <- s.Text()
				}
			}()
			line = func() string {
				select {
				case s := <-lines:
					return s
				case <-time.After(20 * time.Second):
					t.Error("nothing came")
					return ""
				}
			}
			return line, func() {
				_ = cmd.Process.Signal(syscall.SIGINT)
				for range lines {
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("Ctrl-C: %v", err)
				}
			}
		}
		line, stopLines := follow("bundle", "logs")
		refusal, stopRefusals := follow("decisions", "--json")
		time.Sleep(time.Second) // they begin with what comes after they have begun
		if a := insert("500"); a.status != 403 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		says(t, line(), `info +posts .*asked about .\[31mposts`)
		says(t, refusal(), `"reason":"policy.posts.price_too_high"`)
		stopLines()
		stopRefusals()
		says(t, ok(t, "bundle", "logs", "--project", "blog"), `asked about`)
		says(t, ok(t, "decisions", "--project", "blog"), `403 policy.posts.price_too_high  insert posts by `+user+`  \[posts, [0-9,]+.* fuel\]  Set a price of 100 or less`)
		if out := ok(t, "decisions", "--project", "blog", "--limit", "0"); out != "" {
			t.Errorf("none were asked for: %s", out)
		}
	})
	t.Run("explain goes through every check and changes nothing", func(t *testing.T) {
		out := ok(t, "explain", "--project", "blog", "--as", user, "POST", "/api/data/posts", `{"title":"Gold","price":500}`)
		says(t, out, `(?m)^hook insert +rewrote`, `(?m)^policy insert +refused +403 policy.posts.price_too_high +posts`, `Refused: 403 policy.posts.price_too_high. Set a price of 100 or less`, `fuel in all`)
		body := filepath.Join(t.TempDir(), "body.json")
		if err := os.WriteFile(body, []byte(`{"title":"Gold","price":50}`), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, ok(t, "explain", "--project", "blog", "--as", user, "POST", "/api/data/posts", "@"+body), `Allowed: 201`, `"slug":"gold"`)
		says(t, ok(t, "explain", "--project", "blog", "post", "/api/data/posts", `{"title":"Gold"}`), `Refused: 401 token.required_for_write`)
		var x struct {
			Outcome string
			Checks  []struct{ Check, Outcome string }
		}
		if err := json.Unmarshal([]byte(ok(t, "explain", "--project", "blog", "--as", "secret", "--json", "POST", "/api/data/posts", `{"title":"Gold","price":500}`)), &x); err != nil || x.Outcome != "allowed" || len(x.Checks) < 8 {
			t.Fatalf("%v: %+v", err, x)
		}
		if a := send(t, "GET", n.URL+"/api/data/posts?title=Gold&count=true", nil, "x-api-key", k.PublishableKey); !strings.Contains(string(a.body), `"count":0`) {
			t.Fatalf("%s", a.body)
		}
	})
	t.Run("a query shows its plan", func(t *testing.T) {
		says(t, ok(t, "explain", "query", "--project", "blog", "posts?price_gt=100&sort=-price"), `scan\+sort: \d+ read, 1 returned, 1 match, [0-9.]+ ms`, `WEIGHED +KEYS`, `chosen`)
		var p struct {
			Plan     string
			Examined int
		}
		if err := json.Unmarshal([]byte(ok(t, "explain", "query", "--project", "blog", "--json", "posts")), &p); err != nil || p.Plan == "" {
			t.Fatalf("%v: %+v", err, p)
		}
		if _, stderr, code := sluice(t, "explain", "query", "--project", "blog", "--dir", n.Dir, "nope"); code != 1 || !strings.Contains(stderr, "Collection not found") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
}
