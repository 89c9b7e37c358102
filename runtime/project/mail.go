package project

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/mail"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/sluice-edge/sluice/runtime/letter"
)

// Bounds of what a project says about codes and mail.
const (
	maxPerAddress = 10
	maxPerHour    = 1_000_000
	maxTemplates  = 100
	// maxTemplateBytes bounds all templates together: the rules are one setting of the project's file, read whole.
	maxTemplateBytes = 256 << 10
)

func (m *MailConfig) normalize() {
	m.From, m.ReplyTo = strings.TrimSpace(m.From), strings.TrimSpace(m.ReplyTo)
	if m.PerDay == 0 {
		m.PerDay = defaultMailsDay
	}
	if len(m.Templates) == 0 {
		m.Templates = nil
	}
}

func (v *validator) codes(a *AuthConfig) {
	switch strings.ToLower(a.Existing) {
	case "", ExistingRefuse, ExistingResend:
	default:
		v.addf("auth.existing", "must be %s or %s", ExistingRefuse, ExistingResend)
	}
	if n := a.CodesPerAddress; n != 0 && (n < 1 || n > maxPerAddress) {
		v.addf("auth.codesPerAddress", "must be between 1 and %d codes an hour", maxPerAddress)
	}
	if n := a.CodesPerHour; n != 0 && (n < 1 || n > maxPerHour) {
		v.addf("auth.codesPerHour", "must be between 1 and %d codes an hour", maxPerHour)
	}
}

func (v *validator) mail(m *MailConfig) {
	v.sender("mail.from", m.From)
	v.sender("mail.replyTo", m.ReplyTo)
	if n := m.PerDay; n != 0 && (n < 1 || n > maxPerHour) {
		v.addf("mail.perDay", "must be between 1 and %d mails a day", maxPerHour)
	}
	if len(m.Templates) > maxTemplates {
		v.addf("mail.templates", "are %d; at most %d are allowed", len(m.Templates), maxTemplates)
		return
	}
	first, size := map[string]int{}, 0
	for i := range m.Templates {
		t, path := &m.Templates[i], index("mail.templates", i)
		size += len(t.Subject) + len(t.Text) + len(t.HTML)
		if before, ok := first[t.Name]; ok && t.Name != "" {
			v.addf(path+".name", "%q is already the name of %s", t.Name, index("mail.templates", before))
		}
		first[t.Name] = i
		if t.TextFile != "" || t.HTMLFile != "" {
			v.files(path, t)
			continue // judged again once they were read
		}
		var bad *letter.SourceError
		if _, err := letter.Parse(t.template()); errors.As(err, &bad) {
			v.addf(path+"."+bad.Part, "%s", bad.Why)
		} else if err != nil {
			v.addf(path, "%v", err)
		}
	}
	if size > maxTemplateBytes {
		v.addf("mail.templates", "are larger than %d bytes together", maxTemplateBytes)
	}
}

// sender judges an address that the project sends in the name of.
func (v *validator) sender(path, address string) {
	if address = strings.TrimSpace(address); address == "" {
		return
	}
	if _, err := mail.ParseAddress(address); err != nil || strings.ContainsFunc(address, unicode.IsControl) {
		v.addf(path, "%q is not an address such as Blog <no-reply@blog.example>", address)
	}
}

// files judges the names of a template's files: they lie beside the project file or below it.
func (v *validator) files(path string, t *MailTemplate) {
	for _, f := range []struct{ key, name, other string }{{"textFile", t.TextFile, t.Text}, {"htmlFile", t.HTMLFile, t.HTML}} {
		switch {
		case f.name == "":
		case f.other != "":
			v.addf(path+"."+f.key, "is given beside %s; give one of them", strings.TrimSuffix(f.key, "File"))
		case !fs.ValidPath(f.name):
			v.addf(path+"."+f.key, "%q must be the name of a file beside the project file or below it, such as mail/verify.txt", f.name)
		}
	}
}

func (t *MailTemplate) template() letter.Template {
	return letter.Template{Name: t.Name, Subject: t.Subject, Text: t.Text, HTML: t.HTML}
}

// ReadTemplates puts what is in the templates' files in their place, so that the Config stands by itself, and judges it
// again. name is the project file's, for messages; dir is what lies beside it. The error is a *ConfigError.
func (c *Config) ReadTemplates(name string, dir fs.FS) error {
	var problems []Problem
	for i := range c.Mail.Templates {
		t := &c.Mail.Templates[i]
		for _, f := range []struct {
			file, into *string
			key        string
		}{{&t.TextFile, &t.Text, "textFile"}, {&t.HTMLFile, &t.HTML, "htmlFile"}} {
			if *f.file == "" {
				continue
			}
			text, err := readTemplate(dir, *f.file)
			if err != nil {
				problems = append(problems, Problem{Path: index("mail.templates", i) + "." + f.key, Message: err.Error()})
			}
			*f.into, *f.file = text, ""
		}
	}
	if problems == nil {
		var cerr *ConfigError
		if err := c.Validate(); errors.As(err, &cerr) {
			problems = cerr.Problems
		}
	}
	if problems == nil {
		return nil
	}
	return &ConfigError{File: name, Problems: problems}
}

// complete refuses templates whose files were not read: a node sees no files of its callers.
func (m *MailConfig) complete() error {
	for i := range m.Templates {
		if t := &m.Templates[i]; t.TextFile != "" || t.HTMLFile != "" {
			return &ConfigError{Problems: []Problem{{Path: index("mail.templates", i),
				Message: "names a file, which the node cannot see; apply the project file with `sluice project apply`, which puts files in, or write text and html here"}}}
		}
	}
	return nil
}

func readTemplate(dir fs.FS, name string) (string, error) {
	f, err := dir.Open(path.Clean(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, letter.MaxSource+1))
	if err == nil && len(raw) > letter.MaxSource {
		err = fmt.Errorf("%s is larger than %d bytes", name, letter.MaxSource)
	}
	return string(raw), err
}

// parseTemplates readies a project's templates and the built-in ones that it does not replace. The Config is valid; what would
// not parse is left out, and whoever wants it is told that there is none.
func parseTemplates(m *MailConfig) map[string]*letter.Parsed {
	parsed := make(map[string]*letter.Parsed, len(m.Templates)+len(letter.Names()))
	add := func(t letter.Template) {
		if p, err := letter.Parse(t); err == nil {
			parsed[t.Name] = p
		}
	}
	for _, name := range letter.Names() {
		t, _ := letter.Builtin(name)
		add(t)
	}
	for i := range m.Templates {
		add(m.Templates[i].template())
	}
	return parsed
}

// Letter returns the template of that name, the project's own or a built-in one, or nil.
func (s *State) Letter(name string) *letter.Parsed { return s.letters[name] }

// LetterNames lists the templates that there are, in order.
func (s *State) LetterNames() []string { return slices.Sorted(maps.Keys(s.letters)) }

// LetterNamed returns the name of the template with that id, or "".
func (s *State) LetterNamed(id string) string {
	for name := range s.letters {
		if TemplateID(name) == id {
			return name
		}
	}
	return ""
}

// TemplateID is the id of a template, for clients that know templates by ids: 24 hex digits that depend on its name alone.
func TemplateID(name string) string {
	sum := sha256.Sum256([]byte("template " + name))
	return hex.EncodeToString(sum[:12])
}

// Sender is who the project's mail is from, unless it says so itself: fallback, which is the node's.
func (m *MailConfig) Sender(fallback string) string { return cmp.Or(m.From, fallback) }
