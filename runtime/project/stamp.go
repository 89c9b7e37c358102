package project

import (
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// The members that the server writes. A body may hold them, and is not asked.
const (
	idMember  = "_id"
	createdAt = "createdAt"
	updatedAt = "updatedAt"
	revMember = "__v" // an old client may send it back; it is never stored
)

// maxMembers is how many members an object of a document may have, those of the server included: what is stored can be
// parsed again with jsondoc's default limits.
const maxMembers = 1000

// Stamp is what the server alone decides about a document.
type Stamp struct {
	ID      string // 24 hex digits
	Created string // RFC 3339 with milliseconds, "2026-11-23T14:25:03.123Z"; "" on an update: what the stored document has
	Updated string // the same form

	// Owner, if Field is not empty, is written into a new document in which the field is missing, null or "".
	Owner struct{ Field, ID string }
}

// SchemaError says why a document does not fit its collection. It is the caller's mistake.
type SchemaError struct {
	Field   string // dotted path, array positions in brackets: rows[1].street
	Message string // the API contract's text, fit to be shown
}

func (e *SchemaError) Error() string { return e.Message }

// isReserved reports whether a top-level member is the server's to write.
func isReserved(key []byte) bool {
	switch string(key) {
	case idMember, createdAt, updatedAt, revMember:
		return true
	}
	return false
}

// checkKey judges one member name of a document: jsondoc's rules, and no dots, since a dot means a path.
func checkKey(key []byte) *SchemaError {
	err := jsondoc.CheckKey(key)
	if err == nil {
		for _, c := range key {
			if c == '.' {
				return keyError(key, "contains '.'")
			}
		}
		return nil
	}
	if kerr, ok := err.(*jsondoc.KeyError); ok {
		return keyError(key, kerr.Why)
	}
	return keyError(key, "is not allowed")
}

func keyError(key []byte, why string) *SchemaError {
	if len(key) > maxKeyLength {
		key = key[:maxKeyLength]
	}
	// Quoted to ASCII: what is wrong with a name is often that it cannot be seen.
	name := strings.Trim(strconv.QuoteToASCII(string(key)), `"`)
	return &SchemaError{Field: string(key), Message: "Field name '" + name + "' is not allowed: it " + why + "."}
}

// checkKeys judges every member name inside v.
func checkKeys(v jsondoc.Value) *SchemaError {
	switch v.Kind() {
	case jsondoc.Object:
		for key, member := range v.Members() {
			if err := checkKey(key); err != nil {
				return err
			}
			if member.Kind() >= jsondoc.Array {
				if err := checkKeys(member); err != nil {
					return err
				}
			}
		}
	case jsondoc.Array:
		for _, item := range v.Items() {
			if item.Kind() >= jsondoc.Array {
				if err := checkKeys(item); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func errNotObject() *SchemaError {
	return &SchemaError{Message: "A document must be a JSON object."}
}

func errTooManyMembers() *SchemaError {
	return &SchemaError{Message: "An object may have at most " + strconv.Itoa(maxMembers) + " fields."}
}

// blank reports whether an owner has yet to be filled in: null or "".
func blank(v jsondoc.Value) bool {
	return v.Kind() == jsondoc.Null || v.Kind() == jsondoc.String && len(v.Text()) == 0
}

// appendHead begins a document with its id; appendTail ends it with its timestamps.
func appendHead(dst []byte, id string) []byte {
	return jsondoc.AppendString(append(dst, `{"`+idMember+`":`...), id)
}

func appendTail(dst, before []byte, st *Stamp) []byte {
	dst = append(dst, `,"`+createdAt+`":`...)
	created, ok := jsondoc.Lookup(before, createdAt)
	switch {
	case ok:
		dst = append(dst, created...)
	case st.Created != "":
		dst = jsondoc.AppendString(dst, st.Created)
	default:
		dst = jsondoc.AppendString(dst, st.Updated)
	}
	dst = append(dst, `,"`+updatedAt+`":`...)
	return append(jsondoc.AppendString(dst, st.Updated), '}')
}

// appendKey appends a comma, a member name and a colon.
func appendKey[T ~string | ~[]byte](dst []byte, key T) []byte {
	return append(jsondoc.AppendString(append(dst, ','), key), ':')
}

// Candidate appends the document that an insert proposes, before hooks and schema have seen it: _id, the members of
// body in the order sent, the owner if st.Owner fills it in, createdAt and updatedAt; canonical. The server's members in
// body are dropped. Member names are judged at every depth. body is borrowed, dst is the caller's and may not overlap it.
// On an error (always a *SchemaError) dst is returned as it was.
func Candidate(dst []byte, body jsondoc.Value, st Stamp) ([]byte, error) {
	if body.Kind() != jsondoc.Object {
		return dst, errNotObject()
	}
	mark, count, owned := len(dst), 3, st.Owner.Field == ""
	dst = appendHead(dst, st.ID)
	for key, v := range body.Members() {
		if isReserved(key) {
			continue
		}
		if err := checkKey(key); err != nil {
			return dst[:mark], err
		}
		if err := checkKeys(v); err != nil {
			return dst[:mark], err
		}
		dst = appendKey(dst, key)
		if !owned && string(key) == st.Owner.Field {
			owned = true
			if blank(v) {
				dst = jsondoc.AppendString(dst, st.Owner.ID)
				count++
				continue
			}
		}
		dst = v.Append(dst)
		count++
	}
	if !owned {
		dst = jsondoc.AppendString(appendKey(dst, st.Owner.Field), st.Owner.ID)
		count++
	}
	if count > maxMembers {
		return dst[:mark], errTooManyMembers()
	}
	return appendTail(dst, nil, &st), nil
}
