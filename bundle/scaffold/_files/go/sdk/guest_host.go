//go:build !wasip1

package sluice

// Off WebAssembly there is no host to log to: this is what lets a policy be vetted and tested like any Go package.
func hostLog(Level, string) {}
