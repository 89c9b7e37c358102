package aggregate

import (
	"bytes"
	"strconv"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// limiting is $limit and $skip: it lets documents through from one place to another.
type limiting struct{ from, to int }

func (p *parser) limit(v jsondoc.Value) (stage, error) {
	n, ok := wholeNumber(v)
	if !ok || n < 1 {
		return nil, invalid("It takes a whole number of at least 1.")
	}
	return limiting{0, n}, nil
}

func (p *parser) skip(v jsondoc.Value) (stage, error) {
	n, ok := wholeNumber(v)
	if !ok || n < 0 {
		return nil, invalid("It takes a whole number of at least 0.")
	}
	return limiting{n, 1 << 62}, nil
}

func (s limiting) start(_ *run, next sink, _ bool) sink { return &limitSink{limiting: s, next: next} }
func (limiting) makes() bool                            { return false }

type limitSink struct {
	limiting
	next sink
	seen int
}

func (s *limitSink) push(doc []byte) (bool, error) {
	if s.seen >= s.to {
		return false, nil
	}
	if s.seen++; s.seen <= s.from {
		return true, nil
	}
	more, err := s.next.push(doc)
	return more && s.seen < s.to, err
}

func (s *limitSink) close() error { return s.next.close() }

// counting is $count: how many documents came, in one document; none if none did.
type counting struct{ key []byte }

func (p *parser) count(v jsondoc.Value) (stage, error) {
	name := v.Text()
	if v.Kind() != jsondoc.String || bytes.IndexByte(name, '.') >= 0 {
		return nil, invalid("It takes the name of a field, without dots.")
	}
	if err := checkName(string(name)); err != nil {
		return nil, err
	}
	return counting{append(jsondoc.AppendString([]byte{'{'}, name), ':')}, nil
}

func (s counting) start(r *run, next sink, _ bool) sink {
	return &countSink{counting: s, run: r, next: next}
}
func (counting) makes() bool { return true }

type countSink struct {
	counting
	run  *run
	next sink
	n    int64
}

func (s *countSink) push([]byte) (bool, error) { s.n++; return true, nil }

func (s *countSink) close() error {
	if s.n > 0 {
		doc := append(strconv.AppendInt(bytes.Clone(s.key), s.n, 10), '}')
		if _, err := s.run.made(s.next, doc); err != nil {
			return err
		}
	}
	return s.next.close()
}

// unwinding is $unwind: a document for each element of an array.
type unwinding struct {
	at    *path
	index string // the field that gets the position; "" for none
	keep  bool   // documents without an element stay
}

func (p *parser) unwind(v jsondoc.Value) (stage, error) {
	u := &unwinding{}
	from := v
	if v.Kind() == jsondoc.Object {
		from = v.Get("path")
		for key, member := range v.Members() {
			switch string(key) {
			case "path":
			case "preserveNullAndEmptyArrays":
				if member.Kind() != jsondoc.Bool {
					return nil, invalid("preserveNullAndEmptyArrays takes true or false.")
				}
				u.keep = member.Bool()
			case "includeArrayIndex":
				if u.index = string(member.Text()); member.Kind() != jsondoc.String {
					return nil, invalid("includeArrayIndex takes the name of a field.")
				}
				if err := p.path(u.index); err != nil {
					return nil, err
				}
			default:
				return nil, invalid("It takes path, includeArrayIndex and preserveNullAndEmptyArrays.")
			}
		}
	}
	text := from.Text()
	if len(text) < 2 || text[0] != '$' {
		return nil, invalid("It takes the path of an array, such as \"$tags\".")
	}
	var err error
	u.at, err = p.fieldPath(string(text[1:]))
	return u, err
}

func (u *unwinding) start(r *run, next sink, _ bool) sink { return &unwindSink{u, r, next} }
func (*unwinding) makes() bool                            { return true }

type unwindSink struct {
	*unwinding
	run  *run
	next sink
}

func (s *unwindSink) push(doc []byte) (more bool, err error) {
	raw, found := jsondoc.Lookup(doc, s.at.text)
	one := func(el []byte, at int) {
		position := null
		if at >= 0 {
			position = strconv.AppendInt(nil, int64(at), 10)
		}
		out := doc
		if el == nil || at >= 0 { // something changes
			out = s.replace(doc, el)
		}
		if s.index != "" {
			shape := &shaping{mode: set}
			if err = shape.add(s.index, constant(position)); err == nil {
				out, err = shape.document(nil, out)
			}
		}
		if err == nil {
			more, err = s.run.made(s.next, out)
		}
	}
	switch {
	case jsondoc.KindOf(raw) != jsondoc.Array:
		if found && raw[0] != 'n' {
			one(raw, -1) // a value counts as a list of itself
		} else if s.keep {
			one(null, -1)
		} else {
			return true, nil
		}
		return more, err
	case len(raw) == len("[]"):
		if !s.keep {
			return true, nil
		}
		one(nil, -1)
		return more, err
	}
	at := 0
	more = true
	jsondoc.Elements(raw, func(el []byte) bool {
		one(el, at)
		at++
		return more && err == nil
	})
	return more, err
}

// replace copies a document with another value at the path, or with none.
func (s *unwindSink) replace(doc, value []byte) []byte {
	shape := shaping{mode: set}
	if value == nil {
		shape.mode = exclude
		_ = shape.add(s.at.text, nil) // a single path never meets itself
	} else {
		_ = shape.add(s.at.text, constant(value))
	}
	out, err := shape.document(make([]byte, 0, len(doc)), doc)
	if err != nil { // larger than a value may be, which doc already was
		return doc
	}
	return out
}

func (s *unwindSink) close() error { return s.next.close() }
