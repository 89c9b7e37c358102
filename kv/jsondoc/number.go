package jsondoc

import (
	"math"
	"strconv"
)

// number parses -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)? at i. The text is kept as it is; only its magnitude is
// judged, because a number that reads as infinity would not survive any client.
func (p *Parser) number(i int) (int, *SyntaxError) {
	src, start := p.src, i
	if src[i] == '-' {
		i++
	}
	whole := i
	switch {
	case i < len(src) && src[i] == '0':
		i++
	case i < len(src) && isDigit(src[i]):
		i = digits(src, i)
	default:
		return i, p.unexpected(i, "a digit")
	}
	magnitude := i - whole
	if i < len(src) && src[i] == '.' {
		from := i + 1
		if i = digits(src, from); i == from {
			return i, p.unexpected(i, "a digit")
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		negative := false
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			negative = src[i] == '-'
			i++
		}
		from := i
		if i = digits(src, from); i == from {
			return i, p.unexpected(i, "a digit")
		}
		if !negative {
			magnitude += exponent(src[from:i])
		}
	}
	// Below 10^308 every number is finite. Above, only the conversion knows (0e999 is zero).
	if magnitude > 308 {
		if f, err := strconv.ParseFloat(string(src[start:i]), 64); err != nil || math.IsInf(f, 0) {
			return i, fail(start, BadNumber, "number is out of range")
		}
	}
	p.nodes = append(p.nodes, node{kind: Number, flags: flagCanonical, start: uint32(start), end: uint32(i)})
	return i, nil
}

// exponent reads decimal digits, stopping at a value that is beyond every float64.
func exponent(text []byte) int {
	n := 0
	for _, c := range text {
		if n = n*10 + int(c-'0'); n > 100000 {
			return n
		}
	}
	return n
}

func digits(src []byte, i int) int {
	for i < len(src) && isDigit(src[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }
