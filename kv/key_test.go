package kv

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// typed is a JSON value as Go sees it, with the order that keys must have.
type typed struct {
	rank    int // null, false, true, number, string, array, object
	number  *big.Float
	text    string
	items   []typed
	members []member // by name
	json    string
}

type member struct {
	name  string
	value typed
}

func (a typed) compare(b typed) int {
	if a.rank != b.rank {
		return cmp.Compare(a.rank, b.rank)
	}
	switch a.rank {
	case 3:
		return a.number.Cmp(b.number)
	case 4:
		return strings.Compare(a.text, b.text)
	case 5:
		return slices.CompareFunc(a.items, b.items, typed.compare)
	case 6:
		return slices.CompareFunc(a.members, b.members, func(x, y member) int {
			return cmp.Or(strings.Compare(x.name, y.name), x.value.compare(y.value))
		})
	}
	return 0
}

func numberGen() *rapid.Generator[typed] {
	exact := func(text string) typed {
		f, _, err := big.ParseFloat(text, 10, 2000, big.ToNearestEven)
		if err != nil {
			panic(err)
		}
		return typed{rank: 3, number: f, json: text}
	}
	near := []uint64{0, 1, 1 << 31, 1 << 53, 1 << 54, 1 << 62, 1 << 63, math.MaxUint64 - 4}
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) typed { return exact(strconv.FormatInt(n, 10)) }),
		rapid.Map(rapid.Uint64(), func(n uint64) typed { return exact(strconv.FormatUint(n, 10)) }),
		rapid.Custom(func(t *rapid.T) typed { // around the powers where floats grow coarse
			n := rapid.SampledFrom(near).Draw(t, "near") + rapid.Uint64Range(0, 4).Draw(t, "plus")
			if rapid.Bool().Draw(t, "negative") && n <= 1<<63 {
				return exact("-" + strconv.FormatUint(n, 10))
			}
			return exact(strconv.FormatUint(n, 10))
		}),
		rapid.Custom(func(t *rapid.T) typed {
			f := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "float")
			out := exact(strconv.FormatFloat(f, 'g', -1, 64))
			// What is stored is the text; its meaning is the float.
			out.number = new(big.Float).SetFloat64(f)
			return out
		}),
	)
}

func typedGen(depth int) *rapid.Generator[typed] {
	text := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune{1, 'a', 'b', '"', 'é', 0xFFFF}), 0, 4, -1), rapid.String())
	return rapid.Custom(func(t *rapid.T) typed {
		limit := 6
		if depth == 0 {
			limit = 4
		}
		switch rank := rapid.IntRange(0, limit).Draw(t, "rank"); rank {
		case 3:
			return numberGen().Draw(t, "number")
		case 4:
			s := strings.ToValidUTF8(text.Draw(t, "text"), "?")
			return typed{rank: 4, text: s, json: string(jsondoc.AppendString(nil, s))}
		case 5:
			out := typed{rank: 5, items: rapid.SliceOfN(typedGen(depth-1), 0, 3).Draw(t, "items")}
			var parts []string
			for _, item := range out.items {
				parts = append(parts, item.json)
			}
			out.json = "[" + strings.Join(parts, ",") + "]"
			return out
		case 6:
			out := typed{rank: 6}
			var parts []string
			for name, value := range rapid.MapOfN(rapid.SampledFrom([]string{"", "a", "b", "ab", "é"}), typedGen(depth-1), 0, 3).Draw(t, "members") {
				out.members = append(out.members, member{name, value})
				parts = append(parts, string(jsondoc.AppendString(nil, name))+":"+value.json)
			}
			slices.SortFunc(out.members, func(x, y member) int { return strings.Compare(x.name, y.name) })
			out.json = "{" + strings.Join(parts, ",") + "}"
			return out
		default:
			return typed{rank: rank, json: []string{"null", "false", "true"}[rank]}
		}
	})
}

func TestKeyOrderIsValueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := typedGen(2).Draw(t, "a"), typedGen(2).Draw(t, "b")
		ka, kb := AppendKey(nil, []byte(a.json)), AppendKey(nil, []byte(b.json))
		if got, want := bytes.Compare(ka, kb), a.compare(b); got != want {
			t.Fatalf("%s and %s: keys %x and %x compare %d, values %d", a.json, b.json, ka, kb, got, want)
		}
		if !bytes.Equal(ka, kb) && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("%s and %s: one key is a prefix of the other: %x, %x", a.json, b.json, ka, kb)
		}
		// Two fields in one key, the first descending: what an index will do.
		c, d := typedGen(1).Draw(t, "c"), typedGen(1).Draw(t, "d")
		complement(ka)
		complement(kb)
		ka, kb = AppendKey(ka, []byte(c.json)), AppendKey(kb, []byte(d.json))
		if got, want := bytes.Compare(ka, kb), cmp.Or(b.compare(a), c.compare(d)); got != want {
			t.Fatalf("(%s desc, %s) and (%s desc, %s) compare %d, want %d", a.json, c.json, b.json, d.json, got, want)
		}
	})
}

func TestKeysInOrder(t *testing.T) {
	lists := [][]string{
		{`null`, `false`, `true`, `-1e400`, `-18446744073709551616`, `-9007199254740993`, `-9007199254740992`, `-1`, `-0.5`, `0`, `0.5`, `1`, `2`, `10`,
			`9007199254740991`, `9007199254740992`, `9007199254740993`, `9007199254740994`, `9223372036854775807`, `9223372036854775808`,
			`18446744073709551614`, `18446744073709551615`, `1e20`, `1e308`, `""`, `"\u0001"`, `"a"`, `"a\u0001"`, `"ab"`, `"b"`, `"é"`, `"😀"`,
			`[]`, `[null]`, `[1]`, `[1,1]`, `[2]`, `["a"]`, `[[]]`, `{}`, `{"":0}`, `{"a":1}`, `{"a":1,"b":1}`, `{"a":2}`, `{"b":0}`},
	}
	for _, list := range lists {
		for i := range list {
			for k := range list {
				got := bytes.Compare(AppendKey(nil, []byte(list[i])), AppendKey(nil, []byte(list[k])))
				if want := cmp.Compare(i, k); got != want {
					t.Errorf("%s and %s compare %d, want %d", list[i], list[k], got, want)
				}
			}
		}
	}
	same := [][]string{{`1`, `1.0`, `1e0`, `10e-1`}, {`0`, `-0`, `0.0`, `-0e5`}, {`{"a":1,"b":2}`, `{"b":2,"a":1.0}`}, {`1e20`, `100000000000000000000`}}
	for _, list := range same {
		for _, text := range list[1:] {
			if !bytes.Equal(AppendKey(nil, []byte(list[0])), AppendKey(nil, []byte(text))) {
				t.Errorf("%s and %s have different keys", list[0], text)
			}
		}
	}
}

func TestLongKeysKeepIdentity(t *testing.T) {
	doc := func(n int, end string) []byte {
		return fmt.Appendf(nil, `{"a":"%s%s"}`, strings.Repeat("x", n), end)
	}
	seen := map[string]string{}
	for n := range 1200 {
		for _, end := range []string{"", "a", "b"} {
			text := doc(n, end)
			key, ok := appendIndexKey([]byte("kept"), text, []string{"a"})
			if !ok || string(key[:4]) != "kept" || len(key) > 4+maxIndexKey {
				t.Fatalf("%d bytes: key of %d bytes", n, len(key))
			}
			if other, twice := seen[string(key)]; twice {
				t.Fatalf("%s and %s have one key", other, text)
			}
			seen[string(key)] = string(text)
		}
	}
}

// TestCutKeysKeepTheirPlace: what an ordered index cuts off may make two values
// alike, but never turns them around, nor makes one a prefix of the other.
func TestCutKeysKeepTheirPlace(t *testing.T) {
	long := rapid.Custom(func(t *rapid.T) typed {
		text := strings.Repeat("l", rapid.IntRange(maxOrderedKey-12, maxOrderedKey+4).Draw(t, "long")) +
			rapid.SampledFrom([]string{"", "a", "b", "\x01", "é", "aa"}).Draw(t, "end")
		v := typed{rank: 4, text: text, json: string(jsondoc.AppendString(nil, text))}
		switch rapid.IntRange(0, 3).Draw(t, "in") {
		case 0:
			after := typedGen(0).Draw(t, "after")
			v = typed{rank: 5, items: []typed{v, after}, json: "[" + v.json + "," + after.json + "]"}
		case 1:
			v = typed{rank: 6, members: []member{{"k", v}}, json: `{"k":` + v.json + "}"}
		}
		return v
	})
	any := rapid.OneOf(long, long, typedGen(2))
	cut := func(v typed) (key []byte, whole bool) {
		l := &entryList{}
		whole = l.value([]byte(v.json))
		return l.values[0], whole
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := any.Draw(t, "a"), any.Draw(t, "b")
		ka, wholeA := cut(a)
		kb, wholeB := cut(b)
		order, want := bytes.Compare(ka, kb), a.compare(b)
		if order != want && (order != 0 || wholeA && wholeB) {
			t.Fatalf("%s and %s: cut keys %x and %x compare %d, values %d", a.json, b.json, ka, kb, order, want)
		}
		if order != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("%s and %s: one cut key is a prefix of the other", a.json, b.json)
		}
		if len(ka) > maxOrderedKey || wholeA != bytes.Equal(ka, AppendKey(nil, []byte(a.json))) {
			t.Fatalf("%s: cut key %x", a.json, ka)
		}
	})
}

func FuzzAppendKey(f *testing.F) {
	for _, s := range []string{`null`, `[1,{"a":[true]}]`, `"\u0000"`, `-`, `{"a"`, `[[[[`, `1e999`, `"a\`, `18446744073709551617`, ``} {
		f.Add([]byte(s), []byte(`"x"`))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, _ = AppendKey(nil, a), AppendKey(nil, b) // of what is not JSON, only that it does not panic is promised
		va, okA := Raw(a)
		vb, okB := Raw(b)
		if !okA || !okB {
			return
		}
		ka, kb := va.key, vb.key
		if !bytes.Equal(ka, kb) && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("%s and %s: one key is a prefix of the other", a, b)
		}
		if va.kind < vb.kind && bytes.Compare(ka, kb) >= 0 {
			t.Fatalf("%s and %s: types out of order", a, b)
		}
	})
}
