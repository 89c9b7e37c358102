package project

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sluice-edge/sluice/runtime/letter"
)

const mailFile = `
name: blog
mail:
  from: "Blog <no-reply@blog.example>"
  replyTo: team@blog.example
  perDay: 50
  welcome: true
  templates:
    - {name: verify, subject: "{{code}} for {{project}}", textFile: mail/verify.txt, htmlFile: mail/verify.html}
    - {name: invite, subject: Join us, text: "Come to {{.where}}"}
`

// A project's templates may lie in files beside the project file, and stand in for the built-in ones.
func TestTemplates(t *testing.T) {
	dir := fstest.MapFS{"mail/verify.txt": {Data: []byte("Your code: {{code}}")}, "mail/verify.html": {Data: []byte("<b>{{code}}</b>")}}
	cfg, err := ParseFile("sluice.yaml", []byte(mailFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Mail.complete(); err == nil {
		t.Error("a node takes templates whose files were not read")
	}
	if err := cfg.ReadTemplates("sluice.yaml", dir); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Mail.complete(); err != nil {
		t.Error(err)
	}
	if m := cfg.Mail; m.From != "Blog <no-reply@blog.example>" || m.ReplyTo != "team@blog.example" || m.PerDay != 50 || !m.Welcome {
		t.Errorf("%+v", m)
	}
	st := new(State)
	st.setConfig(cfg, 1)
	for name, want := range map[string]letter.Letter{
		"verify": {Subject: "012345 for blog", Text: "Your code: 012345", HTML: "<b>012345</b>"},
		"invite": {Subject: "Join us", Text: "Come to the pub"},
	} {
		got, err := st.Letter(name).Write(map[string]string{"code": "012345", "project": "blog", "where": "the pub"})
		if err != nil || *got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if id := TemplateID(name); len(id) != 24 || st.LetterNamed(id) != name {
			t.Errorf("%s: id %q leads to %q", name, id, st.LetterNamed(id))
		}
	}
	if st.Letter("reset") == nil || st.Letter("nothing") != nil || st.LetterNamed("65f0c0ffee65f0c0ffee0001") != "" {
		t.Error("built-in templates are gone, or others are there")
	}
	if got := strings.Join(st.LetterNames(), " "); got != "invite passwordChanged reset verify welcome" {
		t.Errorf("names: %s", got)
	}
	if changes := Diff(cfg, cfg.Clone()); len(changes) != 0 {
		t.Errorf("a Config with mail differs from itself: %v", changes)
	}
	next := cfg.Clone()
	next.Mail.Templates[1].Text = "Stay"
	if changes := Diff(cfg, next); len(changes) != 1 || changes[0].Path != "mail.templates.invite.text" || cfg.Mail.Templates[1].Text == "Stay" {
		t.Errorf("%v", changes)
	}
}

func TestMailRefused(t *testing.T) {
	for _, c := range []struct{ name, mail, want string }{
		{"two lines in from", `mail: {from: "a@b.example\r\nBcc: c@d.example"}`, "f:2: mail.from"},
		{"from is no address", `mail: {from: blog}`, "f:2: mail.from"},
		{"replyTo is no address", `mail: {replyTo: "@"}`, "f:2: mail.replyTo"},
		{"too many a day", `mail: {perDay: 99999999}`, "f:2: mail.perDay"},
		{"a template that loops", `mail: {templates: [{name: a, subject: s, text: "{{range .x}}a{{end}}"}]}`, "f:2: mail.templates[0].text"},
		{"a template without a subject", `mail: {templates: [{name: a, text: t}]}`, "f:2: mail.templates[0].subject"},
		{"a template without words", `mail: {templates: [{name: a, subject: s}]}`, "f:2: mail.templates[0].text"},
		{"a template without a name", `mail: {templates: [{subject: s, text: t}]}`, "f:2: mail.templates[0].name"},
		{"the same name twice", `mail: {templates: [{name: a, subject: s, text: t}, {name: a, subject: s, text: t}]}`, "f:2: mail.templates[1].name"},
		{"a file above", `mail: {templates: [{name: a, subject: s, textFile: ../a.txt}]}`, "f:2: mail.templates[0].textFile"},
		{"a file at the root", `mail: {templates: [{name: a, subject: s, htmlFile: /etc/passwd}]}`, "f:2: mail.templates[0].htmlFile"},
		{"text and a file", `mail: {templates: [{name: a, subject: s, text: t, textFile: a.txt}]}`, "f:2: mail.templates[0].textFile"},
		{"an unknown key", `mail: {smtp: x}`, "f:2: mail.smtp"},
		{"too many codes for an address", `auth: {codesPerAddress: 11}`, "f:2: auth.codesPerAddress"},
		{"a negative number of codes", `auth: {codesPerHour: -1}`, "f:2: auth.codesPerHour"},
		{"another answer to a sign-up", `auth: {existing: tell}`, "f:2: auth.existing"},
	} {
		_, err := ParseFile("f", []byte("name: p\n"+c.mail+"\n"))
		var bad *ConfigError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), c.want+":") {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	cfg, err := ParseFile("f", []byte("name: p\nmail: {templates: [{name: a, subject: s, textFile: a.txt}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Clone().ReadTemplates("f", fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "mail.templates[0].textFile") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := cfg.Clone().ReadTemplates("f", fstest.MapFS{"a.txt": {Data: []byte("{{range .x}}{{end}}")}}); err == nil || !strings.Contains(err.Error(), "mail.templates[0].text") {
		t.Errorf("a file with a loop: %v", err)
	}
	if err := cfg.Clone().ReadTemplates("f", fstest.MapFS{"a.txt": {Data: []byte(strings.Repeat("a", letter.MaxSource+1))}}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a huge file: %v", err)
	}
}
