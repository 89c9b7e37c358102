package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// failure says why a DB takes no writes.
type failure struct {
	cause error
	full  bool // there is no space; it is looked for
	final bool // only a new Open helps, if anything
}

// Health is how a DB is doing, for a metric or an operator.
type Health struct {
	// ReadOnly: no writes are taken at the moment. Unless the DB was opened or
	// closed like that, it tries to get out of this by itself.
	ReadOnly bool
	Full     bool   // because the disk is full
	Reason   string // why; "" when writes are taken

	// Unsynced: how old the oldest commit is that was acknowledged and is not on
	// disk yet. 0 unless kv.syncMillis is set.
	Unsynced time.Duration

	Commit        uint64 // the newest
	DocumentBytes int64  // of all documents' JSON, which kv.maxBytes bounds
	FileBytes     int64  // of the data file; 0 if it cannot be examined

	Queue      int    // batches that wait for the committer
	Failures   uint64 // groups that could not be written, since Open
	Recoveries uint64 // times that the file was opened anew after one
}

// Health may be called at any time, and waits for nothing.
func (db *DB) Health() Health {
	h := Health{ReadOnly: db.opt.ReadOnly, Queue: len(db.queue), Failures: db.failures.Load(), Recoveries: db.recoveries.Load()}
	if v := db.current.Load(); v != nil {
		h.Commit, h.DocumentBytes = v.st.commit, v.st.bytes
	}
	if info, err := os.Stat(filepath.Join(db.path, dataFile)); err == nil {
		h.FileBytes = info.Size()
	}
	if since := db.relaxed.oldest.Load(); since != 0 {
		h.Unsynced = time.Since(time.Unix(0, since))
	}
	if h.ReadOnly {
		h.Reason = "it was opened for reading only"
	}
	if f := db.failed.Load(); f != nil {
		h.ReadOnly, h.Full, h.Reason = true, f.full, f.cause.Error()
	}
	return h
}

// How long to wait between attempts to write again. An attempt on a full disk
// costs a small file; any other reads the whole data file.
const (
	retryFull  = 500 * time.Millisecond
	retryFirst = 500 * time.Millisecond
	retryMost  = 30 * time.Second
)

// fail stops all writing and has the file opened anew. Guarded by applyMu.
func (db *DB) fail(cause error) {
	db.failures.Add(1)
	f := &failure{cause: cause, full: noSpace(cause)}
	if !db.failed.CompareAndSwap(nil, f) {
		return
	}
	db.opt.Logger.Error("kv: writing stopped", "path", db.path, "error", cause)
	if !db.stopped {
		db.recovering.Add(1)
		go db.retry(f)
	}
}

// noSpace reports whether an error says that the disk or its quota is full.
// bbolt passes some errors on as text only.
func noSpace(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return true
		}
	}
	return false
}

// retry tries until writing works again.
func (db *DB) retry(f *failure) {
	defer db.recovering.Done()
	wait := retryFirst
	for {
		err := db.reopen(f)
		if err == nil {
			return
		}
		next := &failure{cause: err, full: noSpace(err)}
		var final *finalError
		if next.final = errors.As(err, &final); next.final {
			db.opt.Logger.Error("kv: writing cannot go on", "path", db.path, "error", err)
		}
		if !db.failed.CompareAndSwap(f, next) || next.final {
			return
		}
		f = next
		pause := wait
		if f.full {
			pause = retryFull
		} else {
			wait = min(2*wait, retryMost)
		}
		select {
		case <-db.stop:
			return
		case <-time.After(pause):
		}
	}
}

// finalError: trying again does not help.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// reopen opens the data file anew and lets writing go on. After a failed sync
// the kernel may call pages clean that never reached the disk, and bbolt's
// memory of free pages may be wrong: nothing of the old opening is trusted.
func (db *DB) reopen(f *failure) error {
	if f.full {
		if err := db.probe(); err != nil {
			return err
		}
	}
	if err := syncDir(db.path); err != nil { // in case it was a compaction's that failed
		return err
	}
	old := db.file.Load()
	if err := db.replace(old); err != nil {
		return err
	}
	// The pages that old snapshots read look free to the new opening, so it
	// must not write before they are done. New ones are not held up.
	select {
	case <-old.gone:
	case <-db.stop:
		return nil
	}
	db.recoveries.Add(1)
	db.opt.Logger.Warn("kv: writing goes on", "path", db.path, "after", f.cause)
	db.failed.CompareAndSwap(f, nil)
	return nil
}

// probe finds out whether there is space again, somewhat more than the write
// that failed wanted.
func (db *DB) probe() error {
	f, err := os.CreateTemp(db.path, dataFile+newSuffix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = byte(i*7 + i>>8) // not something that a file system leaves out
	}
	for left := db.wanted.Load(); err == nil && left > 0; left -= int64(len(block)) {
		_, err = f.Write(block)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// replace makes a new opening of the same file the current one.
func (db *DB) replace(old *file) error {
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	path := filepath.Join(db.path, dataFile)
	if same, err := isCurrent(old.os, path); err != nil {
		return err
	} else if !same {
		return db.damaged("the file %s was replaced or removed while it was in use", dataFile)
	}
	f, err := inherit(old.os)
	if errors.Is(err, errors.ErrUnsupported) {
		return &finalError{err}
	}
	if err != nil {
		return err
	}
	if db.relaxed.broken {
		err = db.rollBack(f)
	}
	if err = errors.Join(err, harden(f)); err != nil {
		db.relaxed.broken = db.relaxed.pin != nil
		f.Close()
		return err
	}
	next, err := db.openBolt(f)
	if err != nil {
		_, _ = tryLock(old.os, false) // bbolt let go of it for both
		return err
	}
	c, err := db.load(next)
	if err == nil {
		err = db.continues(c)
	}
	if err == nil {
		err = removeHead(db.path) // what the new opening shows is on disk
	}
	if err != nil {
		next.handedOn.Store(true) // the lock stays with the old opening
		next.release()
		return err
	}
	db.install(next, c)
	db.unpin()
	db.relaxed.broken = false
	old.handedOn.Store(true)
	old.release()
	return nil
}

// install makes an opening the current one. Guarded by applyMu.
func (db *DB) install(f *file, c *contents) {
	db.seen = c.seen
	db.current.Store(c.version) // first: who sees the file must find its version
	db.file.Store(f)
}

// continues checks that a file holds everything that was acknowledged.
func (db *DB) continues(c *contents) error {
	have, want := c.version.st, db.current.Load().st
	switch {
	case c.id != db.id:
		return &finalError{db.damaged("the file %s belongs to another database", dataFile)}
	case db.relaxed.broken && have.commit <= want.commit:
		db.opt.Logger.Error("kv: acknowledged commits are gone, as relaxed durability risks", "path", db.path, "commits", want.commit-have.commit)
	case have.commit < want.commit || have.seq < want.seq || have.seq == want.seq && have.history != want.history:
		return &finalError{db.damaged("the file %s lost what was acknowledged: it is at commit %d, it was at %d", dataFile, have.commit, want.commit)}
	}
	return nil
}

// harden makes what the file says now what the disk says. The newest head may
// be one whose sync failed: going on from it while the disk still has the one
// before would reuse pages that the disk's state needs. Its pages are safe, as
// they were synced before the head was written.
func harden(f *os.File) error {
	m, err := readMeta(f)
	if err != nil {
		return fmt.Errorf("the file %s %w", dataFile, err)
	}
	page := make([]byte, m.pageSize)
	at := int64(m.txid%2) * m.pageSize
	if _, err := f.ReadAt(page, at); err != nil {
		return err
	}
	if _, err := f.WriteAt(page, at); err != nil {
		return err
	}
	return f.Sync()
}
