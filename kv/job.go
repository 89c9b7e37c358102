package kv

import (
	"fmt"
	"strconv"
	"sync/atomic"
)

// job is a batch on its way through the committer, with everything that could
// be worked out on its author's goroutine.
type job struct {
	batch   *Batch
	encoded []byte // AppendBatch
	invalid error  // wraps ErrBatch: it is no batch at all

	defs map[int][]Index // of each OpCollection, by position

	// Stored values of the puts, one behind the other, each with an empty
	// header, and the keys that they claim in the unique indexes of cat: for
	// each put in order, for each unique index of its collection in order.
	values []byte
	cat    *catalog
	keys   keyList
	// What the puts have in the ordered indexes, in the same order.
	entries entryList

	state  atomic.Uint32 // jobQueued, then one of the others
	result Result
	done   chan struct{} // capacity 1
}

const (
	jobQueued = iota
	jobTaken  // the committer will answer
	jobLeft   // the author went away before that
)

// keyList is a list of index keys in one piece of memory. An empty key means
// that the document is not in the index.
type keyList struct {
	bytes []byte
	ends  []int
}

func (l *keyList) reset() { l.bytes, l.ends = l.bytes[:0], l.ends[:0] }

func (l *keyList) add(doc []byte, fields []string) {
	l.bytes, _ = appendIndexKey(l.bytes, doc, fields)
	l.ends = append(l.ends, len(l.bytes))
}

func (l *keyList) at(i int) []byte {
	start := 0
	if i > 0 {
		start = l.ends[i-1]
	}
	return l.bytes[start:l.ends[i]:l.ends[i]]
}

// prepare works out what does not depend on the state of the file. cat is the
// catalog of the moment; the keys are derived again should it have changed.
func (j *job) prepare(b *Batch, cat *catalog) {
	j.batch, j.result = b, Result{}
	j.defs, j.values, j.encoded = nil, j.values[:0], j.encoded[:0]
	j.state.Store(jobQueued)
	if j.invalid = j.validate(); j.invalid != nil {
		return
	}
	j.encoded = AppendBatch(j.encoded, b)
	if len(j.encoded) > MaxBatchBytes {
		j.invalid = malformed("too large")
		return
	}
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == OpPut {
			j.values = append(j.values, make([]byte, docHeader)...)
			j.values = append(j.values, op.Value...)
		}
	}
	j.derive(cat)
}

// derive computes the keys that the puts claim under a catalog.
func (j *job) derive(cat *catalog) {
	j.cat = cat
	j.keys.reset()
	j.entries.reset()
	for i := range j.batch.Ops {
		op := &j.batch.Ops[i]
		if op.Kind != OpPut {
			continue
		}
		if c := cat.byName[op.Collection]; c != nil {
			j.claim(c, op)
		}
	}
}

// claim appends the keys and entries of one put.
func (j *job) claim(c *Collection, op *Op) {
	for _, x := range c.unique {
		j.keys.add(op.Value, c.Indexes[x].Fields)
	}
	for _, x := range c.ordered {
		j.entries.add(op.Value, op.ID, c.Indexes[x].Fields)
	}
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("kv: batch: %s: %w", fmt.Sprintf(format, args...), ErrBatch)
}

// settingMaxBytes is a setting that kv itself reads, as it does settingSync: the
// quota of the documents' bytes, as decimal text.
const settingMaxBytes = "kv.maxBytes"

func parseMaxBytes(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && n >= 0
}

// validate judges a batch by itself, without the file.
func (j *job) validate() error {
	b := j.batch
	switch {
	case b.ID == (BatchID{}):
		return malformed("it has no id")
	case len(b.Ops) > MaxBatchOps:
		return malformed("more than %d operations", MaxBatchOps)
	case len(b.Needs) > MaxBatchNeeds:
		return malformed("more than %d needs", MaxBatchNeeds)
	case len(b.Meta) > MaxMeta:
		return malformed("meta of %d bytes", len(b.Meta))
	}
	size := 0
	for i := range b.Needs {
		n := &b.Needs[i]
		ok := properName(n.Collection)
		switch n.Kind {
		case NeedDoc, NeedCollection:
		case NeedUnique:
			ok = ok && properName(n.Name)
		case NeedSetting:
			ok = properName(n.Name)
		default:
			return malformed("need %d has an unknown kind", i)
		}
		if !ok {
			return malformed("need %d has no proper name", i)
		}
		size += len(n.Value)
	}
	for i := range b.Ops {
		if err := j.validateOp(i, &b.Ops[i]); err != nil {
			return err
		}
		size += len(b.Ops[i].Value)
	}
	if size > MaxBatchBytes {
		return malformed("too large")
	}
	return onceEach(b.Ops)
}

func properName(s string) bool { return s != "" && len(s) <= MaxNameLength }

func (j *job) validateOp(i int, op *Op) error {
	name := op.Name
	switch op.Kind {
	case OpPut, OpDelete:
		name = op.Collection
	case OpAdd, OpSetting, OpCollection, OpDropCollection:
	default:
		return malformed("operation %d has an unknown kind", i)
	}
	if !properName(name) {
		return malformed("operation %d has no proper name", i)
	}
	switch op.Kind {
	case OpPut:
		if v := op.Value; len(v) < 2 || v[0] != '{' || v[len(v)-1] != '}' {
			return malformed("operation %d puts something that is no object", i)
		}
	case OpSetting:
		if _, ok := parseMaxBytes(op.Value); (name == settingMaxBytes || name == settingMaxFile) && op.Value != nil && !ok {
			return malformed("setting %s is not a decimal number of bytes", name)
		}
		if _, ok := parseSyncMillis(op.Value); name == settingSync && op.Value != nil && !ok {
			return malformed("setting %s is not a number of milliseconds up to %d", name, MaxSyncMillis)
		}
	case OpCollection:
		def, err := parseDefinition(op.Value)
		if err != nil {
			return malformed("collection %s: %v", name, err)
		}
		if j.defs == nil {
			j.defs = make(map[int][]Index)
		}
		j.defs[i] = def
	}
	return nil
}

// thing is what an operation changes.
type thing struct {
	kind byte
	name string
	id   DocID
}

func (op *Op) thing() thing {
	switch op.Kind {
	case OpPut, OpDelete:
		return thing{'d', op.Collection, op.ID}
	case OpCollection, OpDropCollection:
		return thing{'c', op.Name, DocID{}}
	case OpAdd:
		return thing{'n', op.Name, DocID{}}
	}
	return thing{'s', op.Name, DocID{}}
}

// onceEach refuses a batch that names a thing twice: then the order of its
// operations does not matter, and judging first and changing after is right.
func onceEach(ops []Op) error {
	if len(ops) <= 8 {
		for i := range ops {
			for k := range ops[:i] {
				if ops[i].thing() == ops[k].thing() {
					return malformed("operations %d and %d change the same", k, i)
				}
			}
		}
		return nil
	}
	seen := make(map[thing]int, len(ops))
	for i := range ops {
		t := ops[i].thing()
		if k, twice := seen[t]; twice {
			return malformed("operations %d and %d change the same", k, i)
		}
		seen[t] = i
	}
	return nil
}
