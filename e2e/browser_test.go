package e2e

import (
	"os"
	"os/exec"
	"testing"
)

// runBrowser runs one file of e2e/browser, which drives a real Chromium. more are variables for it, "NAME=value".
func runBrowser(t *testing.T, file string, more ...string) {
	t.Helper()
	if _, err := os.Stat("sdk/node_modules/playwright-core"); err != nil {
		t.Fatal("the npm packages are not installed; run: make e2e")
	}
	if os.Getenv("SLUICE_TEST_CHROMIUM") == "" {
		path, err := exec.LookPath("chromium")
		if err != nil {
			t.Fatal("Chromium is not installed; run: make e2e, or say where it is in SLUICE_TEST_CHROMIUM")
		}
		more = append(more, "SLUICE_TEST_CHROMIUM="+path)
	} else {
		more = append(more, "SLUICE_TEST_CHROMIUM="+os.Getenv("SLUICE_TEST_CHROMIUM"))
	}
	cmd := exec.Command("node", "--test", "--test-reporter=spec", file)
	cmd.Dir = "browser"
	cmd.Env = environment(append(more, "NO_COLOR=1")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestBrowserHarness shows that the browser of the tests sees scripts that run, so that seeing none means something.
func TestBrowserHarness(t *testing.T) {
	runBrowser(t, "harness.test.mjs")
}

// TestBrowserAccounts drives the official client in Chromium: the page's own storage and the cookie, pages of the same site and of foreign ones.
func TestBrowserAccounts(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	blog := applyFile(t, n, "testdata/blog.yaml")
	cookies := applyFile(t, n, "testdata/cookies.yaml")
	runBrowser(t, "auth.test.mjs", "SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_PUBLISHABLE_KEY="+blog.PublishableKey, "SLUICE_TEST_COOKIES_KEY="+cookies.PublishableKey)
}

// TestBrowserSocialLogin logs in at a provider of OpenID Connect, in Chromium, with the official client.
func TestBrowserSocialLogin(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	runBrowser(t, "social.test.mjs", "SLUICE_TEST_URL="+n.URL, "SLUICE_TEST_DIR="+n.Dir, "SLUICE_TEST_BINARY="+binary)
}
