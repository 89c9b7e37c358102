package hooktest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// ScriptManifest is Manifest for the script guest.js; with events, it is bound to those alone.
func ScriptManifest(events ...string) hooks.Manifest {
	m := Manifest()
	m.Modules[0].File = "guest.js"
	if len(events) > 0 {
		m.Bindings = slices.DeleteFunc(m.Bindings, func(b hooks.Binding) bool { return !slices.Contains(events, b.Event) })
	}
	return m
}

// LoadScript loads a script that exports all events of Manifest, or those given, into a host. It is closed with the host.
func LoadScript(t testing.TB, host *hooks.Host, text string, events ...string) *hooks.Bundle {
	t.Helper()
	bundle, err := host.Load(context.Background(), ScriptManifest(events...), map[string][]byte{"guest.js": []byte(text)}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// JavaScriptExample returns the example guest of the JavaScript SDK in the repository that the test runs in.
func JavaScriptExample(t testing.TB) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("hooktest: find the repository: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "sdk", "js", "example", "posts.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
