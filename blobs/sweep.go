package blobs

import (
	"context"
	"errors"
	"time"
)

// Referenced answers whether a record has the hash, from all that is committed when it is called.
type Referenced func(ctx context.Context, h Hash) (bool, error)

// Remove removes the bytes of a hash, if no record has it and no lease is on it, and reports whether it did. It is called
// after a record's end was committed, or after a lease was given up without a record. What it leaves, Sweep finds.
func (s *Store) Remove(ctx context.Context, h Hash, referenced Referenced) (bool, error) {
	removed := false
	_, err := s.pins.remove(h, func() error {
		// Nobody can pin the hash now, so that no record of it can come to be until the bytes are gone.
		if is, err := referenced(ctx, h); is || err != nil {
			return err
		}
		if err := s.backend.Delete(ctx, h); err != nil {
			return err
		}
		removed = true
		return nil
	})
	return removed, wrap(err, "remove", h)
}

// Swept is what Sweep did.
type Swept struct {
	Objects int   // objects without a record that were removed
	Bytes   int64 // how much they held
	Uploads int   // uploads that nobody confirmed and that were removed
	Kept    int   // objects that stay
}

// Sweep removes the objects that no record has, the uploads, and what writes have left half-done, that are older than grace. It goes on past an object that
// it cannot remove, and returns all such errors together. The grace is what protects bytes whose records are elsewhere for
// a while: a backup that is being restored, a second process on the same bucket.
func (s *Store) Sweep(ctx context.Context, referenced Referenced, grace time.Duration) (Swept, error) {
	var swept Swept
	var failed []error
	before := s.now().Add(-grace)

	// Walked to the end first: no backend has to promise what a walk sees of what is removed under it.
	var old []Object
	err := s.backend.Walk(ctx, func(info Info) error {
		if info.Modified.After(before) {
			swept.Kept++
		} else {
			old = append(old, info.Object)
		}
		return nil
	})
	if err != nil {
		failed = append(failed, err)
	}
	for _, o := range old {
		if ctx.Err() != nil {
			return swept, errors.Join(append(failed, ctx.Err())...)
		}
		removed, err := s.Remove(ctx, o.Hash, referenced)
		if err != nil {
			failed = append(failed, err)
		}
		if removed {
			swept.Objects++
			swept.Bytes += o.Size
		} else {
			swept.Kept++
		}
	}

	var abandoned []UploadID
	err = s.backend.WalkUploads(ctx, func(u Upload) error {
		if !u.Modified.After(before) {
			abandoned = append(abandoned, u.ID)
		}
		return nil
	})
	if err != nil {
		failed = append(failed, err)
	}
	for _, id := range abandoned {
		if err := s.Discard(ctx, id); err != nil {
			failed = append(failed, err)
			continue
		}
		swept.Uploads++
	}
	if err := s.backend.Tidy(ctx, before); err != nil {
		failed = append(failed, err)
	}
	return swept, errors.Join(failed...)
}
