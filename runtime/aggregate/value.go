package aggregate

import "github.com/sluice-edge/sluice/kv/jsondoc"

var (
	null  = []byte("null")
	yes   = []byte("true")
	no    = []byte("false")
	empty = []byte("{}")
)

// path is a dotted path, taken apart.
type path struct {
	text  string
	names []string
}

// at returns the value that an expression reads at the path: through objects by name, and of an array on the way the list
// of what its elements have there. nil: there is none. The result may be a part of doc.
func (p *path) at(doc []byte) []byte {
	if raw, ok := jsondoc.Lookup(doc, p.text); ok {
		return raw
	}
	return reach(doc, p.names)
}

func reach(raw []byte, names []string) []byte {
	for i, name := range names {
		switch jsondoc.KindOf(raw) {
		case jsondoc.Object:
			var ok bool
			if raw, ok = jsondoc.Lookup(raw, name); !ok {
				return nil
			}
		case jsondoc.Array:
			out := []byte{'['}
			jsondoc.Elements(raw, func(el []byte) bool {
				if jsondoc.KindOf(el) >= jsondoc.Array {
					if v := reach(el, names[i:]); v != nil {
						out = appendItem(out, v)
					}
				}
				return true
			})
			return append(out, ']')
		default:
			return nil
		}
	}
	return raw
}

// appendItem appends an item to an array, or a member to an object, that is still open.
func appendItem(dst, raw []byte) []byte {
	if c := dst[len(dst)-1]; c != '[' && c != '{' {
		dst = append(dst, ',')
	}
	return append(dst, raw...)
}

// absent reports whether there is no value, or null.
func absent(raw []byte) bool { return raw == nil || raw[0] == 'n' }

// truth is what a value counts as in a condition: false, 0, null and nothing are false.
func truth(raw []byte) bool {
	switch jsondoc.KindOf(raw) {
	case jsondoc.Missing, jsondoc.Null:
		return false
	case jsondoc.Bool:
		return raw[0] == 't'
	case jsondoc.Number:
		return !parseNumber(raw).zero()
	}
	return true
}

func boolean(b bool) []byte {
	if b {
		return yes
	}
	return no
}
