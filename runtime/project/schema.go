package project

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/kv"
)

// Config is a project as declared: what sluice.yaml holds, and (as JSON) what the admin API takes and the project's file
// keeps. Normalize writes the defaults into it, Validate judges it.
type Config struct {
	Name           string       `json:"name"`
	SiteURL        string       `json:"siteUrl"`        // the app's own address, used in mail and redirects; may be empty
	AllowedDomains []string     `json:"allowedDomains"` // ["*"] if absent: see NewDomains for the forms
	Auth           AuthConfig   `json:"auth"`
	Mail           MailConfig   `json:"mail"`
	Audit          AuditConfig  `json:"audit"`
	Limits         Limits       `json:"limits"`
	Files          Files        `json:"files"`
	Durability     string       `json:"durability"`           // strict: a write is answered once it is on disk; relaxed: before
	SyncMillis     int          `json:"syncMillis,omitempty"` // relaxed only: 100; it reaches the disk this much later at most
	Collections    []Collection `json:"collections"`
}

// Kinds of durability.
const (
	DurabilityStrict  = "strict"
	DurabilityRelaxed = "relaxed"
)

const defaultSyncMillis = 100

// AuthConfig turns accounts on.
type AuthConfig struct {
	Enabled         bool          `json:"enabled"`
	MinPassword     int           `json:"minPassword"`              // 8; code points of a new password, 6 to 128
	Existing        string        `json:"existing"`                 // refuse; what a sign-up with an address that has an account is answered
	CodesPerAddress int           `json:"codesPerAddress"`          // 5; one-time codes that one address is sent in an hour, 1 to 10
	CodesPerHour    int           `json:"codesPerHour"`             // 1,000; one-time codes that the whole project sends in an hour
	StrictSessions  bool          `json:"strictSessions,omitempty"` // the end of a session ends its access token at once; else that runs out by itself, within 15 minutes
	RefreshGrace    int           `json:"refreshGrace,omitempty"`   // 0; seconds for which a refresh token that was just spent gets the same next one again, up to 60
	CookieSameSite  string        `json:"cookieSameSite,omitempty"` // lax; strict, or none for an app on another site than the node
	HideClients     bool          `json:"hideClients,omitempty"`    // neither addresses nor user agents are kept, in sessions or the audit log
	Argon2          Argon2        `json:"argon2,omitzero"`
	Profile         ProfileConfig `json:"profile,omitzero"`
	Providers       []Provider    `json:"providers,omitempty"` // where users may log in beside here
}

// What a sign-up with an address that has an account is answered.
const (
	ExistingRefuse = "refuse" // that there is an account, and no more
	ExistingResend = "resend" // as the API contract has it: an account that is not verified yet is sent a new code, and the answer says so
)

// MailConfig says how a project's mail looks, and how much of it there may be. Which server carries it is the node's affair.
type MailConfig struct {
	From      string         `json:"from,omitempty"`      // Blog <no-reply@blog.example>; the node's own if empty
	ReplyTo   string         `json:"replyTo,omitempty"`   // where answers go, if not there
	PerDay    int            `json:"perDay"`              // 1,000; mails that POST /api/mail/send takes in a day
	Welcome   bool           `json:"welcome"`             // send the template welcome once an address is verified
	Templates []MailTemplate `json:"templates,omitempty"` // beside, or in place of, the built-in ones
}

// MailTemplate is a mail of the project's; package letter says what may stand in it.
type MailTemplate struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Text    string `json:"text,omitempty"`
	HTML    string `json:"html,omitempty"`

	// Files beside the project file that hold text and HTML. Whoever reads the project file reads them too, and puts
	// what is in them in their place: see ReadTemplates.
	TextFile string `json:"textFile,omitempty"`
	HTMLFile string `json:"htmlFile,omitempty"`
}

// Values of AuthConfig.CookieSameSite; the empty one is lax.
const (
	SameSiteLax    = "lax"
	SameSiteStrict = "strict"
	SameSiteNone   = "none"
)

// Argon2 is what hashing a password costs. More is harder on whoever has stolen the hashes, and on the node at each login. Hashes that were
// made with other parameters are good, and made anew at the next login.
type Argon2 struct {
	Memory int64 `json:"memory,omitempty"` // 19 MiB; bytes that one hash takes, 7 to 64 MiB
	Time   int   `json:"time,omitempty"`   // 2; passes over the memory, up to 16, and the more the less memory there is
}

// ProfileConfig narrows what users write and others see of an account. What no user may ever write is not for it to open.
type ProfileConfig struct {
	Writable []string `json:"writable,omitzero"` // fields that users may set; nil: every declared one that grants no rights
	Public   []string `json:"public,omitzero"`   // fields of the public profile; nil: every declared one whose name is not sensitive
}

// AuditConfig bounds the log of what happens to accounts.
type AuditConfig struct {
	Days    int `json:"days"`    // 90; an entry is kept so long, 1 to 3650
	Entries int `json:"entries"` // 100,000; and so many of them, 100 to 1,000,000
}

// Limits bound what one project may use. Sizes are in bytes.
type Limits struct {
	BodyBytes     int64 `json:"bodyBytes"`         // 1 MiB; one JSON request body
	DatabaseBytes int64 `json:"databaseBytes"`     // 0 = no limit; all documents together
	Examined      int   `json:"examinedDocuments"` // 100,000; documents that one query may look at, 1,000 to 10,000,000
	FieldLevels   int   `json:"fieldLevels"`       // 3; fields, their fields, and so on, 1 to 8
	FileBytes     int64 `json:"fileBytes"`         // 0 = no limit; the project's file, with its indexes and free space

	RequestsPerAddress int `json:"requestsPerAddress,omitempty"` // 0 = no limit; a minute, from one client address (IPv6: one /64)
	RequestsPerMinute  int `json:"requestsPerMinute,omitempty"`  // 0 = no limit; of the whole project, in a minute of the clock
	RequestsPerDay     int `json:"requestsPerDay,omitempty"`     // 0 = no limit; of the whole project, in a day of UTC
	LoginFailures      int `json:"loginFailures"`                // 10; in a row, of one account or from one address, before the next try must wait
	RefreshesPerMinute int `json:"refreshesPerMinute"`           // 300; of one session, twice that of one user, three times from one address
}

// Files says who may store files, who may fetch them, and how much there may be. Sizes are in bytes.
type Files struct {
	MaxBytes   int64  `json:"maxBytes"`   // 10 MiB; one file, inclusive
	TotalBytes int64  `json:"totalBytes"` // 0 = no limit; all files together, and what is on its way
	Upload     string `json:"upload"`     // secret: who may store files beside secret keys
	Visibility string `json:"visibility"` // public: of a file whose upload does not say
}

// Who may store files. Secret keys always may.
const (
	UploadSecret = "secret" // nobody else
	UploadUsers  = "users"  // whoever is logged in; the file is theirs
	UploadHook   = "hook"   // whom the bundle's beforeUpload says yes to, logged in or not
)

// Who may fetch a file.
const (
	VisibilityPublic  = "public"  // whoever knows its address
	VisibilityPrivate = "private" // its owner, secret keys, and whoever was given a signed address
)

// Collection is a named set of documents under one schema and one set of access rules.
type Collection struct {
	Name    string     `json:"name"`
	Fields  []Field    `json:"fields"`
	RLS     RLS        `json:"rls"`
	Indexes [][]string `json:"indexes,omitempty"` // compound: dotted paths of declared fields, most significant first
	Strict  bool       `json:"strict"`            // refuse fields that are not declared, also inside declared Objects
}

// Field is one declared member of a document, or of an Object field.
type Field struct {
	Key      string          `json:"key,omitempty"` // empty only in Items
	Type     Type            `json:"type"`
	Required bool            `json:"required"`
	Unique   bool            `json:"unique"`
	Index    bool            `json:"index"`
	Default  json.RawMessage `json:"default,omitempty"` // JSON; stored when the field is missing or null
	Ref      string          `json:"ref,omitempty"`     // Ref: the collection that is referred to
	Items    *Field          `json:"items,omitempty"`   // Array: what each element must be; nil allows anything
	Fields   []Field         `json:"fields,omitempty"`  // Object: its members; none allows anything
	Format   string          `json:"format,omitempty"`  // String: email, url, color or slug
}

// Type is the type of a field. Files and requests may spell it in any case; Normalize makes it one of the constants.
type Type string

// The types.
const (
	TypeString  Type = "String"
	TypeNumber  Type = "Number"
	TypeBoolean Type = "Boolean"
	TypeDate    Type = "Date"
	TypeObject  Type = "Object"
	TypeArray   Type = "Array"
	TypeRef     Type = "Ref"
)

// Types lists them in the order in which messages name them.
func Types() []Type {
	return []Type{TypeString, TypeNumber, TypeBoolean, TypeDate, TypeObject, TypeArray, TypeRef}
}

// canonical returns the constant that t spells, or t as it is.
func (t Type) canonical() Type {
	for _, known := range Types() {
		if strings.EqualFold(string(t), string(known)) {
			return known
		}
	}
	return t
}

// The access modes, for publishable keys. Secret keys pass by them.
const (
	ModePublicRead = "public-read" // everybody reads, the owner writes
	ModePrivate    = "private"     // the owner reads and writes
	ModeCustom     = "custom"      // the bundle's policies alone say who reads and writes; what none is bound to is refused

	// modeOwnerWrite is another name of public-read in the API contract; Normalize replaces it.
	modeOwnerWrite = "owner-write-only"
)

// DefaultOwnerField is the field that holds a document's owner when the rules name no other.
const DefaultOwnerField = "userId"

// RLS are the access rules of a collection, row by row.
type RLS struct {
	Enabled             bool   `json:"enabled"`
	Mode                string `json:"mode"`                // public-read
	OwnerField          string `json:"ownerField"`          // userId; in custom mode none, unless it is named
	RequireAuthForWrite bool   `json:"requireAuthForWrite"` // true; publishable keys need a token to write. Only custom mode can do without
}

// UnmarshalJSON reads the rules with requireAuthForWrite true unless it is there. Unknown members are refused.
func (r *RLS) UnmarshalJSON(src []byte) error {
	type plain RLS
	p := plain{RequireAuthForWrite: true}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return err
	}
	*r = RLS(p)
	return nil
}

const (
	defaultMinPassword = 8
	defaultPerAddress  = 5
	defaultCodesHour   = 1_000
	defaultMailsDay    = 1_000
	defaultFieldLevels = 3
	defaultBodyBytes   = 1 << 20

	defaultAuditDays    = 90
	defaultAuditEntries = 100_000
	defaultMaxFile      = 10 << 20

	defaultLoginFailures = 10
	defaultRefreshes     = 300
)

// Collection returns the declared collection of that exact name, or nil.
func (c *Config) Collection(name string) *Collection {
	for i := range c.Collections {
		if c.Collections[i].Name == name {
			return &c.Collections[i]
		}
	}
	return nil
}

// Field returns the declared top-level field of that key, or nil.
func (c *Collection) Field(key string) *Field {
	for i := range c.Fields {
		if c.Fields[i].Key == key {
			return &c.Fields[i]
		}
	}
	return nil
}

// Normalize writes every default and the one spelling of every name in place, so that equal meanings are equal values.
// It is idempotent, judges nothing and leaves what it does not understand for Validate.
func (c *Config) Normalize() {
	if c.AllowedDomains == nil {
		c.AllowedDomains = []string{"*"}
	}
	for i, d := range c.AllowedDomains {
		c.AllowedDomains[i] = strings.ToLower(strings.TrimSpace(d))
	}
	c.SiteURL = strings.TrimSpace(c.SiteURL)
	if c.Auth.MinPassword == 0 {
		c.Auth.MinPassword = defaultMinPassword
	}
	if c.Auth.CookieSameSite = strings.ToLower(c.Auth.CookieSameSite); c.Auth.CookieSameSite == SameSiteLax {
		c.Auth.CookieSameSite = ""
	}
	for i := range c.Auth.Providers {
		c.Auth.Providers[i].normalize()
	}
	c.Auth.Existing = strings.ToLower(c.Auth.Existing)
	if c.Auth.Existing == "" {
		c.Auth.Existing = ExistingRefuse
	}
	if c.Auth.CodesPerAddress == 0 {
		c.Auth.CodesPerAddress = defaultPerAddress
	}
	if c.Auth.CodesPerHour == 0 {
		c.Auth.CodesPerHour = defaultCodesHour
	}
	c.Mail.normalize()
	if c.Audit.Days == 0 {
		c.Audit.Days = defaultAuditDays
	}
	if c.Audit.Entries == 0 {
		c.Audit.Entries = defaultAuditEntries
	}
	if c.Limits.BodyBytes == 0 {
		c.Limits.BodyBytes = defaultBodyBytes
	}
	if c.Limits.Examined == 0 {
		c.Limits.Examined = kv.DefaultBudget
	}
	if c.Limits.FieldLevels == 0 {
		c.Limits.FieldLevels = defaultFieldLevels
	}
	if c.Files.MaxBytes == 0 {
		c.Files.MaxBytes = defaultMaxFile
	}
	if c.Files.Upload == "" {
		c.Files.Upload = UploadSecret
	}
	if c.Files.Visibility == "" {
		c.Files.Visibility = VisibilityPublic
	}
	if c.Limits.LoginFailures == 0 {
		c.Limits.LoginFailures = defaultLoginFailures
	}
	if c.Limits.RefreshesPerMinute == 0 {
		c.Limits.RefreshesPerMinute = defaultRefreshes
	}
	if c.Durability == "" {
		c.Durability = DurabilityStrict
	}
	if c.Durability == DurabilityRelaxed && c.SyncMillis == 0 {
		c.SyncMillis = defaultSyncMillis
	}
	if c.Collections == nil {
		c.Collections = []Collection{}
	}
	for i := range c.Collections {
		c.Collections[i].normalize()
	}
}

func (c *Collection) normalize() {
	if c.RLS == (RLS{}) {
		c.RLS.RequireAuthForWrite = true
	}
	c.RLS.Mode = strings.ToLower(c.RLS.Mode)
	if c.RLS.Mode == "" || c.RLS.Mode == modeOwnerWrite {
		c.RLS.Mode = ModePublicRead
	}
	if c.RLS.OwnerField == "" && c.RLS.Mode != ModeCustom {
		c.RLS.OwnerField = DefaultOwnerField
	}
	if c.Fields == nil {
		c.Fields = []Field{}
	}
	if len(c.Indexes) == 0 {
		c.Indexes = nil
	}
	normalizeFields(c.Fields)
}

func normalizeFields(fields []Field) {
	for i := range fields {
		fields[i].normalize()
	}
}

func (f *Field) normalize() {
	f.Type = f.Type.canonical()
	f.Format = strings.ToLower(f.Format)
	if len(f.Fields) == 0 {
		f.Fields = nil
	}
	normalizeFields(f.Fields)
	if f.Items != nil {
		f.Items.normalize()
	}
	if text := bytes.TrimSpace(f.Default); len(text) == 0 || string(text) == "null" {
		f.Default = nil
	} else if stored, err := f.conformDefault(); err == nil {
		f.Default = stored
	}
}

// Clone returns a copy that shares nothing with c.
func (c *Config) Clone() *Config {
	d := *c
	d.AllowedDomains = slices.Clone(c.AllowedDomains)
	d.Mail.Templates = slices.Clone(c.Mail.Templates)
	d.Auth.Providers = slices.Clone(c.Auth.Providers)
	for i := range d.Auth.Providers {
		d.Auth.Providers[i].Scopes = slices.Clone(c.Auth.Providers[i].Scopes)
	}
	d.Auth.Profile.Writable, d.Auth.Profile.Public = slices.Clone(c.Auth.Profile.Writable), slices.Clone(c.Auth.Profile.Public)
	d.Collections = slices.Clone(c.Collections)
	for i := range d.Collections {
		col := &d.Collections[i]
		col.Fields = cloneFields(col.Fields)
		col.Indexes = slices.Clone(col.Indexes)
		for j := range col.Indexes {
			col.Indexes[j] = slices.Clone(col.Indexes[j])
		}
	}
	return &d
}

func cloneFields(fields []Field) []Field {
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i] = fields[i].clone()
	}
	return fields
}

func (f Field) clone() Field {
	f.Default = slices.Clone(f.Default)
	f.Fields = cloneFields(f.Fields)
	if f.Items != nil {
		items := f.Items.clone()
		f.Items = &items
	}
	return f
}
