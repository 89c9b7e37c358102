package runtime

import (
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// TestFileCache: what is kept stays within its bounds, the latest stays, and an older revision is never given out.
func TestFileCache(t *testing.T) {
	p := &project.Project{}
	file := func(id byte, rev uint64, size int) (fileID, *servedFile) {
		f := &project.File{ID: kv.DocID{id}, Rev: rev}
		return fileID{p, f.ID}, &servedFile{File: f, raw: make([]byte, size)}
	}
	c := newFileCache(3 * (fileCosts + 100))
	for i := range byte(3) {
		c.put(file(i, 1, 100))
	}
	if c.get(fileID{p, kv.DocID{0}}, 1) == nil {
		t.Fatal("a file that fits is not kept")
	}
	c.put(file(3, 1, 100))
	if c.get(fileID{p, kv.DocID{1}}, 1) != nil || c.get(fileID{p, kv.DocID{0}}, 1) == nil {
		t.Error("the file that was not asked for the longest is not the one that went")
	}
	if c.get(fileID{p, kv.DocID{0}}, 2) != nil || c.get(fileID{&project.Project{}, kv.DocID{0}}, 1) != nil {
		t.Error("another revision, or another project's file, was given out")
	}
	c.put(file(0, 2, 50))
	if c.get(fileID{p, kv.DocID{0}}, 1) != nil || c.get(fileID{p, kv.DocID{0}}, 2) == nil {
		t.Error("a new revision does not take the place of the old one")
	}
	c.put(file(9, 1, 10_000))
	if len(c.of) != 0 || c.bytes != 0 || c.order.Len() != 0 {
		t.Errorf("what is larger than everything leaves %d files of %d bytes", len(c.of), c.bytes)
	}
}
