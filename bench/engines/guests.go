package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed guests/price.js
var priceJS []byte

// guests are built guests, by language, and the plugin for Extism by that name.
type guests struct {
	dir  string
	repo string
}

func newGuests(ctx context.Context, dir string) (*guests, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/sluice-edge/sluice/bench/engines").Output()
	if err != nil {
		return nil, fmt.Errorf("run this in the directory bench/engines of the repository: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return &guests{dir: dir, repo: filepath.Dir(filepath.Dir(strings.TrimSpace(string(out))))}, os.MkdirAll(dir, 0o700)
}

// path builds a guest, unless it is there, and returns where it is. Of a script it is the source.
func (g *guests) path(ctx context.Context, name string) (string, error) {
	out := filepath.Join(g.dir, name+".wasm")
	if name == string(langJavaScript) {
		out = filepath.Join(g.dir, name+".js")
		return out, os.WriteFile(out, priceJS, 0o600)
	}
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	sdk, source := filepath.Join(g.repo, "sdk"), filepath.Join(g.repo, "bench", "engines", "guests")
	var cmd *exec.Cmd
	switch name {
	case string(langC):
		cmd = exec.CommandContext(ctx, "sh", filepath.Join(sdk, "c", "build.sh"), filepath.Join(source, "price.c"), out)
	case "extism":
		cmd = exec.CommandContext(ctx, "sh", filepath.Join(sdk, "c", "build.sh"), filepath.Join(source, "extism.c"), out)
	case string(langRust):
		cmd = exec.CommandContext(ctx, "sh", filepath.Join(sdk, "rust", "build.sh"), filepath.Join(source, "price.rs"), out)
	case string(langAssemblyScript):
		project, err := g.assemblyScript(sdk, source)
		if err != nil {
			return "", err
		}
		cmd = exec.CommandContext(ctx, "sh", filepath.Join(project, "build.sh"), "price/index.ts", out)
	case string(langGo):
		cmd = exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags", "-s -w", "-o", out, "./guests/price")
		cmd.Dir = filepath.Dir(source)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	default:
		return "", fmt.Errorf("there is no guest %q", name)
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the guest %s (make toolchains installs what that needs): %w\n%s", name, err, text)
	}
	return out, nil
}

// assemblyScript makes a project of the SDK's library and the guest: the compiler takes sources from below its own directory alone.
func (g *guests) assemblyScript(sdk, source string) (string, error) {
	from, project := filepath.Join(sdk, "assemblyscript"), filepath.Join(g.dir, "assemblyscript")
	if err := os.RemoveAll(project); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(project, "assembly"), os.DirFS(filepath.Join(from, "assembly"))); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(from, "node_modules")); errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("AssemblyScript's compiler is missing: make toolchains installs it")
	}
	if err := os.Symlink(filepath.Join(from, "node_modules"), filepath.Join(project, "node_modules")); err != nil {
		return "", err
	}
	for to, file := range map[string]string{"build.sh": filepath.Join(from, "build.sh"), "price/index.ts": filepath.Join(source, "price.ts")} {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		to = filepath.Join(project, to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, text, 0o600)); err != nil {
			return "", err
		}
	}
	return project, nil
}

// cache is where compiled guests are kept: Go's takes seconds to compile, and several sides have it.
func (g *guests) cache() string { return filepath.Join(g.dir, "cache") }

func (g *guests) read(ctx context.Context, name string) ([]byte, error) {
	path, err := g.path(ctx, name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
