//go:build !linux && !darwin

package kv

// bootID cannot tell here whether the machine stopped. A process that dies while
// durability is relaxed then counts as if it had.
func bootID() string { return "" }
