package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
	"pgregory.net/rapid"
)

const (
	testID  = "65f0c0ffee65f0c0ffee0001"
	testNow = "2026-11-23T14:25:03.123Z"
	head    = `{"_id":"` + testID + `"`
	tail    = `,"createdAt":"` + testNow + `","updatedAt":"` + testNow + `"}`
)

func testStamp() Stamp { return Stamp{ID: testID, Created: testNow, Updated: testNow} }

func ownerStamp(id string) Stamp {
	st := testStamp()
	st.Owner.Field, st.Owner.ID = "userId", id
	return st
}

func value(t testing.TB, src string) jsondoc.Value {
	t.Helper()
	v, err := new(jsondoc.Parser).Parse([]byte(src), jsondoc.Limits{})
	if err != nil {
		t.Fatalf("parse %q: %v", src, err)
	}
	return v
}

// collection reads fields as a client would declare them.
func collection(t testing.TB, fields string) *Collection {
	t.Helper()
	c := &Config{Name: "test", Collections: []Collection{{Name: "posts"}, {Name: "users"}}}
	if err := json.Unmarshal([]byte(fields), &c.Collections[0].Fields); err != nil {
		t.Fatal(err)
	}
	c.Normalize()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &c.Collections[0]
}

// everything is a schema with every type and every option.
const everything = `[
	{"key":"title","type":"string","required":true},
	{"key":"n","type":"Number"},
	{"key":"ok","type":"boolean"},
	{"key":"when","type":"date"},
	{"key":"author","type":"ref","ref":"users"},
	{"key":"address","type":"object","fields":[
		{"key":"street","type":"String","required":true},
		{"key":"geo","type":"Object","fields":[{"key":"lat","type":"Number"}]},
		{"key":"tags","type":"Array","items":{"type":"String"}},
		{"key":"country","type":"String","default":"NL"}]},
	{"key":"free","type":"Object"},
	{"key":"tags","type":"array","items":{"type":"String"}},
	{"key":"rows","type":"Array","items":{"type":"Object","fields":[{"key":"street","type":"String","required":true}]}},
	{"key":"grid","type":"Array","items":{"type":"Array","items":{"type":"Number"}}},
	{"key":"any","type":"Array"},
	{"key":"mail","type":"String","format":"EMAIL"},
	{"key":"site","type":"String","format":"url"},
	{"key":"tint","type":"String","format":"color"},
	{"key":"slug","type":"String","format":"slug"},
	{"key":"stage","type":"String","default":" draft "},
	{"key":"since","type":"Date","default":"2026-01-01"}]`

// filled is what the schema adds to a document that holds nothing of it.
const filled = `,"tags":[],"rows":[],"grid":[],"any":[],"stage":"draft","since":"2026-01-01T00:00:00.000Z"`

func TestConformRefuses(t *testing.T) {
	cases := []struct{ name, doc, field, message string }{
		{"a missing required field", `{}`, "title", "Field 'title' is required."},
		{"a null required field", `{"title":null}`, "title", "Field 'title' is required."},
		{"an empty required String", `{"title":""}`, "title", "Field 'title' is required."},
		{"a blank required String", `{"title":" \u00a0\t\ufeff"}`, "title", "Field 'title' is required."},
		{"a number as String", `{"title":5}`, "title", "Field 'title' must be a String."},
		{"a String as Number", `{"title":"t","n":"5"}`, "n", "Field 'n' must be a Number."},
		{"a Number as Boolean", `{"title":"t","ok":1}`, "ok", "Field 'ok' must be a Boolean."},
		{"a text that is no Date", `{"title":"t","when":"soon"}`, "when", "Field 'when' must be a valid Date."},
		{"a number as Date", `{"title":"t","when":1700000000000}`, "when", "Field 'when' must be a valid Date."},
		{"a short id as Ref", `{"title":"t","author":"65f0"}`, "author", "Field 'author' must be a valid reference ID (ObjectId)."},
		{"no hexadecimal id as Ref", `{"title":"t","author":"zzf0c0ffee65f0c0ffee0001"}`, "author", "Field 'author' must be a valid reference ID (ObjectId)."},
		{"an Array as Object", `{"title":"t","free":[]}`, "free", "Field 'free' must be an Object."},
		{"an Object as Array", `{"title":"t","any":{}}`, "any", "Field 'any' must be an Array."},
		{"a wrong item is named by position", `{"title":"t","tags":["a",2]}`, "tags[1]", "Field 'tags[1]' must be a String."},
		{"a wrong item of an item", `{"title":"t","grid":[[1],[2,"3"]]}`, "grid[1][1]", "Field 'grid[1][1]' must be a Number."},
		{"a sub-object names only the inner key", `{"title":"t","address":{}}`, "address.street", "Field 'street' is required."},
		{"a deeper one too", `{"title":"t","address":{"street":"s","geo":{"lat":"1"}}}`, "address.geo.lat", "Field 'lat' must be a Number."},
		{"an array in a sub-object", `{"title":"t","address":{"street":"s","tags":[1]}}`, "address.tags[0]", "Field 'tags[0]' must be a String."},
		{"an object in an array names only the inner key", `{"title":"t","rows":[{"street":"s"},{}]}`, "rows[1].street", "Field 'street' is required."},
		{"an item that is no object", `{"title":"t","rows":[1]}`, "rows[0]", "Field 'rows[0]' must be an Object."},
		{"a bad email", `{"title":"t","mail":"x@y"}`, "mail", "Field 'mail' must be a valid email (e.g., user@example.com)."},
		{"a bad url", `{"title":"t","site":"javascript:alert(1)"}`, "site", "Field 'site' must match format 'url'."},
		{"a bad color", `{"title":"t","tint":"#12345g"}`, "tint", "Field 'tint' must match format 'color'."},
		{"a bad slug", `{"title":"t","slug":"a--b"}`, "slug", "Field 'slug' must match format 'slug'."},
		{"the first in schema order, not in document order", `{"slug":"A","n":"x","title":"t"}`, "n", "Field 'n' must be a Number."},
		{"a missing field before a wrong one", `{"n":"x"}`, "title", "Field 'title' is required."},
		{"schema order inside objects", `{"title":"t","address":{"country":1,"geo":{"lat":true}}}`, "address.street", "Field 'street' is required."},
		{"an operator as name", `{"title":"t","$set":{}}`, "$set", "Field name '$set' is not allowed: it starts with '$'."},
		{"a dotted name", `{"title":"t","a.b":1}`, "a.b", "Field name 'a.b' is not allowed: it contains '.'."},
		{"an empty name", `{"title":"t","":1}`, "", "Field name '' is not allowed: it is empty."},
		{"a name with a byte order mark", `{"title":"t","\ufeffuserId":"me"}`, "\ufeffuserId", `Field name '\ufeffuserId' is not allowed: it holds an invisible character.`},
		{"a bad name in an undeclared object", `{"title":"t","x":{"y":[{" z":1}]}}`, " z", "Field name ' z' is not allowed: it starts or ends with space."},
		{"a bad name in a declared free object", `{"title":"t","free":{"$y":1}}`, "$y", "Field name '$y' is not allowed: it starts with '$'."},
		{"a bad name in a declared array", `{"title":"t","any":[{"$y":1}]}`, "$y", "Field name '$y' is not allowed: it starts with '$'."},
		{"a bad name in a declared object", `{"title":"t","address":{"street":"s","$y":1}}`, "$y", "Field name '$y' is not allowed: it starts with '$'."},
		{"no object at all", `[]`, "", "A document must be a JSON object."},
	}
	c := collection(t, everything)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			out, err := c.Conform([]byte("kept"), value(t, tc.doc), nil, testStamp())
			var serr *SchemaError
			if !errors.As(err, &serr) {
				t.Fatalf("accepted as %s", out)
			}
			if serr.Message != tc.message || serr.Field != tc.field || serr.Error() != tc.message {
				t.Errorf("got %q (%q), want %q (%q)", serr.Message, serr.Field, tc.message, tc.field)
			}
			if string(out) != "kept" {
				t.Errorf("dst is %q", out)
			}
		})
	}
}

func TestConformStores(t *testing.T) {
	cases := []struct{ name, fields, doc, want string }{
		{"members keep their order, the schema's additions follow", everything, `{"x":1,"title":"t"}`, `,"x":1,"title":"t"` + filled},
		{"Strings are trimmed", `[{"key":"s","type":"String"}]`, `{"s":" \u2003a b\n"}`, `,"s":"a b"`},
		{"undeclared strings are not", `[]`, `{"s":" a "}`, `,"s":" a "`},
		{"items that are Strings are trimmed", `[{"key":"l","type":"Array","items":{"type":"String"}}]`, `{"l":[" a ",null]}`, `,"l":["a",null]`},
		{"an inner trim leaves quotes right", `[{"key":"s","type":"String"}]`, `{"s":" \"q\" \\ "}`, `,"s":"\"q\" \\"`},
		{"numbers keep their text", `[{"key":"n","type":"Number"}]`, `{"n":9007199254740993,"m":1.0,"o":-0}`, `,"n":9007199254740993,"m":1.0,"o":-0`},
		{"a Date becomes UTC with milliseconds", `[{"key":"d","type":"Date"}]`, `{"d":"2026-11-23T14:25:03+02:00"}`, `,"d":"2026-11-23T12:25:03.000Z"`},
		{"a Ref is lower case", `[{"key":"r","type":"Ref","ref":"users"}]`, `{"r":"65F0C0FFEE65F0C0FFEE0001"}`, `,"r":"65f0c0ffee65f0c0ffee0001"`},
		{"null is fine for optional fields", `[{"key":"n","type":"Number"},{"key":"l","type":"Array"}]`, `{"n":null,"l":null}`, `,"n":null,"l":null`},
		{"null takes the default", `[{"key":"n","type":"Number","default":5}]`, `{"n":null}`, `,"n":5`},
		{"a missing field takes the default", `[{"key":"n","type":"Number","default":1.50}]`, `{}`, `,"n":1.50`},
		{"false and zero are values", `[{"key":"n","type":"Number","default":5},{"key":"b","type":"Boolean","default":true}]`, `{"n":0,"b":false}`, `,"n":0,"b":false`},
		{"an empty optional String stays", `[{"key":"s","type":"String","default":"x"}]`, `{"s":""}`, `,"s":""`},
		{"a missing Array is empty", `[{"key":"l","type":"Array"}]`, `{}`, `,"l":[]`},
		{"an Array default wins", `[{"key":"l","type":"Array","items":{"type":"String"},"default":[" a "]}]`, `{}`, `,"l":["a"]`},
		{"empty objects are kept", `[{"key":"o","type":"Object","fields":[{"key":"x","type":"Number"}]},{"key":"f","type":"Object"}]`, `{"o":{},"f":{},"u":{}}`, `,"o":{},"f":{},"u":{}`},
		{"inner defaults and arrays are added", `[{"key":"o","type":"Object","fields":[{"key":"l","type":"Array"},{"key":"s","type":"String","default":"x"}]}]`, `{"o":{"u":1}}`, `,"o":{"u":1,"l":[],"s":"x"}`},
		{"a missing Object is not invented", `[{"key":"o","type":"Object","fields":[{"key":"s","type":"String","default":"x"}]}]`, `{}`, ``},
		{"an inner _id is data", `[{"key":"o","type":"Object","fields":[{"key":"x","type":"Number"}]}]`, `{"o":{"_id":7}}`, `,"o":{"_id":7}`},
		{"the server's members in the document are dropped", `[]`, `{"_id":"x","__v":3,"createdAt":"never","a":1,"updatedAt":null}`, `,"a":1`},
		{"names are written canonically", `[{"key":"a","type":"Number"}]`, `{ "\u0061" : 1 , "q\"":2 }`, `,"a":1,"q\"":2`},
		{"good formats pass", everything, `{"title":"t","mail":"a.b+c@x-y.example","site":"https://x.example/a?b#c","tint":"#00aAfF","slug":"a-1-b"}`,
			`,"title":"t","mail":"a.b+c@x-y.example","site":"https://x.example/a?b#c","tint":"#00aAfF","slug":"a-1-b"` + filled},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := collection(t, tc.fields)
			out, err := c.Conform(nil, value(t, tc.doc), nil, testStamp())
			if err != nil {
				t.Fatal(err)
			}
			if want := head + tc.want + tail; string(out) != want {
				t.Errorf("got  %s\nwant %s", out, want)
			}
		})
	}
}

func TestConformStrict(t *testing.T) {
	c := collection(t, `[{"key":"a","type":"Number"},{"key":"o","type":"Object","fields":[{"key":"x","type":"Number"}]},{"key":"free","type":"Object"}]`)
	c.Strict = true
	for doc, want := range map[string]string{
		`{"a":1,"o":{"x":1},"free":{"anything":1}}`: "",
		`{"a":1,"b":2}`:         "Field 'b' is not declared.",
		`{"o":{"x":1,"y":2}}`:   "Field 'y' is not declared.",
		`{"b":2,"a":"x"}`:       "Field 'a' must be a Number.",
		`{"createdAt":1,"a":1}`: "",
	} {
		_, err := c.Conform(nil, value(t, doc), nil, testStamp())
		if got := fmt.Sprint(err); (err != nil || want != "") && got != want {
			t.Errorf("%s: got %q, want %q", doc, got, want)
		}
	}
	before := head + `,"b":2` + tail
	if _, err := c.Conform(nil, value(t, `{"b":2,"a":1}`), []byte(before), testStamp()); err != nil {
		t.Errorf("an undeclared member that was there may stay: %v", err)
	}
	if _, err := c.Conform(nil, value(t, `{"b":3}`), []byte(before), testStamp()); err == nil {
		t.Error("an undeclared member that was there may not change")
	}
}

// A schema that has become stricter binds what is written, not what was.
func TestConformKeepsWhatDidNotChange(t *testing.T) {
	c := collection(t, `[{"key":"title","type":"String","required":true},{"key":"d","type":"Date"},{"key":"l","type":"Array"},{"key":"n","type":"Number","default":3}]`)
	before := []byte(`{"_id":"` + testID + `","title":5,"d":"2026-01-01","n":null,"createdAt":"2020-01-01T00:00:00.000Z","updatedAt":"2020-01-01T00:00:00.000Z"}`)
	cases := []struct{ name, doc, want, message string }{
		{"an unchanged wrong value stays", `{"title":5,"d":"2026-01-01","n":null,"x":1}`, `,"title":5,"d":"2026-01-01","n":null,"x":1`, ""},
		{"also when it is spelt otherwise", `{"title": 5,"d":"2026-0\u0031-01","n":null}`, `,"title":5,"d":"2026-01-01","n":null`, ""},
		{"a changed one is judged", `{"title":6}`, ``, "Field 'title' must be a String."},
		{"a removed required one is missed", `{"d":"2026-01-01"}`, ``, "Field 'title' is required."},
		{"a removed one takes its default", `{"title":"t"}`, `,"title":"t","n":3`, ""},
		{"a changed date is normalised", `{"title":5,"d":"2026-01-02","n":1}`, `,"title":5,"d":"2026-01-02T00:00:00.000Z","n":1`, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			st := Stamp{ID: testID, Updated: testNow}
			out, err := c.Conform(nil, value(t, tc.doc), before, st)
			if tc.message != "" {
				if fmt.Sprint(err) != tc.message {
					t.Fatalf("got %s, %v", out, err)
				}
				return
			}
			want := head + tc.want + `,"createdAt":"2020-01-01T00:00:00.000Z","updatedAt":"` + testNow + `"}`
			if err != nil || string(out) != want {
				t.Errorf("got  %s, %v\nwant %s", out, err, want)
			}
		})
	}
}

func TestOwnerIsFilledIn(t *testing.T) {
	c := collection(t, `[{"key":"userId","type":"String","required":true},{"key":"a","type":"Number"}]`)
	for _, tc := range []struct{ name, doc, want string }{
		{"missing: at the end", `{"a":1}`, `,"a":1,"userId":"me"`},
		{"null: in its place", `{"userId":null,"a":1}`, `,"userId":"me","a":1`},
		{"empty: in its place", `{"userId":"","a":1}`, `,"userId":"me","a":1`},
		{"present: as sent", `{"userId":"you","a":1}`, `,"userId":"you","a":1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := head + tc.want + tail
			out, err := c.Conform(nil, value(t, tc.doc), nil, ownerStamp("me"))
			if err != nil || string(out) != want {
				t.Errorf("Conform: got %s, %v\nwant %s", out, err, want)
			}
			out, err = Candidate(nil, value(t, tc.doc), ownerStamp("me"))
			if err != nil || string(out) != want {
				t.Errorf("Candidate: got %s, %v\nwant %s", out, err, want)
			}
		})
	}
	t.Run("another mistake does not make it look missing", func(t *testing.T) {
		_, err := c.Conform(nil, value(t, `{"a":"x"}`), nil, ownerStamp("me"))
		if fmt.Sprint(err) != "Field 'a' must be a Number." {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an update fills nothing in", func(t *testing.T) {
		before := head + `,"userId":"me","a":1` + tail
		_, err := c.Conform(nil, value(t, `{"userId":"","a":1}`), []byte(before), ownerStamp("me"))
		if fmt.Sprint(err) != "Field 'userId' is required." {
			t.Errorf("got %v", err)
		}
	})
}

func TestCandidate(t *testing.T) {
	out, err := Candidate([]byte("kept"), value(t, `{ "b" : [1, {"x":"\u0041"}], "_id":"mine","__v":1,"updatedAt":0,"createdAt":0, "a":{} }`), testStamp())
	if want := "kept" + head + `,"b":[1,{"x":"A"}],"a":{}` + tail; err != nil || string(out) != want {
		t.Errorf("got %s, %v\nwant %s", out, err, want)
	}
	for doc, want := range map[string]string{
		`{"a.b":1}`:              "Field name 'a.b' is not allowed: it contains '.'.",
		`{"a":{"b.c":1}}`:        "Field name 'b.c' is not allowed: it contains '.'.",
		`{"a":[[{"$where":1}]]}`: "Field name '$where' is not allowed: it starts with '$'.",
		`{"userId\u200b":"x"}`:   `Field name 'userId\u200b' is not allowed: it holds an invisible character.`,
		`"text"`:                 "A document must be a JSON object.",
	} {
		out, err := Candidate([]byte("kept"), value(t, doc), ownerStamp("me"))
		if fmt.Sprint(err) != want || string(out) != "kept" {
			t.Errorf("%s: got %q, %v, want %q", doc, out, err, want)
		}
	}
}

// What is stored can be read again under the default limits, whatever the server adds.
func TestNoDocumentOutgrowsTheParser(t *testing.T) {
	c := collection(t, `[{"key":"l","type":"Array"},{"key":"o","type":"Object","fields":[{"key":"d","type":"Number","default":1}]}]`)
	body := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":%d`, i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	for _, n := range []int{900, 996, 997, 998, 1000} {
		v := value(t, body(n))
		for name, make := range map[string]func() ([]byte, error){
			"Conform":   func() ([]byte, error) { return c.Conform(nil, v, nil, testStamp()) },
			"Candidate": func() ([]byte, error) { return Candidate(nil, v, ownerStamp("me")) },
			"Merge":     func() ([]byte, error) { return Merge(nil, []byte(head+`,"z":1`+tail), v, testStamp()) },
			"nested": func() ([]byte, error) {
				return c.Conform(nil, value(t, `{"o":`+body(n)+`}`), nil, testStamp())
			},
		} {
			out, err := make()
			if err == nil {
				value(t, string(out))
			} else if n == 900 {
				t.Errorf("%s of %d members: %v", name, n, err)
			}
			if n == 1000 && err == nil {
				t.Errorf("%s of 1000 members and more is accepted", name)
			}
		}
	}
}

func TestConformDoesNotAllocate(t *testing.T) {
	c := collection(t, benchFields)
	v := value(t, benchBody)
	before, err := c.Conform(nil, v, nil, ownerStamp("me"))
	if err != nil {
		t.Fatal(err)
	}
	stored := value(t, string(before))
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Conform(dst, v, nil, ownerStamp("me")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Conform(dst, stored, before, testStamp()); err != nil {
			t.Fatal(err)
		}
		if _, err := Candidate(dst, v, ownerStamp("me")); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("insert, update and candidate allocate %v times", n)
	}
}

// genDoc draws a document that usually, but not always, fits the schema called everything.
func genDoc() *rapid.Generator[string] {
	anything := []string{`"a"`, `""`, `null`, `5`, `true`, `[]`, `{}`, `{"$x":1}`, `[[{"a.b":1}]]`}
	fitting := map[string][]string{
		"title":      {`" t "`, `"\u00e9"`, `"\"q\""`},
		"n":          {`1.50`, `-0`, `9007199254740993`, `null`},
		"ok":         {`true`, `false`, `null`},
		"when":       {`"2026-02-03"`, `"2026-02-03T04:05:06.7+01:00"`, `"Mon, 23 Nov 2026 14:25:03 GMT"`, `null`},
		"author":     {`"65F0C0FFEE65F0C0FFEE0001"`, `null`},
		"address":    {`{"street":" s "}`, `{"street":"s","geo":{"lat":1},"u":[{}],"tags":[" x "]}`, `{"geo":{},"street":"s","country":null}`},
		"free":       {`{}`, `{ "x" : [ 1 , { } ] }`},
		"tags":       {`[]`, `["a"," b ",null]`},
		"rows":       {`[]`, `[{"street":" s ","x":{}}]`},
		"grid":       {`[[1],[2,3.0]]`, `[[]]`},
		"any":        {`[1,"x",[{}]]`},
		"mail":       {`" x@y.example "`},
		"tint":       {`"#aabbcc"`},
		"slug":       {`" a-b "`},
		"stage":      {`" live "`, `null`},
		"since":      {`"2026-02-03 04:05"`, `null`},
		"userId":     {`""`, `null`, `"you"`},
		"undeclared": {`" x "`, `{ }`, `1e5`},
		"_id":        {`1`}, "createdAt": {`null`}, "updatedAt": {`"x"`}, "__v": {`0`},
	}
	keys := slices.Sorted(maps.Keys(fitting))
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for _, key := range rapid.Permutation(keys).Draw(t, "order")[:rapid.IntRange(0, len(keys)).Draw(t, "length")] {
			values := fitting[key]
			if rapid.IntRange(1, 50).Draw(t, "odds") == 1 {
				values = anything
			}
			if key != "title" {
				fmt.Fprintf(&b, `, %q:%s`, key, rapid.SampledFrom(values).Draw(t, key))
			}
		}
		return `{"title":` + rapid.SampledFrom(fitting["title"]).Draw(t, "title") + b.String() + "}"
	})
}

func TestConformIsAFixedPoint(t *testing.T) {
	c := collection(t, everything)
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		doc := genDoc().Draw(rt, "doc")
		st := ownerStamp("me")
		once, err := c.Conform(nil, value(t, doc), nil, st)
		if err != nil {
			return
		}
		accepted++
		v := value(t, string(once))
		if !v.IsCanonical() {
			rt.Fatalf("not canonical: %s", once)
		}
		twice, err := c.Conform(nil, v, nil, st)
		if err != nil || !bytes.Equal(once, twice) {
			rt.Fatalf("second time: %v\n%s\n%s", err, once, twice)
		}
		updated, err := c.Conform(nil, v, once, Stamp{ID: testID, Updated: testNow})
		if err != nil || !bytes.Equal(once, updated) {
			rt.Fatalf("as an update: %v\n%s\n%s", err, once, updated)
		}
	})
	if accepted < 30 {
		t.Errorf("only %d generated documents fit: the test shows little", accepted)
	}
}

func FuzzConform(f *testing.F) {
	f.Add([]byte(`{"title":" t ","tags":["a",1],"address":{"street":"s"},"x":{"y":null}}`), []byte(head+`,"title":5`+tail))
	f.Add([]byte(`{"title":"t","when":"2026-02-03","userId":"","_id":"x"}`), []byte(nil))
	f.Add([]byte(`{"rows":[{"street":"s","$x":1}]}`), []byte(`{"a`))
	f.Add([]byte(benchBody), []byte(`[]`))
	c := collection(f, everything)
	f.Fuzz(func(t *testing.T, doc, before []byte) {
		v, err := new(jsondoc.Parser).Parse(doc, jsondoc.Limits{})
		if err != nil {
			return
		}
		if out, err := Candidate(nil, v, ownerStamp("me")); err == nil {
			checkStored(t, out, true)
		}
		if out, err := c.Conform(nil, v, nil, ownerStamp("me")); err == nil {
			checkStored(t, out, true)
		}
		// Any bytes as the image before: no panic. Stored bytes: what comes out is a document again.
		_, _ = c.Conform(nil, v, before, testStamp())
		if b, err := new(jsondoc.Parser).Parse(before, jsondoc.Limits{}); err == nil {
			if stored, err := Candidate(nil, b, testStamp()); err == nil {
				if out, err := c.Conform(nil, v, stored, Stamp{ID: testID, Updated: testNow}); err == nil {
					checkStored(t, out, false)
				}
			}
		}
	})
}

// checkStored holds a document to what every stored one is.
func checkStored(t *testing.T, out []byte, owned bool) {
	t.Helper()
	v, err := new(jsondoc.Parser).Parse(out, jsondoc.Limits{})
	if err != nil || !v.IsCanonical() {
		t.Fatalf("%s: canonical %v, %v", out, v.IsCanonical(), err)
	}
	if got := string(v.Get("_id").Text()); got != testID || !bytes.HasPrefix(out, []byte(head)) {
		t.Fatalf("_id is %q in %s", got, out)
	}
	if !bytes.HasSuffix(out, []byte(tail)) || v.Get("__v").Exists() {
		t.Fatalf("the server's members are wrong: %s", out)
	}
	if owner := v.Get("userId"); owned && (!owner.Exists() || blank(owner)) {
		t.Fatalf("no owner: %s", out)
	}
	if kerr := checkKeys(v); kerr != nil {
		t.Fatalf("stored name: %v", kerr)
	}
}
