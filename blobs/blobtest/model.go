package blobtest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/blobs"
)

// model runs random operations on the store and on maps, and compares.
func model(t *testing.T, f Fixture, s *blobs.Store) {
	// A few contents, so that they meet; made once, as rapid repeats what it draws.
	contents := make([][]byte, 6)
	hashes := make([]blobs.Hash, len(contents))
	for i := range contents {
		contents[i] = random(i * i * 5000)
		hashes[i] = sha256.Sum256(contents[i])
	}
	ids := []blobs.UploadID{newID(), newID()}

	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		if err := s.Destroy(ctx); err != nil {
			rt.Fatal(err)
		}
		var (
			objects = map[int]bool{}
			staged  = map[int]int{}            // which content, by upload
			leases  = map[int][]*blobs.Lease{} // by content
			kept    records
			content = rapid.IntRange(0, len(contents)-1)
			upload  = rapid.IntRange(0, len(ids)-1)
		)
		defer func() {
			for _, of := range leases {
				for _, l := range of {
					l.Release()
				}
			}
		}()
		lease := func(n int, l *blobs.Lease, err error) {
			if err != nil || l.Hash != hashes[n] || l.Size != int64(len(contents[n])) {
				rt.Fatalf("%+v, %v", l, err)
			}
			objects[n] = true
			leases[n] = append(leases[n], l)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				l, err := s.Put(ctx, bytes.NewReader(contents[n]), int64(len(contents[n])))
				lease(n, l, err)
			},
			"put that fails": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				if _, err := s.Put(ctx, failing{bytes.NewReader(contents[n]), io.ErrUnexpectedEOF}, blobs.NoLimit); err == nil {
					rt.Fatal("a put that was cut off succeeded")
				}
			},
			"commit a record": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				if len(leases[n]) == 0 {
					return
				}
				kept.add(hashes[n], 1)
				leases[n][0].Release()
				leases[n] = leases[n][1:]
			},
			"give up a lease": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				if len(leases[n]) == 0 {
					return
				}
				leases[n][0].Release()
				leases[n] = leases[n][1:]
			},
			"delete a record": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				if kept.of[hashes[n]] > 0 {
					kept.add(hashes[n], -1)
				}
				removed, err := s.Remove(ctx, hashes[n], kept.has)
				if err != nil {
					rt.Fatal(err)
				}
				free := len(leases[n]) == 0 && kept.of[hashes[n]] == 0
				if objects[n] && removed != free {
					rt.Fatalf("removed %v with %d leases and %d records", removed, len(leases[n]), kept.of[hashes[n]])
				}
				if free {
					delete(objects, n)
				}
			},
			"pin": func(rt *rapid.T) {
				n := content.Draw(rt, "content")
				l, err := s.Pin(ctx, hashes[n])
				if !objects[n] {
					if !errors.Is(err, blobs.ErrNotFound) {
						rt.Fatalf("pinned what is not there: %v", err)
					}
					return
				}
				lease(n, l, err)
			},
			"stage": func(rt *rapid.T) {
				n, u := content.Draw(rt, "content"), upload.Draw(rt, "upload")
				if _, err := s.Stage(ctx, ids[u], bytes.NewReader(contents[n]), blobs.NoLimit); err != nil {
					rt.Fatal(err)
				}
				staged[u] = n
			},
			"promote": func(rt *rapid.T) {
				u := upload.Draw(rt, "upload")
				l, err := s.Promote(ctx, ids[u], blobs.NoLimit)
				n, is := staged[u]
				if !is {
					if !errors.Is(err, blobs.ErrNotFound) {
						rt.Fatalf("promoted what is not there: %v", err)
					}
					return
				}
				lease(n, l, err)
			},
			"discard": func(rt *rapid.T) {
				u := upload.Draw(rt, "upload")
				if err := s.Discard(ctx, ids[u]); err != nil {
					rt.Fatal(err)
				}
				delete(staged, u)
			},
			"sweep": func(rt *rapid.T) {
				f.clock.pass(2 * time.Hour)
				if _, err := s.Sweep(ctx, kept.has, time.Hour); err != nil {
					rt.Fatal(err)
				}
				f.clock.pass(-2 * time.Hour)
				for n := range objects {
					if len(leases[n]) == 0 && kept.of[hashes[n]] == 0 {
						delete(objects, n)
					}
				}
				clear(staged)
			},
			"": func(rt *rapid.T) {
				seen := map[blobs.Hash]int64{}
				if err := s.Walk(ctx, func(info blobs.Info) error { seen[info.Hash] = info.Size; return nil }); err != nil {
					rt.Fatal(err)
				}
				if len(seen) != len(objects) {
					rt.Fatalf("there are %d objects, and there should be %d", len(seen), len(objects))
				}
				for n := range objects {
					if size, is := seen[hashes[n]]; !is || size != int64(len(contents[n])) {
						rt.Fatalf("content %d is there %v with %d bytes", n, is, size)
					}
				}
				for u, id := range ids {
					n, is := staged[u]
					waits, err := s.StatUpload(ctx, id)
					if is && (err != nil || waits.Size != int64(len(contents[n]))) || !is && !errors.Is(err, blobs.ErrNotFound) {
						rt.Fatalf("upload %d should be there %v: %+v, %v", u, is, waits, err)
					}
				}
			},
		})
		checked, err := s.Check(ctx, func(info blobs.Info, err error) { rt.Errorf("%s: %v", info.Hash, err) })
		if err != nil || checked.Objects != len(objects) {
			rt.Fatalf("checked %+v, %v", checked, err)
		}
		for n := range objects {
			c, err := s.Open(ctx, hashes[n])
			if err != nil {
				rt.Fatal(err)
			}
			got, err := io.ReadAll(c)
			c.Close()
			if err != nil || !slices.Equal(got, contents[n]) {
				rt.Fatalf("content %d is read as other bytes, %v", n, err)
			}
		}
	})
}
