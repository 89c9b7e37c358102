package project

import (
	"bytes"
	"strconv"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// maxSegments bounds a dotted key, and with it the depth of what Merge makes, to what jsondoc parses by default.
const maxSegments = 30

// Merge appends the document that an update proposes: before with each member of patch put in the place of the one of
// that name. A dotted key ("meta.views") sets a nested member and creates the objects on its way; it cannot lead through
// anything else, and two keys of one patch cannot set the same place. The server's members in patch are dropped, save
// that an _id other than the document's is an error. Members keep their places, new ones come behind them in the order
// sent. updatedAt is st.Updated; createdAt stays.
//
// A value that is an object with one member named like an update operator ({"$inc":1}; see operator) is not stored but
// carried out on what is there.
//
// before is canonical text that Conform wrote; before and patch are borrowed and may not overlap dst. On an error (always
// a *SchemaError) dst is returned as it was.
func Merge(dst, before []byte, patch jsondoc.Value, st Stamp) ([]byte, error) {
	if patch.Kind() != jsondoc.Object {
		return dst, errNotObject()
	}
	m := merger{nodes: make([]setNode, 1, 16)}
	for key, v := range patch.Members() {
		if err := m.add(key, v, before); err != nil {
			return dst, err
		}
	}
	mark := len(dst)
	id, ok := jsondoc.Lookup(before, idMember)
	if ok {
		dst = append(append(dst, `{"`+idMember+`":`...), id...)
	} else {
		dst = appendHead(dst, st.ID)
	}
	dst, count, err := m.members(dst, before, 0, nil)
	if err == nil && count+3 > maxMembers {
		err = errTooManyMembers()
	}
	if err != nil {
		return dst[:mark], err
	}
	return appendTail(dst, before, &st), nil
}

// setNode is one segment of the patch's keys: a tree in a slice, linked by index (0 is the root, and no one's child).
type setNode struct {
	name              []byte
	value             jsondoc.Value // missing if the node has children
	op                operator      // what value is the operand of; opSet: it is stored as it is
	first, last, next int
	seen              bool // met in the stored document
}

type merger struct {
	nodes []setNode
	name  []byte // scratch: a stored member name with escapes, decoded
	gone  bool   // the last set removed its member
}

// add enters one member of the patch into the tree.
func (m *merger) add(key []byte, v jsondoc.Value, before []byte) *SchemaError {
	head, _, dotted := bytes.Cut(key, []byte{'.'})
	if isReserved(head) {
		if string(head) == idMember && (dotted || !sameID(v, before)) {
			return &SchemaError{Field: idMember, Message: "Field '" + idMember + "' cannot be changed."}
		}
		return nil
	}
	op, v, err := parseOperator(key, v)
	if err != nil {
		return err
	}
	if err := checkKeys(v); err != nil {
		return err
	}
	at, rest := 0, key
	for n := 0; ; n++ {
		segment, tail, more := bytes.Cut(rest, []byte{'.'})
		if err := checkKey(segment); err != nil {
			if dotted {
				return keyError(key, "has a part that is empty or not allowed")
			}
			return err
		}
		if n == maxSegments {
			return keyError(key, "is nested too deep")
		}
		child, fresh := m.child(at, segment)
		if (!fresh && !more) || m.nodes[child].value.Exists() {
			return &SchemaError{Field: string(key), Message: "Field '" + string(key) + "' is set twice, once by another key that contains it."}
		}
		at, rest = child, tail
		if !more {
			m.nodes[at].value, m.nodes[at].op = v, op
			return nil
		}
	}
}

// child returns the child of that name, made if need be.
func (m *merger) child(parent int, name []byte) (child int, fresh bool) {
	for c := m.nodes[parent].first; c != 0; c = m.nodes[c].next {
		if bytes.Equal(m.nodes[c].name, name) {
			return c, false
		}
	}
	c := len(m.nodes)
	m.nodes = append(m.nodes, setNode{name: name})
	if p := &m.nodes[parent]; p.first == 0 {
		p.first, p.last = c, c
	} else {
		m.nodes[p.last].next = c
		p.last = c
	}
	return c, true
}

// members appends the members of the stored object obj, each behind a comma, with those that node sets replaced and
// added. path names obj for messages, nil at the top. It returns how many there are.
func (m *merger) members(dst, obj []byte, node int, path []byte) ([]byte, int, *SchemaError) {
	count := 0
	var err *SchemaError
	jsondoc.Fields(obj, func(quoted, raw []byte) bool {
		name := m.decode(quoted)
		if path == nil && isReserved(name) {
			return true
		}
		mark := len(dst)
		count++
		dst = append(append(append(dst, ','), quoted...), ':')
		c := m.find(node, name)
		if c == 0 {
			dst = append(dst, raw...)
			return true
		}
		m.nodes[c].seen = true
		if dst, err = m.set(dst, raw, c, path); m.gone {
			dst, count = dst[:mark], count-1
		}
		return err == nil
	})
	if err != nil {
		return dst, 0, err
	}
	for c := m.nodes[node].first; c != 0; c = m.nodes[c].next {
		if m.nodes[c].seen {
			continue
		}
		mark := len(dst)
		count++
		dst = appendKey(dst, m.nodes[c].name)
		if dst, err = m.set(dst, nil, c, path); err != nil {
			return dst, 0, err
		}
		if m.gone {
			dst, count = dst[:mark], count-1
		}
	}
	return dst, count, nil
}

// set appends what node makes of the stored value raw (nil: there is none).
func (m *merger) set(dst, raw []byte, node int, path []byte) ([]byte, *SchemaError) {
	n := &m.nodes[node]
	m.gone = false
	if n.value.Exists() {
		if n.op == opSet {
			return n.value.Append(dst), nil
		}
		out, keep, err := n.op.carryOut(dst, raw, n.value, joinPath(path, n.name))
		m.gone = !keep
		return out, err
	}
	inner := make([]byte, 0, len(path)+1+len(n.name))
	if path != nil {
		inner = append(append(inner, path...), '.')
	}
	inner = append(inner, n.name...)
	if raw != nil && raw[0] == '[' {
		m.gone = false
		return m.elements(dst, raw, node, inner)
	}
	if raw != nil && raw[0] != '{' {
		first := m.nodes[n.first].name
		full := string(inner) + "." + string(first)
		return dst, &SchemaError{Field: full, Message: "Field '" + full + "' cannot be set: '" + string(inner) + "' is not an object."}
	}
	at := len(dst)
	dst, count, err := m.members(dst, raw, node, inner)
	if err == nil && count > maxMembers {
		err = errTooManyMembers()
	}
	if err != nil {
		return dst, err
	}
	m.gone = false
	if len(dst) == at { // the only member was removed
		return append(dst, "{}"...), nil
	}
	dst[at] = '{' // each member was put behind a comma
	return append(dst, '}'), nil
}

// elements appends the stored array arr with the elements that node sets replaced. A position is written in plain digits;
// the one behind the last element appends. An element that is removed leaves null, so that the others keep their places.
func (m *merger) elements(dst, arr []byte, node int, path []byte) ([]byte, *SchemaError) {
	dst = append(dst, '[')
	count := 0
	var err *SchemaError
	one := func(raw []byte, c int) bool {
		if count > 0 {
			dst = append(dst, ',')
		}
		count++
		if c == 0 {
			dst = append(dst, raw...)
			return true
		}
		m.nodes[c].seen = true
		mark := len(dst)
		if dst, err = m.set(dst, raw, c, path); err == nil && m.gone {
			dst = append(dst[:mark], "null"...)
		}
		return err == nil
	}
	var digits [20]byte
	at := func() int { return m.find(node, strconv.AppendInt(digits[:0], int64(count), 10)) }
	jsondoc.Elements(arr, func(raw []byte) bool { return one(raw, at()) })
	for c := at(); err == nil && c != 0; c = at() {
		one(nil, c)
	}
	for c := m.nodes[node].first; err == nil && c != 0; c = m.nodes[c].next {
		if !m.nodes[c].seen {
			full := joinPath(path, m.nodes[c].name)
			err = &SchemaError{Field: full, Message: "Field '" + full + "' cannot be set: '" + string(path) + "' is an Array with positions from 0 to " + strconv.Itoa(count-1) + "."}
		}
	}
	m.gone = false
	return append(dst, ']'), err
}

// joinPath names a member for a message.
func joinPath(path, name []byte) string {
	if path == nil {
		return string(name)
	}
	return string(path) + "." + string(name)
}

func (m *merger) find(node int, name []byte) int {
	for c := m.nodes[node].first; c != 0; c = m.nodes[c].next {
		if bytes.Equal(m.nodes[c].name, name) {
			return c
		}
	}
	return 0
}

// decode returns a stored member name without quotes and escapes, good until the next call.
func (m *merger) decode(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 && len(quoted) >= 2 {
		return quoted[1 : len(quoted)-1]
	}
	m.name = jsondoc.Unquote(m.name[:0], quoted)
	return m.name
}

// sameID reports whether v is the stored document's id. Hexadecimal digits are digits in either case.
func sameID(v jsondoc.Value, before []byte) bool {
	stored, ok := jsondoc.Lookup(before, idMember)
	return ok && v.Kind() == jsondoc.String && len(stored) >= 2 && bytes.EqualFold(v.Text(), stored[1:len(stored)-1])
}
