package aggregate

import (
	"bytes"
	"errors"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// maxValue bounds one computed value, and one document that is made of such.
const maxValue = 1 << 20

var errValue = tooLarge("It makes a value of more than 1 MiB.")

// expr computes a value of a document; nil: there is none. What it returns may be a part of the document.
type expr func(doc []byte) ([]byte, error)

func constant(raw []byte) expr {
	return func([]byte) ([]byte, error) { return raw, nil }
}

// expr parses an expression: a "$path", a literal, an operator, or an object or array of expressions.
func (p *parser) expr(v jsondoc.Value) (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	switch v.Kind() {
	case jsondoc.String:
		if text := v.Text(); len(text) > 0 && text[0] == '$' {
			return p.pathExpr(string(text))
		}
	case jsondoc.Array:
		return p.arrayExpr(v)
	case jsondoc.Object:
		if isOperator(v) {
			return p.operation(v)
		}
		return p.objectExpr(v)
	}
	return constant(v.Append(nil)), nil
}

// pathExpr parses "$a.b" and "$$ROOT".
func (p *parser) pathExpr(text string) (expr, error) {
	name := text[1:]
	if variable, ok := strings.CutPrefix(name, "$"); ok {
		head, rest, dotted := strings.Cut(variable, ".")
		if head != "ROOT" && head != "CURRENT" {
			return nil, invalid("There is no variable %q. Use $$ROOT.", text)
		}
		if !dotted {
			return func(doc []byte) ([]byte, error) { return doc, nil }, nil
		}
		name = rest
	}
	at, err := p.fieldPath(name)
	if err != nil {
		return nil, err
	}
	return func(doc []byte) ([]byte, error) { return at.at(doc), nil }, nil
}

func (p *parser) fieldPath(text string) (*path, error) {
	if err := p.path(text); err != nil {
		return nil, err
	}
	return &path{text, strings.Split(text, ".")}, nil
}

func (p *parser) arrayExpr(v jsondoc.Value) (expr, error) {
	items, err := p.exprs(v)
	if err != nil {
		return nil, err
	}
	return func(doc []byte) ([]byte, error) {
		out := []byte{'['}
		for _, item := range items {
			raw, err := item(doc)
			switch {
			case err != nil:
				return nil, err
			case raw == nil:
				raw = null
			case len(out)+len(raw) > maxValue:
				return nil, errValue
			}
			out = appendItem(out, raw)
		}
		return append(out, ']'), nil
	}, nil
}

func (p *parser) exprs(v jsondoc.Value) ([]expr, error) {
	var out []expr
	for _, item := range v.Items() {
		e, err := p.expr(item)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (p *parser) objectExpr(v jsondoc.Value) (expr, error) {
	type member struct {
		key   []byte // quoted, with its colon
		value expr
	}
	var members []member
	for key, item := range v.Members() {
		if bytes.IndexByte(key, '.') >= 0 {
			return nil, invalid("The field name %q must not contain '.'.", key)
		}
		if err := checkName(string(key)); err != nil {
			return nil, err
		}
		e, err := p.expr(item)
		if err != nil {
			return nil, err
		}
		members = append(members, member{append(jsondoc.AppendString(nil, key), ':'), e})
	}
	return func(doc []byte) ([]byte, error) {
		out := []byte{'{'}
		for i := range members {
			raw, err := members[i].value(doc)
			switch {
			case err != nil:
				return nil, err
			case raw == nil:
				continue
			case len(out)+len(members[i].key)+len(raw) > maxValue:
				return nil, errValue
			}
			out = append(appendItem(out, members[i].key), raw...)
		}
		return append(out, '}'), nil
	}, nil
}

// operator is a function of values. It gets as many as it says, computed; a nil value is missing.
type operator struct {
	least, most int
	apply       func(args [][]byte) ([]byte, error)
}

// operation parses {"$op": operand} and {"$op": [operands]}.
func (p *parser) operation(v jsondoc.Value) (expr, error) {
	if v.Len() != 1 {
		return nil, invalid("An operator stands alone in its object.")
	}
	for key, operand := range v.Members() {
		switch name := string(key); name {
		case "$literal":
			return constant(operand.Append(nil)), nil
		case "$cond":
			return p.cond(operand)
		case "$and", "$or":
			return p.junction(name == "$or", operand)
		default:
			op, known := operators[name]
			if !known {
				if len(name) > 40 {
					name = name[:40] + "…"
				}
				return nil, invalid("There is no operator %q in expressions.", name)
			}
			return p.call(name, op, operand)
		}
	}
	return nil, nil
}

// operands are the items of a list, or the one operand that stands without.
func (p *parser) operands(v jsondoc.Value) ([]expr, error) {
	if v.Kind() == jsondoc.Array {
		return p.exprs(v)
	}
	e, err := p.expr(v)
	return []expr{e}, err
}

func (p *parser) call(name string, op operator, v jsondoc.Value) (expr, error) {
	args, err := p.operands(v)
	if err != nil {
		return nil, err
	}
	if len(args) < op.least || len(args) > op.most {
		return nil, invalid("%s takes %s.", name, op.takes())
	}
	return func(doc []byte) ([]byte, error) {
		var few [4][]byte
		values := few[:0]
		for _, arg := range args {
			raw, err := arg(doc)
			if err != nil {
				return nil, err
			}
			values = append(values, raw)
		}
		out, err := op.apply(values)
		if why := new(operandError); errors.As(err, &why) {
			return nil, invalid("%s %s", name, why.why)
		}
		return out, err
	}, nil
}

// junction is $and and $or. They stop at the first operand that decides.
func (p *parser) junction(or bool, v jsondoc.Value) (expr, error) {
	args, err := p.operands(v)
	if err != nil {
		return nil, err
	}
	return func(doc []byte) ([]byte, error) {
		for _, arg := range args {
			raw, err := arg(doc)
			if err != nil {
				return nil, err
			}
			if truth(raw) == or {
				return boolean(or), nil
			}
		}
		return boolean(!or), nil
	}, nil
}

// cond is {"$cond": [if, then, else]} and {"$cond": {"if": …, "then": …, "else": …}}.
func (p *parser) cond(v jsondoc.Value) (expr, error) {
	var parts [3]jsondoc.Value
	switch {
	case v.Kind() == jsondoc.Array && v.Len() == 3:
		for i, item := range v.Items() {
			parts[i] = item
		}
	case v.Kind() == jsondoc.Object && v.Len() == 3 && v.Get("if").Exists() && v.Get("then").Exists() && v.Get("else").Exists():
		parts = [3]jsondoc.Value{v.Get("if"), v.Get("then"), v.Get("else")}
	default:
		return nil, invalid("$cond takes if, then and else.")
	}
	var of [3]expr
	for i, part := range parts {
		var err error
		if of[i], err = p.expr(part); err != nil {
			return nil, err
		}
	}
	return func(doc []byte) ([]byte, error) {
		raw, err := of[0](doc)
		if err != nil {
			return nil, err
		}
		if truth(raw) {
			return of[1](doc)
		}
		return of[2](doc)
	}, nil
}
