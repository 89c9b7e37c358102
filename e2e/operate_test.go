package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whoever runs a node shrinks a project's file and adds an index while apps go on, and the same commands work on a node
// that is stopped.
func TestOperating(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: plain\ncollections:\n  - {name: things, fields: [{key: n, type: Number}]}\n")
	k := applyFile(t, n, file)
	for from := 0; from < 1500; from += 100 {
		var list []string
		for i := range 100 {
			list = append(list, fmt.Sprintf(`{"n":%d,"text":%q}`, from+i, strings.Repeat("x", 500)))
		}
		if a := send(t, "POST", n.URL+"/api/data/things/bulk", []byte("["+strings.Join(list, ",")+"]"), "x-api-key", k.SecretKey); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	compact := func(args ...string) (before, after int64) {
		t.Helper()
		stdout, stderr, code := sluice(t, append([]string{"compact", "--dir", dir, "--json"}, args...)...)
		var out struct {
			Projects []struct{ Before, After int64 }
		}
		if err := json.Unmarshal([]byte(stdout), &out); code != 0 || err != nil || len(out.Projects) == 0 {
			t.Fatalf("compact: exit %d, %v: %s%s", code, err, stdout, stderr)
		}
		return out.Projects[0].Before, out.Projects[0].After
	}
	if before, after := compact("--project", "plain"); after >= before || after == 0 {
		t.Errorf("a running node: %d bytes, was %d", after, before)
	}
	if _, stderr, code := sluice(t, "compact", "--dir", dir); code != 2 || !strings.Contains(stderr, "name one project with --project") {
		t.Errorf("all projects of a running node: exit %d: %s", code, stderr)
	}
	if _, stderr, code := sluice(t, "compact", "--dir", dir, "--project", "nothing"); code != 1 || !strings.Contains(stderr, "Project not found") {
		t.Errorf("no such project: exit %d: %s", code, stderr)
	}

	write("name: plain\ncollections:\n  - {name: things, fields: [{key: n, type: Number, index: true}]}\n")
	if stdout, stderr, code := sluice(t, "project", "apply", file, "--dir", dir); code != 0 {
		t.Fatalf("apply: exit %d: %s%s", code, stdout, stderr)
	}
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		a := send(t, "GET", n.URL+"/api/schemas/things", nil, "x-api-key", k.PublishableKey)
		if strings.Contains(string(a.body), `"ready":true`) {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("the index is not ready: %s", a.body)
		}
	}

	if err := n.stop(); err != nil {
		t.Fatalf("%v\n%s", err, n.log)
	}
	compact()
	if stdout, stderr, code := sluice(t, "check", "--dir", dir); code != 0 {
		t.Errorf("check: exit %d: %s%s", code, stdout, stderr)
	}
}
