package kv_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// copyTo writes a backup's files into a new directory.
func copyTo(t testing.TB, b *kv.Backup) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, file := range b.Files() {
		f, err := os.Create(filepath.Join(dir, file.Name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(file.Write(context.Background(), f), f.Close()); err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(f.Name()); info.Size() != file.Size {
			t.Errorf("%s has %d bytes, and %d were announced", file.Name, info.Size(), file.Size)
		}
	}
	return dir
}

// A copy that is made while others write and the file is compacted is the state at one commit: everything that was
// acknowledged up to it, nothing after it, and the same history. It can be written to as the original can.
func TestBackupIsAPrefixOfTheCommits(t *testing.T) {
	for name, millis := range map[string][]byte{"synced": nil, "relaxed": []byte("5")} {
		t.Run(name, func(t *testing.T) {
			db := kvtest.OpenAt(t, t.TempDir(), kv.Options{Boot: "one"})
			kvtest.Commit(t, db, kvtest.Collection("posts", "k"), kv.Op{Kind: kv.OpSetting, Name: "kv.syncMillis", Value: millis})
			var commits sync.Map // number of the document -> commit
			var stop atomic.Bool
			var writers sync.WaitGroup
			var last atomic.Int64
			for w := range 4 {
				writers.Go(func() {
					for i := w; !stop.Load(); i += 4 {
						seq, err := db.Commit(context.Background(), kvtest.Batch(
							kvtest.Put("posts", kvtest.ID(i), fmt.Sprintf(`{"k":%d,"x":"%s"}`, i, strings.Repeat("x", i%2000)))))
						if err != nil {
							t.Error(err)
							return
						}
						commits.Store(i, seq)
						last.Store(int64(seq))
					}
				})
			}
			writers.Go(func() {
				for !stop.Load() {
					if _, err := db.Compact(context.Background(), nil); err != nil {
						t.Error(err)
					}
				}
			})
			for range 10 {
				least := last.Load()
				for last.Load() < least+20 && !t.Failed() {
				}
				acknowledged := last.Load()
				b, err := db.Backup()
				if err != nil {
					t.Fatal(err)
				}
				dir := copyTo(t, b)
				commit, history := b.Snapshot().Commit(), b.Snapshot().History()
				b.Close()
				if commit < uint64(acknowledged) {
					t.Errorf("the copy ends at commit %d, and %d was acknowledged before", commit, acknowledged)
				}
				restored := kvtest.OpenAt(t, dir, kv.Options{})
				kvtest.Check(t, restored)
				s, err := restored.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				if s.Commit() != commit || s.History() != history {
					t.Errorf("restored commit %d with history %x, copied was %d with %x", s.Commit(), s.History(), commit, history)
				}
				posts, _ := s.Collection("posts")
				commits.Range(func(n, seq any) bool {
					if _, err := s.Get(posts, kvtest.ID(n.(int))); (err == nil) != (seq.(uint64) <= commit) {
						t.Errorf("document of commit %d in a copy of commit %d: %v", seq, commit, err)
					}
					return true
				})
				s.Close()
				kvtest.Commit(t, restored, kvtest.Put("posts", kvtest.ID(1<<20), `{"k":-1}`))
				if err := restored.Close(); err != nil {
					t.Error(err)
				}
			}
			stop.Store(true)
			writers.Wait()
		})
	}
}

func TestBackupEndsWithItsContext(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Collection("posts"))
	b, err := db.Backup()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Files()[0].Write(ctx, &strings.Builder{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBackupOfAClosedProject(t *testing.T) {
	db := kvtest.Open(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Backup(); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
