package jsondoc

import "strconv"

// Reason classifies a SyntaxError, so that callers can choose their own words.
type Reason uint8

// The reasons for which Parse refuses a text.
const (
	Malformed      Reason = iota // the text is not JSON
	TooDeep                      // more nested objects and arrays than Limits.Depth
	TooManyMembers               // an object with more members than Limits.Members
	TooManyItems                 // an array with more items than Limits.Items
	DuplicateKey                 // an object names a member twice (compared after unescaping)
	BadUTF8                      // a string holds bytes that are not UTF-8
	BadSurrogate                 // a \u escape is half of a surrogate pair
	BadNumber                    // a number that no finite float64 can stand for
	ControlChar                  // a raw control character in a string, or U+0000 in any form
)

// String names the reason, for logs and tests.
func (r Reason) String() string {
	switch r {
	case Malformed:
		return "malformed"
	case TooDeep:
		return "too deep"
	case TooManyMembers:
		return "too many members"
	case TooManyItems:
		return "too many items"
	case DuplicateKey:
		return "duplicate key"
	case BadUTF8:
		return "bad utf-8"
	case BadSurrogate:
		return "bad surrogate"
	case BadNumber:
		return "bad number"
	case ControlChar:
		return "control character"
	}
	return "reason " + strconv.Itoa(int(r))
}

// SyntaxError says what is wrong with a text and where. Offset counts bytes from the start of the text given to Parse.
type SyntaxError struct {
	Offset int
	Reason Reason
	Detail string // a short English phrase; holds no more of the text than one byte or one member name
}

func (e *SyntaxError) Error() string {
	return "jsondoc: " + e.Detail + " at byte " + strconv.Itoa(e.Offset)
}

// KeyError says why a member name cannot be used in a document.
type KeyError struct {
	Key string
	Why string // completes the sentence "key … "
}

func (e *KeyError) Error() string {
	return "jsondoc: key " + strconv.QuoteToASCII(e.Key) + " " + e.Why
}
