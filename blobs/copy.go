package blobs

import (
	"context"
	"crypto/sha256"
	"io"
)

// chunk is how much is read, hashed and written at a time: the memory that a stream takes.
const chunk = 64 << 10

// Copy is how every backend takes bytes in: it reads r to its end, hashes it and writes it to w, within the limit and until
// ctx ends. An error of r is a *SourceError; one of w is returned as it is. One byte over the limit is ErrTooLarge, and
// no more than a chunk beyond it was read.
func Copy(ctx context.Context, w io.Writer, r io.Reader, limit int64) (Object, error) {
	var o Object
	hash := sha256.New()
	buf := make([]byte, chunk)
	for empty := 0; ; {
		if err := ctx.Err(); err != nil {
			return Object{}, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			empty = 0
			if int64(n) > limit-o.Size {
				return Object{}, ErrTooLarge
			}
			o.Size += int64(n)
			hash.Write(buf[:n])
			if wn, werr := w.Write(buf[:n]); werr != nil {
				return Object{}, werr
			} else if wn != n {
				return Object{}, io.ErrShortWrite
			}
		}
		if err == io.EOF { // itself: an error that wraps it is a stream that was cut off
			hash.Sum(o.Hash[:0])
			return o, nil
		}
		if err != nil {
			if ctx.Err() != nil {
				return Object{}, ctx.Err()
			}
			return Object{}, &SourceError{err}
		}
		if n == 0 {
			if empty++; empty == 100 {
				return Object{}, &SourceError{io.ErrNoProgress}
			}
		}
	}
}
