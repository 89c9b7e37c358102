package kv_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// document makes about 500 bytes of JSON.
func document(n int) []byte {
	return fmt.Appendf(nil, `{"_id":"%s","title":"Title %d","body":"%s","price":%d,"owner":"%024d","tags":["a","b"],"email":"user%d@example.com"}`,
		kvtest.ID(n), n, strings.Repeat("lorem ipsum ", 27), n%100, n%1000, n)
}

// filled opens a database with n documents.
func filled(tb testing.TB, n int) (*kv.DB, *kv.Snapshot, *kv.Collection) {
	db := kvtest.Open(tb)
	kvtest.Commit(tb, db, kvtest.Collection("posts"))
	for i := 0; i < n; i += 1000 {
		var ops []kv.Op
		for k := i; k < min(i+1000, n); k++ {
			ops = append(ops, kv.Op{Kind: kv.OpPut, Collection: "posts", ID: kvtest.ID(k), Value: document(k)})
		}
		kvtest.Commit(tb, db, ops...)
	}
	s := view(tb, db)
	c, _ := s.Collection("posts")
	return db, s, c
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		db, s, c := filled(b, n)
		b.Run(fmt.Sprintf("snapshot each/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s, err := db.Snapshot()
				if err != nil {
					b.Fatal(err)
				}
				c, _ := s.Collection("posts")
				if _, err := s.Get(c, kvtest.ID(i*7919%n)); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
		b.Run(fmt.Sprintf("one snapshot/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(c, kvtest.ID(i*7919%n)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("bare bbolt View+Get/%d", n), func(b *testing.B) {
			raw := bareFilled(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := kvtest.ID(i * 7919 % n)
				err := raw.View(func(tx *bolt.Tx) error {
					if tx.Bucket([]byte("d")).Get(id[:]) == nil {
						return kv.ErrNotFound
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	const n = 100_000
	_, s, c := filled(b, n)
	for _, tt := range []struct {
		name string
		q    kv.Query
	}{
		{"newest 20", kv.Query{Limit: 20}},
		{"newest 20 with total", kv.Query{Limit: 20, Total: true}},
		{"20 by a common value", kv.Query{Limit: 20, Where: []kv.Predicate{{Path: "price", Op: kv.Eq, Values: []kv.Value{number("7")}}}}},
		{"scan of all for one", kv.Query{Limit: 20, Where: []kv.Predicate{{Path: "email", Op: kv.Eq, Values: []kv.Value{kv.String("user1@example.com")}}}}},
		{"sort all by price", kv.Query{Limit: 20, Sort: []kv.SortKey{{Path: "price"}}}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Find(context.Background(), c, &tt.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func number(text string) kv.Value {
	v, ok := kv.Number(text)
	if !ok {
		panic(text)
	}
	return v
}

// BenchmarkCommit compares Commit with a bare bbolt file behind a queue that
// is drained into one transaction: the same documents, nothing else.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("kv/%d", writers), func(b *testing.B) { benchmarkCommit(b, writers) })
		b.Run(fmt.Sprintf("bare/%d", writers), func(b *testing.B) { benchmarkBare(b, writers, false) })
		b.Run(fmt.Sprintf("kv unique/%d", writers), func(b *testing.B) { benchmarkCommit(b, writers, "email") })
		b.Run(fmt.Sprintf("bare unique/%d", writers), func(b *testing.B) { benchmarkBare(b, writers, true) })
	}
}

// spread runs op b.N times on that many goroutines.
func spread(b *testing.B, writers int, op func(n int)) {
	runtime.GC()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				n := int(next.Add(1))
				if n > b.N {
					return
				}
				op(n)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func benchmarkCommit(b *testing.B, writers int, unique ...string) {
	db := kvtest.Open(b)
	kvtest.Commit(b, db, kvtest.Collection("posts", unique...))
	b.ReportAllocs()
	spread(b, writers, func(n int) {
		id := db.NewID(time.Now())
		batch := &kv.Batch{Time: 1, Ops: []kv.Op{{Kind: kv.OpPut, Collection: "posts", ID: id, Value: document(scatter(n))}},
			Needs: []kv.Need{{Kind: kv.NeedDoc, Collection: "posts", ID: id}}}
		copy(batch.ID[:], id[:])
		if _, err := db.Commit(context.Background(), batch); err != nil {
			b.Error(err)
		}
	})
}

// scatter spreads numbers, so that the emails are in no order.
func scatter(n int) int { return int(uint32(n) * 2654435761) }

type bareJob struct {
	id, value, key []byte
	done           chan error
}

func bareFilled(tb testing.TB, n int) *bolt.DB {
	db := bareOpen(tb)
	for i := 0; i < n; i += 1000 {
		err := db.Update(func(tx *bolt.Tx) error {
			d := tx.Bucket([]byte("d"))
			d.FillPercent = 0.9
			for k := i; k < min(i+1000, n); k++ {
				id := kvtest.ID(k)
				if err := d.Put(id[:], document(k)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return db
}

func bareOpen(tb testing.TB) *bolt.DB {
	db, err := bolt.Open(filepath.Join(tb.TempDir(), "bare.db"), 0o600, &bolt.Options{NoFreelistSync: true,
		FreelistType: bolt.FreelistMapType, InitialMmapSize: 1 << 30, NoStatistics: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("d")); err != nil {
			return err
		}
		_, err := tx.CreateBucket([]byte("u"))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func benchmarkBare(b *testing.B, writers int, unique bool) {
	db := bareOpen(b)
	queue := make(chan *bareJob, 4096)
	go func() {
		var group []*bareJob
		for first := range queue {
			group = append(group[:0], first)
			for more := true; more; {
				select {
				case j, ok := <-queue:
					if more = ok; ok {
						group = append(group, j)
					}
				default:
					more = false
				}
			}
			err := db.Update(func(tx *bolt.Tx) error {
				d, u := tx.Bucket([]byte("d")), tx.Bucket([]byte("u"))
				d.FillPercent = 0.9
				for _, j := range group {
					if err := d.Put(j.id, j.value); err != nil {
						return err
					}
					if unique && u.Get(j.key) != nil {
						return kv.ErrNotFound
					}
					if unique {
						if err := u.Put(j.key, j.id); err != nil {
							return err
						}
					}
				}
				return nil
			})
			for _, j := range group {
				j.done <- err
			}
		}
	}()
	b.ReportAllocs()
	spread(b, writers, func(n int) {
		id := make([]byte, 12)
		binary.BigEndian.PutUint64(id[4:], uint64(n))
		j := &bareJob{id: id, value: document(scatter(n)), done: make(chan error, 1)}
		j.key = fmt.Appendf(nil, "user%d@example.com", scatter(n))
		queue <- j
		if err := <-j.done; err != nil {
			b.Error(err)
		}
	})
	close(queue)
}

// BenchmarkOpen opens 100,000 documents after a stop in order and after a
// crash.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	dir, crashed := b.TempDir(), b.TempDir()
	db := kvtest.OpenAt(b, dir, kv.Options{})
	kvtest.Commit(b, db, kvtest.Collection("posts", "email"))
	for i := 0; i < n; i += 1000 {
		var ops []kv.Op
		for k := i; k < i+1000; k++ {
			ops = append(ops, kv.Op{Kind: kv.OpPut, Collection: "posts", ID: kvtest.ID(k), Value: document(k)})
		}
		kvtest.Commit(b, db, ops...)
	}
	data, identity := read(b, dir, "data.db"), read(b, dir, "identity")
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("after a stop", func(b *testing.B) {
		for b.Loop() {
			db, err := kv.Open(dir, kv.Options{ReadOnly: true})
			if err != nil {
				b.Fatal(err)
			}
			db.Close()
		}
	})
	b.Run("after a crash", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			for name, content := range map[string][]byte{"data.db": data, "identity": identity} {
				if err := os.WriteFile(filepath.Join(crashed, name), content, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
			db, err := kv.Open(crashed, kv.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			db.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(len(data))/1e6, "MB")
	})
}
