package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"github.com/dop251/goja"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// gojaPolicy is guests/price.js without what goja does not know: modules, and Sluice's.
const gojaPolicy = `(function (text) {
	const { after } = JSON.parse(text);
	return after.price <= 100 ? true : { code: "price_too_high", message: "Set a price of 100 or less." };
})`

type gojaEngine struct {
	program *goja.Program
	shared  bool
	vm      *goja.Runtime
	policy  goja.Callable
}

func openGoja(context.Context, *guests, language) (asker, error) {
	e, err := newGoja()
	if err != nil {
		return nil, err
	}
	e.shared = true
	return e, e.start()
}

func openGojaIsolated(context.Context, *guests, language) (asker, error) { return newGoja() }

func newGoja() (*gojaEngine, error) {
	program, err := goja.Compile("price.js", gojaPolicy, true)
	return &gojaEngine{program: program}, err
}

func (e *gojaEngine) start() error {
	e.vm = goja.New()
	value, err := e.vm.RunProgram(e.program)
	if err != nil {
		return err
	}
	policy, ok := goja.AssertFunction(value)
	if !ok {
		return errors.New("the policy is no function")
	}
	e.policy = policy
	return nil
}

func (e *gojaEngine) Ask(s *subject) (bool, error) {
	if !e.shared {
		if err := e.start(); err != nil {
			return false, err
		}
	}
	value, err := e.policy(goja.Undefined(), e.vm.ToValue(string(s.text)))
	if err != nil {
		return false, err
	}
	yes, ok := value.Export().(bool)
	return ok && yes, nil
}

func (e *gojaEngine) Close() error { return nil }

const regoPolicy = `package sluice

default allow := false

allow if input.after.price <= 100
`

type opaEngine struct{ query rego.PreparedEvalQuery }

func openOPA(ctx context.Context, _ *guests, _ language) (asker, error) {
	query, err := rego.New(rego.Query("data.sluice.allow"), rego.Module("price.rego", regoPolicy)).PrepareForEval(ctx)
	return &opaEngine{query}, err
}

func (e *opaEngine) Ask(s *subject) (bool, error) {
	input, err := ast.ValueFromReader(bytes.NewReader(s.text))
	if err != nil {
		return false, err
	}
	results, err := e.query.Eval(context.Background(), rego.EvalParsedInput(input))
	if err != nil {
		return false, err
	}
	return results.Allowed(), nil
}

func (e *opaEngine) Close() error { return nil }

type celEngine struct{ program cel.Program }

func openCEL(context.Context, *guests, language) (asker, error) {
	env, err := cel.NewEnv(cel.Variable("event", cel.MapType(cel.StringType, cel.DynType)))
	if err != nil {
		return nil, err
	}
	parsed, issues := env.Compile("event.after.price <= 100.0")
	if err := issues.Err(); err != nil {
		return nil, err
	}
	program, err := env.Program(parsed, cel.EvalOptions(cel.OptOptimize))
	return &celEngine{program}, err
}

func (e *celEngine) Ask(s *subject) (bool, error) {
	var event map[string]any
	if err := json.Unmarshal(s.text, &event); err != nil {
		return false, err
	}
	value, _, err := e.program.Eval(map[string]any{"event": event})
	if err != nil {
		return false, err
	}
	yes, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("the expression is %v", value)
	}
	return yes, nil
}

func (e *celEngine) Close() error { return nil }
