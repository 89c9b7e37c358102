package blobtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-edge/sluice/blobs"
)

func newID() (id blobs.UploadID) {
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	return id
}

func uploads(t *testing.T, f Fixture, s *blobs.Store) {
	sizes := []int{0, 1, 100_000}
	if f.Large > 0 {
		sizes = append(sizes, f.Large+1)
	}
	for _, size := range sizes {
		id, content := newID(), random(size)
		for _, staged := range [][]byte{random(10), content} { // the second replaces the first
			u, err := s.Stage(t.Context(), id, bytes.NewReader(staged), blobs.NoLimit)
			if err != nil || u.ID != id || u.Size != int64(len(staged)) {
				t.Fatalf("staged %+v, %v", u, err)
			}
			u, err = s.StatUpload(t.Context(), id)
			if err != nil || u.ID != id || u.Size != int64(len(staged)) || u.Modified.IsZero() {
				t.Fatalf("stat of the upload says %+v, %v", u, err)
			}
		}
		empty(t, s) // an upload is no object
		for range 2 {
			l, err := s.Promote(t.Context(), id, blobs.NoLimit)
			if err != nil {
				t.Fatalf("promote: %v", err)
			}
			if want := (blobs.Object{Hash: sha256.Sum256(content), Size: int64(size)}); l.Object != want {
				t.Fatalf("promoted %+v, want %+v", l.Object, want)
			}
			if !bytes.Equal(read(t, s, l.Hash), content) {
				t.Fatal("promoted bytes are others")
			}
			// A change of the upload does not change the object.
			if _, err := s.Stage(t.Context(), id, strings.NewReader("later"), blobs.NoLimit); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read(t, s, l.Hash), content) {
				t.Fatal("the object changed with the upload")
			}
			if _, err := s.Stage(t.Context(), id, bytes.NewReader(content), blobs.NoLimit); err != nil {
				t.Fatal(err)
			}
			l.Release()
		}
		for range 2 {
			if err := s.Discard(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Promote(t.Context(), id, blobs.NoLimit); !errors.Is(err, blobs.ErrNotFound) {
			t.Fatalf("promote what was discarded: %v", err)
		}
		h := blobs.Hash(sha256.Sum256(content))
		if !bytes.Equal(read(t, s, h), content) {
			t.Fatal("the object went with the upload")
		}
		if removed, err := s.Remove(t.Context(), h, nobody); !removed || err != nil {
			t.Fatalf("removed %v, %v", removed, err)
		}
	}
	empty(t, s)
}

// uploadRace has the bytes of an upload replaced all the time by who has its address, while it is confirmed: every
// object is under its own hash.
func uploadRace(t *testing.T, _ Fixture, s *blobs.Store) {
	id := newID()
	contents := [][]byte{random(50_000), random(50_000), random(3)}
	stage := func(n int) {
		if _, err := s.Stage(t.Context(), id, bytes.NewReader(contents[n%len(contents)]), blobs.NoLimit); err != nil {
			t.Error(err)
		}
	}
	stage(0)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				stage(n)
			}
		}
	})
	promoted := 0
	for range 30 {
		l, err := s.Promote(t.Context(), id, blobs.NoLimit)
		if errors.Is(err, blobs.ErrUnavailable) {
			continue // it changed under the eyes of who looked at it, and that is said
		}
		if err != nil {
			t.Error(err)
			break
		}
		if err := s.Verify(t.Context(), l.Hash); err != nil {
			t.Error(err)
		}
		l.Release()
		promoted++
	}
	close(stop)
	wg.Wait()
	if promoted == 0 {
		t.Error("nothing could be promoted")
	}
	if checked, err := s.Check(t.Context(), func(info blobs.Info, err error) { t.Errorf("%s: %v", info.Hash, err) }); err != nil || checked.Objects > len(contents) {
		t.Errorf("checked %+v, %v", checked, err)
	}
}
