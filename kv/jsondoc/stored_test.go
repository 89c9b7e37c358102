package jsondoc_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

const stored = `{"_id":"65f0","title":"a \"b\" \\","n":12,"meta":{"views":5,"deep":{"x":null}},"tags":["red","b,}]\"","c"],` +
	`"rows":[{"k":1,"in":[{"v":1},{"v":2}]},7,{"k":[2,3]},[{"k":9}]],"we\"ird":1,"0":"zero","":"none","last":true}`

func TestLookup(t *testing.T) {
	cases := []struct {
		path, want string
		ok         bool
	}{
		{"_id", `"65f0"`, true},
		{"title", `"a \"b\" \\"`, true},
		{"n", `12`, true},
		{"meta", `{"views":5,"deep":{"x":null}}`, true},
		{"meta.views", `5`, true},
		{"meta.deep.x", `null`, true},
		{"tags", `["red","b,}]\"","c"]`, true},
		{`we"ird`, `1`, true},
		{"0", `"zero"`, true},
		{"last", `true`, true},
		{"", `"none"`, true},
		{"nope", ``, false},
		{"meta.nope", ``, false},
		{"n.x", ``, false},
		{"tags.0", ``, false},
		{"rows.k", ``, false},
		{`we\"ird`, ``, false},
		{"meta.", ``, false},
	}
	for _, c := range cases {
		raw, ok := jsondoc.Lookup([]byte(stored), c.path)
		if string(raw) != c.want || ok != c.ok {
			t.Errorf("Lookup(%q) is %q, %v, want %q, %v", c.path, raw, ok, c.want, c.ok)
		}
	}
	for _, other := range []string{``, `[]`, `null`, `"_id"`, `{"_id"`, `{"_id":`, `{"_id":}`} {
		if raw, ok := jsondoc.Lookup([]byte(other), "_id"); ok {
			t.Errorf("Lookup in %q found %q", other, raw)
		}
	}
}

func TestEach(t *testing.T) {
	cases := []struct {
		name, path string
		want       []string
	}{
		{"a plain member is yielded once", "n", []string{`12`}},
		{"an array at the end is whole", "tags", []string{`["red","b,}]\"","c"]`}},
		{"an array on the way is searched", "rows.k", []string{`1`, `[2,3]`}},
		{"arrays inside arrays on the way", "rows.in.v", []string{`1`, `2`}},
		{"a position picks an element", "tags.1", []string{`"b,}]\""`}},
		{"a position on the way", "rows.0.k", []string{`1`}},
		{"a position leads into a nested array", "rows.3.k", []string{`9`}},
		{"a position past the end", "tags.3", nil},
		{"a digit name of an object", "0", []string{`"zero"`}},
		{"no such member", "meta.nope.x", nil},
		{"through a scalar", "n.x", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			jsondoc.Each([]byte(stored), c.path, func(raw []byte) bool { got = append(got, string(raw)); return true })
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("Each(%q) yields %q, want %q", c.path, got, c.want)
			}
		})
	}
	t.Run("false stops at once", func(t *testing.T) {
		n := 0
		jsondoc.Each([]byte(stored), "rows.in.v", func([]byte) bool { n++; return false })
		jsondoc.Elements([]byte(`[1,2]`), func([]byte) bool { n++; return false })
		jsondoc.Fields([]byte(`{"a":1,"b":2}`), func(_, _ []byte) bool { n++; return false })
		if n != 3 {
			t.Errorf("yielded %d times, want 3", n)
		}
	})
}

func TestStoredReadersDoNotAllocate(t *testing.T) {
	doc, arr, str := []byte(stored), []byte(`[1,[2],{"a":3}]`), []byte(`"a\nb"`)
	buf := make([]byte, 0, 64)
	sum := 0
	work := func() {
		raw, _ := jsondoc.Lookup(doc, "last")
		sum += len(raw)
		raw, _ = jsondoc.Lookup(doc, "meta.deep.x")
		sum += len(raw)
		jsondoc.Each(doc, "rows.in.v", func(raw []byte) bool { sum += len(raw); return true })
		jsondoc.Elements(arr, func(raw []byte) bool { sum += len(raw); return true })
		jsondoc.Fields(doc, func(name, raw []byte) bool { sum += len(name) + len(raw); return true })
		buf = jsondoc.Unquote(buf[:0], str)
	}
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Errorf("allocates %v times", n)
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":                 `""`,
		"plain":            `"plain"`,
		"q\"b\\s/":         `"q\"b\\s/"`,
		"\b\f\n\r\t\x01":   `"\b\f\n\r\t\u0001"`,
		"é\u2028\x7f<&>":   "\"é\u2028\x7f<&>\"",
		"bad \xff\xc3 end": "\"bad \uFFFD\uFFFD end\"",
		"\xe6\xbc":         "\"\uFFFD\uFFFD\"",
		"𝄞":                `"𝄞"`,
	} {
		if got := string(jsondoc.AppendString(nil, in)); got != want {
			t.Errorf("string %q is %s, want %s", in, got, want)
		}
		if got := string(jsondoc.AppendString([]byte("x"), []byte(in))); got != "x"+want {
			t.Errorf("bytes %q are %s, want x%s", in, got, want)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, good := range []string{"a", "userId", "with space", "dotted.name", "été", "漢字", "_id", "a$b", "__proto__", "🙂", "non\u00a0break"} {
		if err := jsondoc.CheckKey([]byte(good)); err != nil {
			t.Errorf("%q refused: %v", good, err)
		}
	}
	bad := map[string]string{
		"empty": "", "operator": "$set", "leading space": " userId", "trailing space": "userId ", "no-break space at the end": "userId\u00a0",
		"ideographic space": "\u3000userId", "BOM": "\ufeffuserId", "BOM inside": "user\ufeffId", "zero-width space": "user\u200bId",
		"zero-width joiner": "user\u200dId", "word joiner": "user\u2060Id", "NUL": "user\x00Id", "tab": "\tuserId", "DEL": "user\x7fId",
		"C1 control": "user\u0085Id", "right-to-left override": "user\u202eId", "left-to-right mark": "userId\u200e", "isolate": "\u2066userId",
		"Arabic letter mark": "a\u061c", "invalid UTF-8": "user\xff",
	}
	for name, key := range bad {
		var kerr *jsondoc.KeyError
		if err := jsondoc.CheckKey([]byte(key)); !errors.As(err, &kerr) || kerr.Key != key || kerr.Why == "" {
			t.Errorf("%s (%q) is not refused: %v", name, key, err)
		}
	}
}

func FuzzStored(f *testing.F) {
	f.Add([]byte(stored), "rows.in.v")
	f.Add([]byte(`{"a":[{"b":1}]}`), "a.0.b")
	f.Add([]byte(`[[[[`), "0.0")
	f.Add([]byte(`{"a\`), "a")
	f.Add([]byte(`"\u00`), "")
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		budget := 4 * (len(doc) + 1) * (strings.Count(path, ".") + 1)
		count := func(raw []byte) bool { budget--; return true }
		jsondoc.Lookup(doc, path)
		jsondoc.Each(doc, path, count)
		jsondoc.Elements(doc, count)
		jsondoc.Fields(doc, func(name, raw []byte) bool { return count(raw) })
		jsondoc.Unquote(nil, doc)
		jsondoc.KindOf(doc)
		if budget < 0 {
			t.Fatalf("yields without end for %q at %q", doc, path)
		}
	})
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		out := jsondoc.AppendString(nil, s)
		v, err := new(jsondoc.Parser).Parse(out, jsondoc.Limits{})
		if strings.ContainsRune(s, 0) {
			if err == nil {
				t.Fatal("U+0000 got through")
			}
			return
		}
		if err != nil || !v.IsCanonical() || string(v.Text()) != strings.ToValidUTF8(replaceEach(s), "") {
			t.Fatalf("%q became %s: %v", s, out, err)
		}
	})
}

// replaceEach replaces each invalid byte on its own, where strings.ToValidUTF8 would replace a run by one.
func replaceEach(s string) string { return string([]rune(s)) }
