package kv_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// TestBrokenDisk: a disk that fails is not believed, and when it works again
// so does the database, with everything that it acknowledged.
func TestBrokenDisk(t *testing.T) {
	for _, tt := range []struct {
		name, device string
		want         error // of the first write
	}{
		{"a full disk", "/dev/full", kv.ErrFull},
		{"a disk that does not sync", "/dev/null", kv.ErrUnknownOutcome},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			db := kvtest.OpenAt(t, dir, kv.Options{})
			kvtest.Commit(t, db, kvtest.Collection("posts"), kvtest.Put("posts", kvtest.ID(0), `{}`))
			// Free pages: a device cannot play a file that grows.
			kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(1000), `{"x":"`+strings.Repeat("x", 1<<20)+`"}`))
			kvtest.Commit(t, db, kvtest.Delete("posts", kvtest.ID(1000)))
			kvtest.Commit(t, db, kvtest.Delete("posts", kvtest.ID(1000)))
			held, err := db.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			letGo := sync.OnceFunc(held.Close)
			defer letGo()
			repair := kvtest.BreakDisk(t, dir, tt.device)
			batches := make([]*kv.Batch, 20)
			var wg sync.WaitGroup
			for i := range batches {
				batches[i] = post(i + 1)
				wg.Go(func() {
					_, err := db.Commit(context.Background(), batches[i])
					if !errors.Is(err, tt.want) && !errors.Is(err, kv.ErrReadOnly) {
						t.Errorf("write %d got %v", i, err)
					}
				})
			}
			wg.Wait()
			// Half a second and more: it is tried again meanwhile, in vain.
			for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				_, err := db.Commit(context.Background(), post(99))
				if !errors.Is(err, kv.ErrReadOnly) && !errors.Is(err, tt.want) {
					t.Fatalf("while it is broken a write got %v", err)
				}
			}
			if h := db.Health(); !h.ReadOnly || h.Recoveries != 0 {
				t.Errorf("health: %+v", h)
			}
			if got := get(t, db, "posts", kvtest.ID(0)); got != "1 {}" {
				t.Errorf("reading got %s", got)
			}
			repair()
			c, _ := held.Collection("posts")
			if d, err := held.Get(c, kvtest.ID(0)); err != nil || string(d.JSON) != "{}" {
				t.Errorf("an old snapshot: %s, %v", d.JSON, err)
			}
			letGo()
			recovered(t, db)
			for i, b := range batches { // the same batch, whatever became of it
				if _, err := db.Commit(context.Background(), b); err != nil {
					t.Errorf("write %d again: %v", i, err)
				}
			}
			s := view(t, db)
			c, _ = s.Collection("posts")
			if n, err := s.Count(context.Background(), c, &kv.Query{}); err != nil || n != 21 {
				t.Errorf("%d documents, %v", n, err)
			}
			if got := files(t, dir); strings.Contains(got, "new-") {
				t.Errorf("left over: %s", got)
			}
		})
	}
}

// TestRecoveryRefusesWhatLostWrites: a file that comes back without what was
// acknowledged is read, and never written.
func TestRecoveryRefusesWhatLostWrites(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string, old []byte){
		"an older state": func(t *testing.T, dir string, old []byte) {
			f, err := os.OpenFile(filepath.Join(dir, "data.db"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(old[:8192], 0); err != nil { // both heads
				t.Fatal(err)
			}
		},
		"another file": func(t *testing.T, dir string, old []byte) {
			path := filepath.Join(dir, "data.db")
			if err := errors.Join(os.Remove(path), os.WriteFile(path, old, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, err := kv.Open(dir, kv.Options{MapSize: 1 << 28})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			kvtest.Commit(t, db, kvtest.Collection("posts"))
			old := read(t, dir, "data.db")
			kvtest.Commit(t, db, kvtest.Put("posts", kvtest.ID(0), `{}`))
			db.SetTestHook(func(at string) {
				if at == "before commit" {
					spoil(t, dir, old)
					panic("boom")
				}
			})
			if _, err := db.Commit(context.Background(), post(1)); err == nil {
				t.Error("committed")
			}
			for end := time.Now().Add(5 * time.Second); !strings.Contains(db.Health().Reason, "cannot be opened"); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("health: %+v", db.Health())
				}
			}
			if _, err := db.Commit(context.Background(), post(2)); !errors.Is(err, kv.ErrReadOnly) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A disk that fails while durability is relaxed costs what was acknowledged since
// the last checkpoint, and nothing else; a full one costs nothing.
func TestRelaxedOnABrokenDisk(t *testing.T) {
	for _, tt := range []struct {
		device string
		want   int
	}{{"/dev/null", 20}, {"/dev/full", 30}} {
		t.Run(tt.device, func(t *testing.T) {
			dir := t.TempDir()
			db := openRelaxed(t, dir, "boot 1")
			putPosts(t, db, 0, 20)
			if err := db.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			putPosts(t, db, 20, 30)
			repair := kvtest.BreakDisk(t, dir, tt.device)
			if tt.device == "/dev/full" {
				if _, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("posts", kvtest.ID(99), `{"n":99}`))); !errors.Is(err, kv.ErrFull) {
					t.Errorf("a write on a full disk: %v", err)
				}
			} else if err := db.Checkpoint(); err == nil {
				t.Error("the checkpoint did not notice that the disk cannot sync")
			}
			if n := posts(t, db); n < tt.want {
				t.Errorf("%d posts can be read while the disk is broken", n)
			}
			repair()
			for wait := time.Now(); db.Health().ReadOnly; time.Sleep(5 * time.Millisecond) {
				if time.Since(wait) > 30*time.Second {
					t.Fatalf("it does not recover: %+v", db.Health())
				}
			}
			if n := posts(t, db); n != tt.want {
				t.Errorf("%d posts, want %d", n, tt.want)
			}
			putPosts(t, db, 100, 110)
			again := kvtest.OpenAt(t, left(t, remains(t, dir)), kv.Options{Boot: "boot 1"})
			if n := posts(t, again); n != tt.want+10 {
				t.Errorf("%d posts after the process died", n)
			}
		})
	}
}
