package hooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// What a guest can change is its memory and its globals; both are put back after every call. A module that could keep
// something anywhere else is not taken.

// checkRestorable returns why what a module does could not be undone, or "". Mutable globals of types that cannot be restored
// are package meter's business, as is code that cannot be read.
func checkRestorable(m *wasmbin.Module) string {
	first := m.ImportedCount(wasmbin.KindFunction)
	for i := range m.Bodies {
		s := wasmbin.NewScanner(m.Bodies[i].Code)
		for s.Next() {
			if name := keeps(&s.Instruction); name != "" {
				return fmt.Sprintf("has function %d, which uses %s: what it changes cannot be undone after a call", int(first)+i, name)
			}
		}
	}
	return ""
}

// keeps names an instruction that changes a table or a segment, or depends on whether a segment has been dropped.
func keeps(in *wasmbin.Instruction) string {
	if in.Op == wasmbin.OpTableSet {
		return "table.set"
	}
	if in.Op == wasmbin.PrefixFC {
		switch in.Sub {
		case wasmbin.SubMemoryInit:
			return "memory.init"
		case wasmbin.SubDataDrop:
			return "data.drop"
		case wasmbin.SubTableInit:
			return "table.init"
		case wasmbin.SubElemDrop:
			return "elem.drop"
		case wasmbin.SubTableCopy:
			return "table.copy"
		case wasmbin.SubTableGrow:
			return "table.grow"
		case wasmbin.SubTableFill:
			return "table.fill"
		}
	}
	return ""
}

// takeData removes a module's data segments and returns the memory that they make, whole pages of it. Instances then
// begin with an image of memory, and not with segments to be copied.
func takeData(m *wasmbin.Module) ([]byte, error) {
	memory := make([]byte, int(m.Memories[0].Min)*wasmPage)
	n := 0
	err := m.EachData(func(s wasmbin.DataSegment) error {
		defer func() { n++ }()
		if s.Passive {
			return nil // nothing can use it: memory.init is refused
		}
		offset, ok := wasmbin.ConstInt32(s.Offset)
		if !ok {
			return fmt.Errorf("has data segment %d at an address that is no constant", n)
		}
		if at := uint64(uint32(offset)); at+uint64(len(s.Bytes)) > uint64(len(memory)) {
			return fmt.Errorf("has data segment %d, which is outside of its memory", n)
		}
		copy(memory[uint32(offset):], s.Bytes)
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.Data, m.HasCount, m.DataCount = nil, false, 0
	return memory, nil
}

// wasmPage is the size of a page of memory in bytes.
const wasmPage = 64 << 10

// guestGlobals returns the names under which package meter exports the mutable globals of a rewritten module's own.
func guestGlobals(m *wasmbin.Module) []string {
	var names []string
	for _, e := range m.Exports {
		if e.Kind == wasmbin.KindGlobal && strings.HasPrefix(e.Name, meter.Global) {
			names = append(names, e.Name)
		}
	}
	return slices.Clip(names)
}
