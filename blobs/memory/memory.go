// Package memory keeps objects in memory: for tests, and as the model of what the other backends have to do.
package memory

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

// Backend keeps the bytes of one project, until the process ends.
type Backend struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	objects map[blobs.Hash]held
	uploads map[blobs.UploadID]held
}

// held is bytes that nobody changes any more.
type held struct {
	bytes    []byte
	modified time.Time
}

// New returns an empty backend that tells the time by now; time.Now if nil.
func New(now func() time.Time) *Backend {
	if now == nil {
		now = time.Now
	}
	return &Backend{now: now, objects: map[blobs.Hash]held{}, uploads: map[blobs.UploadID]held{}}
}

// Receive reads r to its end.
func (b *Backend) Receive(ctx context.Context, r io.Reader, limit int64) (blobs.Incoming, error) {
	var buf bytes.Buffer
	o, err := blobs.Copy(ctx, &buf, r, limit)
	if err != nil {
		return nil, err
	}
	return &incoming{backend: b, object: o, bytes: buf.Bytes()}, nil
}

type incoming struct {
	backend *Backend
	object  blobs.Object
	bytes   []byte
}

func (in *incoming) Object() blobs.Object { return in.object }
func (in *incoming) Abandon()             { in.bytes = nil }

func (in *incoming) Place(context.Context) error {
	b := in.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	b.objects[in.object.Hash] = held{in.bytes, b.now()}
	return nil
}

// Stage reads r to its end into the upload.
func (b *Backend) Stage(ctx context.Context, id blobs.UploadID, r io.Reader, limit int64) (blobs.Upload, error) {
	var buf bytes.Buffer
	o, err := blobs.Copy(ctx, &buf, r, limit)
	if err != nil {
		return blobs.Upload{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.uploads[id] = held{buf.Bytes(), now}
	return blobs.Upload{ID: id, Size: o.Size, Modified: now}, nil
}

func (b *Backend) upload(id blobs.UploadID) (held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, found := b.uploads[id]
	if !found {
		return held{}, blobs.ErrNotFound
	}
	return u, nil
}

// StatUpload says what waits under id.
func (b *Backend) StatUpload(_ context.Context, id blobs.UploadID) (blobs.Upload, error) {
	u, err := b.upload(id)
	if err != nil {
		return blobs.Upload{}, err
	}
	return blobs.Upload{ID: id, Size: int64(len(u.bytes)), Modified: u.modified}, nil
}

// Claim hashes the upload's bytes.
func (b *Backend) Claim(ctx context.Context, id blobs.UploadID, limit int64) (blobs.Incoming, error) {
	u, err := b.upload(id)
	if err != nil {
		return nil, err
	}
	o, err := blobs.Copy(ctx, io.Discard, bytes.NewReader(u.bytes), limit)
	if err != nil {
		return nil, err
	}
	return &incoming{backend: b, object: o, bytes: u.bytes}, nil
}

// Discard removes the upload.
func (b *Backend) Discard(_ context.Context, id blobs.UploadID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.uploads, id)
	return nil
}

// WalkUploads calls f for every upload.
func (b *Backend) WalkUploads(ctx context.Context, f func(blobs.Upload) error) error {
	b.mu.Lock()
	all := make([]blobs.Upload, 0, len(b.uploads))
	for id, u := range b.uploads {
		all = append(all, blobs.Upload{ID: id, Size: int64(len(u.bytes)), Modified: u.modified})
	}
	b.mu.Unlock()
	return each(ctx, all, f)
}

func (b *Backend) object(h blobs.Hash) (held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, found := b.objects[h]
	if !found {
		return held{}, blobs.ErrNotFound
	}
	return o, nil
}

// Open opens an object for reading.
func (b *Backend) Open(_ context.Context, h blobs.Hash) (blobs.Content, error) {
	o, err := b.object(h)
	if err != nil {
		return nil, err
	}
	return content{bytes.NewReader(o.bytes)}, nil
}

type content struct{ *bytes.Reader }

func (content) Close() error   { return nil }
func (content) File() *os.File { return nil }

// Stat says what is there under a hash.
func (b *Backend) Stat(_ context.Context, h blobs.Hash) (blobs.Info, error) {
	o, err := b.object(h)
	if err != nil {
		return blobs.Info{}, err
	}
	return blobs.Info{Object: blobs.Object{Hash: h, Size: int64(len(o.bytes))}, Modified: o.modified}, nil
}

// Delete removes an object.
func (b *Backend) Delete(_ context.Context, h blobs.Hash) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, h)
	return nil
}

// Walk calls f for every object.
func (b *Backend) Walk(ctx context.Context, f func(blobs.Info) error) error {
	b.mu.Lock()
	all := make([]blobs.Info, 0, len(b.objects))
	for h, o := range b.objects {
		all = append(all, blobs.Info{Object: blobs.Object{Hash: h, Size: int64(len(o.bytes))}, Modified: o.modified})
	}
	b.mu.Unlock()
	return each(ctx, all, f)
}

func each[T any](ctx context.Context, all []T, f func(T) error) error {
	for _, one := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(one); err != nil {
			return err
		}
	}
	return nil
}

// Tidy does nothing: what fails is gone.
func (b *Backend) Tidy(context.Context, time.Time) error { return nil }

// PresignPut is not supported: memory has no address.
func (b *Backend) PresignPut(context.Context, blobs.UploadID, int64, time.Duration) (string, error) {
	return "", blobs.ErrNotSupported
}

// PresignGet is not supported: memory has no address.
func (b *Backend) PresignGet(context.Context, blobs.Hash, blobs.GetOptions, time.Duration) (string, error) {
	return "", blobs.ErrNotSupported
}

// Destroy removes everything.
func (b *Backend) Destroy(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.objects)
	clear(b.uploads)
	return nil
}

// Close does nothing: what is in memory stays as long as somebody has the backend.
func (b *Backend) Close() error { return nil }
