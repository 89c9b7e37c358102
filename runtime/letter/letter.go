package letter

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"regexp"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// Bounds of templates and of what becomes of them.
const (
	MaxSubject   = 200       // code points of a subject, once written
	MaxSource    = 64 << 10  // bytes of one text or HTML source
	MaxWritten   = 256 << 10 // bytes of one text or HTML, once written
	MaxVariables = 64
	MaxName      = 64      // bytes, of a template and of a variable
	MaxValue     = 8 << 10 // bytes, of a variable
)

// Template is a mail as declared. Subject is needed, and Text or HTML or both.
type Template struct {
	Name    string
	Subject string
	Text    string
	HTML    string
}

// Letter is what a mail says. Text or HTML may be empty, not both.
type Letter struct {
	Subject string
	Text    string
	HTML    string
}

// Parsed is a template that is ready to be written. It is immutable.
type Parsed struct {
	Name          string
	subject, text *texttemplate.Template
	html          *htmltemplate.Template
}

// SourceError is a mistake in a template.
type SourceError struct {
	Part string // "name", "subject", "text" or "html"
	Why  string // a clause without a full stop
}

func (e *SourceError) Error() string { return e.Part + ": " + e.Why }

// ErrTooLong reports that a letter would be larger than MaxWritten.
var ErrTooLong = fmt.Errorf("the mail would be larger than %d bytes", MaxWritten)

// bare is {{name}}, as other systems write variables.
var bare = regexp.MustCompile(`\{\{(-?\s*)([A-Za-z_][A-Za-z0-9_]*)(\s*-?)\}\}`)

// withDots turns {{name}} into {{.name}}, save for Go's own words.
func withDots(source string) string {
	return bare.ReplaceAllStringFunc(source, func(action string) string {
		m := bare.FindStringSubmatch(action)
		switch m[2] {
		case "else", "end", "break", "continue", "nil", "true", "false":
			return action
		}
		return "{{" + m[1] + "." + m[2] + m[3] + "}}"
	})
}

// IsName reports whether s can name a template or a variable: letters, digits, '_' and '-', a letter first. A variable has no '-'.
func IsName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// Parse checks a template and readies it. The error is a [*SourceError].
func Parse(t Template) (*Parsed, error) {
	if !IsName(t.Name) {
		return nil, &SourceError{"name", fmt.Sprintf("%q must be 1 to %d letters, digits, '_' or '-', and start with a letter", t.Name, MaxName)}
	}
	if strings.TrimSpace(t.Subject) == "" {
		return nil, &SourceError{"subject", "is required"}
	}
	if t.Text == "" && t.HTML == "" {
		return nil, &SourceError{"text", "is required, or html"}
	}
	p := &Parsed{Name: t.Name}
	var err error
	if p.subject, err = parseText("subject", t.Subject, 4*MaxSubject); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(t.Subject, unicode.IsControl) {
		return nil, &SourceError{"subject", "must be one line"}
	}
	if t.Text != "" {
		if p.text, err = parseText("text", t.Text, MaxSource); err != nil {
			return nil, err
		}
	}
	if t.HTML != "" {
		if p.html, err = parseHTML(t.HTML); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func parseText(part, source string, limit int) (*texttemplate.Template, error) {
	if err := checkSource(part, source, limit); err != nil {
		return nil, err
	}
	t, err := texttemplate.New(part).Option("missingkey=zero").Parse(withDots(source))
	if err != nil {
		return nil, &SourceError{part, plain(err)}
	}
	return t, checkTrees(part, t.Tree, len(t.Templates()))
}

func parseHTML(source string) (*htmltemplate.Template, error) {
	const part = "html"
	if err := checkSource(part, source, MaxSource); err != nil {
		return nil, err
	}
	t, err := htmltemplate.New(part).Option("missingkey=zero").Parse(withDots(source))
	if err != nil {
		return nil, &SourceError{part, plain(err)}
	}
	if err := checkTrees(part, t.Tree, len(t.Templates())); err != nil {
		return nil, err
	}
	// html/template judges the markup when it first writes, and escapes itself then: both once, here.
	if err := t.Execute(new(limitedWriter), map[string]string{}); err != nil && !errors.Is(err, ErrTooLong) {
		return nil, &SourceError{part, plain(err)}
	}
	return t, nil
}

func checkSource(part, source string, limit int) error {
	switch {
	case len(source) > limit:
		return &SourceError{part, fmt.Sprintf("is larger than %d bytes", limit)}
	case !utf8.ValidString(source):
		return &SourceError{part, "is not UTF-8"}
	}
	return nil
}

// plain takes the library's own prefix off its message.
func plain(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "template: "), "html/template:")
}

// checkTrees refuses everything but text, variables and choices.
func checkTrees(part string, tree *parse.Tree, templates int) error {
	if templates > 1 {
		return &SourceError{part, "may not define templates of its own"}
	}
	if tree == nil || tree.Root == nil {
		return nil // only comments
	}
	if node, why := refusedNode(tree.Root); node != nil {
		location, context := tree.ErrorContext(node)
		return &SourceError{part, fmt.Sprintf("%s: <%s> %s; a template knows {{.name}} and {{if .name}} … {{else}} … {{end}}", location, context, why)}
	}
	return nil
}

// refusedNode returns the first node that is not let in, and why.
func refusedNode(n parse.Node) (parse.Node, string) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil, ""
		}
		for _, child := range n.Nodes {
			if bad, why := refusedNode(child); bad != nil {
				return bad, why
			}
		}
		return nil, ""
	case *parse.TextNode, *parse.CommentNode:
		return nil, ""
	case *parse.ActionNode:
		return refusedPipe(n.Pipe)
	case *parse.IfNode:
		if bad, why := refusedPipe(n.Pipe); bad != nil {
			return bad, why
		}
		if bad, why := refusedNode(n.List); bad != nil {
			return bad, why
		}
		return refusedNode(n.ElseList)
	}
	return n, "is not allowed"
}

// refusedPipe lets in one variable by name.
func refusedPipe(p *parse.PipeNode) (parse.Node, string) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return p, "is more than a variable"
	}
	f, ok := p.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(f.Ident) != 1 || len(f.Ident[0]) > MaxName {
		return p, "is not a variable such as .name"
	}
	return nil, ""
}

// Write fills in the variables; one that is missing is empty. The error is [ErrTooLong].
func (p *Parsed) Write(vars map[string]string) (*Letter, error) {
	var l Letter
	write := func(into *string, execute func(*limitedWriter) error) error {
		w := new(limitedWriter)
		if err := execute(w); err != nil {
			if errors.Is(err, ErrTooLong) {
				return ErrTooLong
			}
			return err
		}
		*into = w.b.String()
		return nil
	}
	if err := write(&l.Subject, func(w *limitedWriter) error { return p.subject.Execute(w, vars) }); err != nil {
		return nil, err
	}
	l.Subject = OneLine(l.Subject)
	if p.text != nil {
		if err := write(&l.Text, func(w *limitedWriter) error { return p.text.Execute(w, vars) }); err != nil {
			return nil, err
		}
	}
	if p.html != nil {
		if err := write(&l.HTML, func(w *limitedWriter) error { return p.html.Execute(w, vars) }); err != nil {
			return nil, err
		}
	}
	return &l, nil
}

// OneLine makes text fit to be a subject: control characters become spaces, and what is too long is cut.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	n := 0
	for i := range s {
		if n++; n > MaxSubject {
			return s[:i]
		}
	}
	return s
}

// limitedWriter gathers at most MaxWritten bytes.
type limitedWriter struct{ b strings.Builder }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > MaxWritten {
		return 0, ErrTooLong
	}
	return w.b.Write(p)
}
