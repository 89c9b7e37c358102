package runtime

import (
	"container/list"
	"sync"

	"github.com/sluice-edge/sluice/blobs"
)

// Bounds of what is kept of files in memory.
const (
	smallFile      = 64 << 10 // bytes of a file that is kept
	smallFileTotal = 32 << 20 // bytes of all that are
)

// fileCache keeps the bytes of small files that were fetched lately: opening a file costs more than sending it. Bytes are
// known by their hash, so that what is in here can never be wrong; who may fetch them is always asked of the record.
type fileCache struct {
	mu    sync.Mutex // guards what follows
	of    map[blobs.Hash]*list.Element
	order list.List // of *cachedFile, the latest first
	bytes int64
	most  int64
}

type cachedFile struct {
	hash blobs.Hash
	raw  []byte
}

func newFileCache(most int64) *fileCache {
	return &fileCache{of: map[blobs.Hash]*list.Element{}, most: most}
}

func (c *fileCache) wants(size int64) bool { return size <= smallFile && size <= c.most }

// get returns the bytes of a hash. They are shared: read only.
func (c *fileCache) get(h blobs.Hash) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.of[h]
	if e == nil {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedFile).raw, true
}

// put keeps bytes, which nobody may change any more, in place of what was not asked for the longest.
func (c *fileCache) put(h blobs.Hash, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[h] != nil {
		return
	}
	c.of[h] = c.order.PushFront(&cachedFile{h, raw})
	c.bytes += int64(len(raw))
	for c.bytes > c.most {
		last := c.order.Back()
		gone := c.order.Remove(last).(*cachedFile)
		delete(c.of, gone.hash)
		c.bytes -= int64(len(gone.raw))
	}
}
