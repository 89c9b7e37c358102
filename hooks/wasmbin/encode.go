package wasmbin

// Encode writes the module in binary form. What Decode accepted comes out with the same meaning; custom sections come
// last. The result is owned by the caller.
func (m *Module) Encode() []byte {
	out := append(make([]byte, 0, m.sizeHint()), header...)
	section := func(id byte, present bool, body func(dst []byte) []byte) {
		if present {
			out = append(out, id)
			out = appendBytes(out, body(nil))
		}
	}
	section(secType, len(m.Types) > 0, func(dst []byte) []byte { return appendAll(dst, m.Types, appendType) })
	section(secImport, len(m.Imports) > 0, func(dst []byte) []byte { return appendAll(dst, m.Imports, appendImport) })
	section(secFunction, len(m.Functions) > 0, func(dst []byte) []byte { return appendAll(dst, m.Functions, AppendUint32) })
	section(secTable, len(m.Tables) > 0, func(dst []byte) []byte { return appendAll(dst, m.Tables, appendTable) })
	section(secMemory, len(m.Memories) > 0, func(dst []byte) []byte { return appendAll(dst, m.Memories, appendLimits) })
	section(secGlobal, len(m.Globals) > 0, func(dst []byte) []byte {
		return appendAll(dst, m.Globals, func(dst []byte, g Global) []byte {
			return append(appendGlobalType(dst, g), g.Init...)
		})
	})
	section(secExport, len(m.Exports) > 0, func(dst []byte) []byte {
		return appendAll(dst, m.Exports, func(dst []byte, e Export) []byte {
			return AppendUint32(append(appendName(dst, e.Name), byte(e.Kind)), e.Index)
		})
	})
	section(secStart, m.HasStart, func(dst []byte) []byte { return AppendUint32(dst, m.Start) })
	section(secElement, m.Elements != nil, func([]byte) []byte { return m.Elements })
	section(secCount, m.HasCount, func(dst []byte) []byte { return AppendUint32(dst, m.DataCount) })
	section(secCode, len(m.Bodies) > 0, func([]byte) []byte {
		return appendAll(make([]byte, 0, m.sizeHint()), m.Bodies, appendBody)
	})
	section(secData, m.Data != nil, func([]byte) []byte { return m.Data })
	for _, c := range m.Customs {
		section(secCustom, true, func(dst []byte) []byte { return append(appendName(dst, c.Name), c.Body...) })
	}
	return out
}

func (m *Module) sizeHint() int {
	n := len(m.Elements) + len(m.Data)
	for i := range m.Bodies {
		n += len(m.Bodies[i].Code) + 16
	}
	return n
}

func appendAll[T any](dst []byte, list []T, item func([]byte, T) []byte) []byte {
	dst = AppendUint32(dst, uint32(len(list)))
	for _, v := range list {
		dst = item(dst, v)
	}
	return dst
}

func appendType(dst []byte, t FuncType) []byte {
	dst = append(dst, 0x60)
	dst = appendAll(dst, t.Params, appendValueType)
	return appendAll(dst, t.Results, appendValueType)
}

func appendValueType(dst []byte, t ValueType) []byte { return append(dst, byte(t)) }

func appendLimits(dst []byte, l Limits) []byte {
	if !l.HasMax {
		return AppendUint32(append(dst, 0), l.Min)
	}
	return AppendUint32(AppendUint32(append(dst, 1), l.Min), l.Max)
}

func appendTable(dst []byte, t Table) []byte {
	return appendLimits(append(dst, byte(t.Items)), t.Limits)
}

func appendGlobalType(dst []byte, g Global) []byte {
	if g.Mutable {
		return append(dst, byte(g.Type), 1)
	}
	return append(dst, byte(g.Type), 0)
}

func appendImport(dst []byte, im Import) []byte {
	dst = append(appendName(appendName(dst, im.Module), im.Name), byte(im.Kind))
	switch im.Kind {
	case KindFunction:
		return AppendUint32(dst, im.Type)
	case KindTable:
		return appendTable(dst, im.Table)
	case KindMemory:
		return appendLimits(dst, im.Memory)
	default:
		return appendGlobalType(dst, im.Global)
	}
}

func appendBody(dst []byte, b Body) []byte {
	locals := appendAll(nil, b.Locals, func(dst []byte, g LocalGroup) []byte {
		return append(AppendUint32(dst, g.Count), byte(g.Type))
	})
	dst = AppendUint32(dst, uint32(len(locals)+len(b.Code)))
	dst = append(dst, locals...)
	return append(dst, b.Code...)
}
