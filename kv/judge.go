package kv

import (
	"bytes"
	"slices"
)

// A batch is checked first and carried out after: a refused one has changed
// nothing and needs no rollback, which bbolt could not give for a part of a
// transaction. step is what the check found out about one operation.
type step struct {
	op *Op
	t  *target

	// Of a put or a delete.
	existed bool
	oldSize int64
	old     int    // first of its old keys in writer.old, if it existed
	keys    int    // first of its new keys in job.keys, for a put
	olds    int    // the same of its entries, in writer.olds
	entries int    // and in job.entries
	value   []byte // to store, not sealed yet

	sum    int64       // of an OpAdd
	schema *definition // of an OpCollection
}

// definition is a checked OpCollection.
type definition struct {
	next    *Collection
	same    bool // already defined like this
	added   []int
	entries [][]entry    // of each added unique index of an existing collection
	sets    []*entryList // of each added ordered index of a small one
	removed []Index
}

// entry is one entry of a unique index.
type entry struct {
	key []byte
	id  DocID
}

type claim struct {
	index uint32
	key   string
}

// check judges needs and operations against the file as the batches before
// left it. The error, if any, is one of the file, not of the batch.
func (w *writer) check(j *job) (*refusal, error) {
	w.last = lookup{}
	for i := range j.batch.Needs {
		n := &j.batch.Needs[i]
		ok, err := w.holds(n)
		if err != nil {
			return nil, err
		}
		if !ok {
			return conflict(n), nil
		}
	}
	if j.cat != w.cat {
		// The definitions changed since the author derived the keys.
		j.derive(w.cat)
	}
	w.steps, w.created = w.steps[:0], w.created[:0]
	w.nextCID, w.nextIID = w.st.nextCID, w.st.nextIID
	w.old.reset()
	w.olds.reset()
	clear(w.claims)
	c := &w.checker
	*c = checker{w: w, j: j}
	for i := range j.batch.Ops {
		if refused, err := c.op(i); refused != nil || err != nil {
			return refused, err
		}
	}
	if refused := c.together(); refused != nil {
		return refused, nil
	}
	return c.uniques()
}

// checker checks the operations of one batch.
type checker struct {
	w       *writer
	j       *job
	at      int   // in job.values
	key     int   // in job.keys
	set     int   // in job.entries
	grow    int64 // bytes that the documents gain
	puts    int
	defines bool
	byDoc   map[thing]bool
}

func (c *checker) op(i int) (*refusal, error) {
	op := &c.j.batch.Ops[i]
	switch op.Kind {
	case OpPut, OpDelete:
		return c.document(op)
	case OpAdd:
		return c.add(op)
	case OpCollection:
		return c.define(i, op)
	case OpDropCollection:
		return c.drop(op)
	}
	c.w.steps = append(c.w.steps, step{op: op})
	return nil, nil
}

func (c *checker) document(op *Op) (*refusal, error) {
	s := step{op: op}
	if op.Kind == OpPut {
		end := c.at + docHeader + len(op.Value)
		s.value, s.keys, s.entries = c.j.values[c.at:end:end], c.key, c.set
		c.at = end
	}
	known := c.w.cat.byName[op.Collection]
	if known == nil {
		if s.t = c.w.createdHere(op.Collection); s.t == nil {
			if op.Kind == OpDelete {
				return nil, nil // absent, with its collection
			}
			return &refusal{kind: refusedNoCollection, name: op.Collection}, nil
		}
		if op.Kind == OpPut {
			// derive knew no such collection.
			s.keys, s.entries = len(c.j.keys.ends), len(c.j.entries.sets)
			c.j.claim(s.t.c, op)
		}
	} else {
		var err error
		if s.t, err = c.w.target(known); err != nil {
			return nil, err
		}
		if op.Kind == OpPut {
			c.key += len(known.unique)
			c.set += len(known.ordered)
		}
	}
	if s.t.docs != nil {
		if v := c.w.document(s.t, op.ID); v != nil {
			before, err := openDoc(s.t.c, op.ID, v)
			if err != nil {
				return nil, err
			}
			s.existed, s.oldSize = true, int64(len(before.JSON))
			s.old, s.olds = len(c.w.old.ends), len(c.w.olds.sets)
			for _, x := range s.t.c.unique {
				c.w.old.add(before.JSON, s.t.c.Indexes[x].Fields)
			}
			for _, x := range s.t.c.ordered {
				c.w.olds.add(before.JSON, op.ID, s.t.c.Indexes[x].Fields)
			}
		}
	}
	c.grow -= s.oldSize
	if op.Kind == OpPut {
		c.grow += int64(len(op.Value))
		c.puts++
	}
	c.w.steps = append(c.w.steps, s)
	return nil, nil
}

func (c *checker) add(op *Op) (*refusal, error) {
	now, err := readCounter(c.w.counters, op.Name)
	if err != nil {
		return nil, err
	}
	sum := now + op.Delta
	overflow := (sum > now) != (op.Delta > 0) && op.Delta != 0
	if overflow || op.HasFloor && sum < op.Floor {
		f := &refusal{kind: refusedFloor, name: op.Name, a: now, b: op.Delta, c: op.Floor}
		if overflow && op.Delta > 0 {
			f.c = 1<<63 - 1
		} else if overflow {
			f.c = -1 << 63
		}
		return f, nil
	}
	c.w.steps = append(c.w.steps, step{op: op, sum: sum})
	return nil, nil
}

func (c *checker) drop(op *Op) (*refusal, error) {
	known := c.w.cat.byName[op.Name]
	if known == nil {
		return nil, nil
	}
	t, err := c.w.target(known)
	if err != nil {
		return nil, err
	}
	c.defines = true
	c.grow -= t.totals.bytes
	c.w.steps = append(c.w.steps, step{op: op, t: t})
	return nil, nil
}

// define works out what an OpCollection means here.
func (c *checker) define(i int, op *Op) (*refusal, error) {
	w := c.w
	def := &definition{next: &Collection{Name: op.Name, Defined: w.st.commit + 1,
		Indexes: slices.Clone(c.j.defs[i])}}
	known := w.cat.byName[op.Name]
	s := step{op: op, schema: def}
	if known == nil {
		def.next.ID = w.nextCID
		w.nextCID++
		for x := range def.next.Indexes {
			def.added = append(def.added, x)
			def.next.Indexes[x].ID, def.next.Indexes[x].Ready = w.nextIID, true
			w.nextIID++
		}
		s.t = &target{c: def.next.link()}
		w.created = append(w.created, s.t)
		w.steps = append(w.steps, s)
		return nil, nil
	}
	t, err := w.target(known)
	if err != nil {
		return nil, err
	}
	s.t, def.next.ID = t, known.ID
	def.same = len(known.Indexes) == len(def.next.Indexes)
	for x := range def.next.Indexes {
		next := &def.next.Indexes[x]
		old := known.index(next.Name)
		if old == nil || old.Unique != next.Unique || !slices.Equal(old.Fields, next.Fields) {
			def.same = false
			def.added = append(def.added, x)
			next.ID, next.Ready = w.nextIID, next.Unique || t.totals.documents <= smallBuild
			w.nextIID++
			continue
		}
		def.same = def.same && known.Indexes[x].Name == next.Name
		next.ID, next.Ready = old.ID, old.Ready
	}
	for _, old := range known.Indexes {
		if !slices.ContainsFunc(def.next.Indexes, func(x Index) bool { return x.ID == old.ID }) {
			def.removed = append(def.removed, old)
		}
	}
	def.next.link()
	c.defines = c.defines || !def.same
	for _, x := range def.added {
		entries, refused, err := t.build(&def.next.Indexes[x])
		if refused != nil || err != nil {
			return refused, err
		}
		def.entries = append(def.entries, entries)
		sets, err := t.list(&def.next.Indexes[x])
		if err != nil {
			return nil, err
		}
		def.sets = append(def.sets, sets)
	}
	w.steps = append(w.steps, s)
	return nil, nil
}

// build lists the entries, by key, that a new unique index of an existing
// collection starts with.
func (t *target) build(x *Index) ([]entry, *refusal, error) {
	if !x.Unique {
		return nil, nil, nil
	}
	if t.totals.documents > MaxIndexBuild {
		return nil, &refusal{kind: refusedTooMany, name: t.c.Name, detail: x.Name, a: t.totals.documents}, nil
	}
	var entries []entry
	cur := t.docs.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		d, err := openDoc(t.c, DocID(k), v)
		if err != nil {
			return nil, nil, err
		}
		if key, ok := appendIndexKey(nil, d.JSON, x.Fields); ok {
			entries = append(entries, entry{key, d.ID})
		}
	}
	// Stable: of two equal keys the older document stays first.
	slices.SortStableFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(entries); i++ {
		if a, b := entries[i-1], entries[i]; bytes.Equal(a.key, b.key) {
			return nil, &refusal{kind: refusedUnique, name: t.c.Name, detail: x.Name, fields: x.Fields, id: a.id, other: b.id}, nil
		}
	}
	return entries, nil, nil
}

// list returns the entries that a new ordered index of a small collection
// starts with, nil for any other index.
func (t *target) list(x *Index) (*entryList, error) {
	if x.Unique || !x.Ready {
		return nil, nil
	}
	out := &entryList{}
	cur := t.docs.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		d, err := openDoc(t.c, DocID(k), v)
		if err != nil {
			return nil, err
		}
		out.add(d.JSON, d.ID, x.Fields)
	}
	return out, nil
}

// together judges what concerns the batch as a whole.
func (c *checker) together() *refusal {
	w := c.w
	if c.defines && w.mixed() {
		return badBatch("it changes documents of a collection that it redefines or drops")
	}
	if want := w.st.bytes + c.grow; c.grow > 0 && w.maxBytes >= 0 && want > w.maxBytes {
		return &refusal{kind: refusedQuota, a: w.maxBytes, b: want}
	}
	return nil
}

// mixed reports whether the batch changes documents of a collection that it
// redefines or drops.
func (w *writer) mixed() bool {
	for i := range w.steps {
		s := &w.steps[i]
		if s.op.Kind != OpDropCollection && (s.schema == nil || s.t.docs == nil || s.schema.same) {
			continue
		}
		for k := range w.steps {
			if o := &w.steps[k]; o.t == s.t && (o.op.Kind == OpPut || o.op.Kind == OpDelete) {
				return true
			}
		}
	}
	return false
}

// uniques judges the unique keys that the batch claims, against the file and
// among themselves. A key that another document of the batch gives up is free.
func (c *checker) uniques() (*refusal, error) {
	for i := range c.w.steps {
		s := &c.w.steps[i]
		if s.op.Kind != OpPut {
			continue
		}
		for pos, x := range s.t.c.unique {
			key := c.j.keys.at(s.keys + pos)
			if len(key) == 0 {
				continue
			}
			index := &s.t.c.Indexes[x]
			other, taken, err := s.t.holder(pos, key)
			if err != nil {
				return nil, err
			}
			taken = taken && other != s.op.ID && !c.changes(s.t, other)
			if !taken && c.puts > 1 {
				k := claim{index.ID, string(key)}
				if first, twice := c.w.claims[k]; twice {
					other, taken = c.w.steps[first].op.ID, true
				} else {
					c.w.claims[k] = i
				}
			}
			if taken {
				return &refusal{kind: refusedUnique, name: s.t.c.Name, detail: index.Name,
					fields: index.Fields, id: other, other: s.op.ID}, nil
			}
		}
	}
	return nil, nil
}

// changes reports whether the batch puts or deletes a document. If it does,
// the key that the document held is free, or claimed again in the batch.
func (c *checker) changes(t *target, id DocID) bool {
	if c.byDoc == nil {
		c.byDoc = make(map[thing]bool)
		for i := range c.w.steps {
			if op := c.w.steps[i].op; op.Kind == OpPut || op.Kind == OpDelete {
				c.byDoc[op.thing()] = true
			}
		}
	}
	return c.byDoc[thing{'d', t.c.Name, id}]
}

// createdHere finds a collection that this batch creates.
func (w *writer) createdHere(name string) *target {
	for _, t := range w.created {
		if t.c.Name == name {
			return t
		}
	}
	return nil
}
