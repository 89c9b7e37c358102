package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/sluice-edge/sluice/blobs"
)

// Service is one bucket, with the connections to it, for all projects of a node.
type Service struct {
	o         Options
	core      minio.Core
	public    *minio.Client // makes addresses for clients; sends nothing but the question for the region
	transport *http.Transport

	mu   sync.Mutex     // guards live
	live map[string]int // how many are sending or hashing what is under a key: Tidy leaves it alone
}

// busy keeps Tidy from what is under a key, until the function that it returns is called.
func (s *Service) busy(key string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.live[key]--; s.live[key] == 0 {
			delete(s.live, key)
		}
	}
}

func (s *Service) isBusy(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[key] > 0
}

// Open returns the service that o names, without asking it anything: see Ping. The error says everything that is wrong
// with o.
func Open(o Options) (*Service, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := o.credentials()
	if err != nil {
		return nil, err
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	client := func(address string) (*minio.Client, error) {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		c, err := minio.New(u.Host, &minio.Options{
			Creds:        keys,
			Secure:       u.Scheme == "https",
			Transport:    transport,
			Region:       o.Region,
			BucketLookup: o.lookup(),
			MaxRetries:   o.Attempts,
		})
		if err != nil {
			return nil, fmt.Errorf("blobs: S3: %s: %w", address, err)
		}
		return c, nil
	}
	private, err := client(o.Endpoint)
	if err != nil {
		return nil, err
	}
	public, err := client(o.Public)
	if err != nil {
		return nil, err
	}
	return &Service{o: o, core: minio.Core{Client: private}, public: public, transport: transport, live: map[string]int{}}, nil
}

// ErrRefused says that the service is there and says no: to the bucket, the credentials, the region. Trying again will
// not help. It is an ErrUnavailable.
var ErrRefused = fmt.Errorf("%w: the service refuses", blobs.ErrUnavailable)

// Ping asks whether the bucket is there and the credentials are taken; the error is an ErrRefused if they are not.
func (s *Service) Ping(ctx context.Context) error {
	there, err := s.core.BucketExists(ctx, s.o.Bucket)
	var said minio.ErrorResponse
	switch {
	case errors.As(err, &said) && said.StatusCode/100 == 4:
		return fmt.Errorf("blobs: S3: %w: bucket %s at %s: %w", ErrRefused, s.o.Bucket, s.o.Endpoint, err)
	case err != nil:
		return fmt.Errorf("blobs: S3: bucket %s at %s: %w", s.o.Bucket, s.o.Endpoint, failed(ctx, err))
	case !there:
		return fmt.Errorf("blobs: S3: %w: there is no bucket %s at %s", ErrRefused, s.o.Bucket, s.o.Endpoint)
	}
	return nil
}

// Close closes the connections that nobody uses. It is called after the backends were closed.
func (s *Service) Close() { s.transport.CloseIdleConnections() }

// Project returns the backend of one project, whose name may hold letters, digits, - and _. owner is a name that no other
// node's project has: two nodes under one prefix would each take the other's objects for orphans, and sweep them. The
// first that writes is noted at the service, and every other gets an *OwnedError for whatever is not reading. Without
// an owner only the methods that read may be called.
func (s *Service) Project(name, owner string) (*Backend, error) {
	if name == "" || strings.ContainsFunc(name, unusual) || strings.ContainsAny(name, "./") {
		return nil, fmt.Errorf("blobs: S3: %q cannot be part of a key", name)
	}
	return &Backend{service: s, base: s.o.Prefix + name + "/", owner: owner}, nil
}

// OwnedError says that a project's keys belong to another node, which would sweep away what this one stores.
type OwnedError struct {
	Key   string // where that is noted
	Owner string
}

// Unwrap says that it is as if the store did not work: nothing is written to it.
func (e *OwnedError) Unwrap() error { return blobs.ErrUnavailable }

func (e *OwnedError) Error() string {
	return fmt.Sprintf("blobs: S3: %s says that these objects belong to %q: give each node a prefix or a bucket of its own, or remove that key if that node is gone", e.Key, e.Owner)
}

// own has it noted that the project's objects are this owner's, or compares. Once it is known it costs nothing.
func (b *Backend) own(ctx context.Context) error {
	if b.owned.Load() {
		return nil
	}
	if b.owner == "" {
		return fmt.Errorf("blobs: S3: %w: %s was opened for reading", blobs.ErrUnavailable, b.base)
	}
	if err := b.claimKeys(ctx, b.base+"owner"); err != nil {
		return err
	}
	b.owned.Store(true)
	return nil
}

func (b *Backend) claimKeys(ctx context.Context, key string) error {
	for range 2 { // the second time somebody else was faster
		body, _, _, err := b.service.core.GetObject(ctx, b.service.o.Bucket, key, minio.GetObjectOptions{})
		if err == nil {
			text, err := io.ReadAll(io.LimitReader(body, 1024))
			if err = errors.Join(err, body.Close()); err != nil {
				return failed(ctx, err)
			}
			if string(text) != b.owner {
				return &OwnedError{Key: key, Owner: string(text)}
			}
			return nil
		}
		if err := failed(ctx, err); !errors.Is(err, blobs.ErrNotFound) {
			return fmt.Errorf("blobs: S3: whose is %s: %w", b.base, err)
		}
		o := minio.PutObjectOptions{ContentType: "text/plain"}
		o.SetMatchETagExcept("*") // only if nobody has
		text := strings.NewReader(b.owner)
		_, err = b.service.core.PutObject(ctx, b.service.o.Bucket, key, text, text.Size(), "", sum(b.owner), o)
		if err != nil && minio.ToErrorResponse(err).Code != minio.PreconditionFailed {
			return fmt.Errorf("blobs: S3: whose is %s: %w", b.base, failed(ctx, err))
		}
	}
	return fmt.Errorf("blobs: S3: %w: the service forgets %s", blobs.ErrUnavailable, key)
}
