package hooks

import (
	"errors"
	"fmt"
	"slices"
)

// Names of the events that a manifest can bind a module to.
const (
	EventPolicy       = "policy"
	EventBeforeInsert = "beforeInsert"
	EventBeforeUpdate = "beforeUpdate"
	EventBeforeDelete = "beforeDelete"
)

// Manifest says which modules a bundle holds and when each of them is asked. It is the content of sluice.hooks.yaml.
// Bindings are obeyed in the order in which they are written.
type Manifest struct {
	Modules  []Module  `json:"modules" yaml:"modules"`
	Bindings []Binding `json:"bindings" yaml:"bindings"`
}

// Module is one WebAssembly file of a bundle.
type Module struct {
	Name string `json:"name" yaml:"name"` // how bindings and logs call it
	File string `json:"file" yaml:"file"` // key of its bytes in Host.Load
}

// Binding asks one module at one event of some collections.
type Binding struct {
	Module      string   `json:"module" yaml:"module"`                             // a Module's Name
	Event       string   `json:"event" yaml:"event"`                               // policy, beforeInsert, beforeUpdate or beforeDelete
	Operations  []string `json:"operations,omitempty" yaml:"operations,omitempty"` // policy only: insert, update, delete, read; empty: all but read
	Collections []string `json:"collections" yaml:"collections"`                   // at least one name
}

// Caps on a manifest. They are far above any use and keep the tables that are built from one small.
const (
	maxModules     = 64
	maxBindings    = 1024
	maxCollections = 1024
	maxNameBytes   = 128
)

// Validate returns nil, or one error that lists every problem of the manifest, each on its own line with its place.
func (m *Manifest) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("hooks: manifest: "+format, args...)) }

	if len(m.Modules) == 0 {
		bad("modules: at least one module is needed")
	}
	if len(m.Modules) > maxModules {
		bad("modules: %d modules, at most %d are allowed", len(m.Modules), maxModules)
		return errors.Join(errs...)
	}
	if len(m.Bindings) > maxBindings {
		bad("bindings: %d bindings, at most %d are allowed", len(m.Bindings), maxBindings)
		return errors.Join(errs...)
	}
	known := make(map[string]bool, len(m.Modules))
	for i, mod := range m.Modules {
		switch {
		case mod.Name == "":
			bad("modules[%d].name: a name is needed", i)
		case len(mod.Name) > maxNameBytes:
			bad("modules[%d].name: longer than %d bytes", i, maxNameBytes)
		case known[mod.Name]:
			bad("modules[%d].name: %q is used twice", i, mod.Name)
		}
		known[mod.Name] = true
		if mod.File == "" {
			bad("modules[%d].file: the file of the module is needed", i)
		}
	}
	used := make(map[string]bool, len(m.Modules))
	for i, b := range m.Bindings {
		if !known[b.Module] {
			bad("bindings[%d].module: no module is named %q", i, b.Module)
		}
		used[b.Module] = true
		if _, _, err := b.slots(); err != nil {
			bad("bindings[%d].%w", i, err)
		}
		if len(b.Collections) == 0 {
			bad("bindings[%d].collections: at least one collection is needed", i)
		}
		if len(b.Collections) > maxCollections {
			bad("bindings[%d].collections: %d names, at most %d are allowed", i, len(b.Collections), maxCollections)
			continue
		}
		for j, c := range b.Collections {
			switch {
			case c == "":
				bad("bindings[%d].collections[%d]: a name is needed", i, j)
			case len(c) > maxNameBytes:
				bad("bindings[%d].collections[%d]: longer than %d bytes", i, j, maxNameBytes)
			case slices.Contains(b.Collections[:j], c):
				bad("bindings[%d].collections[%d]: %q is named twice", i, j, c)
			}
		}
	}
	for i, mod := range m.Modules {
		if mod.Name != "" && !used[mod.Name] {
			bad("modules[%d]: %q is bound to nothing", i, mod.Name)
		}
	}
	return errors.Join(errs...)
}

// slots returns which function of the guest a binding needs and for which operations. Its errors start with the name of
// the field that is wrong.
func (b *Binding) slots() (function string, ops []Op, err error) {
	switch b.Event {
	case EventPolicy:
		if len(b.Operations) == 0 {
			return exportPolicy, []Op{OpInsert, OpUpdate, OpDelete}, nil
		}
		for i, name := range b.Operations {
			op, ok := parseOp(name)
			switch {
			case !ok:
				return "", nil, fmt.Errorf("operations[%d]: %q is not one of insert, update, delete, read", i, name)
			case slices.Contains(ops, op):
				return "", nil, fmt.Errorf("operations[%d]: %q is named twice", i, name)
			}
			ops = append(ops, op)
		}
		return exportPolicy, ops, nil
	case EventBeforeInsert:
		ops = []Op{OpInsert}
	case EventBeforeUpdate:
		ops = []Op{OpUpdate}
	case EventBeforeDelete:
		ops = []Op{OpDelete}
	default:
		return "", nil, fmt.Errorf("event: %q is not one of policy, beforeInsert, beforeUpdate, beforeDelete", b.Event)
	}
	if len(b.Operations) > 0 {
		return "", nil, fmt.Errorf("operations: only a policy has them; %s already names its operation", b.Event)
	}
	return exportHook, ops, nil
}

func parseOp(name string) (Op, bool) {
	for op := OpInsert; op < opEnd; op++ {
		if op.String() == name {
			return op, true
		}
	}
	return 0, false
}
