package wat

import (
	"fmt"
	"strconv"
	"strings"
)

// node is an atom, a string, or a list in parentheses.
type node struct {
	text string // of an atom, or the bytes of a string
	kind byte   // 'a', 's' or '('
	list []node
	line int
	size int // nodes in it, itself included, everything repeated as often as it is
}

// maxNodes bounds a module: a repetition in a repetition is short to write.
const maxNodes = 2 << 20

// is reports whether the node is a list that begins with a word.
func (n *node) is(word string) bool {
	return n.kind == '(' && len(n.list) > 0 && n.list[0].kind == 'a' && n.list[0].text == word
}

type parser struct {
	src       string
	pos, line int
}

func (p *parser) fail(format string, args ...any) {
	panic(fmt.Errorf("line %d: "+format, append([]any{p.line}, args...)...))
}

// nodes reads up to a closing parenthesis or the end.
func (p *parser) nodes(inside bool) (list []node) {
	size := 0
	add := func(nodes ...node) {
		for i := range nodes {
			if size += nodes[i].size; size > maxNodes {
				p.fail("it is too large")
			}
		}
		list = append(list, nodes...)
	}
	for {
		p.space()
		if p.pos == len(p.src) {
			if inside {
				p.fail("a parenthesis is open")
			}
			return list
		}
		switch c := p.src[p.pos]; c {
		case ')':
			if !inside {
				p.fail("a parenthesis too many")
			}
			p.pos++
			return list
		case '(':
			line := p.line
			p.pos++
			n := node{kind: '(', list: p.nodes(true), line: line, size: 1}
			for i := range n.list {
				n.size += n.list[i].size // each is bounded, and so is their number
			}
			if n.is("@repeat") {
				if len(n.list) < 3 {
					p.fail("@repeat: how often, and what?")
				}
				times, err := strconv.Atoi(n.list[1].text)
				if err != nil {
					p.fail("@repeat: %v", err)
				}
				for range times {
					add(n.list[2:]...)
				}
				continue
			}
			add(n)
		case '"':
			add(node{kind: 's', text: p.quoted(), line: p.line, size: 1})
		default:
			start := p.pos
			for p.pos < len(p.src) && !strings.ContainsRune(" \t\r\n();\"", rune(p.src[p.pos])) {
				p.pos++
			}
			if p.pos == start {
				p.fail("%q is not expected", c)
			}
			add(node{kind: 'a', text: p.src[start:p.pos], line: p.line, size: 1})
		}
	}
}

// space skips white space and comments.
func (p *parser) space() {
	for p.pos < len(p.src) {
		switch rest := p.src[p.pos:]; {
		case rest[0] == '\n':
			p.line++
			p.pos++
		case strings.ContainsRune(" \t\r", rune(rest[0])):
			p.pos++
		case strings.HasPrefix(rest, ";;"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			p.pos += n
		case strings.HasPrefix(rest, "(;"):
			n := strings.Index(rest, ";)")
			if n < 0 {
				p.fail("a comment is open")
			}
			p.line += strings.Count(rest[:n], "\n")
			p.pos += n + 2
		default:
			return
		}
	}
}

// quoted reads a string: \n, \t, \", \\ and two hex digits are its escapes.
func (p *parser) quoted() string {
	var b strings.Builder
	for p.pos++; ; p.pos++ {
		if p.pos >= len(p.src) || p.src[p.pos] == '\n' {
			p.fail("a string is open")
		}
		c := p.src[p.pos]
		if c == '"' {
			p.pos++
			return b.String()
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		p.pos++
		rest := p.src[p.pos:]
		switch {
		case strings.HasPrefix(rest, "n"):
			b.WriteByte('\n')
		case strings.HasPrefix(rest, "t"):
			b.WriteByte('\t')
		case strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, `\`):
			b.WriteByte(rest[0])
		default:
			v, err := strconv.ParseUint(rest[:min(2, len(rest))], 16, 8)
			if err != nil || len(rest) < 2 {
				p.fail("a string has an escape that is not known")
			}
			b.WriteByte(byte(v))
			p.pos++
		}
	}
}
