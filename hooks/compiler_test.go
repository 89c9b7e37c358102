package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

const compilerArgument = "compile-a-guest"

// TestMain lets this test's binary be its own compiler, as a server's is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == compilerArgument {
		os.Exit(hooks.RunCompiler(os.Stdin, os.Stdout))
	}
	var err error
	if engineCache, err = os.MkdirTemp("", "engine-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(engineCache); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// apart returns options that compile in a child, and the number of children so far.
func apart(t *testing.T) (hooks.Options, *atomic.Int64) {
	children := new(atomic.Int64)
	return hooks.Options{CacheDir: filepath.Join(t.TempDir(), "cache"), Compiler: func(ctx context.Context) *exec.Cmd {
		children.Add(1)
		return exec.CommandContext(ctx, os.Args[0], compilerArgument)
	}}, children
}

func TestModulesAreCompiledApartOnce(t *testing.T) {
	options, children := apart(t)
	wasm := Guest{Policy: I64Const(1)}.Wasm()
	for round := range 3 { // a host each: a server that starts again
		bundle := Load(t, options, wasm)
		if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
			t.Fatalf("round %d: %+v, %v", round, d, err)
		}
		if n := children.Load(); n != 1 {
			t.Fatalf("%d compilers after round %d", n, round)
		}
	}
	code, err := filepath.Glob(filepath.Join(options.CacheDir, "wazero-*", "*"))
	if err != nil || len(code) < 1 {
		t.Errorf("the cache holds %v, %v", code, err)
	}
}

// The engine for scripts is compiled once, ahead of the first script, which then starts no compiler; nor does the next host, and a host
// without a compiler of its own does nothing.
func TestScriptsAreWarmBeforeTheFirstOne(t *testing.T) {
	options, _ := apart(t)
	for range 2 {
		host := NewHost(t, options)
		for range 2 {
			if err := host.WarmScripts(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		LoadScript(t, host, "export function policy() { return true }", hooks.EventPolicy)
		if files, err := filepath.Glob(filepath.Join(options.CacheDir, "compiled", "*")); err != nil || len(files) != 2 {
			t.Errorf("marked as compiled: %q, %v", files, err)
		}
	}
	if n := cached(t, options.CacheDir); n != 1 {
		t.Errorf("%d modules were compiled", n)
	}
	dir := t.TempDir()
	if err := NewHost(t, hooks.Options{CacheDir: dir}).WarmScripts(context.Background()); err != nil {
		t.Error(err)
	}
	if n := cached(t, dir); n != 0 {
		t.Errorf("%d modules were compiled without a compiler", n)
	}
	t.Run("who stops does not wait for it", func(t *testing.T) {
		options, _ := apart(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := NewHost(t, options).WarmScripts(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// cached returns how many modules the cache holds.
func cached(t *testing.T, cache string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cache, "wazero-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// costly is within every cap, and takes a compiler a second for every few functions.
func costly(functions int) []byte {
	const locals, loops = 190, 50
	var body []byte
	for i := range loops {
		body = append(body, 0x03, 0x40)
		for j := range locals {
			body = append(wasmbin.AppendUint32(append(body, 0x20), uint32((i+j)%locals)), 0x21)
			body = wasmbin.AppendUint32(body, uint32(j))
		}
	}
	body = append(body, bytes.Repeat(Op(0x41, 0, 0x0d, 0, 0x0b), loops)...)
	g := Guest{Policy: I64Const(1)}
	for range functions {
		g.Functions = append(g.Functions, Function{Type: TypeVoid, Locals: []wasmbin.LocalGroup{{Count: locals, Type: wasmbin.I64}}, Code: body})
	}
	return g.Wasm()
}

func TestCompilingIsBounded(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit func(*hooks.Options)
		wasm  []byte
		says  string
	}{
		{"what takes too long is refused", func(o *hooks.Options) { o.CompileTime = time.Second }, costly(100), "cannot be compiled within 1s of processor time"},
		{"what takes too much memory is refused", func(o *hooks.Options) { o.CompileBytes = 8 << 20 }, costly(100), "and 8 MiB of memory"},
		{"what does not validate is refused as ever", func(*hooks.Options) {}, Guest{Policy: Op(0x6a)}.Wasm(), "does not compile: "},
		{"a compiler that is not there compiles nothing", func(o *hooks.Options) {
			o.Compiler = func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/compiler") }
		}, Guest{}.Wasm(), "cannot be compiled: "},
		{"a compiler that dies compiles nothing", func(o *hooks.Options) {
			o.Compiler = func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, os.Args[0], "-no-such-flag") }
		}, Guest{}.Wasm(), "cannot be compiled within"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options, _ := apart(t)
			test.limit(&options)
			host := NewHost(t, options)
			begin := time.Now()
			_, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": test.wasm}, hooks.LoadOptions{})
			if !errors.As(err, new(*hooks.LoadError)) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
			t.Logf("%v: %v", time.Since(begin), err)
		})
	}
	t.Run("a deploy that is given up ends its compiler", func(t *testing.T) {
		options, _ := apart(t)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := NewHost(t, options).Load(ctx, Manifest(), map[string][]byte{"guest.wasm": costly(100)}, hooks.LoadOptions{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
	t.Run("without a cache there is no other process", func(t *testing.T) {
		options, _ := apart(t)
		options.CacheDir = ""
		if _, err := hooks.NewHost(context.Background(), options); err == nil || !strings.Contains(err.Error(), "Compiler needs a CacheDir") {
			t.Errorf("%v", err)
		}
	})
}
