package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Collection is the definition of a collection at one revision of the
// catalog. It is immutable and may be kept, and shared; a snapshot that is
// older or newer than it may hold other indexes.
type Collection struct {
	Name    string
	ID      uint32
	Defined uint64  // commit that created or last redefined it
	Indexes []Index // in the order of the definition

	docs    []byte // name of the documents' bucket
	unique  []int  // positions of the unique indexes
	ordered []int  // positions of the others
}

// Index is a declared index of a collection.
type Index struct {
	Name   string
	ID     uint32
	Fields []string // dotted paths; of a unique index through objects only
	Unique bool
	// Ready says that the index is complete and queries use it. A unique index
	// always is; another one on a large collection is built first, see
	// Snapshot.Building.
	Ready bool

	bucket []byte // name of the entries' bucket
}

// index finds a declared index by name.
func (c *Collection) index(name string) *Index {
	for i := range c.Indexes {
		if c.Indexes[i].Name == name {
			return &c.Indexes[i]
		}
	}
	return nil
}

// link fills in what follows from the exported fields.
func (c *Collection) link() *Collection {
	c.docs = documentsBucket(c.ID)
	c.unique, c.ordered = nil, nil
	for i := range c.Indexes {
		x := &c.Indexes[i]
		if x.Unique {
			c.unique = append(c.unique, i)
			x.bucket = uniqueBucket(c.ID, x.ID)
		} else {
			c.ordered = append(c.ordered, i)
			x.bucket = orderedBucket(c.ID, x.ID)
		}
	}
	return c
}

// CollectionState is what changes in a collection with every write.
type CollectionState struct {
	Rev       uint64 // last commit that changed a document or the definition
	Documents int64
	Bytes     int64 // of the documents' JSON
}

// Limits of a definition.
const (
	MaxIndexes     = 32  // of a collection
	MaxIndexFields = 8   // of a unique index; see MaxOrderedFields
	MaxFieldPath   = 512 // bytes
	// MaxIndexBuild is how many documents a collection may have when a unique
	// index is added to it, for it is built inside the commit.
	MaxIndexBuild = 100_000
)

// parseDefinition reads the Value of an OpCollection. The order of the
// indexes is kept; ids are not assigned yet.
func parseDefinition(text []byte) ([]Index, error) {
	var p jsondoc.Parser
	def, err := p.Parse(text, jsondoc.Limits{})
	if err != nil {
		return nil, fmt.Errorf("definition: %w", err)
	}
	if def.Kind() != jsondoc.Object {
		return nil, errors.New("definition is not an object")
	}
	for name := range def.Members() {
		if string(name) != "indexes" {
			return nil, fmt.Errorf("definition: unknown member %q", name)
		}
	}
	list := def.Get("indexes")
	if k := list.Kind(); k != jsondoc.Array && k != jsondoc.Missing {
		return nil, errors.New("definition: indexes is not an array")
	}
	if list.Len() > MaxIndexes {
		return nil, fmt.Errorf("definition: more than %d indexes", MaxIndexes)
	}
	var out []Index
	for _, v := range list.Items() {
		x, err := parseIndex(v)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(out, func(o Index) bool { return o.Name == x.Name }) {
			return nil, fmt.Errorf("definition: two indexes are called %q", x.Name)
		}
		out = append(out, x)
	}
	return out, nil
}

func parseIndex(v jsondoc.Value) (x Index, err error) {
	if v.Kind() != jsondoc.Object {
		return x, errors.New("definition: an index is not an object")
	}
	for name := range v.Members() {
		switch string(name) {
		case "name", "fields", "unique":
		default:
			return x, fmt.Errorf("definition: an index has an unknown member %q", name)
		}
	}
	x.Name = string(v.Get("name").Text())
	if x.Name == "" || len(x.Name) > MaxNameLength {
		return x, errors.New("definition: an index has no proper name")
	}
	fields := v.Get("fields")
	if fields.Kind() != jsondoc.Array || fields.Len() == 0 || fields.Len() > MaxIndexFields {
		return x, fmt.Errorf("definition: index %q has no proper fields", x.Name)
	}
	for _, f := range fields.Items() {
		path := string(f.Text())
		if path == "" || len(path) > MaxFieldPath || slices.Contains(x.Fields, path) {
			return x, fmt.Errorf("definition: index %q has no proper fields", x.Name)
		}
		x.Fields = append(x.Fields, path)
	}
	switch u := v.Get("unique"); u.Kind() {
	case jsondoc.Bool:
		x.Unique = u.Bool()
	case jsondoc.Missing:
	default:
		return x, fmt.Errorf("definition: index %q: unique is not a boolean", x.Name)
	}
	if !x.Unique && len(x.Fields) > MaxOrderedFields {
		return x, fmt.Errorf("definition: index %q has more than %d fields", x.Name, MaxOrderedFields)
	}
	if !x.Unique && slices.Contains(x.Fields, fieldID) {
		return x, fmt.Errorf("definition: index %q names %s, which ends every index anyway", x.Name, fieldID)
	}
	return x, nil
}

// Flag of an index in a row of the catalog.
const indexUnique = 1

// appendRow appends the content of a row of the catalog.
func (c *Collection) appendRow(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, c.ID)
	dst = binary.AppendUvarint(dst, c.Defined)
	dst = binary.AppendUvarint(dst, uint64(len(c.Indexes)))
	for i := range c.Indexes {
		x := &c.Indexes[i]
		dst = binary.BigEndian.AppendUint32(dst, x.ID)
		var flags byte
		if x.Unique {
			flags |= indexUnique
		}
		dst = append(dst, flags)
		dst = appendString(dst, x.Name)
		dst = binary.AppendUvarint(dst, uint64(len(x.Fields)))
		for _, f := range x.Fields {
			dst = appendString(dst, f)
		}
	}
	return dst
}

// decodeRow reads a row; unfinished are the indexes that are being built.
func decodeRow(name string, row []byte, unfinished builds) (*Collection, bool) {
	r := &reader{b: row}
	c := &Collection{Name: name, ID: r.uint32(), Defined: r.uvarint()}
	c.Indexes = make([]Index, r.count(7))
	for i := range c.Indexes {
		x := &c.Indexes[i]
		x.ID = r.uint32()
		flags := r.byte()
		x.Unique, x.Ready = flags&indexUnique != 0, unfinished.find(x.ID) == nil
		x.Name = r.string()
		x.Fields = make([]string, r.count(1))
		for j := range x.Fields {
			x.Fields[j] = r.string()
		}
	}
	return c.link(), r.done()
}
