package hooktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Example is the example guest of an SDK, which is its conformance guest as well.
type Example struct {
	Language string // and the SDK's folder in sdk
}

// Examples returns one example for each SDK.
func Examples() []Example {
	return []Example{{"go"}, {"c"}, {"rust"}, {"assemblyscript"}}
}

// GoExample builds the example guest of the Go SDK.
func GoExample(t testing.TB) []byte {
	t.Helper()
	return Example{"go"}.Wasm(t)
}

// Wasm builds the example in the repository that the test runs in. All but Go's need the language's toolchain, which
// make toolchains installs.
func (x Example) Wasm(t testing.TB) []byte {
	t.Helper()
	return build(t, x.Language, "example")
}

// Echo builds the guest by which a language's scanner is tested: its hook gives back what it reads of a document. Go's is tested
// where it is.
func Echo(t testing.TB, language string) []byte {
	t.Helper()
	return build(t, language, "echo")
}

// build makes the guest in a folder of an SDK.
func build(t testing.TB, language, folder string) []byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("hooktest: find the repository: %v", err)
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "sdk", language, folder)
	build := exec.Command("sh", filepath.Join(dir, "build.sh"), out)
	if language == "go" {
		build = exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, ".")
		build.Dir = dir
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	}
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("hooktest: build the %s in %s (make toolchains installs what that needs): %v\n%s", folder, language, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
