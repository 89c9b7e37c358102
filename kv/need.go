package kv

import "github.com/sluice-edge/sluice/kv/jsondoc"

// holds judges one need.
func (w *writer) holds(n *Need) (bool, error) {
	if n.Kind == NeedSetting {
		v := w.settings.Get([]byte(n.Name))
		if v == nil {
			return n.Rev == 0, nil
		}
		s, err := openSetting([]byte(n.Name), v)
		return s.rev == n.Rev, err
	}
	c := w.cat.byName[n.Collection]
	if c == nil {
		// Absent, and the author may have seen it: only a drop that was seen too
		// leaves that true.
		switch n.Kind {
		case NeedDoc:
			return n.Rev == 0, nil
		case NeedCollection:
			return w.st.dropped <= n.Rev, nil
		}
		return true, nil
	}
	t, err := w.target(c)
	if err != nil {
		return false, err
	}
	switch n.Kind {
	case NeedDoc:
		v := w.document(t, n.ID)
		if v == nil {
			return n.Rev == 0, nil
		}
		d, err := openDoc(c, n.ID, v)
		return d.Rev == n.Rev, err
	case NeedCollection:
		return t.totals.rev <= n.Rev, nil
	}
	return t.free(n)
}

// free judges a NeedUnique.
func (t *target) free(n *Need) (bool, error) {
	for pos, x := range t.c.unique {
		index := &t.c.Indexes[x]
		if index.Name != n.Name {
			continue
		}
		var key []byte
		fields, null := 0, false
		jsondoc.Elements(n.Value, func(raw []byte) bool {
			fields++
			null = null || raw[0] == 'n'
			key = AppendKey(key, raw)
			return true
		})
		if fields != len(index.Fields) {
			return false, nil
		}
		if null {
			return true, nil
		}
		id, held, err := t.holder(pos, capKey(key, 0))
		return !held || id == n.ID, err
	}
	return false, nil // the index is gone: not the state the author knew
}

// holder finds the document that holds a key of the unique index at pos.
func (t *target) holder(pos int, key []byte) (DocID, bool, error) {
	if t.unique == nil || t.unique[pos] == nil {
		return DocID{}, false, nil // created by this batch
	}
	v := t.unique[pos].Get(key)
	if v == nil {
		return DocID{}, false, nil
	}
	id, err := openEntry(&t.c.Indexes[t.c.unique[pos]], key, v)
	return id, err == nil, err
}

func openEntry(x *Index, key, v []byte) (id DocID, err error) {
	content, err := openSeal(string(x.bucket), key, v)
	if err != nil {
		return id, err
	}
	if len(content) != len(id) {
		return id, &CorruptError{Where: placeName(string(x.bucket), key), Why: "garbled"}
	}
	copy(id[:], content)
	return id, nil
}
