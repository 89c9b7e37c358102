package kv

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// target is a collection as the write transaction sees it.
type target struct {
	c       *Collection
	docs    *bolt.Bucket // nil: created by the batch being judged
	unique  []*bolt.Bucket
	ordered []*ordered
	totals  totals
	changed bool
}

// lookup is the document that was read last: mostly a batch needs a revision
// of the document that it then puts.
type lookup struct {
	t     *target
	id    DocID
	value []byte
}

// document reads a stored document while a batch is checked, nil if absent.
func (w *writer) document(t *target, id DocID) []byte {
	if l := &w.last; l.t != t || l.id != id {
		*l = lookup{t, id, t.docs.Get(id[:])}
	}
	return w.last.value
}

// target opens a collection in the transaction.
func (w *writer) target(c *Collection) (*target, error) {
	if t := w.open[c.ID]; t != nil {
		return t, nil
	}
	t := &target{c: c, docs: w.tx.Bucket(c.docs)}
	if t.docs == nil {
		return nil, &CorruptError{Where: "collection " + c.Name, Why: "its documents are missing"}
	}
	t.docs.FillPercent = sequentialFill
	for _, x := range c.unique {
		b := w.tx.Bucket(c.Indexes[x].bucket)
		if b == nil {
			return nil, &CorruptError{Where: "index " + c.Indexes[x].Name + " of " + c.Name, Why: "missing"}
		}
		t.unique = append(t.unique, b)
	}
	for _, x := range c.ordered {
		o, err := w.openOrdered(c, &c.Indexes[x])
		if err != nil {
			return nil, err
		}
		t.ordered = append(t.ordered, o)
	}
	var err error
	if t.totals, err = readTotals(w.counters, c); err != nil {
		return nil, err
	}
	w.open[c.ID] = t
	w.opened = append(w.opened, t)
	return t, nil
}

// getter is a bucket that is read.
type getter interface{ Get(key []byte) []byte }

func readTotals(b getter, c *Collection) (totals, error) {
	key := totalsKey(c.ID)
	corrupt := &CorruptError{Where: "totals of collection " + c.Name, Why: "missing"}
	v := b.Get(key[:])
	if v == nil {
		return totals{}, corrupt
	}
	content, err := openSeal(bucketCounters, key[:], v)
	if err != nil {
		return totals{}, err
	}
	r := &reader{b: content}
	t := r.totals()
	if !r.done() {
		corrupt.Why = "garbled"
		return totals{}, corrupt
	}
	return t, nil
}

func counterKey(name string) []byte { return append([]byte{counterNamed}, name...) }

func readCounter(b getter, name string) (int64, error) {
	key := counterKey(name)
	v := b.Get(key)
	if v == nil {
		return 0, nil
	}
	content, err := openSeal(bucketCounters, key, v)
	if err != nil {
		return 0, err
	}
	if len(content) != 8 {
		return 0, &CorruptError{Where: placeName(bucketCounters, key), Why: "garbled"}
	}
	return int64(binary.BigEndian.Uint64(content)), nil
}

// setting is a stored setting.
type setting struct {
	rev   uint64
	value []byte
}

func openSetting(key, v []byte) (setting, error) {
	content, err := openSeal(bucketSettings, key, v)
	if err != nil {
		return setting{}, err
	}
	r := &reader{b: content}
	s := setting{rev: r.uint64(), value: r.b}
	if r.bad {
		return setting{}, &CorruptError{Where: placeName(bucketSettings, key), Why: "garbled"}
	}
	return s, nil
}
