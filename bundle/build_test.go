package bundle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newDir makes a bundle of the modules that are named, and the files.
func newDir(t *testing.T, modules []string, files map[string]string) *Dir {
	t.Helper()
	path := t.TempDir()
	manifest := "modules:\n"
	for _, m := range modules {
		name, file, _ := strings.Cut(m, "=")
		manifest += "  - {name: " + name + ", file: " + file + "}\n"
	}
	manifest += "bindings:\n"
	for _, m := range modules {
		name, _, _ := strings.Cut(m, "=")
		manifest += "  - {module: " + name + ", event: policy, collections: [posts]}\n"
	}
	files[ManifestFile] = manifest
	for name, content := range files {
		at := filepath.Join(path, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		name    string
		modules []string
		files   []string
		want    string // MODULE LANGUAGE FOLDER, …
		err     string
	}{
		{"beside the manifest", []string{"a=a.wasm"}, []string{"go.mod"}, "a go .", ""},
		{"in a folder of the module's name", []string{"a=a.wasm", "b=out/b.wasm"}, []string{"a/go.mod", "b/x.c"}, "a go a, b c b", ""},
		{"a module without sources", []string{"a=a.wasm", "b=b.wasm"}, []string{"a/go.mod"}, "a go a, b - -", ""},
		{"every language by its file", []string{"a=a.wasm", "b=b.wasm", "c=c.wasm", "d=d.wasm", "e=e.js", "f=f.ts"}, []string{"a/go.mod", "b/src/lib.rs", "c/assembly/index.ts", "d/d.c"},
			"a go a, b rust b, c assemblyscript c, d c d, e js ., f js .", ""},
		{"two modules of one folder are refused", []string{"a=a.wasm", "b=b.wasm"}, []string{"go.mod"}, "", "a and b would both be built"},
		{"a name that leads out of the bundle is no folder", []string{"..=a.wasm"}, []string{}, ".. - -", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for _, f := range c.files {
				files[f] = ""
			}
			d := newDir(t, c.modules, files)
			sources, err := d.Sources()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range sources {
				language, dir := "-", "-"
				if s.Language != nil {
					language = s.Language.Name
					dir, _ = filepath.Rel(d.Path, s.Dir)
				}
				got = append(got, s.Module.Name+" "+language+" "+dir)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %s, want %s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

func TestStale(t *testing.T) {
	d := newDir(t, []string{"a=a.wasm"}, map[string]string{"go.mod": "", "main.go": "", "a.wasm": "", "node_modules/x.go": "", "notes.txt": "", ".git/x.go": ""})
	set := func(name string, age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(d.Path, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	stale := func() int {
		t.Helper()
		list, err := d.Stale()
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	set("go.mod", time.Hour)
	set("main.go", time.Hour)
	set("a.wasm", time.Minute)
	if stale() != 0 {
		t.Error("a module younger than its sources is taken for old")
	}
	set("main.go", time.Second)
	if stale() != 1 {
		t.Error("a source that was changed is not seen")
	}
	set("main.go", time.Hour)
	if err := os.Remove(filepath.Join(d.Path, "a.wasm")); err != nil {
		t.Fatal(err)
	}
	if stale() != 1 {
		t.Error("a missing module is not seen")
	}
}

func TestBuild(t *testing.T) {
	source := func(d *Dir) *Source {
		t.Helper()
		all, err := d.Sources()
		if err != nil {
			t.Fatal(err)
		}
		return &all[0]
	}
	goFiles := map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"}
	t.Run("a module is written and its size is said", func(t *testing.T) {
		d := newDir(t, []string{"a=out/a.wasm"}, goFiles)
		built, err := d.Build(context.Background(), source(d))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(d.Path, "out", "a.wasm"))
		if err != nil || !strings.HasPrefix(string(raw), "\x00asm") || built.Bytes != int64(len(raw)) || built.Language != "go" {
			t.Fatalf("%+v, %v", built, err)
		}
	})
	t.Run("what does not build leaves the module as it was", func(t *testing.T) {
		d := newDir(t, []string{"a=a.wasm"}, map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { oops() }\n", "a.wasm": "old"})
		var failed *BuildError
		if _, err := d.Build(context.Background(), source(d)); !errors.As(err, &failed) || !strings.Contains(failed.Output, "main.go:3") {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(d.Path)
		if raw, _ := os.ReadFile(filepath.Join(d.Path, "a.wasm")); err != nil || string(raw) != "old" || len(entries) != 4 {
			t.Fatalf("%q, %v, %v", raw, entries, err)
		}
	})
	t.Run("a file outside of the bundle is not written", func(t *testing.T) {
		d := newDir(t, []string{"a=../a.wasm"}, goFiles)
		if _, err := d.Build(context.Background(), source(d)); err == nil || !strings.Contains(err.Error(), "outside of the bundle") {
			t.Fatal(err)
		}
	})
	t.Run("a missing tool is one sentence that says how to get it", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		for _, c := range []struct{ file, tool, get string }{
			{"go.mod", "go", "https://go.dev/dl"},
			{"x.c", "clang", "apt install clang lld"},
			{"src/lib.rs", "rustc", "apt install rustc libstd-rust-dev-wasm32"},
			{"assembly/index.ts", "asc", "npm install"},
		} {
			d := newDir(t, []string{"a=a.wasm"}, map[string]string{c.file: ""})
			var missing *ToolError
			if _, err := d.Build(context.Background(), source(d)); !errors.As(err, &missing) || missing.Tool != c.tool || !strings.Contains(err.Error(), c.get) {
				t.Errorf("%s: %v", c.file, err)
			}
		}
	})
	t.Run("a module without sources cannot be built", func(t *testing.T) {
		d := newDir(t, []string{"a=a.wasm"}, map[string]string{"a.wasm": ""})
		if _, err := d.Build(context.Background(), source(d)); err == nil || !strings.Contains(err.Error(), "no sources") {
			t.Fatal(err)
		}
	})
}
