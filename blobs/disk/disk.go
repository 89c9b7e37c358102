package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-edge/sluice/blobs"
)

const (
	tempDir    = "tmp"
	uploadsDir = "uploads"
)

// Backend is the objects under one directory.
type Backend struct {
	root string

	// The directories that are known to be there and to survive a power cut, by path; mu guards it, and is held while one
	// is made, so that nobody takes for durable what another is still syncing.
	mu   sync.Mutex
	made map[string]bool

	live sync.Map // the files of tmp that somebody is writing, by name: Tidy leaves them alone
}

// Options is how the directory is opened. The zero value works.
type Options struct {
	// ReadOnly leaves alone what another process may be writing: it removes nothing at Open. Only the methods that read
	// may then be called.
	ReadOnly bool
}

// Open opens the objects under root, which is made when it is first needed: its parent has to be there. It removes what a
// process that died has left half-written.
func Open(root string, o Options) (*Backend, error) {
	b := &Backend{root: root, made: map[string]bool{}}
	if o.ReadOnly {
		return b, nil
	}
	left, err := os.ReadDir(filepath.Join(root, tempDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blobs: open %s: %w", root, failed(err))
	}
	for _, entry := range left {
		if err := os.Remove(filepath.Join(root, tempDir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("blobs: open %s: remove what is left half-written: %w", root, failed(err))
		}
	}
	return b, nil
}

func (b *Backend) object(h blobs.Hash) string {
	name := h.String()
	return filepath.Join(b.root, name[:2], name)
}

func (b *Backend) upload(id blobs.UploadID) string {
	return filepath.Join(b.root, uploadsDir, id.String())
}

// directory makes a directory of the root, and the root, and has their entries survive a power cut.
func (b *Backend) directory(path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, dir := range []string{b.root, path} {
		if b.made[dir] {
			continue
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// Synced also if it was there: by a process that may have died before it did so.
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		b.made[dir] = true
	}
	return nil
}

// temp names a file of tmp, in a directory that is there after this. Whatever becomes of the file, done is called.
func (b *Backend) temp() (string, error) {
	dir := filepath.Join(b.root, tempDir)
	if err := b.directory(dir); err != nil {
		return "", err
	}
	var name [16]byte
	rand.Read(name[:])
	file := hex.EncodeToString(name[:])
	b.live.Store(file, nil)
	return filepath.Join(dir, file), nil
}

// done removes a file of tmp, if it is still there: now, or else with the next Tidy.
func (b *Backend) done(path string) {
	os.Remove(path)
	b.live.Delete(filepath.Base(path))
}

// write reads r to its end into a file of tmp, synced and closed. It leaves no file if it fails.
func (b *Backend) write(ctx context.Context, r io.Reader, limit int64) (string, blobs.Object, error) {
	path, err := b.temp()
	if err != nil {
		return "", blobs.Object{}, failed(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		b.done(path)
		return "", blobs.Object{}, failed(err)
	}
	o, err := blobs.Copy(ctx, f, r, limit)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		b.done(path)
		return "", blobs.Object{}, failed(err)
	}
	return path, o, nil
}

// rename gives a file of tmp the name under which it is found, and has that survive a power cut. The file of tmp is gone
// afterwards, however it ends.
func (b *Backend) rename(from, to string) error {
	// Between two names of one file rename does nothing, and from is still there; as it is if anything fails.
	defer b.done(from)
	dir := filepath.Dir(to)
	if err := b.directory(dir); err != nil {
		return failed(err)
	}
	if err := os.Rename(from, to); err != nil {
		return failed(err)
	}
	// If this fails the file stays under its name: it may stand in for one that was there before and has a record.
	if err := syncDir(dir); err != nil {
		return failed(err)
	}
	return nil
}

// Receive reads r to its end into a file of tmp.
func (b *Backend) Receive(ctx context.Context, r io.Reader, limit int64) (blobs.Incoming, error) {
	path, o, err := b.write(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	return &incoming{backend: b, object: o, path: path}, nil
}

// incoming is a file of tmp that is whole and synced.
type incoming struct {
	backend *Backend
	object  blobs.Object
	path    string
}

func (in *incoming) Object() blobs.Object { return in.object }
func (in *incoming) Abandon()             { in.backend.done(in.path) }

func (in *incoming) Place(context.Context) error {
	return in.backend.rename(in.path, in.backend.object(in.object.Hash))
}

// Stage reads r to its end into the file of the upload.
func (b *Backend) Stage(ctx context.Context, id blobs.UploadID, r io.Reader, limit int64) (blobs.Upload, error) {
	path, o, err := b.write(ctx, r, limit)
	if err != nil {
		return blobs.Upload{}, err
	}
	if err := b.rename(path, b.upload(id)); err != nil {
		return blobs.Upload{}, err
	}
	return blobs.Upload{ID: id, Size: o.Size, Modified: time.Now()}, nil
}

// StatUpload says what waits under id.
func (b *Backend) StatUpload(_ context.Context, id blobs.UploadID) (blobs.Upload, error) {
	info, err := stat(b.upload(id))
	if err != nil {
		return blobs.Upload{}, err
	}
	return blobs.Upload{ID: id, Size: info.Size(), Modified: info.ModTime()}, nil
}

// Claim gives the upload's file a second name in tmp, so that it is the same bytes whatever happens to the upload, and
// hashes it. It was synced when it was staged.
func (b *Backend) Claim(ctx context.Context, id blobs.UploadID, limit int64) (_ blobs.Incoming, err error) {
	path, err := b.temp()
	if err != nil {
		return nil, failed(err)
	}
	defer func() {
		if err != nil {
			b.done(path)
		}
	}()
	if err := os.Link(b.upload(id), path); err != nil {
		return nil, lookup(err)
	}
	c, err := open(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if c.Size() > limit {
		return nil, blobs.ErrTooLarge
	}
	o, err := blobs.Copy(ctx, io.Discard, c, limit)
	if source := (*blobs.SourceError)(nil); errors.As(err, &source) {
		err = failed(source.Err) // the source is this disk
	}
	if err != nil {
		return nil, err
	}
	return &incoming{backend: b, object: o, path: path}, nil
}

// Discard removes the upload.
func (b *Backend) Discard(_ context.Context, id blobs.UploadID) error { return remove(b.upload(id)) }

// Open opens an object for reading.
func (b *Backend) Open(_ context.Context, h blobs.Hash) (blobs.Content, error) {
	return open(b.object(h))
}

// Stat says what is there under a hash.
func (b *Backend) Stat(_ context.Context, h blobs.Hash) (blobs.Info, error) {
	info, err := stat(b.object(h))
	if err != nil {
		return blobs.Info{}, err
	}
	return blobs.Info{Object: blobs.Object{Hash: h, Size: info.Size()}, Modified: info.ModTime()}, nil
}

// Delete removes an object. It is not synced: what a power cut brings back has no record, and is swept.
func (b *Backend) Delete(_ context.Context, h blobs.Hash) error { return remove(b.object(h)) }

// Tidy removes the files of tmp that nobody is writing: those that could not be removed when their write failed.
func (b *Backend) Tidy(ctx context.Context, _ time.Time) error {
	return entries(ctx, filepath.Join(b.root, tempDir), func(info fs.FileInfo) error {
		if _, live := b.live.Load(info.Name()); live {
			return nil
		}
		return remove(filepath.Join(b.root, tempDir, info.Name()))
	})
}

// PresignPut is not supported: a file has no address.
func (b *Backend) PresignPut(context.Context, blobs.UploadID, int64, time.Duration) (string, error) {
	return "", blobs.ErrNotSupported
}

// PresignGet is not supported: a file has no address.
func (b *Backend) PresignGet(context.Context, blobs.Hash, blobs.GetOptions, time.Duration) (string, error) {
	return "", blobs.ErrNotSupported
}

// Destroy removes the directory. It can be repeated until it succeeds.
func (b *Backend) Destroy(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.made)
	if err := os.RemoveAll(b.root); err != nil {
		return failed(err)
	}
	if err := syncDir(filepath.Dir(b.root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(err)
	}
	return nil
}

// Close does nothing: no file is held between calls.
func (b *Backend) Close() error { return nil }

func stat(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, lookup(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no file", blobs.ErrUnavailable, path)
	}
	return info, nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lookup is failed for what need not be there.
func lookup(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", blobs.ErrNotFound, err)
	}
	return failed(err)
}

// failed says in the room's words what an error of the file system means; others stay as they are.
func failed(err error) error {
	var source *blobs.SourceError
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &source): // its cause may be of some other file system
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", blobs.ErrFull, err)
	case errors.As(err, &path), errors.As(err, &link):
		return fmt.Errorf("%w: %w", blobs.ErrUnavailable, err)
	}
	return err
}
