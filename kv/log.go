package kv

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"
)

// The change log has a row for every judged batch, passed or refused, keyed
// by seq. It answers batches that are delivered twice and tells followers what
// changed.
const (
	// LogRows is how many judged batches the log keeps at least: the newest.
	LogRows = 4096
	// logTrim rows are dropped at a time, whenever seq is a multiple of it:
	// what is left depends on seq alone.
	logTrim = 64
)

// Change is one commit of the change log. It keeps its own memory.
type Change struct {
	Commit uint64
	Time   int64 // unix milliseconds, the batch's
	Batch  BatchID
	Meta   []byte // the batch's
	Ops    []ChangeOp
}

// ChangeOp is one thing that a commit changed.
type ChangeOp struct {
	Kind       OpKind
	Collection string // of the document, or the collection itself
	ID         DocID  // of a document
	Name       string // of a setting or counter
}

// row is one row of the log, borrowed from the file.
type row struct {
	batch   BatchID
	commit  uint64 // last commit after this batch
	time    int64
	meta    []byte
	refused *refusal // nil: passed
	ops     []byte   // encoded ChangeOps
}

func logKey(seq uint64) [8]byte {
	var k [8]byte
	binary.BigEndian.PutUint64(k[:], seq)
	return k
}

// appendLogRow appends a sealed row.
func appendLogRow(dst []byte, key []byte, commit uint64, b *Batch, refused *refusal) []byte {
	start := len(dst)
	dst = beginSeal(dst)
	dst = append(dst, b.ID[:]...)
	dst = binary.AppendUvarint(dst, commit)
	dst = binary.AppendVarint(dst, b.Time)
	dst = appendString(dst, b.Meta)
	if refused != nil {
		dst = refused.append(append(dst, 0))
		return endSeal(dst, start, bucketLog, key)
	}
	dst = append(dst, 1)
	dst = binary.AppendUvarint(dst, uint64(len(b.Ops)))
	for i := range b.Ops {
		op := &b.Ops[i]
		dst = append(dst, byte(op.Kind))
		switch op.Kind {
		case OpPut, OpDelete:
			dst = appendString(dst, op.Collection)
			dst = append(dst, op.ID[:]...)
		default:
			dst = appendString(dst, op.Name)
		}
	}
	return endSeal(dst, start, bucketLog, key)
}

func openLogRow(k, v []byte) (row, error) {
	content, err := openSeal(bucketLog, k, v)
	if err != nil {
		return row{}, err
	}
	r := &reader{b: content}
	var out row
	copy(out.batch[:], r.take(len(out.batch)))
	out.commit, out.time, out.meta = r.uvarint(), r.varint(), r.bytes()
	if r.flag() {
		out.ops = r.b
	} else {
		out.refused = r.refusal()
		r.bad = r.bad || len(r.b) > 0
	}
	if r.bad {
		return row{}, &CorruptError{Where: placeName(bucketLog, k), Why: "garbled"}
	}
	return out, nil
}

// changeOps decodes the ops of a row that passed.
func (rw *row) changeOps() ([]ChangeOp, bool) {
	r := &reader{b: rw.ops}
	ops := make([]ChangeOp, r.count(2))
	for i := range ops {
		op := &ops[i]
		op.Kind = OpKind(r.byte())
		name := r.string()
		switch op.Kind {
		case OpPut, OpDelete:
			op.Collection, op.ID = name, r.id()
		case OpCollection, OpDropCollection:
			op.Collection = name
		default:
			op.Name = name
		}
	}
	return ops, r.done()
}

// readChanges returns up to limit commits after the given one, oldest first.
func readChanges(b *bolt.Bucket, last, after uint64, limit int) ([]Change, error) {
	if after >= last || limit <= 0 {
		return nil, nil
	}
	// Followers are mostly near the end: walk back to the first row behind
	// `after`, then forward.
	c := b.Cursor()
	reached := false
	k, v := c.Last()
	for ; k != nil; k, v = c.Prev() {
		rw, err := openLogRow(k, v)
		if err != nil {
			return nil, err
		}
		if rw.commit <= after {
			reached = true
			break
		}
	}
	if reached {
		k, v = c.Next()
	} else {
		k, v = c.First()
	}
	var out []Change
	for ; k != nil && len(out) < limit; k, v = c.Next() {
		rw, err := openLogRow(k, v)
		if err != nil {
			return nil, err
		}
		if rw.refused != nil {
			continue
		}
		if len(out) == 0 && rw.commit != after+1 {
			return nil, ErrTrimmed
		}
		ops, ok := rw.changeOps()
		if !ok {
			return nil, &CorruptError{Where: placeName(bucketLog, k), Why: "garbled"}
		}
		out = append(out, Change{Commit: rw.commit, Time: rw.time, Batch: rw.batch,
			Meta: append([]byte(nil), rw.meta...), Ops: ops})
	}
	if len(out) == 0 {
		return nil, ErrTrimmed
	}
	return out, nil
}
