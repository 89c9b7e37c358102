package disk_test

import (
	"bytes"
	"io"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/sluice-edge/sluice/blobs"
)

// Bytes stream through: a file of 10 MiB takes one buffer, whatever its size.
func TestPutTakesOneBuffer(t *testing.T) {
	s := blobs.New(open(t, filepath.Join(t.TempDir(), "blobs")), blobs.Options{})
	content := make([]byte, 10<<20)
	put := func() {
		l, err := s.Put(t.Context(), bytes.NewReader(content), blobs.NoLimit)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	put()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	const puts = 5
	for range puts {
		put()
	}
	goruntime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / puts; each > 128<<10 {
		t.Errorf("a put of 10 MiB allocates %d bytes", each)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20, 10 << 20} {
		b.Run(map[int]string{10 << 10: "10KiB", 1 << 20: "1MiB", 10 << 20: "10MiB"}[size], func(b *testing.B) {
			s := blobs.New(openAt(b), blobs.Options{})
			content := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				content[0], content[1], content[2] = byte(n), byte(n>>8), byte(n>>16)
				l, err := s.Put(b.Context(), bytes.NewReader(content), blobs.NoLimit)
				if err != nil {
					b.Fatal(err)
				}
				l.Release()
				if _, err := s.Remove(b.Context(), l.Hash, nobody); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHash is what a put cannot be faster than.
func BenchmarkHash(b *testing.B) {
	content := make([]byte, 10<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := blobs.Copy(b.Context(), io.Discard, bytes.NewReader(content), blobs.NoLimit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := blobs.New(openAt(b), blobs.Options{})
	l, err := s.Put(b.Context(), bytes.NewReader(make([]byte, 10<<10)), blobs.NoLimit)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c, err := s.Open(b.Context(), l.Hash)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
