package jsondoc

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the offset of the first '"', '\' or control character (< 0x20) at or after i, or len(src), and whether
// a byte >= 0x80 lies before it. Eight bytes at a time: the classic "is some byte zero" and "is some byte below n"
// tricks can be wrong only above a byte for which they are right, and only the lowest one is used.
func plain(src []byte, i int) (end int, high bool) {
	var above uint64
	for ; i+8 <= len(src); i += 8 {
		x := binary.LittleEndian.Uint64(src[i:])
		q, b := x^('"'*ones), x^('\\'*ones)
		stop := ((q-ones)&^q | (b-ones)&^b | (x-0x20*ones)&^x) & highs
		if stop != 0 {
			n := bits.TrailingZeros64(stop) // 8*bytes + 7
			return i + n>>3, (above|x&(1<<(n&^7)-1))&highs != 0
		}
		above |= x
	}
	high = above&highs != 0
	for ; i < len(src); i++ {
		c := src[i]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		high = high || c >= 0x80
	}
	return i, high
}

// text parses the string whose opening quote is at i.
func (p *Parser) text(i int) (int, *SyntaxError) {
	end, high := plain(p.src, i+1)
	if end >= len(p.src) || p.src[end] != '"' {
		return p.textEscaped(i)
	}
	if high && !utf8.Valid(p.src[i+1:end]) {
		return i, badUTF8(p.src, i+1, end)
	}
	p.nodes = append(p.nodes, node{kind: String, flags: flagCanonical, start: uint32(i), end: uint32(end + 1)})
	return end + 1, nil
}

// textEscaped is text for strings that hold an escape, or are wrong.
func (p *Parser) textEscaped(start int) (int, *SyntaxError) {
	src, from, canonical := p.src, len(p.arena), true
	for i := start + 1; ; {
		end, high := plain(src, i)
		if high && !utf8.Valid(src[i:end]) {
			return i, badUTF8(src, i, end)
		}
		p.arena = append(p.arena, src[i:end]...)
		if i = end; i >= len(src) {
			return i, fail(i, Malformed, "unexpected end of text in a string")
		}
		switch src[i] {
		case '"':
			n := node{kind: String, flags: flagEscaped, start: uint32(start), end: uint32(i + 1), a: uint32(from), b: uint32(len(p.arena))}
			if canonical {
				n.flags |= flagCanonical
			} else {
				p.dirty++
			}
			p.nodes = append(p.nodes, n)
			return i + 1, nil
		case '\\':
			r, size, reason := escape(src[i:])
			if r < 0 {
				return i, fail(i, reason, escapeDetail(reason))
			}
			if r == 0 {
				return i, fail(i, ControlChar, "U+0000 in a string")
			}
			canonical = canonical && shortest(r, src[i:i+size])
			p.arena = utf8.AppendRune(p.arena, r)
			i += size
		default:
			return i, fail(i, ControlChar, "raw control character in a string")
		}
	}
}

func escapeDetail(reason Reason) string {
	if reason == BadSurrogate {
		return "half a surrogate pair"
	}
	return "unknown escape in a string"
}

func badUTF8(src []byte, i, end int) *SyntaxError {
	for i < end {
		r, size := utf8.DecodeRune(src[i:end])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		i += size
	}
	return fail(i, BadUTF8, "invalid UTF-8 in a string")
}

// escape decodes the escape that text starts with: the rune and the number of bytes it takes, or -1 and the reason.
func escape(text []byte) (r rune, size int, reason Reason) {
	if len(text) < 2 {
		return -1, 1, Malformed
	}
	switch text[1] {
	case '"', '\\', '/':
		return rune(text[1]), 2, 0
	case 'b':
		return '\b', 2, 0
	case 'f':
		return '\f', 2, 0
	case 'n':
		return '\n', 2, 0
	case 'r':
		return '\r', 2, 0
	case 't':
		return '\t', 2, 0
	case 'u':
		if r = hex4(text[2:]); r < 0 {
			return -1, 2, Malformed
		}
		if !utf16.IsSurrogate(r) {
			return r, 6, 0
		}
		if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
			if low := hex4(text[8:]); low >= 0 {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, 12, 0
				}
			}
		}
		return -1, 6, BadSurrogate
	}
	return -1, 2, Malformed
}

func hex4(text []byte) rune {
	if len(text) < 4 {
		return -1
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// shortest reports whether text is the escape that AppendString writes for r.
func shortest(r rune, text []byte) bool {
	if len(text) == 2 {
		return text[1] != '/'
	}
	return r < 0x20 && shortEscape(byte(r)) == 0 && (isDigit(text[5]) || text[5] >= 'a')
}

// shortEscape returns the letter of c's two-byte escape, or 0.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	}
	return 0
}

// AppendString appends s as a canonical JSON string. Bytes that are not UTF-8 become U+FFFD, so what is written is
// always JSON; U+0000 is written as an escape that Parse refuses. dst may not overlap s.
func AppendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			size := runeSize(s, i)
			if size == 0 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\uFFFD"...)
				size = 1
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		if short := shortEscape(c); short != 0 {
			dst = append(dst, '\\', short)
		} else {
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// runeSize returns the length of the rune at s[i], 0 if it is not UTF-8.
func runeSize[T ~string | ~[]byte](s T, i int) int {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s[i:])
	r, size := utf8.DecodeRune(buf[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}
