package project

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// Problem is one mistake in a Config.
type Problem struct {
	Path    string `json:"path"`           // collections[1].fields[0].type; empty for the whole
	Line    int    `json:"line,omitempty"` // from 1; 0 when the Config did not come from a file
	Message string `json:"message"`        // what is wrong and what would be right; a clause without a full stop
}

// ConfigError holds every mistake of a Config at once.
type ConfigError struct {
	File     string // "" when the Config did not come from a file
	Problems []Problem
}

// Error puts each problem on a line: `sluice.yaml:12: collections[1].name: …`.
func (e *ConfigError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if e.File != "" {
			b.WriteString(e.File)
			if p.Line > 0 {
				b.WriteByte(':')
				b.WriteString(strconv.Itoa(p.Line))
			}
			b.WriteString(": ")
		}
		if p.Path != "" {
			b.WriteString(p.Path)
			b.WriteString(": ")
		}
		b.WriteString(p.Message)
	}
	return b.String()
}

// Bounds of a Config. They keep its own parsing, the bit set of Conform and the planner's work small.
const (
	maxCollections = 256
	maxFields      = 256 // of one collection or one Object
	minExamined    = 1_000
	maxExamined    = 10_000_000
	maxLevels      = 8  // fields, their fields, theirs, …: the most that limits.fieldLevels may allow
	maxIndexes     = 32 // compound, of one collection
	maxIndexPaths  = 4
	maxNameLength  = 64
	maxKeyLength   = 128
	maxBodyBytes   = 64 << 20
	minPasswordLow = 6
	minPasswordTop = 128

	maxRefreshGrace = 60
	maxAuditDays    = 3650
	minAuditEntries = 100
	maxAuditEntries = 1_000_000
)

// Validate returns nil, or a *ConfigError with every mistake. It does not need Normalize to have run and changes nothing.
func (c *Config) Validate() error {
	v := new(validator)
	v.name("name", c.Name)
	v.siteURL(c.SiteURL)
	for i, d := range c.AllowedDomains {
		if why := domainFault(d); why != "" {
			v.addf(index("allowedDomains", i), "%s", why)
		}
	}
	if n := c.Auth.MinPassword; n != 0 && (n < minPasswordLow || n > minPasswordTop) {
		v.addf("auth.minPassword", "must be between %d and %d", minPasswordLow, minPasswordTop)
	}
	v.codes(&c.Auth)
	v.mail(&c.Mail)
	v.argon2(&c.Auth.Argon2)
	switch strings.ToLower(c.Auth.CookieSameSite) {
	case "", SameSiteLax, SameSiteStrict, SameSiteNone:
	default:
		v.addf("auth.cookieSameSite", "must be %s, %s or %s", SameSiteLax, SameSiteStrict, SameSiteNone)
	}
	v.providers(c)
	if n := c.Auth.RefreshGrace; n < 0 || n > maxRefreshGrace {
		v.addf("auth.refreshGrace", "must be between 0 and %d seconds", maxRefreshGrace)
	}
	if n := c.Audit.Days; n != 0 && (n < 1 || n > maxAuditDays) {
		v.addf("audit.days", "must be between 1 and %d days", maxAuditDays)
	}
	if n := c.Audit.Entries; n != 0 && (n < minAuditEntries || n > maxAuditEntries) {
		v.addf("audit.entries", "must be between %d and %d", minAuditEntries, maxAuditEntries)
	}
	if n := c.Limits.BodyBytes; n < 0 || n > maxBodyBytes {
		v.addf("limits.bodyBytes", "must be between 1 and %d bytes", maxBodyBytes)
	}
	if n := c.Limits.Examined; n != 0 && (n < minExamined || n > maxExamined) {
		v.addf("limits.examinedDocuments", "must be between %d and %d documents", minExamined, maxExamined)
	}
	if n := c.Limits.FieldLevels; n < 0 || n > maxLevels {
		v.addf("limits.fieldLevels", "must be between 1 and %d", maxLevels)
	}
	if c.Limits.DatabaseBytes < 0 {
		v.addf("limits.databaseBytes", "must not be negative; 0 means no limit")
	}
	if n := c.Limits.FileBytes; n != 0 && n < minFileBytes {
		v.addf("limits.fileBytes", "must be at least %d bytes; 0 means no limit", minFileBytes)
	}
	v.rates(&c.Limits)
	v.durability(c)
	v.stored(&c.Files)
	v.collections(c)
	v.accounts(c)
	if v.problems == nil {
		return nil
	}
	return &ConfigError{Problems: v.problems}
}

// argon2 holds the cost of a hash to what OWASP advises at least, in any of the mixtures of memory and passes that it calls equal, and to
// what auth accepts at most.
func (v *validator) argon2(a *Argon2) {
	const mib = 1 << 20
	memory, passes := cmp.Or(a.Memory, auth.DefaultHashKiB<<10), cmp.Or(a.Time, auth.DefaultHashTime)
	switch {
	case passes < 1 || passes > 16:
		v.addf("auth.argon2.time", "must be between 1 and 16 passes")
	case memory > 64*mib:
		v.addf("auth.argon2.memory", "must be at most 64 MiB")
	default:
		least := int64([...]int{46, 19, 12, 9, 7}[min(passes, 5)-1]) * mib
		if memory < least {
			v.addf("auth.argon2.memory", "must be at least %d MiB with time: %d", least/mib, passes)
		}
	}
}

// minFileBytes leaves room for the log of changes and a few documents.
const minFileBytes = 1 << 20

func (v *validator) durability(c *Config) {
	switch c.Durability {
	case "", DurabilityStrict, DurabilityRelaxed:
	default:
		v.addf("durability", "must be %s or %s", DurabilityStrict, DurabilityRelaxed)
		return
	}
	switch {
	case c.Durability != DurabilityRelaxed && c.SyncMillis != 0:
		v.addf("syncMillis", "only with durability: %s", DurabilityRelaxed)
	case c.SyncMillis < 0 || c.SyncMillis > kv.MaxSyncMillis:
		v.addf("syncMillis", "must be between 1 and %d milliseconds", kv.MaxSyncMillis)
	}
}

func (v *validator) stored(f *Files) {
	if f.MaxBytes < 0 {
		v.addf("files.maxBytes", "must be at least 1 byte")
	}
	if f.TotalBytes < 0 {
		v.addf("files.totalBytes", "must not be negative; 0 means no limit")
	}
	switch f.Upload {
	case "", UploadSecret, UploadUsers, UploadHook:
	default:
		v.addf("files.upload", "must be %s, %s or %s", UploadSecret, UploadUsers, UploadHook)
	}
	switch f.Visibility {
	case "", VisibilityPublic, VisibilityPrivate:
	default:
		v.addf("files.visibility", "must be %s or %s", VisibilityPublic, VisibilityPrivate)
	}
}

type validator struct{ problems []Problem }

func (v *validator) addf(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (v *validator) name(path, name string) {
	switch {
	case name == "":
		v.addf(path, "is required")
	case strings.HasPrefix(name, "_"):
		v.addf(path, "%q is reserved: names that start with an underscore belong to the system", name)
	case !isName(name):
		v.addf(path, "%q must be 1 to %d letters, digits, '_' or '-', and start with a letter", name, maxNameLength)
	}
}

func isName(s string) bool {
	if s == "" || len(s) > maxNameLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

func (v *validator) siteURL(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		v.addf("siteUrl", "%q must be an http or https address such as https://app.example", s)
	}
}

// domainFault says why an entry of allowedDomains is none of the forms.
func domainFault(entry string) string {
	const forms = `use "*", an origin (https://app.example), a host name (app.example) or "*.app.example"`
	e := strings.ToLower(strings.TrimSpace(entry))
	switch {
	case e == "*":
		return ""
	case strings.Contains(e, "://"):
		u, err := url.Parse(e)
		if _, oerr := ParseOrigin(e); err != nil || oerr != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			return strconv.Quote(entry) + " is not an origin (scheme, host and port, no path); " + forms
		}
	case !isHost(strings.TrimPrefix(e, "*.")):
		return strconv.Quote(entry) + " is not a host name; " + forms
	}
	return ""
}

// isHost reports whether s is a lower-case DNS name or an IPv4 address in dotted form.
func isHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return false
			}
		}
	}
	return true
}

func (v *validator) collections(c *Config) {
	if len(c.Collections) > maxCollections {
		v.addf("collections", "are %d; at most %d are allowed", len(c.Collections), maxCollections)
		return
	}
	first := map[string]int{}
	for i := range c.Collections {
		path, col := index("collections", i), &c.Collections[i]
		v.name(path+".name", col.Name)
		folded := strings.ToLower(col.Name)
		if before, ok := first[folded]; ok && folded != "" {
			v.addf(path+".name", "%q is already the name of %s (upper and lower case are one)", col.Name, index("collections", before))
		} else {
			first[folded] = i
		}
		if folded == Users && col.Name != Users {
			v.addf(path+".name", "%q must be spelt %q: it is the collection of accounts", col.Name, Users)
		}
		v.fields(path+".fields", col.Fields, c, 1)
		v.rls(path+".rls", col)
		v.indexes(path+".indexes", col)
	}
}

func (v *validator) rls(path string, col *Collection) {
	r := &col.RLS
	switch strings.ToLower(r.Mode) {
	case "", ModePublicRead, ModePrivate, modeOwnerWrite:
	case ModeCustom:
		if !r.Enabled {
			v.addf(path+".mode", "%s needs enabled: true: without it everybody reads, and no policy is asked", ModeCustom)
		}
	default:
		v.addf(path+".mode", "%q must be %s, %s or %s", r.Mode, ModePublicRead, ModePrivate, ModeCustom)
	}
	if r.OwnerField == "" {
		return
	}
	switch f := col.Field(r.OwnerField); {
	case r.OwnerField == "_id":
		v.addf(path+".ownerField", "must not be _id: a document's id is not its owner")
	case isReserved([]byte(r.OwnerField)):
		v.addf(path+".ownerField", "%s is written by the server and cannot hold the owner", r.OwnerField)
	case strings.Contains(r.OwnerField, "."):
		v.addf(path+".ownerField", "%q must be a top-level field", r.OwnerField)
	case keyFault(r.OwnerField) != "":
		v.addf(path+".ownerField", "%q %s", r.OwnerField, keyFault(r.OwnerField))
	case f != nil && f.Type.canonical() != TypeString && f.Type.canonical() != TypeRef:
		v.addf(path+".ownerField", "field %q is a %s; an owner is a String or a Ref", r.OwnerField, f.Type)
	}
}

func (v *validator) indexes(path string, col *Collection) {
	if len(col.Indexes) > maxIndexes {
		v.addf(path, "are %d; at most %d are allowed", len(col.Indexes), maxIndexes)
		return
	}
	for i, paths := range col.Indexes {
		at := index(path, i)
		if len(paths) == 0 || len(paths) > maxIndexPaths {
			v.addf(at, "must name 1 to %d fields", maxIndexPaths)
			continue
		}
		for j, p := range paths {
			switch {
			case slices.Contains(paths[:j], p):
				v.addf(index(at, j), "names %q twice", p)
			case !col.declares(p):
				v.addf(index(at, j), "%q is not a declared field", p)
			}
		}
		for k := range i {
			if slices.Equal(col.Indexes[k], paths) {
				v.addf(at, "is the same as %s", index(path, k))
			}
		}
	}
}

// declares reports whether a dotted path leads to a declared field, to a timestamp, or into an Object that declares none.
func (c *Collection) declares(path string) bool {
	if path == createdAt || path == updatedAt || path == idMember {
		return true
	}
	fields := c.Fields
	for {
		key, rest, more := strings.Cut(path, ".")
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key })
		if i < 0 {
			return false
		}
		if !more {
			return true
		}
		f := &fields[i]
		if f.Type.canonical() == TypeArray && f.Items != nil {
			f = f.Items
		}
		if f.Type.canonical() != TypeObject || rest == "" {
			return false
		}
		if len(f.Fields) == 0 {
			return true
		}
		path, fields = rest, f.Fields
	}
}

// accounts checks what authentication needs of the users collection, in the words of the API contract.
func (v *validator) accounts(c *Config) {
	if !c.Auth.Enabled {
		return
	}
	for i := range c.Collections {
		if c.Collections[i].Name != Users {
			continue
		}
		for _, key := range []string{"email", "password"} {
			if f := c.Collections[i].Field(key); f == nil || f.Type.canonical() != TypeString || !f.Required {
				v.addf(index("collections", i), "The 'users' collection is missing required 'email' and 'password' string fields.")
				return
			}
		}
		v.profile("auth.profile.writable", c.Auth.Profile.Writable, &c.Collections[i], NeverWritten)
		v.profile("auth.profile.public", c.Auth.Profile.Public, &c.Collections[i], NeverPublic)
		return
	}
	v.addf("auth.enabled", "Authentication is enabled, but the 'users' collection schema has not been defined.")
}

// profile judges a list of fields of accounts; never says which of them it must not hold.
func (v *validator) profile(path string, names []string, users *Collection, never func(string) bool) {
	for i, name := range names {
		switch at := index(path, i); {
		case slices.Contains(names[:i], name):
			v.addf(at, "names %q twice", name)
		case users.Field(name) == nil:
			v.addf(at, "%q is not a declared field of the users collection", name)
		case never(name):
			v.addf(at, "%q is not for users to write or for everybody to see", name)
		}
	}
}

func keyFault(key string) string {
	if err, ok := jsondoc.CheckKey([]byte(key)).(*jsondoc.KeyError); ok {
		return err.Why
	}
	return ""
}

func (v *validator) fields(path string, fields []Field, c *Config, level int) {
	if len(fields) > maxFields {
		v.addf(path, "are %d; at most %d are allowed", len(fields), maxFields)
		return
	}
	first := map[string]int{}
	for i := range fields {
		at, f := index(path, i), &fields[i]
		v.key(at+".key", f.Key, level)
		if before, ok := first[f.Key]; ok && f.Key != "" {
			v.addf(at+".key", "%q is already declared by %s", f.Key, index(path, before))
		} else {
			first[f.Key] = i
		}
		v.field(at, f, c, level)
	}
}

func (v *validator) key(path, key string, level int) {
	switch {
	case key == "":
		v.addf(path, "is required")
	case len(key) > maxKeyLength:
		v.addf(path, "is longer than %d bytes", maxKeyLength)
	case strings.Contains(key, "."):
		v.addf(path, "%q must not contain '.'; declare an Object with fields instead", key)
	case keyFault(key) != "":
		v.addf(path, "%q %s", key, keyFault(key))
	case level == 1 && isReserved([]byte(key)):
		v.addf(path, "%q is reserved: the server writes it", key)
	}
}

// field judges what a field and an array's items have in common, then what only fields may have.
func (v *validator) field(path string, f *Field, c *Config, level int) {
	if most := cmp.Or(c.Limits.FieldLevels, defaultFieldLevels); level > most {
		v.addf(path, "is nested deeper than %d levels", most)
		return
	}
	t := f.Type.canonical()
	if t == "" {
		v.addf(path+".type", "is required; one of %s", typeNames())
		return
	}
	if !slices.Contains(Types(), t) {
		v.addf(path+".type", "%q must be one of %s%s", f.Type, typeNames(), suggest(string(f.Type), typeStrings()))
		return
	}
	v.only(path+".items", f.Items != nil, t, TypeArray)
	v.only(path+".fields", len(f.Fields) > 0, t, TypeObject)
	v.only(path+".ref", f.Ref != "", t, TypeRef)
	v.only(path+".format", f.Format != "", t, TypeString)
	switch t {
	case TypeArray:
		if f.Items != nil {
			v.items(path+".items", f.Items, c, level+1)
		}
	case TypeObject:
		v.fields(path+".fields", f.Fields, c, level+1)
	case TypeRef:
		v.ref(path+".ref", f.Ref, c)
	case TypeString:
		if format := strings.ToLower(f.Format); format != "" && !slices.Contains(formats(), format) {
			v.addf(path+".format", "%q must be one of %s%s", f.Format, strings.Join(formats(), ", "), suggest(format, formats()))
		}
	}
	if f.Unique && (level > 1 || t == TypeObject || t == TypeArray) {
		v.addf(path+".unique", "is only for top-level String, Number, Boolean, Date and Ref fields")
	}
	if f.Index && (level > 1 || t == TypeObject) {
		v.addf(path+".index", "is only for top-level fields that are no Objects; list a nested path under indexes")
	}
	if len(f.Default) > 0 && string(f.Default) != "null" {
		if f.Required {
			v.addf(path+".default", "a required field cannot have a default")
		} else if _, err := f.conformDefault(); err != nil {
			v.addf(path+".default", "does not fit the field: %s", strings.TrimSuffix(err.Error(), "."))
		}
	}
}

func (v *validator) items(path string, f *Field, c *Config, level int) {
	for _, bad := range []struct {
		name string
		set  bool
	}{{"key", f.Key != ""}, {"required", f.Required}, {"unique", f.Unique}, {"index", f.Index}, {"default", len(f.Default) > 0}} {
		if bad.set {
			v.addf(path+"."+bad.name, "is not for the items of an array")
		}
	}
	plain := *f
	plain.Unique, plain.Index, plain.Default = false, false, nil
	v.field(path, &plain, c, level)
}

func (v *validator) only(path string, set bool, have, want Type) {
	if set && have != want {
		v.addf(path, "is only for the type %s, not %s", want, have)
	}
}

func (v *validator) ref(path, ref string, c *Config) {
	if ref == "" {
		v.addf(path, "is required for the type Ref: the collection that is referred to")
		return
	}
	if c.Collection(ref) == nil {
		names := make([]string, len(c.Collections))
		for i := range c.Collections {
			names[i] = c.Collections[i].Name
		}
		v.addf(path, "%q is not a declared collection%s", ref, suggest(ref, names))
	}
}

func typeStrings() []string {
	names := make([]string, 0, len(Types()))
	for _, t := range Types() {
		names = append(names, string(t))
	}
	return names
}

func typeNames() string { return strings.Join(typeStrings(), ", ") }
