package kv

import (
	"encoding/binary"
	"fmt"
)

// batchFormat is the first byte of an encoded batch. A reader that does not
// know it must stop, not skip.
const batchFormat = 1

// AppendBatch appends the encoding of a batch: the same bytes on every node,
// for they are what the history hash is taken over. Only fields that mean
// something for the kind of a need or operation are written.
func AppendBatch(dst []byte, b *Batch) []byte {
	dst = append(dst, batchFormat)
	dst = append(dst, b.ID[:]...)
	dst = binary.AppendVarint(dst, b.Time)
	dst = binary.AppendUvarint(dst, uint64(len(b.Needs)))
	for i := range b.Needs {
		dst = appendNeed(dst, &b.Needs[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Ops)))
	for i := range b.Ops {
		dst = appendOp(dst, &b.Ops[i])
	}
	return appendString(dst, b.Meta)
}

func appendNeed(dst []byte, n *Need) []byte {
	dst = append(dst, byte(n.Kind))
	switch n.Kind {
	case NeedDoc:
		dst = appendString(dst, n.Collection)
		dst = append(dst, n.ID[:]...)
		dst = binary.AppendUvarint(dst, n.Rev)
	case NeedUnique:
		dst = appendString(dst, n.Collection)
		dst = append(dst, n.ID[:]...)
		dst = appendString(dst, n.Name)
		dst = appendString(dst, n.Value)
	case NeedCollection:
		dst = appendString(dst, n.Collection)
		dst = binary.AppendUvarint(dst, n.Rev)
	case NeedSetting:
		dst = appendString(dst, n.Name)
		dst = binary.AppendUvarint(dst, n.Rev)
	}
	return dst
}

func (r *reader) need() (n Need) {
	n.Kind = NeedKind(r.byte())
	switch n.Kind {
	case NeedDoc:
		n.Collection, n.ID, n.Rev = r.string(), r.id(), r.uvarint()
	case NeedUnique:
		n.Collection, n.ID, n.Name, n.Value = r.string(), r.id(), r.string(), r.bytes()
	case NeedCollection:
		n.Collection, n.Rev = r.string(), r.uvarint()
	case NeedSetting:
		n.Name, n.Rev = r.string(), r.uvarint()
	default:
		r.bad = true
	}
	return n
}

func appendOp(dst []byte, op *Op) []byte {
	dst = append(dst, byte(op.Kind))
	switch op.Kind {
	case OpPut:
		dst = appendString(dst, op.Collection)
		dst = append(dst, op.ID[:]...)
		dst = appendString(dst, op.Value)
	case OpDelete:
		dst = appendString(dst, op.Collection)
		dst = append(dst, op.ID[:]...)
	case OpAdd:
		dst = appendString(dst, op.Name)
		dst = binary.AppendVarint(dst, op.Delta)
		if op.HasFloor {
			dst = append(dst, 1)
			dst = binary.AppendVarint(dst, op.Floor)
		} else {
			dst = append(dst, 0)
		}
	case OpSetting:
		dst = appendString(dst, op.Name)
		if op.Value == nil {
			dst = append(dst, 0)
		} else {
			dst = append(dst, 1)
			dst = appendString(dst, op.Value)
		}
	case OpCollection:
		dst = appendString(dst, op.Name)
		dst = appendString(dst, op.Value)
	case OpDropCollection:
		dst = appendString(dst, op.Name)
	}
	return dst
}

func (r *reader) op() (op Op) {
	op.Kind = OpKind(r.byte())
	switch op.Kind {
	case OpPut:
		op.Collection, op.ID, op.Value = r.string(), r.id(), r.bytes()
	case OpDelete:
		op.Collection, op.ID = r.string(), r.id()
	case OpAdd:
		op.Name, op.Delta, op.HasFloor = r.string(), r.varint(), r.flag()
		if op.HasFloor {
			op.Floor = r.varint()
		}
	case OpSetting:
		op.Name = r.string()
		if r.flag() {
			op.Value = r.bytes()
		}
	case OpCollection:
		op.Name, op.Value = r.string(), r.bytes()
	case OpDropCollection:
		op.Name = r.string()
	default:
		r.bad = true
	}
	return op
}

func (r *reader) flag() bool {
	b := r.byte()
	if b > 1 {
		r.bad = true
	}
	return b == 1
}

// DecodeBatch reads what AppendBatch wrote. The batch borrows src. An error
// wraps ErrBatch; a batch that was decoded may still be refused by Apply.
func DecodeBatch(src []byte) (*Batch, error) {
	if len(src) > MaxBatchBytes {
		return nil, fmt.Errorf("kv: decode batch: %d bytes: %w", len(src), ErrBatch)
	}
	r := &reader{b: src}
	if f := r.byte(); f != batchFormat {
		return nil, fmt.Errorf("kv: decode batch: unknown format %d: %w", f, ErrBatch)
	}
	b := &Batch{}
	copy(b.ID[:], r.take(len(b.ID)))
	b.Time = r.varint()
	if n := r.count(3); n > MaxBatchNeeds {
		r.bad = true
	} else if n > 0 {
		b.Needs = make([]Need, n)
	}
	for i := range b.Needs {
		b.Needs[i] = r.need()
	}
	if n := r.count(2); n > MaxBatchOps {
		r.bad = true
	} else if n > 0 {
		b.Ops = make([]Op, n)
	}
	for i := range b.Ops {
		b.Ops[i] = r.op()
	}
	if m := r.bytes(); len(m) > 0 {
		b.Meta = m
	}
	if !r.done() {
		return nil, fmt.Errorf("kv: decode batch: cut or garbled: %w", ErrBatch)
	}
	return b, nil
}
