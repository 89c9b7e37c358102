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
	build    func(dir, out string) *exec.Cmd
}

// Examples returns one example for each SDK.
func Examples() []Example {
	return []Example{
		{"go", goBuild},
		{"c", scriptBuild},
		{"rust", scriptBuild},
		{"assemblyscript", scriptBuild},
	}
}

// GoExample builds the example guest of the Go SDK.
func GoExample(t testing.TB) []byte {
	t.Helper()
	return Example{"go", goBuild}.Wasm(t)
}

// Wasm builds the example in the repository that the test runs in. All but Go's need the language's toolchain, which
// make toolchains installs.
func (x Example) Wasm(t testing.TB) []byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("hooktest: find the repository: %v", err)
	}
	out := filepath.Join(t.TempDir(), "example.wasm")
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "sdk", x.Language, "example")
	if text, err := x.build(dir, out).CombinedOutput(); err != nil {
		t.Fatalf("hooktest: build the example in %s (make toolchains installs what that needs): %v\n%s", x.Language, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func goBuild(dir, out string) *exec.Cmd {
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	return build
}

// scriptBuild is for the languages whose build takes more than one command.
func scriptBuild(dir, out string) *exec.Cmd {
	return exec.Command("sh", filepath.Join(dir, "build.sh"), out)
}
