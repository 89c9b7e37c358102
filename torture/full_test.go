package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// TestFullDisk fills real file systems again and again under eight writers.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("filling a disk takes one that may be filled, and mounting it takes root; make faults leaves this test out where it cannot be had")
	}
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		mount(t, dir, "-t", "tmpfs", "-o", "size=12m", "none")
		fullDisk(t, dir)
	})
	t.Run("ext4", func(t *testing.T) {
		image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 24<<20)); err != nil {
			t.Fatal(err)
		}
		run(t, "mkfs.ext4", "-q", "-m", "0", image)
		mount(t, dir, "-o", "loop", image)
		fullDisk(t, dir)
	})
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	run(t, "mount", append(args, dir)...)
	t.Cleanup(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			_ = exec.Command("umount", "-l", dir).Run()
		}
	})
}

func fullDisk(t *testing.T, mounted string) {
	dir, ballast := filepath.Join(mounted, "project"), filepath.Join(mounted, "ballast")
	db, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(db); err != nil {
		t.Fatal(err)
	}
	kvtest.Commit(t, db, kvtest.Collection("big"))
	var (
		j       journal
		seen    [3]int // errors: full, unknown, other read-only
		seenMu  sync.Mutex
		stop    = make(chan struct{})
		working sync.WaitGroup
	)
	report := func(kind byte, w, n int, err error) {
		j.note(kind, w, n, 0)
		if kind != 'e' {
			return
		}
		seenMu.Lock()
		defer seenMu.Unlock()
		switch {
		case errors.Is(err, kv.ErrFull):
			seen[0]++
		case errors.Is(err, kv.ErrUnknownOutcome):
			seen[1]++
		case errors.Is(err, kv.ErrReadOnly):
			seen[2]++
		default:
			t.Error(err)
		}
	}
	for w := range writers {
		working.Go(func() { write(db, w, 1, stop, report) })
	}
	cycles, grown, slowest := long(4, 40), 0, time.Duration(0)
	for cycle := range cycles {
		fill(t, ballast)
		// Documents that are new take pages that are not there. Full it then stays, and says so; reading goes on. The file
		// that the last cycle's compaction replaced may give its space back late: that is used up first.
		refused := -1
		for steady, end := 0, time.Now().Add(20*time.Second); steady < 20; {
			if time.Now().After(end) {
				t.Fatalf("cycle %d: the disk is full and %d documents went in: %+v", cycle, grown, db.Health())
			}
			if h := db.Health(); refused >= 0 && h.Full && h.ReadOnly {
				steady++
				if _, err := written(db); err != nil {
					t.Errorf("cycle %d: reading: %v", cycle, err)
				}
				time.Sleep(10 * time.Millisecond)
				continue
			}
			steady = 0
			switch err := putBig(db, grown); {
			case err == nil:
				grown++
			case errors.Is(err, kv.ErrFull):
				refused = grown
			case !errors.Is(err, kv.ErrReadOnly) && !errors.Is(err, kv.ErrUnknownOutcome):
				t.Errorf("cycle %d: %v", cycle, err)
			}
		}
		refused = grown // whatever went in late, this one did not
		before, freed := j.total(), time.Now()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for j.total() < before+100 {
			if time.Since(freed) > 20*time.Second {
				t.Fatalf("cycle %d: there is space again, and it is not used: %+v", cycle, db.Health())
			}
			time.Sleep(time.Millisecond)
		}
		slowest = max(slowest, time.Since(freed))
		for err = kv.ErrReadOnly; errors.Is(err, kv.ErrReadOnly); { // the batch that found no space
			err = putBig(db, refused)
		}
		if err != nil {
			t.Errorf("cycle %d: repeated: %v", cycle, err)
		}
		var ops []kv.Op // so that the next cycle finds the same room
		for i := range refused + 1 {
			ops = append(ops, kvtest.Delete("big", kvtest.ID(i)))
		}
		kvtest.Commit(t, db, ops...)
		if _, err := db.Compact(context.Background(), nil); err != nil {
			t.Errorf("cycle %d: compact: %v", cycle, err)
		}
		grown = refused + 1
	}
	close(stop)
	working.Wait()
	for _, wrong := range verify(db, j.acked, j.intended) {
		t.Error(wrong)
	}
	recoveries := db.Health().Recoveries
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if db, err = open(dir); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range verify(db, j.acked, j.intended) {
		t.Errorf("opened again: %s", wrong)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d cycles, %d recoveries, %d batches acknowledged, none lost; %d were told full, %d unknown, %d read-only; 100 batches within %v of space",
		cycles, recoveries, j.total(), seen[0], seen[1], seen[2], slowest.Round(time.Millisecond))
}

// putBig stores a large document, by the same batch each time.
func putBig(db *kv.DB, n int) error {
	b := &kv.Batch{Ops: []kv.Op{kvtest.Put("big", kvtest.ID(n), fmt.Sprintf(`{"x":"%s"}`, strings.Repeat("x", 50_000)))}}
	b.ID[0], b.ID[13], b.ID[14], b.ID[15] = 0xFF, byte(n>>16), byte(n>>8), byte(n)
	_, err := db.Commit(context.Background(), b)
	return err
}

// fill writes a file until there is no space.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for range 3 { // what was deleted before is free only after a sync
		for n := len(block); n >= 512; {
			if _, err := f.Write(block[:n]); err != nil {
				n /= 2
			}
		}
		_ = f.Sync()
	}
}
