package kv

import (
	"cmp"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// Snapshot is one state of the file, whatever is written meanwhile. It is for
// one goroutine at a time. While it is open the file cannot reuse what was
// deleted since, so close it soon, and hold it across no wait for a client.
type Snapshot struct {
	db   *DB
	file *file
	tx   *bolt.Tx
	v    *version

	cid      uint32 // of docs
	docs     *bolt.Bucket
	settings *bolt.Bucket
	counters *bolt.Bucket
	scratch  []byte
	damage   error // first one that Setting or Counter met
}

// Snapshot opens the newest state. The caller closes it, once.
func (db *DB) Snapshot() (s *Snapshot, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	f := db.use()
	tx, err := f.bolt.Begin(false)
	if err != nil {
		f.release()
		if db.isClosed() {
			err = ErrClosed
		}
		return nil, fmt.Errorf("kv: snapshot: %w", err)
	}
	v := db.current.Load()
	if v.txid != tx.ID() || v.file != f {
		// A commit is being published, or this is older than the last one.
		known := v
		if v.file != f {
			known = nil // another opening may have gone another way
		}
		if v, err = readVersion(tx, known); err != nil {
			_ = tx.Rollback()
			f.release()
			return nil, fmt.Errorf("kv: snapshot: %w", err)
		}
		v.file = f
	}
	s, _ = db.snapshots.Get().(*Snapshot)
	if s == nil {
		s = new(Snapshot)
	}
	s.db, s.file, s.tx, s.v = db, f, tx, v
	return s, nil
}

func (db *DB) isClosed() bool {
	db.queueMu.RLock()
	defer db.queueMu.RUnlock()
	return db.closed
}

// Close ends the snapshot. Everything borrowed from it is gone, and it must
// not be used again: its memory goes to the next snapshot.
func (s *Snapshot) Close() {
	if s.tx == nil {
		return
	}
	_ = s.tx.Rollback()
	s.file.release()
	db := s.db
	*s = Snapshot{scratch: s.scratch[:0]}
	db.snapshots.Put(s)
}

// Commit returns the last commit that the snapshot shows, 0 for none.
func (s *Snapshot) Commit() uint64 { return s.v.st.commit }

// History returns the running hash over all judged batches and their
// verdicts: equal in two files that judged the same in the same order.
func (s *Snapshot) History() [32]byte { return s.v.st.history }

// Bytes returns the bytes of all documents' JSON, which kv.maxBytes bounds.
func (s *Snapshot) Bytes() int64 { return s.v.st.bytes }

// Collection finds a collection by name.
func (s *Snapshot) Collection(name string) (*Collection, bool) {
	c, ok := s.v.cat.byName[name]
	return c, ok
}

// Collections lists all collections by name. The slice is shared: read only.
func (s *Snapshot) Collections() []*Collection { return s.v.cat.sorted }

// State returns the totals of a collection.
func (s *Snapshot) State(c *Collection) (st CollectionState, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	b, err := s.bucket(&s.counters, bucketCounters)
	if err != nil {
		return st, err
	}
	t, err := readTotals(b, c)
	if err != nil {
		return st, fmt.Errorf("kv: state of %s: %w", c.Name, err)
	}
	return CollectionState{Rev: t.rev, Documents: t.documents, Bytes: t.bytes}, nil
}

// Get reads one document: ErrNotFound, or a CorruptError, or what was put.
func (s *Snapshot) Get(c *Collection, id DocID) (d Document, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	return s.get(c, id)
}

func (s *Snapshot) get(c *Collection, id DocID) (Document, error) {
	docs := s.documents(c)
	if docs == nil {
		return Document{}, ErrNotFound
	}
	v := docs.Get(id[:])
	if v == nil {
		return Document{}, ErrNotFound
	}
	return openDoc(c, id, v)
}

// documents opens the bucket of a collection, nil if it does not exist here.
func (s *Snapshot) documents(c *Collection) *bolt.Bucket {
	if s.docs == nil || s.cid != c.ID {
		s.docs, s.cid = s.tx.Bucket(c.docs), c.ID
	}
	return s.docs
}

func (s *Snapshot) bucket(cache **bolt.Bucket, name string) (*bolt.Bucket, error) {
	if *cache == nil {
		*cache = s.tx.Bucket([]byte(name))
	}
	if *cache == nil {
		return nil, &CorruptError{Where: "database", Why: "a bucket is missing"}
	}
	return *cache, nil
}

// GetUnique reads the document that holds a key of a unique index: one value
// for each field of the index, in order. Null and missing values are not in
// the index. ErrNoIndex, ErrNotFound, or a CorruptError.
func (s *Snapshot) GetUnique(c *Collection, index string, value ...Value) (d Document, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	x := c.index(index)
	if x == nil || !x.Unique || len(value) != len(x.Fields) {
		return d, fmt.Errorf("kv: get from %s by %s: %w", c.Name, index, ErrNoIndex)
	}
	key := s.scratch[:0]
	for _, v := range value {
		if v.text == nil || v.text[0] == 'n' {
			return d, ErrNotFound
		}
		key = append(key, v.key...)
	}
	s.scratch = capKey(key, 0)
	return s.unique(c, x, s.scratch)
}

// unique reads the document behind a key, and that it still says so.
func (s *Snapshot) unique(c *Collection, x *Index, key []byte) (Document, error) {
	b := s.tx.Bucket(x.bucket)
	if b == nil {
		return Document{}, fmt.Errorf("kv: get from %s by %s: %w", c.Name, x.Name, ErrNoIndex)
	}
	v := b.Get(key)
	if v == nil {
		return Document{}, ErrNotFound
	}
	id, err := openEntry(x, key, v)
	if err != nil {
		return Document{}, err
	}
	d, err := s.get(c, id)
	if err == ErrNotFound {
		err = &CorruptError{Where: "index " + x.Name + " of " + c.Name, Why: "it names a document that is not there"}
	}
	return d, err
}

// Setting reads a setting and the commit that put it; the value is borrowed.
// ok is false when there is none. It is false, too, when the setting rotted on
// disk since Open, which checks them all: whoever takes absence for permission
// asks Err.
func (s *Snapshot) Setting(name string) (value []byte, rev uint64, ok bool) {
	st, err := s.setting(name)
	if err != nil {
		s.damage = cmp.Or(s.damage, err)
		return nil, 0, false
	}
	return st.value, st.rev, st.rev > 0
}

func (s *Snapshot) setting(name string) (st setting, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	b, err := s.bucket(&s.settings, bucketSettings)
	if err != nil {
		return st, err
	}
	v := b.Get([]byte(name))
	if v == nil {
		return st, nil
	}
	return openSetting([]byte(name), v)
}

// Err returns the first damage that Setting or Counter met in this snapshot.
func (s *Snapshot) Err() error { return s.damage }

// Counter reads a counter; one that was never added to is 0.
// See Err for a damaged one.
func (s *Snapshot) Counter(name string) int64 {
	n, err := s.counter(name)
	if err != nil {
		s.damage = cmp.Or(s.damage, err)
	}
	return n
}

func (s *Snapshot) counter(name string) (n int64, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	b, err := s.bucket(&s.counters, bucketCounters)
	if err != nil {
		return 0, err
	}
	return readCounter(b, name)
}

// Changes returns up to limit commits after the given one, oldest first:
// none when there are no newer ones, ErrTrimmed when the log no longer goes
// back that far.
func (s *Snapshot) Changes(after uint64, limit int) (changes []Change, err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	b := s.tx.Bucket([]byte(bucketLog))
	if b == nil {
		return nil, &CorruptError{Where: "database", Why: "a bucket is missing"}
	}
	changes, err = readChanges(b, s.v.st.commit, after, limit)
	if err != nil {
		return nil, fmt.Errorf("kv: changes after %d: %w", after, err)
	}
	return changes, nil
}
