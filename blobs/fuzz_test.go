package blobs_test

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/blobs"
)

// FuzzParse: what is taken for a hash or the id of an upload is spelled in one way, and can be part of a path.
func FuzzParse(f *testing.F) {
	f.Add(blobs.Hash{1}.String())
	f.Add(blobs.UploadID{1}.String())
	f.Add(strings.Repeat("A", 64))
	f.Add("../../" + strings.Repeat("0", 58))
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := blobs.ParseHash(s); err == nil && h.String() != s {
			t.Errorf("%q is taken for %s", s, h)
		}
		if id, err := blobs.ParseUploadID(s); err == nil && id.String() != s {
			t.Errorf("%q is taken for %s", s, id)
		}
	})
}
