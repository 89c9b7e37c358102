package project

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

const requiredText = "is required."

// fault is a mistake on its way up from where it was met: array positions gather until the nearest member gives the
// message its name (the contract names only that one), while path grows to the top.
type fault struct {
	text  string       // "must be a String."
	at    string       // array positions under the nearest member: "[1]"
	name  string       // that member, with the positions; "" until it is known
	path  string       // from the top
	final *SchemaError // a mistake that needs no name of a field
}

// under adds the member that holds the value.
func (e *fault) under(key string) *fault {
	if e.final != nil {
		return e
	}
	if e.name == "" {
		e.name = key + e.at
	}
	if e.path != "" && e.path[0] != '[' {
		key += "."
	}
	e.path = key + e.path
	return e
}

// item adds the array position that holds the value.
func (e *fault) item(i int) *fault {
	if e.final != nil {
		return e
	}
	at := "[" + strconv.Itoa(i) + "]"
	if e.name == "" {
		e.at = at + e.at
	}
	if e.path != "" && e.path[0] != '[' {
		e.path = "." + e.path
	}
	e.path = at + e.path
	return e
}

func (e *fault) schemaError() *SchemaError {
	if e.final != nil {
		return e.final
	}
	return &SchemaError{Field: e.path, Message: "Field '" + e.name + "' " + e.text}
}

// value appends v in the form in which the field stores it.
func (w *conformer) value(dst []byte, f *Field, v jsondoc.Value) ([]byte, *fault) {
	if v.Kind() == jsondoc.Null {
		switch {
		case f.Required:
			return dst, &fault{text: requiredText}
		case len(f.Default) > 0:
			return append(dst, f.Default...), nil
		}
		return append(dst, "null"...), nil
	}
	switch f.Type {
	case TypeString:
		return w.text(dst, f, v)
	case TypeNumber:
		if v.Kind() != jsondoc.Number {
			return dst, &fault{text: "must be a Number."}
		}
		return v.Append(dst), nil
	case TypeBoolean:
		if v.Kind() != jsondoc.Bool {
			return dst, &fault{text: "must be a Boolean."}
		}
		return v.Append(dst), nil
	case TypeDate:
		if v.Kind() == jsondoc.String {
			t, ok := parseDate(v.Text())
			if !ok {
				t, ok = parseSpokenDate(v.Text())
			}
			if ok {
				return append(t.append(append(dst, '"')), '"'), nil
			}
		}
		return dst, &fault{text: "must be a valid Date."}
	case TypeRef:
		if v.Kind() == jsondoc.String {
			if out, ok := appendRef(dst, v.Text()); ok {
				return out, nil
			}
		}
		return dst, &fault{text: "must be a valid reference ID (ObjectId)."}
	case TypeObject:
		return w.object(dst, f, v)
	case TypeArray:
		return w.array(dst, f, v)
	}
	return dst, &fault{text: "has the unknown type " + string(f.Type) + "."}
}

func (w *conformer) text(dst []byte, f *Field, v jsondoc.Value) ([]byte, *fault) {
	if v.Kind() != jsondoc.String {
		return dst, &fault{text: "must be a String."}
	}
	text := v.Text()
	trimmed := trimSpace(text)
	if f.Required && len(trimmed) == 0 {
		return dst, &fault{text: requiredText}
	}
	if f.Format != "" && !hasFormat(f.Format, trimmed) {
		if f.Format == formatEmail {
			return dst, &fault{text: "must be a valid email (e.g., user@example.com)."}
		}
		return dst, &fault{text: "must match format '" + f.Format + "'."}
	}
	if len(trimmed) == len(text) {
		return v.Append(dst), nil
	}
	return jsondoc.AppendString(dst, trimmed), nil
}

// trimSpace removes outer white space: Unicode's, and the byte order mark, which browsers count as such.
func trimSpace(text []byte) []byte {
	if n := len(text); n == 0 || isGraphicASCII(text[0]) && isGraphicASCII(text[n-1]) {
		return text
	}
	return bytes.TrimFunc(text, func(r rune) bool { return r == '\uFEFF' || unicode.IsSpace(r) })
}

func isGraphicASCII(c byte) bool { return c > ' ' && c < utf8.RuneSelf-1 }

func (w *conformer) object(dst []byte, f *Field, v jsondoc.Value) ([]byte, *fault) {
	if v.Kind() != jsondoc.Object {
		return dst, &fault{text: "must be an Object."}
	}
	if len(f.Fields) == 0 {
		if err := checkKeys(v); err != nil {
			return dst, &fault{final: err}
		}
		return v.Append(dst), nil
	}
	at := len(dst)
	dst, err := w.members(dst, f.Fields, v, false)
	if err != nil {
		return dst, err
	}
	if len(dst) == at {
		return append(dst, '{', '}'), nil
	}
	dst[at] = '{' // each member was put behind a comma
	return append(dst, '}'), nil
}

func (w *conformer) array(dst []byte, f *Field, v jsondoc.Value) ([]byte, *fault) {
	if v.Kind() != jsondoc.Array {
		return dst, &fault{text: "must be an Array."}
	}
	if f.Items == nil {
		if err := checkKeys(v); err != nil {
			return dst, &fault{final: err}
		}
		return v.Append(dst), nil
	}
	dst = append(dst, '[')
	for i, item := range v.Items() {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err *fault
		if dst, err = w.value(dst, f.Items, item); err != nil {
			return dst, err.item(i)
		}
	}
	return append(dst, ']'), nil
}

// appendRef appends a document id of 24 hex digits in lower case.
func appendRef(dst, id []byte) ([]byte, bool) {
	if len(id) != 24 {
		return dst, false
	}
	dst = append(dst, '"')
	for _, c := range id {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		case 'A' <= c && c <= 'F':
			c += 'a' - 'A'
		default:
			return dst, false
		}
		dst = append(dst, c)
	}
	return append(dst, '"'), true
}

// conformDefault judges the field's default as a value of the field and returns it as it will be stored.
func (f *Field) conformDefault() (json.RawMessage, error) {
	// Shallower than a document may be, so that a default cannot make one that is too deep to be read again.
	v, err := new(jsondoc.Parser).Parse(f.Default, jsondoc.Limits{Depth: maxDefaultDepth})
	if err != nil {
		return nil, err
	}
	plain := f.clone()
	plain.Default, plain.Type, plain.Format = nil, f.Type.canonical(), strings.ToLower(f.Format)
	normalizeFields(plain.Fields)
	if plain.Items != nil {
		plain.Items.normalize()
	}
	stored, fault := new(conformer).value(nil, &plain, v)
	if fault != nil {
		return nil, fault.under(f.Key).schemaError()
	}
	return stored, nil
}
