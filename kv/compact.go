package kv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// Compacted is what a compaction achieved, in bytes of the data file.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Compact compacts the project in directory dir, which nobody has open
// (ErrLocked). See DB.Compact.
func Compact(dir string, progress func(done, total int64)) (Compacted, error) {
	if _, err := os.Stat(filepath.Join(dir, identityFile)); errors.Is(err, fs.ErrNotExist) {
		return Compacted{}, fmt.Errorf("kv: compact %s: no database here: %w", dir, fs.ErrNotExist)
	}
	db, err := Open(dir, Options{})
	if err != nil {
		return Compacted{}, err
	}
	size, err := db.Compact(context.Background(), progress)
	return size, errors.Join(err, db.Close())
}

// Compact writes the data file anew, without its holes, and puts the new file
// in the place of the old one. Reading and writing go on meanwhile, save for a
// moment at the end; snapshots that are open keep the old file on disk until
// they are closed. Both files must fit on the disk. A crash at any moment
// leaves the old file or the new one, which say the same.
//
// progress, if not nil, is called from this goroutine with bytes that are done
// and in all; the total is an estimate. An error means that the old file is
// still in use, except that an ErrUnknownOutcome leaves open which one is.
func (db *DB) Compact(ctx context.Context, progress func(done, total int64)) (Compacted, error) {
	if !db.compacting.TryLock() {
		return Compacted{}, fmt.Errorf("kv: compact %s: another compaction is running", db.path)
	}
	defer db.compacting.Unlock()
	c := &compaction{ctx: ctx, db: db, progress: progress}
	size, err := c.run()
	if err != nil {
		return Compacted{}, fmt.Errorf("kv: compact %s: %w", db.path, err)
	}
	return size, nil
}

// compaction is one run of DB.Compact. The new file is filled from snapshots:
// the first copies everything, each later one what changed since, the last
// one while nobody writes. It works on pages and rows and knows nothing of
// what they mean, so whatever is kept in the file comes along, damage included:
// a value that rotted keeps a checksum that says so.
type compaction struct {
	ctx      context.Context
	db       *DB
	progress func(done, total int64)

	from *file
	// All snapshots stay open to the end. So no page that was copied is used
	// again for something else, and to have seen its number is to know it.
	snapshots []*Snapshot
	copier    copier
}

const (
	catchUps   = 4   // snapshots at most that are copied while others write
	catchUpMin = 256 // changed pages that may be left to the last one
)

func (c *compaction) run() (size Compacted, err error) {
	db := c.db
	if err := db.writable(); err != nil {
		return size, err
	}
	c.from = db.use()
	defer c.from.release()
	defer c.closeSnapshots()
	temp, err := c.create()
	if err != nil {
		return size, err
	}
	defer os.Remove(temp)
	defer c.copier.discard()

	for pass := range catchUps {
		if err := c.pass(); err != nil {
			return size, err
		}
		if err := c.copier.to.Sync(); err != nil {
			return size, err
		}
		db.hook("compact: copied")
		if pass > 0 && c.copier.changed <= catchUpMin {
			break
		}
	}

	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	if err := db.writable(); err != nil {
		return size, err
	}
	// The head of the last checkpoint is one of the old file's.
	if err := db.settle(); err != nil {
		db.fail(err)
		return size, err
	}
	if err := c.pass(); err != nil {
		return size, err
	}
	if err := c.copier.finish(); err != nil {
		return size, err
	}
	next, contents, err := c.open(temp)
	if err != nil {
		return size, err
	}
	size, err = c.sizes(temp)
	if err == nil {
		db.hook("compact: before rename")
		err = os.Rename(temp, filepath.Join(db.path, dataFile))
	}
	if err != nil {
		next.release()
		return size, err
	}
	db.hook("compact: after rename")
	db.install(next, contents)
	c.from.release() // the DB's own use
	db.hook("compact: done")
	if err := syncDir(db.path); err != nil {
		// A crash might bring the old file back, so nothing may be written to
		// the new one before this is settled.
		db.fail(err)
		return size, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return size, nil
}

// create makes the new file, under a name that the next Open clears away.
func (c *compaction) create() (path string, err error) {
	f, err := os.CreateTemp(c.db.path, dataFile+newSuffix+"*")
	if err != nil {
		return "", err
	}
	path = f.Name()
	size, err := c.from.os.Stat()
	if err = errors.Join(err, f.Close()); err == nil {
		c.copier.to, err = bolt.Open(path, 0o600, &bolt.Options{
			NoSync: true, // it is synced as a whole
			// Pages given up while copying are few, and would be scattered.
			NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true,
			InitialMmapSize: int(min(c.db.opt.MapSize, 2*size.Size())),
		})
	}
	if err != nil {
		os.Remove(path)
		return "", err
	}
	page := int64(os.Getpagesize())
	c.copier.to.AllocSize = int(min(max(size.Size()/16, 64<<10), 16<<20) / page * page)
	c.copier.f = c.from.os
	c.copier.pause = c.pause
	c.copier.progress = c.progress
	return path, nil
}

// pause is called for every page.
func (c *compaction) pause() error {
	select {
	case <-c.db.stop:
		return ErrClosed
	default:
	}
	if c.db.file.Load() != c.from {
		return errors.New("a write failed meanwhile, and the file was opened anew")
	}
	return c.ctx.Err()
}

// pass brings the new file to the newest state.
func (c *compaction) pass() (err error) {
	s, err := c.db.Snapshot()
	if err != nil {
		return err
	}
	c.snapshots = append(c.snapshots, s)
	if err := c.pause(); err != nil {
		return err
	}
	defer catch(&err, debug.SetPanicOnFault(true))
	return c.copier.pass(s.tx)
}

func (c *compaction) closeSnapshots() {
	for _, s := range c.snapshots {
		s.Close()
	}
}

// open opens the new file for use, and checks that it says what the old one
// does.
func (c *compaction) open(path string) (*file, *contents, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	next, err := c.db.openBolt(f) // locks it
	if err != nil {
		return nil, nil, err
	}
	contents, err := c.db.load(next)
	if err == nil && (contents.id != c.db.id || contents.version.st != c.db.current.Load().st) {
		err = errors.New("the copy differs")
	}
	if err != nil {
		next.release()
		return nil, nil, err
	}
	return next, contents, nil
}

func (c *compaction) sizes(path string) (size Compacted, err error) {
	before, err := c.from.os.Stat()
	if err != nil {
		return size, err
	}
	after, err := os.Stat(path)
	if err != nil {
		return size, err
	}
	return Compacted{Before: before.Size(), After: after.Size()}, nil
}
