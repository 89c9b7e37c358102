package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Where string
	What  string
}

// Report is the outcome of a Check.
type Report struct {
	Problems  []Problem // none: the file is sound
	More      int       // problems beyond the listed ones
	Documents int64
	Entries   int64 // of indexes
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

const maxProblems = 1000

func (r *Report) add(where, format string, args ...any) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{where, fmt.Sprintf(format, args...)})
}

// Check reads the whole file and lists what is wrong with it: bbolt's pages,
// every checksum, index entries both ways, totals, the log. It holds writers
// up while it runs. The error is that of the check itself: it was cancelled,
// or the file could not be read.
func (db *DB) Check(ctx context.Context) (*Report, error) {
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	report := &Report{}
	if err := db.checkPages(report); err != nil {
		return nil, fmt.Errorf("kv: check: %w", err)
	}
	if !report.OK() {
		return report, nil // what bbolt would say about such pages may not end
	}
	s, err := db.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("kv: check: %w", err)
	}
	defer s.Close()
	k := &check{ctx: ctx, s: s, report: report}
	if err := k.run(); err != nil {
		return nil, fmt.Errorf("kv: check: %w", err)
	}
	return report, nil
}

// checkPages walks the pages of the file. Nobody writes meanwhile.
func (db *DB) checkPages(report *Report) error {
	f, err := os.Open(filepath.Join(db.path, dataFile))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w, err := newWalk(f, info.Size())
	if err == nil {
		err = w.run(true)
	}
	if err != nil {
		report.add("file "+dataFile, "%v", err)
	}
	return nil
}

type check struct {
	ctx    context.Context
	s      *Snapshot
	report *Report
	seen   int
}

// value notes an error of one value and goes on.
func (k *check) value(err error) {
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		k.report.add(corrupt.Where, "%s", corrupt.Why)
	} else if err != nil {
		k.report.add("database", "%v", err)
	}
}

func (k *check) pause() error {
	if k.seen++; k.seen%checkEvery == 0 {
		return k.ctx.Err()
	}
	return nil
}

func (k *check) run() (err error) {
	defer catch(&err, debug.SetPanicOnFault(true))
	for err := range k.s.tx.Check() {
		k.report.add("file "+dataFile, "%v", err)
	}
	// What the handle has in memory must still be what the file says.
	if v, err := readVersion(k.s.tx, nil); err != nil {
		k.value(err)
	} else if v.st != k.s.v.st {
		k.report.add(placeName(bucketMeta, []byte(keyState)), "it differs from the one in use")
	}
	known := map[string]bool{bucketMeta: true, bucketSettings: true, bucketCatalog: true, bucketCounters: true, bucketLog: true}
	var bytes int64
	for _, c := range k.s.Collections() {
		n, err := k.collection(c, known)
		if err != nil {
			return err
		}
		bytes += n
	}
	if bytes != k.s.v.st.bytes {
		k.report.add("meta state", "it counts %d bytes of documents, there are %d", k.s.v.st.bytes, bytes)
	}
	err = k.s.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if !known[string(name)] {
			k.report.add("file "+dataFile, "bucket %x belongs to nothing", name)
		}
		return nil
	})
	return errors.Join(err, k.settings(), k.counters(), k.log())
}

// collection checks the documents of a collection, its totals and indexes,
// and returns the bytes of its documents.
func (k *check) collection(c *Collection, known map[string]bool) (int64, error) {
	where := "collection " + c.Name
	known[string(c.docs)] = true
	for _, x := range c.unique {
		known[string(c.Indexes[x].bucket)] = true
	}
	ordered := k.orderedIndexes(c, known)
	docs := k.s.tx.Bucket(c.docs)
	if docs == nil {
		k.report.add(where, "its documents are missing")
		return 0, nil
	}
	var have totals
	entries := make([]int64, len(c.unique))
	var key []byte
	cur := docs.Cursor()
	for id, v := cur.First(); id != nil; id, v = cur.Next() {
		if err := k.pause(); err != nil {
			return 0, err
		}
		if len(id) != len(DocID{}) {
			k.report.add(where, "a key has %d bytes", len(id))
			continue
		}
		d, err := openDoc(c, DocID(id), v)
		if err != nil {
			k.value(err)
			continue
		}
		k.report.Documents++
		have.documents++
		have.bytes += int64(len(d.JSON))
		have.rev = max(have.rev, d.Rev)
		for n, x := range c.unique {
			var in bool
			if key, in = appendIndexKey(key[:0], d.JSON, c.Indexes[x].Fields); in {
				entries[n]++
				k.entry(c, &c.Indexes[x], key, d.ID)
			}
		}
		for _, o := range ordered {
			o.document(d)
		}
	}
	t, err := readTotals(k.s.tx.Bucket([]byte(bucketCounters)), c)
	if err != nil {
		k.value(err)
	} else if t.documents != have.documents || t.bytes != have.bytes || t.rev < have.rev || t.rev > k.s.Commit() {
		k.report.add(where, "its totals say %+v, there is %+v", t, have)
	}
	for n, x := range c.unique {
		if err := k.index(c, &c.Indexes[x], entries[n]); err != nil {
			return 0, err
		}
	}
	for _, o := range ordered {
		if err := o.finish(); err != nil {
			return 0, err
		}
	}
	return have.bytes, nil
}

// entry checks that an index has the key of a document.
func (k *check) entry(c *Collection, x *Index, key []byte, id DocID) {
	where := "index " + x.Name + " of " + c.Name
	b := k.s.tx.Bucket(x.bucket)
	if b == nil {
		return // told once, by index
	}
	v := b.Get(key)
	if v == nil {
		k.report.add(where, "document %s is missing", id)
		return
	}
	if held, err := openEntry(x, key, v); err == nil && held != id {
		k.report.add(where, "the key of document %s leads to %s", id, held)
	}
}

// index checks that an index has no other entries than those of documents.
func (k *check) index(c *Collection, x *Index, want int64) error {
	where := "index " + x.Name + " of " + c.Name
	b := k.s.tx.Bucket(x.bucket)
	if b == nil {
		k.report.add(where, "it is missing")
		return nil
	}
	var n int64
	var have []byte
	cur := b.Cursor()
	for key, v := cur.First(); key != nil; key, v = cur.Next() {
		if err := k.pause(); err != nil {
			return err
		}
		n++
		k.report.Entries++
		id, err := openEntry(x, key, v)
		if err != nil {
			k.value(err)
			continue
		}
		d, err := k.s.get(c, id)
		if err != nil {
			k.report.add(where, "an entry leads to document %s: %v", id, err)
			continue
		}
		var in bool
		if have, in = appendIndexKey(have[:0], d.JSON, x.Fields); !in || !bytes.Equal(have, key) {
			k.report.add(where, "an entry leads to document %s, which has another key", id)
		}
	}
	if n != want {
		k.report.add(where, "it has %d entries, the documents make %d", n, want)
	}
	return nil
}

func (k *check) settings() error {
	return k.s.tx.Bucket([]byte(bucketSettings)).ForEach(func(key, v []byte) error {
		st, err := openSetting(key, v)
		if err == nil && (st.rev == 0 || st.rev > k.s.Commit()) {
			k.report.add(placeName(bucketSettings, key), "its revision %d was never committed", st.rev)
		}
		k.value(err)
		return k.pause()
	})
}

func (k *check) counters() error {
	known := map[string]bool{}
	for _, c := range k.s.Collections() {
		key := totalsKey(c.ID)
		known[string(key[:])] = true
	}
	return k.s.tx.Bucket([]byte(bucketCounters)).ForEach(func(key, v []byte) error {
		content, err := openSeal(bucketCounters, key, v)
		k.value(err)
		switch {
		case err != nil:
		case key[0] == counterTotals && !known[string(key)]:
			k.report.add(placeName(bucketCounters, key), "there is no such collection")
		case key[0] == counterNamed && len(content) != 8:
			k.report.add(placeName(bucketCounters, key), "garbled")
		}
		return k.pause()
	})
}

// log checks that the rows are the newest batches without a gap and lead up
// to the state.
func (k *check) log() error {
	const where = "change log"
	st := &k.s.v.st
	var seq, commit, rows uint64
	err := k.s.tx.Bucket([]byte(bucketLog)).ForEach(func(key, v []byte) error {
		if len(key) != 8 {
			k.report.add(where, "a key has %d bytes", len(key))
			return nil
		}
		at := binary.BigEndian.Uint64(key)
		if rows > 0 && at != seq+1 {
			k.report.add(where, "row %d follows row %d", at, seq)
		}
		seq = at
		rows++
		rw, err := openLogRow(key, v)
		if err != nil {
			k.value(err)
			return nil
		}
		step := uint64(1)
		if rw.refused != nil {
			step = 0
		} else if _, ok := rw.changeOps(); !ok {
			k.report.add(where, "row %d is garbled", at)
		}
		if rows > 1 && rw.commit != commit+step {
			k.report.add(where, "row %d is of commit %d, the one before of %d", at, rw.commit, commit)
		}
		commit = rw.commit
		return k.pause()
	})
	if seq != st.seq || rows > 0 && commit != st.commit {
		k.report.add(where, "it ends at batch %d, commit %d; the state says %d and %d", seq, commit, st.seq, st.commit)
	}
	if want := kept(st.seq); rows != want {
		k.report.add(where, "it has %d rows instead of %d", rows, want)
	}
	return err
}

// kept is how many rows the log has when so many batches were judged.
func kept(seq uint64) uint64 {
	if seq <= LogRows {
		return seq
	}
	dropped := seq / logTrim * logTrim
	if dropped <= LogRows {
		return seq
	}
	return seq - (dropped - LogRows)
}
