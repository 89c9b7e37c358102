package runtime

import (
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Bodies come as streams on the public listener: fasthttp decides how a body is read before the route is known, and a file
// must never be in memory as a whole. A route that takes a document gets its body read here, up to the server's limit,
// before anything else looks at the request; a route that takes a file reads the stream itself, through an upload.

// firstBody is what a body gets before its length has proved to be true.
const firstBody = 8 << 10

// bodyBuffers lends the memory that bodies are read into.
type bodyBuffers struct{ pool sync.Pool }

func (b *bodyBuffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, 0, firstBody)
	return &p
}

func (b *bodyBuffers) put(p *[]byte) {
	if cap(*p) <= maxPooledBytes {
		b.pool.Put(p)
	}
}

// receive reads a request's body into memory, if it has one that fasthttp left on the wire. into is the caller's until the
// request has been answered. An error means that the connection cannot be used any further.
func receive(ctx *fasthttp.RequestCtx, into *[]byte, limit int) error {
	stream := ctx.RequestBodyStream()
	announced := ctx.Request.Header.ContentLength() // -1: in chunks
	if announced > limit {
		return errBodyTooLarge
	}
	buf := (*into)[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		*into = buf
		switch {
		case len(buf) > limit:
			return errBodyTooLarge
		case err == io.EOF && announced >= 0 && len(buf) < announced:
			return errMalformedRequest // the client went away in the middle
		case err == io.EOF:
			ctx.Request.SetBodyRaw(buf)
			return nil
		case err != nil:
			return bodyError(err)
		}
	}
}

// bodyError is what a body is answered with that could not be read to its end.
func bodyError(err error) error {
	if isDeadline(err) {
		return errTimeout
	}
	return errMalformedRequest
}

// slowestTransfer is how many bytes a second a file must move on average, after the first Timeout: a client that is slower
// is cut off, or it would hold a connection for ever.
const slowestTransfer = 8 << 10

// upload is the body of a request that takes a file, as a stream. It ends in errFileTooLarge when more comes than limit,
// and in errTimeout when it comes too slowly.
type upload struct {
	http   *fasthttp.RequestCtx
	stream io.Reader // nil: no body at all
	end    time.Time // of the patience with the client, before what it has sent is counted
	left   int64     // bytes that may still come
	read   int64     // bytes that came
	until  time.Time // the deadline of the connection, once it was set
}

// newUpload begins to read the request's body as a file's. Deadlines of a connection are the operating system's, so they go by
// its clock.
func (r *request) newUpload(limit int64) *upload {
	stream := r.http.RequestBodyStream()
	return &upload{http: r.http, stream: stream, end: time.Now().Add(r.server.opt.Timeout), left: limit}
}

func (u *upload) Read(p []byte) (int, error) {
	if u.stream == nil {
		return 0, io.EOF
	}
	if until := u.end.Add(time.Duration(u.read/slowestTransfer) * time.Second); until != u.until {
		u.until = until
		if err := u.http.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > u.left+1 {
		p = p[:u.left+1] // one more than may come, to know that it does
	}
	n, err := u.stream.Read(p)
	u.read += int64(n)
	u.left -= int64(n)
	switch {
	case u.left < 0:
		return 0, errFileTooLarge
	case err == io.EOF:
		if announced := int64(u.http.Request.Header.ContentLength()); announced >= 0 && u.read < announced {
			return n, errMalformedRequest
		}
		lingerNot(u.http.Conn())
		return n, io.EOF
	case err != nil:
		return n, bodyError(err)
	}
	return n, nil
}
