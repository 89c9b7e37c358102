package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
	"go.yaml.in/yaml/v4"
)

const (
	maxFileBytes    = 1 << 20
	maxFileProblems = 100 // more would not be read
	maxDefaultDepth = 16
)

// ParseFile reads a project file: one YAML (or JSON) document of at most 1 MiB in the shape of Config. It is strict:
// unknown and repeated keys, values of the wrong type, aliases and custom tags are refused. name is what messages call
// the file. The Config is normalised and valid, or the error is a *ConfigError with every mistake and its line.
func ParseFile(name string, src []byte) (*Config, error) {
	r := &fileReader{lines: map[string]int{}}
	c := r.read(src)
	found := r.problems
	if c != nil {
		found = append(found, r.judge(c)...)
	}
	if len(found) > 0 {
		slices.SortStableFunc(found, func(a, b Problem) int { return a.Line - b.Line })
		if len(found) > maxFileProblems {
			more := len(found) - maxFileProblems
			found = append(found[:maxFileProblems:maxFileProblems], Problem{Message: fmt.Sprintf("and %d more", more)})
		}
		return nil, &ConfigError{File: name, Problems: found}
	}
	c.Normalize()
	return c, nil
}

// fileReader walks the nodes of one file into a Config and gathers what is wrong.
type fileReader struct {
	problems []Problem
	lines    map[string]int // where each path was met
}

func (r *fileReader) addf(line int, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{Path: path, Line: line, Message: fmt.Sprintf(format, args...)})
}

// read decodes the file; nil if it is not even one mapping.
func (r *fileReader) read(src []byte) *Config {
	if len(src) > maxFileBytes {
		r.addf(0, "", "the file is larger than %d bytes", maxFileBytes)
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		r.addf(0, "", "%v", err)
		return nil
	}
	var doc, second yaml.Node
	switch err := loader.Load(&doc); {
	case err == io.EOF:
		r.addf(0, "", "the file is empty")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		r.addf(second.Line, "", "the file holds a second document; a project is one")
		return nil
	} else if err != io.EOF {
		r.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		r.addf(1, "", "the file must be a mapping that begins with a line such as \"name: blog\"")
		return nil
	}
	c := new(Config)
	r.config(doc.Content[0], c)
	return c
}

func (r *fileReader) syntax(err error) {
	var lerr *yaml.LoadError
	if !errors.As(err, &lerr) {
		r.addf(0, "", "not YAML: %v", err)
		return
	}
	message := lerr.Message
	if lerr.ContextMsg != "" {
		message += " " + lerr.ContextMsg
	}
	r.addf(lerr.Mark.Line, "", "not YAML: %s", message)
}

// judge returns what Validate finds, with lines, leaving out what follows from a mistake that the walk already found.
func (r *fileReader) judge(c *Config) []Problem {
	var cerr *ConfigError
	if !errors.As(c.Validate(), &cerr) {
		return nil
	}
	var kept []Problem
	for _, p := range cerr.Problems {
		if slices.ContainsFunc(r.problems, func(q Problem) bool {
			return p.Path == q.Path || strings.HasPrefix(p.Path, q.Path+".") || strings.HasPrefix(p.Path, q.Path+"[") ||
				parentPath(p.Path) == parentPath(q.Path) && strings.HasPrefix(p.Message, "is required")
		}) {
			continue
		}
		for at := p.Path; ; at = parentPath(at) {
			if line, ok := r.lines[at]; ok || at == "" {
				p.Line = max(line, 1)
				break
			}
		}
		kept = append(kept, p)
	}
	return kept
}

// parentPath cuts off the last .key or [position].
func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func (r *fileReader) config(n *yaml.Node, c *Config) {
	r.mapping(n, "", []member{
		{"name", r.textInto(&c.Name)},
		{"siteUrl", r.textInto(&c.SiteURL)},
		{"allowedDomains", func(n *yaml.Node, path string) {
			c.AllowedDomains = []string{}
			r.list(n, path, "strings", func(n *yaml.Node, path string) {
				c.AllowedDomains = append(c.AllowedDomains, r.text(n, path))
			})
		}},
		{"auth", func(n *yaml.Node, path string) {
			r.mapping(n, path, []member{
				{"enabled", r.boolInto(&c.Auth.Enabled)},
				{"minPassword", func(n *yaml.Node, path string) { c.Auth.MinPassword = int(r.integer(n, path)) }},
				{"existing", r.textInto(&c.Auth.Existing)},
				{"codesPerAddress", func(n *yaml.Node, path string) { c.Auth.CodesPerAddress = int(r.integer(n, path)) }},
				{"codesPerHour", func(n *yaml.Node, path string) { c.Auth.CodesPerHour = int(r.integer(n, path)) }},
				{"strictSessions", r.boolInto(&c.Auth.StrictSessions)},
				{"refreshGrace", func(n *yaml.Node, path string) { c.Auth.RefreshGrace = int(r.integer(n, path)) }},
				{"cookieSameSite", r.textInto(&c.Auth.CookieSameSite)},
				{"hideClients", r.boolInto(&c.Auth.HideClients)},
				{"argon2", func(n *yaml.Node, path string) {
					r.mapping(n, path, []member{
						{"memory", func(n *yaml.Node, path string) { c.Auth.Argon2.Memory = r.size(n, path) }},
						{"time", func(n *yaml.Node, path string) { c.Auth.Argon2.Time = int(r.integer(n, path)) }},
					})
				}},
				{"providers", func(n *yaml.Node, path string) {
					r.list(n, path, "providers such as {name: github, clientId: …, clientSecret: …}", func(n *yaml.Node, path string) {
						c.Auth.Providers = append(c.Auth.Providers, Provider{})
						r.provider(n, path, &c.Auth.Providers[len(c.Auth.Providers)-1])
					})
				}},
				{"profile", func(n *yaml.Node, path string) {
					r.mapping(n, path, []member{
						{"writable", r.namesInto(&c.Auth.Profile.Writable)},
						{"public", r.namesInto(&c.Auth.Profile.Public)},
					})
				}},
			})
		}},
		{"audit", func(n *yaml.Node, path string) {
			r.mapping(n, path, []member{
				{"days", func(n *yaml.Node, path string) { c.Audit.Days = int(r.integer(n, path)) }},
				{"entries", func(n *yaml.Node, path string) { c.Audit.Entries = int(r.integer(n, path)) }},
			})
		}},
		{"mail", func(n *yaml.Node, path string) { r.mail(n, path, &c.Mail) }},
		{"limits", func(n *yaml.Node, path string) {
			r.mapping(n, path, []member{
				{"bodyBytes", func(n *yaml.Node, path string) { c.Limits.BodyBytes = r.size(n, path) }},
				{"databaseBytes", func(n *yaml.Node, path string) { c.Limits.DatabaseBytes = r.size(n, path) }},
				{"examinedDocuments", func(n *yaml.Node, path string) { c.Limits.Examined = int(r.integer(n, path)) }},
				{"fieldLevels", func(n *yaml.Node, path string) { c.Limits.FieldLevels = int(r.integer(n, path)) }},
				{"fileBytes", func(n *yaml.Node, path string) { c.Limits.FileBytes = r.size(n, path) }},
				{"requestsPerAddress", func(n *yaml.Node, path string) { c.Limits.RequestsPerAddress = int(r.integer(n, path)) }},
				{"requestsPerMinute", func(n *yaml.Node, path string) { c.Limits.RequestsPerMinute = int(r.integer(n, path)) }},
				{"requestsPerDay", func(n *yaml.Node, path string) { c.Limits.RequestsPerDay = int(r.integer(n, path)) }},
				{"loginFailures", func(n *yaml.Node, path string) { c.Limits.LoginFailures = int(r.integer(n, path)) }},
				{"refreshesPerMinute", func(n *yaml.Node, path string) { c.Limits.RefreshesPerMinute = int(r.integer(n, path)) }},
			})
		}},
		{"files", func(n *yaml.Node, path string) {
			r.mapping(n, path, []member{
				{"maxBytes", func(n *yaml.Node, path string) { c.Files.MaxBytes = r.size(n, path) }},
				{"totalBytes", func(n *yaml.Node, path string) { c.Files.TotalBytes = r.size(n, path) }},
				{"upload", r.textInto(&c.Files.Upload)},
				{"visibility", r.textInto(&c.Files.Visibility)},
			})
		}},
		{"durability", r.textInto(&c.Durability)},
		{"syncMillis", func(n *yaml.Node, path string) { c.SyncMillis = int(r.integer(n, path)) }},
		{"collections", func(n *yaml.Node, path string) {
			r.list(n, path, "collections", func(n *yaml.Node, path string) {
				c.Collections = append(c.Collections, Collection{RLS: RLS{RequireAuthForWrite: true}})
				r.collection(n, path, &c.Collections[len(c.Collections)-1])
			})
		}},
	})
}

func (r *fileReader) mail(n *yaml.Node, path string, m *MailConfig) {
	r.mapping(n, path, []member{
		{"from", r.textInto(&m.From)},
		{"replyTo", r.textInto(&m.ReplyTo)},
		{"perDay", func(n *yaml.Node, path string) { m.PerDay = int(r.integer(n, path)) }},
		{"welcome", r.boolInto(&m.Welcome)},
		{"templates", func(n *yaml.Node, path string) {
			r.list(n, path, "templates such as {name: verify, subject: …, text: …}", func(n *yaml.Node, path string) {
				m.Templates = append(m.Templates, MailTemplate{})
				t := &m.Templates[len(m.Templates)-1]
				r.mapping(n, path, []member{
					{"name", r.textInto(&t.Name)},
					{"subject", r.textInto(&t.Subject)},
					{"text", r.textInto(&t.Text)},
					{"html", r.textInto(&t.HTML)},
					{"textFile", r.textInto(&t.TextFile)},
					{"htmlFile", r.textInto(&t.HTMLFile)},
				})
			})
		}},
	})
}

func (r *fileReader) provider(n *yaml.Node, path string, p *Provider) {
	r.mapping(n, path, []member{
		{"name", r.textInto(&p.Name)},
		{"clientId", r.textInto(&p.ClientID)},
		{"clientSecret", r.textInto(&p.ClientSecret)},
		{"issuer", r.textInto(&p.Issuer)},
		{"scopes", func(n *yaml.Node, path string) {
			r.list(n, path, "scopes", func(n *yaml.Node, path string) { p.Scopes = append(p.Scopes, r.text(n, path)) })
		}},
		{"private", r.boolInto(&p.Private)},
		{"authUrl", r.textInto(&p.AuthURL)},
		{"tokenUrl", r.textInto(&p.TokenURL)},
		{"apiUrl", r.textInto(&p.APIURL)},
	})
}

func (r *fileReader) collection(n *yaml.Node, path string, c *Collection) {
	r.mapping(n, path, []member{
		{"name", r.textInto(&c.Name)},
		{"fields", func(n *yaml.Node, path string) { c.Fields = r.fields(n, path, 1) }},
		{"rls", func(n *yaml.Node, path string) {
			r.mapping(n, path, []member{
				{"enabled", r.boolInto(&c.RLS.Enabled)},
				{"mode", r.textInto(&c.RLS.Mode)},
				{"ownerField", r.textInto(&c.RLS.OwnerField)},
				{"requireAuthForWrite", r.boolInto(&c.RLS.RequireAuthForWrite)},
			})
		}},
		{"indexes", func(n *yaml.Node, path string) {
			r.list(n, path, "lists of fields", func(n *yaml.Node, path string) {
				var fields []string
				r.list(n, path, "fields", func(n *yaml.Node, path string) { fields = append(fields, r.text(n, path)) })
				c.Indexes = append(c.Indexes, fields)
			})
		}},
		{"strict", r.boolInto(&c.Strict)},
	})
}

func (r *fileReader) fields(n *yaml.Node, path string, level int) (fields []Field) {
	r.list(n, path, "fields such as {key: title, type: String}", func(n *yaml.Node, path string) {
		fields = append(fields, Field{})
		r.field(n, path, &fields[len(fields)-1], level)
	})
	return fields
}

func (r *fileReader) field(n *yaml.Node, path string, f *Field, level int) {
	if level > maxLevels {
		return // deeper than any project may nest, which Validate says
	}
	r.mapping(n, path, []member{
		{"key", r.textInto(&f.Key)},
		{"type", func(n *yaml.Node, path string) { f.Type = Type(r.text(n, path)) }},
		{"required", r.boolInto(&f.Required)},
		{"unique", r.boolInto(&f.Unique)},
		{"index", r.boolInto(&f.Index)},
		{"default", func(n *yaml.Node, path string) { f.Default, _ = r.json(nil, n, path, 0) }},
		{"ref", r.textInto(&f.Ref)},
		{"items", func(n *yaml.Node, path string) {
			f.Items = new(Field)
			r.field(n, path, f.Items, level+1)
		}},
		{"fields", func(n *yaml.Node, path string) { f.Fields = r.fields(n, path, level+1) }},
		{"format", r.textInto(&f.Format)},
	})
}

// member is a key that a mapping may have, and what reads its value.
type member struct {
	name string
	read func(n *yaml.Node, path string)
}

// mapping reads the known keys of a mapping. A key without a value counts as absent.
func (r *fileReader) mapping(n *yaml.Node, path string, known []member) {
	if !r.is(n, path, yaml.MappingNode, "a mapping of keys and values") {
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + at
		}
		if key.Kind != yaml.ScalarNode {
			r.addf(key.Line, path, "a key must be a plain word")
			continue
		}
		if line, ok := first[key.Value]; ok {
			r.addf(key.Line, at, "key %q is given twice, first on line %d", key.Value, line)
			continue
		}
		first[key.Value] = key.Line
		m := slices.IndexFunc(known, func(m member) bool { return m.name == key.Value })
		if m < 0 {
			names := make([]string, len(known))
			for i := range known {
				names[i] = known[i].name
			}
			hint := suggest(key.Value, names)
			if hint == "" {
				hint = " (known are " + strings.Join(names, ", ") + ")"
			}
			r.addf(key.Line, at, "unknown key %q%s", key.Value, hint)
			continue
		}
		r.lines[at] = key.Line
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
			continue
		}
		known[m].read(value, at)
	}
}

// list reads each element of a sequence.
func (r *fileReader) list(n *yaml.Node, path, of string, read func(n *yaml.Node, path string)) {
	if !r.is(n, path, yaml.SequenceNode, "a list of "+of) {
		return
	}
	for i, element := range n.Content {
		at := index(path, i)
		r.lines[at] = element.Line
		read(element, at)
	}
}

// is reports whether the node has the kind and no tag of its own, and says so if not.
func (r *fileReader) is(n *yaml.Node, path string, kind yaml.Kind, want string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		r.addf(n.Line, path, "aliases are not allowed; write the value out")
	case n.Kind != kind:
		r.addf(n.Line, path, "must be %s, not %s", want, describe(n))
	case n.Style&yaml.TaggedStyle != 0:
		r.addf(n.Line, path, "the tag %s is not allowed", n.Tag)
	default:
		return true
	}
	return false
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return "the boolean " + n.Value
	case "!!null":
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

func (r *fileReader) text(n *yaml.Node, path string) string {
	if !r.is(n, path, yaml.ScalarNode, "a string") {
		return ""
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // a date without quotes is the text that it looks like
		return n.Value
	}
	r.addf(n.Line, path, "must be a string, not %s; put it in quotes if it is one", describe(n))
	return ""
}

func (r *fileReader) textInto(p *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) { *p = r.text(n, path) }
}

// namesInto reads a list of names; an empty one is a list.
func (r *fileReader) namesInto(p *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		*p = []string{}
		r.list(n, path, "names of fields", func(n *yaml.Node, path string) { *p = append(*p, r.text(n, path)) })
	}
}

func (r *fileReader) boolInto(p *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if !r.is(n, path, yaml.ScalarNode, "true or false") {
			return
		}
		if n.ShortTag() != "!!bool" {
			r.addf(n.Line, path, "must be true or false, not %s", describe(n))
			return
		}
		*p = strings.EqualFold(n.Value, "true")
	}
}

func (r *fileReader) integer(n *yaml.Node, path string) int64 {
	if !r.is(n, path, yaml.ScalarNode, "a whole number") {
		return 0
	}
	v, err := strconv.ParseInt(n.Value, 10, 32)
	if err != nil || n.ShortTag() != "!!int" {
		r.addf(n.Line, path, "must be a whole number, not %s", describe(n))
		return 0
	}
	return v
}

// size reads a number of bytes: 1048576, or 1 MiB with the units KiB, MiB, GiB.
func (r *fileReader) size(n *yaml.Node, path string) int64 {
	if !r.is(n, path, yaml.ScalarNode, "a number of bytes") {
		return 0
	}
	digits, shift := strings.TrimSpace(n.Value), 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if cut, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = strings.TrimSpace(cut), 10*(i+1)
			break
		}
	}
	v, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || v < 0 || v<<shift>>shift != v {
		r.addf(n.Line, path, "must be a number of bytes such as 1048576 or 1 MiB, not %s", describe(n))
		return 0
	}
	return v << shift
}

// json appends the node as JSON. Numbers keep their text, so they must be written as JSON writes them.
func (r *fileReader) json(dst []byte, n *yaml.Node, path string, depth int) ([]byte, bool) {
	if depth > maxDefaultDepth {
		r.addf(n.Line, path, "is nested deeper than %d levels", maxDefaultDepth)
		return nil, false
	}
	switch n.Kind {
	case yaml.SequenceNode:
		return r.jsonArray(dst, n, path, depth)
	case yaml.MappingNode:
		return r.jsonObject(dst, n, path, depth)
	}
	if !r.is(n, path, yaml.ScalarNode, "a value") {
		return nil, false
	}
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...), true
	case "!!bool":
		return append(dst, strings.ToLower(n.Value)...), true
	case "!!int", "!!float":
		v, err := new(jsondoc.Parser).Parse([]byte(n.Value), jsondoc.Limits{})
		if err != nil || v.Kind() != jsondoc.Number {
			r.addf(n.Line, path, "write the number %s in plain decimal, as JSON does", n.Value)
			return nil, false
		}
		return append(dst, n.Value...), true
	}
	return jsondoc.AppendString(dst, n.Value), true
}

func (r *fileReader) jsonArray(dst []byte, n *yaml.Node, path string, depth int) ([]byte, bool) {
	if !r.is(n, path, yaml.SequenceNode, "a list") {
		return nil, false
	}
	dst = append(dst, '[')
	for i, element := range n.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = r.json(dst, element, index(path, i), depth+1); !ok {
			return nil, false
		}
	}
	return append(dst, ']'), true
}

func (r *fileReader) jsonObject(dst []byte, n *yaml.Node, path string, depth int) ([]byte, bool) {
	if !r.is(n, path, yaml.MappingNode, "a mapping") {
		return nil, false
	}
	seen := map[string]struct{}{}
	dst = append(dst, '{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, at := n.Content[i], path+"."+n.Content[i].Value
		if key.Kind != yaml.ScalarNode {
			r.addf(key.Line, path, "a key must be a plain word")
			return nil, false
		}
		if _, twice := seen[key.Value]; twice {
			r.addf(key.Line, at, "key %q is given twice", key.Value)
			return nil, false
		}
		seen[key.Value] = struct{}{}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsondoc.AppendString(dst, key.Value), ':')
		var ok bool
		if dst, ok = r.json(dst, n.Content[i+1], at, depth+1); !ok {
			return nil, false
		}
	}
	return append(dst, '}'), true
}
