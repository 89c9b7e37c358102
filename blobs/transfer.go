package blobs

import (
	"context"
	"errors"
	"fmt"
)

// Transferred is what Transfer did.
type Transferred struct {
	Objects int   // copied
	Bytes   int64 // of them
	Present int   // that were there already
	Bad     int   // that could not be read or are damaged, and are not there
}

// Transfer copies every object of a backend to another, and removes none. It can be repeated: what is there with the same
// size is left alone. bad is called for each object that is damaged or cannot be read; those are passed over. The error
// says that not all objects were looked at, or that the other backend does not take them. Nobody may write to either
// meanwhile. Uploads are not copied.
func Transfer(ctx context.Context, from, to Backend, bad func(Info, error)) (Transferred, error) {
	var done Transferred
	err := from.Walk(ctx, func(info Info) error {
		there, err := to.Stat(ctx, info.Hash)
		if err == nil && there.Size == info.Size {
			done.Present++
			return nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("blobs: transfer %s: %w", info.Hash, err)
		}
		switch err := transfer(ctx, from, to, info.Hash); {
		case err == nil:
			done.Objects++
			done.Bytes += info.Size
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case unreadable(err):
			done.Bad++
			bad(info, err)
			return nil
		default:
			return fmt.Errorf("blobs: transfer %s: %w", info.Hash, err)
		}
	})
	return done, err
}

// unreadable reports whether it is the object, or where it is read from, that fails.
func unreadable(err error) bool {
	var source *SourceError
	return errors.As(err, &source) || errors.Is(err, ErrDamaged)
}

func transfer(ctx context.Context, from, to Backend, h Hash) error {
	c, err := from.Open(ctx, h)
	if err != nil {
		return &SourceError{err}
	}
	defer c.Close()
	in, err := to.Receive(ctx, c, NoLimit)
	if err != nil {
		return err
	}
	if found := in.Object(); found.Hash != h {
		in.Abandon()
		return &DamageError{Want: h, Found: found}
	}
	return in.Place(ctx)
}
