package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommandLineMistakes(t *testing.T) {
	empty := t.TempDir()
	typo := filepath.Join(empty, "typo.yaml")
	if err := os.WriteFile(typo, []byte("name: blog\ncollections:\n  - name: posts\n    feilds: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string // each must be in what is printed to standard error
	}{
		{"an unknown command is a usage error", []string{"sevre"}, 2, []string{"sevre", "--help"}},
		{"an unknown sub-command too", []string{"project", "aply"}, 2, []string{"aply"}},
		{"an unknown flag too", []string{"serve", "--port", "80"}, 2, []string{"port", "serve --help"}},
		{"apply needs a file", []string{"project", "apply"}, 2, []string{"FILE"}},
		{"apply takes one file", []string{"project", "apply", "a", "b"}, 2, []string{"FILE"}},
		{"list takes no arguments", []string{"project", "list", "blog"}, 2, []string{"blog"}},
		{"serve reports every bad flag at once", []string{"serve", "--log-level", "loud", "--timeout", "0s", "--connections", "-1", "--trusted-proxies", "10.0.0.0/8, nginx"}, 2, []string{"loud", "--timeout", "--connections", `--trusted-proxies: "nginx" is neither`}},
		{"a bad duration is a usage error", []string{"serve", "--drain-time", "soon"}, 2, []string{"drain-time"}},
		{"deploy needs a project", []string{"bundle", "deploy", empty}, 2, []string{"project"}},
		{"init needs a language", []string{"bundle", "init", empty}, 2, []string{"lang"}},
		{"build takes one directory", []string{"bundle", "build", "a", "b"}, 2, []string{"[DIR]"}},
		{"a bundle is a directory", []string{"bundle", "build", typo}, 2, []string{"not a directory"}},
		{"test says that nothing could be run", []string{"bundle", "test", empty}, 2, []string{"sluice.hooks.yaml"}},
		{"inspect needs something to look at", []string{"bundle", "inspect"}, 2, []string{"--project"}},
		{"inspect knows no such file", []string{"bundle", "inspect", filepath.Join(empty, "no.wasm")}, 1, []string{"no.wasm"}},
		{"inspect refuses what is no module", []string{"bundle", "inspect", typo}, 1, []string{"WebAssembly"}},
		{"explain needs a method and a path", []string{"explain", "--project", "blog", "/api/data/posts"}, 2, []string{"METHOD PATH [BODY]"}},
		{"explain needs a path with a slash", []string{"explain", "--project", "blog", "GET", "api/data/posts"}, 2, []string{"slash"}},
		{"explain needs a body of JSON", []string{"explain", "--project", "blog", "POST", "/api/data/posts", "{"}, 2, []string{"BODY is not JSON"}},
		{"logs have a limit", []string{"bundle", "logs", "--project", "blog", "--limit", "1001"}, 2, []string{"--limit"}},
		{"a missing file fails", []string{"project", "apply", filepath.Join(empty, "no.yaml")}, 1, []string{"no.yaml"}},
		{"a misspelt key fails with its line", []string{"project", "apply", typo}, 1, []string{"typo.yaml:4", "feilds", `"fields"`}},
		{"no running node fails and says how to start one", []string{"project", "list", "--dir", empty}, 1, []string{"sluice serve --dir"}},
		{"a foreign server needs its own token", []string{"project", "list", "--server", "http://192.0.2.1:1"}, 2, []string{"--token"}},
		{"a server that is no URL is a usage error", []string{"project", "list", "--server", "localhost:8091"}, 2, []string{"http://"}},
		{"a directory without a manifest fails", []string{"bundle", "deploy", empty, "--project", "blog"}, 1, []string{"sluice.hooks.yaml"}},
		{"a port in use fails", []string{"serve", "--dir", filepath.Join(empty, "d"), "--addr", "127.0.0.1:99999"}, 1, []string{"listen"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := sluice(t, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error does not say %q:\n%s", want, stderr)
				}
			}
			if stdout != "" {
				t.Errorf("standard output must stay empty:\n%s", stdout)
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"serve --demo", "project", "bundle", "version"}},
		{[]string{"--help"}, []string{"serve --demo"}},
		{[]string{"serve", "--help"}, []string{"SLUICE_ADDR", "SLUICE_ADMIN_ADDR", "SLUICE_DIR", "SLUICE_LOG_LEVEL", "127.0.0.1:8090"}},
		{[]string{"project", "apply", "--help"}, []string{"--dry-run", "SLUICE_SERVER", "SLUICE_TOKEN", "FILE"}},
		{[]string{"bundle", "--help"}, []string{"init", "build", "test", "inspect", "deploy", "versions", "rollback", "logs", "sluice bundle init --lang go posts"}},
		{[]string{"bundle", "init", "--help"}, []string{"SLUICE_LANG", "sluice bundle init --lang"}},
		{[]string{"bundle", "build", "--help"}, []string{"go.mod", "sluice bundle build posts"}},
		{[]string{"bundle", "test", "--help"}, []string{"verdict: deny", "--update", "--keep", "SLUICE_RUN", "Exit code"}},
		{[]string{"bundle", "inspect", "--help"}, []string{"SLUICE_VERSION", "sluice bundle inspect posts.wasm"}},
		{[]string{"bundle", "deploy", "--help"}, []string{"sluice.hooks.yaml", "SLUICE_PROJECT", "DIR", "--dry-run", "--no-build"}},
		{[]string{"bundle", "logs", "--help"}, []string{"-f", "SLUICE_FOLLOW"}},
		{[]string{"decisions", "--help"}, []string{"-f", "SLUICE_LIMIT", "sluice decisions --project"}},
		{[]string{"audit", "--help"}, []string{"-f", "SLUICE_USER", "SLUICE_KIND", "sluice audit --project"}},
		{[]string{"key", "rotate-jwt", "--help"}, []string{"SLUICE_OVERLAP", "sluice key rotate-jwt --project"}},
		{[]string{"explain", "--help"}, []string{"SLUICE_AS", "@FILE", "sluice explain query"}},
		{[]string{"explain", "query", "--help"}, []string{"sluice explain query --project blog"}},
	} {
		t.Run(strings.Join(append([]string{"sluice"}, c.args...), " "), func(t *testing.T) {
			stdout, stderr, code := sluice(t, c.args...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
			for _, want := range c.says {
				if !strings.Contains(stdout, want) {
					t.Errorf("does not say %q:\n%s", want, stdout)
				}
			}
			if strings.Contains(stdout, "\x1b") {
				t.Error("colours where nobody sees them")
			}
		})
	}
}

func TestVersion(t *testing.T) {
	stdout, _, code := sluice(t, "version", "--json")
	var v struct{ Version, Go string }
	if err := json.Unmarshal([]byte(stdout), &v); code != 0 || err != nil || v.Version == "" || !strings.HasPrefix(v.Go, "go1.") {
		t.Fatalf("exit %d, %v: %s", code, err, stdout)
	}
	if stdout, _, code = sluice(t, "version"); code != 0 || !strings.HasPrefix(stdout, "sluice "+v.Version) {
		t.Fatalf("exit %d: %s", code, stdout)
	}
}

func TestProjectApply(t *testing.T) {
	n := startNode(t, "--dir", filepath.Join(t.TempDir(), "data"))
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(src string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := sluice(t, append([]string{"project", "apply", file, "--dir", n.Dir}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		return stdout
	}
	write("name: shop\ncollections:\n  - name: posts\n    fields:\n      - {key: title, type: String}\n")
	t.Run("a dry run creates nothing", func(t *testing.T) {
		if out := apply("--dry-run"); !strings.Contains(out, "Would create project shop") || strings.Contains(out, "_live_") {
			t.Fatal(out)
		}
		if stdout, _, _ := sluice(t, "project", "list", "--dir", n.Dir); strings.Contains(stdout, "shop") {
			t.Fatal(stdout)
		}
	})
	var k keys
	t.Run("creation prints both keys, once", func(t *testing.T) {
		if err := json.Unmarshal([]byte(apply("--json")), &k); err != nil || !strings.HasPrefix(k.PublishableKey, "pk_live_") || !strings.HasPrefix(k.SecretKey, "sk_live_") {
			t.Fatalf("%+v, %v", k, err)
		}
		if out := apply("--json"); strings.Contains(out, "_live_") {
			t.Fatal(out)
		}
	})
	t.Run("the same file again changes nothing", func(t *testing.T) {
		if out := apply(); out != "Project shop is up to date.\n" {
			t.Fatal(out)
		}
	})
	insert := func() *answer {
		return send(t, "POST", n.URL+"/api/data/posts", []byte(`{"title":"x"}`), "x-api-key", k.SecretKey)
	}
	t.Run("a change is shown by a dry run, and made by an apply", func(t *testing.T) {
		write("name: shop\ncollections:\n  - name: posts\n    fields:\n      - {key: title, type: Number}\n")
		out := apply("--dry-run")
		if !strings.Contains(out, `~ collections.posts.fields.title.type: "String" -> "Number"`) {
			t.Fatal(out)
		}
		if a := insert(); a.status != 201 {
			t.Fatalf("a dry run changed the schema: %d %s", a.status, a.body)
		}
		apply()
		if a := insert(); a.status != 400 || a.text(t, "error") != "Field 'title' must be a Number." {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("documents are not dropped by leaving a line out", func(t *testing.T) {
		write("name: shop\ncollections:\n  - name: other\n    fields: []\n")
		stdout, stderr, code := sluice(t, "project", "apply", file, "--dir", n.Dir)
		if code != 1 || !strings.Contains(stderr, "posts") || !strings.Contains(stderr, "--prune") {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		if a := send(t, "GET", n.URL+"/api/data/posts", nil, "x-api-key", k.SecretKey); a.status != 200 || !strings.Contains(string(a.body), `"total":1`) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		apply("--prune")
		if a := send(t, "GET", n.URL+"/api/data/posts", nil, "x-api-key", k.SecretKey); a.status != 404 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("list shows the project and no key", func(t *testing.T) {
		stdout, _, code := sluice(t, "project", "list", "--dir", n.Dir, "--json")
		var list struct {
			Projects []struct {
				ID, Name    string
				Collections int
			}
		}
		if err := json.Unmarshal([]byte(stdout), &list); code != 0 || err != nil || len(list.Projects) != 1 || list.Projects[0].ID != k.ID || list.Projects[0].Collections != 1 {
			t.Fatalf("%s, %v", stdout, err)
		}
		if strings.Contains(stdout, "_live_") {
			t.Fatal("a key in the list")
		}
	})
	t.Run("a wrong admin token is refused", func(t *testing.T) {
		_, stderr, code := sluice(t, "project", "list", "--server", n.AdminURL, "--token", "wrong")
		if code != 1 || !strings.Contains(stderr, "admin token") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
	t.Run("the public address is not an admin address", func(t *testing.T) {
		for _, path := range []string{"/admin/v1/projects", "/admin/v1/status"} {
			token, err := os.ReadFile(filepath.Join(n.Dir, "admin-token"))
			if err != nil {
				t.Fatal(err)
			}
			if a := send(t, "GET", n.URL+path, nil, "Authorization", "Bearer "+strings.TrimSpace(string(token))); a.status != 404 {
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
	t.Run("keys are stored nowhere", func(t *testing.T) {
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(n.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, key := range []string{k.PublishableKey, k.SecretKey} {
				if strings.Contains(string(raw), key) {
					t.Errorf("%s holds a key", path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestBundleDeploy(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	dir := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	module, err := os.ReadFile("../demo/demo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("../demo/sluice.hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := signUp(t, n.URL, k.PublishableKey, "ada@example.com")
	insert := func(price string) *answer {
		return send(t, "POST", n.URL+"/api/data/posts", []byte(`{"title":"Hello you","price":`+price+`}`), "x-api-key", k.PublishableKey, "Authorization", "Bearer "+token)
	}
	refuse := func(t *testing.T, says string) {
		t.Helper()
		stdout, stderr, code := sluice(t, "bundle", "deploy", dir, "--project", "blog", "--dir", n.Dir)
		if code != 1 || !strings.Contains(stderr, says) || strings.Contains(stderr, "goroutine") {
			t.Fatalf("exit %d, want %q: %s%s", code, says, stdout, stderr)
		}
	}
	t.Run("a misspelt key in the manifest is refused", func(t *testing.T) {
		put("sluice.hooks.yaml", []byte(strings.Replace(string(manifest), "operations:", "operation:", 1)))
		refuse(t, "operation")
	})
	t.Run("a missing module is refused", func(t *testing.T) {
		put("sluice.hooks.yaml", manifest)
		refuse(t, "demo.wasm")
	})
	t.Run("a module outside of the directory is refused", func(t *testing.T) {
		put("sluice.hooks.yaml", []byte(strings.Replace(string(manifest), "demo.wasm", "../../../etc/passwd", 1)))
		refuse(t, "module posts")
	})
	t.Run("what is not WebAssembly is refused by the node", func(t *testing.T) {
		put("sluice.hooks.yaml", manifest)
		put("demo.wasm", []byte("#!/bin/sh\n"))
		refuse(t, "posts")
	})
	t.Run("nothing refused was activated", func(t *testing.T) {
		if a := insert("500"); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("a good bundle is live as soon as deploy returns", func(t *testing.T) {
		put("demo.wasm", module)
		stdout, stderr, code := sluice(t, "bundle", "deploy", dir, "--project", "blog", "--dir", n.Dir, "--json")
		var done struct{ Version int }
		if err := json.Unmarshal([]byte(stdout), &done); code != 0 || err != nil || done.Version != 1 {
			t.Fatalf("exit %d, %v: %s%s", code, err, stdout, stderr)
		}
		if a := insert("500"); a.status != 403 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := insert("50"); a.status != 201 || a.text(t, "slug") != "hello-you" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("an earlier version can be brought back", func(t *testing.T) {
		lenient := strings.Replace(string(manifest), "  - module: posts\n    event: policy\n    operations: [insert, update]\n    collections: [posts]\n", "", 1)
		put("sluice.hooks.yaml", []byte(lenient))
		if stdout, stderr, code := sluice(t, "bundle", "deploy", dir, "--project", "blog", "--dir", n.Dir); code != 0 {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		if a := insert("500"); a.status != 201 {
			t.Fatalf("without the policy: %d %s", a.status, a.body)
		}
		stdout, stderr, code := sluice(t, "bundle", "rollback", "v1", "--project", "blog", "--dir", n.Dir)
		if code != 0 || !strings.Contains(stdout, "v3 is v1 again. Project blog runs bundle v3, live in ") {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		if a := insert("500"); a.status != 403 {
			t.Fatalf("after the rollback: %d %s", a.status, a.body)
		}
		stdout, _, _ = sluice(t, "bundle", "versions", "--project", "blog", "--dir", n.Dir)
		if !strings.Contains(stdout, "live (as v1)") || strings.Count(stdout, "\nv") != 3 {
			t.Fatalf("versions: %s", stdout)
		}
		if _, stderr, code := sluice(t, "bundle", "rollback", "9", "--project", "blog", "--dir", n.Dir); code != 1 || !strings.Contains(stderr, "No such bundle version") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
	t.Run("an unknown project is refused", func(t *testing.T) {
		_, stderr, code := sluice(t, "bundle", "deploy", dir, "--project", "nowhere", "--dir", n.Dir)
		if code != 1 || !strings.Contains(stderr, "Project not found") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
}

func TestDirectoryBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	begin := time.Now()
	_, stderr, code := sluice(t, "serve", "--dir", dir, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	if code != 1 || !strings.Contains(stderr, "in use by another sluice process") || time.Since(begin) > 5*time.Second {
		t.Fatalf("exit %d after %s: %s", code, time.Since(begin), stderr)
	}
	// The second process must not have taken the first one's address file away.
	if stdout, stderr, code := sluice(t, "project", "list", "--dir", dir); code != 0 {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	info, err := os.Stat(filepath.Join(dir, "admin-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("admin-token: %v, %v", info, err)
	}
	if err := n.stop(); err != nil {
		t.Fatalf("Ctrl-C: %v\n%s", err, n.log)
	}
}
