package disk_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/blobtest"
	"github.com/sluice-edge/sluice/blobs/disk"
)

func openAt(t testing.TB) *disk.Backend { return open(t, filepath.Join(t.TempDir(), "blobs")) }

func nobody(context.Context, blobs.Hash) (bool, error) { return false, nil }

func open(t testing.TB, root string) *disk.Backend {
	t.Helper()
	b, err := disk.Open(root, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// files returns every file under a directory, by its path below it.
func files(t *testing.T, root string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return found
}

func where(root string, h blobs.Hash) string {
	return filepath.Join(root, h.String()[:2], h.String())
}

func TestDisk(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Fixture {
		dir := t.TempDir()
		root := filepath.Join(dir, "blobs")
		return blobtest.Fixture{
			Backend: open(t, root),
			Other:   open(t, filepath.Join(dir, "other")),
			Leftovers: func(t *testing.T) (left []string) {
				for _, path := range files(t, root) {
					folder, name := filepath.Split(path)
					h, err := blobs.ParseHash(name)
					_, uploadErr := blobs.ParseUploadID(name)
					if !(err == nil && folder == h.String()[:2]+"/") && !(uploadErr == nil && folder == "uploads/") {
						left = append(left, path)
					}
				}
				return left
			},
			Damage: func(t *testing.T, h blobs.Hash) {
				content, err := os.ReadFile(where(root, h))
				if err != nil {
					t.Fatal(err)
				}
				content[len(content)/2] ^= 1
				if err := os.WriteFile(where(root, h), content, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			KeepsOpen: true,
		}
	})
}

func put(t *testing.T, b blobs.Backend, text string) blobs.Hash {
	t.Helper()
	in, err := b.Receive(t.Context(), strings.NewReader(text), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	return in.Object().Hash
}

func TestModes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	b := open(t, root)
	put(t, b, "object")
	if _, err := b.Stage(t.Context(), blobs.UploadID{1}, strings.NewReader("upload"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(t.Context(), strings.NewReader("arriving"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		if want := map[bool]fs.FileMode{false: 0o600, true: fs.ModeDir | 0o700}[d.IsDir()]; info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return nil
	})
	if err != nil || seen != 7 {
		t.Fatalf("%d files and directories, %v", seen, err)
	}
}

func TestOpen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	b := open(t, root)
	if found := files(t, filepath.Dir(root)); len(found) > 0 {
		t.Fatalf("opening made %q", found)
	}
	h := put(t, b, "whole")
	if _, err := b.Receive(t.Context(), strings.NewReader("the process dies before this is placed"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, root)); n != 2 {
		t.Fatalf("%d files", n)
	}
	if _, err := disk.Open(root, disk.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, root)); n != 2 {
		t.Fatalf("%d files after a look at what another process may be writing", n)
	}
	b = open(t, root)
	if found := files(t, root); len(found) != 1 || found[0] != h.String()[:2]+"/"+h.String() {
		t.Fatalf("after the next start there are %q", found)
	}
	if _, err := b.Stat(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

// What could not be removed when its write failed is removed by a sweep; what is being written stays, however long it takes.
func TestTidy(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	b := open(t, root)
	in, err := b.Receive(t.Context(), strings.NewReader("arriving"), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "tmp", "left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(1000 * time.Hour) }})
	if _, err := s.Sweep(t.Context(), func(context.Context, blobs.Hash) (bool, error) { return true, nil }, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := in.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := files(t, root); len(found) != 1 || strings.HasPrefix(found[0], "tmp/") {
		t.Fatalf("there are %q", found)
	}
}

// What somebody else has put there is neither an object nor removed.
func TestStrangers(t *testing.T) {
	root := filepath.Join(t.TempDir(), "blobs")
	b := open(t, root)
	h := put(t, b, "ours")
	other, third := blobs.Hash{1}, blobs.Hash{2}
	for _, path := range []string{
		filepath.Join(root, "README"),
		filepath.Join(root, h.String()[:2], "README"),
		filepath.Join(root, h.String()[:2], other.String()), // in the wrong directory
		filepath.Join(root, "lost+found", "x"),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, make := range map[string]func(string) error{
		where(root, other): func(path string) error { return os.MkdirAll(path, 0o700) },
		where(root, third): func(path string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(where(root, h), path))
		},
	} {
		if err := make(path); err != nil {
			t.Fatal(err)
		}
	}
	s := blobs.New(b, blobs.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if checked, err := s.Check(t.Context(), func(info blobs.Info, err error) { t.Errorf("%s: %v", info.Hash, err) }); err != nil || checked.Objects != 1 {
		t.Errorf("checked %+v, %v", checked, err)
	}
	if swept, err := s.Sweep(t.Context(), nobody, 0); err != nil || swept.Objects != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if found := files(t, root); len(found) != 5 {
		t.Errorf("left are %q", found)
	}
	for _, h := range []blobs.Hash{other, third} {
		if _, err := s.Stat(t.Context(), h); !errors.Is(err, blobs.ErrUnavailable) {
			t.Errorf("stat of what is no file: %v", err)
		}
	}
	if _, err := s.Open(t.Context(), other); !errors.Is(err, blobs.ErrUnavailable) {
		t.Errorf("open of a directory: %v", err)
	}
}

// A project's directory that is gone is a store that does not work, not an object that is not there.
func TestDirectoryGone(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "gone", "blobs"))
	_, err := b.Receive(t.Context(), strings.NewReader("x"), blobs.NoLimit)
	if !errors.Is(err, blobs.ErrUnavailable) || errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("put: %v", err)
	}
	if _, err := b.Stat(t.Context(), blobs.Hash{}); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}
}

// A source that reads from a file of its own may fail with its own errors.
func TestSourceIsNoDisk(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "blobs"))
	for _, cause := range []error{&fs.PathError{Op: "read", Path: "x", Err: syscall.ENOSPC}, fs.ErrNotExist} {
		_, err := b.Receive(t.Context(), iotest.ErrReader(cause), blobs.NoLimit)
		source := (*blobs.SourceError)(nil)
		if !errors.As(err, &source) || errors.Is(err, blobs.ErrFull) || errors.Is(err, blobs.ErrNotFound) || errors.Is(err, blobs.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
}
