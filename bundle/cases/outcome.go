package cases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Result is what became of one case.
type Result struct {
	Case       *Case
	Mismatches []Mismatch // none: it holds
	Log        []string   // what the guests logged, and why one broke
	Took       time.Duration
	Fuel       uint64 // of all guests that were asked

	requestID string
	got       outcome
}

// Mismatch is one member in which what came is not what was expected.
type Mismatch struct {
	Path string `json:"path"` // document.slug
	Line int    `json:"line"` // in the file
	Want string `json:"want"`
	Got  string `json:"got"`
}

// outcome is what came of a case, in the terms of an expectation.
type outcome struct {
	verdict       string
	status        int
	code, message string
	document      jsondoc.Value // missing: none was answered
	visible       []string      // labels or ids; nil unless it was a list
	ordered       bool          // the caller asked for an order
	answer        jsondoc.Value // the whole body
}

// Run puts the documents back and carries out one case. An error is not a case that fails but one that cannot be run: the
// documents do not fit the project, or the node does not answer.
func (n *Node) Run(ctx context.Context, f *File, c *Case) (*Result, error) {
	if err := n.reset(ctx, f); err != nil {
		return nil, err
	}
	a, err := n.ask(ctx, f, c)
	var known *FileError
	if err != nil && !errors.As(err, &known) {
		return nil, fmt.Errorf("%s:%d: %w", f.Name, c.Line, err)
	}
	if err != nil {
		return nil, err
	}
	res := &Result{Case: c, Log: n.journal.of(a.requestID), Took: a.took, requestID: a.requestID}
	if res.got, err = f.outcome(c, a); err != nil {
		return nil, err
	}
	if c.expect == nil {
		res.Mismatches = []Mismatch{{Path: "expect", Line: c.Line, Want: "nothing is written yet", Got: res.got.verdict}}
		return res, nil
	}
	m := matcher{names: &f.names}
	m.expect(c, &res.got)
	res.Mismatches = m.found
	return res, nil
}

// spent notes what the case's guests spent and holds it against what the file allows. It is known once the node is closed.
func (res *Result) spent(fuel uint64) {
	res.Fuel = fuel
	if most := res.Case.want.maxFuel; most != nil {
		if v, err := strconv.ParseUint(most.Value, 10, 64); err == nil && fuel > v {
			res.Mismatches = append(res.Mismatches, Mismatch{Path: "maxFuel", Line: most.Line, Want: "at most " + most.Value, Got: strconv.FormatUint(fuel, 10)})
		}
	}
}

// outcome reads an answer of the node.
func (f *File) outcome(c *Case, a *answer) (o outcome, err error) {
	o = outcome{status: a.status, verdict: verdictAllow}
	if len(a.body) > 0 {
		if o.answer, err = new(jsondoc.Parser).Parse(bytes.Clone(a.body), jsondoc.Limits{Depth: 64, Members: 1 << 16, Items: 1 << 16}); err != nil {
			return o, f.problem(c.Line, "the answer is not JSON: %v", err)
		}
	}
	if a.status >= 300 {
		o.code, o.message = string(o.answer.Get("reason").Text()), string(o.answer.Get("message").Text())
		o.verdict = verdictDeny
		if a.status >= http.StatusInternalServerError || o.code == "policy.error" || o.code == "hook.error" {
			o.verdict = verdictError
		}
		return o, nil
	}
	switch c.what.verb {
	case "insert", "get":
		o.document = o.answer
	case "update":
		o.document = o.answer.Get("data")
	case "list":
		o.visible, o.ordered = []string{}, strings.Contains("&"+c.query, "&sort=")
		for _, item := range o.answer.Get("data").Get("items").Items() {
			o.visible = append(o.visible, f.names.label(string(item.Get("_id").Text())))
		}
	}
	return o, nil
}

// stamped are members that the server alone sets. They are compared only where the file names them.
var stamped = []string{"_id", "createdAt", "updatedAt"}

// matcher compares an outcome with an expectation.
type matcher struct {
	names *names
	found []Mismatch
}

func (m *matcher) differ(path string, line int, want, got string) {
	m.found = append(m.found, Mismatch{Path: path, Line: line, Want: want, Got: got})
}

func (m *matcher) expect(c *Case, got *outcome) {
	w := &c.want
	text := func(path string, n *yaml.Node, got string) {
		if n != nil && n.Value != anyValue && n.Value != got {
			if got == "" {
				got = "nothing"
			}
			m.differ(path, n.Line, n.Value, got)
		}
	}
	text("verdict", w.verdict, got.verdict)
	if w.status != nil {
		text("status", w.status, strconv.Itoa(got.status))
	}
	text("code", w.code, got.code)
	text("message", w.message, got.message)
	if w.verdict == nil || w.verdict.Value == got.verdict { // else the code says why, and there is no document to compare
		if w.document != nil {
			m.object("document", w.document, got.document, false)
		}
		if w.visible != nil {
			m.visible(w.visible, got)
		}
	}
	if w.answer != nil {
		m.value("answer", w.answer, got.answer, true)
	}
	if w.verdict != nil && w.verdict.Value == verdictAllow && got.verdict != verdictAllow && w.code == nil {
		m.differ("code", w.verdict.Line, "nothing", strings.TrimSpace(got.code+" "+strconv.Quote(got.message)))
	}
}

// visible compares which documents a list shows, in their order if the case asks for one.
func (m *matcher) visible(n *yaml.Node, got *outcome) {
	want := make([]string, len(n.Content))
	for i, item := range n.Content {
		want[i] = m.names.label(item.Value)
	}
	a, b := slices.Clone(want), slices.Clone(got.visible)
	if !got.ordered {
		slices.Sort(a)
		slices.Sort(b)
	}
	if !slices.Equal(a, b) {
		m.differ("visible", n.Line, "["+strings.Join(want, ", ")+"]", "["+strings.Join(got.visible, ", ")+"]")
	}
}

// value compares a value of the file with one of the answer. With loose, objects may have members that the file does not name.
func (m *matcher) value(path string, want *yaml.Node, got jsondoc.Value, loose bool) {
	switch {
	case want.Kind == yaml.ScalarNode && want.Value == anyValue && want.ShortTag() == "!!str":
		if !got.Exists() {
			m.differ(path, want.Line, "any value", "nothing")
		}
	case want.Kind == yaml.MappingNode && got.Kind() == jsondoc.Object:
		m.object(path, want, got, loose)
	case want.Kind == yaml.SequenceNode && got.Kind() == jsondoc.Array:
		if len(want.Content) != got.Len() {
			m.differ(path, want.Line, fmt.Sprintf("%d items: %s", len(want.Content), m.wanted(want)), fmt.Sprintf("%d: %s", got.Len(), m.text(got)))
			return
		}
		for i, item := range got.Items() {
			m.value(path+"["+strconv.Itoa(i)+"]", want.Content[i], item, loose)
		}
	default:
		expected := new(reader).json(nil, want, m.names)
		if !sameScalar(expected, got) {
			m.differ(path, want.Line, m.wanted(want), m.text(got))
		}
	}
}

func (m *matcher) object(path string, want *yaml.Node, got jsondoc.Value, loose bool) {
	if got.Kind() != jsondoc.Object {
		m.differ(path, want.Line, m.wanted(want), m.text(got))
		return
	}
	named := map[string]bool{}
	for i := 0; i+1 < len(want.Content); i += 2 {
		key := want.Content[i].Value
		named[key] = true
		m.value(path+"."+key, want.Content[i+1], got.Get(key), loose)
	}
	if loose {
		return
	}
	for key, value := range got.Members() {
		if k := string(key); !named[k] && (path != "document" || !slices.Contains(stamped, k)) {
			m.differ(path+"."+k, want.Line, "nothing", m.text(value))
		}
	}
}

// sameScalar compares two values of which at least one is no object and no array. Numbers are equal when they mean the same.
func sameScalar(want []byte, got jsondoc.Value) bool {
	if got.Kind() == jsondoc.Number && jsondoc.KindOf(want) == jsondoc.Number {
		a, okA := new(big.Rat).SetString(string(want))
		b, okB := new(big.Rat).SetString(string(got.Raw()))
		return okA && okB && a.Cmp(b) == 0
	}
	return got.Exists() && bytes.Equal(want, got.Append(nil))
}

// wanted and text show values to a person, in one line, with the file's names for ids.
func (m *matcher) wanted(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		return strconv.Quote(n.Value)
	}
	raw := new(reader).json(nil, n, m.names)
	v, err := new(jsondoc.Parser).Parse(raw, jsondoc.Limits{})
	if err != nil {
		return string(raw)
	}
	return m.text(v)
}

func (m *matcher) text(v jsondoc.Value) string {
	switch v.Kind() {
	case jsondoc.Missing:
		return "nothing"
	case jsondoc.String:
		return strconv.Quote(m.names.shown(string(v.Text())))
	case jsondoc.Array:
		var items []string
		for _, item := range v.Items() {
			items = append(items, m.text(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case jsondoc.Object:
		var members []string
		for key, value := range v.Members() {
			members = append(members, string(key)+": "+m.text(value))
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return string(v.Raw())
}
