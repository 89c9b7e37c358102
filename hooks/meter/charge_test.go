package meter_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"pgregory.net/rapid"

	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// program is a small structured program that can be both written as instructions and counted by walking over it.
type program struct {
	kind       int // one of the constants below
	n          int // work: how much; loop: how many times round; leave: how many blocks up
	taken      bool
	body, tail []program // of an if: its two arms
}

const (
	work   = iota // 2n instructions
	block         // a block
	loop          // a loop that goes round n times
	choice        // if taken body else tail
	leave         // br_if n with a condition that is taken
	call          // calls a function whose body is body
	maxKind
)

// limits of what is generated
const maxDepth = 4

func programs(depth int) *rapid.Generator[[]program] {
	return rapid.Custom(func(t *rapid.T) []program {
		list := make([]program, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			p := program{kind: rapid.IntRange(0, maxKind-1).Draw(t, "kind"), n: rapid.IntRange(0, 5).Draw(t, "n"), taken: rapid.Bool().Draw(t, "taken")}
			if depth >= maxDepth && p.kind != leave {
				p.kind = work
			}
			switch p.kind {
			case block, loop, choice, call:
				p.body = programs(depth+1).Draw(t, "body")
				if p.kind == choice {
					p.tail = programs(depth+1).Draw(t, "tail")
				}
			}
			list[i] = p
		}
		return list
	})
}

// build writes programs as instructions. Functions that they call are added to g.
type build struct {
	g        *Guest
	branches bool // whether a branch is taken out of the middle of something
}

// write returns the instructions of list, labels being the number of open blocks and local the first free one.
func (b *build) write(list []program, labels int, local byte) []byte {
	var out []byte
	for _, p := range list {
		switch p.kind {
		case work:
			for range p.n {
				out = append(out, 0x41, 0x01, 0x1a)
			}
		case block:
			out = Code(out, Op(0x02, 0x40), b.write(p.body, labels+1, local), Op(0x0b))
		case loop: // the counter is set before, so that an inner loop begins anew; n of 0 goes round once, like 1
			out = Code(out, I32Const(int32(max(p.n, 1))), Op(0x21, local, 0x03, 0x40), b.write(p.body, labels+1, local+1),
				Op(0x20, local, 0x41, 0x01, 0x6b, 0x22, local, 0x0d, 0x00, 0x0b))
		case choice:
			out = Code(out, condition(p.taken), Op(0x04, 0x40), b.write(p.body, labels+1, local), Op(0x05), b.write(p.tail, labels+1, local), Op(0x0b))
		case leave:
			if labels > 0 {
				b.branches = true
				out = Code(out, condition(p.taken), Op(0x0d, byte(p.n%labels)))
			}
		case call:
			index := len(b.g.Functions)
			b.g.Functions = append(b.g.Functions, Function{Type: TypeVoid, Locals: counters})
			b.g.Functions[index].Code = b.write(p.body, 0, 0)
			out = Code(out, Call(FirstFunction+uint32(index)))
		}
	}
	return out
}

var counters = []wasmbin.LocalGroup{{Count: maxDepth + 2, Type: wasmbin.I32}}

func condition(taken bool) []byte {
	if taken {
		return I32Const(1)
	}
	return I32Const(0)
}

// steps bounds how long a generated program may run.
const steps = 200_000

// count walks over list as a machine would and adds what the instructions cost to total, until that is over steps. It
// returns how many blocks are being left: 0 for none.
func count(list []program, labels int, total *int) (leaving int) {
	for _, p := range list {
		if *total > steps {
			return 0
		}
		switch p.kind {
		case work:
			*total += 2 * p.n
		case block:
			leaving = max(0, count(p.body, labels+1, total)-1)
		case loop:
			*total += 2
			for left := max(p.n, 1); left > 0 && *total <= steps; {
				leaving = count(p.body, labels+1, total)
				if leaving == 1 { // to its own head, where the same happens again without end
					*total = steps + 1
					return 0
				}
				if leaving > 1 {
					leaving--
					break
				}
				*total += 5
				left--
			}
		case choice:
			*total += 2
			arm := p.body
			if !p.taken {
				arm = p.tail
			}
			leaving = max(0, count(arm, labels+1, total)-1)
		case leave:
			if labels > 0 {
				*total += 2
				if p.taken {
					return p.n%labels + 1
				}
			}
		case call:
			*total += 4
			count(p.body, 0, total)
		}
		if leaving > 0 {
			return leaving
		}
	}
	return 0
}

// Whatever a program does, it pays for every instruction that it executes; and without branches out of the middle of
// something it pays for exactly those.
func TestEveryInstructionIsPaidFor(t *testing.T) {
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer engine.Close(ctx)
	exact := 0
	rapid.Check(t, func(t *rapid.T) {
		list := programs(0).Draw(t, "program")
		want := 0
		if count(list, 0, &want); want > steps {
			return
		}
		want++ // the constant that it returns
		g := Guest{Locals: counters}
		b := &build{g: &g}
		code := b.write(list, 0, 2)
		g.Policy = Code(code, I64Const(1))
		m, err := wasmbin.Decode(g.Wasm())
		if err != nil {
			t.Fatal(err)
		}
		if err := meter.Rewrite(m); err != nil {
			t.Fatal(err)
		}
		guest, err := engine.InstantiateWithConfig(ctx, m.Encode(), wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		defer guest.Close(ctx)
		guest.ExportedGlobal(meter.Total).(api.MutableGlobal).Set(10 * steps)
		guest.ExportedGlobal(meter.Stack).(api.MutableGlobal).Set(1 << 20)
		if _, err := guest.ExportedFunction("policy").Call(ctx, 1, 0); err != nil {
			t.Fatal(err)
		}
		spent := 10*steps - int(guest.ExportedGlobal(meter.Total).Get()) - int(int64(guest.ExportedGlobal(meter.Fuel).Get()))
		if spent < want || !b.branches && spent != want {
			t.Fatalf("it spent %d for instructions that cost %d", spent, want)
		}
		if !b.branches {
			exact++
		}
	})
	if exact == 0 {
		t.Error("no program without branches was tried")
	}
}
