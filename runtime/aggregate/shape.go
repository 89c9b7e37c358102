package aggregate

import (
	"bytes"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// mode is what a shaping stage does with members that it does not name, and with those that it names without a value.
type mode uint8

const (
	include mode = iota // only what is named or computed
	exclude             // all but what is named
	set                 // all, and what is computed
)

// node is one named member of a shaping stage. The paths of a stage make a tree of them.
type node struct {
	name  string
	key   []byte // the name, quoted, with its colon
	leaf  bool   // a path ends here
	value expr   // of a leaf: what is computed; nil: the member itself is meant
	below []*node
	makes bool // something is computed here or below
}

// shaping is $project, $addFields and $unset.
type shaping struct {
	mode mode
	top  []*node
}

func (s *shaping) start(r *run, next sink, _ bool) sink { return &shapingSink{s, r, next} }
func (*shaping) makes() bool                            { return true }

// add enters one path.
func (s *shaping) add(path string, value expr) error {
	list, at := &s.top, (*node)(nil)
	fresh := false
	for segment := range strings.SplitSeq(path, ".") {
		if at != nil && at.leaf {
			fresh = false
			break
		}
		at, fresh = nil, false
		for _, n := range *list {
			if n.name == segment {
				at = n
			}
		}
		if at == nil {
			fresh = true
			at = &node{name: segment, key: append(jsondoc.AppendString(nil, segment), ':')}
			*list = append(*list, at)
		}
		at.makes = at.makes || value != nil
		list = &at.below
	}
	if !fresh {
		return invalid("The field %q is named twice, or once by a path that contains it.", path)
	}
	at.leaf, at.value = true, value
	return nil
}

// document appends what the stage makes of a document.
func (s *shaping) document(dst, doc []byte) ([]byte, error) { return s.object(dst, doc, doc, s.top) }

// object appends what becomes of one object under the nodes named there. Members keep their places; new ones come behind
// them in the order in which the stage names them.
func (s *shaping) object(dst, obj, doc []byte, nodes []*node) ([]byte, error) {
	dst = append(dst, '{')
	var (
		err  error
		few  [16]bool
		seen = few[:]
	)
	if len(nodes) > len(seen) {
		seen = make([]bool, len(nodes))
	}
	jsondoc.Fields(obj, func(name, raw []byte) bool {
		i := find(nodes, name)
		if i < 0 {
			if s.mode != include {
				dst = append(append(appendItem(dst, name), ':'), raw...)
			}
			return true
		}
		seen[i] = true
		dst, err = s.member(dst, raw, doc, nodes[i])
		return err == nil
	})
	for i, n := range nodes {
		if err == nil && !seen[i] && n.makes {
			dst, err = s.member(dst, nil, doc, n)
		}
	}
	if err == nil && len(dst) > maxValue {
		err = errValue
	}
	return append(dst, '}'), err
}

func find(nodes []*node, quoted []byte) int {
	for i, n := range nodes {
		if len(n.key) == len(quoted)+1 && bytes.Equal(n.key[:len(quoted)], quoted) {
			return i
		}
	}
	return -1
}

// member appends what becomes of a named member whose value is raw, nil if it has none.
func (s *shaping) member(dst, raw, doc []byte, n *node) ([]byte, error) {
	switch {
	case n.leaf && n.value == nil:
		if s.mode == include {
			dst = append(appendItem(dst, n.key), raw...)
		}
		return dst, nil
	case n.leaf:
		value, err := n.value(doc)
		if err != nil || value == nil {
			return dst, err
		}
		return append(appendItem(dst, n.key), value...), nil
	case !s.keeps(raw, n):
		return dst, nil
	}
	return s.within(appendItem(dst, n.key), raw, doc, n)
}

// keeps reports whether a value on the way to named members stays: in what is included, a value that has no members does
// not, unless something is computed in its place.
func (s *shaping) keeps(raw []byte, n *node) bool {
	return s.mode != include || n.makes || jsondoc.KindOf(raw) >= jsondoc.Array
}

// within appends a value on the way to named members: objects are gone into, arrays element by element.
func (s *shaping) within(dst, raw, doc []byte, n *node) (out []byte, err error) {
	switch jsondoc.KindOf(raw) {
	case jsondoc.Object:
		return s.object(dst, raw, doc, n.below)
	case jsondoc.Array:
		dst = append(dst, '[')
		jsondoc.Elements(raw, func(el []byte) bool {
			if s.keeps(el, n) {
				dst, err = s.within(appendItem(dst, nil), el, doc, n)
			}
			if len(dst) > maxValue {
				err = errValue
			}
			return err == nil
		})
		return append(dst, ']'), err
	}
	if n.makes {
		return s.object(dst, empty, doc, n.below)
	}
	return append(dst, raw...), nil
}

type shapingSink struct {
	*shaping
	run  *run
	next sink
}

func (s *shapingSink) push(doc []byte) (bool, error) {
	out, err := s.document(make([]byte, 0, len(doc)), doc)
	if err != nil {
		return false, err
	}
	return s.run.made(s.next, out)
}

func (s *shapingSink) close() error { return s.next.close() }

// addFields parses $addFields: {path: expression}.
func (p *parser) addFields(v jsondoc.Value) (stage, error) {
	if v.Kind() != jsondoc.Object || v.Len() == 0 {
		return nil, invalid("It takes an object of fields and their values.")
	}
	s := &shaping{mode: set}
	for key, member := range v.Members() {
		if err := p.path(string(key)); err != nil {
			return nil, err
		}
		e, err := p.expr(member)
		if err != nil {
			return nil, err
		}
		if err := s.add(string(key), e); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// unset parses $unset: one path or a list of them.
func (p *parser) unset(v jsondoc.Value) (stage, error) {
	s := &shaping{mode: exclude}
	one := func(v jsondoc.Value) error {
		if v.Kind() != jsondoc.String {
			return invalid("It takes the name of a field, or a list of names.")
		}
		if err := p.path(string(v.Text())); err != nil {
			return err
		}
		return s.add(string(v.Text()), nil)
	}
	if v.Kind() != jsondoc.Array {
		return s, one(v)
	}
	if v.Len() == 0 || v.Len() > maxNodes {
		return nil, invalid("It takes the name of a field, or a list of names.")
	}
	for _, item := range v.Items() {
		if err := one(item); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// projection gathers what a $project names before it is known whether that is to be kept or to be left out.
type projection struct {
	parser   *parser
	shape    *shaping
	included int
	excluded int
	id       *bool // what is said of _id alone
}

// project parses $project: {path: 1}, {path: 0}, {path: expression} and objects of these.
func (p *parser) project(v jsondoc.Value) (stage, error) {
	if v.Kind() != jsondoc.Object || v.Len() == 0 {
		return nil, invalid("It takes an object with at least one field.")
	}
	pr := projection{parser: p, shape: &shaping{mode: include}}
	if err := pr.members("", v); err != nil {
		return nil, err
	}
	if pr.included > 0 && pr.excluded > 0 {
		return nil, invalid("It takes fields to include or fields to exclude, not both.")
	}
	withID := pr.id == nil || *pr.id
	if pr.included == 0 && (pr.excluded > 0 || !withID) {
		pr.shape.mode = exclude
	}
	if pr.shape.mode == include == withID && find(pr.shape.top, []byte(`"_id"`)) < 0 {
		return pr.shape, pr.shape.add("_id", nil)
	}
	return pr.shape, nil
}

func (pr *projection) members(prefix string, v jsondoc.Value) error {
	if err := pr.parser.enter(); err != nil {
		return err
	}
	defer pr.parser.leave()
	for key, member := range v.Members() {
		name := prefix + string(key)
		if err := pr.parser.path(name); err != nil {
			return err
		}
		if err := pr.field(name, member); err != nil {
			return err
		}
	}
	return nil
}

func (pr *projection) field(name string, v jsondoc.Value) error {
	if pr.parser.nodes++; pr.parser.nodes > maxNodes {
		return tooLarge("The pipeline has more than %d parts.", maxNodes)
	}
	switch k := v.Kind(); {
	case k == jsondoc.Number, k == jsondoc.Bool:
		wanted := truth(v.Append(nil))
		switch {
		case name == "_id":
			if pr.id != nil || find(pr.shape.top, []byte(`"_id"`)) >= 0 {
				return invalid("The field \"_id\" is named twice, or once by a path that contains it.")
			}
			pr.id = &wanted
			return nil
		case wanted:
			pr.included++
		default:
			pr.excluded++
		}
		return pr.shape.add(name, nil)
	case k == jsondoc.Object && v.Len() == 0:
		return invalid("The field %q has an empty object for a value.", name)
	case k == jsondoc.Object && !isOperator(v):
		return pr.members(name+".", v)
	}
	e, err := pr.parser.expr(v)
	if err != nil {
		return err
	}
	pr.included++
	return pr.shape.add(name, e)
}
