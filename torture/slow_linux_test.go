package torture

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSlowDisk: when each sync takes long, who is told that it worked still
// waited for one, who finds the queue full is told at once, and reading does
// not wait for either.
func TestSlowDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a slow disk takes mounting, and that takes root; make faults leaves this test out where it cannot be had")
	}
	behind, shown := t.TempDir(), t.TempDir()
	stop := (&faults{slow: slowSync()}).serve(t, behind, shown)
	defer stop()
	// Not in this process: it would wait for itself when it reads what is mapped.
	ctx, cancel := context.WithTimeout(t.Context(), 100*slowSync()+time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), envHurry+"="+filepath.Join(shown, "project"))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	t.Logf("a sync takes %v: %s", slowSync(), out)
}
