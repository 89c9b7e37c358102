package scaffold

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "bring the copies of the SDKs up to date")

// source is the file of which a file in _files/LANGUAGE/sdk is a copy.
func source(copied string) string {
	language, name, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(copied), "_files/"), "/sdk/")
	return filepath.Join("..", "..", "sdk", language, strings.TrimSuffix(name, renamed))
}

// TestCopiesAreTheSDKs keeps what a project brings along equal to the SDK, and complete: every file of a kind that is copied.
func TestCopiesAreTheSDKs(t *testing.T) {
	copies := 0
	for _, language := range Languages() {
		root := filepath.Join("_files", language, "sdk")
		if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			copies++
			want, err := os.ReadFile(source(path))
			if err != nil {
				return err
			}
			if *update {
				return os.WriteFile(path, want, 0o644)
			}
			if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
				t.Errorf("%s is not %s; run: go test ./bundle/scaffold -update (%v)", path, source(path), err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if copies < 10 {
		t.Fatalf("only %d copies were found", copies)
	}
	library, err := filepath.Glob("../../sdk/go/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range library {
		if base := filepath.Base(name); !strings.HasSuffix(base, "_test.go") {
			if _, err := os.Stat(filepath.Join("_files/go/sdk", base)); err != nil {
				t.Errorf("the project in Go has no copy of %s", name)
			}
		}
	}
}

func TestWrite(t *testing.T) {
	t.Run("every language has a manifest, a project, cases and sources", func(t *testing.T) {
		for _, language := range Languages() {
			dir := filepath.Join(t.TempDir(), "new", "posts")
			names, err := Write(dir, language)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"sluice.hooks.yaml", "sluice.yaml", "sluice.test.yaml"} {
				if !slices.Contains(names, name) {
					t.Errorf("%s: no %s in %v", language, name, names)
				}
			}
			for _, name := range names {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil || strings.HasSuffix(name, renamed) {
					t.Errorf("%s: %s: %v", language, name, err)
				}
			}
		}
	})
	t.Run("nothing is replaced, and nothing is written beside it", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "sluice.yaml"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		var exists *ExistsError
		if _, err := Write(dir, "go"); !errors.As(err, &exists) || !slices.Equal(exists.Files, []string{"sluice.yaml"}) {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v, %v", entries, err)
		}
	})
	t.Run("a language that is not there is refused with those that are", func(t *testing.T) {
		if _, err := Write(t.TempDir(), "cobol"); err == nil || !strings.Contains(err.Error(), "go") {
			t.Fatal(err)
		}
	})
}
