//go:build !unix

package main

import "os"

// hangUps returns a channel that is never told of anything: this system has no SIGHUP.
func hangUps() (<-chan os.Signal, func()) { return nil, func() {} }
