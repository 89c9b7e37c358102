package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

const racers = 6

// race commits batches at the same moment and returns what each was told.
func race(db *kv.DB, batches []*kv.Batch) []kv.Result {
	results := make([]kv.Result, len(batches))
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, b := range batches {
		wg.Go(func() {
			<-start
			results[i].Commit, results[i].Err = db.Commit(context.Background(), b)
		})
	}
	close(start)
	wg.Wait()
	return results
}

// wins counts those that passed; the others must have lost for want.
func wins[E error](t *testing.T, results []kv.Result) (n int) {
	t.Helper()
	for _, r := range results {
		var want E
		if r.Err == nil {
			n++
		} else if !errors.As(r.Err, &want) {
			t.Fatalf("lost for %v", r.Err)
		}
	}
	return n
}

// TestRaces: of those who race for what only some can have, just so many get
// it. With TORTURE=long each race is run 10,000 times.
func TestRaces(t *testing.T) {
	rounds := 100
	if os.Getenv("TORTURE") == "long" {
		rounds = 10_000
	}
	for _, tt := range []struct {
		name string
		// round races once and returns how many won, and how many should.
		round func(t *testing.T, db *kv.DB, n int) (won, want int)
	}{
		{"documents for a unique key", func(t *testing.T, db *kv.DB, n int) (int, int) {
			var batches []*kv.Batch
			for i := range racers {
				batches = append(batches, kvtest.Batch(kvtest.Put("users", kvtest.ID(i), fmt.Sprintf(`{"k":%d}`, n))))
			}
			return wins[*kv.UniqueError](t, race(db, batches)), 1
		}},
		{"documents for a key that its holder gives up", func(t *testing.T, db *kv.DB, n int) (int, int) {
			holder := kvtest.ID(100)
			kvtest.Commit(t, db, kvtest.Put("users", holder, fmt.Sprintf(`{"k":"held%d"}`, n)))
			batches := []*kv.Batch{kvtest.Batch(kvtest.Delete("users", holder))}
			for i := range racers {
				batches = append(batches, kvtest.Batch(kvtest.Put("users", kvtest.ID(i), fmt.Sprintf(`{"k":"held%d"}`, n))))
			}
			results := race(db, batches)
			if results[0].Err != nil {
				t.Fatal(results[0].Err)
			}
			// Who came before it was given up has lost, too.
			late := 0
			for _, r := range results[1:] {
				var e *kv.UniqueError
				if errors.As(r.Err, &e) && e.ID != holder {
					late = 1
				}
			}
			won := wins[*kv.UniqueError](t, results[1:])
			if won == 0 && late == 0 {
				return 0, 0
			}
			return won, 1
		}},
		{"changes of one revision", func(t *testing.T, db *kv.DB, n int) (int, int) {
			rev := kvtest.Commit(t, db, kvtest.Put("users", kvtest.ID(0), `{}`))
			var batches []*kv.Batch
			for i := range racers {
				b := kvtest.Batch(kvtest.Put("users", kvtest.ID(0), fmt.Sprintf(`{"by":%d}`, i)))
				b.Needs = []kv.Need{{Kind: kv.NeedDoc, Collection: "users", ID: kvtest.ID(0), Rev: rev}}
				batches = append(batches, b)
			}
			return wins[*kv.ConflictError](t, race(db, batches)), 1
		}},
		{"definitions of an index and documents that break it", func(t *testing.T, db *kv.DB, n int) (int, int) {
			kvtest.Commit(t, db, kv.Op{Kind: kv.OpDropCollection, Name: "users"})
			kvtest.Commit(t, db, kvtest.Collection("users"), kvtest.Put("users", kvtest.ID(0), `{"k":1}`))
			return wins[*kv.UniqueError](t, race(db, []*kv.Batch{
				kvtest.Batch(kvtest.Collection("users", "k")), kvtest.Batch(kvtest.Put("users", kvtest.ID(1), `{"k":1}`))})), 1
		}},
		{"documents for what the quota leaves", func(t *testing.T, db *kv.DB, n int) (int, int) {
			const size, room = 100, 3
			limit := look(t, db).bytes + room*size + size/2
			kvtest.Commit(t, db, kv.Op{Kind: kv.OpSetting, Name: "kv.maxBytes", Value: fmt.Append(nil, limit)})
			stop, seen := make(chan struct{}), make(chan int64)
			go func() { // what readers see meanwhile
				most := int64(0)
				for {
					select {
					case <-stop:
						seen <- most
						return
					default:
						most = max(most, look(t, db).bytes)
					}
				}
			}()
			var batches []*kv.Batch
			for i := range racers {
				batches = append(batches, kvtest.Batch(kvtest.Put("users", kvtest.ID(n*racers+i), `{"x":"`+strings.Repeat("x", size-8)+`"}`)))
			}
			won := wins[*kv.QuotaError](t, race(db, batches))
			close(stop)
			if most := <-seen; most > limit || look(t, db).bytes > limit {
				t.Fatalf("%d bytes of %d", most, limit)
			}
			return won, room
		}},
		{"takers of what a counter holds", func(t *testing.T, db *kv.DB, n int) (int, int) {
			kvtest.Commit(t, db, kv.Op{Kind: kv.OpAdd, Name: "stock", Delta: 2})
			var batches []*kv.Batch
			for range racers {
				batches = append(batches, kvtest.Batch(kv.Op{Kind: kv.OpAdd, Name: "stock", Delta: -1, HasFloor: true}))
			}
			return wins[*kv.FloorError](t, race(db, batches)), 2
		}},
		{"deliveries of one batch", func(t *testing.T, db *kv.DB, n int) (int, int) {
			b := kvtest.Batch(kv.Op{Kind: kv.OpAdd, Name: "deliveries", Delta: 1})
			results := race(db, []*kv.Batch{b, b, b, b, b, b})
			for _, r := range results {
				if r != results[0] || r.Err != nil {
					t.Fatalf("told %+v and %+v", r, results[0])
				}
			}
			return int(look(t, db).counter), n + 1
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := kvtest.Open(t)
			db.NoSync()
			kvtest.Commit(t, db, kvtest.Collection("users", "k"))
			for n := range rounds {
				if won, want := tt.round(t, db, n); won != want {
					t.Fatalf("round %d: %d won, not %d", n, won, want)
				}
			}
			t.Logf("%d rounds of %d", rounds, racers)
		})
	}
}

// glance is what a reader sees in passing.
type glance struct{ bytes, counter int64 }

func look(t *testing.T, db *kv.DB) glance {
	s, err := db.Snapshot()
	if err != nil {
		t.Error(err)
		return glance{}
	}
	defer s.Close()
	return glance{s.Bytes(), s.Counter("deliveries")}
}
