package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// wasi is a guest that imports one function of WASI, index 0, which has an error number for a result.
func wasi(name string, code []byte, params ...wasmbin.ValueType) Guest {
	return Guest{
		Types:   []wasmbin.FuncType{{Params: params, Results: []wasmbin.ValueType{wasmbin.I32}}},
		Imports: []wasmbin.Import{{Module: "wasi_snapshot_preview1", Name: name, Type: FirstType}},
		Policy:  code,
	}
}

func TestTheClockIsTheEvents(t *testing.T) {
	// clock_time_get(0, 0, 2048), then whether what is there is now in nanoseconds
	guest := wasi("clock_time_get", Code(I32Const(0), I64Const(0), I32Const(2048), Call(0), Op(0x1a), I32Const(2048), Op(0x29, 3, 0),
		I64Const(1700000000000*1_000_000), Op(0x51, 0xad)), wasmbin.I32, wasmbin.I64, wasmbin.I32)
	bundle := load(t, NewHost(t, hooks.Options{}), guest.Wasm())
	for now, same := range map[int64]bool{1700000000000: true, 1700000000001: false, 0: false} {
		e := insert(`{}`)
		e.Now = now
		if d, err := bundle.Policy(context.Background(), e); err != nil || d.Allow != same {
			t.Errorf("at %d: %+v, %v", now, d, err)
		}
	}
}

func TestRandomnessIsTheEvents(t *testing.T) {
	// random_get(2048, 8), then a loop of as many rounds as the lowest 16 bits say: fuel shows what was drawn.
	guest := wasi("random_get", Code(I32Const(2048), I32Const(8), Call(0), Op(0x1a), I32Const(2048), Op(0x2f, 1, 0, 0x41, 1, 0x6a, 0x21, 1),
		Op(0x03, 0x40, 0x20, 1, 0x41, 1, 0x6b, 0x22, 1, 0x0d, 0, 0x0b), I64Const(1)), wasmbin.I32, wasmbin.I32)
	draws := map[uint64]bool{}
	for range 2 {
		bundle := load(t, NewHost(t, hooks.Options{}), guest.Wasm())
		for _, request := range []string{"a", "b", "a"} {
			e := insert(`{}`)
			e.RequestID = request
			d, err := bundle.Policy(context.Background(), e)
			if err != nil {
				t.Fatal(err)
			}
			draws[d.Fuel] = true
		}
	}
	if len(draws) != 2 {
		t.Errorf("two different events drew %d different numbers", len(draws))
	}
}

func TestPrintedLinesAreLogged(t *testing.T) {
	var out bytes.Buffer
	// Two buffers, "one\ntw" and "o\n", by their addresses and lengths; fd_write(2, vec, 2, 2048)
	vec := "\x10\x04\x00\x00\x06\x00\x00\x00\x16\x04\x00\x00\x02\x00\x00\x00"
	guest := wasi("fd_write", Code(I32Const(2), I32Const(DataAt), I32Const(2), I32Const(2048), Call(0), Op(0x1a), I64Const(1)),
		wasmbin.I32, wasmbin.I32, wasmbin.I32, wasmbin.I32)
	guest.Data = vec + "one\ntwo\n"
	bundle := Load(t, hooks.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}, guest.Wasm())
	if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
		t.Fatalf("%+v, %v", d, err)
	}
	if text := out.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "line=one\n") || !strings.Contains(text, "line=two\n") || !strings.Contains(text, "level=WARN") {
		t.Errorf("log\n%s", text)
	}
}

func TestExitIsATrap(t *testing.T) {
	guest := wasi("proc_exit", Code(I32Const(0), Call(0), I64Const(1)), wasmbin.I32)
	guest.Types[0].Results = nil
	bundle := load(t, NewHost(t, hooks.Options{}), guest.Wasm())
	d, err := bundle.Policy(context.Background(), insert(`{}`))
	if d.Allow || !errors.As(err, new(*hooks.TrapError)) || !strings.Contains(err.Error(), "proc_exit(0)") {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestWarmPolicyAllocatesNothing(t *testing.T) {
	bundle := Load(t, hooks.Options{}, Guest{Policy: I64Const(1)}.Wasm())
	e, ctx := insert(`{"title":"x","price":1}`), context.Background()
	if n := testing.AllocsPerRun(200, func() {
		if d, err := bundle.Policy(ctx, e); err != nil || !d.Allow {
			t.Fatal(d, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
