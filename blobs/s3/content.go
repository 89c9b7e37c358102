package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/sluice-edge/sluice/blobs"
)

// first is how much the request that opens an object asks for: a small one is there with it, and little is wasted on who
// then reads somewhere else.
const first = 128 << 10

// content is an object of the service, read by as few requests as its reader allows.
type content struct {
	ctx     context.Context
	cancel  context.CancelFunc
	backend *Backend
	key     string
	size    int64
	at      int64         // the position of the next Read
	body    io.ReadCloser // what is coming in from at; nil if nothing is
	failed  int           // attempts in a row that brought nothing
}

// Open opens an object for reading. As with a file, it is read until it is closed, whatever becomes of ctx meanwhile: a
// server answers from it when its handler has returned.
func (b *Backend) Open(ctx context.Context, h blobs.Hash) (blobs.Content, error) {
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel) // while it is being opened
	c, err := b.open(reading, b.object(h))
	if !stop() && ctx.Err() != nil {
		cancel()
		return nil, ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	c.cancel = cancel
	return c, nil
}

// open opens an object for reading, until ctx ends.
func (b *Backend) open(ctx context.Context, key string) (*content, error) {
	c := &content{ctx: ctx, cancel: func() {}, backend: b, key: key}
	body, header, err := c.get(0, first)
	var said minio.ErrorResponse
	switch {
	case errors.As(err, &said) && said.StatusCode == http.StatusRequestedRangeNotSatisfiable: // there is no first byte
		info, err := b.stat(ctx, key)
		if err != nil {
			return nil, err
		}
		c.size = info.Size
		return c, nil
	case err != nil:
		return nil, err
	}
	if c.size, err = total(header); err != nil {
		body.Close()
		return nil, err
	}
	c.body = body
	return c, nil
}

// get asks for n bytes from an offset, or what there is of them.
func (c *content) get(offset, n int64) (io.ReadCloser, http.Header, error) {
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+n-1); err != nil {
		return nil, nil, err
	}
	body, _, header, err := c.backend.service.core.GetObject(c.ctx, c.backend.service.o.Bucket, c.key, o)
	if err != nil {
		return nil, nil, failed(c.ctx, err)
	}
	if answered := header.Get("Content-Range"); offset > 0 && !strings.HasPrefix(answered, fmt.Sprintf("bytes %d-", offset)) {
		body.Close()
		return nil, nil, fmt.Errorf("%w: asked for what is from byte %d on, the service answers with %q", blobs.ErrUnavailable, offset, answered)
	}
	return body, header, nil
}

// total says how large an object is of which a part is answered: "bytes 0-9/1234". A service that ignores ranges answers
// with all of it.
func total(header http.Header) (int64, error) {
	text := header.Get("Content-Range")
	if text == "" {
		text = header.Get("Content-Length")
	}
	n, err := strconv.ParseInt(text[strings.LastIndexByte(text, '/')+1:], 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: the service does not say how large the object is: %q", blobs.ErrUnavailable, text)
	}
	return n, nil
}

// attempts is how often in a row a stream may break off before anything came.
const attempts = 3

// Read asks for the rest where a stream has ended or broken off.
func (c *content) Read(p []byte) (int, error) {
	for {
		if c.at >= c.size {
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		if c.body == nil {
			var err error
			if c.body, _, err = c.get(c.at, c.size-c.at); err != nil {
				return 0, err
			}
		}
		n, err := c.body.Read(p[:min(int64(len(p)), c.size-c.at)])
		c.at += int64(n)
		if err != nil {
			c.drop()
		}
		if n > 0 {
			c.failed = 0
			return n, nil
		}
		if ended := c.ctx.Err(); ended != nil {
			return 0, ended
		}
		if err != nil {
			if c.failed++; c.failed > attempts {
				return 0, fmt.Errorf("%w: %s breaks off at %d of %d bytes: %v", blobs.ErrUnavailable, c.key, c.at, c.size, err)
			}
		}
	}
}

func (c *content) drop() {
	if c.body != nil {
		c.body.Close()
		c.body = nil
	}
}

// ReadAt is a request of its own.
func (c *content) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("blobs: read at %d", offset)
	}
	if offset >= c.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), c.size-offset)
	if n == 0 {
		return 0, nil
	}
	one := &content{ctx: c.ctx, backend: c.backend, key: c.key, size: offset + n, at: offset}
	defer one.drop()
	read, err := io.ReadFull(one, p[:n])
	if err == nil && read < len(p) {
		err = io.EOF
	}
	return read, err
}

// Seek moves the next Read; what was coming in for another place is dropped.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	default:
		return 0, fmt.Errorf("blobs: seek: whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("blobs: seek to %d", offset)
	}
	if offset != c.at {
		c.drop()
		c.at = offset
	}
	return offset, nil
}

func (c *content) Size() int64    { return c.size }
func (c *content) File() *os.File { return nil }

// Close ends what is coming in.
func (c *content) Close() error {
	c.drop()
	c.cancel()
	return nil
}
