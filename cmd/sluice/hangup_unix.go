//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangUps returns a channel that is told of SIGHUP, which otherwise ends a process.
func hangUps() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
