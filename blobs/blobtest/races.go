package blobtest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

// records stands for the documents that have hashes, as a server would keep them.
type records struct {
	mu sync.Mutex
	of map[blobs.Hash]int
}

func (r *records) add(h blobs.Hash, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[blobs.Hash]int{}
	}
	r.of[h] += n
}

func (r *records) has(_ context.Context, h blobs.Hash) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[h] > 0, nil
}

func samePuts(t *testing.T, _ Fixture, s *blobs.Store) {
	content := random(200_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			l, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Release()
			if err := s.Verify(t.Context(), l.Hash); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(all(t, s)); n != 1 {
		t.Fatalf("the same bytes are there %d times", n)
	}
}

// putAndRemove has writers put and delete the same few contents, each with a record, and looks all the time whether a
// record is without its bytes.
func putAndRemove(t *testing.T, f Fixture, s *blobs.Store) {
	contents := [][]byte{random(10), random(1000), random(70_000)}
	var kept records
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 12 {
				l, err := s.Put(t.Context(), bytes.NewReader(contents[(w+i)%3]), blobs.NoLimit)
				if err != nil {
					t.Error(err)
					return
				}
				kept.add(l.Hash, 1)
				l.Release()
				if err := s.Verify(t.Context(), l.Hash); err != nil {
					t.Errorf("a record is without its bytes: %v", err)
				}
				kept.add(l.Hash, -1)
				if _, err := s.Remove(t.Context(), l.Hash, kept.has); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// Whoever found the hash pinned has left it to this.
	f.clock.pass(2 * time.Hour)
	if _, err := s.Sweep(t.Context(), kept.has, time.Hour); err != nil {
		t.Fatal(err)
	}
	empty(t, s)
}

func sweep(t *testing.T, f Fixture, s *blobs.Store) {
	recorded, orphan, leased := put(t, s, random(10)), put(t, s, random(20)), put(t, s, random(30))
	recorded.Release()
	orphan.Release()
	id := newID()
	if _, err := s.Stage(t.Context(), id, bytes.NewReader(random(40)), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	var kept records
	kept.add(recorded.Hash, 1)

	swept, err := s.Sweep(t.Context(), kept.has, time.Hour)
	if want := (blobs.Swept{Kept: 3}); err != nil || swept != want {
		t.Fatalf("of what is young %+v was swept, %v", swept, err)
	}
	if _, err := s.StatUpload(t.Context(), id); err != nil {
		t.Fatalf("the young upload: %v", err)
	}
	f.clock.pass(2 * time.Hour)
	noAnswer := errors.New("no answer")
	swept, err = s.Sweep(t.Context(), func(context.Context, blobs.Hash) (bool, error) { return false, noAnswer }, time.Hour)
	if !errors.Is(err, noAnswer) || swept.Objects != 0 || len(all(t, s)) != 3 {
		t.Fatalf("without knowing the records %+v was swept, %v", swept, err)
	}
	if _, err := s.Stage(t.Context(), id, bytes.NewReader(random(40)), blobs.NoLimit); err != nil {
		t.Fatal(err)
	}
	swept, err = s.Sweep(t.Context(), kept.has, time.Hour)
	if want := (blobs.Swept{Objects: 1, Bytes: 20, Uploads: 1, Kept: 2}); err != nil || swept != want {
		t.Fatalf("swept %+v, %v", swept, err)
	}
	if left := all(t, s); !maps.Equal(left, map[blobs.Hash]int64{recorded.Hash: 10, leased.Hash: 30}) {
		t.Fatalf("left are %v", left)
	}
	leased.Release()
	kept.add(recorded.Hash, -1)
	if swept, err = s.Sweep(t.Context(), kept.has, time.Hour); err != nil || swept.Objects != 2 {
		t.Fatalf("swept %+v, %v", swept, err)
	}
	empty(t, s)
}

// sweepBesidePuts sweeps without any grace beside writers: leases alone have to protect what they put.
func sweepBesidePuts(t *testing.T, f Fixture, s *blobs.Store) {
	f.clock.pass(2 * time.Hour)
	var kept records
	contents := [][]byte{random(10), random(1000)}
	stop := make(chan struct{})
	var sweeping, wg sync.WaitGroup
	sweeping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Sweep(t.Context(), kept.has, 0); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		wg.Go(func() {
			for i := range 12 {
				content := bytes.NewReader(contents[(w+i)%2])
				var l *blobs.Lease
				var err error
				if w%2 == 0 {
					l, err = s.Put(t.Context(), content, blobs.NoLimit)
				} else {
					id := newID()
					if _, err = s.Stage(t.Context(), id, content, blobs.NoLimit); err == nil {
						l, err = s.Promote(t.Context(), id, blobs.NoLimit)
					}
					if errors.Is(err, blobs.ErrNotFound) {
						continue // the upload was swept, as one without any grace may be
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
				kept.add(l.Hash, 1)
				l.Release()
				if err := s.Verify(t.Context(), l.Hash); err != nil {
					t.Errorf("a record is without its bytes: %v", err)
				}
				kept.add(l.Hash, -1)
			}
		})
	}
	wg.Wait()
	close(stop)
	sweeping.Wait()
}

func walks(t *testing.T, _ Fixture, s *blobs.Store) {
	for i := range 5 {
		put(t, s, random(i+1)).Release()
		if _, err := s.Stage(t.Context(), newID(), bytes.NewReader(random(1)), blobs.NoLimit); err != nil {
			t.Fatal(err)
		}
	}
	enough, seen := errors.New("enough"), 0
	err := s.Walk(t.Context(), func(blobs.Info) error {
		if seen++; seen == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 2 {
		t.Errorf("the walk saw %d and said %v", seen, err)
	}
	if n := len(all(t, s)); n != 5 {
		t.Errorf("%d objects were walked of 5", n)
	}
}
