package jsondoc

import (
	"hash/maphash"
	"math"
	"strconv"
)

// Limits bound one parse; each is enforced before the memory is spent. A zero or negative field means its default.
type Limits struct {
	Depth   int // 32: objects and arrays inside one another; [] has depth 1
	Members int // 1000: members of one object
	Items   int // 10000: items of one array
}

func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 32
	}
	if l.Members <= 0 {
		l.Members = 1000
	}
	if l.Items <= 0 {
		l.Items = 10000
	}
	return l
}

// node is one value, or one member name, on the tape. A container's node is followed by everything inside it, an
// object's members as name and value in turn.
type node struct {
	start, end uint32 // the source text, quotes and brackets included
	a, b       uint32 // container: number of members or items, index of the node after it; escaped string: its text in the arena
	kind       Kind
	flags      uint8
}

const (
	flagEscaped   = 1 << iota // the string's text was decoded into the arena
	flagCanonical             // Append would write exactly the source text
)

// linearMembers is the number of members up to which duplicates are sought by comparing each with each; beyond it a
// hash table keeps a wide object linear.
const linearMembers = 16

// Parser parses one text after another, reusing its memory. The zero Parser is ready. It is not for concurrent use;
// callers keep Parsers in a sync.Pool.
type Parser struct {
	src     []byte
	nodes   []node
	arena   []byte // decoded text of strings with escapes
	dirty   uint32 // how many spots so far are not canonical: runs of white space, needless escapes
	lim     Limits
	seen    []uint32 // duplicate search: open-addressed table of node index + 1
	seed    maphash.Seed
	hasSeed bool
}

// Parse judges src as one JSON value (RFC 8259) and returns a cursor to it. src is borrowed until the next Parse or
// Trim. The error, if any, is a *SyntaxError.
func (p *Parser) Parse(src []byte, lim Limits) (Value, error) {
	p.src, p.nodes, p.arena, p.dirty = src, p.nodes[:0], p.arena[:0], 0
	p.lim = lim.withDefaults()
	if serr := p.document(); serr != nil {
		p.src, p.nodes = nil, p.nodes[:0]
		return Value{}, serr
	}
	return Value{p: p}, nil
}

// Trim forgets the last text and drops buffers that a large one left behind, so that a pooled Parser stays small.
func (p *Parser) Trim() {
	const keep = 4096 // nodes or table slots; 80 KiB and 16 KiB
	p.src, p.nodes, p.arena = nil, p.nodes[:0], p.arena[:0]
	if cap(p.nodes) > keep {
		p.nodes = nil
	}
	if cap(p.arena) > 16*keep {
		p.arena = nil
	}
	if cap(p.seen) > keep {
		p.seen = nil
	}
}

func (p *Parser) document() *SyntaxError {
	if uint64(len(p.src)) > math.MaxUint32 {
		return fail(0, Malformed, "text is longer than 4 GiB")
	}
	i, serr := p.value(p.space(0), 0)
	if serr != nil {
		return serr
	}
	if i = p.space(i); i < len(p.src) {
		return p.unexpected(i, "the end of the text")
	}
	return nil
}

// value parses the value that starts at i inside depth containers and returns the offset behind it.
func (p *Parser) value(i, depth int) (int, *SyntaxError) {
	if i >= len(p.src) {
		return i, fail(i, Malformed, "unexpected end of text")
	}
	switch p.src[i] {
	case '"':
		return p.text(i)
	case '{':
		return p.object(i, depth)
	case '[':
		return p.array(i, depth)
	case 't':
		return p.word(i, "true", Bool)
	case 'f':
		return p.word(i, "false", Bool)
	case 'n':
		return p.word(i, "null", Null)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number(i)
	}
	return i, p.unexpected(i, "a value")
}

func (p *Parser) object(i, depth int) (int, *SyntaxError) {
	if depth >= p.lim.Depth {
		return i, fail(i, TooDeep, "more than "+strconv.Itoa(p.lim.Depth)+" levels")
	}
	self, dirty := len(p.nodes), p.dirty
	p.nodes = append(p.nodes, node{kind: Object, start: uint32(i)})
	if i = p.space(i + 1); i < len(p.src) && p.src[i] == '}' {
		return p.close(self, i+1, 0, dirty), nil
	}
	var (
		count int
		marks uint64 // one bit a fingerprint seen: a fresh bit proves a fresh name without comparing
		hash  bool
		serr  *SyntaxError
	)
	for {
		if i >= len(p.src) || p.src[i] != '"' {
			return i, p.unexpected(i, "a member name")
		}
		if count == p.lim.Members {
			return i, fail(i, TooManyMembers, "more than "+strconv.Itoa(p.lim.Members)+" members in an object")
		}
		key := len(p.nodes)
		if i, serr = p.text(i); serr != nil {
			return i, serr
		}
		if bit := fingerprint(p.textOf(key)); marks&bit == 0 {
			marks |= bit
		} else if count >= linearMembers {
			hash = true
		} else if serr = p.duplicateOf(key, self, count); serr != nil {
			return i, serr
		}
		if i = p.space(i); i >= len(p.src) || p.src[i] != ':' {
			return i, p.unexpected(i, "':'")
		}
		if i, serr = p.value(p.space(i+1), depth+1); serr != nil {
			return i, serr
		}
		count++
		if i = p.space(i); i >= len(p.src) {
			return i, p.unexpected(i, "',' or '}'")
		}
		switch p.src[i] {
		case ',':
			i = p.space(i + 1)
		case '}':
			if hash {
				if serr = p.duplicates(self, count); serr != nil {
					return i, serr
				}
			}
			return p.close(self, i+1, count, dirty), nil
		default:
			return i, p.unexpected(i, "',' or '}'")
		}
	}
}

func (p *Parser) array(i, depth int) (int, *SyntaxError) {
	if depth >= p.lim.Depth {
		return i, fail(i, TooDeep, "more than "+strconv.Itoa(p.lim.Depth)+" levels")
	}
	self, dirty := len(p.nodes), p.dirty
	p.nodes = append(p.nodes, node{kind: Array, start: uint32(i)})
	if i = p.space(i + 1); i < len(p.src) && p.src[i] == ']' {
		return p.close(self, i+1, 0, dirty), nil
	}
	var serr *SyntaxError
	for count := 1; ; count++ {
		if count > p.lim.Items {
			return i, fail(i, TooManyItems, "more than "+strconv.Itoa(p.lim.Items)+" items in an array")
		}
		if i, serr = p.value(i, depth+1); serr != nil {
			return i, serr
		}
		if i = p.space(i); i >= len(p.src) {
			return i, p.unexpected(i, "',' or ']'")
		}
		switch p.src[i] {
		case ',':
			i = p.space(i + 1)
		case ']':
			return p.close(self, i+1, count, dirty), nil
		default:
			return i, p.unexpected(i, "',' or ']'")
		}
	}
}

// close completes the container node self, whose text ends before end, and returns end.
func (p *Parser) close(self, end, count int, dirty uint32) int {
	n := &p.nodes[self]
	n.end, n.a, n.b = uint32(end), uint32(count), uint32(len(p.nodes))
	if p.dirty == dirty {
		n.flags = flagCanonical
	}
	return end
}

func (p *Parser) word(i int, word string, kind Kind) (int, *SyntaxError) {
	end := i + len(word)
	if end > len(p.src) || string(p.src[i:end]) != word {
		return i, fail(i, Malformed, "misspelt "+word)
	}
	p.nodes = append(p.nodes, node{kind: kind, flags: flagCanonical, start: uint32(i), end: uint32(end)})
	return end, nil
}

// space returns the offset of the first byte at or after i that is not white space.
func (p *Parser) space(i int) int {
	if i >= len(p.src) || p.src[i] > ' ' {
		return i
	}
	return p.spaceSlow(i)
}

func (p *Parser) spaceSlow(i int) int {
	from := i
	for i < len(p.src) && (p.src[i] == ' ' || p.src[i] == '\n' || p.src[i] == '\r' || p.src[i] == '\t') {
		i++
	}
	if i > from {
		p.dirty++
	}
	return i
}

// fingerprint returns one of 64 bits; equal names have equal bits.
func fingerprint(key []byte) uint64 {
	n := len(key)
	if n == 0 {
		return 1
	}
	h := uint32(n) | uint32(key[0])<<8 | uint32(key[n-1])<<16 | uint32(key[n/2])<<24
	return 1 << (h * 0x9E3779B1 >> 26)
}

// duplicateOf compares the name at node key with the count names before it in the object at node self.
func (p *Parser) duplicateOf(key, self, count int) *SyntaxError {
	name := p.textOf(key)
	for at := self + 1; count > 0; count-- {
		if string(p.textOf(at)) == string(name) {
			return p.duplicate(key)
		}
		at = p.after(at + 1)
	}
	return nil
}

// duplicates looks for a repeated name among all count members of the object at node self, in time linear in count.
// The hash is seeded, so that nobody can prepare names that collide.
func (p *Parser) duplicates(self, count int) *SyntaxError {
	if !p.hasSeed {
		p.seed, p.hasSeed = maphash.MakeSeed(), true
	}
	size := 64
	for size < 2*count {
		size *= 2
	}
	if cap(p.seen) < size {
		p.seen = make([]uint32, size)
	}
	table, mask := p.seen[:size], uint64(size-1)
	clear(table)
	for at := self + 1; count > 0; count-- {
		name := p.textOf(at)
		slot := maphash.Bytes(p.seed, name) & mask
		for ; table[slot] != 0; slot = (slot + 1) & mask {
			if string(p.textOf(int(table[slot]-1))) == string(name) {
				return p.duplicate(at)
			}
		}
		table[slot] = uint32(at + 1)
		at = p.after(at + 1)
	}
	return nil
}

func (p *Parser) duplicate(key int) *SyntaxError {
	name := p.textOf(key)
	if len(name) > 64 {
		name = name[:64]
	}
	return fail(int(p.nodes[key].start), DuplicateKey, "duplicate member name "+strconv.QuoteToASCII(string(name)))
}

// after returns the index of the node behind the whole value at node i.
func (p *Parser) after(i int) int {
	if n := &p.nodes[i]; n.kind >= Array {
		return int(n.b)
	}
	return i + 1
}

// textOf returns the decoded text of the string at node i.
func (p *Parser) textOf(i int) []byte {
	n := &p.nodes[i]
	if n.flags&flagEscaped != 0 {
		return p.arena[n.a:n.b:n.b]
	}
	return p.src[n.start+1 : n.end-1 : n.end-1]
}

func fail(offset int, reason Reason, detail string) *SyntaxError {
	return &SyntaxError{Offset: offset, Reason: reason, Detail: detail}
}

func (p *Parser) unexpected(i int, wanted string) *SyntaxError {
	if i >= len(p.src) {
		return fail(i, Malformed, "unexpected end of text, expected "+wanted)
	}
	return fail(i, Malformed, "unexpected "+strconv.QuoteToASCII(string(p.src[i:i+1]))+", expected "+wanted)
}
