package meter

import (
	"fmt"
	"math"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// patch is one place of a body at which something is put in, or replaced.
type patch struct {
	kind  patchKind
	pos   int   // in the body's code
	skip  int   // bytes of the code that the patch replaces
	cost  int64 // patchCharge, patchCheck
	label uint32
}

type patchKind byte

const (
	patchCharge patchKind = iota // subtract a region's cost
	patchCheck                   // likewise, and look whether anything is left
	patchBulk                    // charge for the number of bytes on top of the stack
	patchGrow                    // charge for the number of pages on top of the stack
	patchReturn                  // in place of a return: leave the block that is put around the body
)

// frame is an open block, loop, if or the body itself.
type frame struct {
	live            bool // whether control can come in
	height          int  // of the operand stack below its parameters
	params, results int
}

// walk is what is known at one point of a body while its instructions are read in order.
type walk struct {
	*pass
	body   *wasmbin.Body
	locals uint32

	frames  []frame
	live    bool // whether control can come here
	height  int  // of the operand stack
	highest int
	region  int // index of the patch that pays for the instructions here
	patches []patch

	blocks, loops int
	calls, bulk   bool
}

// body rewrites one function. Where a region of instructions begins (function entry, head of a loop, arm of an if, end of a block)
// its whole cost is paid; branches can only go to such places, so nothing runs unpaid. What follows a branch that is
// taken within a region has been paid for too: a little too much, always the same.
func (p *pass) body(b *wasmbin.Body, t wasmbin.FuncType) (wasmbin.Body, error) {
	if len(b.Code) > maxBodyBytes {
		return wasmbin.Body{}, fmt.Errorf("has %d bytes, at most %d are allowed", len(b.Code), maxBodyBytes)
	}
	if len(b.Locals) > maxLocals {
		return wasmbin.Body{}, fmt.Errorf("declares locals in %d groups, at most %d are allowed", len(b.Locals), maxLocals)
	}
	locals := uint64(len(t.Params))
	for _, group := range b.Locals {
		locals += uint64(group.Count)
	}
	if locals > maxLocals {
		return wasmbin.Body{}, fmt.Errorf("has %d locals, at most %d are allowed", locals, maxLocals)
	}
	w := &walk{pass: p, body: b, locals: uint32(locals), live: true}
	w.enter(frame{live: true, results: len(t.Results)})
	w.open(patchCheck, 0)
	s := wasmbin.NewScanner(b.Code)
	for s.Next() {
		if len(w.frames) == 0 {
			return wasmbin.Body{}, fmt.Errorf("goes on after its end")
		}
		if err := w.step(&s.Instruction); err != nil {
			return wasmbin.Body{}, err
		}
	}
	if err := s.Err(); err != nil {
		return wasmbin.Body{}, fmt.Errorf("cannot be read: %w", err)
	}
	if len(w.frames) != 0 {
		return wasmbin.Body{}, fmt.Errorf("has no end")
	}
	return w.emit(t), nil
}

// step takes one instruction into account.
func (w *walk) step(in *wasmbin.Instruction) error {
	if err := w.checkIndexes(in); err != nil {
		return err
	}
	if w.live {
		w.patches[w.region].cost += cost(in, w.imports)
	}
	switch in.Op {
	case wasmbin.OpBlock, wasmbin.OpLoop, wasmbin.OpIf:
		return w.stepBlock(in)
	case wasmbin.OpElse:
		f := w.frames[len(w.frames)-1]
		w.live, w.height = f.live, f.height+f.params
		w.open(patchCharge, in.End)
	case wasmbin.OpEnd:
		f := w.frames[len(w.frames)-1]
		w.frames = w.frames[:len(w.frames)-1]
		w.live, w.height = f.live, f.height+f.results
		if len(w.frames) > 0 {
			w.open(patchCharge, in.End)
		}
	case wasmbin.OpBrIf:
		w.move(-1)
	case wasmbin.OpReturn:
		w.patches = append(w.patches, patch{kind: patchReturn, pos: in.Start, skip: in.End - in.Start, label: uint32(len(w.frames) - 1)})
		w.stop()
	case wasmbin.OpBr, wasmbin.OpBrTable, wasmbin.OpUnreachable:
		w.stop()
	case wasmbin.OpCall:
		w.calls = true
		w.call(w.typeOf(in.Index))
	case wasmbin.OpCallIndirect:
		w.calls = true
		w.move(-1)
		w.call(w.m.Types[in.Index])
	case wasmbin.OpMemoryGrow:
		w.pay(patchGrow, in)
	case wasmbin.PrefixFC:
		switch in.Sub {
		case wasmbin.SubMemoryInit, wasmbin.SubMemoryCopy, wasmbin.SubMemoryFill, wasmbin.SubTableInit, wasmbin.SubTableCopy, wasmbin.SubTableFill:
			w.pay(patchBulk, in)
		case wasmbin.SubTableGrow:
			return fmt.Errorf("uses table.grow, which no memory limit covers")
		}
		w.move(stackEffect(in))
	default:
		w.move(stackEffect(in))
	}
	return nil
}

func (w *walk) stepBlock(in *wasmbin.Instruction) error {
	f := frame{live: w.live}
	if in.Block.Indexed {
		t := w.m.Types[in.Block.Index]
		f.params, f.results = len(t.Params), len(t.Results)
	} else if in.Block.Result != 0 {
		f.results = 1
	}
	if in.Op == wasmbin.OpIf {
		w.move(-1)
	}
	f.height = max(0, w.height-f.params)
	w.enter(f)
	w.blocks++
	switch in.Op {
	case wasmbin.OpLoop:
		w.loops++
		w.open(patchCheck, in.End)
	case wasmbin.OpIf:
		w.open(patchCharge, in.End)
	}
	switch {
	case w.blocks > maxBlocks:
		return fmt.Errorf("has more than %d blocks", maxBlocks)
	case len(w.frames) > maxNesting:
		return fmt.Errorf("nests blocks more than %d deep", maxNesting)
	case w.loops*int(w.locals) > maxLocalLoops:
		return fmt.Errorf("has %d loops and %d locals, their product may be at most %d", w.loops, w.locals, maxLocalLoops)
	}
	return nil
}

// checkIndexes refuses what does not exist in the module as it came, so that no guest can reach the counters.
func (w *walk) checkIndexes(in *wasmbin.Instruction) error {
	limit, what := uint32(math.MaxUint32), ""
	switch in.Op {
	case wasmbin.OpBr, wasmbin.OpBrIf, wasmbin.OpBrTable:
		limit, what = uint32(len(w.frames)), "label"
		if in.Labels > maxLabels {
			return fmt.Errorf("has a br_table of %d labels, at most %d are allowed", in.Labels, maxLabels)
		}
	case wasmbin.OpCall, wasmbin.OpRefFunc:
		limit, what = w.functions, "function"
	case wasmbin.OpCallIndirect:
		limit, what = w.types, "type"
	case wasmbin.OpLocalGet, wasmbin.OpLocalSet, wasmbin.OpLocalTee:
		limit, what = w.locals, "local"
	case wasmbin.OpGlobalGet, wasmbin.OpGlobalSet:
		limit, what = w.globals, "global"
	case wasmbin.OpBlock, wasmbin.OpLoop, wasmbin.OpIf:
		if in.Block.Indexed && in.Block.Index >= w.types {
			return fmt.Errorf("refers to type %d, which does not exist", in.Block.Index)
		}
	}
	if in.Index >= limit {
		return fmt.Errorf("refers to %s %d, which does not exist", what, in.Index)
	}
	return nil
}

func (w *walk) typeOf(function uint32) wasmbin.FuncType {
	if function < w.imports {
		return w.m.Types[w.m.Imports[function].Type]
	}
	return w.m.Types[w.m.Functions[function-w.imports]]
}

func (w *walk) call(t wasmbin.FuncType) {
	w.move(-len(t.Params))
	w.move(len(t.Results))
}

// move changes the height of the operand stack. Below the block that it is in there is nothing to take: that happens
// in code that control cannot reach, and in modules that the engine will refuse.
func (w *walk) move(by int) {
	w.height += by
	if n := len(w.frames); n > 0 {
		w.height = max(w.height, w.frames[n-1].height)
	}
	w.highest = max(w.highest, w.height)
}

// stop says that control does not go on here.
func (w *walk) stop() {
	w.live = false
	w.height = w.frames[len(w.frames)-1].height
}

func (w *walk) enter(f frame) { w.frames = append(w.frames, f) }

// open begins a region at pos. Regions that control cannot reach have none.
func (w *walk) open(kind patchKind, pos int) {
	if w.live {
		w.region = len(w.patches)
		w.patches = append(w.patches, patch{kind: kind, pos: pos})
	}
}

// pay charges for an operand before the instruction that uses it.
func (w *walk) pay(kind patchKind, in *wasmbin.Instruction) {
	if w.live {
		w.bulk = true
		w.patches = append(w.patches, patch{kind: kind, pos: in.Start})
	}
}

// frameBytes is an upper bound of what the function takes on the native stack.
func (w *walk) frameBytes() int32 { return int32(64 + 8*(int(w.locals)+w.highest)) }

// leafBytes is the largest frame of a function that calls nothing and is therefore not counted: there is only one at a
// time.
const leafBytes = 8 << 10

// emit writes the body with its patches. Two locals are added, for the counter and for an operand.
func (w *walk) emit(t wasmbin.FuncType) wasmbin.Body {
	counter, operand := w.locals, w.locals+1
	counted := w.calls || w.frameBytes() > leafBytes
	src := w.body.Code
	c := code{bytes: make([]byte, 0, len(src)+24*len(w.patches)+64)}
	at := 0
	for i, p := range w.patches {
		c.op(src[at:p.pos]...)
		at = p.pos + p.skip
		switch p.kind {
		case patchCharge:
			if p.cost > 0 {
				c.get(w.fuel).i64(p.cost).op(wasmbin.OpI64Sub).set(w.fuel)
			}
		case patchCheck:
			if i == 0 && p.cost == 0 {
				break // nothing happens here before a loop, which looks for itself
			}
			w.check(c.get(w.fuel).i64(p.cost), counter)
		case patchBulk, patchGrow:
			c.local(wasmbin.OpLocalTee, operand).get(w.fuel).local(wasmbin.OpLocalGet, operand).op(wasmbin.OpI64ExtendU)
			if p.kind == patchBulk {
				c.i64(bulkShift).op(wasmbin.OpI64ShrU)
			} else {
				c.i64(growShift).op(opI64Shl)
			}
			w.check(&c, counter)
		case patchReturn:
			if counted {
				c.indexed(wasmbin.OpBr, p.label)
			} else {
				c.op(wasmbin.OpReturn)
			}
		}
		if i == 0 && counted { // the entry has been paid: now the stack, and a block that every return leaves
			c.get(w.stack).i32(w.frameBytes()).op(wasmbin.OpI32Sub).local(wasmbin.OpLocalTee, operand).set(w.stack)
			c.local(wasmbin.OpLocalGet, operand).i32(0).op(opI32LtS, wasmbin.OpIf, 0x40, wasmbin.OpUnreachable, wasmbin.OpEnd)
			c.bytes = w.blockOf(t.Results).Append(append(c.bytes, wasmbin.OpBlock))
		}
	}
	c.op(src[at:]...)
	if counted {
		c.get(w.stack).i32(w.frameBytes()).op(wasmbin.OpI32Add).set(w.stack).op(wasmbin.OpEnd)
	}
	groups := append(w.body.Locals[:len(w.body.Locals):len(w.body.Locals)],
		wasmbin.LocalGroup{Count: 1, Type: wasmbin.I64}, wasmbin.LocalGroup{Count: 1, Type: wasmbin.I32})
	return wasmbin.Body{Locals: groups, Code: c.bytes}
}

// check ends a charge whose two operands are on the stack: it stores what is left and calls for more if that is negative.
func (w *walk) check(c *code, counter uint32) {
	c.op(wasmbin.OpI64Sub).local(wasmbin.OpLocalTee, counter).set(w.fuel)
	c.local(wasmbin.OpLocalGet, counter).i64(0).op(wasmbin.OpI64LtS, wasmbin.OpIf, 0x40).indexed(wasmbin.OpCall, w.refill).op(wasmbin.OpEnd)
}

const (
	opI32LtS = 0x48
	opI64Shl = 0x86
)
