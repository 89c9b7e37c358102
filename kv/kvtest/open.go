package kvtest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// Open opens a new database in a temporary directory. When the test ends it
// is checked and closed.
func Open(t testing.TB) *kv.DB {
	t.Helper()
	return OpenAt(t, t.TempDir(), kv.Options{})
}

// OpenAt opens the database in dir. When the test ends it is checked and
// closed, unless the test closed it before.
func OpenAt(t testing.TB, dir string, opt kv.Options) *kv.DB {
	t.Helper()
	if opt.MapSize == 0 {
		opt.MapSize = 1 << 28 // many at once fit under the race detector
	}
	db, err := kv.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		Check(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Check fails the test for every problem in the file of an open database.
func Check(t testing.TB, db *kv.DB) {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		return // closed
	}
	s.Close()
	report, err := db.Check(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	for _, p := range report.Problems {
		t.Errorf("check: %s: %s", p.Where, p.What)
	}
}

// Batch makes a batch with a random id.
func Batch(ops ...kv.Op) *kv.Batch {
	b := &kv.Batch{Time: time.Now().UnixMilli(), Ops: ops}
	_, _ = rand.Read(b.ID[:])
	return b
}

// Commit commits a batch that must pass.
func Commit(t testing.TB, db *kv.DB, ops ...kv.Op) uint64 {
	t.Helper()
	commit, err := db.Commit(context.Background(), Batch(ops...))
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// Collection is the operation that defines a collection with a unique index
// of one field for each of fields, named like the field.
func Collection(name string, fields ...string) kv.Op {
	def := []byte(`{"indexes":[`)
	for i, f := range fields {
		if i > 0 {
			def = append(def, ',')
		}
		def = append(def, `{"name":"`+f+`","fields":["`+f+`"],"unique":true}`...)
	}
	return kv.Op{Kind: kv.OpCollection, Name: name, Value: append(def, "]}"...)}
}

// Ordered adds to the definition of a collection an ordered index for each of
// indexes, which are fields joined by commas, named like them.
func Ordered(op kv.Op, indexes ...string) kv.Op {
	def := strings.TrimSuffix(string(op.Value), "]}")
	for _, x := range indexes {
		if !strings.HasSuffix(def, "[") {
			def += ","
		}
		def += `{"name":"` + x + `","fields":["` + strings.ReplaceAll(x, ",", `","`) + `"],"unique":false}`
	}
	op.Value = []byte(def + "]}")
	return op
}

// Put is the operation that stores a document.
func Put(collection string, id kv.DocID, json string) kv.Op {
	return kv.Op{Kind: kv.OpPut, Collection: collection, ID: id, Value: []byte(json)}
}

// Delete is the operation that removes a document.
func Delete(collection string, id kv.DocID) kv.Op {
	return kv.Op{Kind: kv.OpDelete, Collection: collection, ID: id}
}

// ID is the document id with that number at its end.
func ID(n int) (id kv.DocID) {
	id[8], id[9], id[10], id[11] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return id
}
