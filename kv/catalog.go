package kv

import (
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// catalog holds every collection's definition at one revision. It is
// immutable: a change makes a new one, so that readers of any age share theirs
// without a lock and nobody parses definitions for a request.
type catalog struct {
	rev    uint64 // commit that made it
	byName map[string]*Collection
	sorted []*Collection // by name
}

func newCatalog(rev uint64, collections []*Collection) *catalog {
	cat := &catalog{rev: rev, byName: make(map[string]*Collection, len(collections)), sorted: collections}
	slices.SortFunc(cat.sorted, func(a, b *Collection) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range cat.sorted {
		cat.byName[c.Name] = c
	}
	return cat
}

// with returns a catalog with some collections replaced; a nil one is removed.
func (cat *catalog) with(rev uint64, changes map[string]*Collection) *catalog {
	out := make([]*Collection, 0, len(cat.sorted)+len(changes))
	for _, c := range cat.sorted {
		if _, changed := changes[c.Name]; !changed {
			out = append(out, c)
		}
	}
	for _, c := range changes {
		if c != nil {
			out = append(out, c)
		}
	}
	return newCatalog(rev, out) // sorts: the map's order is not seen
}

// finished returns the catalog with an index of a collection ready.
func (cat *catalog) finished(c *Collection, iid uint32) *catalog {
	next := *c
	next.Indexes = slices.Clone(c.Indexes)
	for i := range next.Indexes {
		next.Indexes[i].Ready = next.Indexes[i].Ready || next.Indexes[i].ID == iid
	}
	return cat.with(cat.rev, map[string]*Collection{c.Name: next.link()})
}

func readCatalog(tx *bolt.Tx, rev uint64, unfinished builds) (*catalog, error) {
	b := tx.Bucket([]byte(bucketCatalog))
	if b == nil {
		return nil, &CorruptError{Where: "catalog", Why: "missing"}
	}
	var out []*Collection
	err := b.ForEach(func(k, v []byte) error {
		row, err := openSeal(bucketCatalog, k, v)
		if err != nil {
			return err
		}
		c, ok := decodeRow(string(k), row, unfinished)
		if !ok {
			return &CorruptError{Where: placeName(bucketCatalog, k), Why: "garbled"}
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newCatalog(rev, out), nil
}
