package hooktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// GoExample builds the example guest of the Go SDK in the repository that the test runs in. It needs the Go toolchain and nothing else.
func GoExample(t testing.TB) []byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("hooktest: find the repository: %v", err)
	}
	out := filepath.Join(t.TempDir(), "example.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, ".")
	build.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "sdk", "go", "example")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("hooktest: build the example: %v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
