package snapshot_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-edge/sluice/hooks/snapshot"
)

func TestEveryMethodWorksOnLinux(t *testing.T) {
	for _, m := range []snapshot.Method{snapshot.Pagemap, snapshot.Copy} {
		s, err := snapshot.Open(m)
		if err != nil {
			t.Errorf("%v: %v", m, err)
			continue
		}
		s.Close()
	}
}

// Nobody can change an image, not even through its file.
func TestImagesAreSealed(t *testing.T) {
	for _, space := range methods(t) {
		if space.Method() == snapshot.Copy {
			continue
		}
		image, err := space.Image(make([]byte, wasmPage))
		if err != nil {
			t.Fatal(err)
		}
		defer image.Close()
		var found int
		links, _ := filepath.Glob("/proc/self/fd/*")
		for _, link := range links {
			if name, _ := os.Readlink(link); name != "/memfd:guest (deleted)" {
				continue
			}
			found++
			if f, err := os.OpenFile(link, os.O_RDWR, 0); err == nil {
				if _, err := f.WriteAt([]byte{1}, 0); err == nil {
					t.Errorf("%s can be written to", link)
				}
				if err := f.Truncate(0); err == nil {
					t.Errorf("%s can be cut", link)
				}
				_ = f.Close()
			}
		}
		if found == 0 {
			t.Errorf("%v: no sealed file is open", space.Method())
		}
	}
}
