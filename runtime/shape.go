package runtime

import (
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// shape says which members of a document are answered: all, some (`fields=a,b.c`), all but some (`fields=-a,-b`), and
// with or without the times (`meta=false`). `_id` always comes along unless it is excluded by name.
type shape struct {
	include  bool
	fields   fieldSet // named members; nil: all
	withID   bool
	withMeta bool
}

// fieldSet is a tree of member names. A nil child is a leaf: the whole member is meant.
type fieldSet map[string]fieldSet

func (f fieldSet) add(path string) {
	name, rest, nested := strings.Cut(path, ".")
	child, known := f[name]
	if !nested {
		f[name] = nil
		return
	}
	if known && child == nil {
		return // the whole member is already meant
	}
	if child == nil {
		child = fieldSet{}
		f[name] = child
	}
	child.add(rest)
}

// whole reports whether documents are answered as they are stored.
func (s *shape) whole() bool { return s.fields == nil && s.withID && s.withMeta }

// parseFields reads the `fields` parameter.
func (s *shape) parseFields(list string) error {
	excluding := 0
	names := 0
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		bare, minus := strings.CutPrefix(name, "-")
		switch {
		case name == "":
			continue
		case strings.ContainsAny(bare, "$+") || strings.HasPrefix(bare, ".") || strings.HasSuffix(bare, ".") || strings.Contains(bare, "..") || bare == "":
			return badParameter("fields", "a comma-separated list of field names")
		case minus && bare == "_id":
			s.withID = false
			continue
		}
		if s.fields == nil {
			s.fields = fieldSet{}
		}
		if names++; minus {
			excluding++
		}
		s.fields.add(bare)
	}
	if excluding != 0 && excluding != names {
		return badParameter("fields", "names to include or names to exclude, not both")
	}
	s.include = excluding == 0
	return nil
}

// append appends the document's chosen members to dst.
func (s *shape) append(dst []byte, doc jsondoc.Value) []byte {
	dst = append(dst, '{')
	empty := true
	for key, value := range doc.Members() {
		child, named := s.fields[string(key)]
		switch string(key) {
		case "_id":
			if !s.withID {
				continue
			}
		case "createdAt", "updatedAt":
			if !s.withMeta || s.fields != nil && named != s.include {
				continue
			}
		default:
			if s.fields != nil && named != s.include && child == nil {
				continue
			}
		}
		if hollow(value, child, s.include) {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = jsondoc.AppendString(dst, key)
		dst = append(dst, ':')
		dst = appendChosen(dst, value, child, s.include)
	}
	return append(dst, '}')
}

// hollow reports whether only members of a value are wanted, and it can have none.
func hollow(v jsondoc.Value, fields fieldSet, include bool) bool {
	return include && fields != nil && v.Kind() != jsondoc.Array && v.Kind() != jsondoc.Object
}

// appendChosen appends a value with the chosen part of its members; arrays are chosen from element by element.
func appendChosen(dst []byte, v jsondoc.Value, fields fieldSet, include bool) []byte {
	if fields == nil {
		return v.Append(dst)
	}
	switch v.Kind() {
	case jsondoc.Array:
		dst = append(dst, '[')
		empty := true
		for _, item := range v.Items() {
			if hollow(item, fields, include) {
				continue
			}
			if !empty {
				dst = append(dst, ',')
			}
			empty = false
			dst = appendChosen(dst, item, fields, include)
		}
		return append(dst, ']')
	case jsondoc.Object:
		dst = append(dst, '{')
		empty := true
		for key, value := range v.Members() {
			child, named := fields[string(key)]
			if named != include && child == nil || hollow(value, child, include) {
				continue
			}
			if !empty {
				dst = append(dst, ',')
			}
			empty = false
			dst = jsondoc.AppendString(dst, key)
			dst = append(dst, ':')
			dst = appendChosen(dst, value, child, include)
		}
		return append(dst, '}')
	}
	return v.Append(dst)
}
