package main

import (
	"context"
	"errors"
	"fmt"

	extism "github.com/extism/go-sdk"
)

type extismEngine struct {
	compiled *extism.CompiledPlugin
	plugin   *extism.Plugin // of all calls; nil: there is one for each
}

func compileExtism(ctx context.Context, g *guests, timeout bool) (*extismEngine, error) {
	code, err := g.read(ctx, "extism")
	if err != nil {
		return nil, err
	}
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: code}}}
	if timeout {
		manifest.Timeout = uint64(deadline.Milliseconds())
	}
	compiled, err := extism.NewCompiledPlugin(ctx, manifest, extism.PluginConfig{}, nil)
	return &extismEngine{compiled: compiled}, err
}

func openExtism(timeout bool) func(context.Context, *guests, language) (asker, error) {
	return func(ctx context.Context, g *guests, _ language) (asker, error) {
		e, err := compileExtism(ctx, g, timeout)
		if err != nil {
			return nil, err
		}
		e.plugin, err = e.compiled.Instance(ctx, extism.PluginInstanceConfig{})
		return e, err
	}
}

func openExtismIsolated(ctx context.Context, g *guests, _ language) (asker, error) {
	return compileExtism(ctx, g, false)
}

func (x *extismEngine) Ask(e *subject) (bool, error) {
	if x.plugin != nil {
		return judge(x.plugin, e.text)
	}
	ctx := context.Background()
	plugin, err := x.compiled.Instance(ctx, extism.PluginInstanceConfig{})
	if err != nil {
		return false, err
	}
	yes, err := judge(plugin, e.text)
	return yes, errors.Join(err, plugin.CloseWithContext(ctx))
}

func judge(plugin *extism.Plugin, event []byte) (bool, error) {
	code, _, err := plugin.Call("judge", event)
	if err == nil && code > 1 {
		err = fmt.Errorf("the plugin answers %d", code)
	}
	return code == 0, err
}

func (x *extismEngine) Close() error {
	var err error
	if x.plugin != nil {
		err = x.plugin.CloseWithContext(context.Background())
	}
	return errors.Join(err, x.compiled.Close(context.Background()))
}
