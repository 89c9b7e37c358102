package hooks

import (
	"strconv"
	"unicode/utf8"
)

// Op is what a caller does to a document. The numbers are part of the guest contract (docs/abi.md) and never change.
type Op uint8

const (
	OpInsert Op = 1
	OpUpdate Op = 2
	OpDelete Op = 3
	OpRead   Op = 4 // policies only
	OpFilter Op = 5 // filters only: what may a list find?
	OpSignup Op = 6 // beforeSignup only
	OpClaims Op = 7 // claims only
	OpUpload Op = 8 // beforeUpload only
)

// opEnd is one past the last operation; it sizes tables indexed by Op.
const opEnd = 9

// String returns the operation's name in events and manifests, or "op(N)".
func (op Op) String() string {
	switch op {
	case OpInsert:
		return "insert"
	case OpUpdate:
		return "update"
	case OpDelete:
		return "delete"
	case OpRead:
		return "read"
	case OpFilter:
		return "filter"
	case OpSignup:
		return "signup"
	case OpClaims:
		return "claims"
	case OpUpload:
		return "upload"
	}
	return "op(" + strconv.Itoa(int(op)) + ")"
}

// Event is what a guest is asked to judge. Its slices and strings are borrowed for the duration of the call; nothing
// keeps them. Claims, Before, After and Documents must be valid JSON: the host copies them into the guest's memory as
// they are, it does not parse or check them.
type Event struct {
	Op         Op
	Collection string
	Role       string   // "publishable" or "secret"
	UserID     string   // empty: nobody is logged in (null in the event)
	Claims     []byte   // JSON object of the caller's token; nil: {}
	Before     []byte   // stored document, or the profile of the user whose claims are asked; nil: null (insert, read, filter, signup)
	After      []byte   // document or profile as it would be stored, or the file that is announced; nil: null (delete, read, filter, claims)
	Documents  [][]byte // OpRead only: the documents of one page, in order
	Now        int64    // Unix milliseconds; the only clock a guest has
	RequestID  string   // also seeds the only randomness a guest has
}

// append writes the event as one JSON object to dst and returns the extended slice. name is the value of the "event" member.
// Into a dst of sufficient capacity it allocates nothing.
func (e *Event) append(dst []byte, name string) []byte {
	dst = append(dst, `{"v":1,"event":"`...)
	dst = append(dst, name...)
	dst = append(dst, `","op":"`...)
	dst = append(dst, e.Op.String()...)
	dst = append(dst, `","collection":`...)
	dst = appendString(dst, e.Collection)
	dst = append(dst, `,"caller":{"role":`...)
	dst = appendString(dst, e.Role)
	dst = append(dst, `,"userId":`...)
	if e.UserID == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, e.UserID)
	}
	dst = append(dst, `,"claims":`...)
	if e.Claims == nil {
		dst = append(dst, "{}"...)
	} else {
		dst = append(dst, e.Claims...)
	}
	dst = append(dst, `},"before":`...)
	dst = appendRaw(dst, e.Before)
	dst = append(dst, `,"after":`...)
	dst = appendRaw(dst, e.After)
	if e.Op == OpRead {
		dst = append(dst, `,"documents":[`...)
		for i, doc := range e.Documents {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, doc...)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, `,"now":`...)
	dst = strconv.AppendInt(dst, e.Now, 10)
	dst = append(dst, `,"requestId":`...)
	dst = appendString(dst, e.RequestID)
	return append(dst, '}')
}

// size is a lower bound of the event's length, cheap enough to refuse an oversized event before a byte of it is copied.
func (e *Event) size() int {
	n := len(e.Claims) + len(e.Before) + len(e.After) + len(e.Collection) + len(e.RequestID)
	for _, doc := range e.Documents {
		n += len(doc)
	}
	return n
}

func appendRaw(dst, raw []byte) []byte {
	if raw == nil {
		return append(dst, "null"...)
	}
	return append(dst, raw...)
}

// appendString writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD: a guest never sees an invalid event.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			if c == '"' || c == '\\' {
				dst = append(dst, '\\', c)
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			i++
			start = i
			continue
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
