package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startDemoPage runs `serve --demo` as a newcomer does and returns the page that it prints, up to its last line.
func startDemoPage(t *testing.T, args ...string) (page string, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	cmd = exec.Command(binary, append([]string{"serve", "--demo", "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, args...)...)
	var out, log syncBuffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environment("TMPDIR="+t.TempDir()), &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exit := make(chan error, 1)
	go func() { exit <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out.String(), "Ctrl-C ends it.\n"); {
		if time.Now().After(deadline) {
			t.Fatalf("the demo is not ready after 30 s:\n%s\n%s", out.String(), log.String())
		}
		select {
		case err := <-exit:
			t.Fatalf("the demo ended: %v\n%s", err, log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return out.String(), cmd, exit
}

// curlLines returns the lines that the page asks to be pasted.
func curlLines(page string) []string {
	var lines []string
	for line := range strings.Lines(page) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "curl ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// paste runs the lines in one shell, as one terminal would, and returns the JSON object that each of them printed.
func paste(t *testing.T, lines []string) []map[string]any {
	t.Helper()
	cmd := exec.Command("sh", "-eu", "-c", strings.Join(lines, "\n"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	var answers []map[string]any
	for line := range bytes.Lines(out) {
		var a map[string]any
		if err := json.Unmarshal(line, &a); err != nil {
			t.Fatalf("a command printed %q: %v", line, err)
		}
		answers = append(answers, a)
	}
	return answers
}

func TestDemo(t *testing.T) {
	begin := time.Now()
	page, cmd, ended := startDemoPage(t)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("ready after %s", took)
	} else {
		t.Logf("ready after %s", took)
	}
	lines := curlLines(page)
	if len(lines) != 4 {
		t.Fatalf("the page has %d curl lines, want 4:\n%s", len(lines), page)
	}
	answers := paste(t, lines)
	if len(answers) != 4 {
		t.Fatalf("got %d answers: %v", len(answers), answers)
	}
	signup, inserted, denied, list := answers[0], answers[1], answers[2], answers[3]
	t.Run("the first line signs up", func(t *testing.T) {
		if signup["accessToken"] == nil || signup["userId"] == nil {
			t.Fatalf("%v", signup)
		}
	})
	t.Run("the second inserts with the owner filled in and the hook's slug", func(t *testing.T) {
		if inserted["userId"] != signup["userId"] || inserted["slug"] != "hello-sluice" || inserted["_id"] == nil {
			t.Fatalf("%v", inserted)
		}
	})
	t.Run("the third is denied by the policy, which says why", func(t *testing.T) {
		message, _ := denied["message"].(string)
		if denied["success"] != false || denied["code"] != 403.0 || !strings.Contains(message, "at most 100") || denied["error"] != message ||
			!strings.HasSuffix(denied["reason"].(string), "posts.price_too_high") {
			t.Fatalf("%v", denied)
		}
	})
	t.Run("the fourth lists what was inserted and not what was denied", func(t *testing.T) {
		data, _ := list["data"].(map[string]any)
		items, _ := data["items"].([]any)
		if len(items) != 1 || items[0].(map[string]any)["_id"] != inserted["_id"] {
			t.Fatalf("%v", list)
		}
	})
	t.Run("Ctrl-C ends it cleanly and takes the directory away", func(t *testing.T) {
		dir := tempDirOf(t, cmd)
		if left, _ := filepath.Glob(filepath.Join(dir, "sluice-demo-*")); len(left) != 1 {
			t.Fatalf("the demo's directory: %v", left)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
			t.Fatalf("left behind: %v", left)
		}
	})
}

func tempDirOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	for _, v := range cmd.Env {
		if dir, ok := strings.CutPrefix(v, "TMPDIR="); ok && dir != os.Getenv("TMPDIR") {
			return dir
		}
	}
	t.Fatal("no TMPDIR")
	return ""
}

func TestDemoKeepsItsDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	first := startNode(t, "--demo", "--dir", dir)
	token, _ := signUp(t, first.URL, first.PublishableKey, "ada@example.com")
	post := send(t, "POST", first.URL+"/api/data/posts", []byte(`{"title":"kept"}`), "x-api-key", first.PublishableKey, "Authorization", "Bearer "+token)
	if post.status != 201 {
		t.Fatalf("%d %s", post.status, post.body)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := startNode(t, "--demo", "--dir", dir)
	if second.PublishableKey != first.PublishableKey || second.SecretKey != first.SecretKey {
		t.Fatal("the keys changed")
	}
	got := send(t, "GET", second.URL+"/api/data/posts/"+post.text(t, "_id"), nil, "x-api-key", second.PublishableKey)
	if got.status != 200 || got.text(t, "title") != "kept" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	// A restart is not a deployment: the bundle is still the first version, and still asked.
	if stdout, _, _ := sluice(t, "project", "list", "--dir", dir); !strings.Contains(stdout, "v1") {
		t.Fatalf("project list:\n%s", stdout)
	}
	denied := send(t, "POST", second.URL+"/api/data/posts", []byte(`{"title":"dear","price":500}`), "x-api-key", second.PublishableKey, "Authorization", "Bearer "+token)
	if denied.status != 403 {
		t.Fatalf("the policy is not asked after a restart: %d %s", denied.status, denied.body)
	}
	info, err := os.Stat(filepath.Join(dir, "demo-keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("demo-keys.json: %v, %v", info.Mode(), err)
	}
}
