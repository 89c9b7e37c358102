package kv_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// A collection too large for its index to be built in one commit.
const many = 7000

// history is what happens to a collection: it is filled, gets indexes, and is
// written to while they are built. Each batch is the same wherever it is made.
func history() (before, after []*kv.Batch) {
	number := 0
	batch := func(ops ...kv.Op) *kv.Batch {
		number++
		return &kv.Batch{ID: kv.BatchID{1, byte(number), byte(number >> 8)}, Time: 1, Ops: ops}
	}
	text := func(i, v int) string {
		return fmt.Sprintf(`{"_id":"%s","n":%d,"tags":[%d,"t"],"deep":{"x":%d}}`, kvtest.ID(i), v*7919%1000, v%5, v%3)
	}
	before = append(before, batch(kvtest.Collection("posts")))
	for i := 0; i < many; i += 500 {
		var ops []kv.Op
		for k := i; k < i+500; k++ {
			ops = append(ops, kvtest.Put("posts", kvtest.ID(2*k), text(2*k, k)))
		}
		before = append(before, batch(ops...))
	}
	before = append(before, batch(kvtest.Ordered(kvtest.Collection("posts"), "n", "tags,deep.x")))
	for i := range 300 {
		k := i * 7919 % (2 * many)
		ops := []kv.Op{kvtest.Put("posts", kvtest.ID(k), text(k, i)), kvtest.Delete("posts", kvtest.ID((k+2*many/3)%(2*many)))}
		after = append(after, batch(ops...))
	}
	return before, after
}

func apply(t *testing.T, db *kv.DB, batches ...*kv.Batch) {
	t.Helper()
	results, err := db.Apply(batches)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// finish waits until no index is being built.
func finish(t *testing.T, db *kv.DB) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); len(building(t, db)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still building %+v", building(t, db))
		}
	}
}

func building(t *testing.T, db *kv.DB) []kv.Progress {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Building()
}

func ready(t *testing.T, db *kv.DB) bool {
	t.Helper()
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, _ := s.Collection("posts")
	return !slices.ContainsFunc(c.Indexes, func(x kv.Index) bool { return !x.Ready })
}

// gate holds the builder up before each step. step lets one through and waits
// until it is done; open lets all through.
type gate struct {
	arrived, pass chan struct{}
	free          atomic.Bool
}

func newGate(db *kv.DB) *gate {
	g := &gate{arrived: make(chan struct{}), pass: make(chan struct{})}
	db.SetTestHook(func(point string) {
		if point == "before build step" && !g.free.Load() {
			g.arrived <- struct{}{}
			<-g.pass
		}
	})
	return g
}

func (g *gate) wait() { <-g.arrived }
func (g *gate) step() { g.pass <- struct{}{}; <-g.arrived }
func (g *gate) open() { g.free.Store(true); g.pass <- struct{}{} }

func sameLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if line(got, i) != line(want, i) {
			t.Fatalf("line %d of %d and %d:\n%s\n%s", i, len(got), len(want), line(got, i), line(want, i))
		}
	}
}

func TestBuild(t *testing.T) {
	before, after := history()
	// The index is there from the start in one, and built undisturbed in the other.
	first := open(t, t.TempDir())
	t.Cleanup(func() { first.Close() })
	apply(t, first, before[0])
	apply(t, first, before[len(before)-1])
	apply(t, first, before[1:len(before)-1]...)
	apply(t, first, after...)
	undisturbed := open(t, t.TempDir())
	t.Cleanup(func() { undisturbed.Close() })
	apply(t, undisturbed, before...)
	finish(t, undisturbed)
	apply(t, undisturbed, after...)
	want := undisturbed.Dump()
	entries := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "78") })
	}

	t.Run("an index built later equals one that was there from the start", func(t *testing.T) {
		if len(entries(want)) < 3*many {
			t.Errorf("only %d entries", len(entries(want)))
		}
		sameLines(t, entries(want), entries(first.Dump()))
		sound(t, undisturbed)
	})
	t.Run("writes, a crash and a reopen in the middle make no difference", func(t *testing.T) {
		dir := t.TempDir()
		db := open(t, dir)
		g := newGate(db)
		apply(t, db, before...)
		g.wait()
		for i, b := range after {
			if i%50 == 20 && i < 130 {
				g.step()
			}
			if i == 130 {
				p := building(t, db)
				if len(p) == 0 || p[0].Done == 0 || p[0].Done > p[0].Total || p[0].Total != many || p[0].Collection != "posts" {
					t.Errorf("progress %+v", p)
				}
				sound(t, db)
				// The process is gone here; another one goes on with its files.
				next := restore(t, read(t, dir, "data.db"), read(t, dir, "identity"))
				g.open()
				db.Close()
				db = open(t, next)
			}
			apply(t, db, b)
		}
		t.Cleanup(func() { db.Close() })
		finish(t, db)
		sameLines(t, db.Dump(), want)
		sound(t, db)
	})
	t.Run("an unfinished index is not used", func(t *testing.T) {
		db := open(t, t.TempDir())
		t.Cleanup(func() { db.Close() })
		g := newGate(db)
		apply(t, db, before...)
		g.wait()
		g.step()
		where := []kv.Predicate{{Path: "n", Op: kv.Eq, Values: []kv.Value{number("7")}}}
		find := func() *kv.Page {
			s := view(t, db)
			c, _ := s.Collection("posts")
			page, err := s.Find(context.Background(), c, &kv.Query{Where: where})
			if err != nil {
				t.Fatal(err)
			}
			return page
		}
		page := find()
		if page.Plan != "scan" || ready(t, db) {
			t.Errorf("plan %s", page.Plan)
		}
		g.open()
		finish(t, db)
		if again := find(); again.Plan != "index:n" || !slices.Equal(idsOf(again.Docs), idsOf(page.Docs)) || len(page.Docs) == 0 {
			t.Errorf("plan %s, %d documents of %d", again.Plan, len(again.Docs), len(page.Docs))
		}
		if !ready(t, db) {
			t.Error("complete, but not ready")
		}
	})
	for name, op := range map[string]kv.Op{
		"an index":     kvtest.Ordered(kvtest.Collection("posts"), "tags,deep.x"),
		"a collection": {Kind: kv.OpDropCollection, Name: "posts"},
	} {
		t.Run(name+" is dropped while it is built", func(t *testing.T) {
			db := open(t, t.TempDir())
			t.Cleanup(func() { db.Close() })
			g := newGate(db)
			apply(t, db, before...)
			g.wait()
			g.step()
			kvtest.Commit(t, db, op)
			sound(t, db)
			g.open()
			finish(t, db)
			sound(t, db)
		})
	}
}
