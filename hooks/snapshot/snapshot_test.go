package snapshot_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/hooks/snapshot"
)

const wasmPage = 65536

// methods are those that work here; on Linux all of them must.
func methods(t testing.TB) []*snapshot.Space {
	t.Helper()
	var spaces []*snapshot.Space
	for _, m := range []snapshot.Method{snapshot.Scan, snapshot.Pagemap, snapshot.Copy} {
		s, err := snapshot.Open(m)
		if err != nil {
			t.Logf("%v: %v", m, err)
			continue
		}
		t.Cleanup(s.Close)
		spaces = append(spaces, s)
	}
	return spaces
}

func TestTheBestMethodThatWorksIsTaken(t *testing.T) {
	spaces := methods(t)
	auto, err := snapshot.Open(snapshot.Auto)
	if err != nil {
		t.Fatal(err)
	}
	defer auto.Close()
	if auto.Method() != spaces[0].Method() {
		t.Errorf("%v was taken, %v works", auto.Method(), spaces[0].Method())
	}
	t.Logf("%v", auto.Method())
}

// Whatever is written where, by whatever method: Restore leaves the image, and nothing of what was written.
func TestRestoreUndoesEverything(t *testing.T) {
	for _, space := range methods(t) {
		t.Run(space.Method().String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				state := make([]byte, rapid.IntRange(1, 40).Draw(t, "pages")*wasmPage)
				for range rapid.IntRange(0, 50).Draw(t, "filled") {
					at := rapid.IntRange(0, len(state)-1).Draw(t, "at")
					copy(state[at:], bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, 5000))
				}
				image, err := space.Image(state)
				if err != nil {
					t.Fatal(err)
				}
				defer image.Close()
				var memories []snapshot.Memory
				var views [][]byte
				for range 2 {
					memory, err := image.Memory(64 * wasmPage)
					if err != nil {
						t.Fatal(err)
					}
					defer memory.Free()
					memories, views = append(memories, memory), append(views, memory.Reallocate(wasmPage))
				}
				for range rapid.IntRange(1, 8).Draw(t, "rounds") {
					i := rapid.IntRange(0, 1).Draw(t, "memory")
					for range rapid.IntRange(0, 80).Draw(t, "writes") {
						from := rapid.IntRange(0, len(state)-1).Draw(t, "from")
						to := min(len(state), from+rapid.IntRange(1, 20000).Draw(t, "n"))
						for at := from; at < to; at++ {
							views[i][at] ^= 0x5a
						}
					}
					if err := memories[i].Restore(); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(views[i], state) || !bytes.Equal(image.Bytes(), state) {
						t.Fatal("something was left behind")
					}
				}
			})
		})
	}
}

func TestMemoryGrowsAndIsThenNotRestored(t *testing.T) {
	for _, space := range methods(t) {
		t.Run(space.Method().String(), func(t *testing.T) {
			image, err := space.Image(bytes.Repeat([]byte{7}, 2*wasmPage))
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			memory, err := image.Memory(4 * wasmPage)
			if err != nil {
				t.Fatal(err)
			}
			if got := memory.Reallocate(wasmPage); len(got) != 2*wasmPage || memory.Grown() {
				t.Errorf("a memory of %d bytes, grown %v", len(got), memory.Grown())
			}
			if memory.Reallocate(5*wasmPage) != nil {
				t.Error("it grew beyond its maximum")
			}
			grown := memory.Reallocate(4 * wasmPage)
			if len(grown) != 4*wasmPage || grown[2*wasmPage-1] != 7 || grown[2*wasmPage] != 0 || grown[4*wasmPage-1] != 0 {
				t.Error("growing lost what was there, or did not add zeros")
			}
			grown[4*wasmPage-1] = 1
			if err := memory.Restore(); !errors.Is(err, snapshot.ErrGrown) || !memory.Grown() {
				t.Errorf("restoring a grown memory: %v", err)
			}
			memory.Free()
			memory.Free()
		})
	}
}

func TestAMemoryOfNothing(t *testing.T) {
	for _, space := range methods(t) {
		image, err := space.Image(nil)
		if err != nil {
			t.Fatal(err)
		}
		memory, err := image.Memory(wasmPage)
		if err != nil {
			t.Fatal(err)
		}
		if err := memory.Restore(); err != nil || memory.Grown() || len(memory.Reallocate(0)) != 0 || len(memory.Reallocate(wasmPage)) != wasmPage {
			t.Errorf("%v: %v", space.Method(), err)
		}
		memory.Free()
		image.Close()
	}
}

// BenchmarkRestore is what one call pays for five pages it has written to.
func BenchmarkRestore(b *testing.B) {
	for _, space := range methods(b) {
		for _, pages := range []int{2, 54} {
			b.Run(space.Method().String()+map[int]string{2: "/128KiB", 54: "/3.5MiB"}[pages], func(b *testing.B) {
				image, err := space.Image(bytes.Repeat([]byte{7}, pages*wasmPage))
				if err != nil {
					b.Fatal(err)
				}
				defer image.Close()
				memory, err := image.Memory(256 * wasmPage)
				if err != nil {
					b.Fatal(err)
				}
				defer memory.Free()
				view := memory.Reallocate(0)
				b.ReportAllocs()
				for b.Loop() {
					for i := range 5 {
						view[i*5*4096]++
					}
					if err := memory.Restore(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestAnImageMayEndInZerosThatNobodyReads(t *testing.T) {
	for _, method := range []snapshot.Method{snapshot.Auto, snapshot.Copy} {
		s, err := snapshot.Open(method)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		image, err := s.ImageOf([]byte("begin"), 2<<16)
		if err != nil {
			t.Fatal(err)
		}
		defer image.Close()
		memory, err := image.Memory(4 << 16)
		if err != nil {
			t.Fatal(err)
		}
		defer memory.Free()
		for _, have := range [][]byte{image.Bytes(), memory.Reallocate(2 << 16)} {
			if want := append([]byte("begin"), make([]byte, 2<<16-5)...); !bytes.Equal(have, want) {
				t.Errorf("%v: %d bytes that begin with %q", method, len(have), have[:8])
			}
		}
	}
}
