package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-edge/sluice/blobs"
)

// inert is the type of every object: what a client says of its bytes is never what the service serves them as.
const inert = "application/octet-stream"

// spool keeps what arrives until it is sent: a file without a name, which is gone with the process.
type spool struct {
	file   *os.File
	object blobs.Object
}

func (s *Service) spool(ctx context.Context, r io.Reader, limit int64) (*spool, error) {
	f, err := os.CreateTemp(s.o.SpoolDir, "spool-*")
	if err != nil {
		return nil, spoolFailed(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, spoolFailed(err)
	}
	o, err := blobs.Copy(ctx, f, r, limit)
	if err != nil {
		f.Close()
		return nil, spoolFailed(err)
	}
	return &spool{f, o}, nil
}

// send stores the spooled bytes under a key, all or nothing. The service compares them with their hash.
func (s *Service) send(ctx context.Context, key string, from *spool) error {
	size := from.object.Size
	if size > s.o.PartSize {
		return s.sendParts(ctx, key, from)
	}
	// A section has no Close, which the client would call.
	_, err := s.core.PutObject(ctx, s.o.Bucket, key, io.NewSectionReader(from.file, 0, size), size, "", from.object.Hash.String(), minio.PutObjectOptions{ContentType: inert})
	return failed(ctx, err)
}

// sendParts sends a few parts at a time. What it does not finish it takes back.
func (s *Service) sendParts(ctx context.Context, key string, from *spool) error {
	defer s.busy(key)()
	id, err := s.core.NewMultipartUpload(ctx, s.o.Bucket, key, minio.PutObjectOptions{ContentType: inert})
	if err != nil {
		return failed(ctx, err)
	}
	size := from.object.Size
	part := s.o.PartSize
	for size > part*maxParts {
		part *= 2
	}
	parts := make([]minio.CompletePart, (size+part-1)/part)
	sending, sctx := errgroup.WithContext(ctx)
	sending.SetLimit(4)
	for n := range parts {
		sending.Go(func() error {
			offset := int64(n) * part
			length := min(part, size-offset)
			section := io.NewSectionReader(from.file, offset, length)
			o, err := blobs.Copy(sctx, io.Discard, section, length)
			if err != nil {
				return spoolFailed(err)
			}
			sent, err := s.core.PutObjectPart(sctx, s.o.Bucket, key, id, n+1, section, length, minio.PutObjectPartOptions{Sha256Hex: o.Hash.String()})
			if err != nil {
				return failed(sctx, err)
			}
			parts[n] = minio.CompletePart{PartNumber: n + 1, ETag: sent.ETag}
			return nil
		})
	}
	err = sending.Wait()
	if err == nil {
		_, err = s.core.CompleteMultipartUpload(ctx, s.o.Bucket, key, id, parts, minio.PutObjectOptions{ContentType: inert})
		err = failed(ctx, err)
	}
	if err != nil {
		s.takeBack(ctx, func(ctx context.Context) error { return s.core.AbortMultipartUpload(ctx, s.o.Bucket, key, id) })
	}
	return err
}

// takeBack undoes what failed, for a moment longer than its context lasts. What cannot be undone now, Tidy finds.
func (s *Service) takeBack(ctx context.Context, undo func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	_ = undo(ctx)
}

// copy has the service copy an object of so many bytes.
func (s *Service) copy(ctx context.Context, from, to string, size int64) error {
	if size > s.o.CopySize {
		_, err := s.core.ComposeObject(ctx,
			minio.CopyDestOptions{Bucket: s.o.Bucket, Object: to, ReplaceMetadata: true, ContentType: inert, PartSize: uint64(s.o.CopySize)},
			minio.CopySrcOptions{Bucket: s.o.Bucket, Object: from})
		return failed(ctx, err)
	}
	_, err := s.core.CopyObject(ctx, s.o.Bucket, from, s.o.Bucket, to,
		map[string]string{"x-amz-metadata-directive": "REPLACE", "Content-Type": inert}, minio.CopySrcOptions{}, minio.PutObjectOptions{})
	return failed(ctx, err)
}

// sum is the hash of a text, as the service wants it.
func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}
