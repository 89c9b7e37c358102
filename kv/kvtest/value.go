package kvtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Decode reads JSON into Go values, numbers as json.Number.
func Decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	_ = d.Decode(&v)
	return v
}

// Lookup returns the value at a dotted path through objects, nil if there is
// none.
func Lookup(doc any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = m[name]
	}
	return doc
}

// Number is the value that a number counts as: itself if it is written as plain
// digits and fits into 64 bits and a sign, else the nearest float64.
func Number(n json.Number) *big.Float {
	digits := strings.TrimPrefix(string(n), "-")
	if u, err := strconv.ParseUint(digits, 10, 64); err == nil {
		out := new(big.Float).SetUint64(u)
		if digits != string(n) {
			out.Neg(out)
		}
		return out
	}
	f, _ := n.Float64()
	return new(big.Float).SetFloat64(f)
}

// canonical writes equal values alike.
func canonical(v any) string {
	switch v := v.(type) {
	case json.Number:
		r, _ := Number(v).Rat(nil)
		return r.RatString()
	case []any:
		parts := make([]string, len(v))
		for i, el := range v {
			parts[i] = canonical(el)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, strconv.Quote(name)+":"+canonical(v[name]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// Encode writes what Decode read.
func Encode(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}
