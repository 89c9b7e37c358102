package blobs

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Store is the objects and uploads of one project: a backend, and the leases by which records and bytes stay together.
// A process has one Store for a project. All methods may be called concurrently.
type Store struct {
	backend Backend
	now     func() time.Time
	pins    pins
}

// Options is how a store behaves. The zero value works.
type Options struct {
	Now func() time.Time // the clock by which Sweep tells age; time.Now if nil
}

// New returns a store of what is in backend, which is closed with it.
func New(backend Backend, o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{backend: backend, now: o.Now, pins: pins{of: map[Hash]*pin{}}}
}

// Put reads r to its end and stores it: when it returns, the object is whole, durable and pinned by the lease. Storing bytes
// that are there is the same and takes no more room. limit is in bytes and inclusive.
// Errors: ErrTooLarge, ErrFull, ErrUnavailable, a *SourceError if r failed, or that of ctx; then nothing was kept.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (*Lease, error) {
	in, err := s.backend.Receive(ctx, r, limit)
	if err != nil {
		return nil, fmt.Errorf("blobs: put: %w", err)
	}
	return s.place(ctx, in)
}

// place pins before it makes visible: what is there without a lease can be removed at any time.
func (s *Store) place(ctx context.Context, in Incoming) (*Lease, error) {
	o := in.Object()
	if err := s.pins.pin(ctx, o.Hash); err != nil {
		in.Abandon()
		return nil, fmt.Errorf("blobs: put %s: %w", o.Hash, err)
	}
	if err := in.Place(ctx); err != nil {
		s.pins.unpin(o.Hash)
		return nil, fmt.Errorf("blobs: put %s: %w", o.Hash, err)
	}
	return &Lease{Object: o, pins: &s.pins}, nil
}

// Stage reads r to its end into the upload, in place of what was there; it is durable, and waits for Promote. Errors as of
// Put; then what was there before is still there.
func (s *Store) Stage(ctx context.Context, id UploadID, r io.Reader, limit int64) (Upload, error) {
	u, err := s.backend.Stage(ctx, id, r, limit)
	return u, wrap(err, "stage", id)
}

// PresignPut returns an address to which a client can PUT exactly size bytes as the upload, without this server, for as
// long as ttl. ErrNotSupported where there is none: then the bytes go through Stage.
func (s *Store) PresignPut(ctx context.Context, id UploadID, size int64, ttl time.Duration) (string, error) {
	address, err := s.backend.PresignPut(ctx, id, size, ttl)
	return address, wrap(err, "presign", id)
}

// StatUpload says how much has arrived under id; ErrNotFound until an upload is whole.
func (s *Store) StatUpload(ctx context.Context, id UploadID) (Upload, error) {
	u, err := s.backend.StatUpload(ctx, id)
	return u, wrap(err, "stat upload", id)
}

// Promote makes an object of the upload's bytes as they are now, as Put would. The upload stays until Discard, which is
// called when the record is committed; until then Promote can be repeated. ErrNotFound if nothing was uploaded.
func (s *Store) Promote(ctx context.Context, id UploadID, limit int64) (*Lease, error) {
	in, err := s.backend.Claim(ctx, id, limit)
	if err != nil {
		return nil, wrap(err, "promote", id)
	}
	return s.place(ctx, in)
}

// Discard removes the upload; there need be none.
func (s *Store) Discard(ctx context.Context, id UploadID) error {
	return wrap(s.backend.Discard(ctx, id), "discard", id)
}

// Open opens an object for reading. ErrNotFound if there is none.
func (s *Store) Open(ctx context.Context, h Hash) (Content, error) {
	c, err := s.backend.Open(ctx, h)
	return c, wrap(err, "open", h)
}

// Stat says what is there under a hash, without reading it. ErrNotFound if there is nothing.
func (s *Store) Stat(ctx context.Context, h Hash) (Info, error) {
	info, err := s.backend.Stat(ctx, h)
	return info, wrap(err, "stat", h)
}

// PresignGet returns an address from which a client can GET the object without this server for as long as ttl, or
// ErrNotSupported. It does not ask whether the object is there.
func (s *Store) PresignGet(ctx context.Context, h Hash, o GetOptions, ttl time.Duration) (string, error) {
	address, err := s.backend.PresignGet(ctx, h, o, ttl)
	return address, wrap(err, "presign", h)
}

// Pin returns a lease of an object that is there, for a record that is to have the same bytes as another. ErrNotFound.
func (s *Store) Pin(ctx context.Context, h Hash) (*Lease, error) {
	if err := s.pins.pin(ctx, h); err != nil {
		return nil, wrap(err, "pin", h)
	}
	info, err := s.backend.Stat(ctx, h)
	if err != nil {
		s.pins.unpin(h)
		return nil, wrap(err, "pin", h)
	}
	return &Lease{Object: info.Object, pins: &s.pins}, nil
}

// Hold stops every removal until the function that it returns was called: for who copies records and then bytes.
func (s *Store) Hold() (release func()) { return s.pins.hold() }

// Walk calls f for every object, in no order, until f returns an error, which it returns.
func (s *Store) Walk(ctx context.Context, f func(Info) error) error { return s.backend.Walk(ctx, f) }

// Destroy removes everything there is, pinned or not. It is for a project that is deleted, when nobody uses it any more.
func (s *Store) Destroy(ctx context.Context) error {
	if err := s.backend.Destroy(ctx); err != nil {
		return fmt.Errorf("blobs: destroy: %w", err)
	}
	return nil
}

// Close frees what the store holds in this process, after the last call has returned.
func (s *Store) Close() error { return s.backend.Close() }

// wrap says what was being done, and to which thing.
func wrap(err error, doing string, what fmt.Stringer) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blobs: %s %s: %w", doing, what, err)
}
