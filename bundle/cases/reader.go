package cases

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// reader walks the nodes of a file and gathers what is wrong.
type reader struct{ problems []Problem }

func (r *reader) addf(line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: line, Message: fmt.Sprintf(format, args...)})
}

// member is a key that a mapping may have, and what reads its value.
type member struct {
	name string
	read func(*yaml.Node)
}

// mapping reads the known keys of a mapping.
func (r *reader) mapping(n *yaml.Node, what string, known []member) bool {
	names := make([]string, len(known))
	for i, m := range known {
		names[i] = m.name
	}
	return r.each(n, what, len(known)+1, func(key, value *yaml.Node) {
		i := slices.Index(names, key.Value)
		if i < 0 {
			r.addf(key.Line, "%s has no member %q; it knows %s", what, key.Value, strings.Join(names, ", "))
			return
		}
		known[i].read(value)
	})
}

// each reads the members of a mapping, of which there are at most limit, each of its own name.
func (r *reader) each(n *yaml.Node, what string, limit int, read func(key, value *yaml.Node)) bool {
	if !r.is(n, yaml.MappingNode, what, "a mapping of names and values") {
		return false
	}
	if len(n.Content)/2 > limit {
		r.addf(n.Line, "%s has %d members, at most %d are allowed", what, len(n.Content)/2, limit)
		return false
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch line, twice := lines[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.addf(key.Line, "a name must be a plain word")
		case twice:
			r.addf(key.Line, "%q is given twice, first on line %d", key.Value, line)
		default:
			lines[key.Value] = key.Line
			read(key, n.Content[i+1])
		}
	}
	return true
}

func (r *reader) has(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}

func (r *reader) list(n *yaml.Node, what string, limit int, read func(*yaml.Node)) {
	if !r.is(n, yaml.SequenceNode, what, "a list") {
		return
	}
	if len(n.Content) > limit {
		r.addf(n.Line, "%s has %d items, at most %d are allowed", what, len(n.Content), limit)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// is reports whether a node is of a kind, and says so if not.
func (r *reader) is(n *yaml.Node, kind yaml.Kind, what, want string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		r.addf(n.Line, "aliases are not allowed; write the value out")
	case n.Kind != kind:
		r.addf(n.Line, "%s must be %s", what, want)
	case n.Style&yaml.TaggedStyle != 0:
		r.addf(n.Line, "the tag %s is not allowed", n.Tag)
	default:
		return true
	}
	return false
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (r *reader) text(n *yaml.Node, what string) string {
	if !r.is(n, yaml.ScalarNode, what, "a text") {
		return ""
	}
	if isNull(n) {
		r.addf(n.Line, "%s is empty", what)
	}
	return n.Value
}

func (r *reader) integer(n *yaml.Node, what string) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if r.is(n, yaml.ScalarNode, what, "a whole number") && err != nil {
		r.addf(n.Line, "%s must be a whole number, not %q", what, n.Value)
	}
	return v
}

func (r *reader) time(n *yaml.Node, what string) time.Time {
	t, err := time.Parse(time.RFC3339, n.Value)
	if r.is(n, yaml.ScalarNode, what, "a time such as 2026-01-01T00:00:00Z") && (err != nil || t.Year() < 1971 || t.Year() > 2100) {
		r.addf(n.Line, "%s must be a time such as 2026-01-01T00:00:00Z, from 1971 to 2100, not %q", what, n.Value)
		return defaultNow
	}
	return t
}

// name says why a name cannot be taken.
func (r *reader) name(key *yaml.Node, err error) {
	if err != nil {
		r.addf(key.Line, "%v", err)
	}
}

// maxDepth of a document in a file.
const maxDepth = 32

// json appends the node as JSON. Names that begin with a dollar become ids, $any stays what it is. What cannot be written is
// a problem, and left out.
func (r *reader) json(dst []byte, n *yaml.Node, names *names) []byte {
	return r.jsonAt(dst, n, names, 0)
}

func (r *reader) jsonAt(dst []byte, n *yaml.Node, names *names, depth int) []byte {
	if depth > maxDepth {
		r.addf(n.Line, "a document may be nested %d levels deep", maxDepth)
		return append(dst, "null"...)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.jsonAt(dst, item, names, depth+1)
		}
		return append(dst, ']')
	case yaml.MappingNode:
		dst = append(dst, '{')
		first := true
		r.each(n, "a document", 1000, func(key, value *yaml.Node) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(jsondoc.AppendString(dst, key.Value), ':')
			dst = r.jsonAt(dst, value, names, depth+1)
		})
		return append(dst, '}')
	}
	if !r.is(n, yaml.ScalarNode, "this", "a value") {
		return append(dst, "null"...)
	}
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...)
	case "!!bool":
		return append(dst, strings.ToLower(n.Value)...)
	case "!!int", "!!float":
		if v, err := new(jsondoc.Parser).Parse([]byte(n.Value), jsondoc.Limits{}); err != nil || v.Kind() != jsondoc.Number {
			r.addf(n.Line, "write the number %s in plain decimal, as JSON does", n.Value)
			return append(dst, '0')
		}
		return append(dst, n.Value...)
	}
	return jsondoc.AppendString(dst, names.inText(r, n))
}
