package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

func needMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a disk of its own takes mounting, and that takes root; make faults leaves this test out where it cannot be had")
	}
}

// REL-28: whatever a power cut leaves on the disk, every file that was acknowledged before it is there, whole, with its
// record; no record is without bytes, and no bytes are left over. A disk that lies about its flushes loses some: the
// control.
func TestFilesPowerCuts(t *testing.T) {
	needMounts(t)
	total, acks, caught, lies := 0, 0, 0, 0
	for _, options := range []string{"data=ordered", "data=writeback,commit=1"}[:long(1, 2)] {
		r := recordRun(t, options, time.Duration(long(1500, 6000))*time.Millisecond, envFiles+"=1")
		if len(r.disk.log) < 100 || len(r.acks) < 20 {
			t.Fatalf("%s: only %d writes and flushes, %d acknowledgements", options, len(r.disk.log), len(r.acks))
		}
		acks += len(r.acks)
		for n := range long(24, 1000) {
			c := cut{at: rand.IntN(len(r.disk.log)), kept: []string{"none", "half", "torn", "all"}[n%4]}
			if wrong := r.verdict(t, c); wrong != "" {
				t.Errorf("%s, cut %+v of %d: %s", options, c, len(r.disk.log), wrong)
			}
			total++
		}
		for n := range long(8, 100) {
			c := cut{at: len(r.disk.log)/4 + rand.IntN(len(r.disk.log)*3/4), kept: []string{"none", "half", "torn"}[n%3], forgets: 12}
			lies++
			if r.verdict(t, c) != "" {
				caught++
			}
		}
	}
	if caught*2 < lies {
		t.Errorf("of %d cuts of a disk that lies only %d were noticed", lies, caught)
	}
	if !t.Failed() {
		t.Logf("%d cuts, %d files acknowledged, none lost, none left over; of %d cuts of a disk that lies %d were noticed", total, acks, lies, caught)
	}
}

// TestFilesKillAtEveryCall kills the process in each call that changes the disk in turn. The call does not happen.
func TestFilesKillAtEveryCall(t *testing.T) {
	needMounts(t)
	rounds, acks := long(10, 600), 0
	for round := range rounds {
		call := round
		if rounds < 100 {
			call = rand.IntN(250)
		}
		acks += filesKillAtCall(t, call)
		if t.Failed() {
			t.Fatalf("killed in call %d", call)
		}
	}
	t.Logf("%d rounds, %d files acknowledged, none lost, none left over", rounds, acks)
}

func filesKillAtCall(t *testing.T, call int) int {
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
	child, out := start(t, filepath.Join(shown, "project"), envFiles+"=1")
	process.Store(child.Process)
	var j journal
	deadline := time.AfterFunc(time.Minute, func() {
		t.Errorf("call %d never came; %d files were acknowledged", call, j.total())
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
	dir := filepath.Join(behind, "project")
	db, err := open(dir)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer db.Close()
	for _, wrong := range verifyFiles(dir)(db, j.acked, j.intended) {
		t.Error(wrong)
	}
	return j.total()
}

// TestFilesDiskErrors: calls of a disk fail under eight writers, and a failed sync loses what it was to sync. Writing
// goes on by itself; nothing that was acknowledged is lost when the power fails afterwards, and nothing is left over.
func TestFilesDiskErrors(t *testing.T) {
	needMounts(t)
	runs, fired, acks := 0, 0, 0
	for _, call := range []string{"sync", "dirsync", "write", "torn", "name"} {
		for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			for n := range long(1, 30) {
				t.Run(fmt.Sprintf("%s %v", call, errno), func(t *testing.T) {
					n, a := filesDiskErrors(t, &faults{drop: n%2 == 0}, call, errno, 1+n%3)
					runs, fired, acks = runs+1, fired+n, acks+a
				})
			}
		}
	}
	if !t.Failed() {
		t.Logf("%d runs, %d calls failed, %d files acknowledged, none lost", runs, fired, acks)
	}
}

func filesDiskErrors(t *testing.T, f *faults, call string, errno syscall.Errno, times int) (fired, acks int) {
	behind, shown := t.TempDir(), t.TempDir()
	stop := f.serve(t, behind, shown)
	defer stop()
	f.syncs = 200 + rand.IntN(100) // some of them each file takes
	j := journal{keep: true}
	child, out := start(t, filepath.Join(shown, "project"), envFiles+"=1", envTolerate+"=1")
	f.mu.Lock()
	f.off = func() { _ = child.Process.Kill() }
	f.mu.Unlock()
	skip, before := rand.IntN(40), 0
	deadline := time.AfterFunc(30*time.Second, func() { _ = child.Process.Kill() })
	defer deadline.Stop()
	ordered := false
	j.read(out, func() {
		total := j.total()
		switch {
		case !ordered && total >= 20:
			ordered = true
			f.order(call, errno, skip, times)
		case ordered && before == 0 && f.left() == 0:
			before = total
		}
	})
	_ = child.Wait()
	if before == 0 || f.cutAt == 0 || j.total() < before+20 {
		t.Errorf("writing did not go on: %d acknowledged, %d when the last call failed", j.total(), before)
	}
	for _, line := range j.errors {
		t.Errorf("the process said: %s", line)
	}
	fired = f.fired
	if err := f.cut(); err != nil {
		t.Fatal(err)
	}
	var acked [writers]int
	for _, a := range j.acks {
		if a.at < f.cutAt {
			acked[a.w] = max(acked[a.w], a.n)
		}
	}
	stop()
	dir := filepath.Join(behind, "project")
	db, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, wrong := range verifyFiles(dir)(db, acked, j.intended) {
		t.Error(wrong)
	}
	return fired, j.total()
}

// TestFilesFullDisk: a put that finds no space says so and leaves nothing; what is there is read; and when there is
// space again, writing goes on.
func TestFilesFullDisk(t *testing.T) {
	needMounts(t)
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		mount(t, dir, "-t", "tmpfs", "-o", "size=12m", "none")
		filesFullDisk(t, dir)
	})
	t.Run("ext4", func(t *testing.T) {
		image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 16<<20)); err != nil {
			t.Fatal(err)
		}
		run(t, "mkfs.ext4", "-q", "-m", "0", image)
		mount(t, dir, "-o", "loop", image)
		filesFullDisk(t, dir)
	})
}

func filesFullDisk(t *testing.T, mounted string) {
	s, err := openFiles(mounted)
	if err != nil {
		t.Fatal(err)
	}
	put := func(kind byte, size int) (*blobs.Lease, error) {
		return s.Put(t.Context(), bytes.NewReader(bytes.Repeat([]byte{kind}, size)), blobs.NoLimit)
	}
	kept, err := put(1, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	id := blobs.UploadID{1}
	if _, err := s.Stage(t.Context(), id, strings.NewReader("before"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(mounted, "ballast")
	for cycle := range long(3, 30) {
		before := filesUnder(filepath.Join(mounted, "blobs"))
		fill(t, ballast)
		for kind := byte(2); kind < 10; kind++ {
			if _, err := put(kind, 1<<20); !errors.Is(err, blobs.ErrFull) {
				t.Fatalf("cycle %d: put on a full disk: %v", cycle, err)
			}
			if _, err := s.Stage(t.Context(), id, bytes.NewReader(make([]byte, 1<<20)), blobs.NoLimit); !errors.Is(err, blobs.ErrFull) {
				t.Fatalf("cycle %d: stage on a full disk: %v", cycle, err)
			}
		}
		if after := filesUnder(filepath.Join(mounted, "blobs")); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("cycle %d: left behind: %q, before: %q", cycle, after, before)
		}
		if err := s.Verify(t.Context(), kept.Hash); err != nil {
			t.Errorf("cycle %d: reading: %v", cycle, err)
		}
		if u, err := s.StatUpload(t.Context(), id); err != nil || u.Size != int64(len("before")) {
			t.Errorf("cycle %d: the upload from before: %+v, %v", cycle, u, err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; { // ext4 gives space back late
			l, err := put(byte(100+cycle), 1<<20)
			if err == nil {
				l.Release()
				if _, err := s.Remove(t.Context(), l.Hash, func(context.Context, blobs.Hash) (bool, error) { return false, nil }); err != nil {
					t.Error(err)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("cycle %d: there is space again, and it is not used: %v", cycle, err)
			}
		}
	}
}
