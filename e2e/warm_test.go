package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A node that has never seen a script has the engine for them compiled soon after it is ready, so that the first deploy of one need not
// wait for it; a second start finds it compiled.
func TestServeWarmsTheEngineForScripts(t *testing.T) {
	dir := t.TempDir()
	warm := func() []string {
		files, err := filepath.Glob(filepath.Join(dir, "cache", "wasm", "compiled", "scripts-*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	n := startNode(t, "--dir", dir)
	for begun := time.Now(); len(warm()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute { // it stands back behind everybody else on the machine
			t.Fatal("the engine is not compiled")
		}
	}
	before, err := os.Stat(warm()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := startNode(t, "--dir", dir).stop(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(warm()[0])
	if err != nil || len(warm()) != 1 || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("it was compiled again: %v, %q", err, warm())
	}
}

// Who stops a node at once does not wait until the engine is compiled.
func TestANodeThatIsStoppedAtOnceEnds(t *testing.T) {
	if err := startNode(t, "--dir", t.TempDir()).stop(); err != nil {
		t.Fatal(err)
	}
}
