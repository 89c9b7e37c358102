package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Bounds of a file.
const (
	maxFileBytes = 4 << 20
	maxProblems  = 50
	maxUsers     = 100
	maxDocuments = 2000
	maxCases     = 5000
)

// File is a table of cases.
type File struct {
	Name    string    // how messages call it
	Project string    // path of the project's file, relative to this one; "": not said
	Now     time.Time // when every case happens

	users     []user
	documents []document
	Cases     []*Case

	names names
	src   []byte
}

// user is somebody who can be logged in.
type user struct {
	name    string
	id      string
	profile *yaml.Node // members of the account's document, or nil
}

// document is one that is there when a case begins.
type document struct {
	collection string
	label      string
	id         string
	body       *yaml.Node
}

// Case is one row of the table.
type Case struct {
	Name string
	Line int

	as    string // a user's name, anonymous or secret
	what  operation
	query string // encoded, of a list
	body  *yaml.Node

	expect *yaml.Node // the mapping; nil: not written yet
	want   expectation
	node   *yaml.Node // of the whole case
}

// operation is what a case asks for.
type operation struct {
	verb       string // insert, update, delete, get, list or request
	collection string
	id         string
	method     string // of a request
	path       string
}

// expectation is what must come of a case. A nil node is a member that the file does not write.
type expectation struct {
	verdict, status, code, message, document, visible, answer, maxFuel *yaml.Node
}

// Callers that are no users.
const (
	callerAnonymous = "anonymous" // the publishable key, nobody logged in
	callerSecret    = "secret"    // the secret key
)

// Verdicts.
const (
	verdictAllow = "allow"
	verdictDeny  = "deny"  // refused: by a guest, an access rule, the schema
	verdictError = "error" // a guest or the server broke, which refuses as well
)

// defaultNow is when cases happen unless their file says otherwise.
var defaultNow = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Problem is one mistake in a file.
type Problem struct {
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// FileError holds every mistake of a file.
type FileError struct {
	File     string
	Problems []Problem
}

func (e *FileError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxProblems {
			fmt.Fprintf(&b, "and %d more", len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "%s:%d: %s", e.File, p.Line, p.Message)
	}
	return b.String()
}

// Parse reads a file. It is strict, and its error is a *FileError with every mistake and its line.
func Parse(name string, src []byte) (*File, error) {
	f := &File{Name: name, Now: defaultNow, src: bytes.Clone(src), names: newNames()}
	r := &reader{}
	root := r.document(src)
	if root != nil {
		f.read(r, root)
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &FileError{File: name, Problems: r.problems}
	}
	return f, nil
}

// document reads the one document of a file; nil if there is something else.
func (r *reader) document(src []byte) *yaml.Node {
	if len(src) > maxFileBytes {
		r.addf(1, "the file is larger than %d bytes", maxFileBytes)
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		r.addf(1, "%v", err)
		return nil
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); err == io.EOF {
		r.addf(1, "the file is empty")
		return nil
	} else if err != nil {
		r.syntax(err)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		r.addf(second.Line, "the file holds a second document")
		return nil
	} else if err != io.EOF {
		r.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.addf(1, "the file must be a mapping with a list of cases")
		return nil
	}
	return doc.Content[0]
}

func (r *reader) syntax(err error) {
	var lerr *yaml.LoadError
	if !errors.As(err, &lerr) {
		r.addf(1, "not YAML: %v", err)
		return
	}
	message := lerr.Message
	if lerr.ContextMsg != "" {
		message += " " + lerr.ContextMsg
	}
	r.addf(max(lerr.Mark.Line, 1), "not YAML: %s", message)
}

// read takes the file apart: names before what uses them, wherever they stand.
func (f *File) read(r *reader, root *yaml.Node) {
	var users, documents, list *yaml.Node
	keep := func(p **yaml.Node) func(*yaml.Node) { return func(n *yaml.Node) { *p = n } }
	r.mapping(root, "the file", []member{
		{"project", func(n *yaml.Node) { f.Project = r.text(n, "project") }},
		{"now", func(n *yaml.Node) { f.Now = r.time(n, "now") }},
		{"users", keep(&users)},
		{"documents", keep(&documents)},
		{"cases", keep(&list)},
	})
	if users != nil {
		f.readUsers(r, users)
	}
	if documents != nil {
		f.readDocuments(r, documents)
	}
	if list == nil || len(list.Content) == 0 {
		r.addf(root.Line, "there are no cases")
		return
	}
	seen := map[string]int{}
	r.list(list, "cases", maxCases, func(n *yaml.Node) {
		c := f.readCase(r, n)
		if line := seen[c.Name]; line > 0 {
			r.addf(n.Line, "another case is called %q, on line %d", c.Name, line)
		} else if c.Name != "" {
			seen[c.Name] = n.Line
		}
		f.Cases = append(f.Cases, c)
	})
}

func (f *File) readUsers(r *reader, n *yaml.Node) {
	r.each(n, "users", maxUsers, func(key, value *yaml.Node) {
		if key.Value == callerAnonymous || key.Value == callerSecret {
			r.addf(key.Line, "%q is not a user: it always names a caller of its own", key.Value)
			return
		}
		u := user{name: key.Value, id: f.id(kindUser, len(f.users))}
		if !isNull(value) {
			if r.is(value, yaml.MappingNode, "users."+key.Value, "a mapping with the members of the account, or {}") {
				u.profile = value
			}
		}
		r.name(key, f.names.add(u.name, u.id))
		f.users = append(f.users, u)
	})
}

func (f *File) readDocuments(r *reader, n *yaml.Node) {
	r.each(n, "documents", maxDocuments, func(collection, documents *yaml.Node) {
		r.each(documents, "documents."+collection.Value, maxDocuments, func(label, body *yaml.Node) {
			if !r.is(body, yaml.MappingNode, label.Value, "a document") {
				return
			}
			if len(f.documents) == maxDocuments {
				r.addf(label.Line, "there are more than %d documents", maxDocuments)
				return
			}
			d := document{collection: collection.Value, label: label.Value, id: f.id(kindDocument, len(f.documents)), body: body}
			r.name(label, f.names.add(d.label, d.id))
			f.documents = append(f.documents, d)
		})
	})
}

// The kinds of ids that a file's names stand for.
const (
	kindUser = iota + 1
	kindDocument
)

// id makes the id of the nth thing of a kind. Ids grow with n, as those of documents do that are made one after the other.
func (f *File) id(kind, n int) string {
	return fmt.Sprintf("%08x%06x%010x", uint32(f.Now.Unix()), kind, n+1)
}

// verbs are the operations of a case.
var verbs = []string{"insert", "update", "delete", "get", "list", "request"}

func (f *File) readCase(r *reader, n *yaml.Node) *Case {
	c := &Case{Line: n.Line, node: n}
	var verb, target, query *yaml.Node
	members := []member{
		{"name", func(n *yaml.Node) { c.Name = r.text(n, "name") }},
		{"as", func(n *yaml.Node) {
			c.as = r.text(n, "as")
			if c.as != callerAnonymous && c.as != callerSecret && !slices.ContainsFunc(f.users, func(u user) bool { return u.name == c.as }) {
				r.addf(n.Line, "as: there is no user %q; it is one of users, %s or %s", c.as, callerAnonymous, callerSecret)
			}
		}},
		{"body", func(n *yaml.Node) { c.body = n }},
		{"query", func(n *yaml.Node) { query = n }},
		{"expect", func(n *yaml.Node) { c.expect = n }},
	}
	for _, v := range verbs {
		members = append(members, member{v, func(n *yaml.Node) {
			if target != nil {
				r.addf(n.Line, "a case asks for one thing: %s or %s", verb.Value, v)
				return
			}
			verb, target = &yaml.Node{Value: v, Line: n.Line}, n
		}})
	}
	if !r.mapping(n, "a case", members) {
		return c
	}
	if c.Name == "" {
		r.addf(n.Line, "a case needs a name that says what must hold")
	}
	if c.as == "" && !r.has(n, "as") {
		r.addf(n.Line, "as is missing: a user, %s or %s", callerAnonymous, callerSecret)
	}
	if target == nil {
		r.addf(n.Line, "a case needs one of %s", strings.Join(verbs, ", "))
		return c
	}
	c.what.verb = verb.Value
	f.readTarget(r, c, target)
	if query != nil {
		if c.what.verb != "list" {
			r.addf(query.Line, "query goes with list; a request has it in its path")
		} else {
			c.query = f.readQuery(r, query)
		}
	}
	switch {
	case c.body == nil && (c.what.verb == "insert" || c.what.verb == "update"):
		r.addf(n.Line, "%s needs a body: the document that is sent", c.what.verb)
	case c.body != nil && slices.Contains([]string{"get", "list", "delete"}, c.what.verb):
		r.addf(c.body.Line, "a %s has no body", c.what.verb)
	}
	if c.body != nil {
		r.json(nil, c.body, &f.names)
	}
	if c.expect != nil {
		f.readExpect(r, c)
	}
	return c
}

// readTarget reads what the verb is about: a collection, a document of one, or a request.
func (f *File) readTarget(r *reader, c *Case, n *yaml.Node) {
	if c.what.verb == "request" {
		r.mapping(n, "request", []member{
			{"method", func(n *yaml.Node) { c.what.method = strings.ToUpper(r.text(n, "method")) }},
			{"path", func(n *yaml.Node) { c.what.path = f.names.inPath(r.text(n, "path")) }},
		})
		if c.what.method == "" || !strings.HasPrefix(c.what.path, "/") {
			r.addf(n.Line, "a request needs a method and a path, as in {method: POST, path: /api/data/posts/bulk}")
		}
		return
	}
	text := r.text(n, c.what.verb)
	collection, label, one := strings.Cut(text, "/")
	c.what.collection = collection
	switch wants := c.what.verb == "update" || c.what.verb == "delete" || c.what.verb == "get"; {
	case text == "":
	case wants != one:
		if wants {
			r.addf(n.Line, "%s needs a collection and the label of a document, as in %s/first", c.what.verb, collection)
		} else {
			r.addf(n.Line, "%s needs a collection alone, as in %s", c.what.verb, collection)
		}
	case one:
		c.what.id = label
		if id, ok := f.names.id(label); ok {
			c.what.id = id
		} else if !isID(label) {
			r.addf(n.Line, "there is no document %q; give its label under documents, or an id of 24 hex digits", label)
		}
	}
}

// readQuery reads the parameters of a list, in the file's order.
func (f *File) readQuery(r *reader, n *yaml.Node) string {
	var b strings.Builder
	r.each(n, "query", 100, func(key, value *yaml.Node) {
		if !r.is(value, yaml.ScalarNode, "query."+key.Value, "one value; a parameter that is given twice is written as a request") {
			return
		}
		text := value.Value
		if value.ShortTag() == "!!str" {
			text = f.names.inText(r, value)
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(key.Value) + "=" + url.QueryEscape(text))
	})
	return b.String()
}

func (f *File) readExpect(r *reader, c *Case) {
	keep := func(p **yaml.Node) func(*yaml.Node) {
		return func(n *yaml.Node) { *p = n }
	}
	w := &c.want
	if !r.mapping(c.expect, "expect", []member{
		{"verdict", keep(&w.verdict)}, {"status", keep(&w.status)}, {"code", keep(&w.code)}, {"message", keep(&w.message)},
		{"document", keep(&w.document)}, {"visible", keep(&w.visible)}, {"answer", keep(&w.answer)}, {"maxFuel", keep(&w.maxFuel)},
	}) {
		return
	}
	if w.verdict != nil {
		switch v := r.text(w.verdict, "verdict"); v {
		case verdictAllow, verdictDeny, verdictError, "":
		default:
			r.addf(w.verdict.Line, "verdict is allow, deny or error, not %q", v)
		}
	} else if w.status == nil {
		r.addf(c.expect.Line, "expect needs a verdict: allow, deny or error")
	}
	if w.status != nil {
		r.integer(w.status, "status")
	}
	if w.maxFuel != nil {
		r.integer(w.maxFuel, "maxFuel")
	}
	for name, n := range map[string]*yaml.Node{"code": w.code, "message": w.message} {
		if n != nil {
			r.text(n, name)
		}
	}
	verb := c.what.verb
	if n := w.document; n != nil && r.is(n, yaml.MappingNode, "document", "a document") {
		if verb != "insert" && verb != "update" && verb != "get" {
			r.addf(n.Line, "a %s answers no document", verb)
		}
		r.json(nil, n, &f.names)
	}
	if n := w.visible; n != nil {
		if verb != "list" {
			r.addf(n.Line, "visible goes with list")
		}
		r.list(n, "visible", maxDocuments, func(n *yaml.Node) {
			if label := r.text(n, "visible"); !f.names.known(label) && !isID(label) {
				r.addf(n.Line, "there is no document %q", label)
			}
		})
	}
	if n := w.answer; n != nil {
		if verb != "request" {
			r.addf(n.Line, "answer goes with request")
		}
		r.json(nil, n, &f.names)
	}
}

// problem is a mistake that shows only on the node.
func (f *File) problem(line int, format string, args ...any) error {
	return &FileError{File: f.Name, Problems: []Problem{{Line: line, Message: fmt.Sprintf(format, args...)}}}
}

// line is where the file declares the user or document with an id.
func (f *File) line(id string) int {
	for _, d := range f.documents {
		if d.id == id {
			return d.body.Line
		}
	}
	for _, u := range f.users {
		if u.id == id && u.profile != nil {
			return u.profile.Line
		}
	}
	return 1
}

// user returns the user of a name that Parse has found.
func (f *File) user(name string) *user {
	return &f.users[slices.IndexFunc(f.users, func(u user) bool { return u.name == name })]
}
