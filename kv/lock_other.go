//go:build !unix

package kv

import (
	"errors"
	"os"
)

// tryLock leaves the locking to bbolt.
func tryLock(*os.File, bool) (held bool, err error) { return false, nil }

// inherit is how a DB goes on after a failed write; here it takes a new Open.
func inherit(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
