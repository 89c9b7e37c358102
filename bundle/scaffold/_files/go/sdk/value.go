package sluice

import (
	"iter"
	"strconv"
)

// Object is a JSON object: a document, or one within a document. It is text that is read when asked; it borrows the
// event's memory and is valid while the event is. The zero Object is missing: it has no members.
type Object struct{ text []byte }

// ParseObject takes JSON text as an object. Text that is not an object gives the missing one. The object borrows text.
func ParseObject(text []byte) Object {
	i := skipSpace(text, 0)
	if i < len(text) && text[i] == '{' {
		if end := skipValue(text, i); end > 0 {
			return Object{text[i:end:end]}
		}
	}
	return Object{}
}

// Exists reports whether there is an object at all: Event.Before of an insert is missing.
func (o Object) Exists() bool { return o.text != nil }

// Raw returns the object's JSON text, borrowed; nil if it is missing.
func (o Object) Raw() []byte { return o.text }

// Get returns a member's value; the missing Value if there is no such member.
func (o Object) Get(name string) Value {
	for c := enter(o.text, '{'); ; {
		key, value, ok := c.member()
		if !ok {
			return Value{}
		}
		if sameName(key, name) {
			return Value{value}
		}
	}
}

// Members yields the names and values of the object's members in their order.
func (o Object) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for c := enter(o.text, '{'); ; {
			key, value, ok := c.member()
			if !ok || !yield(unquote(key), Value{value}) {
				return
			}
		}
	}
}

// Has reports whether there is a member of that name, whatever its value.
func (o Object) Has(name string) bool { return o.Get(name).Exists() }

// String returns a member that is a string.
func (o Object) String(name string) (string, bool) { return o.Get(name).AsString() }

// Number returns a member that is a number.
func (o Object) Number(name string) (float64, bool) { return o.Get(name).AsNumber() }

// Int returns a member that is a whole number and fits.
func (o Object) Int(name string) (int64, bool) { return o.Get(name).AsInt() }

// Bool returns a member that is true or false.
func (o Object) Bool(name string) (value, ok bool) { return o.Get(name).AsBool() }

// Object returns a member that is an object; the missing Object otherwise.
func (o Object) Object(name string) Object { return o.Get(name).AsObject() }

// Items yields the items of a member that is an array, and nothing otherwise.
func (o Object) Items(name string) iter.Seq[Value] { return o.Get(name).Items() }

// Value is any JSON value, as text. The zero Value is missing.
type Value struct{ text []byte }

// Exists reports whether there is a value; null is one.
func (v Value) Exists() bool { return v.text != nil }

// Raw returns the value's JSON text, borrowed; nil if it is missing.
func (v Value) Raw() []byte { return v.text }

// IsNull reports whether the value is there and null.
func (v Value) IsNull() bool { return string(v.text) == "null" }

// AsString returns the value if it is a string.
func (v Value) AsString() (string, bool) {
	if len(v.text) < 2 || v.text[0] != '"' {
		return "", false
	}
	return unquote(v.text), true
}

// AsNumber returns the value if it is a number.
func (v Value) AsNumber() (float64, bool) {
	if !v.numeric() {
		return 0, false
	}
	if n, ok := smallInt(v.text); ok {
		return float64(n), true
	}
	f, err := strconv.ParseFloat(string(v.text), 64)
	return f, err == nil
}

// AsInt returns the value if it is a number written without point and exponent that fits in 64 bits.
func (v Value) AsInt() (int64, bool) {
	if !v.numeric() {
		return 0, false
	}
	if n, ok := smallInt(v.text); ok {
		return n, true
	}
	n, err := strconv.ParseInt(string(v.text), 10, 64)
	return n, err == nil
}

func (v Value) numeric() bool {
	return len(v.text) > 0 && (v.text[0] == '-' || v.text[0] >= '0' && v.text[0] <= '9')
}

// smallInt reads whole numbers of up to 15 digits, which are exact as a float64 as well.
func smallInt(text []byte) (int64, bool) {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(text) {
		if n == 0 {
			return 0, false // -0 is a float's business
		}
		n = -n
	}
	return n, true
}

// AsBool returns the value if it is true or false.
func (v Value) AsBool() (value, ok bool) {
	switch string(v.text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// AsObject returns the value if it is an object; the missing Object otherwise.
func (v Value) AsObject() Object {
	if len(v.text) == 0 || v.text[0] != '{' {
		return Object{}
	}
	return Object{v.text}
}

// Items yields the items of an array, and nothing if the value is no array.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for c := enter(v.text, '['); ; {
			item, ok := c.item()
			if !ok || !yield(Value{item}) {
				return
			}
		}
	}
}
