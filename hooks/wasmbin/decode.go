package wasmbin

import (
	"errors"
	"fmt"
)

// Decode takes a module apart. The result borrows code. An error names the section that is wrong.
func Decode(code []byte) (*Module, error) {
	if len(code) < len(header) || string(code[:4]) != header[:4] {
		return nil, errors.New("it does not begin like a WebAssembly module")
	}
	if string(code[:len(header)]) != header {
		return nil, errors.New("it is not a core module of version 1 (components are not supported)")
	}
	m := new(Module)
	r := &reader{data: code, pos: len(header)}
	last := 0
	for r.more() {
		id := r.byte()
		body := r.bytes(r.uint32())
		if r.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, r.err)
		}
		if int(id) >= len(order) {
			return nil, fmt.Errorf("section %d: unknown", id)
		}
		if id != secCustom {
			if order[id] <= last {
				return nil, fmt.Errorf("section %d: out of order", id)
			}
			last = order[id]
		}
		if err := m.decodeSection(id, body); err != nil {
			return nil, fmt.Errorf("section %d: %w", id, err)
		}
	}
	if len(m.Functions) != len(m.Bodies) {
		return nil, fmt.Errorf("%d functions are declared, %d have a body", len(m.Functions), len(m.Bodies))
	}
	return m, nil
}

func (m *Module) decodeSection(id byte, body []byte) error {
	r := &reader{data: body}
	switch id {
	case secCustom:
		name := r.name()
		if r.err == nil {
			m.Customs = append(m.Customs, Section{ID: id, Name: name, Body: body[r.pos:]})
			r.pos = len(body)
		}
	case secType:
		m.Types = decodeAll(r, decodeType)
	case secImport:
		m.Imports = decodeAll(r, decodeImport)
	case secFunction:
		m.Functions = decodeAll(r, (*reader).uint32)
	case secTable:
		m.Tables = decodeAll(r, decodeTable)
	case secMemory:
		m.Memories = decodeAll(r, decodeLimits)
	case secGlobal:
		m.Globals = decodeAll(r, func(r *reader) Global {
			g := decodeGlobalType(r)
			g.Init = decodeConst(r)
			return g
		})
	case secExport:
		m.Exports = decodeAll(r, func(r *reader) Export {
			return Export{Name: r.name(), Kind: decodeKind(r), Index: r.uint32()}
		})
	case secStart:
		m.HasStart, m.Start = true, r.uint32()
	case secElement:
		m.Elements, r.pos = body, len(body)
	case secCount:
		m.HasCount, m.DataCount = true, r.uint32()
	case secCode:
		m.Bodies = decodeAll(r, decodeBody)
	case secData:
		m.Data, r.pos = body, len(body)
	}
	if r.more() {
		r.failf("%d bytes too many", len(body)-r.pos)
	}
	return r.err
}

// decodeAll reads a vector.
func decodeAll[T any](r *reader, item func(*reader) T) []T {
	n := r.count()
	// A lie about the count must not cost more than the bytes behind it: large items are collected as they come.
	list := make([]T, 0, min(n, 1024))
	for i := 0; i < n && r.err == nil; i++ {
		list = append(list, item(r))
	}
	return list
}

func decodeType(r *reader) FuncType {
	if form := r.byte(); r.err == nil && form != 0x60 {
		r.failf("type of form %#x", form)
	}
	return FuncType{Params: decodeAll(r, decodeValueType), Results: decodeAll(r, decodeValueType)}
}

func decodeValueType(r *reader) ValueType {
	t := ValueType(r.byte())
	switch t {
	case I32, I64, F32, F64, FuncRef, ExternRef:
	default:
		if r.err == nil {
			r.failf("value type %#x is not supported", byte(t))
		}
	}
	return t
}

func decodeKind(r *reader) Kind {
	k := Kind(r.byte())
	if k > KindGlobal {
		r.failf("import or export of kind %d", byte(k))
	}
	return k
}

func decodeLimits(r *reader) Limits {
	flags := r.byte()
	if flags > 1 {
		r.failf("limits with flags %#x (shared and 64-bit memories are not supported)", flags)
	}
	l := Limits{HasMax: flags == 1, Min: r.uint32()}
	if l.HasMax {
		l.Max = r.uint32()
	}
	return l
}

func decodeTable(r *reader) Table {
	return Table{Items: decodeValueType(r), Limits: decodeLimits(r)}
}

func decodeGlobalType(r *reader) Global {
	g := Global{Type: decodeValueType(r)}
	mutable := r.byte()
	if mutable > 1 {
		r.failf("global with mutability %d", mutable)
	}
	g.Mutable = mutable == 1
	return g
}

func decodeImport(r *reader) Import {
	im := Import{Module: r.name(), Name: r.name(), Kind: decodeKind(r)}
	switch im.Kind {
	case KindFunction:
		im.Type = r.uint32()
	case KindTable:
		im.Table = decodeTable(r)
	case KindMemory:
		im.Memory = decodeLimits(r)
	case KindGlobal:
		im.Global = decodeGlobalType(r)
	}
	return im
}

// decodeConst reads a constant expression up to and with its end.
func decodeConst(r *reader) []byte {
	start := r.pos
	for r.err == nil {
		switch op := r.byte(); op {
		case OpEnd:
			if r.err != nil {
				return nil
			}
			return r.data[start:r.pos:r.pos]
		case OpI32Const:
			r.int64(32)
		case OpI64Const:
			r.int64(64)
		case OpF32Const:
			r.bytes(4)
		case OpF64Const:
			r.bytes(8)
		case OpGlobalGet, OpRefFunc:
			r.uint32()
		case OpRefNull:
			r.byte()
		default:
			r.failf("instruction %#x in a constant expression", op)
		}
	}
	return nil
}

func decodeBody(r *reader) Body {
	inner := &reader{data: r.bytes(r.uint32())}
	if r.err != nil {
		return Body{}
	}
	b := Body{Locals: decodeAll(inner, func(r *reader) LocalGroup {
		return LocalGroup{Count: r.uint32(), Type: decodeValueType(r)}
	})}
	if inner.err != nil {
		r.fail(inner.err)
		return Body{}
	}
	b.Code = inner.data[inner.pos:]
	return b
}
