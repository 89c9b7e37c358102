package runtime

import (
	"container/list"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of what is kept of files in memory.
const (
	smallFile     = 128 << 10 // bytes of a file whose contents are kept
	fileCacheMost = 32 << 20  // bytes of everything that is
	fileCosts     = 1 << 10   // bytes that an entry takes beside the contents, more or less
)

// servedFile is a file ready to be sent: what its record says, as headers, and if it is small its bytes, once they were
// read. All of it is shared, and read only.
type servedFile struct {
	*project.File
	modified    time.Time
	etag        []byte
	lastMod     []byte
	disposition []byte
	raw         []byte // nil: not kept
}

// newServedFile readies a file to be sent.
func newServedFile(f *project.File) (*servedFile, error) {
	modified, err := time.Parse("2006-01-02T15:04:05.000Z", f.Updated)
	if err != nil {
		return nil, err
	}
	kind := asAttachment
	if isShown(f.Type) {
		kind = asInline
	}
	s := &servedFile{File: f, modified: modified.Truncate(time.Second)}
	s.etag = append(append([]byte{'"'}, f.Hash.String()...), '"')
	s.lastMod = fasthttp.AppendHTTPDate(nil, s.modified)
	s.disposition = []byte(disposition(kind, f.Name))
	return s, nil
}

// fileCache keeps files that were fetched lately: to open a small one costs more than to send it. Each request asks the
// project's file for the record all the same, and what is kept counts only for the very revision that was found, so that
// nothing is ever sent that is not there, or to somebody who may not have it any more.
type fileCache struct {
	mu    sync.Mutex // guards what follows
	of    map[fileID]*list.Element
	order list.List // of *cachedFile, the latest first
	bytes int64
	most  int64
}

type fileID struct {
	project *project.Project
	id      kv.DocID
}

type cachedFile struct {
	fileID
	*servedFile
}

func newFileCache(most int64) *fileCache {
	return &fileCache{of: map[fileID]*list.Element{}, most: most}
}

// get returns the file with that id, as of that revision, or nil.
func (c *fileCache) get(id fileID, rev uint64) *servedFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.of[id]
	if e == nil {
		return nil
	}
	f := e.Value.(*cachedFile).servedFile
	if f.Rev != rev {
		return nil
	}
	c.order.MoveToFront(e)
	return f
}

// put keeps a file, in place of those that were not asked for the longest.
func (c *fileCache) put(id fileID, f *servedFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.of[id]; e != nil {
		c.drop(e)
	}
	c.of[id] = c.order.PushFront(&cachedFile{id, f})
	c.bytes += fileCosts + int64(len(f.raw))
	for c.bytes > c.most {
		c.drop(c.order.Back())
	}
}

func (c *fileCache) drop(e *list.Element) {
	gone := c.order.Remove(e).(*cachedFile)
	delete(c.of, gone.fileID)
	c.bytes -= fileCosts + int64(len(gone.raw))
}
