package hooks

import (
	"errors"
	"fmt"
	"slices"
)

// Names of the events that a manifest can bind a module to.
const (
	EventPolicy       = "policy"
	EventFilter       = "filter"
	EventBeforeInsert = "beforeInsert"
	EventBeforeUpdate = "beforeUpdate"
	EventBeforeDelete = "beforeDelete"
	EventBeforeSignup = "beforeSignup"
	EventClaims       = "claims"
	EventBeforeUpload = "beforeUpload"
)

// eventNames lists them for messages.
const eventNames = "policy, filter, beforeInsert, beforeUpdate, beforeDelete, beforeSignup, claims, beforeUpload"

// Users is the collection of accounts. The events beforeSignup and claims are about it alone.
const Users = "users"

// Files is what the event beforeUpload is about; it is no collection, and one of that name has nothing to do with it.
const Files = "files"

// Manifest says which modules a bundle holds and when each of them is asked. It is the content of sluice.hooks.yaml.
// Bindings are obeyed in the order in which they are written.
type Manifest struct {
	Modules  []Module  `json:"modules" yaml:"modules"`
	Bindings []Binding `json:"bindings" yaml:"bindings"`
	Limits   Limits    `json:"limits,omitzero" yaml:"limits,omitempty"`
	Grants   Grants    `json:"grants,omitzero" yaml:"grants,omitempty"`
	Config   Config    `json:"config,omitzero" yaml:"config,omitempty"`
}

// Grants are what a bundle's guests may do beyond answering.
type Grants struct {
	Read []string `json:"read,omitempty" yaml:"read,omitempty"` // collections that get, find and count may read
}

// Module is one WebAssembly file of a bundle.
type Module struct {
	Name string `json:"name" yaml:"name"` // how bindings and logs call it
	File string `json:"file" yaml:"file"` // key of its bytes in Host.Load
}

// Binding asks one module at one event of some collections.
type Binding struct {
	Module      string   `json:"module" yaml:"module"`                               // a Module's Name
	Event       string   `json:"event" yaml:"event"`                                 // one of the Event constants
	Operations  []string `json:"operations,omitempty" yaml:"operations,omitempty"`   // policy only: insert, update, delete, read; empty: all but read
	Collections []string `json:"collections,omitempty" yaml:"collections,omitempty"` // at least one name; of beforeSignup and claims, none or users; of beforeUpload, none or files
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
	names := func(place string, list []string) {
		if len(list) > maxCollections {
			bad("%s: %d names, at most %d are allowed", place, len(list), maxCollections)
			return
		}
		for j, c := range list {
			switch {
			case c == "":
				bad("%s[%d]: a name is needed", place, j)
			case len(c) > maxNameBytes:
				bad("%s[%d]: longer than %d bytes", place, j, maxNameBytes)
			case slices.Contains(list[:j], c):
				bad("%s[%d]: %q is named twice", place, j, c)
			}
		}
	}
	claims := false
	used := make(map[string]bool, len(m.Modules))
	for i, b := range m.Bindings {
		if !known[b.Module] {
			bad("bindings[%d].module: no module is named %q", i, b.Module)
		}
		used[b.Module] = true
		if _, _, err := b.slots(); err != nil {
			bad("bindings[%d].%w", i, err)
		}
		switch {
		case b.Event == EventClaims && claims:
			bad("bindings[%d].event: claims is bound twice; one guest says what is in a token", i)
		case b.about() != "":
			if len(b.Collections) > 0 && !slices.Equal(b.Collections, []string{b.about()}) {
				bad("bindings[%d].collections: %s is about %s only; leave the collections out", i, b.Event, b.about())
			}
		case len(b.Collections) == 0:
			bad("bindings[%d].collections: at least one collection is needed", i)
		}
		claims = claims || b.Event == EventClaims
		names(fmt.Sprintf("bindings[%d].collections", i), b.Collections)
	}
	names("grants.read", m.Grants.Read)
	for _, l := range m.Limits.all() {
		if *l.value < 0 {
			bad("limits.%s: is negative", l.name)
		}
	}
	if len(m.Config) > maxConfigBytes {
		bad("config: has %d bytes as JSON, at most %d are allowed", len(m.Config), maxConfigBytes)
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
	case EventFilter:
		function, ops = exportPolicy, []Op{OpFilter}
	case EventBeforeInsert:
		ops = []Op{OpInsert}
	case EventBeforeUpdate:
		ops = []Op{OpUpdate}
	case EventBeforeDelete:
		ops = []Op{OpDelete}
	case EventBeforeSignup:
		ops = []Op{OpSignup}
	case EventClaims:
		ops = []Op{OpClaims}
	case EventBeforeUpload:
		ops = []Op{OpUpload}
	default:
		return "", nil, fmt.Errorf("event: %q is not one of %s", b.Event, eventNames)
	}
	if len(b.Operations) > 0 {
		return "", nil, fmt.Errorf("operations: only a policy has them; %s already names its operation", b.Event)
	}
	if function == "" {
		function = exportHook
	}
	return function, ops, nil
}

// about returns what the event is about where it is not about documents of a collection that the manifest names.
func (b *Binding) about() string {
	switch b.Event {
	case EventBeforeSignup, EventClaims:
		return Users
	case EventBeforeUpload:
		return Files
	}
	return ""
}

// collections returns where the event happens.
func (b *Binding) collections() []string {
	if about := b.about(); about != "" {
		return []string{about}
	}
	return b.Collections
}

func parseOp(name string) (Op, bool) {
	for op := OpInsert; op <= OpRead; op++ {
		if op.String() == name {
			return op, true
		}
	}
	return 0, false
}
