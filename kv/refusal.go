package kv

import (
	"encoding/binary"
	"fmt"
)

// refusalKind says why a batch was refused. The numbers are in files.
type refusalKind byte

const (
	refusedConflict     refusalKind = 1
	refusedUnique       refusalKind = 2
	refusedQuota        refusalKind = 3
	refusedFloor        refusalKind = 4
	refusedNoCollection refusalKind = 5
	refusedBatch        refusalKind = 6
	refusedTooMany      refusalKind = 7
)

// refusal is an error of a batch in the form in which the log keeps it, so
// that a batch delivered twice gets the same answer twice.
type refusal struct {
	kind   refusalKind
	need   NeedKind
	name   string // collection, or counter
	detail string // index, setting, or text
	fields []string
	id     DocID
	other  DocID
	rev    uint64
	a, b   int64
	c      int64
}

func (f *refusal) append(dst []byte) []byte {
	dst = append(dst, byte(f.kind), byte(f.need))
	dst = appendString(dst, f.name)
	dst = appendString(dst, f.detail)
	dst = binary.AppendUvarint(dst, uint64(len(f.fields)))
	for _, s := range f.fields {
		dst = appendString(dst, s)
	}
	dst = append(dst, f.id[:]...)
	dst = append(dst, f.other[:]...)
	dst = binary.AppendUvarint(dst, f.rev)
	dst = binary.AppendVarint(dst, f.a)
	dst = binary.AppendVarint(dst, f.b)
	return binary.AppendVarint(dst, f.c)
}

func (r *reader) refusal() *refusal {
	f := &refusal{kind: refusalKind(r.byte()), need: NeedKind(r.byte()), name: r.string(), detail: r.string()}
	if n := r.count(1); n > 0 {
		f.fields = make([]string, n)
	}
	for i := range f.fields {
		f.fields[i] = r.string()
	}
	f.id, f.other = r.id(), r.id()
	f.rev, f.a, f.b, f.c = r.uvarint(), r.varint(), r.varint(), r.varint()
	return f
}

// err is the refusal as callers see it.
func (f *refusal) err() error {
	switch f.kind {
	case refusedConflict:
		n := Need{Kind: f.need, ID: f.id, Rev: f.rev}
		if f.need == NeedSetting {
			n.Name = f.detail
		} else {
			n.Collection, n.Name = f.name, f.detail
		}
		return fmt.Errorf("kv: commit: %w", &ConflictError{Need: n})
	case refusedUnique:
		return fmt.Errorf("kv: commit: %w", &UniqueError{
			Collection: f.name, Index: f.detail, Fields: f.fields, ID: f.id, Other: f.other})
	case refusedQuota:
		return fmt.Errorf("kv: commit: %w", &QuotaError{Limit: f.a, Want: f.b})
	case refusedFloor:
		return fmt.Errorf("kv: commit: %w", &FloorError{Name: f.name, Value: f.a, Delta: f.b, Floor: f.c})
	case refusedNoCollection:
		return fmt.Errorf("kv: commit: %s: %w", f.name, ErrNoCollection)
	case refusedTooMany:
		return fmt.Errorf("kv: commit: index %s of %s, which has %d documents: %w", f.detail, f.name, f.a, ErrTooManyDocuments)
	}
	return fmt.Errorf("kv: commit: %s: %w", f.detail, ErrBatch)
}

// conflict takes from a need only what its encoding holds: the row must not
// depend on how the batch came here.
func conflict(n *Need) *refusal {
	f := &refusal{kind: refusedConflict, need: n.Kind}
	switch n.Kind {
	case NeedDoc:
		f.name, f.id, f.rev = n.Collection, n.ID, n.Rev
	case NeedUnique:
		f.name, f.detail, f.id = n.Collection, n.Name, n.ID
	case NeedCollection:
		f.name, f.rev = n.Collection, n.Rev
	case NeedSetting:
		f.detail, f.rev = n.Name, n.Rev
	}
	return f
}

func badBatch(why string) *refusal { return &refusal{kind: refusedBatch, detail: why} }
