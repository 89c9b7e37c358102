package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

func is(path string, op kv.Compare, values ...kv.Value) kv.Predicate {
	return kv.Predicate{Path: path, Op: op, Values: values}
}

// shop has 3000 documents: price i%100, owner i%10, day i/10 in text, and rare
// arrays under tags.
func shop(t testing.TB, indexes ...string) *kv.DB {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("shop"), indexes...))
	var ops []kv.Op
	for i := range 3000 {
		ops = append(ops, kvtest.Put("shop", kvtest.ID(i), fmt.Sprintf(`{"_id":"%s","price":%d,"owner":%d,"day":"%04d","tags":["t%d","u"]}`,
			kvtest.ID(i), i%100, i%10, i/10, i%50)))
	}
	kvtest.Commit(t, db, ops...)
	return db
}

func TestIndexPlans(t *testing.T) {
	db := shop(t, "price", "owner,day", "tags")
	one, asc, desc := number("7"), false, true
	by := func(path string, d bool) kv.SortKey { return kv.SortKey{Path: path, Desc: d} }
	for _, tt := range []struct {
		name     string
		q        kv.Query
		plan     string
		examined int
		total    int64
	}{
		{"equality, newest first, reads the page and one more", kv.Query{Where: []kv.Predicate{is("price", kv.Eq, one)}, Limit: 20}, "index:price", 21, -1},
		{"its total is counted by keys", kv.Query{Where: []kv.Predicate{is("price", kv.Eq, one)}, Limit: 20, Total: true}, "index:price", 21, 30},
		{"skipped documents are not read", kv.Query{Where: []kv.Predicate{is("price", kv.Eq, one)}, Skip: 25, Limit: 20}, "index:price", 5, -1},
		{"several values are merged", kv.Query{Where: []kv.Predicate{is("price", kv.In, one, number("8"))}, Limit: 20}, "index:price", 21, -1},
		{"a range in its order", kv.Query{Where: []kv.Predicate{is("price", kv.Gte, one)}, Sort: []kv.SortKey{by("price", asc)}, Limit: 5}, "index:price", 6, -1},
		{"an order alone", kv.Query{Sort: []kv.SortKey{by("price", desc)}, Limit: 5}, "index:price", 6, -1},
		{"a prefix and then the order", kv.Query{Where: []kv.Predicate{is("owner", kv.Eq, one)}, Sort: []kv.SortKey{by("day", desc)}, Limit: 5}, "index:owner,day", 6, -1},
		{"a fixed sort key says nothing", kv.Query{Where: []kv.Predicate{is("owner", kv.Eq, one)}, Sort: []kv.SortKey{by("owner", asc), by("day", desc)}, Limit: 5}, "index:owner,day", 6, -1},
		{"a prefix and a range", kv.Query{Where: []kv.Predicate{is("owner", kv.Eq, one), is("day", kv.Lt, kv.String("0003"))}, Limit: 5}, "index:owner,day+sort", 3, -1},
		{"the more selective index", kv.Query{Where: []kv.Predicate{is("owner", kv.Eq, one), is("price", kv.Eq, one)}, Sort: []kv.SortKey{by("x", asc)}}, "index:price+sort", 30, -1},
		{"an element of an array", kv.Query{Where: []kv.Predicate{is("tags", kv.Eq, kv.String("t3"))}, Limit: 20}, "index:tags", 21, -1},
		{"arrays have no order of elements", kv.Query{Sort: []kv.SortKey{by("tags", asc)}, Limit: 5}, "scan+sort", 3000, -1},
		{"another order is sorted", kv.Query{Sort: []kv.SortKey{by("owner", asc), by("day", desc)}, Limit: 5}, "scan+sort", 3000, -1},
		{"a common value is scanned when no index helps the order", kv.Query{Where: []kv.Predicate{is("day", kv.Gt, kv.String(""))}, Limit: 5}, "scan", 5, -1},
		{"a contradiction reads nothing", kv.Query{Where: []kv.Predicate{is("price", kv.Gt, one), is("price", kv.Lt, one)}}, "index:price", 0, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := view(t, db)
			c, _ := s.Collection("shop")
			page, err := s.Find(context.Background(), c, &tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if page.Plan != tt.plan || page.Examined != tt.examined || page.Total != tt.total {
				t.Errorf("got %s, %d examined, total %d", page.Plan, page.Examined, page.Total)
			}
			e, err := s.Explain(context.Background(), c, &tt.q)
			if err != nil {
				t.Fatal(err)
			}
			chosen := slices.IndexFunc(e.Considered, func(w kv.Considered) bool { return w.Chosen })
			if e.Plan != page.Plan || e.Examined != page.Examined || e.Returned != len(page.Docs) || chosen < 0 {
				t.Errorf("explained as %+v", e)
			}
		})
	}
	t.Run("a count by an index reads no document", func(t *testing.T) {
		s := view(t, db)
		c, _ := s.Collection("shop")
		where := []kv.Predicate{is("owner", kv.Eq, one), is("day", kv.Gte, kv.String("0100"))}
		if n, err := s.Count(context.Background(), c, &kv.Query{Where: where, Budget: 3}); err != nil || n != 200 {
			t.Errorf("got %d, %v", n, err)
		}
	})
	t.Run("the suggested index makes the query cheap", func(t *testing.T) {
		s := view(t, db)
		c, _ := s.Collection("shop")
		q := &kv.Query{Where: []kv.Predicate{is("price", kv.Ne, one), is("day", kv.Eq, kv.String("0007"))}, Sort: []kv.SortKey{by("owner", asc)}, Budget: 100}
		_, err := s.Find(context.Background(), c, q)
		var e *kv.BudgetError
		if !errors.As(err, &e) || !slices.Equal(e.Suggest, []string{"day", "owner"}) {
			t.Fatalf("got %v", err)
		}
		kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("shop"), "price", strings.Join(e.Suggest, ",")))
		finish(t, db)
		s = view(t, db)
		c, _ = s.Collection("shop")
		if page, err := s.Find(context.Background(), c, q); err != nil || page.Examined > 20 {
			t.Errorf("got %v", err)
		}
	})
}

func TestIndexEdges(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("c"), "s", "tags"))
	long := strings.Repeat("l", 300)
	kvtest.Commit(t, db, kvtest.Put("c", kvtest.ID(1), `{"s":"`+long+`a"}`), kvtest.Put("c", kvtest.ID(2), `{"s":"`+long+`b"}`),
		kvtest.Put("c", kvtest.ID(3), `{"s":"z","tags":["x","y","x"]}`), kvtest.Put("c", kvtest.ID(4), `{"s":"a","tags":`+manyNumbers(200)+`}`))
	for _, tt := range []struct {
		name  string
		where kv.Predicate
		want  []int
	}{
		{"a bound that is cut leaves out nothing above", is("s", kv.Gt, kv.String(long+"a")), []int{3, 2}},
		{"a bound that is cut leaves out nothing below", is("s", kv.Lt, kv.String(long+"b")), []int{4, 1}},
		{"a value that is cut is told from its like", is("s", kv.Eq, kv.String(long+"b")), []int{2}},
		{"a document is found once by two elements", is("tags", kv.In, kv.String("x"), kv.String("y")), []int{3}},
		{"a document with too many elements is found", is("tags", kv.Eq, number("150")), []int{4}},
		{"missing is null", is("tags", kv.Eq, kv.Null()), []int{2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := view(t, db)
			c, _ := s.Collection("c")
			for plan := range 2 {
				db.SetTestPlan(func(n int) int { return min(plan, n-1) })
				page, err := s.Find(context.Background(), c, &kv.Query{Where: []kv.Predicate{tt.where}})
				if err != nil {
					t.Fatal(err)
				}
				var want []kv.DocID
				for _, n := range tt.want {
					want = append(want, kvtest.ID(n))
				}
				if got := idsOf(page.Docs); !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", page.Plan, got, want)
				}
				n, err := s.Count(context.Background(), c, &kv.Query{Where: []kv.Predicate{tt.where}})
				if err != nil || n != len(want) {
					t.Errorf("count %d, %v", n, err)
				}
			}
		})
	}
}

// TestDamagedIndex: an entry that is wrong is an error or noticed by Check,
// never a wrong document.
func TestDamagedIndex(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(b *bolt.Bucket, key []byte) error
		find bool // Find must fail
	}{
		{"a missing entry", func(b *bolt.Bucket, key []byte) error { return b.Delete(key) }, false},
		{"a value that changed", func(b *bolt.Bucket, key []byte) error { key[8] ^= 1; return b.Put(key, nil) }, true},
		{"an id that changed", func(b *bolt.Bucket, key []byte) error { key[len(key)-1]++; return b.Put(key, nil) }, true},
		{"an id that is not there", func(b *bolt.Bucket, key []byte) error { key[len(key)-9] ^= 1; return b.Put(key, nil) }, true},
	} {
		t.Run(tt.name+" is noticed", func(t *testing.T) {
			dir := t.TempDir()
			db := open(t, dir)
			defer db.Close()
			kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("c"), "n"))
			for i := range 40 {
				kvtest.Commit(t, db, kvtest.Put("c", kvtest.ID(i), fmt.Sprintf(`{"n":%d}`, i)))
			}
			err := db.Bolt().Update(func(tx *bolt.Tx) error {
				return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
					if name[0] != 'x' {
						return nil
					}
					k, _ := b.Cursor().First()
					return tt.harm(b, slices.Clone(k))
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			report, err := db.Check(context.Background())
			if err != nil || report.OK() {
				t.Errorf("check finds nothing wrong, %v", err)
			}
			s := view(t, db)
			c, _ := s.Collection("c")
			_, err = s.Find(context.Background(), c, &kv.Query{Sort: []kv.SortKey{{Path: "n"}}, Limit: 5})
			var corrupt *kv.CorruptError
			if tt.find != errors.As(err, &corrupt) {
				t.Errorf("find: %v", err)
			}
			s.Close()
		})
	}
}
