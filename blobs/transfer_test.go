package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/memory"
)

// broken is a backend of which one object is read as something else, or not at all.
type broken struct {
	*memory.Backend
	of   blobs.Hash
	read func() io.Reader
}

type brokenContent struct {
	blobs.Content
	r io.Reader
}

func (c brokenContent) Read(p []byte) (int, error) { return c.r.Read(p) }

func (b *broken) Open(ctx context.Context, h blobs.Hash) (blobs.Content, error) {
	c, err := b.Backend.Open(ctx, h)
	if err == nil && h == b.of {
		return brokenContent{c, b.read()}, nil
	}
	return c, err
}

func TestTransfer(t *testing.T) {
	from, to := &broken{Backend: memory.New(nil)}, memory.New(nil)
	s := blobs.New(from, blobs.Options{})
	var all []blobs.Hash
	for _, text := range []string{"", "one", "two", strings.Repeat("three", 50_000)} {
		all = append(all, put(t, s, text).Hash)
	}
	put(t, blobs.New(to, blobs.Options{}), "two")

	from.of = all[3]
	for name, read := range map[string]func() io.Reader{
		"damaged":    func() io.Reader { return strings.NewReader("four") },
		"unreadable": func() io.Reader { return iotest.ErrReader(errors.New("the disk")) },
	} {
		from.read = read
		var told []error
		done, err := blobs.Transfer(t.Context(), from, to, func(info blobs.Info, err error) {
			if info.Hash != all[3] {
				t.Errorf("%s: %s is told of: %v", name, info.Hash, err)
			}
			told = append(told, err)
		})
		if err != nil || done.Bad != 1 || len(told) != 1 || done.Objects+done.Present != 3 || done.Present < 1 {
			t.Fatalf("%s: %+v, %v, told %v", name, done, err, told)
		}
		if _, err := to.Stat(t.Context(), all[3]); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("%s: the bad object is there: %v", name, err)
		}
	}
	from.of = blobs.Hash{}
	done, err := blobs.Transfer(t.Context(), from, to, func(_ blobs.Info, err error) { t.Error(err) })
	if want := (blobs.Transferred{Objects: 1, Bytes: 250_000, Present: 3}); err != nil || done != want {
		t.Fatalf("%+v, %v", done, err)
	}
	other := blobs.New(to, blobs.Options{})
	for _, h := range all {
		if err := other.Verify(t.Context(), h); err != nil {
			t.Error(err)
		}
		a, b := content(t, s, h), content(t, other, h)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", h)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := blobs.Transfer(ended, from, memory.New(nil), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("in an ended context: %v", err)
	}
}

func content(t *testing.T, s *blobs.Store, h blobs.Hash) []byte {
	t.Helper()
	c, err := s.Open(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
