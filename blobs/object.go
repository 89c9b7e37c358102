package blobs

import (
	"io"
	"math"
	"os"
	"time"
)

// NoLimit is the limit that allows any size.
const NoLimit = math.MaxInt64

// Object is what a store holds: so many bytes with this hash.
type Object struct {
	Hash Hash
	Size int64 // bytes
}

// Info is an object as a backend finds it. Size is what the backend has, which only Verify compares with the bytes.
type Info struct {
	Object
	Modified time.Time // when these bytes were last put
}

// Upload is bytes that wait for being confirmed.
type Upload struct {
	ID       UploadID
	Size     int64 // bytes
	Modified time.Time
}

// Content is an object opened for reading, until it is closed: the context of Open may end before. It is for one goroutine,
// but for ReadAt. It keeps its bytes while it is open
// where the backend can promise that (disk, memory); from a service, a Read fails with ErrNotFound once they are removed.
type Content interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
	// Size returns how many bytes there are.
	Size() int64
	// File returns the open file where the bytes are one, at the same position as Read, so that the kernel can send it;
	// nil where they are none. It is closed with the Content.
	File() *os.File
}

// GetOptions says how a client that fetches an object by itself is to be answered. The zero value of a field leaves it to
// the service.
type GetOptions struct {
	Type        string // Content-Type
	Disposition string // Content-Disposition
	Cache       string // Cache-Control
}
