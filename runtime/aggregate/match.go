package aggregate

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Bounds of a $match.
const (
	maxValues  = 1000 // of one $in or $nin
	maxPattern = 128  // characters of a regular expression
	maxPushed  = 32   // conditions, and values of each, that are asked of the store
	maxAsked   = 100
)

// filter says whether a document passes.
type filter interface{ holds(doc []byte) bool }

type (
	all    []filter            // $and; nothing to ask passes
	either []filter            // $or
	not    struct{ of filter } // $not, $nor
)

func (f all) holds(doc []byte) bool {
	for _, one := range f {
		if !one.holds(doc) {
			return false
		}
	}
	return true
}

func (f either) holds(doc []byte) bool {
	for _, one := range f {
		if one.holds(doc) {
			return true
		}
	}
	return false
}

func (f not) holds(doc []byte) bool { return !f.of.holds(doc) }

// condition is one comparison. It means what a kv.Predicate means, so that the store may answer it instead.
type condition struct {
	kv.Predicate
	keys [][]byte // of the values, in kv's order
	null bool     // one of them is null, which a missing value equals
}

func newCondition(path string, op kv.Compare, values ...jsondoc.Value) (condition, error) {
	c := condition{Predicate: kv.Predicate{Path: path, Op: op}}
	for _, v := range values {
		text := v.Append(nil)
		if path == "_id" { // digits of an id are digits in either case
			if id, ok := kv.ParseDocID(v.Text()); ok {
				text = jsondoc.AppendString(nil, id.String())
			}
		}
		value, ok := kv.Raw(text)
		if !ok {
			return c, invalid("A value of %q cannot be compared with.", path)
		}
		c.Values = append(c.Values, value)
		c.keys = append(c.keys, kv.AppendKey(nil, text))
		c.null = c.null || v.Kind() == jsondoc.Null
	}
	return c, nil
}

func (c *condition) holds(doc []byte) bool {
	found, hit := false, false
	jsondoc.Each(doc, c.Path, func(raw []byte) bool {
		found = true
		if c.Op == kv.Exists {
			return false
		}
		hit = c.test(raw)
		if !hit && raw[0] == '[' {
			jsondoc.Elements(raw, func(el []byte) bool {
				hit = c.test(el)
				return !hit
			})
		}
		return !hit
	})
	switch c.Op {
	case kv.Exists:
		return found == bytes.Equal(c.Values[0].JSON(), []byte("true"))
	case kv.Ne:
		return !hit && (found || !c.null)
	case kv.Eq, kv.In, kv.Gte, kv.Lte:
		return hit || !found && c.null
	}
	return hit
}

// test compares one value with the alternatives, within their type; for Ne it tests equality.
func (c *condition) test(raw []byte) bool {
	kind := jsondoc.KindOf(raw)
	if c.Op == kv.Regex {
		return kind == jsondoc.String && c.Pattern.Match(jsondoc.Unquote(nil, raw))
	}
	var key []byte
	for i, value := range c.Values {
		if jsondoc.KindOf(value.JSON()) != kind {
			continue
		}
		if key == nil {
			key = kv.AppendKey(nil, raw)
		}
		order := bytes.Compare(key, c.keys[i])
		var ok bool
		switch c.Op {
		case kv.Gt:
			ok = order > 0
		case kv.Gte:
			ok = order >= 0
		case kv.Lt:
			ok = order < 0
		case kv.Lte:
			ok = order <= 0
		default:
			ok = order == 0
		}
		if ok {
			return true
		}
	}
	return false
}

// match parses a $match.
func (p *parser) match(v jsondoc.Value) (stage, error) {
	if v.Kind() != jsondoc.Object {
		return nil, invalid("It takes an object.")
	}
	f, err := p.filter(v)
	return matchStage{f}, err
}

// filter parses {path: value, path: {$op: value}, $and: […], …}.
func (p *parser) filter(v jsondoc.Value) (all, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var out all
	for key, member := range v.Members() {
		switch name := string(key); name {
		case "$and", "$or", "$nor":
			list, err := p.filters(name, member)
			if err != nil {
				return nil, err
			}
			switch name {
			case "$and":
				out = append(out, list...)
			case "$or":
				out = append(out, either(list))
			default:
				out = append(out, not{either(list)})
			}
		default:
			if strings.HasPrefix(name, "$") {
				return nil, invalid("There is no operator %q here. Use a field, $and, $or or $nor.", name)
			}
			if err := p.path(name); err != nil {
				return nil, err
			}
			list, err := p.conditions(name, member)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
	}
	return out, nil
}

func (p *parser) filters(name string, v jsondoc.Value) ([]filter, error) {
	if v.Kind() != jsondoc.Array || v.Len() == 0 {
		return nil, invalid("%s takes a list of at least one object.", name)
	}
	var out []filter
	for _, item := range v.Items() {
		if item.Kind() != jsondoc.Object {
			return nil, invalid("%s takes a list of objects.", name)
		}
		f, err := p.filter(item)
		if err != nil {
			return nil, err
		}
		if name == "$and" {
			out = append(out, f...)
		} else {
			out = append(out, f)
		}
	}
	return out, nil
}

var comparisons = map[string]kv.Compare{"$eq": kv.Eq, "$ne": kv.Ne, "$gt": kv.Gt, "$gte": kv.Gte, "$lt": kv.Lt, "$lte": kv.Lte}

// conditions parses what is asked of one path: a value to equal, or operators that must hold together.
func (p *parser) conditions(path string, v jsondoc.Value) (all, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var out all
	if !isOperator(v) {
		err := out.add(path, kv.Eq, v)
		return out, err
	}
	for key, operand := range v.Members() {
		if p.nodes++; p.nodes > maxNodes {
			return nil, tooLarge("The pipeline has more than %d parts.", maxNodes)
		}
		name := string(key)
		var err error
		switch op, known := comparisons[name]; {
		case known:
			err = out.add(path, op, operand)
		case name == "$in", name == "$nin":
			err = out.among(path, name, operand)
		case name == "$exists":
			if err = invalid("$exists takes true or false."); operand.Kind() == jsondoc.Bool {
				err = out.add(path, kv.Exists, operand)
			}
		case name == "$regex":
			err = out.pattern(path, operand, v.Get("$options"))
		case name == "$options":
			if !v.Get("$regex").Exists() {
				err = invalid("$options stands beside $regex.")
			}
		case name == "$not":
			if !isOperator(operand) {
				return nil, invalid("$not takes an object of operators.")
			}
			var inner all
			if inner, err = p.conditions(path, operand); err == nil {
				out = append(out, not{inner})
			}
		default:
			err = invalid("There is no operator %q. Use $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $regex or $not.", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// add adds one comparison.
func (f *all) add(path string, op kv.Compare, values ...jsondoc.Value) error {
	c, err := newCondition(path, op, values...)
	*f = append(*f, &c)
	return err
}

// among adds $in and $nin.
func (f *all) among(path, name string, v jsondoc.Value) error {
	if v.Kind() != jsondoc.Array {
		return invalid("%s takes a list.", name)
	}
	if v.Len() > maxValues {
		return tooLarge("%s takes at most %d values.", name, maxValues)
	}
	var values []jsondoc.Value
	for _, item := range v.Items() {
		values = append(values, item)
	}
	op := kv.In
	if name == "$nin" {
		op = kv.Ne
	}
	return f.add(path, op, values...)
}

// pattern adds $regex.
func (f *all) pattern(path string, v, options jsondoc.Value) error {
	text := string(v.Text())
	switch {
	case v.Kind() != jsondoc.String, options.Exists() && options.Kind() != jsondoc.String:
		return invalid("$regex and $options take strings.")
	case utf8.RuneCountInString(text) > maxPattern:
		return invalid("The pattern of $regex exceeds %d characters.", maxPattern)
	}
	flags := string(options.Text())
	if strings.Trim(flags, "ims") != "" || len(flags) > 3 {
		return invalid("$options may be i, m and s.")
	}
	if _, err := regexp.Compile(text); err != nil {
		return invalid("The pattern of $regex is not valid.")
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return invalid("The pattern of $regex is not valid.")
	}
	*f = append(*f, &condition{Predicate: kv.Predicate{Path: path, Op: kv.Regex, Pattern: compiled}})
	return nil
}

// matchStage lets through what its filter holds for.
type matchStage struct{ all }

func (s matchStage) start(_ *run, next sink, _ bool) sink { return &matchSink{s.all, next} }
func (matchStage) makes() bool                            { return false }

type matchSink struct {
	filter all
	next   sink
}

func (s *matchSink) push(doc []byte) (bool, error) {
	if !s.filter.holds(doc) {
		return true, nil
	}
	return s.next.push(doc)
}

func (s *matchSink) close() error { return s.next.close() }

// pushDown moves the conditions of the leading $match stages, as far as they must hold together, to where the store
// answers them. The stages keep the rest.
func (p *Pipeline) pushDown() {
	for i, s := range p.stages {
		match, ok := s.(matchStage)
		if !ok {
			break
		}
		var rest all
		for _, f := range match.all {
			if c, ok := f.(*condition); ok && len(p.where) < maxPushed && len(c.Values) <= maxAsked {
				p.where = append(p.where, *c)
			} else {
				rest = append(rest, f)
			}
		}
		p.stages[i] = matchStage{rest}
	}
}

// Where returns what documents must fulfil to matter to the pipeline. Append expects that those which do not were left
// out, and that the others come in their order by id. The predicates belong to the pipeline.
func (p *Pipeline) Where() []kv.Predicate {
	out := make([]kv.Predicate, len(p.where))
	for i := range p.where {
		out[i] = p.where[i].Predicate
	}
	return out
}
