//go:build !linux

package hooks

// limitProcess has no means here: the parent's clock is the only bound.
func limitProcess(int64, int64) error { return nil }

// idleProcess has no means here either.
func idleProcess() error { return nil }
