package hooks_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

var (
	i32Local = wasmbin.LocalGroup{Count: 1, Type: wasmbin.I32}
)

// Guests that spin wait for each other, and nobody waits for them: with every place taken, a short call is answered, and a long one
// waits as long as calls may, which is no part of its own time, and costs it no fuel.
func TestLongCallsWaitForEachOther(t *testing.T) {
	host := NewHost(t, hooks.Options{PolicyFuel: 5_000_000, PolicyTime: 50 * time.Millisecond, QueueTime: 30 * time.Second})
	spins, short := load(t, host, Guest{Policy: forever}.Wasm()), load(t, host, Guest{Policy: I64Const(1)}.Wasm())
	alone, err := spins.Policy(context.Background(), insert(`{}`))
	if !errors.Is(err, hooks.ErrFuel) && !errors.Is(err, hooks.ErrTimeout) { // a slow machine does not get to the end of the fuel
		t.Fatal(err)
	}
	free := host.Lane()
	if free < 1 {
		t.Fatalf("%d places are free when nobody runs", free)
	}
	leave := host.FillLane()
	const calls = 3
	var (
		group sync.WaitGroup
		ends  [calls]hooks.Decision
		errs  [calls]error
	)
	for i := range calls {
		group.Go(func() { ends[i], errs[i] = spins.Policy(context.Background(), insert(`{}`)) })
	}
	for host.Lane() != -calls {
		time.Sleep(time.Millisecond)
	}
	for range 20 {
		if d, err := short.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
			t.Fatalf("a short call beside guests that spin: %+v, %v", d, err)
		}
	}
	if now := host.LongCalls(); now.Running != free || now.Waiting != calls || now.Places != free || now.GaveUp != 0 {
		t.Errorf("%+v", now)
	}
	host.PassTicks(30) // three times as long as the guests may run
	leave()
	group.Wait()
	for i, err := range errs {
		if errors.Is(err, hooks.ErrBusy) || err == nil || ends[i].Fuel != alone.Fuel && errors.Is(err, hooks.ErrFuel) && alone.Fuel == 5_000_000 {
			t.Errorf("%+v, %v; alone %+v", ends[i], err, alone)
		}
	}
	if now := host.Lane(); now != free {
		t.Errorf("%d places are free, %d were before", now, free)
	}
}

// A guest whose memory grows by much holds a processor without coming to its turn: the next calls of its bundle are long ones from
// their beginning.
func TestACallThatGrewMuchIsRemembered(t *testing.T) {
	host := NewHost(t, hooks.Options{QueueTime: 20 * time.Millisecond})
	host.PassTicks(1)
	ask := func(b *hooks.Bundle) error {
		_, err := b.Policy(context.Background(), insert(`{}`))
		return err
	}
	grow := func(pages int32) *hooks.Bundle {
		return load(t, host, Guest{Policy: Code(I32Const(pages), Op(0x40, 0, 0x1a), I64Const(1))}.Wasm())
	}
	much, little := grow(100), grow(10)
	free := host.Lane()
	leave := host.FillLane()
	for _, b := range []*hooks.Bundle{much, little, little} {
		if err := ask(b); err != nil {
			t.Fatalf("when none has grown much: %v", err)
		}
	}
	if err := ask(much); !errors.Is(err, hooks.ErrBusy) {
		t.Errorf("one that has grown much, beside others that take long: %v", err)
	}
	if err := ask(little); err != nil {
		t.Errorf("another bundle: %v", err)
	}
	leave()
	if err := ask(much); err != nil {
		t.Errorf("with a place free: %v", err)
	}
	if now := host.Lane(); now != free {
		t.Errorf("%d places are free, %d were before", now, free)
	}
	defer host.FillLane()()
	host.PassTicks(1000)
	if err := ask(much); err != nil {
		t.Errorf("a while later: %v", err)
	}
}

func TestALongCallDoesNotWaitForever(t *testing.T) {
	host := NewHost(t, hooks.Options{QueueTime: 20 * time.Millisecond})
	bundle := load(t, host, Guest{Policy: forever}.Wasm())
	defer host.FillLane()()
	if d, err := bundle.Policy(context.Background(), insert(`{}`)); !errors.Is(err, hooks.ErrBusy) || d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	if now := host.LongCalls(); now.GaveUp != 1 || now.Waiting != 0 {
		t.Errorf("%+v", now)
	}
}

// A memory's own maximum holds, and a guest that has all the memory that it may have comes to its turn like any other.
func TestTurnsTakeNoMemory(t *testing.T) {
	grow := func(pages int32) []byte { return Code(I32Const(pages), Op(0x40, 0)) }                             // memory.grow
	is := func(value []byte, want int32) []byte { return Code(value, I32Const(want), Op(0x46, 0xad)) }         // i32.eq, i64.extend_i32_u
	spin := Code(I32Const(3_000_000), Op(0x21, 2, 0x03, 0x40, 0x20, 2, 0x41, 1, 0x6b, 0x22, 2, 0x0d, 0, 0x0b)) // some millions of units
	for _, test := range []struct {
		name  string
		guest Guest
	}{
		{"up to its own maximum it grows", Guest{Pages: 8, MaxPages: 9, Policy: is(grow(1), 8)}},
		{"beyond its own maximum it does not", Guest{Pages: 8, MaxPages: 9, Policy: is(grow(2), -1)}},
		{"up to the limit it grows", Guest{Pages: 8, Policy: is(grow(2), 8)}},
		{"beyond the limit it does not", Guest{Pages: 8, Policy: is(grow(3), -1)}},
		{"a long call leaves its size as it was", Guest{Pages: 8, Policy: Code(spin, is(Op(0x3f, 0), 8))}},
		{"a long call of a full memory, too", Guest{Pages: 10, MaxPages: 10, Policy: Code(spin, is(Op(0x3f, 0), 10))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.guest.Locals = append(test.guest.Locals, i32Local)
			host := NewHost(t, hooks.Options{MemoryPages: 10, PolicyFuel: 100_000_000, PolicyTime: 30 * time.Second, Ceiling: hooks.Limits{MemoryPages: 10}})
			d, err := load(t, host, test.guest.Wasm()).Policy(context.Background(), insert(`{}`))
			if err != nil || !d.Allow {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}
