package blobs

import (
	"context"
	"errors"
	"io"
)

// Verify reads an object and compares its bytes with its hash: nil, a *DamageError, ErrNotFound, or that it could not be
// read.
func (s *Store) Verify(ctx context.Context, h Hash) error {
	_, err := s.verify(ctx, h)
	return err
}

func (s *Store) verify(ctx context.Context, h Hash) (int64, error) {
	c, err := s.Open(ctx, h)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	found, err := Copy(ctx, io.Discard, c, NoLimit)
	if source := (*SourceError)(nil); errors.As(err, &source) {
		err = source.Err // the source is the store
	}
	if err != nil {
		return 0, wrap(err, "read", h)
	}
	if found.Hash != h {
		return found.Size, &DamageError{Want: h, Found: found}
	}
	return found.Size, nil
}

// Checked is what Check has seen.
type Checked struct {
	Objects int   // all that there are
	Bytes   int64 // read of them
	Bad     int   // of these, damaged or unreadable
}

// Check verifies every object there is, and calls bad for each that is damaged or cannot be read. It returns an error
// only if it could not look at all of them. An object that is removed meanwhile is no damage.
func (s *Store) Check(ctx context.Context, bad func(Info, error)) (Checked, error) {
	var seen Checked
	err := s.backend.Walk(ctx, func(info Info) error {
		n, err := s.verify(ctx, info.Hash)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		seen.Objects++
		seen.Bytes += n
		if err != nil {
			seen.Bad++
			bad(info, err)
		}
		return nil
	})
	return seen, err
}
