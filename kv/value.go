package kv

import "github.com/sluice-edge/sluice/kv/jsondoc"

// Value is a JSON value to compare documents with. It keeps its own memory
// and may be used by any number of queries at once. The zero Value is null.
type Value struct {
	kind jsondoc.Kind // Missing in the zero Value
	text []byte       // canonical JSON
	key  []byte       // AppendKey of text
}

func newValue(text []byte) Value {
	return Value{kind: jsondoc.KindOf(text), text: text, key: AppendKey(nil, text)}
}

// Null is the JSON null. It equals a missing value.
func Null() Value { return newValue([]byte("null")) }

// Bool is a JSON boolean.
func Bool(b bool) Value {
	if b {
		return newValue([]byte("true"))
	}
	return newValue([]byte("false"))
}

// Number is the JSON number of that text. It reports false when the text is
// not a number as JSON writes it, or one that no finite float64 stands for.
func Number(text string) (Value, bool) {
	v, ok := Raw([]byte(text))
	if !ok || v.kind != jsondoc.Number {
		return Value{}, false
	}
	return v, true
}

// String is a JSON string. Bytes that are not UTF-8 become U+FFFD.
func String(s string) Value { return newValue(jsondoc.AppendString(nil, s)) }

// Raw is the JSON value of that text, which is copied. It reports false when
// the text is not strict JSON (see kv/jsondoc).
func Raw(json []byte) (Value, bool) {
	var p jsondoc.Parser
	v, err := p.Parse(json, jsondoc.Limits{})
	if err != nil {
		return Value{}, false
	}
	return newValue(v.Append(nil)), true
}

// JSON returns the value's canonical text. It must not be changed.
func (v Value) JSON() []byte {
	if v.text == nil {
		return []byte("null")
	}
	return v.text
}

// norm turns the zero Value into null.
func (v Value) norm() Value {
	if v.text == nil {
		return Null()
	}
	return v
}
