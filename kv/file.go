package kv

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// file is one opening of the data file. A DB opens it anew after a failed
// write and after a compaction; a snapshot keeps the opening in which it
// began, and the last to leave one closes it.
type file struct {
	bolt *bolt.DB
	os   *os.File // bbolt's own
	// Up to here it can grow without bbolt waiting for readers.
	mapped int64

	uses atomic.Int64 // one of the DB, one of each snapshot
	once sync.Once
	gone chan struct{} // closed when the opening is
	err  error         // of closing it; read after gone

	openings *sync.WaitGroup

	handedOn atomic.Bool // the next opening has the lock, which must not be let go
	stuck    atomic.Bool // a transaction that broke holds bbolt's lock for ever
}

func (db *DB) newFile(b *bolt.DB, f *os.File, mapped int64) *file {
	opened := &file{bolt: b, os: f, mapped: mapped, gone: make(chan struct{}), openings: &db.openings}
	opened.uses.Store(1)
	db.openings.Add(1)
	return opened
}

// use takes hold of the current opening, which cannot be closed until it is
// released.
func (db *DB) use() *file {
	for {
		f := db.file.Load()
		f.uses.Add(1)
		if db.file.Load() == f {
			return f
		}
		f.release() // it was replaced in between, and may be gone
	}
}

func (f *file) release() {
	if f.uses.Add(-1) == 0 {
		f.once.Do(func() { go f.shut() })
	}
}

// shut closes what nobody uses any more. It waits for nobody but a reader who
// came and is about to find the file closed.
func (f *file) shut() {
	defer f.openings.Done()
	defer close(f.gone)
	if f.handedOn.Load() || f.stuck.Load() {
		// bbolt lets go of the lock by the descriptor. Closed, it is none; the
		// lock stays with the descriptor that the next opening has.
		f.err = f.os.Close()
	}
	if f.stuck.Load() {
		return // bbolt would wait for ever; its mapping is lost
	}
	if err := f.bolt.Close(); !f.handedOn.Load() {
		f.err = errors.Join(f.err, err)
	}
}

// isCurrent reports whether the file still is the one at a path.
func isCurrent(f *os.File, path string) (bool, error) {
	here, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(here, there), err
}
