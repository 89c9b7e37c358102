//go:build !unix

package kv

import "os"

// tryLock leaves the locking to bbolt.
func tryLock(*os.File, bool) (held bool, err error) { return false, nil }
