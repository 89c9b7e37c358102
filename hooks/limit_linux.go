package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// limitProcess bounds this process's memory and processor time for good, and lets it stand back behind others. What it takes beyond that
// kills it.
func limitProcess(bytes, seconds int64) error {
	data, err := dataBytes()
	if err != nil {
		return err
	}
	// Data, not address space: Go reserves far more of the latter than it uses.
	memory, time := uint64(data+bytes), uint64(seconds)
	err = errors.Join(
		unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}),
		unix.Setrlimit(unix.RLIMIT_CPU, &unix.Rlimit{Cur: time, Max: time}),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
		unix.Setpgid(0, 0))
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PGRP, 0, 10)
}

// idleProcess lets this process stand back behind everybody else. Call it after limitProcess.
func idleProcess() error { return unix.Setpriority(unix.PRIO_PGRP, 0, 19) }

// dataBytes returns how much writable memory the process has.
func dataBytes() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	var kib int64
	_, rest, _ := bytes.Cut(status, []byte("\nVmData:"))
	if _, err := fmt.Sscan(string(rest), &kib); err != nil {
		return 0, fmt.Errorf("/proc/self/status: VmData: %w", err)
	}
	return kib << 10, nil
}
