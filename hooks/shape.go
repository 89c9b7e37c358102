package hooks

import (
	"fmt"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// checkContract returns why a module does not fit the guest contract, or "". Its code is package meter's business.
func checkContract(m *wasmbin.Module, memoryPages uint32) string {
	for _, im := range m.Imports {
		if im.Kind != wasmbin.KindFunction {
			return fmt.Sprintf("imports the %s %s.%s; a guest may import functions only", im.Kind, im.Module, im.Name)
		}
		if !importAllowed(im.Module, im.Name) {
			return fmt.Sprintf("imports %s.%s, which no guest may; docs/abi.md lists what there is", im.Module, im.Name)
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
