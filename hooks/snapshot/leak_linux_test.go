package snapshot_test

import (
	"os"
	"strings"
	"testing"
)

// Images and memories come and go without leaving descriptors or mappings behind.
func TestNothingLeaks(t *testing.T) {
	spaces := methods(t)
	round := func() {
		for _, space := range spaces {
			image, err := space.Image(make([]byte, 4*wasmPage))
			if err != nil {
				t.Fatal(err)
			}
			memory, err := image.Memory(16 * wasmPage)
			if err != nil {
				t.Fatal(err)
			}
			memory.Reallocate(8 * wasmPage)[7*wasmPage] = 1
			memory.Free()
			image.Close()
		}
	}
	round()
	files, maps := open(t)
	for range 500 {
		round()
	}
	if filesAfter, mapsAfter := open(t); filesAfter > files+2 || mapsAfter > maps+20 {
		t.Errorf("%d files and %d mappings, before %d and %d", filesAfter, mapsAfter, files, maps)
	}
}

func open(t *testing.T) (files, maps int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries), strings.Count(string(text), "\n")
}
