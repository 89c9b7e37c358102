package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

// Fixture is a backend to be judged, empty, with what only its own test can do.
type Fixture struct {
	Backend blobs.Backend
	Other   blobs.Backend // of another project at the same place, empty too
	// Leftovers names everything that is at the place and is neither object nor upload: halves of failed writes.
	Leftovers func(t *testing.T) []string
	// Damage changes one byte of an object behind the backend's back.
	Damage func(t *testing.T, h blobs.Hash)
	// Large is a size beyond which the backend does something else, 0 if there is none.
	Large int
	// KeepsOpen: what is open stays readable when it is removed.
	KeepsOpen bool
	// Client fetches from addresses; http.DefaultClient if nil.
	Client *http.Client

	clock *clock
}

// clock is the real one, and some hours set by hand: what Sweep compares with the times of the place.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// Run judges a backend. open is called for every part of the suite.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	parts := []struct {
		name string
		run  func(t *testing.T, f Fixture, s *blobs.Store)
	}{
		{"what was put is read", roundTrip},
		{"the same bytes are there once", once},
		{"limits", limits},
		{"a source that fails leaves nothing", failingSources},
		{"an ended context leaves nothing", endedContexts},
		{"what is not there", missing},
		{"ranges", ranges},
		{"reading what is removed", removedWhileOpen},
		{"reading after the context of opening", afterItsContext},
		{"many put the same", samePuts},
		{"put and remove race", putAndRemove},
		{"uploads", uploads},
		{"uploads that race", uploadRace},
		{"walk stops when told", walks},
		{"sweep", sweep},
		{"sweep beside puts", sweepBesidePuts},
		{"damage is found and mended", damage},
		{"projects share nothing", apart},
		{"addresses", addresses},
		{"random operations agree with a model", model},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			f := open(t)
			f.clock = new(clock)
			s := blobs.New(f.Backend, blobs.Options{Now: f.clock.now})
			t.Cleanup(func() {
				if left := f.Leftovers(t); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			part.run(t, f, s)
		})
	}
}

// random returns n bytes that are there in no other object.
func random(n int) []byte {
	out := make([]byte, n)
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32())
	}
	_, _ = rand.NewChaCha8(seed).Read(out)
	return out
}

func put(t *testing.T, s *blobs.Store, content []byte) *blobs.Lease {
	t.Helper()
	l, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
	if err != nil {
		t.Fatal(err)
	}
	if want := (blobs.Object{Hash: sha256.Sum256(content), Size: int64(len(content))}); l.Object != want {
		t.Fatalf("put says %+v, want %+v", l.Object, want)
	}
	return l
}

func read(t *testing.T, s *blobs.Store, h blobs.Hash) []byte {
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
	if int64(len(got)) != c.Size() {
		t.Fatalf("%d bytes were read, and the size is %d", len(got), c.Size())
	}
	return got
}

// all returns the sizes of all objects.
func all(t *testing.T, s *blobs.Store) map[blobs.Hash]int64 {
	t.Helper()
	seen := map[blobs.Hash]int64{}
	err := s.Walk(t.Context(), func(info blobs.Info) error {
		if _, twice := seen[info.Hash]; twice {
			t.Errorf("%s was walked twice", info.Hash)
		}
		seen[info.Hash] = info.Size
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

func empty(t *testing.T, s *blobs.Store) {
	t.Helper()
	if seen := all(t, s); len(seen) > 0 {
		t.Fatalf("there are objects: %v", seen)
	}
}

func nobody(context.Context, blobs.Hash) (bool, error) { return false, nil }

func roundTrip(t *testing.T, f Fixture, s *blobs.Store) {
	sizes := []int{0, 1, 4095, 64 << 10, 64<<10 + 1, 1 << 20}
	if f.Large > 0 {
		sizes = append(sizes, f.Large, f.Large+1)
	}
	want := map[blobs.Hash]int64{}
	for _, size := range sizes {
		content := random(size)
		before := time.Now().Add(-time.Minute) // a service has a clock of its own
		l := put(t, s, content)
		if !bytes.Equal(read(t, s, l.Hash), content) {
			t.Fatalf("%d bytes are read as others", size)
		}
		info, err := s.Stat(t.Context(), l.Hash)
		if err != nil || info.Object != l.Object || info.Modified.Before(before) {
			t.Fatalf("stat says %+v, %v", info, err)
		}
		if err := s.Verify(t.Context(), l.Hash); err != nil {
			t.Fatal(err)
		}
		l.Release()
		want[l.Hash] = int64(size)
	}
	if got := all(t, s); len(got) != len(want) {
		t.Fatalf("walked %v, want %v", got, want)
	} else {
		for h, size := range want {
			if got[h] != size {
				t.Errorf("%s was walked with %d bytes, it has %d", h, got[h], size)
			}
		}
	}
	for h := range want {
		if removed, err := s.Remove(t.Context(), h, nobody); !removed || err != nil {
			t.Fatalf("removed %v, %v", removed, err)
		}
	}
	empty(t, s)
}

func once(t *testing.T, f Fixture, s *blobs.Store) {
	content := random(100_000)
	first, second := put(t, s, content), put(t, s, content)
	third, err := s.Pin(t.Context(), first.Hash)
	if err != nil || third.Object != first.Object {
		t.Fatalf("pinned %+v, %v", third, err)
	}
	if n := len(all(t, s)); n != 1 {
		t.Fatalf("the same bytes are there %d times", n)
	}
	for _, l := range []*blobs.Lease{first, second, third} {
		if removed, err := s.Remove(t.Context(), l.Hash, nobody); removed || err != nil {
			t.Fatalf("removed %v, %v under a lease", removed, err)
		}
		if !bytes.Equal(read(t, s, l.Hash), content) {
			t.Fatal("the bytes are others")
		}
		l.Release()
	}
	if removed, err := s.Remove(t.Context(), first.Hash, nobody); !removed || err != nil {
		t.Fatalf("removed %v, %v", removed, err)
	}
	empty(t, s)
}

func limits(t *testing.T, f Fixture, s *blobs.Store) {
	sizes := []int{0, 1, 64 << 10, 300_000}
	if f.Large > 0 {
		sizes = append(sizes, f.Large+1)
	}
	for _, size := range sizes {
		content := random(size)
		id := newID()
		if size > 0 {
			if _, err := s.Put(t.Context(), bytes.NewReader(content), int64(size)-1); !errors.Is(err, blobs.ErrTooLarge) {
				t.Fatalf("put %d bytes with a limit of one less: %v", size, err)
			}
			if _, err := s.Stage(t.Context(), id, bytes.NewReader(content), int64(size)-1); !errors.Is(err, blobs.ErrTooLarge) {
				t.Fatalf("stage %d bytes with a limit of one less: %v", size, err)
			}
			if _, err := s.StatUpload(t.Context(), id); !errors.Is(err, blobs.ErrNotFound) {
				t.Fatalf("what was too large to be staged: %v", err)
			}
			empty(t, s)
		}
		l, err := s.Put(t.Context(), bytes.NewReader(content), int64(size))
		if err != nil {
			t.Fatalf("put %d bytes with a limit of as many: %v", size, err)
		}
		l.Release()
		if _, err := s.Remove(t.Context(), l.Hash, nobody); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stage(t.Context(), id, bytes.NewReader(content), int64(size)); err != nil {
			t.Fatalf("stage %d bytes with a limit of as many: %v", size, err)
		}
		if size > 0 {
			if _, err := s.Promote(t.Context(), id, int64(size)-1); !errors.Is(err, blobs.ErrTooLarge) {
				t.Fatalf("promote %d bytes with a limit of one less: %v", size, err)
			}
			empty(t, s)
		}
		l, err = s.Promote(t.Context(), id, int64(size))
		if err != nil {
			t.Fatalf("promote %d bytes with a limit of as many: %v", size, err)
		}
		l.Release()
		if _, err := s.Remove(t.Context(), l.Hash, nobody); err != nil {
			t.Fatal(err)
		}
		if err := s.Discard(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	// A stream without an end is given up at its limit.
	if _, err := s.Put(t.Context(), endless{}, 200_000); !errors.Is(err, blobs.ErrTooLarge) {
		t.Fatalf("an endless stream: %v", err)
	}
	empty(t, s)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// failing gives some bytes, and then an error.
type failing struct {
	content io.Reader
	err     error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.content.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func failingSources(t *testing.T, f Fixture, s *blobs.Store) {
	gone := errors.New("the client went away")
	sizes := []int{0, 1, 100_000}
	if f.Large > 0 {
		sizes = append(sizes, f.Large+1)
	}
	id := newID()
	if _, err := s.Stage(t.Context(), id, strings.NewReader("before"), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		for _, cause := range []error{gone, io.ErrUnexpectedEOF} {
			is := func(doing string, err error) {
				t.Helper()
				source := (*blobs.SourceError)(nil)
				if !errors.As(err, &source) || !errors.Is(err, cause) {
					t.Fatalf("%s cut off after %d bytes by %q: %v", doing, size, cause, err)
				}
			}
			_, err := s.Put(t.Context(), failing{bytes.NewReader(random(size)), cause}, blobs.NoLimit)
			is("put", err)
			_, err = s.Stage(t.Context(), id, failing{bytes.NewReader(random(size)), cause}, blobs.NoLimit)
			is("stage", err)
		}
	}
	empty(t, s)
	if u, err := s.StatUpload(t.Context(), id); err != nil || u.Size != int64(len("before")) {
		t.Fatalf("what was staged before is %+v, %v", u, err)
	}
	if left := f.Leftovers(t); len(left) > 0 {
		t.Fatalf("left behind: %q", left)
	}
}

func endedContexts(t *testing.T, f Fixture, s *blobs.Store) {
	for _, size := range []int{0, 100_000, f.Large + 1} {
		ctx, cancel := context.WithCancel(t.Context())
		r := io.MultiReader(bytes.NewReader(random(size)), calls(cancel), bytes.NewReader(random(100_000)))
		if _, err := s.Put(ctx, r, blobs.NoLimit); !errors.Is(err, context.Canceled) {
			t.Fatalf("put, ended after %d bytes: %v", size, err)
		}
		// From here on it has ended already.
		if _, err := s.Put(ctx, strings.NewReader("x"), blobs.NoLimit); !errors.Is(err, context.Canceled) {
			t.Fatalf("put in an ended context: %v", err)
		}
		if _, err := s.Stage(ctx, newID(), strings.NewReader("x"), blobs.NoLimit); !errors.Is(err, context.Canceled) {
			t.Fatalf("stage in an ended context: %v", err)
		}
		if err := s.Walk(ctx, func(blobs.Info) error { return nil }); len(all(t, s)) > 0 && !errors.Is(err, context.Canceled) {
			t.Fatalf("walk in an ended context: %v", err)
		}
	}
	empty(t, s)
	if left := f.Leftovers(t); len(left) > 0 {
		t.Fatalf("left behind: %q", left)
	}
}

// calls is an empty reader that calls a function when it is read.
type calls func()

func (f calls) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func missing(t *testing.T, _ Fixture, s *blobs.Store) {
	h, id := blobs.Hash{1, 2, 3}, newID()
	_, opened := s.Open(t.Context(), h)
	_, stated := s.Stat(t.Context(), h)
	_, pinned := s.Pin(t.Context(), h)
	_, waiting := s.StatUpload(t.Context(), id)
	_, promoted := s.Promote(t.Context(), id, blobs.NoLimit)
	for what, err := range map[string]error{
		"open": opened, "stat": stated, "pin": pinned, "stat upload": waiting, "promote": promoted, "verify": s.Verify(t.Context(), h),
	} {
		if !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Removing what is not there is no error: it may be the second attempt.
	if _, err := s.Remove(t.Context(), h, nobody); err != nil {
		t.Errorf("remove: %v", err)
	}
	if err := s.Discard(t.Context(), id); err != nil {
		t.Errorf("discard: %v", err)
	}
	empty(t, s)
}

func ranges(t *testing.T, _ Fixture, s *blobs.Store) {
	content := random(300_000)
	l := put(t, s, content)
	defer l.Release()
	c, err := s.Open(t.Context(), l.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	size := int64(len(content))
	for _, r := range [][2]int64{{0, 1}, {0, size}, {size - 1, 1}, {100, 70_000}, {65_535, 2}, {size, 0}} {
		offset, n := r[0], r[1]
		got := make([]byte, n)
		if _, err := c.ReadAt(got, offset); err != nil && err != io.EOF || !bytes.Equal(got, content[offset:offset+n]) {
			t.Errorf("read %d at %d: %v", n, offset, err)
		}
		if at, err := c.Seek(offset, io.SeekStart); err != nil || at != offset {
			t.Fatalf("seek to %d: %d, %v", offset, at, err)
		}
		if got, err := io.ReadAll(io.LimitReader(c, n)); err != nil || !bytes.Equal(got, content[offset:offset+n]) {
			t.Errorf("seek to %d and read %d: %v", offset, n, err)
		}
		if at, err := c.Seek(0, io.SeekCurrent); err != nil || at != offset+n {
			t.Errorf("after reading %d from %d it is at %d, %v", n, offset, at, err)
		}
	}
	if n, err := c.ReadAt(make([]byte, 10), size-4); n != 4 || err != io.EOF {
		t.Errorf("read beyond the end: %d, %v", n, err)
	}
	if n, err := c.ReadAt(make([]byte, 10), size+4); n != 0 || err != io.EOF {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
	if at, err := c.Seek(-10, io.SeekEnd); err != nil || at != size-10 {
		t.Errorf("seek from the end: %d, %v", at, err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content[size-10:]) {
		t.Errorf("the last bytes: %v", err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if _, err := c.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek to before the beginning")
	}
	if file := c.File(); file != nil { // what the kernel sends is from the same position
		if _, err := c.Seek(5, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, content[5:]) {
			t.Errorf("the file reads otherwise: %v", err)
		}
	}
}

// afterItsContext reads when the context of opening has ended, as who answers with it does.
func afterItsContext(t *testing.T, f Fixture, s *blobs.Store) {
	content := random(300_000)
	l := put(t, s, content)
	defer l.Release()
	ctx, cancel := context.WithCancel(t.Context())
	c, err := s.Open(ctx, l.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	got := make([]byte, 10)
	if _, err := c.ReadAt(got, 1000); err != nil || !bytes.Equal(got, content[1000:1010]) {
		t.Fatalf("read at: %v", err)
	}
}

func removedWhileOpen(t *testing.T, f Fixture, s *blobs.Store) {
	content := random(100_000)
	l := put(t, s, content)
	c, err := s.Open(t.Context(), l.Hash)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.Release()
	if removed, err := s.Remove(t.Context(), l.Hash, nobody); !removed || err != nil {
		t.Fatalf("removed %v, %v", removed, err)
	}
	got, err := io.ReadAll(c)
	switch {
	case err == nil && bytes.Equal(got, content):
	case !f.KeepsOpen && errors.Is(err, blobs.ErrNotFound):
	default:
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func damage(t *testing.T, f Fixture, s *blobs.Store) {
	content := random(100_000)
	whole, broken := put(t, s, random(10)), put(t, s, content)
	defer whole.Release()
	defer broken.Release()
	f.Damage(t, broken.Hash)

	is := func(err error) {
		t.Helper()
		what := (*blobs.DamageError)(nil)
		if !errors.Is(err, blobs.ErrDamaged) || !errors.As(err, &what) || what.Want != broken.Hash || what.Found.Hash == broken.Hash {
			t.Errorf("damage is told as %v", err)
		}
	}
	is(s.Verify(t.Context(), broken.Hash))
	var told []blobs.Hash
	checked, err := s.Check(t.Context(), func(info blobs.Info, err error) {
		told = append(told, info.Hash)
		is(err)
	})
	if want := (blobs.Checked{Objects: 2, Bytes: 100_010, Bad: 1}); err != nil || checked != want || !slices.Equal(told, []blobs.Hash{broken.Hash}) {
		t.Errorf("checked %+v and told of %v, %v", checked, told, err)
	}
	put(t, s, content).Release()
	if err := s.Verify(t.Context(), broken.Hash); err != nil {
		t.Errorf("put again: %v", err)
	}
}

func apart(t *testing.T, f Fixture, s *blobs.Store) {
	other := blobs.New(f.Other, blobs.Options{})
	content, id := random(1000), newID()
	l := put(t, s, content)
	l.Release()
	if _, err := s.Stage(t.Context(), id, bytes.NewReader(content), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Stat(t.Context(), l.Hash); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("another project's object: %v", err)
	}
	if _, err := other.StatUpload(t.Context(), id); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("another project's upload: %v", err)
	}
	empty(t, other)
	put(t, other, content).Release()
	if err := other.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty(t, other)
	if !bytes.Equal(read(t, s, l.Hash), content) {
		t.Error("the object went with another project's")
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty(t, s)
	if _, err := s.StatUpload(t.Context(), id); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("the upload of what was destroyed: %v", err)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Errorf("destroy what is not there: %v", err)
	}
	put(t, s, content).Release() // and it can be used again
}
