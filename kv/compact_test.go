package kv_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// holey makes a database of which most was deleted again.
func holey(t testing.TB, dir string, opt kv.Options) *kv.DB {
	db := kvtest.OpenAt(t, dir, opt)
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("posts", "k"), "n"), kvtest.Collection("small"))
	for at := 0; at < 4000; at += 500 {
		var ops []kv.Op
		for i := at; i < at+500; i++ {
			ops = append(ops, kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"k":%d,"n":%d,"x":"%s"}`, i, i%7, strings.Repeat("x", 300))))
		}
		kvtest.Commit(t, db, ops...)
	}
	var ops []kv.Op
	for i := range 4000 {
		if i%10 > 0 {
			ops = append(ops, kvtest.Delete("posts", kvtest.ID(i)))
		}
	}
	kvtest.Commit(t, db, ops...)
	return db
}

func saysTheSame(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if line(got, i) != line(want, i) {
			t.Fatalf("line %d of %d and %d:\n%s\n%s", i, len(got), len(want), line(got, i), line(want, i))
		}
	}
}

func TestCompact(t *testing.T) {
	t.Run("a closed project shrinks and says the same", func(t *testing.T) {
		dir := t.TempDir()
		db := holey(t, dir, kv.Options{})
		want := db.Dump()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var last, most int64
		size, err := kv.Compact(dir, func(done, total int64) {
			if done < last || total < done || total < most {
				t.Errorf("progress went from %d of %d to %d of %d", last, most, done, total)
			}
			last, most = done, total
		})
		if err != nil || size.After > size.Before/2 || size.After != int64(len(read(t, dir, "data.db"))) {
			t.Errorf("got %+v, %v", size, err)
		}
		if last == 0 || last != most {
			t.Errorf("progress ended at %d of %d", last, most)
		}
		db = kvtest.OpenAt(t, dir, kv.Options{})
		saysTheSame(t, db.Dump(), want)
		kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(1), `{}`))
	})
	t.Run("an open snapshot stays what it was", func(t *testing.T) {
		db := holey(t, t.TempDir(), kv.Options{})
		s, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := db.Compact(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		kvtest.Commit(t, db, kv.Op{Kind: kv.OpDropCollection, Name: "posts"})
		c, _ := s.Collection("posts")
		if n, err := s.Count(context.Background(), c, &kv.Query{}); err != nil || n != 400 {
			t.Errorf("%d documents, %v", n, err)
		}
		if _, ok := view(t, db).Collection("posts"); ok {
			t.Error("a new snapshot shows the old file")
		}
	})
	t.Run("what is cancelled leaves nothing behind", func(t *testing.T) {
		dir := t.TempDir()
		db := holey(t, dir, kv.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		db.SetTestHook(func(at string) {
			if at == "compact: copied" {
				cancel()
			}
		})
		if _, err := db.Compact(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := files(t, dir); strings.Contains(got, "new-") {
			t.Errorf("left over: %s", got)
		}
		kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(1), `{}`))
	})
	t.Run("closing ends it", func(t *testing.T) {
		dir := t.TempDir()
		db := holey(t, dir, kv.Options{})
		reached := make(chan struct{})
		db.SetTestHook(func(at string) {
			if at == "compact: copied" {
				close(reached)
				time.Sleep(20 * time.Millisecond)
			}
		})
		done := make(chan error)
		go func() { _, err := db.Compact(context.Background(), nil); done <- err }()
		<-reached
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, kv.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if got := files(t, dir); strings.Contains(got, "new-") {
			t.Errorf("left over: %s", got)
		}
	})
	t.Run("a second one at the same time is refused", func(t *testing.T) {
		db := holey(t, t.TempDir(), kv.Options{})
		var second error
		db.SetTestHook(func(at string) {
			if at == "compact: copied" && second == nil {
				_, second = db.Compact(context.Background(), nil)
			}
		})
		if _, err := db.Compact(context.Background(), nil); err != nil || second == nil {
			t.Errorf("got %v, the second %v", err, second)
		}
	})
	t.Run("a missing project is not made", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := kv.Compact(dir, nil); !errors.Is(err, fs.ErrNotExist) || files(t, dir) != "" {
			t.Errorf("got %v, files %s", err, files(t, dir))
		}
	})
	t.Run("who waited for the old file gets the new one", func(t *testing.T) {
		dir := t.TempDir()
		db := holey(t, dir, kv.Options{})
		opened := make(chan *kv.DB)
		db.SetTestHook(func(at string) {
			if at == "compact: before rename" {
				go func() {
					other, err := kv.Open(dir, kv.Options{MapSize: 1 << 28, LockTimeout: 10 * time.Second})
					if err != nil {
						t.Error(err)
					}
					opened <- other
				}()
				time.Sleep(50 * time.Millisecond) // it waits for the lock of the old file
			}
		})
		if _, err := db.Compact(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // the old file is free now
		kvtest.Commit(t, db, kvtest.Put("small", kvtest.ID(77), `{}`))
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		other := <-opened
		defer other.Close()
		if got := get(t, other, "small", kvtest.ID(77)); !strings.HasSuffix(got, "{}") {
			t.Errorf("got %s", got)
		}
	})
}

// TestCompactKeepsWhatIsWrittenMeanwhile: the new file says what the old one
// says at the moment of the exchange, whatever was done while it was copied.
func TestCompactKeepsWhatIsWrittenMeanwhile(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		db := holey(t, t.TempDir(), kv.Options{})
		db.NoSync()
		model, number := kvtest.NewModel(), 0
		var want []string
		db.SetTestHook(func(at string) {
			switch at {
			case "compact: copied":
				// Runs of documents, so that whole pages go and neighbours stay.
				for range 1 + rnd.IntN(4) {
					from := rnd.IntN(4000)
					var ops []kv.Op
					for i := from; i < from+rnd.IntN(1500); i++ {
						if rnd.IntN(8) == 0 {
							ops = append(ops, kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"k":%d,"n":%d}`, i, rnd.IntN(9))))
						} else {
							ops = append(ops, kvtest.Delete("posts", kvtest.ID(i)))
						}
					}
					kvtest.Commit(t, db, ops...)
				}
				for range rnd.IntN(60) {
					b := kvtest.RandomBatch(rnd.IntN, model, number)
					for i := range b.Ops { // posts has another life here
						b.Ops[i].Collection = strings.Replace(b.Ops[i].Collection, "posts", "small", 1)
						b.Ops[i].Name = strings.NewReplacer("posts", "small", "kv.maxBytes", "rules").Replace(b.Ops[i].Name)
					}
					number++
					if _, err := db.Apply([]*kv.Batch{b}); err != nil {
						t.Fatal(err)
					}
				}
			case "compact: before rename":
				want = db.Dump()
			case "compact: done":
				saysTheSame(t, db.Dump(), want)
			}
		})
		for range 2 {
			want = nil
			if _, err := db.Compact(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				t.Fatal("nothing was compared")
			}
		}
		sound(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompactUnderLoad: writers and readers notice nothing.
func TestCompactUnderLoad(t *testing.T) {
	db := holey(t, t.TempDir(), kv.Options{})
	var stop atomic.Bool
	var wg sync.WaitGroup
	written := make([]int, 4)
	for w := range written {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("small", kvtest.ID(w<<20+n), `{}`))); err != nil {
					t.Error(err)
					return
				}
				written[w]++
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			s, err := db.Snapshot()
			if err != nil {
				t.Error(err)
				return
			}
			c, _ := s.Collection("posts")
			if n, err := s.Count(context.Background(), c, &kv.Query{}); err != nil || n != 400 {
				t.Errorf("%d documents, %v", n, err)
			}
			s.Close()
		}
	})
	for range 5 {
		if _, err := db.Compact(context.Background(), nil); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	s := view(t, db)
	c, _ := s.Collection("small")
	total := 0
	for w, n := range written {
		total += n
		for i := range n {
			if _, err := s.Get(c, kvtest.ID(w<<20+i)); err != nil {
				t.Fatalf("write %d of writer %d: %v", i, w, err)
			}
		}
	}
	t.Logf("%d writes during 5 compactions", total)
}

// TestCompactCutAnywhere: whatever a cut compaction leaves is the same project.
func TestCompactCutAnywhere(t *testing.T) {
	for _, point := range []string{"compact: copied", "compact: before rename", "compact: after rename", "compact: done"} {
		t.Run(point, func(t *testing.T) {
			dir, next := t.TempDir(), t.TempDir()
			db := holey(t, dir, kv.Options{})
			want := db.Dump()
			var once sync.Once
			db.SetTestHook(func(at string) {
				if at == point {
					once.Do(func() {
						if err := os.CopyFS(filepath.Join(next, "cut"), os.DirFS(dir)); err != nil {
							t.Error(err)
						}
					})
				}
			})
			if _, err := db.Compact(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			left := kvtest.OpenAt(t, filepath.Join(next, "cut"), kv.Options{})
			saysTheSame(t, left.Dump(), want)
			if got := files(t, filepath.Join(next, "cut")); strings.Contains(got, "new-") {
				t.Errorf("left over: %s", got)
			}
			if !slices.Equal(db.Dump(), want) {
				t.Error("the database itself changed")
			}
		})
	}
}

func BenchmarkCompact(b *testing.B) {
	dir := b.TempDir()
	db := holey(b, dir, kv.Options{})
	b.ReportAllocs()
	for b.Loop() {
		size, err := db.Compact(context.Background(), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(size.Before)
	}
}
