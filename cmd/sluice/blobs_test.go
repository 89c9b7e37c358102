package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhereFilesAre(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"an unknown place", []string{"serve", "--blobs", "tape"}, `"tape" is neither disk nor s3`},
		{"a service that is not named", []string{"serve", "--blobs", "s3"}, "a bucket is needed"},
		{"half of the keys", []string{"serve", "--blobs", "s3", "--s3-endpoint", "https://s3.example.com", "--s3-bucket", "b", "--s3-access-key", "k"}, "belong together"},
		{"together with other mistakes", []string{"serve", "--blobs", "tape", "--connections", "0"}, "--connections"},
		{"check", []string{"check", "--dir", stored(t), "--blobs", "tape"}, "tape"},
		{"a move to nowhere", []string{"move-files", "--to", "tape"}, `"tape"`},
		{"a move without a service", []string{"move-files", "--to", "s3"}, "a bucket is needed"},
		{"a move from a service that is not named", []string{"move-files", "--to", "disk"}, "a bucket is needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, stderr, code := call(c.args...); code != exitUsage || !strings.Contains(stderr, c.says) {
				t.Errorf("exit %d: %s", code, stderr)
			}
		})
	}
}

// A directory whose files are elsewhere is refused, before every file of it is missing.
func TestNotedPlace(t *testing.T) {
	const service = "s3 https://s3.example.com files/node"
	for _, c := range []struct {
		name  string
		files map[string]string // of the directory
		place string
		ok    bool
	}{
		{"a new directory, on disk", nil, onDisk, true},
		{"a new directory, at a service", nil, service, true},
		{"without files yet, at a service", map[string]string{"projects/p/data.db": ""}, service, true},
		{"with files on disk, on disk", map[string]string{"projects/p/blobs/ab/x": ""}, onDisk, true},
		{"with files on disk, at a service", map[string]string{"projects/p/blobs/ab/x": ""}, service, false},
		{"with files at a service, there", map[string]string{"projects/p/data.db": "", "blobs": service + "\n"}, service, true},
		{"with files at a service, on disk", map[string]string{"projects/p/data.db": "", "blobs": service + "\n"}, onDisk, false},
		{"with files at a service, at another", map[string]string{"projects/p/data.db": "", "blobs": service + "\n"}, service + "2", false},
		{"moved, the old ones still on disk", map[string]string{"projects/p/blobs/ab/x": "", "blobs": service + "\n"}, service, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := &blobPlace{dir: dir, name: c.place}
			err := p.agrees()
			if c.ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "move-files") {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			for range 2 {
				if err := p.note(); err != nil {
					t.Fatal(err)
				}
			}
			if is, err := noted(dir); err != nil || is != c.place {
				t.Errorf("noted is %q, %v", is, err)
			}
		})
	}
}
