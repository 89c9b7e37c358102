package hooks

import (
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// checkContract returns why a module does not fit the guest contract, or "". Its code is package meter's business.
func checkContract(m *wasmbin.Module, memoryPages uint32) string {
	for _, im := range m.Imports {
		if im.Kind != wasmbin.KindFunction {
			return fmt.Sprintf("imports the %s %s.%s; a guest may import functions only", im.Kind, im.Module, im.Name)
		}
		f, ok := importable(im.Module, im.Name)
		if !ok {
			return fmt.Sprintf("imports %s.%s, which no guest may; docs/abi.md lists what there is", im.Module, im.Name)
		}
		if int(im.Type) < len(m.Types) { // else it does not compile
			params, results := valueTypes(m.Types[im.Type].Params), valueTypes(m.Types[im.Type].Results)
			if !slices.Equal(params, f.params) || !slices.Equal(results, f.results) {
				return fmt.Sprintf("imports %s.%s as %s, the guest contract has %s", im.Module, im.Name, signature(params, results), signature(f.params, f.results))
			}
		}
	}
	for _, memory := range m.Memories {
		if memory.Min > memoryPages {
			return fmt.Sprintf("needs a memory of %d pages, at most %d are allowed", memory.Min, memoryPages)
		}
	}
	for _, e := range m.Exports {
		if e.Name == exportMemory && e.Kind == wasmbin.KindMemory {
			return ""
		}
	}
	return "exports no memory named " + exportMemory
}

// valueTypes spells types as the engine does.
func valueTypes(types []wasmbin.ValueType) []api.ValueType {
	var list []api.ValueType
	for _, t := range types {
		list = append(list, api.ValueType(t))
	}
	return list
}
