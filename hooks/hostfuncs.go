package hooks

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero/api"
)

// provideImports makes the modules that guests may import from. They are shared by all guests of the host; what belongs
// to one call is found through the call's context.
func (h *Host) provideImports(ctx context.Context) error {
	sluice := h.engine.NewHostModuleBuilder(importModule)
	for name, f := range sluiceFunctions {
		sluice.NewFunctionBuilder().WithGoModuleFunction(f.call, f.params, f.results).Export(name)
	}
	if _, err := sluice.Instantiate(ctx); err != nil {
		return err
	}
	wasi := h.engine.NewHostModuleBuilder(importWASI)
	for name, f := range wasiFunctions {
		wasi.NewFunctionBuilder().WithGoModuleFunction(f.call, f.params, f.results).Export(name)
	}
	_, err := wasi.Instantiate(ctx)
	return err
}

// hostFunction is something that a guest may import.
type hostFunction struct {
	call            api.GoModuleFunc
	params, results []api.ValueType
}

// importable returns what a guest imports by a name, if there is such a thing.
func importable(module, name string) (f hostFunction, ok bool) {
	switch module {
	case importModule:
		f, ok = sluiceFunctions[name]
	case importWASI:
		f, ok = wasiFunctions[name]
	}
	return f, ok
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// sluiceFunctions are the host's own functions.
var sluiceFunctions = map[string]hostFunction{
	"log":    {hostLog, params("iii"), nil},
	"get":    {hostGet, params("iiiiii"), []api.ValueType{i32}},
	"find":   {hostFind, params("iiiiii"), []api.ValueType{i32}},
	"count":  {hostCount, params("iiii"), []api.ValueType{i64}},
	"config": {hostConfig, params("ii"), []api.ValueType{i32}},
}

// hostLog is log(level, ptr, len): one line to the project's log. Levels: 0 debug, 1 info, 2 warn, 3 error.
func hostLog(ctx context.Context, guest api.Module, stack []uint64) {
	level, ptr, size := int32(stack[0]), uint32(stack[1]), uint32(stack[2])
	text, ok := guest.Memory().Read(ptr, size)
	if !ok {
		panic(fmt.Errorf("log: %d bytes at %d are outside of the guest's memory", size, ptr))
	}
	callOf(ctx).log(slog.Level(4*(min(max(level, 0), 3)-1)), text)
}

// callOf returns the instance that a host function was called by.
func callOf(ctx context.Context) *instance {
	return ctx.Value(instanceKey{}).(*instance)
}

// log writes one line of the guest's, unless the call has written enough. text is copied.
func (in *instance) log(level slog.Level, text []byte) {
	limits := &in.module.bundle.limits
	if in.logLines >= limits.LogLines {
		return
	}
	in.logLines++
	if int64(len(text)) > limits.LogBytes {
		text = text[:limits.LogBytes]
	}
	in.module.bundle.logger.LogAttrs(context.Background(), level, "guest",
		slog.String("module", in.module.name),
		slog.String("request_id", in.requestID),
		slog.String("line", string(text)))
}

// print collects what a language runtime writes in pieces and logs it line by line. text is copied.
func (in *instance) print(level slog.Level, text []byte) {
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		room := max(0, int(in.module.bundle.limits.LogBytes)-len(in.line))
		in.line = append(in.line, line[:min(len(line), room)]...)
		in.lineLevel = level
		if whole {
			in.flush()
		}
		text = rest
	}
}

// flush logs what print has collected of a line.
func (in *instance) flush() {
	if len(in.line) > 0 {
		in.log(in.lineLevel, in.line)
		in.line = in.line[:0]
	}
}
