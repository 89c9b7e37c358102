package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The operator of a node sees what happens to accounts, follows it, and gives the project a new signing key.
func TestAuditAndKeys(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(file, []byte("name: club\nauth: {enabled: true}\ncollections:\n  - name: users\n    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := applyFile(t, n, file)
	token, id := signUp(t, n.URL, k.PublishableKey, "ann@example.com")
	login := func(password string) *answer {
		return send(t, "POST", n.URL+"/api/userAuth/login", []byte(`{"email":"ann@example.com","password":"`+password+`"}`), "x-api-key", k.PublishableKey)
	}
	for range 3 {
		login("not the password")
	}
	stdout, stderr, code := sluice(t, "audit", "--dir", dir, "--project", "club")
	if lines := strings.Split(strings.TrimSpace(stdout), "\n"); code != 0 || len(lines) != 2 || !strings.Contains(lines[0], "  signup             "+id) || !strings.Contains(lines[1], "  login.failed       "+id+"  3 times since ") {
		t.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	if stdout, _, code := sluice(t, "audit", "--dir", dir, "--project", "club", "--kind", "signup", "--json"); code != 0 || strings.Count(stdout, "\n") != 1 || !json.Valid([]byte(stdout)) {
		t.Errorf("as JSON: exit %d: %s", code, stdout)
	}
	if _, stderr, code := sluice(t, "audit", "--dir", dir, "--project", "nothing"); code != 1 || !strings.Contains(stderr, "Project not found") {
		t.Errorf("no such project: exit %d: %s", code, stderr)
	}

	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	follow := exec.CommandContext(ctx, binary, "audit", "--dir", dir, "--project", "club", "-f", "--user", id)
	follow.Env = environment()
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); _ = follow.Wait() }()
	lines := bufio.NewScanner(out)
	for _, want := range []string{"signup", "login.failed"} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("followed %q, want %s", lines.Text(), want)
		}
	}
	if a := login("correct horse"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "  login              "+id) {
		t.Errorf("followed %q", lines.Text())
	}

	if stdout, stderr, code := sluice(t, "user", "disable", "--dir", dir, "--project", "club", id); code != 0 || !strings.Contains(stdout, "Account "+id+" is disabled; 2 sessions were ended.") {
		t.Fatalf("disable: exit %d: %s%s", code, stdout, stderr)
	}
	if a := login("correct horse"); a.status != 403 || !strings.Contains(string(a.body), "This account is disabled.") {
		t.Errorf("a disabled account: %d %s", a.status, a.body)
	}
	if _, stderr, code := sluice(t, "user", "enable", "--dir", dir, "--project", "club", "nobody"); code != 1 || !strings.Contains(stderr, "User not found") {
		t.Errorf("no such account: exit %d: %s", code, stderr)
	}
	if stdout, stderr, code := sluice(t, "user", "enable", "--dir", dir, "--project", "club", id); code != 0 || !strings.Contains(stdout, "is enabled") {
		t.Fatalf("enable: exit %d: %s%s", code, stdout, stderr)
	}
	token = login("correct horse").text(t, "accessToken")

	stdout, stderr, code = sluice(t, "key", "rotate-jwt", "--dir", dir, "--project", "club")
	if code != 0 || !strings.Contains(stdout, "k2") || !strings.Contains(stdout, "signed with it") || !strings.Contains(stdout, "good until") {
		t.Fatalf("rotate: exit %d: %s%s", code, stdout, stderr)
	}
	me := func() int {
		return send(t, "GET", n.URL+"/api/userAuth/me", nil, "x-api-key", k.PublishableKey, "Authorization", "Bearer "+token).status
	}
	if got := me(); got != 200 {
		t.Errorf("within the overlap an old token is answered %d", got)
	}
	if stdout, stderr, code := sluice(t, "key", "rotate-jwt", "--dir", dir, "--project", "club", "--overlap", "0s", "--json"); code != 0 || !strings.Contains(stdout, `"kid":"k3","signs":true`) || strings.Contains(stdout, "k2") {
		t.Fatalf("rotate at once: exit %d: %s%s", code, stdout, stderr)
	}
	if got := me(); got != 401 {
		t.Errorf("without an overlap an old token is answered %d", got)
	}
	if _, stderr, code := sluice(t, "key", "rotate-jwt", "--dir", dir, "--project", "club", "--overlap", "25h"); code != 2 || !strings.Contains(stderr, "--overlap") {
		t.Errorf("a long overlap: exit %d: %s", code, stderr)
	}
	if stdout, _, code := sluice(t, "key", "list-jwt", "--dir", dir, "--project", "club"); code != 0 || !strings.Contains(stdout, "k3") {
		t.Errorf("list: exit %d: %s", code, stdout)
	}
}
