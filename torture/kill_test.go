package torture

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestKill: a process killed at any moment loses nothing that it was told is
// written, and leaves no half of a batch; nor does it with relaxed durability.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var j journal
	rounds := long(20, 500)
	for round := range rounds {
		child, out := start(t, dir, []string{envCompact + "=", envCompact + "=1"}[round%2], []string{envRelax + "=", envRelax + "=5"}[round/2%2])
		kill := func() { _ = child.Process.Kill() }
		left := 20 + rand.IntN(300)
		if round%5 == 4 { // while it starts, or soon after
			timer := time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, kill)
			defer timer.Stop()
		}
		j.read(out, func() {
			if left--; left == 0 {
				kill()
			}
		})
		_ = child.Wait()
		for _, line := range j.errors {
			t.Fatalf("round %d: the process said: %s", round, line)
		}
		db, err := open(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, wrong := range verify(db, j.acked, j.intended) {
			t.Errorf("round %d: %s", round, wrong)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds, %d batches acknowledged, none lost", rounds, j.total())
}
