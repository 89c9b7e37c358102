package kv

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// fieldID is the path of a document's id.
const fieldID = "_id"

// filter is a compiled Where. It has scratch memory: one goroutine at a time.
type filter struct {
	preds []pred
	any   []alternatives // each must hold, too
	key   []byte         // of a value at a path
	id    []byte         // JSON text of an id
	text  []byte         // of a string
}

// alternatives are compiled Alternatives.
type alternatives [][]pred

type pred struct {
	Predicate
	alts []Value // none is the zero Value
	null bool    // one of them is null, which a missing value equals
}

func compile(q *Query) (f *filter, err error) {
	f = &filter{}
	if f.preds, err = compileAll(q.Where); err != nil || len(q.Any) == 0 {
		return f, err
	}
	f.any = make([]alternatives, len(q.Any))
	for i, choice := range q.Any {
		f.any[i] = make(alternatives, len(choice))
		for n, where := range choice {
			if f.any[i][n], err = compileAll(where); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

func compileAll(where []Predicate) ([]pred, error) {
	preds := make([]pred, len(where))
	for i, w := range where {
		p := pred{Predicate: w, alts: make([]Value, len(w.Values))}
		for n, v := range w.Values {
			p.alts[n] = v.norm()
			if w.Path == fieldID {
				p.alts[n] = idValue(p.alts[n])
			}
			p.null = p.null || p.alts[n].kind == jsondoc.Null
		}
		switch w.Op {
		case Eq, Ne, Gt, Gte, Lt, Lte, In, Is, Has:
		case Exists:
			if len(p.alts) != 1 || p.alts[0].kind != jsondoc.Bool {
				return nil, fmt.Errorf("kv: query: exists on %q wants true or false", w.Path)
			}
		case Regex:
			if w.Pattern == nil {
				return nil, fmt.Errorf("kv: query: no pattern for %q", w.Path)
			}
		default:
			return nil, fmt.Errorf("kv: query: unknown comparison on %q", w.Path)
		}
		preds[i] = p
	}
	return preds, nil
}

// terms is how many conditions there are that must hold together.
func (f *filter) terms() int { return len(f.preds) + len(f.any) }

// idValue turns the text of an id of either case into that which documents
// have.
func idValue(v Value) Value {
	if id, ok := valueID(v); ok {
		return String(id.String())
	}
	return v
}

func valueID(v Value) (DocID, bool) {
	if v.kind != jsondoc.String || len(v.text) < 2 {
		return DocID{}, false
	}
	return ParseDocID(v.text[1 : len(v.text)-1])
}

// match reports whether a document fulfils every condition.
func (f *filter) match(d Document) bool {
	if !f.all(f.preds, d) {
		return false
	}
	for _, choice := range f.any {
		if !slices.ContainsFunc(choice, func(preds []pred) bool { return f.all(preds, d) }) {
			return false
		}
	}
	return true
}

// all reports whether a document fulfils every one of some predicates.
func (f *filter) all(preds []pred, d Document) bool {
	for i := range preds {
		if !f.holds(&preds[i], d) {
			return false
		}
	}
	return true
}

func (f *filter) holds(p *pred, d Document) bool {
	found, hit := false, false
	one := func(raw []byte) bool {
		found = true
		if p.Op == Exists {
			return false
		}
		hit = p.Op != Has && f.test(p, raw)
		if !hit && raw[0] == '[' && p.Op != Is && (p.Op == Has || !p.Plain) {
			jsondoc.Elements(raw, func(el []byte) bool {
				hit = f.test(p, el)
				return !hit
			})
		}
		return !hit
	}
	if p.Path == fieldID {
		f.id = append(d.ID.AppendHex(append(f.id[:0], '"')), '"')
		one(f.id)
	} else if p.Plain || p.Op == Has {
		if raw, ok := jsondoc.Lookup(d.JSON, p.Path); ok {
			one(raw)
		}
	} else {
		jsondoc.Each(d.JSON, p.Path, one)
	}
	switch p.Op {
	case Exists:
		return found == (p.alts[0].text[0] == 't')
	case Ne:
		return !(hit || !found && p.null)
	case Eq, In, Is, Gte, Lte:
		return hit || !found && p.null
	}
	return hit
}

// test compares one value with the alternatives; for Ne it tests equality.
func (f *filter) test(p *pred, raw []byte) bool {
	kind := jsondoc.KindOf(raw)
	if p.Op == Regex {
		return kind == jsondoc.String && p.Pattern.Match(f.unquote(raw))
	}
	f.key = f.key[:0]
	for i := range p.alts {
		alt := &p.alts[i]
		if alt.kind != kind {
			continue
		}
		switch p.Op {
		case Eq, Ne, In, Has:
			// Text is canonical: the same text is the same value, and for
			// strings, true, false and null the other way round.
			if bytes.Equal(raw, alt.text) {
				return true
			}
			if kind == jsondoc.String || kind == jsondoc.Bool || kind == jsondoc.Null {
				continue
			}
		}
		if len(f.key) == 0 {
			f.key = AppendKey(f.key, raw)
		}
		if p.Op.holds(bytes.Compare(f.key, alt.key)) {
			return true
		}
	}
	return false
}

// holds says whether a comparison accepts an order; Ne stands for Eq here.
func (op Compare) holds(order int) bool {
	switch op {
	case Gt:
		return order > 0
	case Gte:
		return order >= 0
	case Lt:
		return order < 0
	case Lte:
		return order <= 0
	}
	return order == 0
}

// unquote returns the text of a string, borrowed from it or from the filter.
func (f *filter) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	f.text = jsondoc.Unquote(f.text[:0], raw)
	return f.text
}

// fields lists the paths that the filter looks at, but for the id.
func (f *filter) fields() []string {
	var out []string
	add := func(preds []pred) {
		for _, p := range preds {
			if p.Path != fieldID {
				out = append(out, p.Path)
			}
		}
	}
	add(f.preds)
	for _, choice := range f.any {
		for _, preds := range choice {
			add(preds)
		}
	}
	return out
}
