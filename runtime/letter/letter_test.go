package letter

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// Every mail that the server sends on its own says what it is about, to whoever reads text and to whoever reads HTML.
func TestBuiltins(t *testing.T) {
	vars := map[string]string{"project": "blog", "siteUrl": "https://blog.example", "email": "a@b.example", "name": "Ann", "code": "012345", "minutes": "5"}
	for _, name := range Names() {
		source, ok := Builtin(name)
		if !ok {
			t.Fatalf("%s: there is none", name)
		}
		p, err := Parse(source)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l, err := p.Write(vars)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wants := []string{"Ann", "blog"}
		if name == Verify || name == Reset {
			wants = append(wants, "012345", "5 minutes")
		}
		for _, want := range wants {
			if !strings.Contains(l.Text, want) || !strings.Contains(l.HTML, want) {
				t.Errorf("%s does not say %q:\n%s\n%s", name, want, l.Text, l.HTML)
			}
		}
		if l.Subject == "" || strings.Contains(l.Text+l.HTML+l.Subject, "{{") || strings.Contains(l.Text, "<no value>") {
			t.Errorf("%s: %+v", name, l)
		}
		if bare, err := p.Write(nil); err != nil || strings.Contains(bare.Text+bare.HTML+bare.Subject, "no value") {
			t.Errorf("%s without variables: %+v, %v", name, bare, err)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		name string
		t    Template
		vars map[string]string
		want Letter
	}{
		{"variables", Template{Subject: "Hi {{.who}}", Text: "{{.who}}, {{ .what }}"}, map[string]string{"who": "Ann", "what": "tea"}, Letter{Subject: "Hi Ann", Text: "Ann, tea"}},
		{"variables without a dot", Template{Subject: "Hi {{who}}", Text: "{{ who }}, {{what}}"}, map[string]string{"who": "Ann", "what": "tea"}, Letter{Subject: "Hi Ann", Text: "Ann, tea"}},
		{"a missing variable is empty", Template{Subject: "Hi {{.who}}", Text: "[{{.what}}]"}, nil, Letter{Subject: "Hi", Text: "[]"}},
		{"choices", Template{Subject: "s", Text: "{{if .a}}A{{else if .b}}B{{else}}C{{end}}"}, map[string]string{"b": "1"}, Letter{Subject: "s", Text: "B"}},
		{"HTML is escaped", Template{Subject: "s", HTML: "<p>{{.x}}</p>"}, map[string]string{"x": `<script>alert("1")</script>`}, Letter{Subject: "s", HTML: "<p>&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;</p>"}},
		{"a link cannot become a script", Template{Subject: "s", HTML: `<a href="{{.x}}">x</a>`}, map[string]string{"x": "javascript:alert(1)"}, Letter{Subject: "s", HTML: `<a href="#ZgotmplZ">x</a>`}},
		{"text is not escaped", Template{Subject: "s", Text: "{{.x}}"}, map[string]string{"x": `a < b & "c"`}, Letter{Subject: "s", Text: `a < b & "c"`}},
		{"a value is no template", Template{Subject: "s", Text: "{{.x}}"}, map[string]string{"x": "{{.y}}", "y": "no"}, Letter{Subject: "s", Text: "{{.y}}"}},
		{"a header cannot be injected", Template{Subject: "Hi {{.who}}", Text: "t"}, map[string]string{"who": "Ann\r\nBcc: evil@example.com\r\n\r\nbody"}, Letter{Subject: "Hi Ann  Bcc: evil@example.com    body", Text: "t"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.t.Name = "test"
			p, err := Parse(c.t)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // html/template changes itself when it first writes
				l, err := p.Write(c.vars)
				if err != nil || *l != c.want {
					t.Errorf("%+v, %v; want %+v", l, err, c.want)
				}
			}
		})
	}
}

// A template can neither call, loop nor reach into anything: who may write one cannot hurt the node with it.
func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a function":           `{{printf "%1000000000d" 1}}`,
		"a pipe":               `{{.x | html}}`,
		"a loop":               `{{range .x}}a{{end}}`,
		"a loop over a count":  `{{range 1000000000}}a{{end}}`,
		"with":                 `{{with .x}}{{.}}{{end}}`,
		"the whole":            `{{.}}`,
		"a method":             `{{.x.String}}`,
		"a call":               `{{call .x}}`,
		"an index":             `{{index . "x"}}`,
		"a declaration":        `{{$y := .x}}{{$y}}`,
		"a template":           `{{define "y"}}a{{end}}{{template "y"}}`,
		"a recursion":          `{{define "y"}}{{template "y"}}{{end}}`,
		"a block":              `{{block "y" .}}a{{end}}`,
		"a constant":           `{{"x"}}`,
		"a choice by function": `{{if eq .x "1"}}a{{end}}`,
		"a loop in a choice":   `{{if .x}}{{range .y}}a{{end}}{{end}}`,
		"a loop in an else":    `{{if .x}}{{else}}{{range .y}}a{{end}}{{end}}`,
		"an open action":       `{{.x`,
		"an open choice":       `{{if .x}}a`,
		"too large":            strings.Repeat("a", MaxSource+1),
		"no UTF-8":             "\xff",
	} {
		for part, source := range map[string]Template{"text": {Name: "t", Subject: "s", Text: text}, "html": {Name: "t", Subject: "s", HTML: text}} {
			var bad *SourceError
			if _, err := Parse(source); !errors.As(err, &bad) || bad.Part != part {
				t.Errorf("%s in %s: %v", name, part, err)
			}
		}
	}
	for part, source := range map[string]Template{
		"name": {Name: "a b", Subject: "s", Text: "t"}, "subject": {Name: "t", Text: "t"}, "text": {Name: "t", Subject: "s"},
	} {
		var bad *SourceError
		if _, err := Parse(source); !errors.As(err, &bad) || bad.Part != part {
			t.Errorf("bad %s: %v", part, err)
		}
	}
	if _, err := Parse(Template{Name: "t", Subject: "a\nBcc: b", Text: "t"}); err == nil {
		t.Error("a subject of two lines was taken")
	}
	if _, err := Parse(Template{Name: "t", Subject: "s", HTML: `<a href='{{if .x}}"{{end}}>`}); err == nil {
		t.Error("markup in which a place cannot be known was taken")
	}
}

// What a letter may grow to is bounded, however often a large variable is written.
func TestWriteIsBounded(t *testing.T) {
	p, err := Parse(Template{Name: "t", Subject: "s", Text: strings.Repeat("{{.x}}", 1000)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(map[string]string{"x": strings.Repeat("a", MaxValue)}); !errors.Is(err, ErrTooLong) {
		t.Errorf("%v", err)
	}
}

// FuzzParse: no source brings the parser down, and whatever it takes writes a subject of one line, within bounds.
func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		b, _ := Builtin(name)
		f.Add(b.Subject, b.Text, b.HTML, "x")
	}
	f.Add("{{x}}", "{{if .a}}{{end}}", "<a href={{.x}}>", "a\r\nb")
	f.Fuzz(func(t *testing.T, subject, text, html, value string) {
		p, err := Parse(Template{Name: "t", Subject: subject, Text: text, HTML: html})
		if err != nil {
			return
		}
		l, err := p.Write(map[string]string{"x": value, "a": value})
		if err != nil {
			return
		}
		if strings.ContainsFunc(l.Subject, unicode.IsControl) || len(l.Text) > MaxWritten || len(l.HTML) > MaxWritten {
			t.Errorf("%q", l)
		}
	})
}
