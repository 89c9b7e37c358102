package kv

import (
	"bytes"
	"context"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// span is a part of an ordered index: low <= key < high, behind the fixed key
// of its first fields, which is cut bytes long.
type span struct {
	low, high []byte
	cut       int
}

// everything is the span of all entries; loose that of documents that have none.
var (
	everything = span{low: []byte{prefixLoose + 1}, high: []byte{0xFF}}
	loose      = span{low: []byte{prefixLoose}, high: []byte{prefixLoose + 1}, cut: 1}
)

// prefixEnd returns the first key behind all that begin with p. No tag is
// 0xFF, so there is one.
func prefixEnd(p []byte) []byte {
	end := slices.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return []byte{0xFF}
}

// spanCursor walks the entries of a span in either direction.
type spanCursor struct {
	span
	of  *indexSource // whose span it is
	cur *bolt.Cursor
	key []byte // nil: at the end
}

// start goes to the first entry whose part behind cut is behind after, which
// is nil for all.
func (c *spanCursor) start(desc bool, after []byte) {
	if !desc {
		from, beyond := c.low, false
		if after != nil {
			if p := slices.Concat(c.low[:c.cut], after); bytes.Compare(p, from) >= 0 {
				from, beyond = p, true
			}
		}
		c.key, _ = c.cur.Seek(from)
		if beyond && bytes.Equal(c.key, from) {
			c.key, _ = c.cur.Next()
		}
	} else {
		from := c.high
		if after != nil {
			if p := slices.Concat(c.low[:c.cut], after); bytes.Compare(p, from) < 0 {
				from = p
			}
		}
		if c.key, _ = c.cur.Seek(from); c.key == nil {
			c.key, _ = c.cur.Last()
		} else {
			c.key, _ = c.cur.Prev()
		}
	}
	c.bound(desc)
}

func (c *spanCursor) next(desc bool) {
	if desc {
		c.key, _ = c.cur.Prev()
	} else {
		c.key, _ = c.cur.Next()
	}
	c.bound(desc)
}

func (c *spanCursor) bound(desc bool) {
	if desc && bytes.Compare(c.key, c.low) < 0 || !desc && bytes.Compare(c.key, c.high) >= 0 {
		c.key = nil
	}
}

// countKeys counts the entries of spans, up to limit.
func countKeys(b *bolt.Bucket, spans []span, limit int) int {
	n, cur := 0, b.Cursor()
	for _, s := range spans {
		for k, _ := cur.Seek(s.low); k != nil && n < limit && bytes.Compare(k, s.high) < 0; k, _ = cur.Next() {
			n++
		}
	}
	return n
}

// indexSource finds documents by spans of an ordered index.
type indexSource struct {
	s     *Snapshot
	c     *Collection
	x     *Index
	b     *bolt.Bucket
	spans []span
	// exact are the predicates that hold for every document of the spans.
	exact []*pred
	// ordered: in the order of what follows the fixed key of each span, behind
	// after. Otherwise one span after the other.
	ordered bool
	after   []byte
	rest    []string // the fields of that order
	repeats bool     // a document may have several entries in the spans
	pure    bool     // every entry is of a document that matches
	skip    int      // if ordered and pure: entries to leave out
	// more are parts of other indexes, for a union: all in the same order, if it
	// is ordered.
	more []*indexSource

	docs   *bolt.Cursor
	suffix []byte // of the entry that led to the document yielded, nil of a loose one
	err    error
}

func (x *indexSource) name() string {
	name := "index:" + strings.Join(x.x.Fields, ",")
	for _, part := range x.more {
		name += "|" + strings.Join(part.x.Fields, ",")
	}
	return name
}

// parts yields the source itself and what else it is the union of.
func (x *indexSource) parts(yield func(*indexSource) bool) {
	if !yield(x) {
		return
	}
	for _, part := range x.more {
		if !yield(part) {
			return
		}
	}
}

// count counts the entries of the spans.
func (x *indexSource) count(ctx context.Context, budget int) (int64, error) {
	const keysPerDocument = 100 // going over a key costs that much less
	n, limit := 0, budget*keysPerDocument
	cur := x.b.Cursor()
	for _, s := range x.spans {
		for k, _ := cur.Seek(s.low); k != nil && bytes.Compare(k, s.high) < 0; k, _ = cur.Next() {
			if n++; n > limit {
				return 0, &BudgetError{Examined: n / keysPerDocument}
			}
			if n%(checkEvery*keysPerDocument) == 0 && ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
		}
	}
	return int64(n), nil
}

func (x *indexSource) each(desc bool, yield func(DocID, []byte) bool) error {
	docs := x.s.documents(x.c)
	if docs == nil {
		return nil
	}
	x.docs = docs.Cursor()
	if x.ordered {
		x.merge(desc, yield)
	} else {
		x.walk(yield)
	}
	return x.err
}

// walk goes through the spans one by one.
func (x *indexSource) walk(yield func(DocID, []byte) bool) {
	var seen map[DocID]struct{}
	if x.repeats || x.more != nil {
		seen = make(map[DocID]struct{})
	}
	for part := range x.parts {
		cur := spanCursor{of: part, cur: part.b.Cursor()}
		for _, cur.span = range part.spans {
			if !x.walkSpan(&cur, seen, yield) {
				return
			}
		}
	}
}

// walkSpan goes through one span, and leaves out what was seen if that is kept.
func (x *indexSource) walkSpan(cur *spanCursor, seen map[DocID]struct{}, yield func(DocID, []byte) bool) bool {
	for cur.start(false, nil); cur.key != nil; cur.next(false) {
		if seen != nil {
			id, ok := x.id(cur)
			if !ok {
				return false
			}
			if _, twice := seen[id]; twice {
				continue
			}
			seen[id] = struct{}{}
		}
		if !x.load(cur, yield) {
			return false
		}
	}
	return true
}

// merge goes through the spans together: each is in order by itself.
func (x *indexSource) merge(desc bool, yield func(DocID, []byte) bool) {
	cursors := make([]spanCursor, 0, len(x.spans))
	for part := range x.parts {
		for _, s := range part.spans {
			c := spanCursor{span: s, of: part, cur: part.b.Cursor()}
			if c.start(desc, part.after); c.key != nil {
				cursors = append(cursors, c)
			}
		}
	}
	h := spanHeap{cursors, desc}
	for i := len(cursors)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
	var last []byte
	for len(h.list) > 0 {
		c := &h.list[0]
		// A document with two entries has the same rest of key in both spans.
		if suffix := c.key[c.cut:]; last == nil || !bytes.Equal(suffix, last) {
			last = suffix
			if x.skip > 0 {
				x.skip--
			} else if !x.load(c, yield) {
				return
			}
		}
		if c.next(desc); c.key == nil {
			h.list[0] = h.list[len(h.list)-1]
			h.list = h.list[:len(h.list)-1]
		}
		h.down(0)
	}
}

func (x *indexSource) corrupt(format string, id DocID) error {
	return &CorruptError{Where: "index " + x.x.Name + " of " + x.c.Name, Why: format + id.String()}
}

func (x *indexSource) id(c *spanCursor) (id DocID, ok bool) {
	if len(c.key) < c.cut+len(id) {
		x.err = c.of.corrupt("an entry is cut short", id)
		return id, false
	}
	return DocID(c.key[len(c.key)-len(id):]), true
}

// load yields the document of an entry.
func (x *indexSource) load(c *spanCursor, yield func(DocID, []byte) bool) bool {
	id, ok := x.id(c)
	if !ok {
		return false
	}
	k, v := x.docs.Seek(id[:])
	if !bytes.Equal(k, id[:]) {
		x.err = c.of.corrupt("an entry leads to a document that is not there: ", id)
		return false
	}
	x.suffix = nil
	if c.key[0] != prefixLoose {
		x.suffix = c.key[c.cut:]
	}
	return yield(id, v)
}

// prove checks that the document yielded last has the entry that led to it.
func (x *indexSource) prove(f *finder, d Document, matched bool) error {
	if x.suffix == nil {
		return nil
	}
	stray := false
	if !matched {
		for _, p := range x.exact {
			stray = stray || !f.filter.holds(p, d)
		}
	}
	if x.rest != nil && !stray {
		key := x.s.scratch[:0]
		for _, path := range x.rest {
			key = appendSortKey(key, d, path)
		}
		x.s.scratch = append(key, d.ID[:]...)
		stray = !bytes.Equal(x.s.scratch, x.suffix)
	}
	if stray {
		return x.corrupt("an entry leads to a document that has another key: ", d.ID)
	}
	return nil
}

// spanHeap is a binary heap of cursors with the first in order on top.
type spanHeap struct {
	list []spanCursor
	desc bool
}

func (h *spanHeap) less(a, b int) bool {
	x, y := &h.list[a], &h.list[b]
	order := bytes.Compare(x.key[x.cut:], y.key[y.cut:])
	return order < 0 && !h.desc || order > 0 && h.desc
}

func (h *spanHeap) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.list); child++ {
			if h.less(child, first) {
				first = child
			}
		}
		if first == i {
			return
		}
		h.list[i], h.list[first] = h.list[first], h.list[i]
		i = first
	}
}
