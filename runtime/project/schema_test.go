package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// config reads a Config as the admin API would.
func config(t testing.TB, src string) *Config {
	t.Helper()
	c := new(Config)
	d := json.NewDecoder(strings.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return c
}

// problems are the lines of what Validate finds.
func problems(c *Config) []string {
	var cerr *ConfigError
	if !errors.As(c.Validate(), &cerr) {
		return nil
	}
	return strings.Split(cerr.Error(), "\n")
}

// withFields puts fields into a collection called posts, beside one called users.
func withFields(fields string) string {
	return `{"name":"p","collections":[{"name":"posts","fields":` + fields + `},{"name":"users","fields":[]}]}`
}

func TestValidate(t *testing.T) {
	const f = "collections[0].fields"
	types := "String, Number, Boolean, Date, Object, Array, Ref"
	cases := []struct {
		name, src string
		want      []string
	}{
		{"the least", `{"name":"p"}`, nil},
		{"everything", withFields(everything), nil},
		{"no name", `{}`, []string{"name: is required"}},
		{"a reserved name", `{"name":"_control"}`, []string{`name: "_control" is reserved: names that start with an underscore belong to the system`}},
		{"a bad name", `{"name":"a/b"}`, []string{`name: "a/b" must be 1 to 64 letters, digits, '_' or '-', and start with a letter`}},
		{"a name too long", `{"name":"` + strings.Repeat("a", 65) + `"}`, []string{`name: "` + strings.Repeat("a", 65) + `" must be 1 to 64 letters, digits, '_' or '-', and start with a letter`}},
		{"a bad siteUrl", `{"name":"p","siteUrl":"app.example"}`, []string{`siteUrl: "app.example" must be an http or https address such as https://app.example`}},
		{"good domains", `{"name":"p","allowedDomains":["*","https://a.example:8443","http://localhost:5173","a.example","*.a.example","127.0.0.1","localhost"]}`, nil},
		{"an origin with a path", `{"name":"p","allowedDomains":["https://a.example/x"]}`, []string{`allowedDomains[0]: "https://a.example/x" is not an origin (scheme, host and port, no path); use "*", an origin (https://app.example), a host name (app.example) or "*.app.example"`}},
		{"a host with a port", `{"name":"p","allowedDomains":["ok.example","a.example:80"]}`, []string{`allowedDomains[1]: "a.example:80" is not a host name; use "*", an origin (https://app.example), a host name (app.example) or "*.app.example"`}},
		{"an inner star", `{"name":"p","allowedDomains":["a.*.example"]}`, []string{`allowedDomains[0]: "a.*.example" is not a host name; use "*", an origin (https://app.example), a host name (app.example) or "*.app.example"`}},
		{"a short password", `{"name":"p","auth":{"minPassword":5}}`, []string{"auth.minPassword: must be between 6 and 128"}},
		{"more levels than the limit allows", `{"name":"p","limits":{"fieldLevels":1},"collections":[{"name":"c","fields":[{"key":"a","type":"Object","fields":[{"key":"b","type":"String"}]}]}]}`, []string{"collections[0].fields[0].fields[0]: is nested deeper than 1 levels"}},
		{"providers without accounts or site", `{"name":"p","auth":{"providers":[{"name":"github","clientId":"a","clientSecret":"env:SLUICE_SECRET_A"}]}}`, []string{"auth.providers: needs auth.enabled: true", "siteUrl: is required with auth.providers: users come back to /auth/callback there"}},
		{"providers", `{"name":"p","siteUrl":"https://x.example","auth":{"providers":[{"name":"Git Hub"},{"name":"google","clientId":"a","clientSecret":"hunter2"},{"name":"google","clientId":"a","clientSecret":"env:PATH"},` +
			`{"name":"house","clientId":"a","clientSecret":"file:../admin-token","issuer":"http://id.example"},{"name":"h","clientId":"a","clientSecret":"file:h","issuer":"https://u:p@id.example/?x#y"},` +
			`{"name":"github","clientId":"a","clientSecret":"file:h","issuer":"https://id.example","authUrl":"https://hub.example/a"},{"name":"i","clientId":"a","clientSecret":"file:.h","issuer":"https://id.example","apiUrl":"https://id.example"}]}}`,
			[]string{"auth.providers: needs auth.enabled: true",
				`auth.providers[0].name: "git hub" must be 1 to 32 lower-case letters, digits or '-', and start with a letter`, "auth.providers[0].clientId: is required",
				"auth.providers[0].clientSecret: must say where the secret is, and not what it is: env:SLUICE_SECRET_NAME or file:NAME",
				`auth.providers[0].issuer: "" must be an https address without query, such as https://id.example`,
				"auth.providers[1].clientSecret: must say where the secret is, and not what it is: env:SLUICE_SECRET_NAME or file:NAME",
				`auth.providers[2].name: "google" is declared twice`, "auth.providers[2].clientSecret: must say where the secret is, and not what it is: env:SLUICE_SECRET_NAME or file:NAME",
				`auth.providers[3].clientSecret: "../admin-token" is no name of a variable or file`, `auth.providers[3].issuer: "http://id.example" must be an https address without query, such as https://id.example`,
				`auth.providers[4].issuer: "https://u:p@id.example/?x#y" must be an https address without query, such as https://id.example`,
				"auth.providers[5].issuer: github does not speak OpenID Connect",
				`auth.providers[5].tokenUrl: "" must be an https address; of authUrl, tokenUrl and apiUrl declare all or none`, `auth.providers[5].apiUrl: "" must be an https address; of authUrl, tokenUrl and apiUrl declare all or none`,
				`auth.providers[6].clientSecret: ".h" is no name of a variable or file`, "auth.providers[6]: only github has authUrl, tokenUrl and apiUrl; others are asked for theirs at the issuer"}},
		{"files", `{"name":"p","files":{"maxBytes":-1,"totalBytes":-1,"upload":"anybody","visibility":"secret"}}`, []string{"files.maxBytes: must be at least 1 byte", "files.totalBytes: must not be negative; 0 means no limit", "files.upload: must be secret, users or hook", "files.visibility: must be public or private"}},
		{"limits on how often", `{"name":"p","limits":{"requestsPerAddress":-1,"requestsPerMinute":2000000000,"requestsPerDay":-5,"loginFailures":-1,"refreshesPerMinute":-1}}`, []string{"limits.requestsPerAddress: must be between 1 and 1000000000; 0 means no limit", "limits.requestsPerMinute: must be between 1 and 1000000000; 0 means no limit", "limits.requestsPerDay: must be between 1 and 1000000000; 0 means no limit", "limits.loginFailures: must be between 1 and 1000000000; 0 means the default", "limits.refreshesPerMinute: must be between 1 and 1000000000; 0 means the default"}},
		{"negative limits", `{"name":"p","limits":{"bodyBytes":-1,"databaseBytes":-1,"fieldLevels":9,"fileBytes":1000,"examinedDocuments":10}}`, []string{"limits.bodyBytes: must be between 1 and 67108864 bytes", "limits.examinedDocuments: must be between 1000 and 10000000 documents", "limits.fieldLevels: must be between 1 and 8", "limits.databaseBytes: must not be negative; 0 means no limit", "limits.fileBytes: must be at least 1048576 bytes; 0 means no limit"}},
		{"accounts without users", `{"name":"p","auth":{"enabled":true}}`, []string{"auth.enabled: Authentication is enabled, but the 'users' collection schema has not been defined."}},
		{"accounts without a required password", `{"name":"p","auth":{"enabled":true},"collections":[{"name":"users","fields":[{"key":"email","type":"String","required":true},{"key":"password","type":"String"}]}]}`,
			[]string{"collections[0]: The 'users' collection is missing required 'email' and 'password' string fields."}},
		{"accounts as they should be", `{"name":"p","auth":{"enabled":true},"collections":[{"name":"users","fields":[{"key":"email","type":"string","required":true},{"key":"password","type":"string","required":true}]}]}`, nil},
		{"two collections of one name", `{"name":"p","collections":[{"name":"posts"},{"name":"Posts"}]}`, []string{`collections[1].name: "Posts" is already the name of collections[0] (upper and lower case are one)`}},
		{"another spelling of users", `{"name":"p","collections":[{"name":"Users"}]}`, []string{`collections[0].name: "Users" must be spelt "users": it is the collection of accounts`}},
		{"a bad mode", `{"name":"p","collections":[{"name":"c","rls":{"mode":"public"}}]}`, []string{`collections[0].rls.mode: "public" must be public-read, private or custom`}},
		{"the contract's other name of a mode", `{"name":"p","collections":[{"name":"c","rls":{"mode":"owner-write-only"}}]}`, nil},
		{"an id as owner", `{"name":"p","collections":[{"name":"c","rls":{"ownerField":"_id"}}]}`, []string{"collections[0].rls.ownerField: must not be _id: a document's id is not its owner"}},
		{"a timestamp as owner", `{"name":"p","collections":[{"name":"c","rls":{"ownerField":"createdAt"}}]}`, []string{"collections[0].rls.ownerField: createdAt is written by the server and cannot hold the owner"}},
		{"a nested owner", `{"name":"p","collections":[{"name":"c","rls":{"ownerField":"a.b"}}]}`, []string{`collections[0].rls.ownerField: "a.b" must be a top-level field`}},
		{"a number as owner", `{"name":"p","collections":[{"name":"c","fields":[{"key":"n","type":"number"}],"rls":{"ownerField":"n"}}]}`, []string{`collections[0].rls.ownerField: field "n" is a number; an owner is a String or a Ref`}},
		{"a key with a dot", withFields(`[{"key":"a.b","type":"String"}]`), []string{f + `[0].key: "a.b" must not contain '.'; declare an Object with fields instead`}},
		{"a reserved key", withFields(`[{"key":"createdAt","type":"Date"}]`), []string{f + `[0].key: "createdAt" is reserved: the server writes it`}},
		{"a reserved key inside is fine", withFields(`[{"key":"a","type":"Object","fields":[{"key":"_id","type":"String"}]}]`), nil},
		{"a key with a hidden character", withFields(`[{"key":"a\u200b","type":"String"}]`), []string{f + `[0].key: "a\u200b" holds an invisible character`}},
		{"a key twice", withFields(`[{"key":"a","type":"String"},{"key":"a","type":"Number"}]`), []string{f + `[1].key: "a" is already declared by ` + f + `[0]`}},
		{"no key and no type", withFields(`[{}]`), []string{f + "[0].key: is required", f + "[0].type: is required; one of " + types}},
		{"a misspelt type", withFields(`[{"key":"a","type":"Strng"}]`), []string{f + `[0].type: "Strng" must be one of ` + types + ` (did you mean "String"?)`}},
		{"a required field with a default", withFields(`[{"key":"a","type":"String","required":true,"default":"x"}]`), []string{f + "[0].default: a required field cannot have a default"}},
		{"a default of another type", withFields(`[{"key":"a","type":"Number","default":"5"}]`), []string{f + "[0].default: does not fit the field: Field 'a' must be a Number"}},
		{"a default that is wrong inside", withFields(`[{"key":"a","type":"Object","fields":[{"key":"b","type":"number"}],"default":{"b":"x"}}]`), []string{f + "[0].default: does not fit the field: Field 'b' must be a Number"}},
		{"a default that is too deep", withFields(`[{"key":"a","type":"Array","default":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}]`), []string{f + "[0].default: does not fit the field: jsondoc: more than 16 levels at byte 16"}},
		{"a Ref without a collection", withFields(`[{"key":"a","type":"Ref"}]`), []string{f + "[0].ref: is required for the type Ref: the collection that is referred to"}},
		{"a Ref to nowhere", withFields(`[{"key":"a","type":"Ref","ref":"user"}]`), []string{f + `[0].ref: "user" is not a declared collection (did you mean "users"?)`}},
		{"a unique Array", withFields(`[{"key":"a","type":"Array","unique":true}]`), []string{f + "[0].unique: is only for top-level String, Number, Boolean, Date and Ref fields"}},
		{"a unique field inside", withFields(`[{"key":"a","type":"Object","fields":[{"key":"b","type":"String","unique":true,"index":true}]}]`),
			[]string{f + "[0].fields[0].unique: is only for top-level String, Number, Boolean, Date and Ref fields", f + "[0].fields[0].index: is only for top-level fields that are no Objects; list a nested path under indexes"}},
		{"options of other types", withFields(`[{"key":"a","type":"Number","items":{"type":"String"},"fields":[{"key":"b","type":"String"}],"ref":"users","format":"email"}]`),
			[]string{f + "[0].items: is only for the type Array, not Number", f + "[0].fields: is only for the type Object, not Number", f + "[0].ref: is only for the type Ref, not Number", f + "[0].format: is only for the type String, not Number"}},
		{"an unknown format", withFields(`[{"key":"a","type":"String","format":"mail"}]`), []string{f + `[0].format: "mail" must be one of email, url, color, slug (did you mean "email"?)`}},
		{"items that are more than a type", withFields(`[{"key":"a","type":"Array","items":{"key":"x","type":"String","required":true,"unique":true}}]`),
			[]string{f + "[0].items.key: is not for the items of an array", f + "[0].items.required: is not for the items of an array", f + "[0].items.unique: is not for the items of an array"}},
		{"three levels are allowed", withFields(`[{"key":"a","type":"Object","fields":[{"key":"b","type":"Object","fields":[{"key":"c","type":"Object"}]}]}]`), nil},
		{"four are not", withFields(`[{"key":"a","type":"Object","fields":[{"key":"b","type":"Array","items":{"type":"Object","fields":[{"key":"d","type":"String"}]}}]}]`),
			[]string{f + "[0].fields[0].items.fields[0]: is nested deeper than 3 levels"}},
		{"indexes of declared paths", `{"name":"p","collections":[{"name":"c","fields":[{"key":"a","type":"Object","fields":[{"key":"b","type":"String"}]},{"key":"free","type":"Object"}],"indexes":[["a.b","createdAt"],["free.x"]]}]}`, nil},
		{"indexes that cannot be", `{"name":"p","collections":[{"name":"c","fields":[{"key":"a","type":"String"}],"indexes":[["a"],["a"],["b"],["a","a"],[],["a.x"]]}]}`,
			[]string{"collections[0].indexes[1]: is the same as collections[0].indexes[0]", `collections[0].indexes[2][0]: "b" is not a declared field`,
				`collections[0].indexes[3][1]: names "a" twice`, "collections[0].indexes[4]: must name 1 to 4 fields", `collections[0].indexes[5][0]: "a.x" is not a declared field`}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := config(t, tc.src)
			raw := problems(c)
			if !reflect.DeepEqual(raw, tc.want) {
				t.Errorf("got  %q\nwant %q", raw, tc.want)
			}
			c.Normalize()
			if got := problems(c); len(got) != len(tc.want) {
				t.Errorf("after Normalize there are %q", got)
			}
		})
	}
}

func TestTooMany(t *testing.T) {
	fields := make([]string, 257)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"key":"k%d","type":"String"}`, i)
	}
	want := []string{"collections[0].fields: are 257; at most 256 are allowed"}
	if got := problems(config(t, withFields("["+strings.Join(fields, ",")+"]"))); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	c := config(t, withFields("["+strings.Join(fields[:256], ",")+"]"))
	c.Normalize()
	if got := problems(c); got != nil {
		t.Errorf("256 fields: %q", got)
	}
	// The last position must fit the set that Conform keeps.
	out, err := c.Collections[0].Conform(nil, value(t, `{"k255":" x ","k0":"y"}`), nil, testStamp())
	if err != nil || string(out) != head+`,"k255":"x","k0":"y"`+tail {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestNormalize(t *testing.T) {
	c := config(t, `{"name":"p","siteUrl":" https://x.example ","collections":[
		{"name":"a","fields":[
			{"key":"s","type":"STRING","format":"Email"},
			{"key":"d","type":"date","default":" \"2026-01-01\" "},
			{"key":"o","type":"object","fields":[],"default":null},
			{"key":"l","type":"array","items":{"type":"ref","ref":"a"},"default":[ "65F0C0FFEE65F0C0FFEE0001" ]}],
		 "rls":{"enabled":true,"mode":"Owner-Write-Only"},"indexes":[]},
		{"name":"b","rls":{"requireAuthForWrite":false,"mode":"private","ownerField":"author"}}]}`)
	c.Collections[0].Fields[1].Default = json.RawMessage(` "2026-01-01" `)
	c.Normalize()
	want := `{"name":"p","siteUrl":"https://x.example","allowedDomains":["*"],"auth":{"enabled":false,"minPassword":8,"existing":"refuse","codesPerAddress":5,"codesPerHour":1000},"mail":{"perDay":1000,"welcome":false},"audit":{"days":90,"entries":100000},"limits":{"bodyBytes":1048576,"databaseBytes":0,"examinedDocuments":100000,"fieldLevels":3,"fileBytes":0,"loginFailures":10,"refreshesPerMinute":300},"files":{"maxBytes":10485760,"totalBytes":0,"upload":"secret","visibility":"public"},"durability":"strict","collections":[` +
		`{"name":"a","fields":[{"key":"s","type":"String","required":false,"unique":false,"index":false,"format":"email"},` +
		`{"key":"d","type":"Date","required":false,"unique":false,"index":false,"default":"2026-01-01T00:00:00.000Z"},` +
		`{"key":"o","type":"Object","required":false,"unique":false,"index":false},` +
		`{"key":"l","type":"Array","required":false,"unique":false,"index":false,"default":["65f0c0ffee65f0c0ffee0001"],"items":{"type":"Ref","required":false,"unique":false,"index":false,"ref":"a"}}],` +
		`"rls":{"enabled":true,"mode":"public-read","ownerField":"userId","requireAuthForWrite":true},"strict":false},` +
		`{"name":"b","fields":[],"rls":{"enabled":false,"mode":"private","ownerField":"author","requireAuthForWrite":false},"strict":false}]}`
	got, err := json.Marshal(c)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	again := config(t, string(got))
	again.Normalize()
	if twice, _ := json.Marshal(again); !bytes.Equal(twice, got) {
		t.Errorf("a second time it is %s", twice)
	}
	if c.Collection("b") != &c.Collections[1] || c.Collection("B") != nil || c.Collections[0].Field("d").Key != "d" || c.Collections[0].Field("x") != nil {
		t.Error("look-ups are wrong")
	}
	t.Run("an empty list of domains stays empty", func(t *testing.T) {
		c := config(t, `{"name":"p","allowedDomains":[]}`)
		if c.Normalize(); len(c.AllowedDomains) != 0 {
			t.Errorf("got %q", c.AllowedDomains)
		}
	})
	t.Run("unknown members of rls are refused", func(t *testing.T) {
		if err := json.Unmarshal([]byte(`{"collections":[{"rls":{"enabeld":true}}]}`), new(Config)); err == nil {
			t.Error("accepted")
		}
	})
}

func TestCloneSharesNothing(t *testing.T) {
	c := config(t, withFields(everything))
	c.Collections[0].Indexes = [][]string{{"title", "n"}}
	c.Normalize()
	want, _ := json.Marshal(c)
	d := c.Clone()
	d.AllowedDomains[0] = "x"
	d.Collections[0].Indexes[0][0] = "x"
	for _, f := range d.Collections[0].Fields {
		for i := range f.Default {
			f.Default[i] = 'x'
		}
		for i := range f.Fields {
			f.Fields[i].Key = "x"
		}
		if f.Items != nil {
			f.Items.Type = "x"
		}
	}
	d.Collections[0].Fields[0].Key = "x"
	if got, _ := json.Marshal(c); !bytes.Equal(got, want) {
		t.Errorf("the original became %s", got)
	}
}

func TestDiff(t *testing.T) {
	const old = `{"name":"blog","allowedDomains":["b.example","a.example"],"collections":[
		{"name":"posts","fields":[{"key":"title","type":"String"},{"key":"n","type":"Number","default":1},{"key":"o","type":"Object","fields":[{"key":"x","type":"String"}]}],"rls":{"enabled":true,"mode":"private"}},
		{"name":"old"}]}`
	cases := []struct {
		name, next string
		want       []string
	}{
		{"the same, spelt otherwise", `{"name":"blog","allowedDomains":["A.example","b.example"],"auth":{"minPassword":8},"collections":[{"name":"old","strict":false},
			{"name":"posts","fields":[{"key":"title","type":"string"},{"key":"n","type":"number","default": 1 },{"key":"o","type":"object","fields":[{"key":"x","type":"string","default":null}]}],"rls":{"enabled":true,"mode":"PRIVATE","ownerField":"userId"}}]}`, nil},
		{"changes of every kind", `{"name":"blog","siteUrl":"https://x.example","collections":[
			{"name":"posts","fields":[{"key":"title","type":"String","required":true},{"key":"n","type":"Number"},{"key":"o","type":"Object","fields":[{"key":"x","type":"Number"},{"key":"y","type":"Date"}]},{"key":"tags","type":"Array","items":{"type":"String"}}],
			 "rls":{"enabled":true},"indexes":[["title","n"]]},
			{"name":"tags"}]}`, []string{
			`~ siteUrl: "" -> "https://x.example"`,
			`~ allowedDomains: ["a.example","b.example"] -> ["*"]`,
			`~ collections.posts.fields.title.required: false -> true`,
			`- collections.posts.fields.n.default: 1`,
			`~ collections.posts.fields.o.fields.x.type: "String" -> "Number"`,
			`+ collections.posts.fields.o.fields.y`,
			`+ collections.posts.fields.tags`,
			`~ collections.posts.rls.mode: "private" -> "public-read"`,
			`+ collections.posts.indexes: [["title","n"]]`,
			`- collections.old`,
			`+ collections.tags`,
		}},
		{"another order of fields", `{"name":"blog","allowedDomains":["b.example","a.example"],"collections":[
			{"name":"posts","fields":[{"key":"n","type":"Number","default":1},{"key":"title","type":"String"},{"key":"o","type":"Object","fields":[{"key":"x","type":"String"}]}],"rls":{"enabled":true,"mode":"private"}},
			{"name":"old"}]}`, []string{`~ collections.posts.fields: ["title","n","o"] -> ["n","title","o"]`}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a, b := config(t, old), config(t, tc.next)
			var got []string
			for _, c := range Diff(a, b) {
				got = append(got, c.String())
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if len(Diff(b, a)) == 0 != (tc.want == nil) {
				t.Error("the way back differs")
			}
			if !reflect.DeepEqual(a, config(t, old)) {
				t.Error("old was changed")
			}
			if Diff(b, b.Clone()) != nil {
				t.Error("a Config differs from itself")
			}
		})
	}
	t.Run("from nothing", func(t *testing.T) {
		changes := Diff(nil, config(t, `{"name":"p","collections":[{"name":"c"}]}`))
		var got []string
		for _, c := range changes {
			got = append(got, c.String())
		}
		want := []string{`+ name: "p"`, `+ siteUrl: ""`, `+ allowedDomains: ["*"]`, `+ auth`, `+ mail`, `+ audit`, `+ limits`, `+ files`, `+ durability: "strict"`, `+ collections.c`}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q", got)
		}
		if i := slices.IndexFunc(changes, func(c Change) bool { return c.Path == "auth" }); string(changes[i].After) != `{"enabled":false,"minPassword":8,"existing":"refuse","codesPerAddress":5,"codesPerHour":1000}` || changes[i].Before != nil {
			t.Errorf("auth is %+v", changes[i])
		}
	})
}
