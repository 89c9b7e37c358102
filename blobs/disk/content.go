package disk

import (
	"fmt"
	"os"

	"github.com/sluice-edge/sluice/blobs"
)

// content is a file opened for reading.
type content struct {
	file *os.File
	size int64
}

func open(path string) (blobs.Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, lookup(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no file", blobs.ErrUnavailable, path)
	}
	if err != nil {
		f.Close()
		return nil, failed(err)
	}
	return &content{f, info.Size()}, nil
}

func (c *content) Read(p []byte) (int, error)                   { return c.file.Read(p) }
func (c *content) ReadAt(p []byte, offset int64) (int, error)   { return c.file.ReadAt(p, offset) }
func (c *content) Seek(offset int64, whence int) (int64, error) { return c.file.Seek(offset, whence) }
func (c *content) Close() error                                 { return c.file.Close() }
func (c *content) Size() int64                                  { return c.size }
func (c *content) File() *os.File                               { return c.file }
