package kv

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// An ordered index holds for each document one entry for each value that a
// predicate on its fields could meet: the value at the path, and if that is an
// array its elements too; null where there is none, so that every document is
// in. Of several fields it holds every combination.
//
//	key of each field, cut at 256 bytes … | document id 12  →  nothing
//
// Cutting keeps the order (never turns it around) and no cut key is the prefix
// of another, so a cut bound finds a few documents too many and none too few.
//
// An entry carries no checksum: it is only ever a hint. The document behind it
// is read, with its own checksum, and compared with the query; one that does
// not have the entry's key is reported as damage. An entry that went missing
// is what Check looks for.
const (
	// MaxOrderedFields is how many fields an index that is not unique may have.
	MaxOrderedFields = 4
	maxOrderedKey    = 256 // bytes of one field's key
	maxEntries       = 64  // of a document in one index; with more it is loose
)

// Keys of an ordered index that are not entries: they sort before all tags.
const (
	keyUneven   = 0x00 // sealed counts, see uneven; absent when all are 0
	prefixLoose = 0x01 // + document id: a document with too many entries to list
)

func orderedBucket(cid, iid uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{prefixOrdered}, cid)
	return binary.BigEndian.AppendUint32(b, iid)
}

// uneven counts, for each field of an ordered index, the documents whose
// entries do not have exactly one value there, whole and as a sort would look
// at it: arrays met on the way or at the end, and cut keys. While it is 0 the
// entries are in the order of the field, and one predicate can be cut with
// another; a loose document counts under every field, and under loose.
type uneven struct {
	fields [MaxOrderedFields]int64
	loose  int64
}

func (u *uneven) add(s entrySet, by int64) {
	for f := range u.fields {
		if s.uneven>>f&1 == 1 {
			u.fields[f] += by
		}
	}
	if s.loose {
		u.loose += by
	}
}

func (u *uneven) append(dst []byte) []byte {
	for _, n := range u.fields {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	return binary.AppendUvarint(dst, uint64(u.loose))
}

func readUneven(b getter, x *Index) (u uneven, err error) {
	key := []byte{keyUneven}
	v := b.Get(key)
	if v == nil {
		return u, nil
	}
	content, err := openSeal(string(x.bucket), key, v)
	if err != nil {
		return u, err
	}
	r := &reader{b: content}
	for f := range u.fields {
		u.fields[f] = int64(r.uvarint())
	}
	u.loose = int64(r.uvarint())
	if !r.done() {
		return u, &CorruptError{Where: placeName(string(x.bucket), key), Why: "garbled"}
	}
	return u, nil
}

// entrySet is what one document has in one ordered index: keys [first, end)
// of an entryList, ascending and distinct.
type entrySet struct {
	first, end int
	uneven     uint8 // a bit for each field
	loose      bool
}

// entryList holds the entries of documents in one piece of memory.
type entryList struct {
	keys keyList
	sets []entrySet

	// Scratch: the keys of the fields of one document.
	text   []byte
	values [][]byte
	starts [MaxOrderedFields + 1]int
}

func (l *entryList) reset() { l.keys.reset(); l.sets = l.sets[:0] }

// add appends the set of one document in an index on fields.
func (l *entryList) add(doc []byte, id DocID, fields []string) {
	set := entrySet{first: len(l.keys.ends)}
	l.text, l.values = l.text[:0], l.values[:0]
	combinations := 1
	for f, path := range fields {
		start := len(l.values)
		l.starts[f] = start
		if !l.field(doc, path) {
			set.uneven |= 1 << f
		}
		if len(l.values) > start+1 {
			slices.SortFunc(l.values[start:], bytes.Compare)
			distinct := slices.CompactFunc(l.values[start:], bytes.Equal)
			l.values = l.values[:start+len(distinct)]
		}
		combinations = min(combinations*(len(l.values)-start), maxEntries+1)
	}
	l.starts[len(fields)] = len(l.values)
	if combinations > maxEntries {
		set.loose, set.uneven = true, 1<<len(fields)-1
		l.keys.bytes = append(append(l.keys.bytes, prefixLoose), id[:]...)
		l.keys.ends = append(l.keys.ends, len(l.keys.bytes))
	} else {
		l.combine(id, len(fields))
	}
	set.end = len(l.keys.ends)
	l.sets = append(l.sets, set)
}

// combine appends every combination of the fields' values, in order.
func (l *entryList) combine(id DocID, fields int) {
	var at [MaxOrderedFields]int
	for {
		for f := range fields {
			l.keys.bytes = append(l.keys.bytes, l.values[l.starts[f]+at[f]]...)
		}
		l.keys.bytes = append(l.keys.bytes, id[:]...)
		l.keys.ends = append(l.keys.ends, len(l.keys.bytes))
		f := fields - 1
		for ; f >= 0; f-- {
			if at[f]++; l.starts[f]+at[f] < l.starts[f+1] {
				break
			}
			at[f] = 0
		}
		if f < 0 {
			return
		}
	}
}

// field appends the keys of a document under one path and reports whether they
// are the one whole value that a sort looks at.
func (l *entryList) field(doc []byte, path string) (even bool) {
	raw, ok := jsondoc.Lookup(doc, path)
	if ok && raw[0] != '[' {
		return l.value(raw)
	}
	if !ok && strings.IndexByte(path, '.') < 0 {
		return l.value(null)
	}
	start, whole := len(l.values), true
	jsondoc.Each(doc, path, func(raw []byte) bool {
		whole = l.value(raw) && whole
		jsondoc.Elements(raw, func(el []byte) bool {
			l.value(el)
			return true
		})
		return true
	})
	if len(l.values) == start {
		return l.value(null)
	}
	return ok && whole && len(l.values) == start+1 // the empty array
}

var null = []byte("null")

// value appends one key and reports whether it is whole.
func (l *entryList) value(raw []byte) (whole bool) {
	start := len(l.text)
	l.text = AppendKey(l.text, raw)
	if len(l.text)-start > maxOrderedKey {
		l.text = l.text[:start+maxOrderedKey]
	} else {
		whole = true
	}
	l.values = append(l.values, l.text[start:len(l.text):len(l.text)])
	return whole
}

// ordered is an ordered index as the write transaction sees it.
type ordered struct {
	x       *Index
	b       *bolt.Bucket
	uneven  uneven
	changed bool   // uneven did
	build   *build // nil: complete
	changes []change
}

// change is one entry to come or to go. Nothing reads entries while a group is
// judged, so they wait for its end: sorted, neighbours share the pages they
// copy, and what several batches did to one entry is done once.
type change struct {
	key []byte
	n   int // in order of the batches
	put bool
}

func (w *writer) openOrdered(c *Collection, x *Index) (*ordered, error) {
	o := &ordered{x: x, b: w.tx.Bucket(x.bucket), build: w.builds.find(x.ID)}
	if o.b == nil {
		return nil, &CorruptError{Where: "index " + x.Name + " of " + c.Name, Why: "missing"}
	}
	var err error
	o.uneven, err = readUneven(o.b, x)
	return o, err
}

// holds reports whether the index has, or is to have, the entries of a
// document already: one that is being built has them up to its position.
func (o *ordered) holds(id DocID) bool {
	return o.build == nil || o.build.started && bytes.Compare(id[:], o.build.at[:]) <= 0
}

// replace notes what changes when a document's entries do. Keys of news must
// live until the group ends; those of olds are copied.
func (w *writer) replace(o *ordered, olds *entryList, before *entrySet, news *entryList, after *entrySet) {
	var none entrySet
	if before == nil {
		before = &none
	}
	if after == nil {
		after = &none
	}
	if before.uneven != after.uneven || before.loose != after.loose {
		o.uneven.add(*before, -1)
		o.uneven.add(*after, 1)
		o.changed = true
	}
	i, k := before.first, after.first
	for i < before.end || k < after.end {
		order := -1
		switch {
		case i == before.end:
			order = 1
		case k < after.end:
			order = bytes.Compare(olds.keys.at(i), news.keys.at(k))
		}
		if order < 0 {
			start := len(w.arena)
			w.arena = append(w.arena, olds.keys.at(i)...)
			o.note(w.arena[start:len(w.arena):len(w.arena)], false)
		}
		if order > 0 {
			o.note(news.keys.at(k), true)
		}
		if order <= 0 {
			i++
		}
		if order >= 0 {
			k++
		}
	}
}

func (o *ordered) note(key []byte, put bool) {
	o.changes = append(o.changes, change{key, len(o.changes), put})
}

// flush carries out what was noted.
func (w *writer) flush(o *ordered) error {
	slices.SortFunc(o.changes, func(a, b change) int {
		if order := bytes.Compare(a.key, b.key); order != 0 {
			return order
		}
		return a.n - b.n
	})
	for i := range o.changes {
		ch := &o.changes[i]
		if i+1 < len(o.changes) && bytes.Equal(ch.key, o.changes[i+1].key) {
			continue // the last word counts
		}
		var err error
		if ch.put {
			err = o.b.Put(ch.key, nil)
		} else {
			err = o.b.Delete(ch.key)
		}
		if err != nil {
			return err
		}
	}
	o.changes = o.changes[:0]
	if !o.changed {
		return nil
	}
	o.changed = false
	key := []byte{keyUneven}
	if o.uneven == (uneven{}) {
		return o.b.Delete(key)
	}
	return w.putSealed(o.b, string(o.x.bucket), key, o.uneven.append)
}

// flushAll carries out what was noted for the collections that still exist.
func (w *writer) flushAll() error {
	for _, t := range w.opened {
		if w.open[t.c.ID] != t {
			continue
		}
		for _, o := range t.ordered {
			if err := w.flush(o); err != nil {
				return err
			}
		}
	}
	return nil
}
