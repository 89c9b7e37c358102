package s3

import (
	"errors"
	"net/http"
	"testing"

	"github.com/sluice-edge/sluice/blobs"
)

// FuzzTotal: whatever a service says of an object's size, it is a size or an error.
func FuzzTotal(f *testing.F) {
	for _, text := range []string{"bytes 0-9/1234", "1234", "bytes 0-9/*", "bytes */0", "", "/", "-1", "99999999999999999999"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, contentRange, contentLength string) {
		n, err := total(http.Header{"Content-Range": {contentRange}, "Content-Length": {contentLength}})
		if n < 0 || err != nil && (n != 0 || !errors.Is(err, blobs.ErrUnavailable)) {
			t.Errorf("%q, %q: %d, %v", contentRange, contentLength, n, err)
		}
	})
}

func TestTotal(t *testing.T) {
	for _, c := range []struct {
		contentRange, contentLength string
		want                        int64
		ok                          bool
	}{
		{"bytes 0-9/1234", "10", 1234, true},
		{"", "10", 10, true},
		{"bytes 0-9/*", "10", 0, false},
		{"", "", 0, false},
		{"bytes 0-9/-5", "", 0, false},
	} {
		n, err := total(http.Header{"Content-Range": {c.contentRange}, "Content-Length": {c.contentLength}})
		if n != c.want || (err == nil) != c.ok {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
}
