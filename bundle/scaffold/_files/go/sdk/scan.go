package sluice

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// The scanner walks JSON text that the host wrote and that is therefore valid. On anything else it stops early; it
// never panics and never reads past the end.

// skipSpace returns the first position from i on that holds no white space.
func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the position after the string that starts at i, or -1. It looks for quotes with IndexByte, which
// Go has in native form: a loop over bytes in WebAssembly costs several times as much.
func skipString(text []byte, i int) int {
	for i++; i < len(text); {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		i += n + 1
		// The quote counts if an even number of backslashes stands before it.
		slashes := i - 2
		for text[slashes] == '\\' { // ends at the opening quote at the latest
			slashes--
		}
		if (i-2-slashes)%2 == 0 {
			return i
		}
	}
	return -1
}

// skipValue returns the position after the value that starts at i, or -1.
func skipValue(text []byte, i int) int {
	if i >= len(text) {
		return -1
	}
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		depth := 0
		for i < len(text) {
			switch text[i] {
			case '"':
				if i = skipString(text, i); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(text) {
		switch text[i] {
		case ',', '}', ']', ':', ' ', '\t', '\n', '\r', '"', '{', '[':
			if i == start {
				return -1
			}
			return i
		}
		i++
	}
	return i
}

// cursor walks the members of an object or the items of an array.
type cursor struct {
	text []byte
	pos  int // at the next member or item; -1: there is none
}

// enter returns a cursor into text if text is a container that opens with open.
func enter(text []byte, open byte) cursor {
	i := skipSpace(text, 0)
	if i >= len(text) || text[i] != open {
		return cursor{pos: -1}
	}
	i = skipSpace(text, i+1)
	if i >= len(text) || text[i] == open+2 { // '{'+2 is '}', '['+2 is ']'
		return cursor{pos: -1}
	}
	return cursor{text: text, pos: i}
}

// Calls cost more than comparisons in Go's WebAssembly, so the next two look for white space before they call for its
// skipping: the host writes next to none.

// item returns the next value's text and moves on.
func (c *cursor) item() (value []byte, ok bool) {
	start := c.pos
	if start < 0 {
		return nil, false
	}
	text := c.text
	end := skipValue(text, start)
	if end < 0 {
		c.pos = -1
		return nil, false
	}
	i := end
	if i < len(text) && text[i] <= ' ' {
		i = skipSpace(text, i)
	}
	if i >= len(text) || text[i] != ',' {
		c.pos = -1
		return text[start:end:end], true
	}
	i++
	if i < len(text) && text[i] <= ' ' {
		i = skipSpace(text, i)
	}
	c.pos = i
	return text[start:end:end], true
}

// member returns the next member: its name's text with the quotes, and its value's text.
func (c *cursor) member() (name, value []byte, ok bool) {
	start, text := c.pos, c.text
	if start < 0 || start >= len(text) || text[start] != '"' {
		return nil, nil, false
	}
	end := skipString(text, start)
	if end < 0 {
		return nil, nil, false
	}
	i := end
	if i < len(text) && text[i] <= ' ' {
		i = skipSpace(text, i)
	}
	if i >= len(text) || text[i] != ':' {
		return nil, nil, false
	}
	i++
	if i < len(text) && text[i] <= ' ' {
		i = skipSpace(text, i)
	}
	c.pos = i
	value, ok = c.item()
	return text[start:end:end], value, ok
}

// sameName reports whether a member's name, with its quotes, is want.
func sameName(name []byte, want string) bool {
	inner := name[1 : len(name)-1]
	if string(inner) == want {
		return true
	}
	// A name with escapes is longer than what it stands for.
	return len(inner) > len(want) && bytes.IndexByte(inner, '\\') >= 0 && unquote(name) == want
}

// unquote returns the text of a JSON string, which still has its quotes. Half surrogate pairs become U+FFFD.
func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	plain := bytes.IndexByte(inner, '\\')
	if plain < 0 {
		return string(inner)
	}
	out := append(make([]byte, 0, len(inner)), inner[:plain]...)
	for i := plain; i < len(inner); i++ {
		if inner[i] != '\\' || i+1 == len(inner) {
			out = append(out, inner[i])
			continue
		}
		i++
		switch c := inner[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(inner, i+1)
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+2 < len(inner) && inner[i+1] == '\\' && inner[i+2] == 'u' {
					low = hex4(inner, i+3)
				}
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					r = pair
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// hex4 reads four hexadecimal digits at i; what is not there or no digit counts as U+FFFD.
func hex4(text []byte, i int) rune {
	if i+4 > len(text) {
		return utf8.RuneError
	}
	var r rune
	for _, c := range text[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return utf8.RuneError
		}
		r = r<<4 | rune(c)
	}
	return r
}

// appendQuoted writes s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return append(dst, '"')
}
