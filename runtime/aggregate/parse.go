package aggregate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Bounds of a pipeline as it is written.
const (
	maxStages   = 32
	maxNodes    = 1000 // conditions, expressions and fields
	maxDepth    = 16   // of one inside another
	maxSegments = 16   // of a path
	maxName     = 128  // bytes of a field's name
)

// Pipeline is a list of stages, ready to be run.
type Pipeline struct {
	stages []stage
	where  []condition // what the leading $match stages ask of the store
}

// blocked are the names that may not stand anywhere in a pipeline: they read other collections, write, or run code.
var blocked = map[string]bool{
	"$out": true, "$merge": true, "$lookup": true, "$graphLookup": true, "$unionWith": true, "$where": true, "$function": true,
	"$accumulator": true,
}

// Parse judges the body of a request, {"pipeline":[…]}; it may be missing and is not kept. The error is an *Error.
func Parse(body jsondoc.Value) (*Pipeline, error) {
	if body.Kind() != jsondoc.Object {
		return nil, &Error{Malformed, "Invalid input: expected object, received " + received(body)}
	}
	v := body.Get("pipeline")
	if v.Kind() != jsondoc.Array {
		return nil, &Error{Malformed, "Invalid input: expected array, received " + received(v)}
	}
	if v.Len() == 0 {
		return nil, &Error{Malformed, "Pipeline must contain at least one stage."}
	}
	for _, stage := range v.Items() {
		switch {
		case stage.Kind() != jsondoc.Object:
			return nil, &Error{Malformed, "Invalid input: expected record, received " + received(stage)}
		case stage.Len() == 0:
			return nil, &Error{Malformed, "Each aggregation stage must be a non-empty object."}
		}
	}
	if holdsBlocked(v) {
		return nil, &Error{Blocked, "Aggregation pipeline contains blocked stage."}
	}
	if v.Len() > maxStages {
		return nil, tooLarge("A pipeline may have at most %d stages.", maxStages)
	}
	p := &parser{}
	out := &Pipeline{}
	for i, spec := range v.Items() {
		name, s, err := p.stage(spec)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return nil, &Error{e.Fault, fmt.Sprintf("Stage %d (%s): %s", i, name, e.Message)}
			}
			return nil, err
		}
		out.stages = append(out.stages, s)
	}
	out.pushDown()
	return out, nil
}

// received names a value's type as the contract's validation does.
func received(v jsondoc.Value) string {
	switch v.Kind() {
	case jsondoc.Missing:
		return "undefined"
	case jsondoc.Bool:
		return "boolean"
	}
	return v.Kind().String()
}

func holdsBlocked(v jsondoc.Value) bool {
	for key, member := range v.Members() {
		if blocked[string(key)] || holdsBlocked(member) {
			return true
		}
	}
	for _, item := range v.Items() {
		if holdsBlocked(item) {
			return true
		}
	}
	return false
}

// parser counts what a pipeline is made of.
type parser struct{ nodes, depth int }

// enter counts one node and one level; leave ends the level.
func (p *parser) enter() error {
	p.nodes++
	p.depth++
	switch {
	case p.nodes > maxNodes:
		return tooLarge("The pipeline has more than %d parts.", maxNodes)
	case p.depth > maxDepth:
		return tooLarge("The pipeline is nested more than %d levels deep.", maxDepth)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

const stageNames = "$match, $project, $addFields, $unset, $group, $sort, $limit, $skip, $unwind, $count or $sortByCount"

func (p *parser) stage(spec jsondoc.Value) (name string, s stage, err error) {
	if spec.Len() > 1 {
		return "…", nil, invalid("A stage is an object with one member. Make it several stages.")
	}
	for key, v := range spec.Members() {
		name = string(key)
		switch name {
		case "$match":
			s, err = p.match(v)
		case "$project":
			s, err = p.project(v)
		case "$addFields", "$set":
			s, err = p.addFields(v)
		case "$unset":
			s, err = p.unset(v)
		case "$group":
			s, err = p.group(v)
		case "$sort":
			s, err = p.sort(v)
		case "$limit":
			s, err = p.limit(v)
		case "$skip":
			s, err = p.skip(v)
		case "$unwind":
			s, err = p.unwind(v)
		case "$count":
			s, err = p.count(v)
		case "$sortByCount":
			s, err = p.sortByCount(v)
		default:
			if len(name) > 40 {
				name = name[:40] + "…"
			}
			err = invalid("There is no such stage. Use %s.", stageNames)
		}
	}
	return name, s, err
}

// path judges a dotted path of a field, without the dollar.
func (p *parser) path(path string) error {
	if len(path) > maxSegments*maxName {
		return tooLarge("A field path is too long.")
	}
	segments := 0
	for segment := range strings.SplitSeq(path, ".") {
		if err := checkName(segment); err != nil {
			return err
		}
		segments++
	}
	if segments > maxSegments {
		return tooLarge("The field path %q has more than %d segments.", path, maxSegments)
	}
	return nil
}

// checkName judges one segment of a path: what no document can have, no pipeline can make.
func checkName(name string) error {
	if len(name) > maxName {
		return tooLarge("A field name is longer than %d bytes.", maxName)
	}
	if err := jsondoc.CheckKey([]byte(name)); err != nil {
		var key *jsondoc.KeyError
		if errors.As(err, &key) {
			return invalid("The field name %q is not allowed: it %s.", name, key.Why)
		}
		return invalid("The field name %q is not allowed.", name)
	}
	return nil
}

// isOperator reports whether an object is written with an operator: its first member tells.
func isOperator(v jsondoc.Value) bool {
	for key := range v.Members() {
		return len(key) > 0 && key[0] == '$'
	}
	return false
}

// wholeNumber reads a number without a fraction.
func wholeNumber(v jsondoc.Value) (int, bool) {
	if v.Kind() != jsondoc.Number {
		return 0, false
	}
	n := parseNumber(v.Append(nil))
	if n.approx || n.wide != nil || n.scale != 0 || n.small > 1<<31 || n.small < -1<<31 {
		return 0, false
	}
	return int(n.small), true
}
