package kv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Relaxed durability: a commit is acknowledged when the operating system has it,
// and is synced to the disk at most some milliseconds later. A process that
// dies loses nothing. A machine that stops may lose what was acknowledged last,
// and never anything else: the file goes back to the state of the last
// checkpoint, whole.
//
// bbolt without syncing could not promise that, since pages and heads may reach
// the disk in any order. So the head of the last state that is on the disk for
// sure is kept in a file of its own (head.go), and a read transaction, the pin,
// keeps bbolt from using that state's pages for something else. A checkpoint
// pins the present state, syncs the data file, writes the new head, and lets go
// of the old pin. Whoever opens the file after the machine stopped puts the head
// back in its place; if it did not stop, the page cache still has everything.
type relaxation struct {
	pin    *pin // nil: every commit is synced; guarded by applyMu
	broken bool // a sync failed, so what is not in the head cannot be trusted; guarded by applyMu

	headMu sync.Mutex    // guards the head file; after applyMu
	epoch  atomic.Uint64 // changes, under headMu, whenever the head is retired

	every   atomic.Int64  // kv.syncMillis, in nanoseconds, as of the last commit
	oldest  atomic.Int64  // when the first commit that is not on disk was made, Unix nanoseconds; 0: all are
	commits atomic.Uint64 // acknowledged before they were on disk, since Open
	wake    chan struct{} // capacity 1: something waits for a checkpoint
	settled chan struct{} // capacity 1: a checkpoint ended
}

// pin keeps the pages of a state.
type pin struct {
	file *file
	tx   *bolt.Tx
}

func (p *pin) release() {
	_ = p.tx.Rollback()
	p.file.release()
}

// settingSync is the setting that relaxes durability: after how many
// milliseconds a commit is synced at the latest, as decimal text.
const settingSync = "kv.syncMillis"

// MaxSyncMillis bounds kv.syncMillis.
const MaxSyncMillis = 10_000

func parseSyncMillis(value []byte) (time.Duration, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil && n > 0 && n <= MaxSyncMillis
}

// loadSync reads how long this transaction may stay off the disk. A setting that
// this batch group changes counts from the next one.
func (w *writer) loadSync() error {
	w.every = 0
	key := []byte(settingSync)
	v := w.settings.Get(key)
	if v == nil {
		return nil
	}
	s, err := openSetting(key, v)
	if err != nil {
		return err
	}
	if every, ok := parseSyncMillis(s.value); ok {
		w.every = every
	}
	return nil
}

// mayRelax reports whether the transaction may be acknowledged before it is on
// disk. A file about to outgrow its mapping is not: bbolt then waits for all
// readers, and a pin is one that does not go away by itself.
func (w *writer) mayRelax() bool {
	room := w.file.mapped - w.tx.Size()
	return w.every > 0 && !w.tightens && room > 8*int64(cap(w.arena))+32<<20
}

// commitTx commits the transaction: to the disk, or relaxed.
func (w *writer) commitTx() error {
	r := &w.db.relaxed
	if !w.mayRelax() {
		if err := w.tx.Commit(); err != nil {
			return err
		}
		return w.db.retire() // all of it is on disk now
	}
	if r.pin == nil {
		// Until here every commit was synced, so the present head is on disk.
		next, h, err := w.db.pinNow(w.file)
		if err == nil {
			err = h.write(w.db.path)
		}
		if err != nil {
			if next != nil {
				next.release()
			}
			return fmt.Errorf("begin relaxed durability: %w", err)
		}
		r.pin = next
	}
	// The field is read by the committing goroutine alone, which has applyMu.
	synced := w.file.bolt.NoSync
	w.file.bolt.NoSync = true
	err := w.tx.Commit()
	w.file.bolt.NoSync = synced
	if err != nil {
		return err
	}
	r.commits.Add(1)
	r.every.Store(int64(w.every))
	if r.oldest.CompareAndSwap(0, time.Now().UnixNano()) {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// pinNow pins the newest state and returns its head, as it is now: commits that
// follow write theirs over it. Guarded by applyMu.
func (db *DB) pinNow(f *file) (*pin, *head, error) {
	h, err := db.headOf(f.os)
	if err != nil {
		return nil, nil, err
	}
	tx, err := f.bolt.Begin(false)
	if err != nil {
		return nil, nil, err
	}
	f.uses.Add(1)
	p := &pin{f, tx}
	if uint64(tx.ID()) != h.meta.txid {
		p.release()
		return nil, nil, errors.New("the head of the file is not that of its newest state")
	}
	return p, h, nil
}

// syncLoop makes the checkpoints.
func (db *DB) syncLoop() {
	defer db.recovering.Done()
	r := &db.relaxed
	for {
		select {
		case <-db.stop:
			return
		case <-r.wake:
		}
		for since := r.oldest.Load(); since != 0; since = r.oldest.Load() {
			wait := time.Until(time.Unix(0, since).Add(time.Duration(r.every.Load())))
			select {
			case <-db.stop:
				return
			case <-time.After(wait):
			}
			if err := db.checkpoint(); err != nil {
				break // the recovery retires the head
			}
		}
	}
}

// checkpoint makes the newest state durable. Commits go on meanwhile.
func (db *DB) checkpoint() error {
	r := &db.relaxed
	defer func() {
		select {
		case r.settled <- struct{}{}:
		default:
		}
	}()
	db.applyMu.Lock()
	if f := db.failed.Load(); f != nil || r.pin == nil {
		db.applyMu.Unlock()
		if f != nil {
			return f.cause
		}
		return nil
	}
	epoch, made := r.epoch.Load(), r.commits.Load()
	since := time.Now().UnixNano()
	next, h, err := db.pinNow(db.file.Load())
	db.applyMu.Unlock()
	if err == nil {
		db.hook("checkpoint")
		if err = next.file.os.Sync(); err == nil {
			err = db.replaceHead(h, epoch)
		}
	}
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	switch {
	case r.epoch.Load() != epoch: // all of it was synced meanwhile, or the file is another one
		if next != nil {
			next.release()
		}
		return nil
	case err != nil:
		if next != nil {
			next.release()
		}
		r.broken = true
		db.opt.Logger.Error("kv: acknowledged commits did not reach the disk", "path", db.path, "error", err)
		db.fail(err)
		return err
	}
	r.pin.release()
	r.pin = next
	if r.commits.Load() == made {
		since = 0
	}
	r.oldest.Store(since)
	return nil
}

// replaceHead writes a head unless it was retired since.
func (db *DB) replaceHead(h *head, epoch uint64) error {
	db.relaxed.headMu.Lock()
	defer db.relaxed.headMu.Unlock()
	if db.relaxed.epoch.Load() != epoch {
		return nil
	}
	return h.write(db.path)
}

// retire ends relaxed durability after everything was synced: from here on the
// file speaks for itself. Guarded by applyMu.
func (db *DB) retire() error {
	r := &db.relaxed
	if r.pin == nil {
		return nil
	}
	r.headMu.Lock()
	defer r.headMu.Unlock()
	if err := removeHead(db.path); err != nil {
		return err
	}
	db.unpin()
	return nil
}

// unpin forgets about the pin without a word about the head. Guarded by applyMu.
func (db *DB) unpin() {
	r := &db.relaxed
	r.epoch.Add(1)
	if r.pin != nil {
		r.pin.release()
		r.pin = nil
	}
	r.oldest.Store(0)
}

// settle syncs everything and ends relaxed durability until the next commit.
// Guarded by applyMu.
func (db *DB) settle() error {
	if db.relaxed.pin == nil {
		return nil
	}
	if err := db.relaxed.pin.file.os.Sync(); err != nil {
		db.relaxed.broken = true
		return err
	}
	return db.retire()
}

// awaitDisk holds the committer up while the disk cannot keep pace with what is
// acknowledged, so that what a stopped machine loses stays bounded.
func (db *DB) awaitDisk() {
	r := &db.relaxed
	for {
		since := r.oldest.Load()
		if since == 0 || db.failed.Load() != nil {
			return
		}
		if most := 2*time.Duration(r.every.Load()) + time.Second; time.Since(time.Unix(0, since)) < most {
			return
		}
		select {
		case <-r.settled:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Sync waits until everything that was acknowledged before the call is on disk.
// It matters with kv.syncMillis set only.
func (db *DB) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	if f := db.failed.Load(); f != nil {
		return fmt.Errorf("kv: sync: %w: %w", ErrUnknownOutcome, f.cause)
	}
	if err := db.settle(); err != nil {
		db.fail(err)
		return fmt.Errorf("kv: sync: %w: %w", ErrUnknownOutcome, err)
	}
	return nil
}

// rollBack puts the head of the last checkpoint in its place after a sync
// failed: the kernel may call pages clean that never reached the disk, so only
// that state is known to be whole. What was acknowledged since is gone, which
// is what relaxed durability risks. Guarded by applyMu.
func (db *DB) rollBack(f *os.File) error {
	h, ok, err := readHead(db.path)
	if err != nil || !ok {
		return err
	}
	if h.file != db.id {
		return &finalError{db.damaged("the file %s belongs to another database", headFile)}
	}
	return h.restore(f)
}
