package main

import (
	"context"
	"fmt"
)

// engine is one way to ask the policy.
type engine struct {
	name              string
	what              string
	isolated, limited bool
	open              func(ctx context.Context, g *guests, l language) (asker, error)
}

// asker is an engine that is ready.
type asker interface {
	// Ask asks about an event, in whichever of its two forms the engine takes, and returns the verdict.
	Ask(e *subject) (bool, error)
	Close() error
}

// engines lists the others. Those that take a guest are asked with the guest of their row.
var engines = []engine{
	{"instance", "wazero, an instance for each call", true, false, openInstance},
	{"deadline", "wazero with its own deadlines, one instance for all calls", false, true, openDeadline},
	{"extism", "Extism, one plugin for all calls, the policy in C", false, false, openExtism(false)},
	{"extism-timeout", "the same with a timeout", false, true, openExtism(true)},
	{"extism-isolated", "Extism, a plugin for each call", true, false, openExtismIsolated},
	{"goja", "goja, one interpreter for all calls", false, false, openGoja},
	{"goja-isolated", "goja, an interpreter for each call", true, false, openGojaIsolated},
	{"opa", "OPA, a prepared query", true, true, openOPA},
	{"cel", "CEL, a compiled expression", true, true, openCEL},
}

func engineNamed(name string) *engine {
	for i := range engines {
		if engines[i].name == name {
			return &engines[i]
		}
	}
	return nil
}

// prove sees that an engine judges before any of its calls is timed.
func prove(a asker) error {
	for _, c := range []struct {
		document string
		want     bool
	}{{document, true}, {dear, false}, {document, true}} {
		got, err := a.Ask(subjectOf(c.document))
		if err != nil {
			return err
		}
		if got != c.want {
			return fmt.Errorf("says %v of %s", got, c.document)
		}
	}
	return nil
}
