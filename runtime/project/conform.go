package project

import (
	"bytes"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Conform judges doc by the collection's schema and appends what will be stored, byte for byte: _id, the members of doc
// in their order, the owner if st.Owner fills it in, what the schema adds in schema order (defaults, [] for a missing
// Array), createdAt and updatedAt. Declared Strings are trimmed, Dates and Refs brought into their one form.
//
// before is the stored document that doc replaces, nil on an insert. A declared member whose text did not change is kept
// without being judged again, and one that is missing from both stays missing: a schema that has become stricter binds
// what is written, not what was.
//
// The collection must come from a normalised Config. The first mistake is reported, in schema order; one with names comes first. doc and before are borrowed and may not
// overlap dst. On an error (always a *SchemaError) dst is returned as it was. A valid document allocates nothing beyond
// dst, save for Strings of the format url and Dates in RFC 1123 form.
func (c *Collection) Conform(dst []byte, doc jsondoc.Value, before []byte, st Stamp) ([]byte, error) {
	if doc.Kind() != jsondoc.Object {
		return dst, errNotObject()
	}
	mark := len(dst)
	w := conformer{strict: c.Strict, before: before, stamp: &st}
	dst = appendHead(dst, st.ID)
	dst, fault := w.members(dst, c.Fields, doc, true)
	if fault != nil {
		return dst[:mark], fault.schemaError()
	}
	return appendTail(dst, before, &st), nil
}

// conformer is one call of Conform.
type conformer struct {
	strict bool
	before []byte
	stamp  *Stamp
}

// fieldSet is a set of positions in a list of at most maxFields fields.
type fieldSet [maxFields / 64]uint64

func (s *fieldSet) add(i int)      { s[i>>6&3] |= 1 << (i & 63) }
func (s *fieldSet) has(i int) bool { return s[i>>6&3]&(1<<(i&63)) != 0 }

// members appends the members of v, each behind a comma. At the top the server's own members are left out and the owner
// and the image before count.
func (w *conformer) members(dst []byte, fields []Field, v jsondoc.Value, top bool) ([]byte, *fault) {
	var (
		seen  fieldSet
		next  = 0 // documents tend to follow the schema's order: the field after the last one found is tried first
		count = 0
		owner = ""
		err   *fault
	)
	if top {
		count = 3
		if w.before == nil {
			owner = w.stamp.Owner.Field
		}
	}
	for key, member := range v.Members() {
		if top && isReserved(key) {
			continue
		}
		if kerr := checkKey(key); kerr != nil {
			return dst, &fault{final: kerr}
		}
		count++
		dst = appendKey(dst, key)
		i := findField(fields, key, next)
		if i >= 0 {
			seen.add(i)
			next = i + 1
		}
		if owner != "" && string(key) == owner {
			owner = ""
			if blank(member) {
				dst = jsondoc.AppendString(dst, w.stamp.Owner.ID)
				continue
			}
		}
		if i >= 0 {
			dst, err = w.declared(dst, &fields[i], member, top)
		} else {
			dst, err = w.undeclared(dst, key, member, top)
		}
		if err != nil {
			return dst, w.first(dst, fields, v, top, err)
		}
	}
	if owner != "" {
		dst = jsondoc.AppendString(appendKey(dst, owner), w.stamp.Owner.ID)
		if i := findField(fields, []byte(owner), 0); i >= 0 {
			seen.add(i)
		}
		count++
	}
	for i := range fields {
		if seen.has(i) {
			continue
		}
		n := len(dst)
		if dst, err = w.missing(dst, &fields[i], top); err != nil {
			return dst, w.first(dst, fields, v, top, err)
		}
		if len(dst) > n {
			count++
		}
	}
	if count > maxMembers {
		return dst, &fault{final: errTooManyMembers()}
	}
	return dst, nil
}

// findField returns the position of the field of that key, looking from next on and then from the start; -1 if none.
func findField(fields []Field, key []byte, next int) int {
	for i := next; i < len(fields); i++ {
		if fields[i].Key == string(key) {
			return i
		}
	}
	for i := 0; i < next; i++ {
		if fields[i].Key == string(key) {
			return i
		}
	}
	return -1
}

// declared appends the value of a declared member.
func (w *conformer) declared(dst []byte, f *Field, v jsondoc.Value, top bool) ([]byte, *fault) {
	at := len(dst)
	dst, err := w.value(dst, f, v)
	if top && w.before != nil && (err != nil || !w.asSent(dst[at:], v)) && w.unchanged(f.Key, v) {
		return v.Append(dst[:at]), nil
	}
	if err != nil {
		return dst, err.under(f.Key)
	}
	return dst, nil
}

// asSent reports whether text is v's own, so that nothing was normalised. (Text that was not canonical may answer false;
// unchanged then decides.)
func (w *conformer) asSent(text []byte, v jsondoc.Value) bool { return bytes.Equal(text, v.Raw()) }

// unchanged reports whether the stored document has the member with exactly this value. Only members that would change
// under the schema come here, so it is rare and may allocate.
func (w *conformer) unchanged(key string, v jsondoc.Value) bool {
	stored, ok := jsondoc.Lookup(w.before, key)
	if !ok {
		return false
	}
	text := v.Raw()
	if !v.IsCanonical() {
		text = v.Append(nil)
	}
	return bytes.Equal(stored, text)
}

// undeclared appends the value of a member that the schema does not name.
func (w *conformer) undeclared(dst, key []byte, v jsondoc.Value, top bool) ([]byte, *fault) {
	if err := checkKeys(v); err != nil {
		return dst, &fault{final: err}
	}
	if w.strict && (!top || w.before == nil || !w.unchanged(string(key), v)) {
		return dst, (&fault{text: "is not declared."}).under(string(key))
	}
	return v.Append(dst), nil
}

// missing appends what the schema puts in the place of a declared member that is not there, if anything.
func (w *conformer) missing(dst []byte, f *Field, top bool) ([]byte, *fault) {
	if !f.Required && len(f.Default) == 0 && f.Type != TypeArray {
		return dst, nil
	}
	if top && w.before != nil {
		if _, had := jsondoc.Lookup(w.before, f.Key); !had {
			return dst, nil
		}
	}
	switch {
	case f.Required:
		return dst, (&fault{text: requiredText}).under(f.Key)
	case len(f.Default) > 0:
		return append(appendKey(dst, f.Key), f.Default...), nil
	}
	return append(appendKey(dst, f.Key), '[', ']'), nil
}

// first finds the mistake to report once some mistake was met: the first one in schema order, else the one that was met.
// dst is only used as scratch.
func (w *conformer) first(dst []byte, fields []Field, v jsondoc.Value, top bool, met *fault) *fault {
	if met.final != nil {
		return met
	}
	for i := range fields {
		f := &fields[i]
		var err *fault
		switch member := v.Get(f.Key); {
		case top && w.before == nil && f.Key == w.stamp.Owner.Field && (!member.Exists() || blank(member)):
		case member.Exists():
			_, err = w.declared(dst, f, member, top)
		default:
			_, err = w.missing(dst, f, top)
		}
		if err != nil {
			return err
		}
	}
	return met
}
