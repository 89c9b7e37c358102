package meter_test

import (
	"context"
	"encoding/binary"
	"math"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// Random programs, within the features that guests have, come out the same plain in the interpreter and metered in the
// compiler, and spend the same fuel in both: verdicts would otherwise depend on which of them runs.
func TestRandomProgramsAreTheSameEverywhere(t *testing.T) {
	ctx := context.Background()
	interpreter := newEngine(t, ctx, wazero.NewRuntimeConfigInterpreter())
	compiler := newEngine(t, ctx, wazero.NewRuntimeConfigCompiler())
	var programs, returned int
	rapid.Check(t, func(rt *rapid.T) {
		code := randomProgram(rt)
		both := newPair(t, ctx, interpreter, compiler, "random", code)
		if both == nil {
			rt.Fatalf("the engine refuses %x", code)
		}
		defer both.close(ctx)
		changed, err := rewrite(code)
		if err != nil {
			rt.Fatal(err)
		}
		interpreted, err := interpreter.InstantiateWithConfig(ctx, changed, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = interpreted.Close(ctx) }()
		programs++
		for range 4 {
			args := []uint64{
				uint64(rapid.Uint32().Draw(rt, "i32")), rapid.Uint64().Draw(rt, "i64"), api.EncodeF64(rapid.Float64().Draw(rt, "f64")),
			}
			both.compareCall(t, ctx, "random", "f", args, false)
			both.compareMemory(t, "random")
			(&pair{metered: interpreted}).fill()
			_, err := interpreted.ExportedFunction("f").Call(ctx, args...)
			if err == nil {
				returned++
			}
			if want, got := left(both.metered), left(interpreted); want != got {
				rt.Fatalf("%x(%v): the compiler leaves %d of the fuel, the interpreter %d", code, args, want, got)
			}
			if t.Failed() {
				rt.Fatalf("program %x, arguments %v", code, args)
			}
		}
	})
	t.Logf("%d programs, %d calls returned", programs, returned)
}

func left(m api.Module) int64 {
	return int64(m.ExportedGlobal(meter.Total).Get()) + int64(m.ExportedGlobal(meter.Fuel).Get())
}

// Locals of each function: its parameters (0 to 2), four of each kind to play with, and loopCounters of loops.
const (
	firstI32, firstI64, firstF64 = 3, 7, 11
	firstCounter, loopCounters   = 15, 3
)

// author writes one function.
type author struct {
	t      *rapid.T
	calls  []uint32 // functions that may be called
	loops  int      // open
	budget int      // of nodes
}

// randomProgram draws a module whose function f takes an i32, an i64 and an f64 and returns an i64. It always ends.
func randomProgram(t *rapid.T) []byte {
	i32, i64, f64 := wasmbin.I32, wasmbin.I64, wasmbin.F64
	m := &wasmbin.Module{
		Types:    []wasmbin.FuncType{{Params: []wasmbin.ValueType{i32, i64, f64}, Results: []wasmbin.ValueType{i64}}},
		Memories: []wasmbin.Limits{{Min: 1, Max: 2, HasMax: true}},
		Tables:   []wasmbin.Table{{Items: wasmbin.FuncRef, Limits: wasmbin.Limits{Min: 4}}},
		Globals: []wasmbin.Global{
			{Type: i32, Mutable: true, Init: []byte{0x41, 0x7f, 0x0b}}, {Type: i64, Mutable: true, Init: []byte{0x42, 0x05, 0x0b}},
			{Type: f64, Mutable: true, Init: append(binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(0.5)), 0x0b)},
		},
		Elements: []byte{1, 0, 0x41, 0, 0x0b, 2, 0, 1},
	}
	for i := range 3 {
		a := &author{t: t, budget: 60}
		for callee := range i {
			a.calls = append(a.calls, uint32(callee))
		}
		var code []byte
		for range rapid.IntRange(1, 6).Draw(t, "statements") {
			code = append(code, a.statement(3)...)
		}
		code = append(append(code, a.value(i64, 4)...), 0x0b)
		m.Functions = append(m.Functions, 0)
		m.Bodies = append(m.Bodies, wasmbin.Body{Code: code, Locals: []wasmbin.LocalGroup{
			{Count: 4, Type: i32}, {Count: 4, Type: i64}, {Count: 4, Type: f64}, {Count: loopCounters, Type: i32},
		}})
	}
	m.Exports = []wasmbin.Export{{Name: "f", Kind: wasmbin.KindFunction, Index: 2}, {Name: "memory", Kind: wasmbin.KindMemory}}
	return m.Encode()
}

func (a *author) pick(n int) int { return rapid.IntRange(0, n-1).Draw(a.t, "pick") }

func (a *author) local(of wasmbin.ValueType) []byte {
	first := map[wasmbin.ValueType]int{wasmbin.I32: firstI32, wasmbin.I64: firstI64, wasmbin.F64: firstF64}[of]
	param := map[wasmbin.ValueType]int{wasmbin.I32: 0, wasmbin.I64: 1, wasmbin.F64: 2}[of]
	if n := a.pick(5); n < 4 {
		return []byte{byte(first + n)}
	}
	return []byte{byte(param)}
}

func global(of wasmbin.ValueType) byte {
	return map[wasmbin.ValueType]byte{wasmbin.I32: 0, wasmbin.I64: 1, wasmbin.F64: 2}[of]
}

// join concatenates code.
func join(parts ...[]byte) (out []byte) {
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

var interesting = []int64{0, 1, -1, 2, 3, 7, 10, 60, 100, 255, 256, 1000, 3600, 0x7fff, 0x8000, 0xffff, math.MaxInt32, math.MinInt32, math.MaxUint32, math.MaxInt64, math.MinInt64}

func (a *author) constant(of wasmbin.ValueType) []byte {
	v := interesting[a.pick(len(interesting))]
	switch of {
	case wasmbin.I32:
		return wasmbin.AppendInt64([]byte{0x41}, int64(int32(v)))
	case wasmbin.I64:
		return wasmbin.AppendInt64([]byte{0x42}, v)
	}
	f := []float64{0, math.Copysign(0, -1), 0.5, 1, -1.5, 1e9, 1e19, -1e300, math.Inf(1), math.Inf(-1), math.NaN()}
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(f[a.pick(len(f))]))
}

// address is an i32 within the first half of the memory.
func (a *author) address(depth int) []byte {
	return join(a.value(wasmbin.I32, depth-1), wasmbin.AppendInt64([]byte{0x41}, 0x7ff0), []byte{0x71})
}

// value writes code that leaves one value.
func (a *author) value(of wasmbin.ValueType, depth int) []byte {
	a.budget--
	if depth <= 0 || a.budget <= 0 {
		switch a.pick(3) {
		case 0:
			return a.constant(of)
		case 1:
			return []byte{0x23, global(of)}
		}
		return join([]byte{0x20}, a.local(of))
	}
	any := []wasmbin.ValueType{wasmbin.I32, wasmbin.I64, wasmbin.F64}
	switch a.pick(10) {
	case 0: // a choice
		return join(a.value(of, depth-1), a.value(of, depth-1), a.value(wasmbin.I32, depth-1), []byte{0x1b})
	case 1: // a branch
		return join(a.value(wasmbin.I32, depth-1), []byte{0x04, byte(of)}, a.statement(depth-1), a.value(of, depth-1), []byte{0x05}, a.value(of, depth-1), []byte{0x0b})
	case 2: // a way out of a block
		return join([]byte{0x02, byte(of)}, a.value(of, depth-1), a.value(wasmbin.I32, depth-1), []byte{0x0d, 0, 0x1a}, a.value(of, depth-1), []byte{0x0b})
	case 3:
		return join(a.value(of, depth-1), []byte{0x22}, a.local(of))
	case 4:
		if of == wasmbin.I64 && len(a.calls) > 0 {
			args := join(a.value(wasmbin.I32, depth-1), a.value(wasmbin.I64, depth-1), a.value(wasmbin.F64, depth-1))
			if callee := a.calls[a.pick(len(a.calls))]; a.pick(2) == 0 || len(a.calls) < 2 {
				return append(args, 0x10, byte(callee))
			}
			return append(join(args, a.value(wasmbin.I32, 0)), 0x41, 1, 0x71, 0x11, 0, 0) // through the table, of the first two
		}
	}
	kind := any[a.pick(3)]
	switch of {
	case wasmbin.I32:
		switch a.pick(7) {
		case 0:
			return append(a.value(of, depth-1), []byte{0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1}[a.pick(6)])
		case 1:
			first, n := map[wasmbin.ValueType]byte{wasmbin.I32: 0x46, wasmbin.I64: 0x51, wasmbin.F64: 0x61}[kind], map[wasmbin.ValueType]int{wasmbin.I32: 10, wasmbin.I64: 10, wasmbin.F64: 6}[kind]
			return join(a.value(kind, depth-1), a.value(kind, depth-1), []byte{first + byte(a.pick(n))})
		case 2:
			return append(join(a.address(depth), []byte{[]byte{0x28, 0x2c, 0x2d, 0x2e, 0x2f}[a.pick(5)], 0}), byte(a.pick(16)))
		case 3:
			return append(a.value(wasmbin.I64, depth-1), []byte{0xa7, 0x50}[a.pick(2)])
		case 4:
			return append(a.value(wasmbin.F64, depth-1), 0xfc, byte(2+a.pick(2)))
		}
		return join(a.value(of, depth-1), a.value(of, depth-1), []byte{0x6a + byte(a.pick(15))})
	case wasmbin.I64:
		switch a.pick(6) {
		case 0:
			return append(a.value(of, depth-1), []byte{0x79, 0x7a, 0x7b, 0xc2, 0xc3, 0xc4}[a.pick(6)])
		case 1:
			return append(a.value(wasmbin.I32, depth-1), []byte{0xac, 0xad}[a.pick(2)])
		case 2:
			return append(join(a.address(depth), []byte{[]byte{0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35}[a.pick(7)], 0}), byte(a.pick(16)))
		case 3:
			return join(a.value(wasmbin.F64, depth-1), [][]byte{{0xfc, 6}, {0xfc, 7}, {0xb0}}[a.pick(3)]) // not its bits: what is not a number has any
		}
		return join(a.value(of, depth-1), a.value(of, depth-1), []byte{0x7c + byte(a.pick(15))})
	}
	switch a.pick(5) {
	case 0:
		return append(a.value(of, depth-1), 0x99+byte(a.pick(7)))
	case 1:
		return append(a.value(wasmbin.I32, depth-1), []byte{0xb7, 0xb8}[a.pick(2)])
	case 2:
		return append(a.value(wasmbin.I64, depth-1), []byte{0xb9, 0xba}[a.pick(2)])
	case 3:
		return append(a.value(of, depth-1), 0xb6, 0xbb) // to single precision and back
	}
	return join(a.value(of, depth-1), a.value(of, depth-1), []byte{0xa0 + byte(a.pick(6))}) // not copysign, for the same reason
}

// statement writes code that leaves nothing.
func (a *author) statement(depth int) []byte {
	a.budget--
	of := []wasmbin.ValueType{wasmbin.I32, wasmbin.I64, wasmbin.F64}[a.pick(3)]
	if depth <= 0 || a.budget <= 0 {
		return []byte{0x01}
	}
	switch a.pick(7) {
	case 0:
		// No bits of what is not a number are stored: the specification leaves them open.
		store := map[wasmbin.ValueType][]byte{wasmbin.I32: {0x36, 0x3a, 0x3b}, wasmbin.I64: {0x37, 0x3c, 0x3d, 0x3e}}[of]
		if store == nil {
			return []byte{0x01}
		}
		return append(join(a.address(depth), a.value(of, depth-1), []byte{store[a.pick(len(store))], 0}), byte(a.pick(16)))
	case 1:
		return join(a.value(of, depth-1), []byte{0x24, global(of)})
	case 2:
		return join(a.value(wasmbin.I32, depth-1), []byte{0x04, 0x40}, a.statement(depth-1), []byte{0x05}, a.statement(depth-1), []byte{0x0b})
	case 3:
		if a.loops < loopCounters {
			counter := byte(firstCounter + a.loops)
			a.loops++
			body := join(a.statement(depth-1), a.statement(depth-1))
			a.loops--
			return join(wasmbin.AppendInt64([]byte{0x41}, int64(1+a.pick(20))), []byte{0x21, counter, 0x03, 0x40}, body,
				[]byte{0x20, counter, 0x41, 1, 0x6b, 0x22, counter, 0x0d, 0, 0x0b})
		}
	case 4: // a br_table of three ways
		return join([]byte{0x02, 0x40, 0x02, 0x40, 0x02, 0x40}, a.value(wasmbin.I32, depth-1), []byte{0x0e, 2, 0, 1, 2, 0x0b},
			a.statement(depth-1), []byte{0x0b}, a.statement(depth-1), []byte{0x0b})
	}
	return join(a.value(of, depth-1), []byte{0x21}, a.local(of))
}
