package jsondoc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

func parse(t testing.TB, src string) jsondoc.Value {
	t.Helper()
	v, err := new(jsondoc.Parser).Parse([]byte(src), jsondoc.Limits{})
	if err != nil {
		t.Fatalf("parse %q: %v", src, err)
	}
	return v
}

func TestParseAccepts(t *testing.T) {
	cases := []struct{ name, src, canonical string }{
		{"null", `null`, `null`},
		{"booleans", `[true,false]`, `[true,false]`},
		{"empty object", `{}`, `{}`},
		{"empty array", `[]`, `[]`},
		{"empty string", `""`, `""`},
		{"empty containers with space inside", `{"a":[ ],"b":{ }}`, `{"a":[],"b":{}}`},
		{"white space of every kind", " \t\r\n{ \"a\" :\n[ 1 ,\t2 ] } ", `{"a":[1,2]}`},
		{"zero", `0`, `0`},
		{"minus zero keeps its sign", `-0`, `-0`},
		{"a fraction keeps its zero", `1.0`, `1.0`},
		{"an integer beyond 2^53 keeps its last digit", `9007199254740993`, `9007199254740993`},
		{"a 64-bit integer survives", `18446744073709551615`, `18446744073709551615`},
		{"exponents keep their spelling", `[1E5,1e+5,1.5e-05]`, `[1E5,1e+5,1.5e-05]`},
		{"largest float", `1.7976931348623157e308`, `1.7976931348623157e308`},
		{"zero with a huge exponent is zero", `0e999999999999`, `0e999999999999`},
		{"underflow is finite", `1e-999`, `1e-999`},
		{"many digits with a small value", `0.` + strings.Repeat("0", 400) + `1`, `0.` + strings.Repeat("0", 400) + `1`},
		{"long string", `"` + strings.Repeat("abcdefg", 100) + `"`, `"` + strings.Repeat("abcdefg", 100) + `"`},
		{"raw UTF-8", `"é漢𝄞"`, `"é漢𝄞"`},
		{"escaped letters become letters", `"\u0041\u00e9\u6f22"`, `"Aé漢"`},
		{"a surrogate pair becomes one letter", `"\ud834\udd1e"`, `"𝄞"`},
		{"an escaped slash becomes a slash", `"\/"`, `"/"`},
		{"short escapes stay", `"\"\\\b\f\n\r\t"`, `"\"\\\b\f\n\r\t"`},
		{"long escapes become short", `"\u0022\u005c\u0008\u000a"`, `"\"\\\b\n"`},
		{"control characters stay escaped in lower case", `"\u001F\u0001"`, `"\u001f\u0001"`},
		{"DEL and line separators are raw", `"\u007f\u2028"`, "\"\u007f\u2028\""},
		{"a BOM inside a string is text", "\"\ufeff\"", "\"\ufeff\""},
		{"noncharacters are text", `"\uffff"`, "\"\uffff\""},
		{"names are unescaped", `{"\u0061":1}`, `{"a":1}`},
		{"an empty name is syntax all the same", `{"":1}`, `{"":1}`},
		{"equal names in different objects", `{"a":{"a":1},"b":{"a":1}}`, `{"a":{"a":1},"b":{"a":1}}`},
		{"member order is kept", `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{"names with one fingerprint", `{"axa":1,"aya":2,"aza":3}`, `{"axa":1,"aya":2,"aza":3}`},
		{"nesting up to the limit", strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 32) + strings.Repeat("]", 32)},
		{"escape across the eight-byte step", `"1234567\n90123456\t"`, `"1234567\n90123456\t"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := parse(t, c.src)
			if got := string(v.Append(nil)); got != c.canonical {
				t.Errorf("canonical text of %q is %q, want %q", c.src, got, c.canonical)
			}
			trimmed := strings.TrimSpace(c.src)
			if got := string(v.Raw()); got != trimmed {
				t.Errorf("Raw of %q is %q", c.src, got)
			}
			if v.IsCanonical() != (trimmed == c.canonical) {
				t.Errorf("IsCanonical of %q is %v", c.src, v.IsCanonical())
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := []struct {
		name, src string
		reason    jsondoc.Reason
		offset    int
	}{
		{"nothing", ``, jsondoc.Malformed, 0},
		{"only space", `  `, jsondoc.Malformed, 2},
		{"a leading BOM", "\ufeff{}", jsondoc.Malformed, 0},
		{"two values", `{} {}`, jsondoc.Malformed, 3},
		{"text after the value", `{}x`, jsondoc.Malformed, 2},
		{"NUL after the value", "{}\x00", jsondoc.Malformed, 2},
		{"form feed as space", "\f1", jsondoc.Malformed, 0},
		{"no-break space", "[\u00a01]", jsondoc.Malformed, 1},
		{"a comment", `[1/*x*/]`, jsondoc.Malformed, 2},
		{"a bare word", `undefined`, jsondoc.Malformed, 0},
		{"a misspelt literal", `nul`, jsondoc.Malformed, 0},
		{"a literal with a tail", `truex`, jsondoc.Malformed, 4},
		{"upper case literal", `True`, jsondoc.Malformed, 0},
		{"NaN", `NaN`, jsondoc.Malformed, 0},
		{"Infinity", `-Infinity`, jsondoc.Malformed, 1},
		{"single quotes", `'a'`, jsondoc.Malformed, 0},
		{"an unquoted name", `{a:1}`, jsondoc.Malformed, 1},
		{"a number as name", `{1:1}`, jsondoc.Malformed, 1},
		{"no colon", `{"a" 1}`, jsondoc.Malformed, 5},
		{"no value", `{"a":}`, jsondoc.Malformed, 5},
		{"a trailing comma in an object", `{"a":1,}`, jsondoc.Malformed, 7},
		{"a trailing comma in an array", `[1,]`, jsondoc.Malformed, 3},
		{"a leading comma", `[,1]`, jsondoc.Malformed, 1},
		{"no comma", `[1 2]`, jsondoc.Malformed, 3},
		{"the wrong bracket", `[1}`, jsondoc.Malformed, 2},
		{"an open object", `{"a":1`, jsondoc.Malformed, 6},
		{"an open array", `[1`, jsondoc.Malformed, 2},
		{"an open string", `"abc`, jsondoc.Malformed, 4},
		{"an open escape", `"abc\`, jsondoc.Malformed, 4},
		{"an unknown escape", `"\x41"`, jsondoc.Malformed, 1},
		{"a short \\u", `"\u12"`, jsondoc.Malformed, 1},
		{"\\u with a sign", `"\u+123"`, jsondoc.Malformed, 1},
		{"a plus sign", `+1`, jsondoc.Malformed, 0},
		{"a leading zero", `01`, jsondoc.Malformed, 1},
		{"a minus leading zero", `-01`, jsondoc.Malformed, 2},
		{"only minus", `-`, jsondoc.Malformed, 1},
		{"no digit before the point", `.5`, jsondoc.Malformed, 0},
		{"no digit behind the point", `5.`, jsondoc.Malformed, 2},
		{"no digit in the exponent", `5e+`, jsondoc.Malformed, 3},
		{"hexadecimal", `0x10`, jsondoc.Malformed, 1},
		{"one level too many", strings.Repeat("[", 33) + strings.Repeat("]", 33), jsondoc.TooDeep, 32},
		{"objects count as levels", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), jsondoc.TooDeep, 160},
		{"a duplicate name", `{"a":1,"b":2,"a":3}`, jsondoc.DuplicateKey, 13},
		{"a duplicate behind an escape", `{"userId":1,"user\u0049d":2}`, jsondoc.DuplicateKey, 12},
		{"a duplicate in depth", `[{"x":{"a":1,"a":1}}]`, jsondoc.DuplicateKey, 13},
		{"a duplicate empty name", `{"":1,"":1}`, jsondoc.DuplicateKey, 6},
		{"a stray continuation byte", "\"ab\x80\"", jsondoc.BadUTF8, 3},
		{"an overlong form", "\"\xc0\xaf\"", jsondoc.BadUTF8, 1},
		{"a raw surrogate", "\"\xed\xa0\x80\"", jsondoc.BadUTF8, 1},
		{"beyond U+10FFFF", "\"\xf4\x90\x80\x80\"", jsondoc.BadUTF8, 1},
		{"a cut rune before an escape", "\"\xe6\xbc\\n\"", jsondoc.BadUTF8, 1},
		{"bad UTF-8 within eight bytes", "[\"\xff\",\"abcdefgh\"]", jsondoc.BadUTF8, 2},
		{"bad UTF-8 in a name", "{\"\xff\":1}", jsondoc.BadUTF8, 2},
		{"a lone high surrogate", `"\ud834"`, jsondoc.BadSurrogate, 1},
		{"a lone low surrogate", `"\udd1e"`, jsondoc.BadSurrogate, 1},
		{"high and high", `"\ud834\ud834"`, jsondoc.BadSurrogate, 1},
		{"high and text", `"\ud834abcdef"`, jsondoc.BadSurrogate, 1},
		{"a number beyond float64", `1e309`, jsondoc.BadNumber, 0},
		{"a negative number beyond float64", `[-1.8e308]`, jsondoc.BadNumber, 1},
		{"310 digits", strings.Repeat("9", 310), jsondoc.BadNumber, 0},
		{"an endless exponent", `1e99999999999999999999`, jsondoc.BadNumber, 0},
		{"a raw line break in a string", "\"a\nb\"", jsondoc.ControlChar, 2},
		{"a raw tab in a string", "\"12345678\t\"", jsondoc.ControlChar, 9},
		{"a raw U+001F within eight bytes", "\"abc\x1fdefghij\"", jsondoc.ControlChar, 4},
		{"a raw NUL in a string", "\"\x00\"", jsondoc.ControlChar, 1},
		{"an escaped NUL", `"a\u0000"`, jsondoc.ControlChar, 2},
		{"an escaped NUL in a name", `{"a\u0000":1}`, jsondoc.ControlChar, 3},
		{"1001 members", wide(1001, "a"), jsondoc.TooManyMembers, -1},
		{"10001 items", "[" + strings.Repeat("1,", 10000) + "1]", jsondoc.TooManyItems, 20001},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, err := new(jsondoc.Parser).Parse([]byte(c.src), jsondoc.Limits{})
			var serr *jsondoc.SyntaxError
			if !errors.As(err, &serr) {
				t.Fatalf("accepted as %s", v.Raw())
			}
			if v.Exists() {
				t.Error("a value came with the error")
			}
			if serr.Reason != c.reason || c.offset >= 0 && serr.Offset != c.offset {
				t.Errorf("got %v at %d (%v), want %v at %d", serr.Reason, serr.Offset, serr, c.reason, c.offset)
			}
		})
	}
}

// wide is an object with n members of different names.
func wide(n int, prefix string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%s%d":%d`, prefix, i, i)
	}
	return b.String() + "}"
}

func TestWideObjects(t *testing.T) {
	src := wide(1000, "k")
	v := parse(t, src)
	if v.Len() != 1000 {
		t.Fatalf("Len is %d", v.Len())
	}
	for _, i := range []int{0, 15, 16, 17, 999} {
		if got := string(v.Get(fmt.Sprintf("k%d", i)).Raw()); got != fmt.Sprint(i) {
			t.Errorf("k%d is %q", i, got)
		}
	}
	for _, dup := range []int{0, 15, 16, 500, 998} {
		t.Run(fmt.Sprintf("duplicate of member %d is found", dup), func(t *testing.T) {
			bad := src[:len(src)-1] + fmt.Sprintf(`,"k%d":1}`, dup)
			_, err := new(jsondoc.Parser).Parse([]byte(bad), jsondoc.Limits{Members: 2000})
			var serr *jsondoc.SyntaxError
			if !errors.As(err, &serr) || serr.Reason != jsondoc.DuplicateKey || serr.Offset != len(src) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLimitsAreSettable(t *testing.T) {
	lim := jsondoc.Limits{Depth: 1, Members: 2, Items: 3}
	for src, want := range map[string]jsondoc.Reason{
		`[[]]`:                jsondoc.TooDeep,
		`{"a":1,"b":2,"c":3}`: jsondoc.TooManyMembers,
		`[1,2,3,4]`:           jsondoc.TooManyItems,
	} {
		_, err := new(jsondoc.Parser).Parse([]byte(src), lim)
		var serr *jsondoc.SyntaxError
		if !errors.As(err, &serr) || serr.Reason != want {
			t.Errorf("%s: got %v, want %v", src, err, want)
		}
	}
	for _, src := range []string{`[1,2,3]`, `{"a":1,"b":2}`} {
		if _, err := new(jsondoc.Parser).Parse([]byte(src), lim); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// A text of a few megabytes made to be expensive must cost about as much as any other of its size.
func TestBombsAreRefusedInLinearTime(t *testing.T) {
	const size = 2 << 20
	bombs := map[string]string{
		"deep arrays":      strings.Repeat("[", size),
		"deep objects":     strings.Repeat(`{"a":`, size/5),
		"wide object":      wide(size/12, "k"),
		"wide array":       "[" + strings.Repeat("0,", size/2) + "0]",
		"backslashes":      `"` + strings.Repeat(`\\`, size/2),
		"huge number":      strings.Repeat("9", size),
		"huge exponent":    "1e" + strings.Repeat("9", size),
		"white space":      strings.Repeat(" ", size),
		"one long name":    `{"` + strings.Repeat("k", size),
		"bad UTF-8 at end": `"` + strings.Repeat("é", size/2) + "\xff\"",
	}
	for name, src := range bombs {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			if _, err := new(jsondoc.Parser).Parse([]byte(src), jsondoc.Limits{}); err == nil {
				t.Error("accepted")
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	// 10000 members with limits raised: still linear, though each name is compared for being new.
	start := time.Now()
	if _, err := new(jsondoc.Parser).Parse([]byte(wide(200000, "k")), jsondoc.Limits{Members: 1 << 20}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("200000 members took %v", took)
	}
}

func TestValue(t *testing.T) {
	v := parse(t, `{"s":"a\nb","n":-1.50,"t":true,"f":false,"z":null,"o":{"x":{"y":1}},"l":[1,"two",[3]],"\u006bey":7}`)
	if v.Kind() != jsondoc.Object || v.Len() != 8 || !v.Exists() {
		t.Fatalf("root is %v of %d", v.Kind(), v.Len())
	}
	if got := string(v.Get("s").Text()); got != "a\nb" {
		t.Errorf("s is %q", got)
	}
	if !v.Get("t").Bool() || v.Get("f").Bool() || v.Get("n").Bool() {
		t.Error("booleans are wrong")
	}
	if got := string(v.Get("n").Raw()); got != "-1.50" {
		t.Errorf("n is %s", got)
	}
	if v.Get("z").Kind() != jsondoc.Null || !v.Get("z").Exists() {
		t.Error("null is a value")
	}
	if got := string(v.Get("o").Get("x").Get("y").Raw()); got != "1" {
		t.Errorf("o.x.y is %s", got)
	}
	if got := string(v.Get("key").Raw()); got != "7" {
		t.Errorf("an escaped name is found decoded, got %q", got)
	}
	for _, missing := range []jsondoc.Value{{}, v.Get("nope"), v.Get("n").Get("x"), v.Get("l").Get("0")} {
		if missing.Exists() || missing.Kind() != jsondoc.Missing || missing.Raw() != nil || missing.Text() != nil ||
			missing.Len() != 0 || missing.Bool() || missing.IsCanonical() || len(missing.Append(nil)) != 0 {
			t.Error("a missing value answers something")
		}
	}
	var kinds []string
	for i, item := range v.Get("l").Items() {
		kinds = append(kinds, fmt.Sprint(i, item.Kind()))
	}
	if want := []string{"0 number", "1 string", "2 array"}; !reflect.DeepEqual(kinds, want) {
		t.Errorf("items are %v", kinds)
	}
	var names []string
	for name := range v.Members() {
		if names = append(names, string(name)); len(names) == 3 {
			break
		}
	}
	if want := []string{"s", "n", "t"}; !reflect.DeepEqual(names, want) {
		t.Errorf("first members are %v", names)
	}
}

func TestParserIsReusable(t *testing.T) {
	var p jsondoc.Parser
	for _, src := range []string{`{"a":"\n"}`, `[1`, `{"a":"\n","b":[1]}`, wide(100, "x"), `""`} {
		want, wantErr := new(jsondoc.Parser).Parse([]byte(src), jsondoc.Limits{})
		got, err := p.Parse([]byte(src), jsondoc.Limits{})
		if (err == nil) != (wantErr == nil) || !bytes.Equal(got.Append(nil), want.Append(nil)) {
			t.Errorf("%s: got %s, %v", src, got.Raw(), err)
		}
		p.Trim()
	}
}

func TestNoAllocation(t *testing.T) {
	var p jsondoc.Parser
	src := []byte(`{"title":"caf\u00e9","n":12,"tags":["a","b"],"meta":{"x":1.5, "y":null}}` + "\n")
	wideSrc := []byte(wide(500, "k"))
	dst := make([]byte, 0, 1<<16)
	sum := 0
	work := func() {
		v, err := p.Parse(src, jsondoc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		dst = v.Append(dst[:0])
		for key, m := range v.Members() {
			sum += len(key) + m.Len()
		}
		for i, m := range v.Get("tags").Items() {
			sum += i + len(m.Text())
		}
		if _, err := p.Parse(wideSrc, jsondoc.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Errorf("parse, walk and append allocate %v times", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.50,-0,1e5],"b":"\u00e9\ud834\udd1e\/","c":{"d":null,"e":[true,false,{}]}} `,
		`[[[[]]]]`, `"\ud834"`, "\"\xff\"", `{"a":1,"\u0061":2}`, `1e309`, ` [ ] `, `{"":""}`, "\"\x00\"", `"\u0000"`, `-`, `{"a`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var p, q jsondoc.Parser
		v, err := p.Parse(src, jsondoc.Limits{})
		if err != nil {
			var serr *jsondoc.SyntaxError
			if !errors.As(err, &serr) || serr.Offset < 0 || serr.Offset > len(src) {
				t.Fatalf("error is %#v", err)
			}
			return
		}
		if !json.Valid(src) {
			t.Fatalf("accepted what encoding/json refuses: %q", src)
		}
		canonical := v.Append(nil)
		if v.IsCanonical() != bytes.Equal(canonical, bytes.TrimSpace(src)) {
			t.Fatalf("IsCanonical is %v for %q -> %q", v.IsCanonical(), src, canonical)
		}
		again, err := q.Parse(canonical, jsondoc.Limits{})
		if err != nil || !again.IsCanonical() {
			t.Fatalf("canonical text %q: %v", canonical, err)
		}
		if got := again.Append(nil); !bytes.Equal(got, canonical) {
			t.Fatalf("append is no fixed point: %q then %q", canonical, got)
		}
		if a, b := decode(t, src), decode(t, canonical); !reflect.DeepEqual(a, b) {
			t.Fatalf("meaning changed: %q to %q", src, canonical)
		}
		agree(t, v, canonical)
	})
}

func decode(t *testing.T, src []byte) any {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return v
}

// agree checks the tape-less readers against the tape.
func agree(t *testing.T, v jsondoc.Value, raw []byte) {
	t.Helper()
	if jsondoc.KindOf(raw) != v.Kind() {
		t.Fatalf("KindOf(%q) is %v, want %v", raw, jsondoc.KindOf(raw), v.Kind())
	}
	switch v.Kind() {
	case jsondoc.String:
		if got := jsondoc.Unquote(nil, raw); !bytes.Equal(got, v.Text()) {
			t.Fatalf("Unquote(%q) is %q, want %q", raw, got, v.Text())
		}
	case jsondoc.Array:
		var raws [][]byte
		jsondoc.Elements(raw, func(r []byte) bool { raws = append(raws, r); return true })
		if len(raws) != v.Len() {
			t.Fatalf("Elements(%q) yields %d", raw, len(raws))
		}
		for i, item := range v.Items() {
			agree(t, item, raws[i])
		}
	case jsondoc.Object:
		type member struct{ name, raw []byte }
		var fields []member
		jsondoc.Fields(raw, func(name, r []byte) bool { fields = append(fields, member{name, r}); return true })
		if len(fields) != v.Len() {
			t.Fatalf("Fields(%q) yields %d", raw, len(fields))
		}
		i := 0
		for name, m := range v.Members() {
			if got := jsondoc.Unquote(nil, fields[i].name); !bytes.Equal(got, name) {
				t.Fatalf("Fields(%q) names %q, want %q", raw, got, name)
			}
			if !bytes.ContainsRune(name, '.') {
				got, ok := jsondoc.Lookup(raw, string(name))
				if !ok || !bytes.Equal(got, fields[i].raw) {
					t.Fatalf("Lookup(%q, %q) is %q, %v", raw, name, got, ok)
				}
			}
			agree(t, m, fields[i].raw)
			i++
		}
	}
}
