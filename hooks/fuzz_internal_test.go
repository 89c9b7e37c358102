package hooks

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// Whatever a guest writes, an answer that is taken is what it is taken for, and nothing else is taken. Nothing panics.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		"", "{", "{}", `{"code":"a.b","message":"m","status":404}`, ` {"code":"a","code":"b"} `, `{"c\u006fde":"a"}`, `{"code":"a","message":"\ud800"}`,
		`{"allow":[true,false , true]}`, `{"allow":[]}`, `{"allow":[[true]]}`, `{"where":{"a":1},"any":[{}]}`, `{"any":1}`, `{"a":{"b":[1,"]"]}}`, "{\"a\":\"\xff\"}", `[[[[`, `{"":0,"":0}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, err := parseReason(text); err == nil {
			if d.Allow || !validCode(d.Code) || len(d.Message) > maxMessageBytes || !utf8.ValidString(d.Message) || d.Status != 0 && (d.Status < minStatus || d.Status > maxStatus) {
				t.Errorf("%q is taken for the reason %+v", text, d)
			}
		}
		for n := range 4 {
			if allowed, err := parseAllowed(text, n); err == nil && len(allowed) != n {
				t.Errorf("%q is taken for %d documents of %d", text, len(allowed), n)
			}
		}
		object := func(what string, got []byte, err error) {
			var members map[string]json.RawMessage
			if err == nil && (json.Unmarshal(got, &members) != nil || members == nil || !utf8.Valid(got) || !bytes.Contains(text, got)) {
				t.Errorf("%q is taken for the %s %q", text, what, got)
			}
		}
		document, err := parseDocument(text)
		object("document", document, err)
		claims, err := parseClaims(text)
		object("claims", claims, err)
		if len(claims) > maxClaimsBytes {
			t.Errorf("%d bytes of claims are taken", len(claims))
		}
		filters, err := parseFilter(text)
		if err == nil {
			object("predicate", filters[0], nil)
			var members map[string]json.RawMessage
			if _ = json.Unmarshal(filters[0], &members); len(members) == 0 || len(members) > 2 { // object has seen to the error
				t.Errorf("%q is taken for a predicate", text)
			}
		}
	})
}

// A manifest that is sound can be written and read again, and stays what it is. Nothing panics.
func FuzzManifest(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"modules":[{"name":"a","file":"a.wasm"}],"bindings":[{"module":"a","event":"policy","operations":["read"],"collections":["c"]}]}`,
		`{"modules":[{"name":"a","file":"a"}],"bindings":[{"module":"a","event":"claims"}],"limits":{"hookFuel":7,"memoryPages":-1},"grants":{"read":["c"]},"config":{"a": 12345678901234567890}}`,
		`{"modules":[{"name":"a","file":"a"}],"bindings":[{"module":"a","event":"beforeSignup","collections":["users"]},{"module":"a","event":"filter","collections":["c","d"]}],"config":null}`,
		`{"config":[]}`, `{"config":{"a":1}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m Manifest
		if json.Unmarshal(text, &m) != nil || m.Validate() != nil {
			return
		}
		for i := range m.Bindings {
			if _, ops, err := m.Bindings[i].slots(); err != nil || len(ops) == 0 || len(m.Bindings[i].collections()) == 0 {
				t.Errorf("binding %d of a sound manifest: %v, %v", i, ops, err)
			}
		}
		wire, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again Manifest
		if err := json.Unmarshal(wire, &again); err != nil {
			t.Fatalf("%s: %v", wire, err)
		}
		if wireAgain, err := json.Marshal(again); err != nil || !bytes.Equal(wire, wireAgain) || again.Validate() != nil {
			t.Errorf("%s becomes %s, %v, %v", wire, wireAgain, err, again.Validate())
		}
	})
}
