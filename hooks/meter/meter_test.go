package meter_test

import (
	"bytes"
	"context"
	"math/rand"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
	"github.com/sluice-edge/sluice/hooks/wat"
)

func TestRewriteRefusesShapesAndSaysWhy(t *testing.T) {
	block, end, nop := Op(0x02, 0x40), Op(0x0b), Op(0x01)
	many := func(n int, code []byte) []byte { return bytes.Repeat(code, n) }
	function := func(code []byte) func(*wasmbin.Module) {
		return func(m *wasmbin.Module) { m.Bodies[2].Code = Code(code, I64Const(1), end) }
	}
	for _, test := range []struct {
		name   string
		change func(m *wasmbin.Module)
		says   string
	}{
		{"too many functions", func(m *wasmbin.Module) {
			m.Functions = slices.Repeat([]uint32{0}, 10_001)
			m.Bodies = slices.Repeat([]wasmbin.Body{{Code: end}}, 10_001)
		}, "has 10001 functions"},
		{"a giant table", func(m *wasmbin.Module) {
			m.Tables = []wasmbin.Table{{Items: wasmbin.FuncRef, Limits: wasmbin.Limits{Min: 16385}}}
		}, "table of 16385 items"},
		{"two tables", func(m *wasmbin.Module) { m.Tables = make([]wasmbin.Table, 2) }, "has 2 tables"},
		{"too many globals", func(m *wasmbin.Module) { m.Globals = make([]wasmbin.Global, 1001) }, "has 1001 globals"},
		{"a global that holds a reference", func(m *wasmbin.Module) {
			m.Globals = []wasmbin.Global{{Type: wasmbin.ExternRef, Mutable: true, Init: []byte{0xd0, 0x6f, 0x0b}}}
		}, "mutable global (0) of a reference type"},
		{"too many parameters", func(m *wasmbin.Module) {
			m.Types = append(m.Types, wasmbin.FuncType{Params: make([]wasmbin.ValueType, 129)})
		}, "129 parameters"},
		{"an export with a name of the host's", func(m *wasmbin.Module) {
			m.Exports = append(m.Exports, wasmbin.Export{Name: "sluice:fuel"})
		}, `names that begin with "sluice:" are the host's`},
		{"an export of a counter", func(m *wasmbin.Module) {
			m.Exports = append(m.Exports, wasmbin.Export{Name: "x", Kind: wasmbin.KindGlobal})
		}, `exports a global "x" that does not exist`},
		{"no memory", func(m *wasmbin.Module) { m.Memories = nil }, "has no memory"},
		{"a long body", function(many(70_000, nop)), "70003 bytes, at most 65536"},
		{"too many locals", func(m *wasmbin.Module) {
			m.Bodies[2].Locals = []wasmbin.LocalGroup{{Count: 4_000_000_000, Type: wasmbin.I32}, {Count: 4_000_000_000, Type: wasmbin.I32}}
		}, "has 8000000002 locals"},
		{"locals in too many groups", func(m *wasmbin.Module) { m.Bodies[2].Locals = make([]wasmbin.LocalGroup, 300) }, "in 300 groups"},
		{"deep nesting", function(Code(many(1100, block), many(1100, end))), "nests blocks more than 1024 deep"},
		{"many blocks", function(many(2100, Code(block, end))), "has more than 2048 blocks"},
		{"many locals in many loops", func(m *wasmbin.Module) {
			m.Bodies[2].Locals = []wasmbin.LocalGroup{{Count: 200, Type: wasmbin.I32}}
			m.Bodies[2].Code = Code(many(60, Code(Op(0x03, 0x40), end)), I64Const(1), end)
		}, "their product may be at most 10000"},
		{"a giant br_table", function(Code(block, I32Const(0), Op(0x0e), wasmbin.AppendUint32(nil, 3000), make([]byte, 3001), end)), "br_table of 3001 labels"},
		{"table.grow", function(Code(Op(0xd0, 0x70), I32Const(1), Op(0xfc, 0x0f, 0x00, 0x1a))), "uses table.grow"},
		{"vectors", function(Op(0xfd, 0x0c)), "instruction 0xfd is not supported"},
		{"the fuel counter read", function(Op(0x23, 0x00, 0x1a)), "refers to global 0, which does not exist"},
		{"the fuel counter written", function(Code(I64Const(1<<40), Op(0x24, 0x00))), "refers to global 0, which does not exist"},
		{"the refill function called", function(Call(6)), "refers to function 6, which does not exist"},
		{"the added block left", function(Op(0x0c, 0x01)), "refers to label 1, which does not exist"},
		{"an added local read", function(Op(0x20, 0x02, 0x1a)), "refers to local 2, which does not exist"},
		{"an added type used", function(Op(0x11, 0x05, 0x00)), "refers to type 5, which does not exist"},
		{"code after the end", func(m *wasmbin.Module) { m.Bodies[2].Code = Code(I64Const(1), end, nop) }, "goes on after its end"},
		{"no end", func(m *wasmbin.Module) { m.Bodies[2].Code = I64Const(1) }, "has no end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := Guest{}.Module()
			test.change(m)
			if err := meter.Rewrite(m); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v does not say %q", err, test.says)
			}
		})
	}
}

func TestRewriteExportsWhatAHostNeeds(t *testing.T) {
	g := Guest{Start: Op(0x01), Globals: []wasmbin.Global{
		{Type: wasmbin.I32, Mutable: true, Init: []byte{0x41, 0, 0x0b}},
		{Type: wasmbin.I32, Init: []byte{0x41, 0, 0x0b}},
		{Type: wasmbin.F64, Mutable: true, Init: []byte{0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b}},
	}}
	m := g.Module()
	if err := meter.Rewrite(m); err != nil {
		t.Fatal(err)
	}
	names := map[string]uint32{}
	for _, e := range m.Exports {
		names[e.Name] = e.Index
	}
	for name, index := range map[string]uint32{meter.Fuel: 3, meter.Total: 4, meter.Stack: 5, meter.Global + "0": 0, meter.Global + "2": 2, meter.Start: 5} {
		if got, ok := names[name]; !ok || got != index {
			t.Errorf("export %s: %d, %v, want %d", name, got, ok, index)
		}
	}
	if _, ok := names[meter.Global+"1"]; ok || m.HasStart {
		t.Error("a constant is exported, or the start function is still called by instantiation")
	}
}

// A module that the engine takes is taken metered, too, and quickly; nothing else matters to the engine's safety. Nothing panics.
func FuzzRewrite(f *testing.F) {
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithMemoryLimitPages(16))
	f.Cleanup(func() { _ = engine.Close(ctx) })
	f.Add(Guest{}.Wasm())
	f.Add(Guest{Policy: Code(I32Const(0), I32Const(0), Call(2)), Start: Op(0x0f), Table: 3, Data: "x",
		Globals: []wasmbin.Global{{Type: wasmbin.I32, Mutable: true, Init: []byte{0x41, 0, 0x0b}}}}.Wasm())
	f.Add(Guest{Policy: Op(0x02, 0x7e, 0x42, 0x01, 0x20, 0x00, 0x04, 0x40, 0x0f, 0x05, 0x03, 0x40, 0x20, 0x01, 0x0d, 0x00, 0x0b, 0x0b, 0x41, 0x01, 0x40, 0x00, 0x1a, 0x0b)}.Wasm())
	f.Add(Guest{Policy: Code(Op(0x20, 0x00, 0x41, 0x00, 0x20, 0x01, 0xfc, 0x0b, 0x00), Op(0x02, 0x40, 0x20, 0x00, 0x0e, 0x01, 0x00, 0x01, 0x0b), I64Const(1))}.Wasm())
	for _, pattern := range []string{"testdata/*.wat", "../testdata/*.wat"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			code, err := wat.Assemble(string(text))
			if err != nil {
				f.Fatalf("%s: %v", file, err)
			}
			f.Add(code)
		}
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		m, err := wasmbin.Decode(code)
		if err != nil {
			return
		}
		begin := time.Now()
		err = meter.Rewrite(m)
		if took := time.Since(begin); took > 2*time.Second {
			t.Fatalf("%d bytes took %v", len(code), took)
		}
		if err != nil {
			return
		}
		plain, err := engine.CompileModule(ctx, code)
		if err != nil {
			return
		}
		_ = plain.Close(ctx)
		metered, err := engine.CompileModule(ctx, m.Encode())
		if err != nil {
			t.Fatalf("%x is refused when metered: %v", code, err)
		}
		_ = metered.Close(ctx)
	})
}

// Random bytes behind a sound beginning reach deeper than wholly random ones.
func TestRewriteSurvivesMutations(t *testing.T) {
	sound := Guest{Table: 4, Data: "text",
		Policy: Code(Op(0x03, 0x40), I32Const(0), I32Const(0), Call(2), Op(0x1a, 0x0c, 0x00, 0x0b), I64Const(1))}
	code := sound.Wasm()
	random := rand.New(rand.NewSource(1))
	for range 50_000 {
		mutant := bytes.Clone(code)
		for range 1 + random.Intn(4) {
			mutant[8+random.Intn(len(mutant)-8)] = byte(random.Intn(256))
		}
		if m, err := wasmbin.Decode(mutant); err == nil {
			if meter.Rewrite(m) == nil {
				m.Encode()
			}
		}
	}
}

// A module that is as large and as crooked as the caps allow takes the pass neither long nor much memory.
func TestRewriteIsLinear(t *testing.T) {
	m := Guest{}.Module()
	body := wasmbin.Body{Code: Code(bytes.Repeat(Code(Op(0x02, 0x40), I32Const(0), Op(0x0d, 0x00, 0x0b)), 2000), Op(0x0b))}
	for len(m.Bodies) < 100 {
		m.Functions = append(m.Functions, TypeVoid)
		m.Bodies = append(m.Bodies, body)
	}
	code := m.Encode()
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	begin := time.Now()
	parsed, err := wasmbin.Decode(code)
	if err != nil {
		t.Fatal(err)
	}
	if err := meter.Rewrite(parsed); err != nil {
		t.Fatal(err)
	}
	parsed.Encode()
	took := time.Since(begin)
	goruntime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d bytes: %v, %d MB allocated", len(code), took, allocated>>20)
	if took > 2*time.Second || allocated > uint64(40*len(code)) {
		t.Errorf("%d bytes of module take %v and %d bytes of memory", len(code), took, allocated)
	}
}
