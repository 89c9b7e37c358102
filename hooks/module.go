package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// module is one compiled guest of one bundle and the pool of its instances.
type module struct {
	host     *Host
	bundle   *Bundle
	name     string
	code     wazero.CompiledModule
	globals  []string // exports of the guest's own mutable globals
	maxPages uint64   // of memory, by its own declaration
	memory   []byte   // what its data segments make; nil once selfTest has used it
	state    *state   // what every call begins with; nil until selfTest
	report   ModuleReport
	stack    uint64  // how deep it may go, by the bounds of package meter
	script   *script // nil: the guest is a module of its own

	// permits bounds how many instances are in use; whoever holds one may take an instance from idle or make one.
	permits chan struct{}
	mu      sync.Mutex
	idle    []*instance  // restored; last in, first out: the warmest memory is used again first
	spent   []*instance  // as their last call left them
	used    atomic.Int64 // when an instance was last put back, in calls of all modules
	base    int64        // bytes that an instance takes beside its memory, about
}

// compile checks a guest's shape and turns it into native code.
func (b *Bundle) compile(ctx context.Context, name string, code []byte) (*module, error) {
	h := b.host
	refuse := func(err error, format string, args ...any) (*module, error) {
		return nil, &LoadError{Module: name, Why: fmt.Sprintf(format, args...), Err: err}
	}
	if size := int64(len(code)); size > h.options.ModuleBytes {
		return refuse(nil, "has %d bytes, at most %d are allowed", size, h.options.ModuleBytes)
	}
	parsed, err := wasmbin.Decode(code)
	if err != nil {
		return refuse(err, "is not a WebAssembly module that can be read: %v", err)
	}
	if why := checkContract(parsed, uint32(b.limits.MemoryPages)); why != "" {
		return refuse(nil, "%s", why)
	}
	if why := checkRestorable(parsed); why != "" {
		return refuse(nil, "%s", why)
	}
	report := reportOn(name, len(code), parsed)
	rewritten, memory, maxPages, err := rewrite(parsed)
	if err != nil {
		return refuse(err, "%v", err)
	}
	if h.options.Compiler != nil && !h.options.Interpreter {
		if err := h.compileApart(ctx, rewritten); err != nil {
			if ctx.Err() != nil {
				return nil, fmt.Errorf("hooks: load module %q: %w", name, ctx.Err())
			}
			return refuse(err, "%v", err)
		}
	}
	// With more than one worker the engine looks at ctx between two functions, and not only when all are done.
	compiled, err := h.engine.CompileModule(experimental.WithCompilationWorkers(ctx, 2), rewritten)
	if err != nil {
		return refuse(err, "does not compile: %v", err)
	}
	mod := &module{host: h, bundle: b, name: name, code: compiled, globals: guestGlobals(parsed), maxPages: maxPages, memory: memory, base: baseBytes(parsed), report: report, stack: stackBytes, permits: make(chan struct{}, h.options.Instances)}
	for _, export := range []string{exportVersion, exportAlloc} {
		if err := mod.requires(export); err != nil {
			mod.close()
			return nil, err
		}
	}
	for _, export := range []string{exportInitialize, exportInit, exportPolicy, exportHook} {
		if _, ok := compiled.ExportedFunctions()[export]; !ok {
			continue
		}
		if err := mod.requires(export); err != nil {
			mod.close()
			return nil, err
		}
	}
	return mod, nil
}

// rewrite makes of a module the code that is compiled, what its memory begins with, and how many pages that may have by the module's own
// word. Its errors are whole clauses about the module, which is in an unknown state afterwards.
func rewrite(m *wasmbin.Module) (code, memory []byte, maxPages uint64, err error) {
	if err := meter.Rewrite(m); err != nil {
		return nil, nil, 0, err
	}
	if memory, err = takeData(m); err != nil {
		return nil, nil, 0, err
	}
	if maxPages, err = addTurn(m); err != nil {
		return nil, nil, 0, err
	}
	return m.Encode(), memory, maxPages, nil
}

// signatures are those of the exports that the host calls.
var signatures = map[string]struct{ params, results []api.ValueType }{
	exportVersion:    {nil, []api.ValueType{api.ValueTypeI32}},
	exportAlloc:      {[]api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}},
	exportInitialize: {nil, nil},
	exportInit:       {nil, nil},
	exportPolicy:     {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}},
	exportHook:       {[]api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}},
}

// requires refuses a module that does not export a function of the guest contract as the contract has it.
func (m *module) requires(export string) error {
	want := signatures[export]
	def, ok := m.code.ExportedFunctions()[export]
	if !ok {
		return &LoadError{Module: m.name, Why: fmt.Sprintf("exports no function %s%s, which its binding or the guest contract needs", export, signature(want.params, want.results))}
	}
	if !slices.Equal(def.ParamTypes(), want.params) || !slices.Equal(def.ResultTypes(), want.results) {
		return &LoadError{Module: m.name, Why: fmt.Sprintf("exports %s as %s, the guest contract has %s",
			export, signature(def.ParamTypes(), def.ResultTypes()), signature(want.params, want.results))}
	}
	return nil
}

func signature(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		var list []string
		for _, t := range types {
			list = append(list, api.ValueTypeName(t))
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	return names(params) + " -> " + names(results)
}

// selfTest brings the guest up, which proves its side of the contract, and leaves a first instance in the pool.
func (m *module) selfTest(ctx context.Context) error {
	prepare := m.prepare
	if m.script != nil {
		prepare = m.prepareScript
	}
	err := prepare(ctx)
	if err == nil {
		var in *instance
		if in, err = m.instantiate(ctx, m.state); err == nil {
			m.idle = append(m.idle, in)
			m.used.Store(m.host.pools.calls.Add(1))
			m.host.pools.add(m)
		}
	}
	var refused *LoadError
	if errors.As(err, &refused) {
		return refused
	}
	if err != nil {
		return &LoadError{Module: m.name, Why: fmt.Sprintf("fails its self-test: %v", err), Err: err}
	}
	return nil
}

// ask takes an instance, asks it, and puts it back as the call has left it. It also returns how often the guest read.
func (m *module) ask(ctx context.Context, reader Reader, q *question, e *Event) (Decision, int, error) {
	if int64(e.size()) > m.bundle.limits.EventBytes {
		return Decision{}, 0, fmt.Errorf("hooks: module %q: %w", m.name, ErrEventTooLarge)
	}
	in, err := m.take(ctx)
	if err != nil {
		return Decision{}, 0, err
	}
	in.reader, in.reading = reader, ctx
	d, err := in.call(q, e)
	in.reader, in.reading = nil, nil
	calls := int(in.hostCalls)
	m.put(in)
	return d, calls, err
}
