package jsondoc

import "iter"

// Kind is the type of a JSON value. Kinds are ordered; the zero Kind is that of a value that is not there.
type Kind uint8

// The kinds.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as a user would read it.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "boolean"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return "missing"
}

// Value is one value of a parsed text: a cursor, passed by value. The zero Value is missing. It is good until the next
// Parse or Trim of the Parser it came from.
type Value struct {
	p *Parser
	i int // its node on the tape
}

// Kind returns the value's type, Missing for the zero Value.
func (v Value) Kind() Kind {
	if v.p == nil {
		return Missing
	}
	return v.p.nodes[v.i].kind
}

// Exists reports whether there is a value (null is one).
func (v Value) Exists() bool { return v.p != nil }

// Bool reports whether the value is true.
func (v Value) Bool() bool {
	return v.Kind() == Bool && v.p.src[v.p.nodes[v.i].start] == 't'
}

// Raw returns the value's text exactly as it was sent (not canonical), nil if missing. It is borrowed.
func (v Value) Raw() []byte {
	if v.p == nil {
		return nil
	}
	n := &v.p.nodes[v.i]
	return v.p.src[n.start:n.end:n.end]
}

// Text returns the decoded text of a String, nil for every other kind. It is borrowed from the source, or from the
// Parser when the string was written with escapes.
func (v Value) Text() []byte {
	if v.Kind() != String {
		return nil
	}
	return v.p.textOf(v.i)
}

// Len returns the number of members of an Object or items of an Array, 0 for every other kind.
func (v Value) Len() int {
	if v.Kind() < Array {
		return 0
	}
	return int(v.p.nodes[v.i].a)
}

// Get returns the member of that (decoded) name, the missing Value if v is not an Object or has none.
func (v Value) Get(key string) Value {
	if v.Kind() != Object {
		return Value{}
	}
	p, at := v.p, v.i+1
	for n := p.nodes[v.i].a; n > 0; n-- {
		if string(p.textOf(at)) == key {
			return Value{p, at + 1}
		}
		at = p.after(at + 1)
	}
	return Value{}
}

// Members yields decoded name (borrowed) and value of each member in source order; nothing unless v is an Object.
func (v Value) Members() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		if v.Kind() != Object {
			return
		}
		p, at := v.p, v.i+1
		for n := p.nodes[v.i].a; n > 0; n-- {
			if !yield(p.textOf(at), Value{p, at + 1}) {
				return
			}
			at = p.after(at + 1)
		}
	}
}

// Items yields position and value of each item; nothing unless v is an Array.
func (v Value) Items() iter.Seq2[int, Value] {
	return func(yield func(int, Value) bool) {
		if v.Kind() != Array {
			return
		}
		p, at := v.p, v.i+1
		for n := range int(p.nodes[v.i].a) {
			if !yield(n, Value{p, at}) {
				return
			}
			at = p.after(at)
		}
	}
}

// IsCanonical reports whether Raw already is the canonical text. It costs nothing: parsing found out.
func (v Value) IsCanonical() bool {
	return v.p != nil && v.p.nodes[v.i].flags&flagCanonical != 0
}

// Append appends the value's canonical text to dst; nothing if the value is missing. One copy if IsCanonical.
func (v Value) Append(dst []byte) []byte {
	if v.IsCanonical() {
		return append(dst, v.Raw()...)
	}
	switch v.Kind() {
	case String:
		return AppendString(dst, v.Text())
	case Array:
		dst = append(dst, '[')
		for n, item := range v.Items() {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = item.Append(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		first := true
		for key, member := range v.Members() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(AppendString(dst, key), ':')
			dst = member.Append(dst)
		}
		return append(dst, '}')
	}
	return dst // missing; every other kind is canonical
}
