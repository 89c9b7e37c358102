package torture

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestKillAtEveryCall kills the process in each call that changes the disk in
// turn: the creation, the first commits, compactions. The call does not happen.
func TestKillAtEveryCall(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("dying in a call takes a disk that is mounted, and that takes root; make faults leaves this test out where it cannot be had")
	}
	rounds, acks := long(15, 600), 0
	for round := range rounds {
		call := round // in the long form one after the other
		if rounds < 100 {
			call = rand.IntN(150)
		}
		acks += killAtCall(t, call, round%2 == 1)
		if t.Failed() {
			t.Fatalf("killed in call %d", call)
		}
	}
	t.Logf("%d rounds, %d batches acknowledged, none lost", rounds, acks)
}

func killAtCall(t *testing.T, call int, compact bool) (acks int) {
	behind, shown := t.TempDir(), t.TempDir()
	f := &faults{}
	stop := f.serve(t, behind, shown)
	defer stop()
	var process atomic.Pointer[os.Process]
	f.kill = func() {
		for process.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		_ = process.Load().Kill()
	}
	f.order("any", syscall.EIO, call, 1)
	env := []string{envCompact + "="}
	if compact {
		env[0] += "1"
	}
	child, out := start(t, filepath.Join(shown, "project"), env...)
	process.Store(child.Process)
	var j journal
	deadline := time.AfterFunc(time.Minute, func() {
		t.Errorf("call %d never came; %d batches were acknowledged", call, j.total())
		_ = child.Process.Kill()
	})
	defer deadline.Stop()
	j.read(out, func() {})
	_ = child.Wait()
	for _, line := range j.errors {
		if strings.HasPrefix(line, "fatal") { // and no line that was cut
			t.Errorf("the process said: %s", line)
		}
	}
	stop()
	db, err := open(filepath.Join(behind, "project"))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer db.Close()
	for _, wrong := range verify(db, j.acked, j.intended) {
		t.Error(wrong)
	}
	return j.total()
}
