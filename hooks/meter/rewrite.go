package meter

import (
	"fmt"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// Names of what Rewrite exports beside what the module exports itself.
const (
	Fuel   = reserved + "fuel"   // mutable i64: what is left of the slice; negative: overdrawn
	Total  = reserved + "total"  // mutable i64: what is left beyond the slice
	Stack  = reserved + "stack"  // mutable i32: bytes of stack that are left; negative: overflow
	Start  = reserved + "start"  // () -> (): the module's start function, which instantiation no longer calls; only if it has one
	Global = reserved + "global" // followed by an index: each mutable global of the module itself
)

// Slice is how much fuel a guest spends before it gives the host a turn.
const Slice = 20_000

// Rewrite meters a module in place. Its errors are whole clauses about the module ("has 3 tables, at most 1 is
// allowed") for the developer who made it. On an error the module is in an unknown state.
//
// A rewritten module must have its counters set before each call, see Fuel, Total and Stack: all three begin at 0, with
// which it traps at the first function. What is left after a call is the sum of fuel and total; a negative sum after a trap
// or a return says that the guest spent more than it had.
func Rewrite(m *wasmbin.Module) error {
	if err := checkShape(m); err != nil {
		return err
	}
	imports := uint32(len(m.Imports)) // all of them functions
	p := &pass{
		m:         m,
		imports:   imports,
		types:     uint32(len(m.Types)),
		functions: imports + uint32(len(m.Functions)),
		globals:   uint32(len(m.Globals)),
		results:   make(map[string]uint32),
	}
	p.fuel, p.total, p.stack, p.refill = p.globals, p.globals+1, p.globals+2, p.functions
	// Twice: who counts the stack is known only when all have been seen.
	var graph calls
	for i := range m.Bodies {
		w, err := p.read(&m.Bodies[i], m.Types[m.Functions[i]])
		if err != nil {
			return fmt.Errorf("has function %d, which %w", imports+uint32(i), err)
		}
		graph.add(w)
	}
	counted := graph.counted()
	for i := range m.Bodies {
		t := m.Types[m.Functions[i]]
		w, err := p.read(&m.Bodies[i], t)
		if err != nil {
			return err // the first look would have found it
		}
		m.Bodies[i] = w.emit(t, counted[i])
	}
	p.addExports()
	p.addGlobals()
	p.addRefill()
	return nil
}

// pass is one rewrite. The counts are those of the module as it came: nothing in it may refer to what is added.
type pass struct {
	m                          *wasmbin.Module
	imports                    uint32
	types, functions, globals  uint32
	fuel, total, stack, refill uint32            // indexes of what is added
	results                    map[string]uint32 // types added for blocks with several results, by their results
	walk                       walk              // of the function at hand; its buffers are used again
}

// addExports exports the start function in place of calling it, and every mutable global.
func (p *pass) addExports() {
	export := func(name string, kind wasmbin.Kind, index uint32) {
		p.m.Exports = append(p.m.Exports, wasmbin.Export{Name: name, Kind: kind, Index: index})
	}
	if p.m.HasStart {
		export(Start, wasmbin.KindFunction, p.m.Start)
		p.m.HasStart, p.m.Start = false, 0
	}
	for i, g := range p.m.Globals {
		if g.Mutable {
			export(fmt.Sprintf("%s%d", Global, i), wasmbin.KindGlobal, uint32(i))
		}
	}
	export(Fuel, wasmbin.KindGlobal, p.fuel)
	export(Total, wasmbin.KindGlobal, p.total)
	export(Stack, wasmbin.KindGlobal, p.stack)
}

func (p *pass) addGlobals() {
	counter := func(t wasmbin.ValueType, constant byte) wasmbin.Global {
		return wasmbin.Global{Type: t, Mutable: true, Init: []byte{constant, 0, wasmbin.OpEnd}}
	}
	p.m.Globals = append(p.m.Globals,
		counter(wasmbin.I64, wasmbin.OpI64Const), counter(wasmbin.I64, wasmbin.OpI64Const), counter(wasmbin.I32, wasmbin.OpI32Const))
}

// addRefill adds the function that a guest calls when its slice is spent.
func (p *pass) addRefill() {
	const left = 0 // its one local
	c := code{}
	// wazero leaves native code for every memory.grow: this is where the collector and the scheduler get their turn.
	c.i32(0).op(wasmbin.OpMemoryGrow, 0, wasmbin.OpDrop)
	c.get(p.total).get(p.fuel).op(wasmbin.OpI64Add).local(wasmbin.OpLocalTee, left)
	c.i64(0).op(wasmbin.OpI64LtS, wasmbin.OpIf, 0x40, wasmbin.OpUnreachable, wasmbin.OpEnd)
	c.local(wasmbin.OpLocalGet, left).i64(Slice).op(wasmbin.OpI64LtS, wasmbin.OpIf, 0x40)
	c.local(wasmbin.OpLocalGet, left).set(p.fuel).i64(0).set(p.total)
	c.op(wasmbin.OpElse)
	c.i64(Slice).set(p.fuel).local(wasmbin.OpLocalGet, left).i64(Slice).op(wasmbin.OpI64Sub).set(p.total)
	c.op(wasmbin.OpEnd, wasmbin.OpEnd)

	p.m.Functions = append(p.m.Functions, uint32(len(p.m.Types)))
	p.m.Types = append(p.m.Types, wasmbin.FuncType{})
	p.m.Bodies = append(p.m.Bodies, wasmbin.Body{Locals: []wasmbin.LocalGroup{{Count: 1, Type: wasmbin.I64}}, Code: c.bytes})
}

// blockOf returns the type of a block without parameters that leaves results.
func (p *pass) blockOf(results []wasmbin.ValueType) wasmbin.BlockType {
	switch len(results) {
	case 0:
		return wasmbin.BlockType{}
	case 1:
		return wasmbin.BlockType{Result: results[0]}
	}
	key := make([]byte, len(results))
	for i, t := range results {
		key[i] = byte(t)
	}
	index, ok := p.results[string(key)]
	if !ok {
		index = uint32(len(p.m.Types))
		p.m.Types = append(p.m.Types, wasmbin.FuncType{Results: results})
		p.results[string(key)] = index
	}
	return wasmbin.BlockType{Indexed: true, Index: index}
}

// code collects instructions.
type code struct{ bytes []byte }

func (c *code) op(bytes ...byte) *code {
	c.bytes = append(c.bytes, bytes...)
	return c
}

func (c *code) indexed(op byte, index uint32) *code {
	c.bytes = wasmbin.AppendUint32(append(c.bytes, op), index)
	return c
}

func (c *code) get(global uint32) *code           { return c.indexed(wasmbin.OpGlobalGet, global) }
func (c *code) set(global uint32) *code           { return c.indexed(wasmbin.OpGlobalSet, global) }
func (c *code) local(op byte, index uint32) *code { return c.indexed(op, index) }

func (c *code) i32(v int32) *code {
	c.bytes = wasmbin.AppendInt64(append(c.bytes, wasmbin.OpI32Const), int64(v))
	return c
}

func (c *code) i64(v int64) *code {
	c.bytes = wasmbin.AppendInt64(append(c.bytes, wasmbin.OpI64Const), v)
	return c
}
