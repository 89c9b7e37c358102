package quickjs_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The module is built by hand, rarely, and by few machines; so that nobody changes what it is made of and forgets to build it,
// its recipe and its sources are sealed together with it.
func TestTheEngineIsWhatItsSourcesMake(t *testing.T) {
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	sealed := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sealed[name] = sum
	}
	sources, err := filepath.Glob("src/*")
	if err != nil {
		t.Fatal(err)
	}
	files := append(sources, "build.sh", "quickjs.wasm")
	if len(files) != len(sealed) {
		t.Errorf("SHA256SUMS names %d files, there are %d", len(sealed), len(files))
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != sealed[filepath.ToSlash(name)] {
			t.Errorf("%s is not what SHA256SUMS says: run hooks/quickjs/build.sh", name)
		}
	}
}
