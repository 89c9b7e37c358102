package cases

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/kv"
)

// anyValue matches every value, in an expectation.
const anyValue = "$any"

// names are what the file calls users and documents, and the ids that they have on the node.
type names struct {
	ids    map[string]string // name → id
	labels map[string]string // id → name
}

func newNames() names { return names{ids: map[string]string{}, labels: map[string]string{}} }

// add gives an id a name.
func (m *names) add(name, id string) error {
	switch {
	case !isName(name):
		return fmt.Errorf("%q cannot be a name: letters, digits, - and _, the first one a letter", name)
	case "$"+name == anyValue:
		return fmt.Errorf("%q is taken: %s means any value", name, anyValue)
	case m.ids[name] != "":
		return fmt.Errorf("%q is used twice; users and documents share their names", name)
	}
	m.ids[name], m.labels[id] = id, name
	return nil
}

func (m *names) id(name string) (string, bool) {
	id, ok := m.ids[name]
	return id, ok
}

func (m *names) known(name string) bool { return m.ids[name] != "" }

// label is what the file calls an id, or the id.
func (m *names) label(id string) string {
	if name, ok := m.labels[id]; ok {
		return name
	}
	return id
}

// inText is the text that a node means: an id for $name, $x for $$x, and $any for itself.
func (m *names) inText(r *reader, n *yaml.Node) string {
	text := n.Value
	switch {
	case !strings.HasPrefix(text, "$") || text == anyValue:
		return text
	case strings.HasPrefix(text, "$$"):
		return text[1:]
	}
	id, ok := m.ids[text[1:]]
	if ok {
		return id
	}
	if isName(text[1:]) {
		r.addf(n.Line, "nothing is called %s; write $%s for the text itself", text, text)
	}
	return text
}

// inPath replaces every segment $name of a path.
func (m *names) inPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, "$"); ok && m.ids[name] != "" {
			parts[i] = m.ids[name]
		}
	}
	return strings.Join(parts, "/")
}

// shown is a text as the file would write it: the other way round of inText.
func (m *names) shown(text string) string {
	if name, ok := m.labels[text]; ok {
		return "$" + name
	}
	if strings.HasPrefix(text, "$") {
		return "$" + text
	}
	return text
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '-' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func isID(s string) bool {
	_, ok := kv.ParseDocID(s)
	return ok
}
