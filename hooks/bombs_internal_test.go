package hooks

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"github.com/sluice-edge/sluice/hooks/wat"
)

// bombs are modules that compilers are known to take very long or very much memory for. Most of them are refused for their shape before
// they come to a compiler, which is why the tests hand them to it directly: its limits hold for those that nobody has thought of.
func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	repeat := func(n int, code string) string { return "(@repeat " + strconv.Itoa(n) + " " + code + ")" }
	locals := func(n int) string { return "(local @" + strconv.Itoa(n) + " i64)" }
	loops := strings.Repeat("(loop ", 300) + repeat(60, "(local.set 1 (i64.add (local.get 2) (local.get 3)))") + strings.Repeat("(br_if 0 (i32.const 0)))", 300)
	texts := map[string]string{
		"functions by the hundred thousand":       repeat(400_000, "(func)"),
		"a body of megabytes":                     "(func (param i32) " + repeat(200_000, "(drop (i32.add (local.get 0) (i32.const 1)))") + ")",
		"two hundred thousand nested blocks":      "(func " + repeat(200_000, "block") + repeat(200_000, "end") + ")",
		"two hundred thousand blocks in a row":    "(func " + locals(60) + repeat(200_000, "(block (br_if 0 (i32.const 1)))") + ")",
		"a branch table of a million labels":      "(func (param i32) (block (br_table " + repeat(1_000_000, "0") + " (local.get 0))))",
		"fifty thousand locals, many times":       repeat(40, "(func "+locals(50_000)+")"),
		"locals that live over nested loops":      "(func " + locals(1000) + loops + ")",
		"a long chain of ifs":                     "(func (param i32) " + repeat(200_000, "(if (local.get 0) (then nop))") + ")",
		"bulk operations by the tens of thousand": "(memory 256) (func " + repeat(20_000, "(memory.fill (i32.const 0) (i32.const 1) (i32.const 0xffffff))") + ")",
	}
	all := map[string][]byte{}
	for name, text := range texts {
		code, err := wat.Assemble("(module " + text + ")")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = code
	}
	all["what is no module at all"] = bytes.Repeat([]byte{0}, 1<<20)
	return all
}

// Every bomb, and the guests of testdata as they came (one in eight, or all with HOOKS=long), goes through a compiler process of its own. It compiles, or ends within its
// limits with an error that says so; no process and no half file stays, and the host goes on.
func TestCompileBombs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	h, err := NewHost(context.Background(), Options{CacheDir: dir, CompileTime: time.Second, CompileBytes: 256 << 20, Compiler: func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, os.Args[0], "compile-a-guest")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	modules := bombs(t)
	files, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	sampled := 0
	for i, file := range files {
		if i%8 > 0 && os.Getenv("HOOKS") != "long" { // a process takes a second to begin under the race detector
			continue
		}
		sampled++
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if modules[file], err = wat.Assemble(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	ended := map[string]int{}
	for name, code := range modules {
		begun := time.Now()
		err := h.compileApart(context.Background(), code)
		took := time.Since(begun)
		how := "compiled"
		_, marked := os.Stat(filepath.Join(dir, "compiled", compiledName(code)))
		switch {
		case err == nil && marked != nil:
			t.Errorf("%s: compiled and not marked", name)
		case err == nil:
		case marked == nil:
			t.Errorf("%s: marked as compiled, and %v", name, err)
		case strings.HasPrefix(err.Error(), "cannot be compiled within 1s of processor time and 256 MiB of memory: "):
			how = "stopped"
		case strings.HasPrefix(err.Error(), "does not compile: ") && len(err.Error()) > 30 && len(err.Error()) < 5<<10:
			how = "refused"
		default:
			t.Errorf("%s: %v", name, err)
		}
		ended[how]++
		if how == "stopped" || took > time.Second {
			t.Logf("%s (%d bytes): %s after %v", name, len(code), how, took.Round(time.Millisecond))
		}
		if took > 15*time.Second { // three times its processor time, and what else the machine does
			t.Errorf("%s: %v", name, took)
		}
	}
	if ended["stopped"] < 3 || ended["refused"] == 0 || ended["compiled"] < sampled/2 {
		t.Errorf("%v", ended)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes stay: %q", left)
	}
	if err := h.compileApart(context.Background(), (&wasmbin.Module{}).Encode()); err != nil {
		t.Errorf("a good module afterwards: %v", err)
	}
}

// A compiler that does nothing, not even use the processor, is ended by the clock.
func TestACompilerThatHangsIsEnded(t *testing.T) {
	h, err := NewHost(context.Background(), Options{CacheDir: filepath.Join(t.TempDir(), "cache"), CompileTime: 100 * time.Millisecond, Compiler: func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, "sleep", "600")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close(context.Background()) }()
	if err := h.compileApart(context.Background(), []byte("anything")); err == nil || !strings.Contains(err.Error(), "cannot be compiled within 100ms of processor time") {
		t.Errorf("%v", err)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes stay: %q", left)
	}
}

// A compiler that is killed while it writes leaves a file without a name. A host removes it later.
func TestHalfFilesOfACompilerGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	open := func() {
		t.Helper()
		h, err := NewHost(context.Background(), Options{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	open()
	engine, err := filepath.Glob(filepath.Join(dir, "wazero-*"))
	if err != nil || len(engine) != 1 {
		t.Fatalf("%q, %v", engine, err)
	}
	half, whole := filepath.Join(engine[0], "0123.4567.tmp"), filepath.Join(engine[0], "0123")
	fresh := filepath.Join(engine[0], "0123.89ab.tmp") // somebody's who uses the same directory
	for _, name := range []string{half, whole, fresh} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if old := time.Now().Add(-2 * halfFileAge); os.Chtimes(half, old, old) != nil {
		t.Fatal("the file does not age")
	}
	open()
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("the half file stays: %v", err)
	}
	for _, name := range []string{whole, fresh} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("one that is whole or may become so does not: %v", err)
		}
	}
}

// children returns what this process has started and not seen the end of.
func children(t *testing.T) (all []string) {
	t.Helper()
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		if list, err := os.ReadFile(task); err == nil {
			all = append(all, strings.Fields(string(list))...)
		}
	}
	return all
}
