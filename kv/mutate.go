package kv

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// mutate carries out a batch that was checked. Whatever fails here ends the
// whole group.
func (w *writer) mutate(j *job) error {
	if err := w.redefine(); err != nil {
		return err
	}
	// Give keys up before others take them.
	for i := range w.steps {
		if s := &w.steps[i]; s.existed {
			if err := w.release(j, s); err != nil {
				return err
			}
		}
	}
	for i := range w.steps {
		if err := w.carryOut(j, &w.steps[i]); err != nil {
			return err
		}
	}
	return nil
}

// release removes the old keys of a document that its new state does not hold.
func (w *writer) release(j *job, s *step) error {
	for pos := range s.t.unique {
		old := w.old.at(s.old + pos)
		if len(old) == 0 || s.op.Kind == OpPut && bytes.Equal(old, j.keys.at(s.keys+pos)) {
			continue
		}
		if err := s.t.unique[pos].Delete(old); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) carryOut(j *job, s *step) error {
	switch op := s.op; op.Kind {
	case OpPut, OpDelete:
		w.reindex(j, s)
	}
	switch op := s.op; op.Kind {
	case OpPut:
		return w.putDocument(j, s)
	case OpDelete:
		if !s.existed {
			return nil
		}
		s.t.count(w, -1, -s.oldSize)
		return s.t.docs.Delete(op.ID[:])
	case OpAdd:
		return w.putSealed(w.counters, bucketCounters, counterKey(op.Name), func(dst []byte) []byte {
			return binary.BigEndian.AppendUint64(dst, uint64(s.sum))
		})
	case OpSetting:
		return w.putSetting(op)
	}
	return nil
}

// reindex notes what changes in the ordered indexes.
func (w *writer) reindex(j *job, s *step) {
	if s.t == nil {
		return // a document of no collection was deleted
	}
	for pos, o := range s.t.ordered {
		if !o.holds(s.op.ID) {
			continue
		}
		var before, after *entrySet
		if s.existed {
			before = &w.olds.sets[s.olds+pos]
		}
		if s.op.Kind == OpPut {
			after = &j.entries.sets[s.entries+pos]
		}
		w.replace(o, &w.olds, before, &j.entries, after)
	}
}

func (w *writer) putDocument(j *job, s *step) error {
	op := s.op
	sealDoc(s.t.c.ID, op.ID, w.st.commit, s.value)
	if err := s.t.docs.Put(op.ID[:], s.value); err != nil {
		return err
	}
	documents := int64(1)
	if s.existed {
		documents = 0
	}
	s.t.count(w, documents, int64(len(op.Value))-s.oldSize)
	for pos := range s.t.unique {
		key := j.keys.at(s.keys + pos)
		if len(key) == 0 || s.existed && bytes.Equal(key, w.old.at(s.old+pos)) {
			continue
		}
		if err := w.putEntry(s.t, pos, key, op.ID); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) putEntry(t *target, pos int, key []byte, id DocID) error {
	x := &t.c.Indexes[t.c.unique[pos]]
	return w.putSealed(t.unique[pos], string(x.bucket), key, func(dst []byte) []byte {
		return append(dst, id[:]...)
	})
}

func (t *target) count(w *writer, documents, bytes int64) {
	t.totals.documents += documents
	t.totals.bytes += bytes
	t.totals.rev = w.st.commit
	t.changed = true
	w.st.bytes += bytes
}

func (w *writer) putSetting(op *Op) error {
	key := []byte(op.Name)
	if op.Name == settingMaxBytes {
		w.maxBytes = -1
		if n, ok := parseMaxBytes(op.Value); ok && op.Value != nil {
			w.maxBytes = n
		}
	}
	w.tightens = w.tightens || op.Name == settingSync && op.Value == nil
	if op.Value == nil {
		return w.settings.Delete(key)
	}
	return w.putSealed(w.settings, bucketSettings, key, func(dst []byte) []byte {
		dst = binary.BigEndian.AppendUint64(dst, w.st.commit)
		return append(dst, op.Value...)
	})
}

// redefine creates, changes and drops the collections of the batch.
func (w *writer) redefine() error {
	var changes map[string]*Collection
	for i := range w.steps {
		s := &w.steps[i]
		var next *Collection
		var err error
		switch {
		case s.op.Kind == OpDropCollection:
			err = w.dropCollection(s.t)
		case s.schema == nil || s.schema.same:
			continue
		default:
			next = s.schema.next
			err = w.putCollection(s.t, s.schema)
		}
		if err != nil {
			return err
		}
		if changes == nil {
			changes = make(map[string]*Collection)
		}
		changes[s.op.Name] = next
	}
	if changes != nil {
		w.st.catalog, w.st.nextCID, w.st.nextIID = w.st.commit, w.nextCID, w.nextIID
		w.cat = w.cat.with(w.st.commit, changes)
	}
	return nil
}

func (w *writer) putCollection(t *target, def *definition) error {
	c := def.next
	if t.docs == nil {
		b, err := w.tx.CreateBucket(c.docs)
		if err != nil {
			return err
		}
		b.FillPercent = sequentialFill
		t.docs = b
		w.open[c.ID] = t
		w.opened = append(w.opened, t)
	}
	for i := range def.removed {
		if err := w.dropIndex(&def.removed[i]); err != nil {
			return err
		}
	}
	for _, x := range def.added {
		if _, err := w.tx.CreateBucket(c.Indexes[x].bucket); err != nil {
			return err
		}
	}
	if err := w.startOrdered(t, def); err != nil {
		return err
	}
	t.c, t.unique = c, nil
	for _, x := range c.unique {
		t.unique = append(t.unique, w.tx.Bucket(c.Indexes[x].bucket))
	}
	for n, entries := range def.entries {
		for pos, x := range c.unique {
			if x != def.added[n] {
				continue
			}
			for _, e := range entries {
				if err := w.putEntry(t, pos, e.key, e.id); err != nil {
					return err
				}
			}
		}
	}
	t.count(w, 0, 0)
	catalog := w.tx.Bucket([]byte(bucketCatalog))
	return w.putSealed(catalog, bucketCatalog, []byte(c.Name), c.appendRow)
}

func (w *writer) dropCollection(t *target) error {
	w.st.bytes -= t.totals.bytes
	w.st.dropped = w.st.commit
	delete(w.open, t.c.ID)
	if err := w.tx.DeleteBucket(t.c.docs); err != nil {
		return err
	}
	for i := range t.c.Indexes {
		if err := w.dropIndex(&t.c.Indexes[i]); err != nil {
			return err
		}
	}
	key := totalsKey(t.c.ID)
	if err := w.counters.Delete(key[:]); err != nil {
		return err
	}
	return w.tx.Bucket([]byte(bucketCatalog)).Delete([]byte(t.c.Name))
}

func (w *writer) dropIndex(x *Index) error {
	if b := w.builds.find(x.ID); b != nil {
		if err := w.setBuild(b, true); err != nil {
			return err
		}
	}
	return w.tx.DeleteBucket(x.bucket)
}

// startOrdered gives a collection the ordered indexes of its new definition:
// those that it keeps, with what the group noted for them, and the new ones.
func (w *writer) startOrdered(t *target, def *definition) error {
	c, before := def.next, t.ordered
	t.ordered = nil
	for _, x := range c.ordered {
		index := &c.Indexes[x]
		if at := slices.IndexFunc(before, func(o *ordered) bool { return o.x.ID == index.ID }); at >= 0 {
			t.ordered = append(t.ordered, before[at])
			continue
		}
		if !index.Ready {
			if err := w.setBuild(&build{cid: c.ID, iid: index.ID, total: t.totals.documents}, false); err != nil {
				return err
			}
		}
		o, err := w.openOrdered(c, index)
		if err != nil {
			return err
		}
		t.ordered = append(t.ordered, o)
		if def.sets == nil {
			continue
		}
		if l := def.sets[slices.Index(def.added, x)]; l != nil {
			for i := range l.sets {
				w.replace(o, nil, nil, l, &l.sets[i])
			}
		}
	}
	return nil
}
