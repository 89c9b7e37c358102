package memory_test

import (
	"testing"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/blobtest"
	"github.com/sluice-edge/sluice/blobs/memory"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Fixture {
		b := memory.New(nil)
		return blobtest.Fixture{
			Backend:   b,
			Other:     memory.New(nil),
			Leftovers: func(*testing.T) []string { return nil },
			Damage: func(t *testing.T, h blobs.Hash) {
				if err := b.Damage(h); err != nil {
					t.Fatal(err)
				}
			},
			KeepsOpen: true,
		}
	})
}
