package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// stored makes a data directory with the projects one ("blog") and two, and half of their documents deleted.
func stored(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for id, name := range map[string]string{"one": "blog", "two": "shop"} {
		db, err := kv.Open(filepath.Join(dir, "projects", id), kv.Options{MapSize: 1 << 28})
		if err != nil {
			t.Fatal(err)
		}
		kvtest.Commit(t, db, kvtest.Collection("posts", "k"), kv.Op{Kind: kv.OpSetting, Name: "project", Value: fmt.Appendf(nil, `{"name":%q}`, name)})
		var put, remove []kv.Op
		for i := range 1000 {
			put = append(put, kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"k":%d,"x":"%s"}`, i, strings.Repeat("x", 500))))
			if i >= 100 {
				remove = append(remove, kvtest.Delete("posts", kvtest.ID(i)))
			}
		}
		kvtest.Commit(t, db, put...)
		kvtest.Commit(t, db, remove...)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckAndCompact(t *testing.T) {
	t.Run("sound projects are called sound", func(t *testing.T) {
		stdout, stderr, code := call("check", "--dir", stored(t))
		if code != exitDone || stderr != "" || !strings.Contains(stdout, "blog (one): sound, 100 documents, 100 index entries") || !strings.Contains(stdout, "shop (two): sound") {
			t.Errorf("exit %d: %s%s", code, stdout, stderr)
		}
	})
	t.Run("one project is chosen by name or id", func(t *testing.T) {
		dir := stored(t)
		for _, name := range []string{"blog", "one"} {
			if stdout, _, code := call("check", "--dir", dir, "--project", name); code != exitDone || !strings.Contains(stdout, "blog") || strings.Contains(stdout, "shop") {
				t.Errorf("exit %d: %s", code, stdout)
			}
		}
	})
	t.Run("damage is told, and the exit code says so", func(t *testing.T) {
		dir := stored(t)
		path := filepath.Join(dir, "projects", "one", "data.db")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.LastIndex(string(data), `{"k":50,`)
		data[at+5] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, "projects", "two", "data.db"), 5000); err != nil {
			t.Fatal(err)
		}
		stdout, _, code := call("check", "--dir", dir)
		if code != exitFailed || !strings.Contains(stdout, "blog (one): ") || !strings.Contains(stdout, "document posts/") || !strings.Contains(stdout, "checksum differs") || !strings.Contains(stdout, "cut short") {
			t.Errorf("exit %d: %s", code, stdout)
		}
		stdout, _, code = call("check", "--dir", dir, "--json")
		var got struct {
			OK       bool
			Projects []checked
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != exitFailed || got.OK || len(got.Projects) != 2 || len(got.Projects[0].Problems) == 0 || len(got.Projects[1].Problems) != 1 {
			t.Errorf("exit %d: %s, %v", code, stdout, err)
		}
	})
	t.Run("a compacted project is smaller and sound", func(t *testing.T) {
		dir := stored(t)
		path := filepath.Join(dir, "projects", "one", "data.db")
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := call("compact", "--dir", dir, "--project", "blog")
		if code != exitDone || stderr != "" || !strings.HasPrefix(stdout, "blog (one): ") {
			t.Errorf("exit %d: %s%s", code, stdout, stderr)
		}
		after, err := os.Stat(path)
		if err != nil || after.Size() > before.Size()/2 {
			t.Errorf("%d bytes became %d, %v", before.Size(), after.Size(), err)
		}
		if stdout, _, code := call("check", "--dir", dir); code != exitDone || !strings.Contains(stdout, "blog (one): sound, 100 documents") {
			t.Errorf("exit %d: %s", code, stdout)
		}
		stdout, _, _ = call("compact", "--dir", dir, "--json")
		var got struct{ Projects []compacted }
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Projects) != 2 || got.Projects[1].After >= got.Projects[1].Before {
			t.Errorf("%s, %v", stdout, err)
		}
	})
	for _, verb := range []string{"check", "compact"} {
		t.Run(verb+" leaves a running node alone", func(t *testing.T) {
			dir := stored(t)
			db, err := kv.Open(filepath.Join(dir, "projects", "one"), kv.Options{MapSize: 1 << 28})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, stderr, code := call(verb, "--dir", dir); code != exitFailed || !strings.Contains(stderr, "stop the node") {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("posts", kvtest.ID(1), `{}`))); err != nil {
				t.Error(err)
			}
		})
		t.Run(verb+" makes no project where there is none", func(t *testing.T) {
			dir := t.TempDir()
			if _, stderr, code := call(verb, "--dir", dir); code != exitUsage || !strings.Contains(stderr, "--dir") {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if _, stderr, code := call(verb, "--dir", stored(t), "--project", "none"); code != exitUsage || !strings.Contains(stderr, `"none"`) {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("made %v", left)
			}
		})
	}
}
