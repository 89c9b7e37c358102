package kv

import (
	"bytes"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// source is one way to find candidates for a query: every document that
// matches is among them, others may be. The query looks at each one itself,
// so a source need not be exact.
type source interface {
	// name is what Page.Plan says.
	name() string
	// each yields candidates until yield returns false. stored is the value
	// with its header; id order is ascending unless desc.
	each(desc bool, yield func(id DocID, stored []byte) bool) error
}

// lookup finds the source that needs no estimate: documents named by id, or by
// the key of a unique index.
func (f *finder) lookup() source {
	for i := range f.filter.preds {
		if p := &f.filter.preds[i]; p.Path == fieldID && (p.Op == Eq || p.Op == In || p.Op == Is) {
			return newIDs(f.s, f.c, p.alts)
		}
	}
	for i := range f.filter.preds {
		p := &f.filter.preds[i]
		if p.Op != Eq && p.Op != In && p.Op != Is || p.null {
			continue
		}
		for _, n := range f.c.unique {
			x := &f.c.Indexes[n]
			if len(x.Fields) == 1 && x.Fields[0] == p.Path && f.s.exact(x) {
				return &uniqueSource{s: f.s, c: f.c, x: x, alts: p.alts}
			}
		}
	}
	return nil
}

// scan is the source that always works.
func (f *finder) scan() *scan {
	r := idRange{}
	for i := range f.filter.preds {
		if p := &f.filter.preds[i]; p.Path == fieldID {
			r.narrow(p)
		}
	}
	if len(f.order) == 0 && f.q.After != nil && !f.walksAll() {
		r.behind(DocID(f.q.After), f.desc)
	}
	return &scan{s: f.s, c: f.c, r: r}
}

// exact reports whether a unique index on one field finds every document that
// an equality on that field does. A predicate also looks into arrays, and an
// index has an array under one key, so there must be none: not at the end of
// the path, which the keys show, and not on the way, which a path of one name
// excludes.
func (s *Snapshot) exact(x *Index) bool {
	b := s.tx.Bucket(x.bucket)
	if b == nil || strings.IndexByte(x.Fields[0], '.') >= 0 {
		return false
	}
	k, _ := b.Cursor().Seek([]byte{tagArray})
	return k == nil || k[0] != tagArray
}

// ids looks documents up by id.
type ids struct {
	s    *Snapshot
	c    *Collection
	list []DocID // ascending
}

func newIDs(s *Snapshot, c *Collection, alts []Value) *ids {
	out := &ids{s: s, c: c}
	for _, v := range alts {
		if id, ok := valueID(v); ok {
			out.list = append(out.list, id)
		}
	}
	slices.SortFunc(out.list, func(a, b DocID) int { return bytes.Compare(a[:], b[:]) })
	out.list = slices.Compact(out.list)
	return out
}

func (*ids) name() string { return "id" }

func (x *ids) each(desc bool, yield func(DocID, []byte) bool) error {
	docs := x.s.documents(x.c)
	if docs == nil {
		return nil
	}
	for i := range x.list {
		id := x.list[i]
		if desc {
			id = x.list[len(x.list)-1-i]
		}
		if v := docs.Get(id[:]); v != nil && !yield(id, v) {
			return nil
		}
	}
	return nil
}

// idRange bounds ids; empty bounds are open.
type idRange struct {
	low, high         []byte
	lowOpen, highOpen bool // the bound itself is out
}

// narrow takes in a range predicate on the id with one well-formed value.
func (r *idRange) narrow(p *pred) {
	if len(p.alts) != 1 {
		return
	}
	id, ok := valueID(p.alts[0])
	if !ok {
		return
	}
	switch p.Op {
	case Gt, Gte:
		r.raise(id[:], p.Op == Gt)
	case Lt, Lte:
		r.lower(id[:], p.Op == Lt)
	}
}

func (r *idRange) raise(id []byte, open bool) {
	if order := bytes.Compare(id, r.low); r.low == nil || order > 0 || order == 0 && open {
		r.low, r.lowOpen = id, open
	}
}

func (r *idRange) lower(id []byte, open bool) {
	if order := bytes.Compare(id, r.high); r.high == nil || order < 0 || order == 0 && open {
		r.high, r.highOpen = id, open
	}
}

func (r *idRange) behind(id DocID, desc bool) {
	if desc {
		r.lower(id[:], true)
	} else {
		r.raise(id[:], true)
	}
}

func (r *idRange) above(k []byte) bool {
	if r.high == nil {
		return false
	}
	order := bytes.Compare(k, r.high)
	return order > 0 || order == 0 && r.highOpen
}

func (r *idRange) below(k []byte) bool {
	if r.low == nil {
		return false
	}
	order := bytes.Compare(k, r.low)
	return order < 0 || order == 0 && r.lowOpen
}

// scan reads the documents one after the other.
type scan struct {
	s *Snapshot
	c *Collection
	r idRange
}

func (*scan) name() string { return "scan" }

func (x *scan) each(desc bool, yield func(DocID, []byte) bool) error {
	docs := x.s.documents(x.c)
	if docs == nil {
		return nil
	}
	cur := docs.Cursor()
	k, v := x.first(cur, desc)
	for k != nil {
		if desc && x.r.below(k) || !desc && x.r.above(k) {
			return nil
		}
		if len(k) != len(DocID{}) {
			return &CorruptError{Where: "collection " + x.c.Name, Why: "a key has the wrong length"}
		}
		if !yield(DocID(k), v) {
			return nil
		}
		if desc {
			k, v = cur.Prev()
		} else {
			k, v = cur.Next()
		}
	}
	return nil
}

func (x *scan) first(cur *bolt.Cursor, desc bool) (k, v []byte) {
	if !desc {
		if x.r.low == nil {
			return cur.First()
		}
		k, v = cur.Seek(x.r.low)
		if k != nil && x.r.below(k) {
			k, v = cur.Next()
		}
		return k, v
	}
	if x.r.high == nil {
		return cur.Last()
	}
	k, v = cur.Seek(x.r.high)
	if k == nil {
		return cur.Last()
	}
	if x.r.above(k) {
		k, v = cur.Prev()
	}
	return k, v
}

// uniqueSource looks documents up by a unique key of one field.
type uniqueSource struct {
	s    *Snapshot
	c    *Collection
	x    *Index
	alts []Value
}

func (u *uniqueSource) name() string { return "unique:" + u.x.Name }

func (u *uniqueSource) each(desc bool, yield func(DocID, []byte) bool) error {
	b := u.s.tx.Bucket(u.x.bucket)
	if b == nil {
		return nil
	}
	var found []Value
	for _, v := range u.alts {
		id, err := u.lookup(b, v)
		if err == ErrNotFound {
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, String(id.String()))
	}
	return newIDs(u.s, u.c, found).each(desc, yield)
}

func (u *uniqueSource) lookup(b *bolt.Bucket, v Value) (DocID, error) {
	key := capKey(append(u.s.scratch[:0], v.key...), 0)
	u.s.scratch = key
	stored := b.Get(key)
	if stored == nil {
		return DocID{}, ErrNotFound
	}
	return openEntry(u.x, key, stored)
}
