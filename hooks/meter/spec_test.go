package meter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// script is a converted file of the WebAssembly core specification's tests.
type script struct {
	Commands []struct {
		Type     string
		Line     int
		Filename string
		Action   struct {
			Type, Field, Module string
			Args                []struct{ Value any }
		}
	}
}

// specFolder finds the specification's tests beside the source of the engine, which go.mod pins.
func specFolder(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("find the engine's source: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "integration_test", "spectest", "v2", "testdata")
}

// The core specification's tests, as far as they are within our features, come out the same plain in the interpreter and
// metered in the compiler: results, traps and memory. So metering changes nothing, and neither does the compiler. What
// the engine refuses, it refuses metered too.
func TestMeteredModulesBehaveLikePlainOnes(t *testing.T) {
	ctx := context.Background()
	var modules, calls, invalid int
	folder := specFolder(t)
	interpreter := newEngine(t, ctx, wazero.NewRuntimeConfigInterpreter())
	compiler := newEngine(t, ctx, wazero.NewRuntimeConfigCompiler())
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d scripts in %s, %v", len(files), folder, err)
	}
	for _, file := range files {
		var s script
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var pair *pair
		for _, c := range s.Commands {
			where := fmt.Sprintf("%s:%d", filepath.Base(file), c.Line)
			switch c.Type {
			case "module":
				if pair != nil {
					pair.compareMemory(t, where)
					pair.close(ctx)
				}
				code, err := os.ReadFile(filepath.Join(folder, c.Filename))
				if err != nil {
					t.Fatal(err)
				}
				if pair = newPair(t, ctx, interpreter, compiler, where, code); pair != nil {
					modules++
				}
			case "assert_invalid", "assert_malformed":
				if code, err := os.ReadFile(filepath.Join(folder, c.Filename)); err == nil && strings.HasSuffix(c.Filename, ".wasm") {
					staysInvalid(t, ctx, interpreter, where, code)
					invalid++
				}
			case "assert_return", "assert_trap", "action", "assert_exhaustion":
				if pair != nil && c.Action.Type == "invoke" && c.Action.Module == "" {
					if args, ok := parseArgs(c.Action.Args); ok {
						pair.compareCall(t, ctx, where, c.Action.Field, args, c.Type == "assert_exhaustion")
						calls++
					}
				}
			}
		}
		if pair != nil {
			pair.compareMemory(t, filepath.Base(file))
			pair.close(ctx)
		}
	}
	t.Logf("%d modules, %d calls, %d invalid modules", modules, calls, invalid)
	if modules < 500 || calls < 20_000 || invalid < 1_000 {
		t.Error("fewer than expected: what has been left out?")
	}
}

func newEngine(t *testing.T, ctx context.Context, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	engine := wazero.NewRuntimeWithConfig(ctx, config.WithCoreFeatures(features))
	t.Cleanup(func() { _ = engine.Close(ctx) })
	spectest := engine.NewHostModuleBuilder("spectest")
	for name, params := range map[string][]api.ValueType{
		"print": {}, "print_i32": {api.ValueTypeI32}, "print_i64": {api.ValueTypeI64}, "print_f32": {api.ValueTypeF32}, "print_f64": {api.ValueTypeF64},
		"print_i32_f32": {api.ValueTypeI32, api.ValueTypeF32}, "print_f64_f64": {api.ValueTypeF64, api.ValueTypeF64},
	} {
		spectest.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(context.Context, []uint64) {}), params, nil).Export(name)
	}
	if _, err := spectest.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return engine
}

// rewrite meters code. A module without a memory is given one of no pages: guests have one, the tests often not.
func rewrite(code []byte) ([]byte, error) {
	m, err := wasmbin.Decode(code)
	if err != nil {
		return nil, err
	}
	if len(m.Memories) == 0 && !slices.ContainsFunc(m.Imports, func(im wasmbin.Import) bool { return im.Kind == wasmbin.KindMemory }) {
		m.Memories = []wasmbin.Limits{{}}
	}
	if err := meter.Rewrite(m); err != nil {
		return nil, err
	}
	return m.Encode(), nil
}

// pair is one module, plain and metered.
type pair struct {
	plain, metered api.Module
	hasMemory      bool // also when plain
}

// newPair instantiates code twice, or returns nil if it is outside of our features or needs other modules.
func newPair(t *testing.T, ctx context.Context, interpreter, compiler wazero.Runtime, where string, code []byte) *pair {
	t.Helper()
	changed, err := rewrite(code)
	if err != nil {
		return nil
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	plain, err := interpreter.InstantiateWithConfig(ctx, code, config)
	if err != nil {
		return nil // imports of other modules
	}
	metered, err := compiler.InstantiateWithConfig(ctx, changed, config)
	if err != nil {
		t.Errorf("%s: metered, it is refused: %v", where, err)
		return nil
	}
	original, err := wasmbin.Decode(code)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{plain, metered, len(original.Memories) > 0}
	if start := metered.ExportedFunction(meter.Start); start != nil {
		p.fill()
		if _, err := start.Call(ctx); err != nil {
			t.Errorf("%s: start: %v", where, err)
		}
	}
	return p
}

func (p *pair) close(ctx context.Context) {
	_ = p.plain.Close(ctx)
	_ = p.metered.Close(ctx)
}

const plenty = 1 << 40

func (p *pair) fill() {
	set := func(name string, v uint64) { p.metered.ExportedGlobal(name).(api.MutableGlobal).Set(v) }
	set(meter.Fuel, 0)
	set(meter.Total, plenty)
	set(meter.Stack, 64<<20)
}

func (p *pair) compareCall(t *testing.T, ctx context.Context, where, name string, args []uint64, deep bool) {
	t.Helper()
	p.fill()
	want, wantErr := invoke(ctx, p.plain.ExportedFunction(name), args)
	got, gotErr := invoke(ctx, p.metered.ExportedFunction(name), args)
	if (gotErr == nil) != (wantErr == nil) || !slices.Equal(got, want) {
		t.Errorf("%s: %s(%v): metered %v, %v; plain %v, %v", where, name, args, got, gotErr, want, wantErr)
		return
	}
	if gotErr != nil {
		if !deep && firstLine(gotErr) != firstLine(wantErr) {
			t.Errorf("%s: %s(%v): metered %v; plain %v", where, name, args, gotErr, wantErr)
		}
		return
	}
	if depth := int32(p.metered.ExportedGlobal(meter.Stack).Get()); depth != 64<<20 {
		t.Errorf("%s: %s(%v): %d bytes of stack were not given back", where, name, args, 64<<20-depth)
	}
	left := int64(p.metered.ExportedGlobal(meter.Total).Get()) + int64(p.metered.ExportedGlobal(meter.Fuel).Get())
	if left > plenty || left < 0 {
		t.Errorf("%s: %s(%v): fuel left %d", where, name, args, left)
	}
}

// invoke returns a function's results without what the specification leaves open: the upper half of 32-bit ones, and
// the bits of what is not a number.
func invoke(ctx context.Context, f api.Function, args []uint64) ([]uint64, error) {
	results, err := f.Call(ctx, args...)
	if err != nil {
		return nil, err
	}
	for i, t := range f.Definition().ResultTypes() {
		switch t {
		case api.ValueTypeI32:
			results[i] = uint64(uint32(results[i]))
		case api.ValueTypeF32:
			results[i] = uint64(uint32(results[i]))
			if v := api.DecodeF32(results[i]); v != v {
				results[i] = api.EncodeF32(float32(math.NaN()))
			}
		case api.ValueTypeF64:
			if v := api.DecodeF64(results[i]); v != v {
				results[i] = api.EncodeF64(math.NaN())
			}
		}
	}
	return results, nil
}

func (p *pair) compareMemory(t *testing.T, where string) {
	t.Helper()
	if !p.hasMemory {
		return
	}
	want, _ := p.plain.Memory().Read(0, p.plain.Memory().Size())
	got, _ := p.metered.Memory().Read(0, p.metered.Memory().Size())
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the module before it leaves another memory when metered", where)
	}
}

// staysInvalid: a module that the engine refuses is not made acceptable.
func staysInvalid(t *testing.T, ctx context.Context, engine wazero.Runtime, where string, code []byte) {
	t.Helper()
	if compiled, err := engine.CompileModule(ctx, code); err == nil {
		_ = compiled.Close(ctx)
		return // the engine does not mind
	}
	m, err := wasmbin.Decode(code)
	if err != nil || meter.Rewrite(m) != nil {
		return
	}
	if compiled, err := engine.CompileModule(ctx, m.Encode()); err == nil {
		_ = compiled.Close(ctx)
		t.Errorf("%s: invalid, but accepted when metered", where)
	}
}

func parseArgs(args []struct{ Value any }) ([]uint64, bool) {
	var values []uint64
	for _, arg := range args {
		text, ok := arg.Value.(string)
		if !ok {
			return nil, false // vectors
		}
		if text == "null" {
			text = "0"
		}
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
