package kvtest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// BreakDisk puts a device in the place of the descriptor by which a database
// of this process writes, until repair is called: /dev/full has no space,
// /dev/null takes every write and cannot sync it. What is mapped stays
// readable. The database must be healthy.
func BreakDisk(t testing.TB, dir, device string) (repair func()) {
	t.Helper()
	fd := descriptor(t, filepath.Join(dir, "data.db"))
	saved, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	d, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	put := func(from int) {
		if err := syscall.Dup3(from, fd, syscall.O_CLOEXEC); err != nil {
			t.Error(err)
		}
	}
	put(int(d.Fd()))
	repair = sync.OnceFunc(func() {
		put(saved)
		_ = syscall.Close(saved)
	})
	t.Cleanup(repair)
	return repair
}

// descriptor finds the one with which this process has a file open.
func descriptor(t testing.TB, path string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var fd int
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && target == path {
			_, _ = fmt.Sscan(e.Name(), &fd)
			return fd
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}
