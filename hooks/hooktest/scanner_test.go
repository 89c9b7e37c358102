package hooktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

// The scanners of the SDKs agree with encoding/json on what a valid document holds, and do not trap on any other: each guest
// gives back, made anew, what it has read. Go's scanner has a test of its own.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1,"b":[1,{"c":null}],"d":"\\"}`, ` { "title" : "a \"quoted\" \u00e9\ud83d\ude00\ud800x" , "n":-12.5e1 , "big":12345678901234567890,"o":{"a":{"b":[1,"}",{"c":"]"}]}},"list":[ 1 , "two" , [3] ],"\u0065sc":"x","empty":{},"none":[]} `,
		`{"t":true,"f":false,"n":null,"z":-0,"e":1E-7,"max":1.7976931348623157e308,"min":5e-324,"half":2.2250738585072011e-308,"long":0.1000000000000000055511151231257827021181583404541015625}`,
		`{"\ud800\udc00":"\udc00","é":"ü\u0000","":"","\"":"\b\f\n\r\t\/"}`, `{"int":9223372036854775807,"less":-9223372036854775808,"more":9223372036854775808,"exact":9007199254740993}`,
		`{"over":1e999}`, `{"a"`, `{"a":"\`, `{"a":"\u12`, `{"a":-}`, `{"a":1,}`, `{"a":tru}`, `{"a":"\ud83d\u"}`, `[`, `{"a":[}`, `{"a":{"b":1]}`, "{\"a\":\"\xff\"}", `{"a":1 2}`, `{"\":1}`,
	} {
		f.Add([]byte(text))
	}
	manifest := hooks.Manifest{
		Modules:  []hooks.Module{{Name: "guest", File: "guest.wasm"}},
		Bindings: []hooks.Binding{{Module: "guest", Event: hooks.EventBeforeInsert, Collections: []string{hooktest.Collection}}},
	}
	bundles := map[string]*hooks.Bundle{}
	for _, language := range []string{"c", "rust", "assemblyscript"} {
		bundle, err := hooktest.NewHost(f, hooks.Options{}).Load(context.Background(), manifest, map[string][]byte{"guest.wasm": hooktest.Echo(f, language)}, hooks.LoadOptions{})
		if err != nil {
			f.Fatal(err)
		}
		bundles[language] = bundle
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 || len(text) > 10_000 {
			return
		}
		var want map[string]any
		valid := json.Unmarshal(text, &want) == nil && want != nil && utf8.Valid(text) && unique(text)
		for language, bundle := range bundles {
			got, err := bundle.Hook(context.Background(), &hooks.Event{Op: hooks.OpInsert, Collection: hooktest.Collection, After: text})
			if errors.As(err, new(*hooks.TrapError)) {
				t.Fatalf("%s: %q: %v", language, text, err)
			}
			if !valid {
				continue
			}
			var have map[string]any
			if err != nil || json.Unmarshal(got.Document, &have) != nil || !reflect.DeepEqual(have, want) {
				t.Errorf("%s: %q is read as %q, %v", language, text, got.Document, err)
			}
		}
	})
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
