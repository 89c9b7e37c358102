package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOfficialClient drives a node with the official npm client, unmodified. The journey itself is sdk/journey.test.mjs.
func TestOfficialClient(t *testing.T) {
	if _, err := os.Stat("sdk/node_modules/@urbackend/sdk"); err != nil {
		t.Fatal("the npm client is not installed; run: make e2e")
	}
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	if stdout, stderr, code := sluice(t, "bundle", "deploy", "../demo", "--project", "blog", "--dir", n.Dir); code != 0 {
		t.Fatalf("bundle deploy: exit %d\n%s%s", code, stdout, stderr)
	}
	cmd := exec.Command("node", "--test", "--test-reporter=spec", "journey.test.mjs")
	cmd.Dir = "sdk"
	cmd.Env = environment("SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_PUBLISHABLE_KEY="+k.PublishableKey, "SLUICE_TEST_SECRET_KEY="+k.SecretKey, "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestOfficialClientAtLimits shows what the official client makes of a project that limits how often it is asked.
func TestOfficialClientAtLimits(t *testing.T) {
	if _, err := os.Stat("sdk/node_modules/@urbackend/sdk"); err != nil {
		t.Fatal("the npm client is not installed; run: make e2e")
	}
	blog, err := os.ReadFile("testdata/blog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "limited.yaml")
	if err := os.WriteFile(file, append(blog, "limits: {requestsPerAddress: 10}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, file)
	cmd := exec.Command("node", "--test", "--test-reporter=spec", "limits.test.mjs")
	cmd.Dir = "sdk"
	cmd.Env = environment("SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_PUBLISHABLE_KEY="+k.PublishableKey, "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestOfficialClientCodes goes the ways that need a code by mail with the official client: verify, resend, reset.
func TestOfficialClientCodes(t *testing.T) {
	if _, err := os.Stat("sdk/node_modules/@urbackend/sdk"); err != nil {
		t.Fatal("the npm client is not installed; run: make e2e")
	}
	blog, err := os.ReadFile("testdata/blog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "verified.yaml")
	blog = bytes.Replace(blog, []byte("- {key: username, type: String}"), []byte("- {key: username, type: String}\n      - {key: emailVerified, type: Boolean}"), 1)
	if err := os.WriteFile(file, blog, 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, file)
	cmd := exec.Command("node", "--test", "--test-reporter=spec", "mail.test.mjs")
	cmd.Dir = "sdk"
	cmd.Env = environment("SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_DIR="+n.Dir, "SLUICE_TEST_PUBLISHABLE_KEY="+k.PublishableKey, "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
