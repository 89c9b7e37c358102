package hooks

import (
	"context"
	"slices"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// ModuleReport says what a module is made of and what it takes to bring it up.
type ModuleReport struct {
	Name        string   `json:"name"`
	Bytes       int      `json:"bytes"`       // as it was given
	Imports     []string `json:"imports"`     // functions, as module.name, in order
	Exports     []string `json:"exports"`     // functions, in order
	MemoryBytes int64    `json:"memoryBytes"` // of an instance that has been brought up
	InitFuel    uint64   `json:"initFuel"`    // what the self-test spent: start function, _initialize, alloc, init
}

// Modules reports on the bundle's modules, in the manifest's order.
func (b *Bundle) Modules() []ModuleReport {
	list := make([]ModuleReport, len(b.modules))
	for i, m := range b.modules {
		list[i] = m.report
	}
	return list
}

// Inspect loads one module, as Load would for a bundle, reports on it and lets it go. A module that could not be deployed is a
// *LoadError.
func (h *Host) Inspect(ctx context.Context, file string, code []byte) (ModuleReport, error) {
	b, err := h.load(ctx, Manifest{Modules: []Module{{Name: file, File: file}}}, map[string][]byte{file: code}, LoadOptions{})
	if err != nil {
		return ModuleReport{}, err
	}
	defer func() { _ = b.Close(context.WithoutCancel(ctx)) }() // nobody else has seen b: there is nothing to wait for
	return b.Modules()[0], nil
}

// reportOn begins a module's report with what its binary says. The self-test adds the rest.
func reportOn(name string, size int, m *wasmbin.Module) ModuleReport {
	r := ModuleReport{Name: name, Bytes: size, Imports: []string{}, Exports: []string{}}
	for _, im := range m.Imports {
		r.Imports = append(r.Imports, im.Module+"."+im.Name)
	}
	for _, ex := range m.Exports {
		if ex.Kind == wasmbin.KindFunction {
			r.Exports = append(r.Exports, ex.Name)
		}
	}
	slices.Sort(r.Imports)
	r.Imports = slices.Compact(r.Imports) // a module may import a function twice
	slices.Sort(r.Exports)
	return r
}
