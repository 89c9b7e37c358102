package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

const (
	memoryPages = 256     // of one instance, as package hooks has it
	bufferBytes = 4 << 10 // enough here; a larger one would cost each new instance more
	// Guests never free: package hooks puts their memory back. Without it an instance is good for so much.
	mostMemory = 8 << 20
	deadline   = 250 * time.Millisecond
)

// plain is the engine that package hooks builds on, without package hooks.
type plain struct {
	engine   wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache
	guest    *instance // of all calls; nil: there is one for each
}

type instance struct {
	module api.Module
	memory api.Memory
	policy api.Function
	buffer uint32
	stack  [2]uint64
}

func openInstance(ctx context.Context, g *guests, l language) (asker, error) {
	return openPlain(ctx, g, l, wazero.NewRuntimeConfigCompiler())
}

func openDeadline(ctx context.Context, g *guests, l language) (asker, error) {
	p, err := openPlain(ctx, g, l, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(true))
	if err != nil {
		return nil, err
	}
	p.guest, err = p.instantiate(ctx)
	return p, err
}

func openPlain(ctx context.Context, g *guests, l language, config wazero.RuntimeConfig) (*plain, error) {
	code, err := g.read(ctx, string(l))
	if err != nil {
		return nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(g.cache())
	if err != nil {
		return nil, err
	}
	config = config.WithCompilationCache(cache).WithMemoryLimitPages(memoryPages).WithDebugInfoEnabled(false)
	p := &plain{engine: wazero.NewRuntimeWithConfig(ctx, config), cache: cache}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.engine); err != nil {
		return nil, err
	}
	host := p.engine.NewHostModuleBuilder("sluice")
	for name, function := range map[string]any{
		"log":    func(level, at, size uint32) {},
		"get":    func(collection, collectionSize, id, idSize, out, room uint32) int32 { return -1 },
		"find":   func(collection, collectionSize, query, querySize, out, room uint32) int32 { return 0 },
		"count":  func(collection, collectionSize, query, querySize uint32) int64 { return 0 },
		"config": func(out, room uint32) int32 { return 0 },
	} {
		host.NewFunctionBuilder().WithFunc(function).Export(name) // the policy calls none of them
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return nil, err
	}
	p.compiled, err = p.engine.CompileModule(ctx, code)
	return p, err
}

// instantiate brings a guest up, as docs/abi.md says.
func (p *plain) instantiate(ctx context.Context) (*instance, error) {
	module, err := p.engine.InstantiateModule(ctx, p.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	in := &instance{module: module, memory: module.Memory(), policy: module.ExportedFunction("policy")}
	if f := module.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(ctx); err != nil {
			return nil, err
		}
	}
	at, err := module.ExportedFunction("alloc").Call(ctx, bufferBytes)
	if err != nil {
		return nil, err
	}
	in.buffer = uint32(at[0])
	if f := module.ExportedFunction("init"); f != nil {
		_, err = f.Call(ctx)
	}
	return in, err
}

func (p *plain) Ask(e *subject) (bool, error) {
	ctx := context.Background()
	if p.guest == nil {
		in, err := p.instantiate(ctx)
		if err != nil {
			return false, err
		}
		yes, err := in.ask(ctx, e.text)
		return yes, errors.Join(err, in.module.Close(ctx))
	}
	if p.guest.memory.Size() > mostMemory {
		next, err := p.instantiate(ctx)
		if err := errors.Join(err, p.guest.module.Close(ctx)); err != nil {
			return false, err
		}
		p.guest = next
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return p.guest.ask(ctx, e.text)
}

func (in *instance) ask(ctx context.Context, event []byte) (bool, error) {
	if !in.memory.Write(in.buffer, event) {
		return false, errors.New("the buffer is not in the guest's memory")
	}
	in.stack = [2]uint64{1, uint64(len(event))} // 1: insert
	if err := in.policy.CallWithStack(ctx, in.stack[:]); err != nil {
		return false, err
	}
	switch result := in.stack[0]; {
	case result == 1:
		return true, nil
	case result>>63 == 1:
		return false, nil
	default:
		return false, fmt.Errorf("the guest answers %#x", result)
	}
}

func (p *plain) Close() error {
	ctx := context.Background()
	return errors.Join(p.engine.Close(ctx), p.cache.Close(ctx))
}
