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
	loops int   // how many loops are around it
	label uint32
}

type patchKind byte

const (
	patchCharge patchKind = iota // subtract a region's cost
	patchCheck                   // likewise, and look whether anything is left
	patchBulk                    // charge for the number of bytes on top of the stack
	patchGrow                    // charge for the number of pages on top of the stack
	patchReturn                  // in place of a return: leave the block that is put around the body
	patchStore                   // the counter to the global, before others look at it
	patchLoad                    // the counter from the global, after others may have changed it
)

// frame is an open block, loop, if or the body itself.
type frame struct {
	loop            bool
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

	blocks, loops    int
	callees          []uint32 // functions of the module that are called, by their position among its bodies
	extern, indirect bool     // whether imported functions are called, or any through the table

	inner  int  // loops around this point
	stored bool // if the counter is kept in a local: whether here its value is in the global alone
}

// read walks over one function and notes what is to be put in. Where a region of instructions begins (function entry, head of a loop, arm of an if, end of a block)
// its whole cost is paid; branches can only go to such places, so nothing runs unpaid. What follows a branch that is
// taken within a region has been paid for too: a little too much, always the same.
func (p *pass) read(b *wasmbin.Body, t wasmbin.FuncType) (*walk, error) {
	if len(b.Code) > maxBodyBytes {
		return nil, fmt.Errorf("has %d bytes, at most %d are allowed", len(b.Code), maxBodyBytes)
	}
	if len(b.Locals) > maxLocals {
		return nil, fmt.Errorf("declares locals in %d groups, at most %d are allowed", len(b.Locals), maxLocals)
	}
	locals := uint64(len(t.Params))
	for _, group := range b.Locals {
		locals += uint64(group.Count)
	}
	if locals > maxLocals {
		return nil, fmt.Errorf("has %d locals, at most %d are allowed", locals, maxLocals)
	}
	w := &p.walk
	*w = walk{pass: p, body: b, locals: uint32(locals), live: true, frames: w.frames[:0], patches: w.patches[:0], callees: w.callees[:0]}
	w.enter(frame{live: true, results: len(t.Results)})
	w.open(patchCheck, 0)
	s := wasmbin.NewScanner(b.Code)
	for s.Next() {
		if len(w.frames) == 0 {
			return nil, fmt.Errorf("goes on after its end")
		}
		if err := w.step(&s.Instruction); err != nil {
			return nil, err
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(w.frames) != 0 {
		return nil, fmt.Errorf("has no end")
	}
	return w, nil
}

// step takes one instruction into account.
func (w *walk) step(in *wasmbin.Instruction) error {
	if err := w.checkIndexes(in); err != nil {
		return err
	}
	if w.live {
		w.patches[w.region].cost += cost(in, w.imports)
		w.follow(in)
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
		if f.loop {
			w.inner--
		}
		w.live, w.height = f.live, f.height+f.results
		if len(w.frames) > 0 {
			w.open(patchCharge, in.End)
		}
	case wasmbin.OpBrIf:
		w.move(-1)
	case wasmbin.OpReturn:
		w.add(patch{kind: patchReturn, pos: in.Start, skip: in.End - in.Start, label: uint32(len(w.frames) - 1)})
		w.stop()
	case wasmbin.OpBr, wasmbin.OpBrTable, wasmbin.OpUnreachable:
		w.stop()
	case wasmbin.OpCall:
		if in.Index < w.imports {
			w.extern = true
		} else {
			w.callees = append(w.callees, in.Index-w.imports)
		}
		w.call(w.typeOf(in.Index))
	case wasmbin.OpCallIndirect:
		w.indirect = true
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
	f := frame{live: w.live, loop: in.Op == wasmbin.OpLoop}
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
		w.inner++
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
	w.live, w.stored = false, false
	w.height = w.frames[len(w.frames)-1].height
}

func (w *walk) enter(f frame) { w.frames = append(w.frames, f) }

// add notes a patch at this point.
func (w *walk) add(p patch) {
	p.loops = w.inner
	w.patches = append(w.patches, p)
}

// open begins a region at pos. Regions that control cannot reach have none.
func (w *walk) open(kind patchKind, pos int) {
	if w.live {
		w.region = len(w.patches)
		w.add(patch{kind: kind, pos: pos})
	}
}

// follow notes where a counter that is kept in a local must go to the global and come back: calls and traps find it in
// the global, places where control can meet find it in the local.
func (w *walk) follow(in *wasmbin.Instruction) {
	switch in.Op {
	case wasmbin.OpCall, wasmbin.OpCallIndirect, wasmbin.OpUnreachable:
		if !w.stored {
			w.add(patch{kind: patchStore, pos: in.Start})
			w.stored = true
		}
	case wasmbin.OpLoop, wasmbin.OpIf, wasmbin.OpElse, wasmbin.OpEnd, wasmbin.OpBr, wasmbin.OpBrIf, wasmbin.OpBrTable, wasmbin.OpReturn:
		w.reload(in)
	}
}

// reload notes that the counter is in the local from here on.
func (w *walk) reload(in *wasmbin.Instruction) {
	if w.stored {
		w.add(patch{kind: patchLoad, pos: in.Start})
		w.stored = false
	}
}

// pay charges for an operand before the instruction that uses it.
func (w *walk) pay(kind patchKind, in *wasmbin.Instruction) {
	if w.live {
		w.reload(in)
		w.add(patch{kind: kind, pos: in.Start})
	}
}

// frameBytes is an upper bound of what the function takes on the native stack.
func (w *walk) frameBytes() int32 { return int32(64 + 8*(int(w.locals)+w.highest)) }

// keeps reports whether the function had better keep the counter in a local between its calls: a local is a register, where
// each charge takes one step; in the global it waits for the store before it. Against that stand a store and a load
// around each call. What lies in loops counts for more.
func (w *walk) keeps() bool {
	balance := 0
	for _, p := range w.patches[1:] {
		weight := 1 << (3 * min(p.loops, 4))
		switch p.kind {
		case patchCharge, patchCheck, patchBulk, patchGrow:
			if p.cost > 0 || p.kind != patchCharge {
				balance += 2 * weight
			}
		case patchStore, patchLoad:
			balance -= weight
		}
	}
	return balance > 0
}

// emission is a body being written with its patches.
type emission struct {
	*walk
	code
	counter, operand uint32 // the two locals that are added
	kept             bool   // whether the counter is kept in its local
}

// emit writes the body with its patches. counted says whether the function counts its stack.
func (w *walk) emit(t wasmbin.FuncType, counted bool) wasmbin.Body {
	src := w.body.Code
	e := emission{walk: w, counter: w.locals, operand: w.locals + 1, kept: w.keeps()}
	e.bytes = make([]byte, 0, len(src)+24*len(w.patches)+64)
	wrapped := counted || e.kept // every way out leads past the same end
	at := 0
	for i, p := range w.patches {
		e.op(src[at:p.pos]...)
		at = p.pos + p.skip
		switch {
		case p.kind != patchReturn:
			e.patch(&p, i == 0)
		case wrapped:
			e.indexed(wasmbin.OpBr, p.label)
		default:
			e.op(wasmbin.OpReturn)
		}
		if i > 0 {
			continue
		}
		if counted { // the entry has been paid: now the stack
			e.get(w.stack).i32(w.frameBytes()).op(wasmbin.OpI32Sub).local(wasmbin.OpLocalTee, e.operand).set(w.stack)
			e.local(wasmbin.OpLocalGet, e.operand).i32(0).op(opI32LtS, wasmbin.OpIf, 0x40, wasmbin.OpUnreachable, wasmbin.OpEnd)
		}
		if wrapped {
			e.bytes = w.blockOf(t.Results).Append(append(e.bytes, wasmbin.OpBlock))
		}
	}
	e.op(src[at:]...)
	if e.kept {
		e.local(wasmbin.OpLocalGet, e.counter).set(w.fuel)
	}
	if counted {
		e.get(w.stack).i32(w.frameBytes()).op(wasmbin.OpI32Add).set(w.stack)
	}
	if wrapped {
		e.op(wasmbin.OpEnd)
	}
	groups := append(w.body.Locals[:len(w.body.Locals):len(w.body.Locals)],
		wasmbin.LocalGroup{Count: 1, Type: wasmbin.I64}, wasmbin.LocalGroup{Count: 1, Type: wasmbin.I32})
	return wasmbin.Body{Locals: groups, Code: e.bytes}
}

// patch writes any patch but a return's. The function's first one finds the counter in the global.
func (e *emission) patch(p *patch, first bool) {
	switch p.kind {
	case patchCharge:
		if p.cost > 0 {
			e.load().i64(p.cost).op(wasmbin.OpI64Sub)
			e.store()
		}
	case patchCheck:
		switch {
		case first && p.cost == 0: // nothing happens here before a loop, which looks for itself
			if e.kept {
				e.get(e.fuel).local(wasmbin.OpLocalSet, e.counter)
			}
		case first:
			e.get(e.fuel).i64(p.cost)
			e.check()
		default:
			e.load().i64(p.cost)
			e.check()
		}
	case patchBulk, patchGrow:
		e.local(wasmbin.OpLocalTee, e.operand)
		e.load().local(wasmbin.OpLocalGet, e.operand).op(wasmbin.OpI64ExtendU)
		if p.kind == patchBulk {
			e.i64(bulkShift).op(wasmbin.OpI64ShrU)
		} else {
			e.i64(growShift).op(opI64Shl)
		}
		e.check()
	case patchStore:
		if e.kept {
			e.local(wasmbin.OpLocalGet, e.counter).set(e.fuel)
		}
	case patchLoad:
		if e.kept {
			e.get(e.fuel).local(wasmbin.OpLocalSet, e.counter)
		}
	}
}

// load puts the counter on the stack.
func (e *emission) load() *code {
	if e.kept {
		return e.local(wasmbin.OpLocalGet, e.counter)
	}
	return e.get(e.fuel)
}

// store takes the counter from the stack.
func (e *emission) store() {
	if e.kept {
		e.local(wasmbin.OpLocalSet, e.counter)
	} else {
		e.set(e.fuel)
	}
}

// check ends a charge whose two operands are on the stack: it stores what is left and calls for more if that is negative.
func (e *emission) check() {
	e.op(wasmbin.OpI64Sub).local(wasmbin.OpLocalTee, e.counter)
	if !e.kept {
		e.set(e.fuel).local(wasmbin.OpLocalGet, e.counter)
	}
	e.i64(0).op(wasmbin.OpI64LtS, wasmbin.OpIf, 0x40)
	if e.kept {
		e.local(wasmbin.OpLocalGet, e.counter).set(e.fuel)
	}
	e.indexed(wasmbin.OpCall, e.refill)
	if e.kept {
		e.get(e.fuel).local(wasmbin.OpLocalSet, e.counter)
	}
	e.op(wasmbin.OpEnd)
}

const (
	opI32LtS = 0x48
	opI64Shl = 0x86
)
