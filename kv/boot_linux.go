package kv

import (
	"bytes"
	"os"
)

// bootID names the present boot of the machine: another one means that it
// stopped in between. Empty when that cannot be known.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(id))
}
