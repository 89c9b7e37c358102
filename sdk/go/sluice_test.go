package sluice

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

const document = ` { "title" : "a \"quoted\" \u00e9\ud83d\ude00\ud800x" , "n":-12.5e1,"big":12345678901234567890,"i":-42,
	"yes":true,"no":false,"nil":null,"o":{"a":{"b":[1,"}",{"c":"]"}]}},"list":[ 1 , "two" , [3] ,{"four":4}],"\u0065sc":"x","empty":{},"none":[],"n":"second"} `

func TestObjectReadsMembers(t *testing.T) {
	o := ParseObject([]byte(document))
	if s, ok := o.String("title"); !ok || s != "a \"quoted\" é😀\ufffdx" {
		t.Errorf("title = %q, %v", s, ok)
	}
	if n, ok := o.Number("n"); !ok || n != -125 {
		t.Errorf("n = %v, %v: the first of two members counts", n, ok)
	}
	if n, ok := o.Number("big"); !ok || n != 12345678901234567890 {
		t.Errorf("big = %v, %v", n, ok)
	}
	if n, ok := o.Int("big"); ok {
		t.Errorf("big = %v as an integer: it does not fit", n)
	}
	if n, ok := o.Int("i"); !ok || n != -42 {
		t.Errorf("i = %v, %v", n, ok)
	}
	if _, ok := o.Int("n"); ok {
		t.Error("n is no integer")
	}
	if v, ok := o.Bool("yes"); !v || !ok {
		t.Errorf("yes = %v, %v", v, ok)
	}
	if v, ok := o.Bool("no"); v || !ok {
		t.Errorf("no = %v, %v", v, ok)
	}
	if !o.Get("nil").IsNull() || !o.Has("nil") || o.Has("missing") || o.Get("missing").IsNull() {
		t.Error("null is a value, and missing is none")
	}
	if s, ok := o.String("esc"); !ok || s != "x" {
		t.Errorf("esc = %q, %v: names may be escaped", s, ok)
	}
	var items []string
	for item := range o.Items("list") {
		items = append(items, string(item.Raw()))
	}
	if want := []string{"1", `"two"`, "[3]", `{"four":4}`}; !reflect.DeepEqual(items, want) {
		t.Errorf("items = %q, want %q", items, want)
	}
	for item := range o.Object("o").Object("a").Items("b") {
		if inner := item.AsObject(); inner.Exists() {
			if s, _ := inner.String("c"); s != "]" {
				t.Errorf("c = %q", s)
			}
		}
	}
	if !o.Object("empty").Exists() || o.Object("none").Exists() || o.Object("title").Exists() {
		t.Error("an empty object is an object, an array and a string are not")
	}
	for _, name := range []string{"n2", "yes", "title", "nil", "o", "list"} {
		if v, ok := o.Number(name); ok {
			t.Errorf("%s = %v as a number", name, v)
		}
	}
	if n := testing.AllocsPerRun(100, func() { o.Number("n"); o.Bool("no"); o.Object("o"); o.Int("i") }); n != 0 {
		t.Errorf("reading allocates %v times", n)
	}
}

func TestBuilderKeepsWhatItDoesNotTouch(t *testing.T) {
	base := ParseObject([]byte(`{ "a" : 1.50, "b":"x", "c":{"d": 1} }`))
	for _, test := range []struct {
		name string
		got  Object
		want string
	}{
		{"nothing changed", Edit(base).Object(), `{"a":1.50,"b":"x","c":{"d": 1}}`},
		{"set in place", Edit(base).SetString("b", "q\"\\\n\xff").Object(), `{"a":1.50,"b":"q\"\\\u000a` + "\ufffd" + `","c":{"d": 1}}`},
		{"new ones come last", Edit(base).SetInt("z", -1).SetBool("y", true).Object(), `{"a":1.50,"b":"x","c":{"d": 1},"z":-1,"y":true}`},
		{"the last word counts", Edit(base).SetInt("a", 1).SetNull("a").Object(), `{"a":null,"b":"x","c":{"d": 1}}`},
		{"removed", Edit(base).Remove("a").Remove("c").Remove("x").Object(), `{"b":"x"}`},
		{"removed and set again", Edit(base).Remove("a").SetNumber("a", 0.5).Object(), `{"a":0.5,"b":"x","c":{"d": 1}}`},
		{"from nothing", NewObject().SetObject("o", base.Object("c")).SetRaw("r", []byte(`[1]`)).SetBool("f", false).Object(), `{"o":{"d": 1},"r":[1],"f":false}`},
		{"empty", NewObject().Object(), `{}`},
		{"no number", NewObject().SetNumber("n", math.NaN()).SetNumber("i", math.Inf(1)).SetNumber("e", 1e300).Object(), `{"n":null,"i":null,"e":1e+300}`},
		{"missing", NewObject().SetObject("o", Object{}).SetRaw("r", nil).Object(), `{"o":null,"r":null}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.got.Raw()); got != test.want || !json.Valid([]byte(got)) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestParseEvent(t *testing.T) {
	e, err := ParseEvent([]byte(`{"v":1,"event":"policy","op":"read","collection":"posts","caller":{"role":"publishable","userId":"u1","claims":{"team":"x"}},
		"before":null,"after":null,"documents":[{"a":1},{"a":2}],"now":1700000000000,"requestId":"r-1","later":[{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != EventPolicy || e.Op != Read || e.Collection != "posts" || e.Caller.Role != "publishable" || e.Caller.UserID != "u1" || !e.Caller.LoggedIn() ||
		e.Now != 1700000000000 || e.RequestID != "r-1" || e.Before.Exists() || e.After.Exists() {
		t.Errorf("event %+v", e)
	}
	if team, _ := e.Caller.Claims.String("team"); team != "x" {
		t.Errorf("claims %s", e.Caller.Claims.Raw())
	}
	d := AllowEach(e, func(o Object) bool { n, _ := o.Int("a"); return n == 2 })
	if got := string(d.text()); got != `{"allow":[false,true]}` || !d.Allows() {
		t.Errorf("answer %s", got)
	}
	if e, err := ParseEvent([]byte(`{"caller":{"userId":null}}`)); err != nil || e.Caller.LoggedIn() || e.Op != 0 {
		t.Errorf("event %+v, %v", e, err)
	}
	if _, err := ParseEvent([]byte(`[]`)); err == nil {
		t.Error("an array is no event")
	}
}

func TestDecisionText(t *testing.T) {
	for _, test := range []struct {
		name string
		d    Decision
		want string
	}{
		{"the zero decision has none", Decision{}, ""},
		{"allow has none", Allow(), ""},
		{"a reason", Deny("a.b", "say \"no\""), `{"code":"a.b","message":"say \"no\""}`},
		{"a reason with a status", Reject("a", "").WithStatus(409), `{"code":"a","message":"","status":409}`},
		{"a document", Replace(ParseObject([]byte(`{"a":1}`))), `{"a":1}`},
		{"a message that is too long is cut between characters", Deny("a", strings.Repeat("é", 300)), `{"code":"a","message":"` + strings.Repeat("é", 250) + `"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(test.d.text()); got != test.want {
				t.Errorf("text %s, want %s", got, test.want)
			}
		})
	}
}

// The scanner agrees with encoding/json on everything valid, and survives everything else.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{document, `{}`, `{"a":[1,{"b":null}],"c":"\\"}`, `{"a"`, `{"a":"\`, `{"a":"\u12`, `{"a":-}`, `[`, `{"a":1,}`, `{"\ud800\udc00":"\udc00"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := ParseObject(text)
		got := map[string]any{}
		for name, value := range o.Members() {
			if _, seen := got[name]; !seen {
				got[name] = plain(value)
			}
		}
		rebuilt := Edit(o).SetInt("new", 1).Object()
		if !json.Valid(text) || !o.Exists() {
			return
		}
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&want) != nil || duplicates(text) {
			return
		}
		for name, value := range want {
			if number, ok := value.(json.Number); ok {
				f, err := number.Float64()
				if err != nil {
					delete(want, name) // out of range: no number for us
					delete(got, name)
					continue
				}
				want[name] = f
			} else if _, ok := value.(string); !ok && value != nil {
				if _, ok := value.(bool); !ok {
					want[name] = "container"
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q\n got %v\nwant %v", text, got, want)
		}
		if !json.Valid(rebuilt.Raw()) {
			t.Errorf("%q was rebuilt as %q", text, rebuilt.Raw())
		}
	})
}

func plain(v Value) any {
	if s, ok := v.AsString(); ok {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	if n, ok := v.AsNumber(); ok {
		return n
	}
	if b, ok := v.AsBool(); ok {
		return b
	}
	if v.IsNull() {
		return nil
	}
	return "container"
}

// duplicates reports whether the top-level object has two members of one name, or bytes that are not UTF-8, about which
// the two readers may differ.
func duplicates(text []byte) bool {
	if !bytes.Equal(text, bytes.ToValidUTF8(text, nil)) {
		return true
	}
	seen := map[string]bool{}
	for name := range ParseObject(text).Members() {
		if seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}
