package project

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const goodFile = `# a blog
name: blog
siteUrl: http://localhost:5173
allowedDomains: ["*"]
auth: {enabled: true, minPassword: 6}
limits:
  bodyBytes: 64 KiB
  databaseBytes: 1073741824
files: {maxBytes: 1 MiB, totalBytes: 2 GiB, upload: users, visibility: private}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
      - {key: username, type: String}
  - name: posts
    fields:
      - {key: title, type: string, required: true}
      - {key: price, type: Number, default: 1.50}
      - key: state
        type: String
        default: draft
      - {key: since, type: Date, default: 2026-01-01}
      - {key: tags, type: Array, items: {type: String}, default: [a, "b"]}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}], default: {likes: 9007199254740993}}
      - {key: author, type: Ref, ref: users}
      - {key: userId, type: String}
      - {key: ok, type: Boolean, default: True}
    rls: {enabled: true, mode: public-read, ownerField: userId}
    indexes: [[title, price]]
    strict: true
`

func TestParseFile(t *testing.T) {
	c, err := ParseFile("sluice.yaml", []byte(goodFile))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "blog" || !c.Auth.Enabled || c.Auth.MinPassword != 6 || c.Limits.BodyBytes != 64<<10 || c.Limits.DatabaseBytes != 1<<30 {
		t.Errorf("got %+v", c)
	}
	if c.Files != (Files{MaxBytes: 1 << 20, TotalBytes: 2 << 30, Upload: UploadUsers, Visibility: VisibilityPrivate}) {
		t.Errorf("files are %+v", c.Files)
	}
	posts := c.Collection("posts")
	if posts == nil || !posts.Strict || posts.RLS != (RLS{true, ModePublicRead, "userId", true}) || !reflect.DeepEqual(posts.Indexes, [][]string{{"title", "price"}}) {
		t.Fatalf("posts are %+v", posts)
	}
	for key, want := range map[string]string{"price": `1.50`, "state": `"draft"`, "since": `"2026-01-01T00:00:00.000Z"`, "tags": `["a","b"]`,
		"meta": `{"likes":9007199254740993}`, "ok": `true`, "title": ``} {
		if got := string(posts.Field(key).Default); got != want {
			t.Errorf("the default of %s is %s, want %s", key, got, want)
		}
	}
	t.Run("what it means survives JSON", func(t *testing.T) {
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		d := config(t, string(raw))
		d.Normalize()
		if changes := Diff(c, d); changes != nil {
			t.Errorf("differences: %v", changes)
		}
		e, err := ParseFile("body", raw)
		if err != nil || Diff(c, e) != nil {
			t.Errorf("its JSON is a project file too: %v, %v", err, Diff(c, e))
		}
	})
	t.Run("a key without a value is absent", func(t *testing.T) {
		c, err := ParseFile("f", []byte("name: p\nauth:\ncollections:\n  - name: c\n    fields:\n    rls: ~\n"))
		if err != nil || c.Collections[0].RLS.Mode != ModePublicRead || !c.Collections[0].RLS.RequireAuthForWrite {
			t.Errorf("got %+v, %v", c, err)
		}
	})
}

func TestParseFileRefuses(t *testing.T) {
	cases := []struct {
		name, src string
		want      []string
	}{
		{"nothing", "", []string{"f: the file is empty"}},
		{"only a comment", "# x\n", []string{"f: the file is empty"}},
		{"a list", "- a\n", []string{`f:1: the file must be a mapping that begins with a line such as "name: blog"`}},
		{"no YAML", "name: [a\n", []string{"f:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence"}},
		{"two documents", "name: p\n---\nname: q\n", []string{"f:2: the file holds a second document; a project is one"}},
		{"an unknown key", "name: p\ncollections:\n  - name: c\n    fields:\n      - key: a\n        typ: String\n", []string{`f:6: collections[0].fields[0].typ: unknown key "typ" (did you mean "type"?)`}},
		{"a key in another case", "Name: p\n", []string{`f:1: Name: unknown key "Name" (did you mean "name"?)`}},
		{"a key like no other", "name: p\naudit: {zzzzzzz: 1}\n", []string{`f:2: audit.zzzzzzz: unknown key "zzzzzzz" (known are days, entries)`}},
		{"a key twice", "name: p\nsiteUrl: http://a\nname: q\n", []string{`f:3: name: key "name" is given twice, first on line 1`}},
		{"a number as name", "name: 12\n", []string{"f:1: name: must be a string, not the number 12; put it in quotes if it is one"}},
		{"a text as boolean", "name: p\nauth: {enabled: yes}\n", []string{`f:2: auth.enabled: must be true or false, not "yes"`}},
		{"a fraction as whole number", "name: p\nauth: {minPassword: 8.5}\n", []string{"f:2: auth.minPassword: must be a whole number, not the number 8.5"}},
		{"a wish about files that nobody knows", "name: p\nfiles: {maxByte: 1}\n", []string{`f:2: files.maxByte: unknown key "maxByte" (did you mean "maxBytes"?)`}},
		{"a bad size", "name: p\nlimits: {bodyBytes: 1 MB}\n", []string{`f:2: limits.bodyBytes: must be a number of bytes such as 1048576 or 1 MiB, not "1 MB"`}},
		{"a size that overflows", "name: p\nlimits: {databaseBytes: 9223372036854775807 GiB}\n", []string{`f:2: limits.databaseBytes: must be a number of bytes such as 1048576 or 1 MiB, not "9223372036854775807 GiB"`}},
		{"a mapping for a list", "name: p\ncollections:\n  posts: {}\n", []string{"f:3: collections: must be a list of collections, not a mapping"}},
		{"a list for a mapping", "name: p\nauth: [true]\n", []string{"f:2: auth: must be a mapping of keys and values, not a list"}},
		{"an alias", "name: p\nsiteUrl: &u http://a\nallowedDomains: [*u]\n", []string{"f:3: allowedDomains[0]: aliases are not allowed; write the value out"}},
		{"a merge key", "name: p\naudit:\n  <<: {days: 1}\n", []string{`f:3: audit.<<: unknown key "<<" (known are days, entries)`}},
		{"a custom tag", "name: !secret p\n", []string{"f:1: name: the tag !secret is not allowed"}},
		{"a number that JSON cannot write", "name: p\ncollections:\n  - name: c\n    fields:\n      - {key: n, type: Number, default: 0x10}\n", []string{"f:5: collections[0].fields[0].default: write the number 0x10 in plain decimal, as JSON does"}},
		{"a default with a key twice", "name: p\ncollections:\n  - name: c\n    fields:\n      - {key: n, type: Object, default: {a: 1, a: 2}}\n", []string{`f:5: collections[0].fields[0].default.a: key "a" is given twice`}},
		{"an alias in a default", "name: p\nsiteUrl: &u http://a\ncollections:\n  - name: c\n    fields:\n      - {key: n, type: Array, default: [*u]}\n", []string{"f:6: collections[0].fields[0].default[0]: aliases are not allowed; write the value out"}},
		{"nesting without end", "name: p\ncollections:\n  - name: c\n    fields:\n      - {key: n, type: Array, items: " + strings.Repeat("{type: Array, items: ", 50) + "{type: String}" + strings.Repeat("}", 51) + "\n",
			[]string{"f:5: collections[0].fields[0].items.items.items: is nested deeper than 3 levels"}},
		{"what Validate finds has its line", "name: p\ncollections:\n  - name: c\n    rls:\n      enabled: true\n      mode: open\n    fields:\n      - key: a\n        type: Strin\n      - type: String\n", []string{
			`f:6: collections[0].rls.mode: "open" must be public-read, private or custom`,
			`f:9: collections[0].fields[0].type: "Strin" must be one of String, Number, Boolean, Date, Object, Array, Ref (did you mean "String"?)`,
			"f:10: collections[0].fields[1].key: is required",
		}},
		{"all at once, in the order of lines", "nam: p\nauth: {enabled: 1}\ncollections:\n  - name: 3\n  - nome: x\n", []string{
			`f:1: nam: unknown key "nam" (did you mean "name"?)`,
			"f:2: auth.enabled: must be true or false, not the number 1",
			"f:4: collections[0].name: must be a string, not the number 3; put it in quotes if it is one",
			`f:5: collections[1].nome: unknown key "nome" (did you mean "name"?)`,
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseFile("f", []byte(tc.src))
			var cerr *ConfigError
			if !errors.As(err, &cerr) || c != nil {
				t.Fatalf("got %+v, %v", c, err)
			}
			if got := strings.Split(cerr.Error(), "\n"); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
	t.Run("a file too large", func(t *testing.T) {
		if _, err := ParseFile("f", make([]byte, 1<<20+1)); err == nil || err.Error() != "f: the file is larger than 1048576 bytes" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a thousand mistakes are cut short", func(t *testing.T) {
		_, err := ParseFile("f", []byte("name: p\nallowedDomains:\n"+strings.Repeat("  - 1\n", 1000)))
		var cerr *ConfigError
		if !errors.As(err, &cerr) || len(cerr.Problems) != 101 || cerr.Problems[100].Message != "and 900 more" {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(goodFile))
	f.Add([]byte("name: p\ncollections: [{name: c, fields: [{key: n, type: Array, default: [[1, {a: ~}]]}]}]\n"))
	f.Add([]byte("{\"name\": \"p\", \"auth\": {\"enabled\": false}}"))
	f.Add([]byte("name: &a p\nsiteUrl: *a\n---\n"))
	f.Add([]byte("? [a]\n: b\nname: !!str 1\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseFile("f", src)
		if err != nil {
			var cerr *ConfigError
			if !errors.As(err, &cerr) || len(cerr.Problems) == 0 || cerr.Error() == "" {
				t.Fatalf("error is %#v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("the result is not valid: %v", err)
		}
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again := new(Config)
		if err := json.Unmarshal(raw, again); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if again.Normalize(); Diff(c, again) != nil {
			t.Fatalf("differences after JSON: %v", Diff(c, again))
		}
		for i := range c.Collections {
			_, _ = c.Collections[i].Conform(nil, value(t, benchBody), nil, testStamp())
		}
	})
}
