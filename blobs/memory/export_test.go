package memory

import (
	"bytes"

	"github.com/sluice-edge/sluice/blobs"
)

// Damage changes the last byte of an object.
func (b *Backend) Damage(h blobs.Hash) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, found := b.objects[h]
	if !found {
		return blobs.ErrNotFound
	}
	o.bytes = bytes.Clone(o.bytes)
	o.bytes[len(o.bytes)-1] ^= 1
	b.objects[h] = o
	return nil
}
