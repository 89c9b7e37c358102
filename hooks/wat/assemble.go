package wat

import (
	"encoding/binary"
	"fmt"
	"math"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// space is one of the spaces of indexes that names stand for.
type space int

const (
	types space = iota
	functions
	globals
	locals
	labels
	segments
	spaces
)

// assembler turns the nodes of one module into a module.
type assembler struct {
	m      *wasmbin.Module
	names  [spaces]map[string]uint32 // locals: of the present function
	blocks []string                  // names of the present function's open blocks, the innermost last
	bodies []func()                  // left for when all names are known
	data   int
}

// Assemble returns the module that a text describes, in binary form.
func Assemble(source string) (code []byte, err error) {
	m, err := Module(source)
	if err != nil {
		return nil, err
	}
	return m.Encode(), nil
}

// Module is Assemble without the last step.
func Module(source string) (m *wasmbin.Module, err error) {
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(error)
			if _, bug := p.(goruntime.Error); bug || !ok {
				panic(p) // ours, not the text's
			}
			err = fmt.Errorf("wat: %w", failure)
		}
	}()
	p := &parser{src: source, line: 1}
	list := p.nodes(false)
	if len(list) != 1 || !list[0].is("module") {
		return nil, fmt.Errorf("wat: is not one module")
	}
	a := &assembler{m: new(wasmbin.Module)}
	for i := range a.names {
		a.names[i] = map[string]uint32{}
	}
	fields := list[0].list[1:]
	for i := range fields {
		a.declare(&fields[i])
	}
	for _, body := range a.bodies {
		body()
	}
	return a.m, nil
}

func fail(n *node, format string, args ...any) {
	panic(fmt.Errorf("line %d: "+format, append([]any{n.line}, args...)...))
}

// cursor takes the parts of a list one by one.
type cursor struct {
	of   *node
	rest []node
}

// form takes a list apart that begins with a word.
func form(n *node) (*cursor, string) {
	if n.kind != '(' || len(n.list) == 0 || n.list[0].kind != 'a' {
		fail(n, "a word in parentheses is expected")
	}
	return &cursor{n, n.list[1:]}, n.list[0].text
}

func (c *cursor) next() *node {
	if len(c.rest) == 0 {
		fail(c.of, "something is missing at the end")
	}
	n := &c.rest[0]
	c.rest = c.rest[1:]
	return n
}

// atom takes an atom if there is one with that beginning.
func (c *cursor) atom(prefix string) (string, bool) {
	if len(c.rest) > 0 && c.rest[0].kind == 'a' && strings.HasPrefix(c.rest[0].text, prefix) {
		return c.next().text, true
	}
	return "", false
}

// take takes a list if there is one that begins with a word.
func (c *cursor) take(word string) (*cursor, bool) {
	if len(c.rest) > 0 && c.rest[0].is(word) {
		n := c.next()
		return &cursor{n, n.list[1:]}, true
	}
	return nil, false
}

func (c *cursor) string() string {
	n := c.next()
	if n.kind != 's' {
		fail(n, "a string is expected")
	}
	return n.text
}

func (c *cursor) number() uint32 {
	n := c.next()
	v, err := strconv.ParseUint(strings.ReplaceAll(n.text, "_", ""), 0, 32)
	if err != nil {
		fail(n, "a number is expected: %v", err)
	}
	return uint32(v)
}

func valueType(n *node) wasmbin.ValueType {
	switch n.text {
	case "i32":
		return wasmbin.I32
	case "i64":
		return wasmbin.I64
	case "f32":
		return wasmbin.F32
	case "f64":
		return wasmbin.F64
	case "funcref", "func":
		return wasmbin.FuncRef
	case "externref", "extern":
		return wasmbin.ExternRef
	}
	fail(n, "%s is no type", n.text)
	return 0
}

// define gives the next index of a space a name, if there is one.
func (a *assembler) define(c *cursor, s space, index uint32) {
	if name, ok := c.atom("$"); ok {
		a.names[s][name] = index
	}
}

// declare reads one field; what needs names that may come later is put off.
func (a *assembler) declare(field *node) {
	c, word := form(field)
	m := a.m
	switch word {
	case "type":
		a.define(c, types, uint32(len(m.Types)))
		f, ok := c.take("func")
		if !ok {
			fail(field, "func is expected")
		}
		m.Types = append(m.Types, a.signature(f, nil))
	case "import":
		im := wasmbin.Import{Module: c.string(), Name: c.string()}
		a.imported(c.next(), &im)
		m.Imports = append(m.Imports, im)
	case "func":
		a.function(c)
	case "table":
		a.define(c, segments, 0)
		a.inlineExport(c, wasmbin.KindTable, uint32(len(m.Tables)))
		limits := limitsOf(c)
		m.Tables = append(m.Tables, wasmbin.Table{Items: valueType(c.next()), Limits: limits})
	case "memory":
		a.define(c, segments, 0)
		a.inlineExport(c, wasmbin.KindMemory, uint32(len(m.Memories)))
		m.Memories = append(m.Memories, limitsOf(c))
	case "global":
		index := m.ImportedCount(wasmbin.KindGlobal) + uint32(len(m.Globals))
		a.define(c, globals, index)
		a.inlineExport(c, wasmbin.KindGlobal, index)
		g := globalType(c)
		m.Globals = append(m.Globals, g)
		at := len(m.Globals) - 1
		a.bodies = append(a.bodies, func() { m.Globals[at].Init = append(a.code(c), wasmbin.OpEnd) })
	case "export":
		name := c.string()
		target := c.next()
		a.bodies = append(a.bodies, func() {
			t, word := form(target)
			e := wasmbin.Export{Name: name}
			switch word {
			case "func":
				e.Kind, e.Index = wasmbin.KindFunction, a.index(t, functions)
			case "table":
				e.Kind, e.Index = wasmbin.KindTable, a.index(t, segments)
			case "memory":
				e.Kind, e.Index = wasmbin.KindMemory, a.index(t, segments)
			case "global":
				e.Kind, e.Index = wasmbin.KindGlobal, a.index(t, globals)
			default:
				fail(target, "%s cannot be exported", word)
			}
			m.Exports = append(m.Exports, e)
		})
	case "start":
		a.bodies = append(a.bodies, func() { m.HasStart, m.Start = true, a.index(c, functions) })
	case "elem":
		a.bodies = append(a.bodies, func() { a.elements(c) })
	case "data":
		a.define(c, segments, uint32(a.data))
		a.data++
		a.bodies = append(a.bodies, func() { a.segment(c) })
	default:
		fail(field, "the field %s is not known", word)
	}
}

func (a *assembler) imported(what *node, im *wasmbin.Import) {
	c, word := form(what)
	m := a.m
	switch word {
	case "func":
		im.Kind = wasmbin.KindFunction
		a.define(c, functions, m.ImportedCount(wasmbin.KindFunction))
		im.Type = a.typeUse(c, nil)
	case "memory":
		im.Kind, im.Memory = wasmbin.KindMemory, limitsOf(c)
	case "table":
		im.Kind = wasmbin.KindTable
		im.Table.Limits = limitsOf(c)
		im.Table.Items = valueType(c.next())
	case "global":
		im.Kind = wasmbin.KindGlobal
		a.define(c, globals, m.ImportedCount(wasmbin.KindGlobal))
		im.Global = globalType(c)
	default:
		fail(what, "%s cannot be imported", word)
	}
}

func limitsOf(c *cursor) wasmbin.Limits {
	l := wasmbin.Limits{Min: c.number()}
	if len(c.rest) > 0 && c.rest[0].kind == 'a' && c.rest[0].text[0] >= '0' && c.rest[0].text[0] <= '9' {
		l.Max, l.HasMax = c.number(), true
	}
	return l
}

func globalType(c *cursor) wasmbin.Global {
	if mut, ok := c.take("mut"); ok {
		return wasmbin.Global{Type: valueType(mut.next()), Mutable: true}
	}
	return wasmbin.Global{Type: valueType(c.next())}
}

func (a *assembler) inlineExport(c *cursor, kind wasmbin.Kind, index uint32) {
	for {
		e, ok := c.take("export")
		if !ok {
			return
		}
		a.m.Exports = append(a.m.Exports, wasmbin.Export{Name: e.string(), Kind: kind, Index: index})
	}
}

// signature reads params and results; named parameters get their index in names, unless it is nil.
func (a *assembler) signature(c *cursor, names map[string]uint32) (t wasmbin.FuncType) {
	for {
		if p, ok := c.take("param"); ok {
			if name, ok := p.atom("$"); ok && names != nil {
				names[name] = uint32(len(t.Params))
			}
			for len(p.rest) > 0 {
				t.Params = append(t.Params, valueType(p.next()))
			}
			continue
		}
		r, ok := c.take("result")
		if !ok {
			return t
		}
		for len(r.rest) > 0 {
			t.Results = append(t.Results, valueType(r.next()))
		}
	}
}

// typeUse reads a type by index, by name or spelled out, and returns its index.
func (a *assembler) typeUse(c *cursor, names map[string]uint32) uint32 {
	if t, ok := c.take("type"); ok {
		index := a.index(t, types)
		a.signature(c, names)
		return index
	}
	return a.typeIndex(a.signature(c, names))
}

func (a *assembler) typeIndex(t wasmbin.FuncType) uint32 {
	for i, known := range a.m.Types {
		if string(known.Params) == string(t.Params) && string(known.Results) == string(t.Results) {
			return uint32(i)
		}
	}
	a.m.Types = append(a.m.Types, t)
	return uint32(len(a.m.Types) - 1)
}

func (a *assembler) function(c *cursor) {
	m := a.m
	at := len(m.Functions)
	index := m.ImportedCount(wasmbin.KindFunction) + uint32(at)
	a.define(c, functions, index)
	a.inlineExport(c, wasmbin.KindFunction, index)
	names := map[string]uint32{}
	typ := a.typeUse(c, names)
	m.Functions = append(m.Functions, typ)
	m.Bodies = append(m.Bodies, wasmbin.Body{})
	a.bodies = append(a.bodies, func() {
		body := &m.Bodies[at]
		if int(typ) >= len(m.Types) {
			fail(c.of, "there is no type %d", typ)
		}
		n := uint32(len(m.Types[typ].Params))
		for {
			l, ok := c.take("local")
			if !ok {
				break
			}
			if name, ok := l.atom("$"); ok {
				names[name] = n
			}
			if count, ok := l.atom("@"); ok { // @50000 i32: that many locals in one group
				v, err := strconv.ParseUint(count[1:], 10, 32)
				if err != nil {
					fail(l.of, "%v", err)
				}
				body.Locals = append(body.Locals, wasmbin.LocalGroup{Count: uint32(v), Type: valueType(l.next())})
				n += uint32(v)
			}
			for len(l.rest) > 0 {
				body.Locals = append(body.Locals, wasmbin.LocalGroup{Count: 1, Type: valueType(l.next())})
				n++
			}
		}
		a.names[locals], a.blocks = names, nil
		body.Code = append(a.code(c), wasmbin.OpEnd)
	})
}

// elements writes one active segment of functions.
func (a *assembler) elements(c *cursor) {
	m := a.m
	if m.Elements == nil {
		m.Elements = []byte{0}
	}
	m.Elements[0]++ // a test has few
	m.Elements = append(m.Elements, 0)
	m.Elements = append(append(m.Elements, a.offset(c)...), wasmbin.OpEnd)
	c.atom("func")
	m.Elements = wasmbin.AppendUint32(m.Elements, uint32(len(c.rest)))
	for len(c.rest) > 0 {
		m.Elements = wasmbin.AppendUint32(m.Elements, a.index(c, functions))
	}
}

// segment writes one segment of data, passive if it has no offset.
func (a *assembler) segment(c *cursor) {
	m := a.m
	if m.Data == nil {
		m.Data = wasmbin.AppendUint32(nil, uint32(a.data))
	}
	if len(c.rest) > 0 && c.rest[0].kind == '(' {
		m.Data = append(m.Data, 0)
		m.Data = append(append(m.Data, a.offset(c)...), wasmbin.OpEnd)
	} else {
		m.Data = append(m.Data, 1)
		m.HasCount, m.DataCount = true, uint32(a.data)
	}
	var bytes []byte
	for len(c.rest) > 0 {
		bytes = append(bytes, c.string()...)
	}
	m.Data = wasmbin.AppendUint32(m.Data, uint32(len(bytes)))
	m.Data = append(m.Data, bytes...)
}

func (a *assembler) offset(c *cursor) []byte {
	if o, ok := c.take("offset"); ok {
		return a.code(o)
	}
	return a.one(&cursor{c.of, []node{*c.next()}})
}

// index reads a number or a name.
func (a *assembler) index(c *cursor, s space) uint32 {
	n := c.next()
	if strings.HasPrefix(n.text, "$") {
		if s == labels {
			for i := range a.blocks {
				if a.blocks[len(a.blocks)-1-i] == n.text {
					return uint32(i)
				}
			}
		} else if index, ok := a.names[s][n.text]; ok {
			return index
		}
		fail(n, "%s is not known", n.text)
	}
	v, err := strconv.ParseUint(n.text, 10, 32)
	if err != nil {
		fail(n, "an index is expected: %v", err)
	}
	return uint32(v)
}

// code assembles instructions up to the end of a list.
func (a *assembler) code(c *cursor) (out []byte) {
	for len(c.rest) > 0 {
		out = append(out, a.one(c)...)
	}
	return out
}

// one assembles one instruction, plain or folded.
func (a *assembler) one(c *cursor) []byte {
	n := c.next()
	if n.kind == 'a' {
		return a.plain(n, c)
	}
	if n.kind != '(' || len(n.list) == 0 || n.list[0].kind != 'a' {
		fail(n, "an instruction is expected")
	}
	inner := &cursor{n, n.list[1:]}
	switch word := n.list[0].text; word {
	case "block", "loop":
		return append(append(a.open(word, inner), a.code(inner)...), a.close()...)
	case "if":
		head := a.open(word, inner)
		name := a.blocks[len(a.blocks)-1]
		a.close() // the condition is outside
		var out []byte
		for len(inner.rest) > 0 && !inner.rest[0].is("then") {
			out = append(out, a.one(inner)...)
		}
		a.blocks = append(a.blocks, name)
		out = append(out, head...)
		then, ok := inner.take("then")
		if !ok {
			fail(n, "then is missing")
		}
		out = append(out, a.code(then)...)
		if other, ok := inner.take("else"); ok {
			out = append(append(out, wasmbin.OpElse), a.code(other)...)
		}
		return append(out, a.close()...)
	default:
		head := a.plain(&n.list[0], inner)
		return append(a.code(inner), head...) // operands come first
	}
}

// open begins a block.
func (a *assembler) open(word string, c *cursor) []byte {
	name, _ := c.atom("$")
	a.blocks = append(a.blocks, name)
	code := map[string]byte{"block": wasmbin.OpBlock, "loop": wasmbin.OpLoop, "if": wasmbin.OpIf}[word]
	var t wasmbin.BlockType
	if use, ok := c.take("type"); ok {
		t = wasmbin.BlockType{Indexed: true, Index: a.index(use, types)}
	} else if f := a.signature(c, nil); len(f.Params) > 0 || len(f.Results) > 1 {
		t = wasmbin.BlockType{Indexed: true, Index: a.typeIndex(f)}
	} else if len(f.Results) == 1 {
		t.Result = f.Results[0]
	}
	return t.Append([]byte{code})
}

// close ends a block.
func (a *assembler) close() []byte {
	if len(a.blocks) == 0 {
		panic(fmt.Errorf("an end too many"))
	}
	a.blocks = a.blocks[:len(a.blocks)-1]
	return []byte{wasmbin.OpEnd}
}

// plain assembles an instruction with its immediates, which c still has.
func (a *assembler) plain(n *node, c *cursor) []byte {
	word := n.text
	if code, ok := opcodes[word]; ok {
		return code
	}
	if op, ok := indexOps[word]; ok {
		return wasmbin.AppendUint32(append([]byte(nil), op.code...), a.index(c, op.space))
	}
	if op, ok := memoryOps[word]; ok {
		var offset, align uint32
		for _, f := range []struct {
			name string
			to   *uint32
		}{{"offset=", &offset}, {"align=", &align}} {
			if text, ok := c.atom(f.name); ok {
				v, err := strconv.ParseUint(text[len(f.name):], 0, 32)
				if err != nil {
					fail(n, "%v", err)
				}
				*f.to = uint32(v)
			}
		}
		exponent := uint32(0)
		for align > 1 {
			align >>= 1
			exponent++
		}
		return wasmbin.AppendUint32(wasmbin.AppendUint32([]byte{op}, exponent), offset)
	}
	switch word {
	case "block", "loop", "if":
		return a.open(word, c)
	case "else":
		return []byte{wasmbin.OpElse}
	case "end":
		return a.close()
	case "i32.const":
		return wasmbin.AppendInt64([]byte{wasmbin.OpI32Const}, int64(int32(a.integer(c, 32))))
	case "i64.const":
		return wasmbin.AppendInt64([]byte{wasmbin.OpI64Const}, int64(a.integer(c, 64)))
	case "f32.const":
		return binary.LittleEndian.AppendUint32([]byte{wasmbin.OpF32Const}, math.Float32bits(float32(a.float(c))))
	case "f64.const":
		return binary.LittleEndian.AppendUint64([]byte{wasmbin.OpF64Const}, math.Float64bits(a.float(c)))
	case "br_table":
		var list []uint32
		for len(c.rest) > 0 && c.rest[0].kind == 'a' && strings.ContainsRune("$0123456789", rune(c.rest[0].text[0])) {
			list = append(list, a.index(c, labels))
		}
		if len(list) == 0 {
			fail(n, "br_table without labels")
		}
		out := wasmbin.AppendUint32([]byte{wasmbin.OpBrTable}, uint32(len(list)-1))
		for _, l := range list {
			out = wasmbin.AppendUint32(out, l)
		}
		return out
	case "call_indirect":
		return append(wasmbin.AppendUint32([]byte{wasmbin.OpCallIndirect}, a.typeUse(c, nil)), 0)
	case "memory.init":
		return append(wasmbin.AppendUint32([]byte{wasmbin.PrefixFC, wasmbin.SubMemoryInit}, a.index(c, segments)), 0)
	case "table.init":
		return append(wasmbin.AppendUint32([]byte{wasmbin.PrefixFC, wasmbin.SubTableInit}, a.index(c, segments)), 0)
	case "ref.null":
		return []byte{wasmbin.OpRefNull, byte(valueType(c.next()))}
	}
	fail(n, "the instruction %s is not known", word)
	return nil
}

// integer reads a literal of a width, signed or unsigned.
func (a *assembler) integer(c *cursor, width int) uint64 {
	n := c.next()
	text := strings.ReplaceAll(n.text, "_", "")
	if v, err := strconv.ParseInt(text, 0, width); err == nil {
		return uint64(v)
	}
	v, err := strconv.ParseUint(text, 0, width)
	if err != nil {
		fail(n, "%v", err)
	}
	return v
}

func (a *assembler) float(c *cursor) float64 {
	n := c.next()
	v, err := strconv.ParseFloat(n.text, 64)
	if err != nil {
		fail(n, "%v", err)
	}
	return v
}
