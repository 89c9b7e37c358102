package kv

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"maps"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Apply judges batches in order and writes those that pass, all in one
// transaction and one fsync. It is the only code that writes the file, and it
// is deterministic: what it writes follows from the file and the batches
// alone, however they are cut into groups and however often one is delivered.
//
// The results answer the batches one by one. An error of Apply itself means
// that the group as a whole could not be written; it wraps ErrReadOnly when
// nothing was, ErrUnknownOutcome when that is not known, and either way the
// handle takes no more writes.
func (db *DB) Apply(group []*Batch) ([]Result, error) {
	jobs := make([]*job, len(group))
	cat := db.current.Load().cat
	for i, b := range group {
		jobs[i] = new(job)
		jobs[i].prepare(b, cat)
	}
	if err := db.apply(jobs); err != nil {
		return nil, err
	}
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		results[i] = j.result
	}
	return results, nil
}

// apply fills in the results of the jobs. The caller must not touch their
// batches and buffers until it returned: bbolt borrows values until the commit.
func (db *DB) apply(jobs []*job) (err error) {
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	err = db.applyGroup(jobs)
	if overFile(err) {
		db.oneByOne(jobs)
		return nil
	}
	return err
}

// applyGroup applies jobs in one transaction. Guarded by applyMu.
func (db *DB) applyGroup(jobs []*job) (err error) {
	if err := db.writable(); err != nil {
		return err
	}
	w := &db.writer
	w.db = db
	fault := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(fault)
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p}
		}
		switch {
		case overFile(err):
			w.undo()
		case err != nil:
			err = w.abandon(err)
		}
	}()
	if err := w.begin(db); err != nil {
		return err
	}
	for _, j := range jobs {
		if err := w.judge(j); err != nil {
			return err
		}
	}
	return w.commit()
}

// judged is a batch and the place of its verdict in the log.
type judged struct {
	id  BatchID
	seq uint64
}

// writer is the state of the one write transaction at a time. Guarded by
// DB.applyMu.
type writer struct {
	db         *DB
	file       *file
	tx         *bolt.Tx
	txid       int
	committing bool // from here on a failure leaves the outcome unknown

	st       state
	cat      *catalog
	builds   builds
	stepped  bool          // the transaction extends an unfinished index
	tightens bool          // it ends relaxed durability
	every    time.Duration // may be off the disk for that long; 0: not at all
	maxBytes int64         // quota of the documents' bytes, < 0: none
	maxFile  int64         // quota of the file's bytes, 0: none

	noted     []BatchID // added to DB.seen by this transaction
	forgotten []judged  // and taken out of it

	settings, counters, log *bolt.Bucket

	open   map[uint32]*target // collections touched in this transaction
	opened []*target          // the same, in order of the first touch
	arena  []byte             // values given to bbolt, lent until the commit
	steps  []step             // of the batch being judged
	claims map[claim]int      // unique keys that the batch claims, by step
	old    keyList            // unique keys that its documents held before
	olds   entryList          // entries that they had in ordered indexes
	// Collections that the batch creates, and the ids behind theirs.
	created          []*target
	nextCID, nextIID uint32
	hash             hash.Hash
	// Scratch of the check, so that it does not allocate.
	checker checker
	last    lookup
	rowKey  [8]byte
}

func (w *writer) begin(db *DB) error {
	w.file = db.file.Load()
	tx, err := w.file.bolt.Begin(true)
	if err != nil {
		return err
	}
	now := db.current.Load()
	w.txid = tx.ID()
	w.tx, w.committing, w.stepped, w.tightens = tx, false, false, false
	w.st, w.cat, w.builds = now.st, now.cat, now.builds
	w.settings = tx.Bucket([]byte(bucketSettings))
	w.counters = tx.Bucket([]byte(bucketCounters))
	w.log = tx.Bucket([]byte(bucketLog))
	if w.settings == nil || w.counters == nil || w.log == nil {
		return &CorruptError{Where: "database", Why: "a bucket is missing"}
	}
	w.log.FillPercent = sequentialFill
	if w.open == nil {
		w.open = make(map[uint32]*target)
		w.claims = make(map[claim]int)
		w.hash = sha256.New()
	}
	clear(w.open)
	w.opened, w.arena = w.opened[:0], w.arena[:0]
	w.noted, w.forgotten = w.noted[:0], w.forgotten[:0]
	return errors.Join(w.loadQuota(), w.loadFileQuota(), w.loadSync())
}

// sequentialFill packs pages that are only appended to: ids and seqs grow.
const sequentialFill = 0.9

func (w *writer) loadQuota() error {
	w.maxBytes = -1
	key := []byte(settingMaxBytes)
	v := w.settings.Get(key)
	if v == nil {
		return nil
	}
	s, err := openSetting(key, v)
	if err != nil {
		return err
	}
	if n, ok := parseMaxBytes(s.value); ok {
		w.maxBytes = n
	}
	return nil
}

// judge decides one batch, and carries it out when it passes. An error is the
// end of the whole group; a refusal is a result.
func (w *writer) judge(j *job) error {
	if j.invalid != nil {
		j.result = Result{Err: j.invalid}
		return nil
	}
	b := j.batch
	if seq, ok := w.db.seen[b.ID]; ok {
		w.repeat(j, seq)
		return nil
	}
	refused, err := w.check(j)
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		// It touches a value that rotted on this disk. Nothing was changed, so
		// the others need not suffer; it has no verdict, as elsewhere it may pass.
		j.result = Result{Err: fmt.Errorf("kv: commit: %w", err)}
		return nil
	}
	if err != nil {
		return err
	}
	w.st.seq++
	verdict := byte(0)
	if refused == nil {
		verdict = 1
		w.st.commit++
		if err := w.mutate(j); err != nil {
			return err
		}
		j.result = Result{Commit: w.st.commit}
	} else {
		j.result = Result{Err: refused.err()}
	}
	w.extendHistory(j.encoded, verdict)
	return w.record(b, refused)
}

// repeat answers a batch that was judged before with its first result.
func (w *writer) repeat(j *job, seq uint64) {
	key := logKey(seq)
	rw, err := openLogRow(key[:], w.log.Get(key[:]))
	switch {
	case err != nil:
		j.result = Result{Err: fmt.Errorf("kv: commit: %w", err)}
	case rw.refused != nil:
		j.result = Result{Err: rw.refused.err()}
	default:
		j.result = Result{Commit: rw.commit}
	}
}

// extendHistory folds a batch into the running hash: equal hashes mean that
// two files judged the same batches in the same order with the same verdicts.
func (w *writer) extendHistory(encoded []byte, verdict byte) {
	w.hash.Reset()
	w.hash.Write(w.st.history[:])
	w.hash.Write(encoded)
	w.hash.Write([]byte{verdict})
	w.hash.Sum(w.st.history[:0])
}

// record writes the row of a judged batch and drops the oldest rows.
func (w *writer) record(b *Batch, refused *refusal) error {
	w.rowKey = logKey(w.st.seq)
	key := w.rowKey[:] // bbolt copies keys
	start := len(w.arena)
	w.arena = appendLogRow(w.arena, key, w.st.commit, b, refused)
	if err := w.log.Put(key, w.arena[start:len(w.arena):len(w.arena)]); err != nil {
		return err
	}
	w.db.seen[b.ID] = w.st.seq
	w.noted = append(w.noted, b.ID)
	if w.st.seq%logTrim != 0 || w.st.seq <= LogRows {
		return nil
	}
	for seq := w.st.seq - LogRows - logTrim + 1; seq <= w.st.seq-LogRows; seq++ {
		key := logKey(seq)
		v := w.log.Get(key[:])
		if v == nil {
			continue
		}
		if old, err := openLogRow(key[:], v); err == nil {
			delete(w.db.seen, old.batch)
			w.forgotten = append(w.forgotten, judged{old.batch, seq})
		} else { // it rotted, and its id with it
			maps.DeleteFunc(w.db.seen, func(_ BatchID, s uint64) bool { return s == seq })
		}
		if err := w.log.Delete(key[:]); err != nil {
			return err
		}
	}
	return nil
}

// putSealed lends bbolt a value that was just appended to the arena. The arena may
// move when it grows; what was lent from the old place stays as it is.
func (w *writer) putSealed(b *bolt.Bucket, bucket string, key []byte, fill func(dst []byte) []byte) error {
	start := len(w.arena)
	w.arena = endSeal(fill(beginSeal(w.arena)), start, bucket, key)
	return b.Put(key, w.arena[start:len(w.arena):len(w.arena)])
}

// commit writes what is kept once for a group and makes it all durable.
func (w *writer) commit() error {
	if err := w.flushAll(); err != nil {
		return err
	}
	for _, t := range w.opened {
		if !t.changed || w.open[t.c.ID] != t {
			continue
		}
		key := totalsKey(t.c.ID)
		if err := w.putSealed(w.counters, bucketCounters, key[:], t.totals.append); err != nil {
			return err
		}
	}
	if w.st == w.db.current.Load().st && !w.stepped { // only repetitions and nonsense
		w.db.hook("rollback")
		return w.tx.Rollback()
	}
	meta := w.tx.Bucket([]byte(bucketMeta))
	if err := w.putSealed(meta, bucketMeta, []byte(keyState), w.st.append); err != nil {
		return err
	}
	w.db.hook("before commit")
	w.committing = true
	w.pace()
	w.boundFile()
	if err := w.commitTx(); err != nil {
		return err
	}
	w.db.hook("after commit")
	w.committing = false
	w.db.current.Store(&version{file: w.file, txid: w.txid, st: w.st, cat: w.cat, builds: w.builds})
	if len(w.builds) > 0 {
		w.db.wakeBuilder()
	}
	w.steps = w.steps[:0]
	if cap(w.arena) > 16<<20 {
		w.arena = nil
	}
	return nil
}

// abandon ends the transaction after a failure and stops all writing on this
// opening of the file: pages that failed to sync may be marked clean, so
// nothing written after would be safe, and a panic means that memory is not to
// be trusted.
func (w *writer) abandon(cause error) (err error) {
	kind := ErrReadOnly
	var panicked *panicError
	if w.committing && !noSpace(cause) && !errors.As(cause, &panicked) && w.db.relaxed.pin != nil {
		w.db.relaxed.broken = true // it may have been the disk
	}
	switch {
	case w.committing && (!noSpace(cause) || w.reached()):
		kind = ErrUnknownOutcome
	case noSpace(cause):
		kind = ErrFull
		w.db.wanted.Store(min(max(int64(4*len(w.arena)), 256<<10), 64<<20))
	}
	// At the end: only then may the file be opened anew.
	defer w.db.fail(cause)
	defer func() {
		if p := recover(); p != nil {
			w.file.stuck.Store(true)
			w.db.opt.Logger.Error("kv: rollback failed", "panic", fmt.Sprint(p))
		}
		err = fmt.Errorf("kv: commit: %w: %w", kind, cause)
	}()
	if tx := w.tx; tx != nil {
		w.tx = nil
		if tx.DB() != nil {
			_ = tx.Rollback()
		}
	}
	return nil
}

// panicError is a panic while batches were applied. The disk is not to blame.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// reached reports whether the file may show this transaction: its head is the
// last thing that a commit writes.
func (w *writer) reached() bool {
	tx, err := w.file.bolt.Begin(false)
	if err != nil {
		return true
	}
	defer tx.Rollback()
	return tx.ID() >= w.txid
}

// pace sets how much the file grows at a time. bbolt's 16 MiB would make every
// small project a large file; an eighth of the file keeps growing rare.
func (w *writer) pace() {
	page := int64(os.Getpagesize())
	w.file.bolt.AllocSize = int(min(max(w.tx.Size()/8, 64<<10), 16<<20) / page * page)
}
