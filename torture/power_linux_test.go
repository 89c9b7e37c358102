package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recording is a run of the writers on a recording disk.
type recording struct {
	disk     *disk
	base     []byte
	options  string // of mounting
	acks     []ack
	intended [writers]int
	mayLose  time.Duration // acknowledged before a cut for less than that
	env      []string      // of the process that looks, as of the one that wrote
}

const diskSize = 40 << 20

// recordRun has a process write, and compact, on a recording disk until it is
// killed in the middle of it.
func recordRun(t *testing.T, options string, duration time.Duration, env ...string) *recording {
	t.Helper()
	temp := t.TempDir()
	blank, served, mounted := filepath.Join(temp, "blank"), filepath.Join(temp, "served"), filepath.Join(temp, "mounted")
	for _, dir := range []string{served, mounted} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(blank, make([]byte, diskSize), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs.ext4", "-q", "-m", "0", blank)
	base, err := os.ReadFile(blank)
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{image: bytes.Clone(base)}
	stop := d.serve(t, served)
	defer stop()
	loop := run(t, "losetup", "-f", "--show", filepath.Join(served, "disk"))
	defer func() { _ = exec.Command("losetup", "-d", loop).Run() }()
	run(t, "mount", "-o", options, loop, mounted)
	defer func() { _ = exec.Command("umount", mounted).Run() }()

	j := journal{keep: true}
	child, out := start(t, filepath.Join(mounted, "project"), append(env, envCompact+"=1")...)
	timer := time.AfterFunc(duration, func() { _ = child.Process.Kill() })
	defer timer.Stop()
	j.read(out, func() {})
	_ = child.Wait()
	for _, line := range j.errors {
		t.Fatalf("the process said: %s", line)
	}
	r := &recording{disk: d, base: base, options: options, env: env, acks: j.acks, intended: j.intended}
	d.mu.Lock()
	d.log = d.log[:len(d.log):len(d.log)] // what unmounting adds is not looked at
	r.disk = &disk{log: d.log}
	d.mu.Unlock()
	return r
}

// verdict is what is wrong after a cut, "" if nothing is.
func (r *recording) verdict(t *testing.T, c cut) string {
	t.Helper()
	known := outside{Intended: r.intended}
	for _, a := range r.acks {
		if a.at < r.disk.log[c.at].at-int64(r.mayLose) {
			known.Acked[a.w] = max(known.Acked[a.w], a.n)
		}
	}
	dir, err := os.MkdirTemp(t.TempDir(), "cut")
	if err != nil {
		t.Fatal(err)
	}
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.disk.after(r.base, c, image); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(image)
	if out, err := exec.Command("mount", "-o", "loop,"+r.options, image, mounted).CombinedOutput(); err != nil {
		return fmt.Sprintf("the file system is gone: %s", out)
	}
	defer func() { _ = exec.Command("umount", mounted).Run() }()
	text, err := json.Marshal(known)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(append(os.Environ(), r.env...), envLook+"="+filepath.Join(mounted, "project"), envOutside+"="+string(text), envBoot+"=after the cut")
	out, err := child.CombinedOutput()
	said, whole := strings.CutSuffix(string(out), "looked\n")
	switch {
	case ctx.Err() != nil:
		return "it hangs: " + said
	case err != nil || !whole:
		return fmt.Sprintf("it dies (%v): %.500s", err, said)
	}
	return said
}

// TestPowerCuts: whatever a power cut leaves on the disk, the file system and
// kv open it, and everything that was acknowledged before the cut is there.
// And the same of a disk that lies about its last flushes is not: the control.
func TestPowerCuts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a recording disk takes mounting, and that takes root; make faults leaves this test out where it cannot be had")
	}
	total, acks, caught, lies := 0, 0, 0, 0
	for _, options := range []string{"data=ordered", "data=writeback,commit=1"} {
		r := recordRun(t, options, time.Duration(long(1500, 6000))*time.Millisecond)
		if len(r.disk.log) < 100 || len(r.acks) < 50 {
			t.Fatalf("%s: only %d writes and flushes, %d acknowledgements", options, len(r.disk.log), len(r.acks))
		}
		acks += len(r.acks)
		cuts := long(20, 1000)
		for n := range cuts {
			c := cut{at: rand.IntN(len(r.disk.log)), kept: []string{"none", "half", "torn", "all"}[n%4]}
			if n%4 == 3 { // while it was made, too
				c = cut{at: rand.IntN(len(r.disk.log) / 10), kept: []string{"none", "half", "torn"}[n/4%3]}
			}
			if wrong := r.verdict(t, c); wrong != "" {
				t.Errorf("%s, cut %+v of %d: %s", options, c, len(r.disk.log), wrong)
			}
			total++
		}
		for n := range long(10, 100) {
			c := cut{at: len(r.disk.log)/4 + rand.IntN(len(r.disk.log)*3/4), kept: []string{"none", "half", "torn"}[n%3], forgets: 6}
			lies++
			if r.verdict(t, c) != "" {
				caught++
			}
		}
	}
	if caught*2 < lies {
		t.Errorf("of %d cuts of a disk that lies only %d were noticed", lies, caught)
	}
	if t.Failed() {
		return
	}
	t.Logf("%d cuts, %d acknowledgements, none lost; of %d cuts of a disk that lies %d were noticed", total, acks, lies, caught)
}

// TestPowerCutsWhileRelaxed: with relaxed durability a power cut costs the last
// moments, and leaves every writer's batches whole and without gaps.
func TestPowerCutsWhileRelaxed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("a recording disk takes mounting, and that takes root; make faults leaves this test out where it cannot be had")
	}
	const syncMillis = 20
	total, acks := 0, 0
	for _, options := range []string{"data=ordered", "data=writeback,commit=1"} {
		r := recordRun(t, options, time.Duration(long(1500, 6000))*time.Millisecond, fmt.Sprintf("%s=%d", envRelax, syncMillis))
		if len(r.disk.log) < 100 || len(r.acks) < 50 {
			t.Fatalf("%s: only %d writes and flushes, %d acknowledgements", options, len(r.disk.log), len(r.acks))
		}
		// What kv promises of a disk that cannot keep pace, and the checkpoint itself.
		r.mayLose = 2*syncMillis*time.Millisecond + 1500*time.Millisecond
		acks += len(r.acks)
		for n := range long(20, 1000) {
			c := cut{at: rand.IntN(len(r.disk.log)), kept: []string{"none", "half", "torn", "all"}[n%4]}
			if wrong := r.verdict(t, c); wrong != "" {
				t.Errorf("%s, cut %+v of %d: %s", options, c, len(r.disk.log), wrong)
			}
			total++
		}
	}
	t.Logf("%d cuts, %d acknowledgements: nothing torn, nothing lost but the last moments", total, acks)
}
