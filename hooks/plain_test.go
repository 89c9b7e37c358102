package hooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Plain is a guest as the engine runs it by itself: neither metered nor isolated, to be compared with one that is both.
type Plain struct {
	engine wazero.Runtime
	memory api.Memory
	policy api.Function
	buffer uint32
	ctx    context.Context
	stack  [2]uint64
}

// NewPlain brings a guest up. With deadlines the engine looks at the context in every function and loop, which is its own way to stop a
// guest.
func NewPlain(wasm []byte, deadlines bool) (*Plain, error) {
	in := &instance{clock: epoch, fuel: new(counter), total: new(counter), module: &module{bundle: new(Bundle)}}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), instanceKey{}, in))
	_ = cancel // never called: a context that may end is what costs
	host := &Host{engine: wazero.NewRuntimeWithConfig(ctx, engineConfig(wazero.NewRuntimeConfigCompiler(), 256).WithCloseOnContextDone(deadlines))}
	p := &Plain{engine: host.engine, ctx: ctx}
	if err := host.provideImports(ctx); err != nil {
		return nil, err
	}
	guest, err := p.engine.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	in.memory = guest.ExportedMemory(exportMemory)
	call := func(name string, params ...uint64) (results []uint64, err error) {
		if f := guest.ExportedFunction(name); f != nil {
			results, err = f.Call(ctx, params...)
		}
		return results, err
	}
	_, err = call(exportInitialize)
	buffer, err2 := call(exportAlloc, 64<<10)
	_, err3 := call(exportInit)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	p.memory, p.policy, p.buffer = in.memory, guest.ExportedFunction(exportPolicy), uint32(buffer[0])
	return p, nil
}

// Ask asks the policy and looks at the result only as far as a plain yes goes.
func (p *Plain) Ask(e *Event) error {
	view, _ := p.memory.Read(p.buffer, 64<<10)
	p.stack = [2]uint64{uint64(e.Op), uint64(len(e.append(view[:0], EventPolicy)))}
	if err := p.policy.CallWithStack(p.ctx, p.stack[:]); err != nil {
		return err
	}
	if p.stack[0] != resultYes {
		return fmt.Errorf("result %#x", p.stack[0])
	}
	return nil
}

// Close frees the guest.
func (p *Plain) Close() { _ = p.engine.Close(p.ctx) }

// counter is a global that no guest has.
type counter struct {
	api.MutableGlobal
	value uint64
}

func (c *counter) Get() uint64  { return c.value | 1<<40 }
func (c *counter) Set(v uint64) { c.value = v }
