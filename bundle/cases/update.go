package cases

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Update returns the file's text with the expectations of those results that did not hold made true, and how many that
// are. Every line outside of them stays as it is; within one, comments, the order of members and what did hold stay.
func (f *File) Update(results []*Result) (src []byte, updated int, err error) {
	lines := strings.SplitAfter(string(f.src), "\n")
	for _, res := range slices.Backward(results) { // from the end, so that line numbers stay true
		if len(res.Mismatches) == 0 {
			continue
		}
		c := res.Case
		if c.node.Style&yaml.FlowStyle != 0 {
			return nil, 0, f.problem(c.Line, "a case within braces cannot be rewritten; write its members on lines of their own")
		}
		if lines, err = f.rewrite(lines, res); err != nil {
			return nil, 0, err
		}
		updated++
	}
	src = []byte(strings.Join(lines, ""))
	if _, err := Parse(f.Name, src); err != nil {
		return nil, 0, fmt.Errorf("the rewritten file could not be read again, so nothing was changed: %w", err)
	}
	return src, updated, nil
}

// rewrite puts one case's new expectation into the lines.
func (f *File) rewrite(lines []string, res *Result) ([]string, error) {
	c := res.Case
	column := c.node.Content[0].Column - 1 // of the case's members
	if c.expect == nil {
		expect := &yaml.Node{Kind: yaml.MappingNode}
		res.got.write(expect, c, &f.names)
		text, err := dump(expect, column)
		if err != nil {
			return nil, err
		}
		end := extent(lines, c.node.Content[0].Line-1, column-1)
		if end > 0 && !strings.HasSuffix(lines[end-1], "\n") {
			lines[end-1] += "\n"
		}
		return slices.Insert(lines, end, strings.Repeat(" ", column)+text), nil
	}
	var key *yaml.Node
	for i := 0; i < len(c.node.Content); i += 2 {
		if c.node.Content[i].Value == "expect" {
			key = c.node.Content[i]
		}
	}
	from := key.Line - 1
	to := extent(lines, from, column)
	before := lines[from][:column] // spaces, or the dash of the list
	// The part is read again by itself, so that no comment of what surrounds it belongs to it.
	part := strings.Repeat(" ", column) + lines[from][column:] + strings.Join(lines[from+1:to], "")
	var doc yaml.Node
	if err := yaml.Load([]byte(part), &doc); err != nil || len(doc.Content) != 1 || len(doc.Content[0].Content) != 2 {
		return nil, f.problem(key.Line, "this expectation cannot be rewritten; write it anew, or remove it")
	}
	expect := doc.Content[0].Content[1]
	if expect.Kind != yaml.MappingNode {
		expect = &yaml.Node{Kind: yaml.MappingNode}
	}
	res.got.write(expect, c, &f.names)
	if most := valueOf(expect, "maxFuel"); most != nil {
		if v, err := strconv.ParseUint(most.Value, 10, 64); err == nil && res.Fuel > v {
			put(expect, "maxFuel", scalar(strconv.FormatUint(res.Fuel, 10), "!!int"))
		}
	}
	doc.Content[0].Content[1] = expect
	text, err := dump(doc.Content[0], column)
	if err != nil {
		return nil, err
	}
	return slices.Replace(lines, from, to, before+text), nil
}

// extent returns the line behind the last one of what begins on a line and is indented by more than column. Blank lines and comments
// that follow belong to what comes next.
func extent(lines []string, from, column int) int {
	end := from + 1
	for i := from + 1; i < len(lines); i++ {
		text := strings.TrimRight(lines[i], " \r\n")
		bare := strings.TrimLeft(text, " ")
		switch {
		case bare == "":
		case len(text)-len(bare) <= column:
			return end
		default:
			end = i + 1
		}
	}
	return end
}

// dump writes `expect: …`, indented but for its first line. n is the mapping that holds it, or its value.
func dump(n *yaml.Node, column int) (string, error) {
	if len(n.Content) == 0 || n.Content[0].Value != "expect" {
		n = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "expect"}, n}}
	}
	raw, err := yaml.Dump(n, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, line := range bytes.SplitAfter(raw, []byte("\n")) {
		if i > 0 && len(bytes.TrimSpace(line)) > 0 {
			b.WriteString(strings.Repeat(" ", column))
		}
		b.Write(line)
	}
	return b.String(), nil
}

// write makes an expectation true. Members that hold already stay as they are written.
func (o *outcome) write(expect *yaml.Node, c *Case, names *names) {
	m := matcher{names: names}
	m.expect(c, o)
	wrong := func(path string) bool {
		return slices.ContainsFunc(m.found, func(d Mismatch) bool {
			return d.Path == path || strings.HasPrefix(d.Path, path+".") || strings.HasPrefix(d.Path, path+"[")
		})
	}
	text := func(name, value string) {
		switch {
		case value == "":
			remove(expect, name)
		case valueOf(expect, name) == nil || wrong(name):
			put(expect, name, scalar(value, "!!str"))
		}
	}
	if c.what.verb != "request" || valueOf(expect, "verdict") != nil || valueOf(expect, "status") == nil {
		text("verdict", o.verdict)
	}
	if valueOf(expect, "status") != nil && wrong("status") {
		put(expect, "status", scalar(strconv.Itoa(o.status), "!!int"))
	}
	text("code", o.code)
	text("message", o.message)
	switch have := valueOf(expect, "document"); {
	case o.document.Kind() != jsondoc.Object:
		remove(expect, "document")
	case have == nil:
		put(expect, "document", fresh(o.document, names, true))
	case wrong("document"):
		adapt(have, o.document, names, true)
	}
	switch have := valueOf(expect, "visible"); {
	case o.visible == nil:
		remove(expect, "visible")
	case have == nil || wrong("visible"):
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, label := range o.visible {
			list.Content = append(list.Content, scalar(label, "!!str"))
		}
		put(expect, "visible", list)
	}
	if have := valueOf(expect, "answer"); have != nil && wrong("answer") {
		if o.answer.Kind() == kindOf(have) {
			narrow(have, o.answer, names)
		} else {
			put(expect, "answer", fresh(o.answer, names, false))
		}
	}
}

// kindOf is the kind of value that a node writes, as far as it has members or items.
func kindOf(n *yaml.Node) jsondoc.Kind {
	switch n.Kind {
	case yaml.MappingNode:
		return jsondoc.Object
	case yaml.SequenceNode:
		return jsondoc.Array
	}
	return jsondoc.Missing
}

// valueOf returns the value of a member, or nil.
func valueOf(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// put sets a member in its place, with the comment that it has, or adds it at the end.
func put(n *yaml.Node, name string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if old := n.Content[i+1]; n.Content[i].Value == name {
			value.HeadComment, value.LineComment, value.FootComment = old.HeadComment, old.LineComment, old.FootComment
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
}

func remove(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// scalar makes a node that reads as value. What would read as something else is put in quotes.
func scalar(value, tag string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// adapt makes a document of the file equal to an answered one: what is equal stays as it is written.
func adapt(n *yaml.Node, got jsondoc.Value, names *names, top bool) {
	for i := 0; i+1 < len(n.Content); {
		if !got.Get(n.Content[i].Value).Exists() {
			n.Content = slices.Delete(n.Content, i, i+2)
			continue
		}
		i += 2
	}
	for key, value := range got.Members() {
		name := string(key)
		have := valueOf(n, name)
		if have == nil {
			if !top || !slices.Contains(stamped, name) {
				put(n, name, fresh(value, names, false))
			}
			continue
		}
		m := matcher{names: names}
		if m.value(name, have, value, false); len(m.found) == 0 {
			continue
		}
		if have.Kind == yaml.MappingNode && value.Kind() == jsondoc.Object {
			adapt(have, value, names, false)
		} else {
			put(n, name, fresh(value, names, false))
		}
	}
}

// narrow is adapt for an answer, of which the file names only what it wants to.
func narrow(n *yaml.Node, got jsondoc.Value, names *names) {
	if n.Kind == yaml.SequenceNode {
		*n = *fresh(got, names, false)
		return
	}
	for i := 0; i+1 < len(n.Content); {
		value := got.Get(n.Content[i].Value)
		m := matcher{names: names}
		switch have := n.Content[i+1]; {
		case !value.Exists():
			n.Content = slices.Delete(n.Content, i, i+2)
			continue
		case have.Kind == yaml.MappingNode && value.Kind() == jsondoc.Object:
			narrow(have, value, names)
		default:
			if m.value("", have, value, true); len(m.found) > 0 {
				put(n, n.Content[i].Value, fresh(value, names, false))
			}
		}
		i += 2
	}
}

// fresh writes a value as a file would: in one line, with the file's names for ids. At the top of a document what the
// server stamps is left out.
func fresh(v jsondoc.Value, names *names, top bool) *yaml.Node {
	switch v.Kind() {
	case jsondoc.Object:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for key, value := range v.Members() {
			if !top || !slices.Contains(stamped, string(key)) {
				n.Content = append(n.Content, scalar(string(key), "!!str"), fresh(value, names, false))
			}
		}
		return n
	case jsondoc.Array:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v.Items() {
			n.Content = append(n.Content, fresh(item, names, false))
		}
		return n
	case jsondoc.String:
		return scalar(names.shown(string(v.Text())), "!!str")
	case jsondoc.Bool:
		return scalar(string(v.Raw()), "!!bool")
	case jsondoc.Number:
		tag := "!!int"
		if strings.ContainsAny(string(v.Raw()), ".eE") {
			tag = "!!float"
		}
		return scalar(string(v.Raw()), tag)
	}
	return scalar("null", "!!null")
}
