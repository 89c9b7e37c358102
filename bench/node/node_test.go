package node

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestDocumentsAreJSONOf500Bytes(t *testing.T) {
	var before []byte
	for _, i := range []int{0, 1, 9, 10, 99_999, 10_000_000} {
		doc := AppendDocument(nil, i, NoOwner)
		if !json.Valid(doc) || len(doc) < 480 || len(doc) > 600 {
			t.Errorf("%d bytes: %s", len(doc), doc)
		}
		id := AppendID(nil, i)
		if len(id) != 24 || bytes.Compare(before, id) >= 0 {
			t.Errorf("%s comes behind %s", id, before)
		}
		before = id
	}
}

func TestCopiesKeepModes(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "to")
	if err := os.MkdirAll(filepath.Join(from, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "a", "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(to, from); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(to, "a", "secret"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 1 {
		t.Errorf("%v %v", info, err)
	}
}
