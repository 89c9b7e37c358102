package kv

// orderedCheck compares an ordered index with the documents.
type orderedCheck struct {
	k       *check
	c       *Collection
	x       *Index
	b       getter
	build   *build
	list    entryList
	entries int64 // that the documents make
	uneven  uneven
}

// orderedIndexes begins the checks of a collection's ordered indexes.
func (k *check) orderedIndexes(c *Collection, known map[string]bool) []*orderedCheck {
	var out []*orderedCheck
	for _, n := range c.ordered {
		x := &c.Indexes[n]
		known[string(x.bucket)] = true
		b := k.s.tx.Bucket(x.bucket)
		if b == nil {
			k.report.add("index "+x.Name+" of "+c.Name, "it is missing")
			continue
		}
		out = append(out, &orderedCheck{k: k, c: c, x: x, b: b, build: k.s.v.builds.find(x.ID)})
	}
	return out
}

func (o *orderedCheck) report(format string, args ...any) {
	o.k.report.add("index "+o.x.Name+" of "+o.c.Name, format, args...)
}

func (o *orderedCheck) entriesOf(d Document) entrySet {
	o.list.reset()
	o.list.add(d.JSON, d.ID, o.x.Fields)
	return o.list.sets[0]
}

// document checks that the index has the entries of a document.
func (o *orderedCheck) document(d Document) {
	if !(&ordered{build: o.build}).holds(d.ID) {
		return
	}
	set := o.entriesOf(d)
	o.uneven.add(set, 1)
	for i := set.first; i < set.end; i++ {
		o.entries++
		if o.b.Get(o.list.keys.at(i)) == nil {
			o.report("an entry of document %s is missing", d.ID)
		}
	}
}

// finish checks that it has no others.
func (o *orderedCheck) finish() error {
	counts, err := readUneven(o.b, o.x)
	if err != nil {
		o.k.value(err)
	} else if counts != o.uneven {
		o.report("it counts uneven documents as %v, there are %v", counts, o.uneven)
	}
	var n int64
	cur := o.k.s.tx.Bucket(o.x.bucket).Cursor()
	for key, _ := cur.Seek([]byte{prefixLoose}); key != nil; key, _ = cur.Next() {
		if err := o.k.pause(); err != nil {
			return err
		}
		n++
	}
	o.k.report.Entries += n
	if n == o.entries {
		return nil // each of the documents' was found, and they differ
	}
	o.report("it has %d entries, the documents make %d", n, o.entries)
	for key, _ := cur.Seek([]byte{prefixLoose}); key != nil; key, _ = cur.Next() {
		if err := o.k.pause(); err != nil {
			return err
		}
		if len(key) < len(DocID{}) {
			o.report("a key has %d bytes", len(key))
			continue
		}
		id := DocID(key[len(key)-len(DocID{}):])
		d, err := o.k.s.get(o.c, id)
		if err != nil {
			o.report("an entry leads to document %s: %v", id, err)
			continue
		}
		if set := o.entriesOf(d); !o.list.has(set, key) {
			o.report("an entry leads to document %s, which has other keys", id)
		}
	}
	return nil
}

// has reports whether a key is one of a set's.
func (l *entryList) has(set entrySet, key []byte) bool {
	for i := set.first; i < set.end; i++ {
		if string(l.keys.at(i)) == string(key) {
			return true
		}
	}
	return false
}
