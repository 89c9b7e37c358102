package hooktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

// Documents that are hard to read, and some that are none.
var hardDocuments = []string{
	`{}`, `{"a":1,"b":[1,{"c":null}],"d":"\\"}`, ` { "title" : "a \"quoted\" \u00e9\ud83d\ude00\ud800x" , "n":-12.5e1 , "big":12345678901234567890,"o":{"a":{"b":[1,"}",{"c":"]"}]}},"list":[ 1 , "two" , [3] ],"\u0065sc":"x","empty":{},"none":[]} `,
	`{"t":true,"f":false,"n":null,"z":-0,"e":1E-7,"max":1.7976931348623157e308,"min":5e-324,"half":2.2250738585072011e-308,"long":0.1000000000000000055511151231257827021181583404541015625}`,
	`{"\ud800\udc00":"\udc00","é":"ü\u0000","":"","\"":"\b\f\n\r\t\/"}`, `{"int":9223372036854775807,"less":-9223372036854775808,"more":9223372036854775808,"exact":9007199254740993}`,
	`{"over":1e999}`, `{"a"`, `{"a":"\`, `{"a":"\u12`, `{"a":-}`, `{"a":1,}`, `{"a":tru}`, `{"a":"\ud83d\u"}`, `[`, `{"a":[}`, `{"a":{"b":1]}`, "{\"a\":\"\xff\"}", `{"a":1 2}`, `{"\":1}`,
}

// The scanners of the SDKs agree with encoding/json on what a valid document holds, and do not trap on any other: each guest
// gives back, made anew, what it has read of hard documents, made-up ones, and ones with bytes changed. Go's scanner has a test of
// its own.
func TestScannersReadWhatIsThere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var documents [][]byte
	for _, text := range hardDocuments {
		documents = append(documents, []byte(text))
	}
	for range 500 {
		documents = append(documents, randomObject(random, 3))
	}
	for range 2500 {
		documents = append(documents, mutate(random, documents[random.IntN(len(documents))]))
	}
	manifest := hooks.Manifest{
		Modules:  []hooks.Module{{Name: "guest", File: "guest.wasm"}},
		Bindings: []hooks.Binding{{Module: "guest", Event: hooks.EventBeforeInsert, Collections: []string{hooktest.Collection}}},
	}
	for _, language := range []string{"c", "rust", "assemblyscript"} {
		t.Run(language, func(t *testing.T) {
			files := map[string][]byte{"guest.wasm": hooktest.Echo(t, language)}
			bundle, err := hooktest.NewHost(t, hooks.Options{}).Load(context.Background(), manifest, files, hooks.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for _, text := range documents {
				var have, want map[string]any
				valid := json.Unmarshal(text, &want) == nil && want != nil && utf8.Valid(text) && unique(text)
				got, err := bundle.Hook(context.Background(), &hooks.Event{Op: hooks.OpInsert, Collection: hooktest.Collection, After: text})
				if errors.As(err, new(*hooks.TrapError)) {
					t.Fatalf("%q: %v", text, err)
				}
				if !valid {
					continue
				}
				compared++
				if err != nil || json.Unmarshal(got.Document, &have) != nil || !reflect.DeepEqual(have, want) {
					t.Errorf("%q is read as %q, %v", text, got.Document, err)
				}
			}
			if compared < 800 || compared == len(documents) {
				t.Errorf("%d of %d documents were valid", compared, len(documents))
			}
		})
	}
}

// randomObject writes an object of up to five members, nested so deep at most.
func randomObject(random *rand.Rand, depth int) []byte {
	out := []byte{'{'}
	for i := range random.IntN(6) {
		if i > 0 {
			out = append(out, ", "[:1+random.IntN(2)]...)
		}
		out = append(append(out, randomString(random)...), ": "[:1+random.IntN(2)]...)
		out = append(out, randomValue(random, depth)...)
	}
	return append(out, '}')
}

func randomValue(random *rand.Rand, depth int) []byte {
	switch kind := random.IntN(8); {
	case kind < 2:
		return randomString(random)
	case kind == 2:
		return strconv.AppendInt(nil, int64(random.Uint64()>>random.IntN(64)), 10)
	case kind == 3:
		return strconv.AppendFloat(nil, random.NormFloat64()*math.Pow10(random.IntN(40)-20), "eg"[random.IntN(2)], random.IntN(24)-1, 64)
	case kind == 4 && depth > 0:
		return randomObject(random, depth-1)
	case kind == 5 && depth > 0:
		items := make([][]byte, random.IntN(4))
		for i := range items {
			items[i] = randomValue(random, depth-1)
		}
		return slices.Concat([]byte{'['}, bytes.Join(items, []byte{','}), []byte{']'})
	}
	return []byte([]string{"true", "false", "null", "-0", "1e5"}[random.IntN(5)])
}

func randomString(random *rand.Rand) []byte {
	out := []byte{'"'}
	for range random.IntN(12) {
		out = append(out, []string{"a", "b", "z", " ", "é", "😀", `\\`, `\"`, `\n`, `\/`, `\u0041`, `\ud83d\ude00`, `\ud83d`, "{", "}", "]", ",", ":"}[random.IntN(18)]...)
	}
	return append(out, '"')
}

// mutate changes, removes, doubles or cuts off a few bytes.
func mutate(random *rand.Rand, text []byte) []byte {
	out := slices.Clone(text)
	for range 1 + random.IntN(3) {
		if len(out) < 2 {
			return out
		}
		switch at := random.IntN(len(out)); random.IntN(4) {
		case 0:
			out[at] = "{}[]\",:\\0-eE.tfnu "[random.IntN(18)]
		case 1:
			out = slices.Delete(out, at, at+1)
		case 2:
			out = slices.Insert(out, at, out[at])
		case 3:
			if random.IntN(4) == 0 {
				out = out[:max(at, 1)]
			}
		}
	}
	return out
}

// unique reports whether no two members at the top have one name, about which readers may differ.
func unique(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	seen := map[string]bool{}
	if _, err := decoder.Token(); err != nil {
		return false
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil || seen[name.(string)] {
			return false
		}
		seen[name.(string)] = true
		if decoder.Decode(new(json.RawMessage)) != nil {
			return false
		}
	}
	return true
}
