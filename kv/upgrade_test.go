package kv_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// written lays out a database as an older version of this program left it.
func written(t *testing.T, format string) (dir string, data []byte) {
	t.Helper()
	from := filepath.Join("testdata", format)
	z, err := gzip.NewReader(bytes.NewReader(contents(t, filepath.Join(from, "data.db.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return left(t, map[string][]byte{"data.db": data, "identity": contents(t, filepath.Join(from, "identity"))}), data
}

// formatOf reads the format of a data file that nobody has open.
func formatOf(t *testing.T, dir string) (format []byte) {
	t.Helper()
	b, err := bolt.Open(filepath.Join(dir, "data.db"), 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_ = b.View(func(tx *bolt.Tx) error {
		format = bytes.Clone(tx.Bucket([]byte("m")).Get([]byte("format")))
		return nil
	})
	return format
}

// checkOld checks that what the old version stored is there, and can be used.
func checkOld(t *testing.T, db *kv.DB) {
	t.Helper()
	kvtest.Check(t, db)
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, ok := s.Collection("posts")
	if !ok {
		t.Fatal("the collection is gone")
	}
	for i := range 40 {
		d, err := s.GetUnique(c, "slug", kv.String(fmt.Sprintf("s%d", i)))
		if want := fmt.Sprintf(`{"_id":"%s","slug":"s%d","n":%d,"tag":"t%d"}`, d.ID, i, i, i%3); err != nil || string(d.JSON) != want {
			t.Errorf("%s, %v, want %s", d.JSON, err, want)
		}
	}
	if v, _, ok := s.Setting("config"); !ok || string(v) != `{"a":1}` || s.Counter("visits") != 42 || s.Commit() != 41 {
		t.Errorf("setting %s, counter %d, commit %d", v, s.Counter("visits"), s.Commit())
	}
}

// A user who installs a new version finds everything, and can go back.
func TestOlderFileIsUpgradedAfterACopy(t *testing.T) {
	dir, data := written(t, "format1")
	if got := formatOf(t, dir); !bytes.Equal(got, []byte{0, 1}) {
		t.Fatalf("the test's file is of format %v", got)
	}
	for range 2 {
		db := kvtest.OpenAt(t, dir, kv.Options{})
		checkOld(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if got := formatOf(t, dir); !bytes.Equal(got, []byte{0, 2}) {
			t.Errorf("format %v after it was opened", got)
		}
		if !bytes.Equal(contents(t, filepath.Join(dir, "data.db.format1")), data) {
			t.Error("the copy is not what the file was")
		}
	}
	db := kvtest.OpenAt(t, dir, kv.Options{})
	kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(900), `{"slug":"new"}`))
}

// Whoever only looks changes nothing.
func TestOlderFileIsReadAsItIs(t *testing.T) {
	dir, data := written(t, "format1")
	db, err := kv.Open(dir, kv.Options{ReadOnly: true, MapSize: 1 << 26})
	if err != nil {
		t.Fatal(err)
	}
	checkOld(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, filepath.Join(dir, "data.db")), data) {
		t.Error("the file was changed")
	}
}

// An upgrade that was cut short is finished by the next start.
func TestUpgradeThatWasCutShort(t *testing.T) {
	dir, data := written(t, "format1")
	if err := os.WriteFile(filepath.Join(dir, "data.db.new-123"), data[:4096], 0o600); err != nil { // a part of a copy
		t.Fatal(err)
	}
	db := kvtest.OpenAt(t, dir, kv.Options{})
	checkOld(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data.db.new-123")); err == nil {
		t.Error("the part of a copy is still there")
	}

	dir, data = written(t, "format1")
	if err := os.WriteFile(filepath.Join(dir, "data.db.format1"), data, 0o600); err != nil { // cut before the file was changed
		t.Fatal(err)
	}
	db = kvtest.OpenAt(t, dir, kv.Options{})
	checkOld(t, db)
	if _, err := db.Compact(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	checkOld(t, db)
}
