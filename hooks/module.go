package hooks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// module is one compiled guest of one bundle and the pool of its instances.
type module struct {
	host *Host
	name string
	code wazero.CompiledModule

	// permits bounds how many instances are in use; whoever holds one may take an instance from idle or make one.
	permits chan struct{}
	mu      sync.Mutex
	idle    []*instance // last in, first out: the warmest memory is used again first
}

// compile checks a guest's shape and turns it into native code.
func (h *Host) compile(ctx context.Context, name string, code []byte) (*module, error) {
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
	if why := checkContract(parsed, h.options.MemoryPages); why != "" {
		return refuse(nil, "%s", why)
	}
	if err := meter.Rewrite(parsed); err != nil {
		return refuse(err, "%v", err)
	}
	// With more than one worker the engine looks at ctx between two functions, and not only when all are done.
	compiled, err := h.engine.CompileModule(experimental.WithCompilationWorkers(ctx, 2), parsed.Encode())
	if err != nil {
		return refuse(err, "does not compile: %v", err)
	}
	mod := &module{host: h, name: name, code: compiled, permits: make(chan struct{}, h.options.Instances)}
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

// selfTest brings up the first instance, which proves the guest's side of the contract, and leaves it in the pool.
func (m *module) selfTest(ctx context.Context) error {
	in, err := m.instantiate(ctx)
	if err != nil {
		return &LoadError{Module: m.name, Why: fmt.Sprintf("fails its self-test: %v", err), Err: err}
	}
	m.idle = append(m.idle, in)
	return nil
}

// call takes an instance, asks it, and puts it back unless the call broke it.
func (m *module) call(ctx context.Context, function string, e *Event) (Decision, error) {
	if e.size() > m.host.options.EventBytes {
		return Decision{}, fmt.Errorf("hooks: module %q: %w", m.name, ErrEventTooLarge)
	}
	in, err := m.take(ctx)
	if err != nil {
		return Decision{}, err
	}
	d, err := in.call(function, e)
	m.put(in)
	return d, err
}

// take waits for a permit and returns an instance. The caller must put it back.
func (m *module) take(ctx context.Context) (*instance, error) {
	select {
	case m.permits <- struct{}{}:
	default:
		if err := m.wait(ctx); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	if last := len(m.idle) - 1; last >= 0 {
		in := m.idle[last]
		m.idle[last] = nil
		m.idle = m.idle[:last]
		m.mu.Unlock()
		return in, nil
	}
	m.mu.Unlock()
	in, err := m.instantiate(ctx)
	if err != nil {
		<-m.permits
		return nil, err
	}
	return in, nil
}

// wait is the slow way to a permit.
func (m *module) wait(ctx context.Context) error {
	timer := time.NewTimer(m.host.options.QueueTime)
	defer timer.Stop()
	select {
	case m.permits <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hooks: module %q: wait for an instance: %w", m.name, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("hooks: module %q: %w", m.name, ErrBusy)
	}
}

// put returns an instance to the pool, or frees it when its last call broke it.
func (m *module) put(in *instance) {
	if in.broken {
		m.host.watch.remove(in)
		in.close()
	} else {
		m.mu.Lock()
		m.idle = append(m.idle, in)
		m.mu.Unlock()
	}
	<-m.permits
}

// close frees the idle instances and the code. No call may be in flight.
func (m *module) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, in := range m.idle {
		m.host.watch.remove(in)
		in.close()
	}
	m.idle = nil
	_ = m.code.Close(context.Background()) // forgets the code; it cannot fail
}
