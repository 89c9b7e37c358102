package kv_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// sizes are the numbers of documents to compare; KV_BENCH_LARGE adds a million.
func sizes() []int {
	if os.Getenv("KV_BENCH_LARGE") != "" {
		return []int{1_000, 100_000, 1_000_000}
	}
	return []int{1_000, 100_000}
}

// indexedDocument is about 500 bytes, its owner one of a tenth as many as there
// are documents, at least 10, its rank scattered.
func indexedDocument(i, n int) []byte {
	return fmt.Appendf(nil, `{"_id":"%s","body":"%0380d","owner":%d,"rank":%d,"mark":%d}`,
		kvtest.ID(i), i, i%max(10, n/30), uint32(scatter(i)), uint32(scatter(i+1)))
}

func indexed(b testing.TB, n int, indexes ...string) *kv.DB {
	db := kvtest.Open(b)
	kvtest.Commit(b, db, kvtest.Ordered(kvtest.Collection("posts"), indexes...))
	db.Bolt().NoSync = true
	for i := 0; i < n; i += 1000 {
		var ops []kv.Op
		for k := i; k < min(i+1000, n); k++ {
			ops = append(ops, kv.Op{Kind: kv.OpPut, Collection: "posts", ID: kvtest.ID(k), Value: indexedDocument(k, n)})
		}
		kvtest.Commit(b, db, ops...)
	}
	db.Bolt().NoSync = false
	return db
}

// BenchmarkIndexed answers queries by indexes, each with a snapshot of its own.
func BenchmarkIndexed(b *testing.B) {
	for _, n := range sizes() {
		db := indexed(b, n, "owner", "owner,rank", "rank")
		find := func(q func(i int) *kv.Query) func(*testing.B) {
			return func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					s, err := db.Snapshot()
					if err != nil {
						b.Fatal(err)
					}
					c, _ := s.Collection("posts")
					page, err := s.Find(context.Background(), c, q(i*7919%n))
					if err != nil || page.Examined > 21 || len(page.Docs) != 20 {
						b.Fatal(err, page)
					}
					s.Close()
				}
			}
		}
		owner := func(i int) []kv.Predicate {
			return []kv.Predicate{is("owner", kv.Eq, number(fmt.Sprint(i%max(10, n/30))))}
		}
		b.Run(fmt.Sprintf("20 of an owner, newest first/%d", n), find(func(i int) *kv.Query {
			return &kv.Query{Where: owner(i), Limit: 20}
		}))
		b.Run(fmt.Sprintf("bare: 20 of an owner, newest first/%d", n), bareOfAnOwner(n))
		b.Run(fmt.Sprintf("20 of an owner by rank/%d", n), find(func(i int) *kv.Query {
			return &kv.Query{Where: owner(i), Limit: 20, Sort: []kv.SortKey{{Path: "rank", Desc: true}}}
		}))
		b.Run(fmt.Sprintf("20 by rank/%d", n), find(func(int) *kv.Query {
			return &kv.Query{Limit: 20, Sort: []kv.SortKey{{Path: "rank"}}}
		}))
		b.Run(fmt.Sprintf("count an owner's/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s, err := db.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				c, _ := s.Collection("posts")
				if n, err := s.Count(context.Background(), c, &kv.Query{Where: owner(i)}); err != nil || n < 30 {
					b.Fatal(n, err)
				}
				s.Close()
			}
		})
	}
}

// bareOfAnOwner does with a bare bbolt file what a list by an index must do at
// least: walk 20 entries, and look up and copy the document of each. How much
// more that costs in a large file is what memory costs, not kv.
func bareOfAnOwner(n int) func(*testing.B) {
	return func(b *testing.B) {
		db := bareOpen(b)
		for i := 0; i < n; i += 1000 {
			err := db.Update(func(tx *bolt.Tx) error {
				docs, owners := tx.Bucket([]byte("d")), tx.Bucket([]byte("u"))
				docs.FillPercent = 0.9
				for k := i; k < min(i+1000, n); k++ {
					id := kvtest.ID(k)
					key := append(binary.BigEndian.AppendUint64(nil, uint64(k%max(10, n/30))), id[:]...)
					if err := errors.Join(docs.Put(id[:], indexedDocument(k, n)), owners.Put(key, nil)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		out := make([]byte, 0, 1<<16)
		for i := 0; b.Loop(); i++ {
			err := db.View(func(tx *bolt.Tx) error {
				docs, cur := tx.Bucket([]byte("d")), tx.Bucket([]byte("u")).Cursor()
				owner := uint64(i * 7919 % n % max(10, n/30))
				cur.Seek(binary.BigEndian.AppendUint64(nil, owner+1))
				found := 0
				for k, _ := cur.Prev(); len(k) > 0 && binary.BigEndian.Uint64(k) == owner && found < 20; k, _ = cur.Prev() {
					out = append(out[:0], docs.Get(k[8:])...)
					found++
				}
				if found != 20 && owner+1 < uint64(max(10, n/30)) {
					return fmt.Errorf("found %d", found)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkIndexedInsert has 32 writers insert into collections with 0 to 2
// ordered indexes on scattered values, against a bare bbolt file behind a
// queue with the same keys.
func BenchmarkIndexedInsert(b *testing.B) {
	const writers = 32
	fields := []string{"rank", "mark"}
	for _, n := range sizes() {
		for count := range 3 {
			b.Run(fmt.Sprintf("kv %d indexes/%d", count, n), func(b *testing.B) {
				db := indexed(b, n, fields[:count]...)
				spread(b, writers, func(i int) {
					id := db.NewID(time.Now())
					batch := &kv.Batch{Time: 1, Ops: []kv.Op{{Kind: kv.OpPut, Collection: "posts", ID: id, Value: indexedDocument(n+i, n)}},
						Needs: []kv.Need{{Kind: kv.NeedDoc, Collection: "posts", ID: id}}}
					copy(batch.ID[:], id[:])
					if _, err := db.Commit(context.Background(), batch); err != nil {
						b.Error(err)
					}
				})
			})
			b.Run(fmt.Sprintf("bare %d indexes/%d", count, n), func(b *testing.B) { benchmarkBareIndexed(b, writers, n, count) })
		}
	}
}

func benchmarkBareIndexed(b *testing.B, writers, n, count int) {
	db := bareOpen(b)
	put := func(tx *bolt.Tx, i int) error {
		id := make([]byte, 12)
		binary.BigEndian.PutUint64(id[4:], uint64(i))
		d := tx.Bucket([]byte("d"))
		d.FillPercent = 0.9
		if err := d.Put(id, indexedDocument(i, n)); err != nil {
			return err
		}
		for x := range count {
			key := binary.BigEndian.AppendUint64(nil, uint64(uint32(scatter(i+x))))
			if err := tx.Bucket([]byte{'x', byte(x)}).Put(append(key, id...), nil); err != nil {
				return err
			}
		}
		return nil
	}
	err := db.Update(func(tx *bolt.Tx) error {
		for x := range count {
			if _, err := tx.CreateBucket([]byte{'x', byte(x)}); err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; err == nil && i < n; i += 1000 {
		err = db.Update(func(tx *bolt.Tx) error {
			for k := i; k < i+1000; k++ {
				if err := put(tx, k); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	type waiter struct {
		i    int
		done chan error
	}
	queue := make(chan waiter, 4096)
	go func() {
		for first := range queue {
			group := []waiter{first}
			for more := true; more; {
				select {
				case w, ok := <-queue:
					if more = ok; ok {
						group = append(group, w)
					}
				default:
					more = false
				}
			}
			err := db.Update(func(tx *bolt.Tx) error {
				for _, w := range group {
					if err := put(tx, w.i); err != nil {
						return err
					}
				}
				return nil
			})
			for _, w := range group {
				w.done <- err
			}
		}
	}()
	spread(b, writers, func(i int) {
		w := waiter{n + i, make(chan error, 1)}
		queue <- w
		if err := <-w.done; err != nil {
			b.Error(err)
		}
	})
	close(queue)
}

// BenchmarkBuild builds an index on 100,000 documents that nobody writes to.
func BenchmarkBuild(b *testing.B) {
	const n = 100_000
	db := indexed(b, n)
	for b.Loop() {
		kvtest.Commit(b, db, kvtest.Ordered(kvtest.Collection("posts"), "rank"))
		for building := true; building; time.Sleep(time.Millisecond) {
			s, err := db.Snapshot()
			if err != nil {
				b.Fatal(err)
			}
			building = len(s.Building()) > 0
			s.Close()
		}
		b.StopTimer()
		kvtest.Commit(b, db, kvtest.Collection("posts"))
		b.StartTimer()
	}
}
