package blobs

import (
	"context"
	"io"
	"time"
)

// Backend is where the bytes of one project are. It is written for Store and called by it alone: what goes round the
// Store goes round its leases.
//
// An object is visible whole or not at all: a Receive or Stage that fails, or is cut off by the end of the process, leaves
// nothing that Open, Stat or Walk would show. What returned without an error is durable. Limits are in bytes and inclusive.
type Backend interface {
	// Receive reads r to its end, and hashes it, into a place that nobody sees.
	// Errors: ErrTooLarge, ErrFull, ErrUnavailable, *SourceError, or that of ctx.
	Receive(ctx context.Context, r io.Reader, limit int64) (Incoming, error)

	// Stage reads r to its end into the upload, in place of what was there.
	Stage(ctx context.Context, id UploadID, r io.Reader, limit int64) (Upload, error)
	// StatUpload says what waits under id, or ErrNotFound.
	StatUpload(ctx context.Context, id UploadID) (Upload, error)
	// Claim freezes the bytes of the upload as they are now, hashes them, and leaves the upload there. ErrNotFound if
	// there is none, ErrTooLarge before anything was read.
	Claim(ctx context.Context, id UploadID, limit int64) (Incoming, error)
	// Discard removes the upload, and what is left of an unfinished one; there need be none.
	Discard(ctx context.Context, id UploadID) error
	// WalkUploads calls f for every upload, in no order. What appears or goes meanwhile may be missed.
	WalkUploads(ctx context.Context, f func(Upload) error) error

	// Open opens an object for reading; ErrNotFound.
	Open(ctx context.Context, h Hash) (Content, error)
	// Stat says what is there, without reading it; ErrNotFound.
	Stat(ctx context.Context, h Hash) (Info, error)
	// Delete removes the object; there need be none.
	Delete(ctx context.Context, h Hash) error
	// Walk calls f for every object, in no order. What appears or goes meanwhile may be missed.
	Walk(ctx context.Context, f func(Info) error) error

	// Tidy removes what writes have left half-done. What this process goes on with it leaves alone; where another may be
	// at work, also what began after a moment.
	Tidy(ctx context.Context, before time.Time) error

	// PresignPut returns an address to which anybody can PUT exactly size bytes as the upload, once it is made and for
	// as long as ttl; ErrNotSupported where bytes have to go through Stage.
	PresignPut(ctx context.Context, id UploadID, size int64, ttl time.Duration) (string, error)
	// PresignGet returns an address from which anybody can GET the object for as long as ttl; or ErrNotSupported.
	PresignGet(ctx context.Context, h Hash, o GetOptions, ttl time.Duration) (string, error)

	// Destroy removes everything: objects, uploads and what is left of unfinished ones.
	Destroy(ctx context.Context) error
	// Close frees what the backend holds in this process, after the last call has returned.
	Close() error
}

// Incoming is bytes that have arrived, whole and hashed, and are not visible yet. Exactly one of its methods is called,
// once.
type Incoming interface {
	Object() Object
	// Place makes the object visible and durable, in place of one with the same hash, which may be a damaged one.
	Place(ctx context.Context) error
	// Abandon lets the bytes go.
	Abandon()
}
