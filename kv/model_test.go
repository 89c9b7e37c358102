package kv_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// sameFileID makes files that are equal when their contents are.
func sameFileID() kv.Options {
	return kv.Options{Random: bytes.NewReader(make([]byte, 1000)), Node: [5]byte{1}, MapSize: 1 << 24}
}

func open(t rapid.TB, dir string) *kv.DB {
	t.Helper()
	db, err := kv.Open(dir, sameFileID())
	if err != nil {
		t.Fatal(err)
	}
	db.NoSync() // what is written is tested, not whether it lasts
	return db
}

// crash leaves the handle as it is and opens what is in its files.
func crash(t *testing.T, db *kv.DB, dir string) (*kv.DB, string) {
	next := restore(t, read(t, dir, "data.db"), read(t, dir, "identity"))
	db.SetTestHook(nil)
	db.Close()
	return open(t, next), next
}

func sound(t rapid.TB, db *kv.DB) {
	t.Helper()
	report, err := db.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Errorf("check: %s: %s", p.Where, p.What)
	}
}

// TestApplyIsDeterministic: the same batches, however they are cut into
// groups, delivered twice or interrupted by a crash, make the same file.
func TestApplyIsDeterministic(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		model := kvtest.NewModel()
		var batches []*kv.Batch
		for len(batches) < 300 {
			b := kvtest.RandomBatch(rnd.IntN, model, len(batches))
			model.Apply(b)
			batches = append(batches, b)
		}
		reference := open(t, t.TempDir())
		t.Cleanup(func() { reference.Close() })
		if _, err := reference.Apply(batches); err != nil {
			t.Fatal(err)
		}
		want, hash := reference.Dump(), view(t, reference).History()
		for trial := range 3 {
			dir := t.TempDir()
			db := open(t, dir)
			for at := 0; at < len(batches); {
				n := min(1+rnd.IntN(1<<(2*trial+1)), len(batches)-at)
				group := slices.Clone(batches[at : at+n])
				if at > 0 && rnd.IntN(3) == 0 {
					group = slices.Insert(group, rnd.IntN(n+1), batches[rnd.IntN(at)])
				}
				for i, b := range group { // as another node gets it
					decoded, err := kv.DecodeBatch(kv.AppendBatch(nil, b))
					if err != nil {
						t.Fatal(err)
					}
					group[i] = decoded
				}
				if rnd.IntN(15) == 0 {
					// Cut off before or after the group was written; it is
					// delivered again to what a crash left.
					point := []string{"before commit", "after commit"}[rnd.IntN(2)]
					db.SetTestHook(func(at string) {
						if at == point {
							panic("cut off")
						}
					})
					_, _ = db.Apply(group)
					db, dir = crash(t, db, dir)
				}
				if _, err := db.Apply(group); err != nil {
					t.Fatal(err)
				}
				at += n
				if rnd.IntN(40) == 0 {
					db.Close()
					db = open(t, dir)
				}
			}
			t.Cleanup(func() { db.Close() })
			got := db.Dump()
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("seed %d, trial %d: line %d of %d and %d:\n%s\n%s", seed, trial, i, len(got), len(want), line(got, i), line(want, i))
				}
			}
			if h := view(t, db).History(); h != hash {
				t.Errorf("seed %d, trial %d: history differs", seed, trial)
			}
			sound(t, db)
		}
	}
}

func TestLogWindow(t *testing.T) {
	db := kvtest.Open(t)
	add := func(n int) *kv.Batch {
		return &kv.Batch{ID: kv.BatchID{1, byte(n), byte(n >> 8), byte(n >> 16)}, Ops: []kv.Op{{Kind: kv.OpAdd, Name: "n", Delta: 1}}}
	}
	const total = 2*kv.LogRows + 100
	for at := 0; at < total; at += 500 {
		var group []*kv.Batch
		for i := at; i < min(at+500, total); i++ {
			group = append(group, add(i))
		}
		if _, err := db.Apply(group); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(t *testing.T, n int) uint64 {
		r, err := db.Apply([]*kv.Batch{add(n)})
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
		return r[0].Commit
	}
	t.Run("a batch within the window is answered with its first commit", func(t *testing.T) {
		if got, want := apply(t, total-kv.LogRows), uint64(total-kv.LogRows+1); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	})
	t.Run("changes follow without a gap", func(t *testing.T) {
		changes, err := view(t, db).Changes(total-10, 7)
		if err != nil || len(changes) != 7 || changes[0].Commit != total-9 || changes[6].Commit != total-3 {
			t.Errorf("got %+v, %v", changes, err)
		}
	})
	t.Run("changes that are gone are not passed over", func(t *testing.T) {
		if _, err := view(t, db).Changes(10, 7); !errors.Is(err, kv.ErrTrimmed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a batch beyond the window is new", func(t *testing.T) {
		if got, want := apply(t, 0), uint64(total+1); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	})
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "none"
}
