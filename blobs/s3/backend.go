package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sluice-edge/sluice/blobs"
)

const (
	objects = "blobs/"
	uploads = "uploads/"
	frozen  = "frozen/"
)

// Backend is the objects of one project.
type Backend struct {
	service *Service
	base    string // of its keys, with a slash at the end
	owner   string
	owned   atomic.Bool // that it is this owner's is known
}

func (b *Backend) object(h blobs.Hash) string      { return b.base + objects + h.String() }
func (b *Backend) upload(id blobs.UploadID) string { return b.base + uploads + id.String() }

// Receive spools r.
func (b *Backend) Receive(ctx context.Context, r io.Reader, limit int64) (blobs.Incoming, error) {
	if err := b.own(ctx); err != nil {
		return nil, err
	}
	s, err := b.service.spool(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	return &received{b, s}, nil
}

// received is spooled bytes.
type received struct {
	backend *Backend
	spool   *spool
}

func (in *received) Object() blobs.Object { return in.spool.object }
func (in *received) Abandon()             { in.spool.file.Close() }

func (in *received) Place(ctx context.Context) error {
	defer in.spool.file.Close()
	return in.backend.service.send(ctx, in.backend.object(in.spool.object.Hash), in.spool)
}

// Stage spools r and sends it.
func (b *Backend) Stage(ctx context.Context, id blobs.UploadID, r io.Reader, limit int64) (blobs.Upload, error) {
	if err := b.own(ctx); err != nil {
		return blobs.Upload{}, err
	}
	s, err := b.service.spool(ctx, r, limit)
	if err != nil {
		return blobs.Upload{}, err
	}
	defer s.file.Close()
	if err := b.service.send(ctx, b.upload(id), s); err != nil {
		return blobs.Upload{}, err
	}
	return blobs.Upload{ID: id, Size: s.object.Size, Modified: time.Now()}, nil
}

func (b *Backend) stat(ctx context.Context, key string) (minio.ObjectInfo, error) {
	info, err := b.service.core.StatObject(ctx, b.service.o.Bucket, key, minio.StatObjectOptions{})
	return info, failed(ctx, err)
}

// StatUpload says what waits under id.
func (b *Backend) StatUpload(ctx context.Context, id blobs.UploadID) (blobs.Upload, error) {
	info, err := b.stat(ctx, b.upload(id))
	if err != nil {
		return blobs.Upload{}, err
	}
	return blobs.Upload{ID: id, Size: info.Size, Modified: info.LastModified}, nil
}

// Claim has the service copy the upload to where no client can change it, and hashes the copy.
func (b *Backend) Claim(ctx context.Context, id blobs.UploadID, limit int64) (blobs.Incoming, error) {
	if err := b.own(ctx); err != nil {
		return nil, err
	}
	info, err := b.stat(ctx, b.upload(id))
	if err != nil {
		return nil, err
	}
	if info.Size > limit {
		return nil, blobs.ErrTooLarge
	}
	var name [16]byte
	rand.Read(name[:])
	in := &claimed{backend: b, key: b.base + frozen + hex.EncodeToString(name[:])}
	in.done = b.service.busy(in.key)
	if err := b.service.copy(ctx, b.upload(id), in.key, info.Size); err != nil {
		in.remove(ctx)
		return nil, err
	}
	if in.object, err = b.hash(ctx, in.key, limit); err != nil {
		in.remove(ctx)
		return nil, err
	}
	return in, nil
}

// hash reads an object of the service.
func (b *Backend) hash(ctx context.Context, key string, limit int64) (blobs.Object, error) {
	c, err := b.open(ctx, key)
	if err != nil {
		if errors.Is(err, blobs.ErrNotFound) { // though it was just made
			err = fmt.Errorf("%w: the service's copy is not there: %v", blobs.ErrUnavailable, err)
		}
		return blobs.Object{}, err
	}
	defer c.Close()
	o, err := blobs.Copy(ctx, io.Discard, c, limit)
	if source := (*blobs.SourceError)(nil); errors.As(err, &source) {
		err = source.Err // the source is the service
	}
	return o, err
}

// claimed is a copy of an upload that nobody changes.
type claimed struct {
	backend *Backend
	object  blobs.Object
	key     string
	done    func() // it may be tidied away
}

func (in *claimed) Object() blobs.Object { return in.object }
func (in *claimed) Abandon()             { in.remove(context.Background()) }

func (in *claimed) remove(ctx context.Context) {
	defer in.done()
	in.backend.service.takeBack(ctx, func(ctx context.Context) error { return in.backend.remove(ctx, in.key) })
}

func (in *claimed) Place(ctx context.Context) error {
	defer in.remove(ctx)
	to := in.backend.object(in.object.Hash)
	if err := in.backend.service.copy(ctx, in.key, to, in.object.Size); err != nil {
		return unfound(err)
	}
	// A service may answer a copy with 200 and tell of its failure in the body, which is easily overlooked.
	info, err := in.backend.stat(ctx, to)
	if err != nil {
		return unfound(err)
	}
	if info.Size != in.object.Size {
		return fmt.Errorf("%w: the service copied %d of %d bytes", blobs.ErrUnavailable, info.Size, in.object.Size)
	}
	return nil
}

// unfound tells of something that has to be there and is not.
func unfound(err error) error {
	if errors.Is(err, blobs.ErrNotFound) {
		return fmt.Errorf("%w: %v", blobs.ErrUnavailable, err)
	}
	return err
}

func (b *Backend) remove(ctx context.Context, key string) error {
	err := failed(ctx, b.service.core.RemoveObject(ctx, b.service.o.Bucket, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, blobs.ErrNotFound) {
		return nil
	}
	return err
}

// Discard removes the upload.
func (b *Backend) Discard(ctx context.Context, id blobs.UploadID) error {
	if err := b.own(ctx); err != nil {
		return err
	}
	return b.remove(ctx, b.upload(id))
}

// Stat says what is there under a hash.
func (b *Backend) Stat(ctx context.Context, h blobs.Hash) (blobs.Info, error) {
	info, err := b.stat(ctx, b.object(h))
	if err != nil {
		return blobs.Info{}, err
	}
	return blobs.Info{Object: blobs.Object{Hash: h, Size: info.Size}, Modified: info.LastModified}, nil
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, h blobs.Hash) error {
	if err := b.own(ctx); err != nil {
		return err
	}
	return b.remove(ctx, b.object(h))
}

// list calls f for every object under a part of the project's keys, with the rest of its key.
func (b *Backend) list(ctx context.Context, part string, f func(name string, info minio.ObjectInfo) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for info := range b.service.core.ListObjectsIter(ctx, b.service.o.Bucket, minio.ListObjectsOptions{Prefix: b.base + part, Recursive: true}) {
		if info.Err != nil {
			return failed(ctx, info.Err)
		}
		if err := f(strings.TrimPrefix(info.Key, b.base+part), info); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Walk calls f for every object.
func (b *Backend) Walk(ctx context.Context, f func(blobs.Info) error) error {
	return b.list(ctx, objects, func(name string, info minio.ObjectInfo) error {
		h, err := blobs.ParseHash(name)
		if err != nil {
			return nil // not ours
		}
		return f(blobs.Info{Object: blobs.Object{Hash: h, Size: info.Size}, Modified: info.LastModified})
	})
}

// WalkUploads calls f for every upload.
func (b *Backend) WalkUploads(ctx context.Context, f func(blobs.Upload) error) error {
	return b.list(ctx, uploads, func(name string, info minio.ObjectInfo) error {
		id, err := blobs.ParseUploadID(name)
		if err != nil {
			return nil // not ours
		}
		return f(blobs.Upload{ID: id, Size: info.Size, Modified: info.LastModified})
	})
}

// Tidy removes the copies of uploads, and the parts of objects, that a process that died has left.
func (b *Backend) Tidy(ctx context.Context, before time.Time) error {
	if err := b.own(ctx); err != nil {
		return err
	}
	var failures []error
	err := b.list(ctx, frozen, func(_ string, info minio.ObjectInfo) error {
		if info.LastModified.Before(before) && !b.service.isBusy(info.Key) {
			failures = append(failures, b.remove(ctx, info.Key))
		}
		return nil
	})
	return errors.Join(err, errors.Join(failures...), b.abort(ctx, before))
}

// abort gives up unfinished uploads in parts.
func (b *Backend) abort(ctx context.Context, before time.Time) error {
	ctx, cancel := context.WithCancel(ctx) // ends the listing if this returns early
	defer cancel()
	var failures []error
	for part := range b.service.core.ListIncompleteUploads(ctx, b.service.o.Bucket, b.base, true) {
		switch {
		case part.Err != nil:
			failures = append(failures, failed(ctx, part.Err))
		case part.Initiated.Before(before) && !b.service.isBusy(part.Key):
			err := failed(ctx, b.service.core.AbortMultipartUpload(ctx, b.service.o.Bucket, part.Key, part.UploadID))
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// PresignPut returns an address whose signature covers the number of bytes, and no checksum: a client could not know the
// one of bytes that it has not got yet.
func (b *Backend) PresignPut(ctx context.Context, id blobs.UploadID, size int64, ttl time.Duration) (string, error) {
	u, err := b.service.public.PresignHeader(ctx, http.MethodPut, b.service.o.Bucket, b.upload(id), ttl, nil,
		http.Header{"Content-Length": {strconv.FormatInt(size, 10)}})
	if err != nil {
		return "", failed(ctx, err)
	}
	return u.String(), nil
}

// PresignGet returns an address whose signature covers how the service is to answer.
func (b *Backend) PresignGet(ctx context.Context, h blobs.Hash, o blobs.GetOptions, ttl time.Duration) (string, error) {
	query := url.Values{}
	for name, value := range map[string]string{"response-content-type": o.Type, "response-content-disposition": o.Disposition, "response-cache-control": o.Cache} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u, err := b.service.public.Presign(ctx, http.MethodGet, b.service.o.Bucket, b.object(h), ttl, query)
	if err != nil {
		return "", failed(ctx, err)
	}
	return u.String(), nil
}

// Destroy removes everything under the project's part of the bucket.
func (b *Backend) Destroy(ctx context.Context) error {
	if err := b.own(ctx); err != nil {
		return err
	}
	b.owned.Store(false) // the note of it goes as well
	var failures []error
	listed := error(nil)
	ended, end := context.WithCancel(ctx)
	defer end()
	doomed := make(chan minio.ObjectInfo)
	go func() {
		defer close(doomed)
		listed = b.list(ended, "", func(_ string, info minio.ObjectInfo) error {
			select {
			case doomed <- info:
				return nil
			case <-ended.Done():
				return ended.Err()
			}
		})
	}()
	for failure := range b.service.core.RemoveObjects(ended, b.service.o.Bucket, doomed, minio.RemoveObjectsOptions{}) {
		failures = append(failures, failed(ctx, failure.Err))
	}
	end()
	for range doomed { // until listed is set
	}
	if ctx.Err() == nil && errors.Is(listed, context.Canceled) {
		listed = nil // it was told to end
	}
	return errors.Join(listed, errors.Join(failures...), b.abort(ctx, time.Now().Add(24*time.Hour)))
}

// Close does nothing: the connections are the service's.
func (b *Backend) Close() error { return nil }
