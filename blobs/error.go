package blobs

import (
	"errors"
	"fmt"
)

// What a store says. Errors of its methods wrap at most one of these, and the cause that the operator needs to know.
var (
	// ErrNotFound: there is no such object or upload.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: there are more bytes than the limit. Nothing was kept.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrFull: there is no space for the bytes. Nothing was kept.
	ErrFull = errors.New("no space left")
	// ErrUnavailable: the disk or the service failed or did not answer. Nothing is acknowledged; another attempt may
	// succeed.
	ErrUnavailable = errors.New("the store does not work")
	// ErrDamaged: the bytes that are there are not those that were put.
	ErrDamaged = errors.New("damaged")
	// ErrNotSupported: this backend has no addresses that a client could use by itself.
	ErrNotSupported = errors.New("not supported by this store")
)

// SourceError says that the bytes could not be read from where they came, and not that the store failed: a client that
// went away in the middle. Nothing was kept.
type SourceError struct{ Err error }

func (e *SourceError) Error() string {
	return fmt.Sprintf("reading what is to be stored: %v", e.Err)
}
func (e *SourceError) Unwrap() error { return e.Err }

// DamageError is an ErrDamaged with what was found instead.
type DamageError struct {
	Want  Hash
	Found Object
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("object %s is damaged: its %d bytes have the hash %s", e.Want, e.Found.Size, e.Found.Hash)
}
func (e *DamageError) Unwrap() error { return ErrDamaged }
