package runtime_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// going is the first commit after one that removed a member.
func going(t *testing.T, p *project.Project, id string, after uint64) uint64 {
	t.Helper()
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for {
		changes, err := snap.Changes(after, 500)
		if err != nil || len(changes) == 0 {
			t.Fatalf("the going of a member is not in the log: %v", err)
		}
		for _, c := range changes {
			after = c.Commit
			for _, op := range c.Ops {
				if op.Kind == kv.OpDelete && op.Collection == "members" && op.ID.String() == id {
					return c.Commit
				}
			}
		}
	}
}

// change rewrites a user's document past every rule.
func change(t *testing.T, p *project.Project, id, old, new string) {
	t.Helper()
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := snap.Collection(project.Users)
	docID, _ := kv.ParseDocID([]byte(id))
	doc, err := snap.Get(c, docID)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Replace(doc.JSON, []byte(old), []byte(new), 1)
	snap.Close()
	b := &kv.Batch{Time: time.Now().UnixMilli(), Ops: []kv.Op{{Kind: kv.OpPut, Collection: project.Users, ID: docID, Value: text}}}
	if _, err := rand.Read(b.ID[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DB.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}
