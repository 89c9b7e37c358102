package kv_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// comparePlans has a query answered by the plan that is chosen and then by
// each that could be, and holds what Explain says against what happens. Nobody
// else may query the database meanwhile.
func comparePlans(t rapid.TB, db *kv.DB, s *kv.Snapshot, c *kv.Collection, docs []stored, q *kv.Query) {
	defer db.SetTestPlan(nil)
	db.SetTestPlan(nil)
	compareQuery(t, s, c, docs, q)
	page := find(t, s, c, q)
	e, err := s.Explain(context.Background(), c, q)
	if err != nil {
		t.Fatal(err)
	}
	if e.Plan != page.Plan || e.Examined != page.Examined || e.Returned != len(page.Docs) || e.Total != page.Total {
		t.Fatalf("%+v: found by %s, %d examined, %d returned, total %d, and explained as %+v", q, page.Plan, page.Examined, len(page.Docs), page.Total, e)
	}
	chosen := slices.IndexFunc(e.Considered, func(w kv.Considered) bool { return w.Chosen })
	if chosen < 0 || says(page) != e.Considered[chosen].Plan {
		t.Fatalf("%+v by %s: the chosen plan is none of %+v", q, page.Plan, e.Considered)
	}
	plans := 0 // to choose from; 0 where there is no choice
	for i := 0; i == 0 || i < plans; i++ {
		db.SetTestPlan(func(n int) int { plans = n; return min(i, n-1) })
		forced := find(t, s, c, q)
		if plans == 0 {
			return
		}
		if plans != len(e.Considered) {
			t.Fatalf("%+v: %d plans, explained as %+v", q, plans, e.Considered)
		}
		w := e.Considered[i]
		if says(forced) != w.Plan || strings.HasSuffix(forced.Plan, "+sort") == w.Ordered {
			t.Fatalf("%+v: plan %s is explained as %+v", q, forced.Plan, w)
		}
		if !w.Guessed && forced.Examined > w.Keys {
			t.Fatalf("%+v: %d examined by %+v", q, forced.Examined, w)
		}
		compareQuery(t, s, c, docs, q)
		compareBudget(t, s, c, q, forced)
	}
}

// says is the name of the plan of a page, without whether it was sorted.
func says(p *kv.Page) string { return strings.TrimSuffix(p.Plan, "+sort") }

// compareBudget asks again with just as much budget as it took, and with one
// document less.
func compareBudget(t rapid.TB, s *kv.Snapshot, c *kv.Collection, q *kv.Query, page *kv.Page) {
	if q.Total || page.Examined < 2 {
		return // counting entries is paid from the budget as well
	}
	tight := *q
	tight.Budget = page.Examined
	if again := find(t, s, c, &tight); !slices.Equal(idsOf(again.Docs), idsOf(page.Docs)) {
		t.Fatalf("%+v by %s: %d found with a budget of %d", q, page.Plan, len(again.Docs), tight.Budget)
	}
	tight.Budget--
	var e *kv.BudgetError
	if _, err := s.Find(context.Background(), c, &tight); !errors.As(err, &e) || e.Examined != tight.Budget {
		t.Fatalf("%+v by %s: a budget of %d where %d are needed: %v", q, page.Plan, tight.Budget, page.Examined, err)
	}
}

func find(t rapid.TB, s *kv.Snapshot, c *kv.Collection, q *kv.Query) *kv.Page {
	page, err := s.Find(context.Background(), c, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return page
}

// TestPagesGoOnWhileDocumentsChange walks a result page by page, each from a
// new snapshot and by any plan, while documents come, go and change their place
// in between: each page has exactly what follows the last one in the state of
// its moment.
func TestPagesGoOnWhileDocumentsChange(t *testing.T) {
	db := kvtest.Open(t)
	db.NoSync()
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		db.SetTestPlan(func(n int) int { return pick(n) })
		defer db.SetTestPlan(nil)
		indexes := rapid.SliceOfNDistinct(rapid.SampledFrom(indexNames), 0, 4, rapid.ID).Draw(t, "indexes")
		put := func(id kv.DocID) kv.Op { return kvtest.Put("posts", id, randomDoc(t, id)) }
		ops := []kv.Op{kvtest.Ordered(kvtest.Collection("posts"), indexes...)}
		for i := range pick(25) {
			ops = append(ops, put(kvtest.ID(i)))
		}
		change := func(ops ...kv.Op) {
			r, err := db.Apply([]*kv.Batch{kvtest.Batch(ops...)})
			if err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
		}
		change(kv.Op{Kind: kv.OpDropCollection, Name: "posts"})
		change(ops...)
		q := randomQuery(t)
		q.Skip = 0
		if len(q.Sort) > 0 && pick(2) == 0 { // a fixed field is left out of the order; unless it holds arrays
			v, _ := kv.Raw([]byte(rapid.SampledFrom(texts).Draw(t, "value")))
			q.Where = []kv.Predicate{is(q.Sort[0].Path, kv.Eq, v)}
		}
		var last *stored // document of the page before
		for {
			s, err := db.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			done := sync.OnceFunc(s.Close) // also when the page is wrong
			t.Cleanup(done)
			c, _ := s.Collection("posts")
			var now []stored
			for _, d := range find(t, s, c, &kv.Query{Limit: 1000}).Docs {
				now = append(now, stored{d.ID, kvtest.Decode(d.JSON)})
			}
			all := naive(now, q)
			total := int64(len(all))
			all = slices.DeleteFunc(all, func(id kv.DocID) bool {
				at := slices.IndexFunc(now, func(d stored) bool { return d.id == id })
				return last != nil && inOrder(q)(now[at], *last) <= 0
			})
			page := find(t, s, c, q)
			got := idsOf(page.Docs)
			if want := all[:min(q.Limit, len(all))]; !slices.Equal(got, want) {
				t.Fatalf("%+v by %s:\ngot  %v\nwant %v", q, page.Plan, got, want)
			}
			if q.Total && page.Total != total {
				t.Fatalf("%+v by %s: total %d of %d", q, page.Plan, page.Total, total)
			}
			if page.Next == nil && len(all) > len(got) {
				t.Fatalf("%+v by %s: no next page, and %d follow", q, page.Plan, len(all)-len(got))
			}
			if page.Next == nil {
				done()
				return
			}
			end := page.Docs[len(page.Docs)-1]
			last, q.After = &stored{end.ID, kvtest.Decode(end.JSON)}, page.Next
			done()
			var ops []kv.Op
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 0, 3, rapid.ID).Draw(t, "changed") {
				if id := kvtest.ID(n); pick(3) == 0 {
					ops = append(ops, kvtest.Delete("posts", id))
				} else {
					ops = append(ops, put(id))
				}
			}
			change(ops...)
		}
	})
}

// TestAPositionInAnArrayStaysOne: a page ended at a document that matched by an
// element. Once it is gone the index is in order, and the position is none of
// its entries.
func TestAPositionInAnArrayStaysOne(t *testing.T) {
	for _, indexes := range [][]string{{}, {"a"}, {"a,b"}} {
		for _, desc := range []bool{false, true} {
			db := kvtest.Open(t)
			kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("posts"), indexes...))
			kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(2), `{"a":[1],"b":1}`), kvtest.Put("posts", kvtest.ID(1), `{"a":1,"b":1}`), kvtest.Put("posts", kvtest.ID(3), `{"a":1,"b":2}`), kvtest.Put("posts", kvtest.ID(4), `{"a":[1,5]}`))
			q := &kv.Query{Where: []kv.Predicate{is("a", kv.Eq, number("1"))}, Sort: []kv.SortKey{{Path: "a", Desc: desc}}, Limit: 1}
			var want []kv.DocID // numbers come before arrays
			if desc {
				want = []kv.DocID{kvtest.ID(3), kvtest.ID(1)}
			}
			s := view(t, db)
			c, _ := s.Collection("posts")
			for last := (kv.DocID{}); last != kvtest.ID(2); {
				page := find(t, s, c, q)
				last, q.After = page.Docs[0].ID, page.Next
			}
			kvtest.Commit(t, db, kvtest.Delete("posts", kvtest.ID(2)), kvtest.Delete("posts", kvtest.ID(4)))
			s = view(t, db)
			q.Limit = 10
			for plan := range 2 {
				db.SetTestPlan(func(n int) int { return min(plan, n-1) })
				if page := find(t, s, c, q); !slices.Equal(idsOf(page.Docs), want) {
					t.Errorf("desc %t by %s: got %v, want %v", desc, page.Plan, idsOf(page.Docs), want)
				}
			}
		}
	}
}
