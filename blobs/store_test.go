package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/memory"
)

// clock is a clock that is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T) (*blobs.Store, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := blobs.New(memory.New(c.Now), blobs.Options{Now: c.Now})
	t.Cleanup(func() { s.Close() })
	return s, c
}

func put(t *testing.T, s *blobs.Store, text string) *blobs.Lease {
	t.Helper()
	l, err := s.Put(t.Context(), strings.NewReader(text), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func nobody(context.Context, blobs.Hash) (bool, error) { return false, nil }
func everybody(context.Context, blobs.Hash) (bool, error) {
	return true, nil
}

func has(t *testing.T, s *blobs.Store, h blobs.Hash) bool {
	t.Helper()
	_, err := s.Stat(t.Context(), h)
	if err != nil && !errors.Is(err, blobs.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestRemove(t *testing.T) {
	t.Run("what has a lease stays", func(t *testing.T) {
		s, _ := open(t)
		first, second := put(t, s, "same"), put(t, s, "same")
		first.Release()
		first.Release() // counts once
		if removed, err := s.Remove(t.Context(), second.Hash, nobody); removed || err != nil || !has(t, s, second.Hash) {
			t.Fatalf("removed %v, %v under a lease", removed, err)
		}
		second.Release()
		if removed, err := s.Remove(t.Context(), second.Hash, nobody); !removed || err != nil || has(t, s, second.Hash) {
			t.Fatalf("removed %v, %v without a lease", removed, err)
		}
	})
	t.Run("what has a record stays", func(t *testing.T) {
		s, _ := open(t)
		l := put(t, s, "kept")
		l.Release()
		if removed, err := s.Remove(t.Context(), l.Hash, everybody); removed || err != nil || !has(t, s, l.Hash) {
			t.Fatalf("removed %v, %v with a record", removed, err)
		}
	})
	t.Run("who cannot say whether there is a record loses nothing", func(t *testing.T) {
		s, _ := open(t)
		l := put(t, s, "kept")
		l.Release()
		cause := errors.New("no answer")
		removed, err := s.Remove(t.Context(), l.Hash, func(context.Context, blobs.Hash) (bool, error) { return false, cause })
		if removed || !errors.Is(err, cause) || !has(t, s, l.Hash) {
			t.Fatalf("removed %v, %v", removed, err)
		}
	})
	t.Run("a put of what is being removed waits and stores it again", func(t *testing.T) {
		s, _ := open(t)
		l := put(t, s, "again")
		l.Release()
		stored := make(chan *blobs.Lease, 1)
		_, err := s.Remove(t.Context(), l.Hash, func(context.Context, blobs.Hash) (bool, error) {
			started := make(chan struct{})
			go func() {
				close(started)
				again, err := s.Put(context.Background(), strings.NewReader("again"), blobs.NoLimit)
				if err != nil {
					t.Error(err)
				}
				stored <- again
			}()
			<-started
			return false, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		again := <-stored
		if !has(t, s, again.Hash) {
			t.Fatal("the bytes are gone though a lease is on them")
		}
	})
	t.Run("a put that waits for a removal ends with its context", func(t *testing.T) {
		s, _ := open(t)
		l := put(t, s, "again")
		l.Release()
		_, err := s.Remove(t.Context(), l.Hash, func(context.Context, blobs.Hash) (bool, error) {
			ctx, cancel := context.WithCancel(context.Background())
			// The reader is at its end when the context ends, so that what is cut off is the waiting.
			r := io.MultiReader(strings.NewReader("again"), atEOF(cancel))
			if _, err := s.Put(ctx, r, blobs.NoLimit); !errors.Is(err, context.Canceled) {
				t.Errorf("put: %v", err)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("nothing is removed while it is held", func(t *testing.T) {
		s, c := open(t)
		l := put(t, s, "held")
		l.Release()
		release := s.Hold()
		c.pass(time.Hour)
		if removed, err := s.Remove(t.Context(), l.Hash, nobody); removed || err != nil {
			t.Fatalf("removed %v, %v", removed, err)
		}
		if swept, err := s.Sweep(t.Context(), nobody, 0); err != nil || swept.Objects != 0 {
			t.Fatalf("swept %+v, %v", swept, err)
		}
		release()
		release()
		if removed, err := s.Remove(t.Context(), l.Hash, nobody); !removed || err != nil {
			t.Fatalf("removed %v, %v after the hold", removed, err)
		}
	})
}

// atEOF is an empty reader that calls f when it is read.
type atEOF func()

func (f atEOF) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func TestSweep(t *testing.T) {
	s, c := open(t)
	recorded, orphan, leased := put(t, s, "recorded"), put(t, s, "orphan"), put(t, s, "leased")
	recorded.Release()
	orphan.Release()
	old, fresh := blobs.UploadID{1}, blobs.UploadID{2}
	if _, err := s.Stage(t.Context(), old, strings.NewReader("abandoned"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour)
	young := put(t, s, "young")
	young.Release()
	if _, err := s.Stage(t.Context(), fresh, strings.NewReader("under way"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)

	swept, err := s.Sweep(t.Context(), func(_ context.Context, h blobs.Hash) (bool, error) { return h == recorded.Hash, nil }, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if want := (blobs.Swept{Objects: 1, Bytes: int64(len("orphan")), Uploads: 1, Kept: 3}); swept != want {
		t.Fatalf("swept %+v, want %+v", swept, want)
	}
	for _, want := range []struct {
		what string
		h    blobs.Hash
		has  bool
	}{{"recorded", recorded.Hash, true}, {"leased", leased.Hash, true}, {"young", young.Hash, true}, {"orphan", orphan.Hash, false}} {
		if got := has(t, s, want.h); got != want.has {
			t.Errorf("%s: is there %v", want.what, got)
		}
	}
	if _, err := s.StatUpload(t.Context(), old); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("the abandoned upload: %v", err)
	}
	if _, err := s.StatUpload(t.Context(), fresh); err != nil {
		t.Errorf("the upload under way: %v", err)
	}
}

// TestPutAndRemoveRace lets writers put and delete the same few contents, each with a record as a server would have it,
// and asks all the time whether a record is without its bytes.
func TestPutAndRemoveRace(t *testing.T) {
	s, _ := open(t)
	var mu sync.Mutex
	records := map[blobs.Hash]int{}
	referenced := func(_ context.Context, h blobs.Hash) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		return records[h] > 0, nil
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				l, err := s.Put(t.Context(), strings.NewReader(strings.Repeat("x", (w+i)%3)), blobs.NoLimit)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				records[l.Hash]++
				mu.Unlock()
				l.Release()
				if err := s.Verify(t.Context(), l.Hash); err != nil {
					t.Errorf("a record has no bytes: %v", err)
					return
				}
				mu.Lock()
				records[l.Hash]--
				mu.Unlock()
				if _, err := s.Remove(t.Context(), l.Hash, referenced); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := s.Sweep(t.Context(), referenced, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Walk(t.Context(), func(info blobs.Info) error { return errors.New(info.Hash.String()) }); err != nil {
		t.Fatalf("left without a record: %v", err)
	}
}

func TestCopy(t *testing.T) {
	cut := errors.New("the client went away")
	long := strings.Repeat("0123456789", 20_000) // more than one chunk
	cases := []struct {
		name  string
		r     io.Reader
		limit int64
		want  error
		size  int64
	}{
		{"nothing", strings.NewReader(""), 0, nil, 0},
		{"exactly the limit", strings.NewReader(long), int64(len(long)), nil, int64(len(long))},
		{"a byte over the limit", strings.NewReader(long), int64(len(long)) - 1, blobs.ErrTooLarge, 0},
		{"a byte at a time", iotest.OneByteReader(strings.NewReader(long)), blobs.NoLimit, nil, int64(len(long))},
		{"the end together with bytes", iotest.DataErrReader(strings.NewReader(long)), blobs.NoLimit, nil, int64(len(long))},
		{"cut off", io.MultiReader(strings.NewReader(long), iotest.ErrReader(cut)), blobs.NoLimit, cut, 0},
		{"cut off with io.ErrUnexpectedEOF", iotest.ErrReader(io.ErrUnexpectedEOF), blobs.NoLimit, io.ErrUnexpectedEOF, 0},
		{"a reader that never gives anything", stuck{}, blobs.NoLimit, io.ErrNoProgress, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got bytes.Buffer
			o, err := blobs.Copy(t.Context(), &got, c.r, c.limit)
			if !errors.Is(err, c.want) || o.Size != c.size {
				t.Fatalf("got %+v, %v", o, err)
			}
			if source := (*blobs.SourceError)(nil); c.want != nil && c.want != blobs.ErrTooLarge && !errors.As(err, &source) {
				t.Fatalf("%v is not said to be the source's", err)
			}
			if err == nil && int64(got.Len()) != o.Size {
				t.Fatalf("%d bytes were written, and %d reported", got.Len(), o.Size)
			}
		})
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestParse(t *testing.T) {
	h := blobs.Hash{0xab, 31: 1}
	if got, err := blobs.ParseHash(h.String()); err != nil || got != h {
		t.Fatalf("%v, %v", got, err)
	}
	id := blobs.UploadID{0xab, 15: 1}
	if got, err := blobs.ParseUploadID(id.String()); err != nil || got != id {
		t.Fatalf("%v, %v", got, err)
	}
	text := h.String()
	for _, bad := range []string{"", text[:63], text + "0", strings.ToUpper(text), "../" + text[3:], text[:63] + "g", text[:63] + "\x00"} {
		if _, err := blobs.ParseHash(bad); err == nil {
			t.Errorf("%q is taken for a hash", bad)
		}
		if _, err := blobs.ParseUploadID(bad); err == nil {
			t.Errorf("%q is taken for the id of an upload", bad)
		}
	}
}
