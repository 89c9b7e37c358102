package jsondoc

import (
	"unicode"
	"unicode/utf8"
)

// CheckKey judges a member name of a document that is to be stored. A name must not be empty, start with '$' (that is
// for operators), start or end with space, or hold a control, zero-width or bidirectional character: such names look
// like another one, so a rule written for "userId" could be passed by. Dots are the caller's business. The error, if
// any, is a *KeyError.
func CheckKey(key []byte) error {
	if why := keyFault(key); why != "" {
		return &KeyError{Key: string(key), Why: why}
	}
	return nil
}

func keyFault(key []byte) string {
	if len(key) == 0 {
		return "is empty"
	}
	if key[0] == '$' {
		return "starts with '$'"
	}
	if key[0] == ' ' || key[len(key)-1] == ' ' {
		return "starts or ends with space"
	}
	for i := 0; i < len(key); {
		c := key[i]
		if c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7F {
				return "holds a control character"
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(key[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			return "is not valid UTF-8"
		case r <= 0x9F:
			return "holds a control character"
		case bidi(r):
			return "holds a bidirectional control"
		case invisible(r):
			return "holds an invisible character"
		case (i == 0 || i+size == len(key)) && unicode.IsSpace(r):
			return "starts or ends with space"
		}
		i += size
	}
	return ""
}

// invisible: what has no shape of its own, so that a name with it looks like the name without. That is every format
// character (zero-width spaces and joiners, word joiner, byte order mark, soft hyphen, tags), whatever Unicode lets a
// renderer ignore (fillers, variation selectors), and the two that are merely drawn as nothing.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || r == 0x2800 || r == 0xFFFC
}

// bidi: marks, embeddings, overrides and isolates.
func bidi(r rune) bool {
	return r == 0x061C || r == 0x200E || r == 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}
