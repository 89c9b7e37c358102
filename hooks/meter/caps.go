package meter

import (
	"fmt"
	"strings"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// Caps on a module's shape, each about twice what the largest module of a common toolchain has (Go's runtime, QuickJS).
// Compilers take time and memory that grows faster than linearly in most of them: a module of 16 KB can cost gigabytes.
const (
	maxTypes      = 10_000
	maxParams     = 128 // of a function type
	maxResults    = 16  // of a function type or a block
	maxImports    = 256
	maxFunctions  = 10_000
	maxTableItems = 16_384 // an item costs the host 8 bytes that no memory limit covers
	maxGlobals    = 1_000
	maxExports    = 1_000
	maxBodyBytes  = 64 << 10
	maxLocals     = 256 // of a function, its parameters included
	maxNesting    = 1_024
	maxBlocks     = 2_048 // blocks, loops and ifs of a function
	maxLabels     = 2_048 // of a br_table
	maxLocalLoops = 10_000
	reserved      = "sluice:" // begins the names of exports that this package adds
)

// checkShape bounds everything about a module but its bodies. Its errors are whole clauses about the module.
func checkShape(m *wasmbin.Module) error {
	for _, count := range []struct {
		n, limit int
		what     string
	}{
		{len(m.Types), maxTypes, "types"}, {len(m.Imports), maxImports, "imports"}, {len(m.Functions), maxFunctions, "functions"},
		{len(m.Tables), 1, "tables"}, {len(m.Memories), 1, "memories"}, {len(m.Globals), maxGlobals, "globals"}, {len(m.Exports), maxExports, "exports"},
	} {
		if count.n > count.limit {
			return fmt.Errorf("has %d %s, at most %d are allowed", count.n, count.what, count.limit)
		}
	}
	for i, t := range m.Types {
		if len(t.Params) > maxParams || len(t.Results) > maxResults {
			return fmt.Errorf("has type %d with %d parameters and %d results, at most %d and %d are allowed", i, len(t.Params), len(t.Results), maxParams, maxResults)
		}
	}
	for i, t := range m.Functions {
		if int(t) >= len(m.Types) {
			return fmt.Errorf("gives function %d a type that does not exist", i)
		}
	}
	for _, im := range m.Imports {
		if im.Kind != wasmbin.KindFunction {
			return fmt.Errorf("imports the %s %s.%s; a guest may import functions only", im.Kind, im.Module, im.Name)
		}
		if int(im.Type) >= len(m.Types) {
			return fmt.Errorf("imports %s.%s with a type that does not exist", im.Module, im.Name)
		}
	}
	for _, t := range m.Tables {
		if t.Limits.Min > maxTableItems {
			return fmt.Errorf("has a table of %d items, at most %d are allowed", t.Limits.Min, maxTableItems)
		}
	}
	if len(m.Memories) == 0 {
		return fmt.Errorf("has no memory")
	}
	for i, g := range m.Globals {
		if g.Mutable && (g.Type == wasmbin.FuncRef || g.Type == wasmbin.ExternRef) {
			return fmt.Errorf("has a mutable global (%d) of a reference type, whose state cannot be restored", i)
		}
	}
	counts := [...]int{
		wasmbin.KindFunction: len(m.Imports) + len(m.Functions), wasmbin.KindTable: len(m.Tables),
		wasmbin.KindMemory: len(m.Memories), wasmbin.KindGlobal: len(m.Globals),
	}
	for _, e := range m.Exports {
		if strings.HasPrefix(e.Name, reserved) {
			return fmt.Errorf("exports %q; names that begin with %q are the host's", e.Name, reserved)
		}
		if int64(e.Index) >= int64(counts[e.Kind]) {
			return fmt.Errorf("exports a %s %q that does not exist", e.Kind, e.Name)
		}
	}
	if m.HasStart && int64(m.Start) >= int64(counts[wasmbin.KindFunction]) {
		return fmt.Errorf("starts a function that does not exist")
	}
	return nil
}
