package wasmbin

// Instructions that this package or its callers look at by name. PrefixFC is followed by a Sub number.
const (
	OpUnreachable  = 0x00
	OpNop          = 0x01
	OpBlock        = 0x02
	OpLoop         = 0x03
	OpIf           = 0x04
	OpElse         = 0x05
	OpEnd          = 0x0b
	OpBr           = 0x0c
	OpBrIf         = 0x0d
	OpBrTable      = 0x0e
	OpReturn       = 0x0f
	OpCall         = 0x10
	OpCallIndirect = 0x11
	OpDrop         = 0x1a
	OpSelect       = 0x1b
	OpSelectTyped  = 0x1c
	OpLocalGet     = 0x20
	OpLocalSet     = 0x21
	OpLocalTee     = 0x22
	OpGlobalGet    = 0x23
	OpGlobalSet    = 0x24
	OpTableGet     = 0x25
	OpTableSet     = 0x26
	OpI32Load      = 0x28 // first load
	OpI32Store     = 0x36 // first store
	OpI64Store32   = 0x3e // last store
	OpMemorySize   = 0x3f
	OpMemoryGrow   = 0x40
	OpI32Const     = 0x41
	OpI64Const     = 0x42
	OpF32Const     = 0x43
	OpF64Const     = 0x44
	OpI32Eqz       = 0x45 // first without immediates
	OpI32GtU       = 0x4b
	OpI64Eqz       = 0x50
	OpI64LtS       = 0x53
	OpI32Add       = 0x6a
	OpI32Sub       = 0x6b
	OpI64Add       = 0x7c
	OpI64Sub       = 0x7d
	OpI64ShrU      = 0x88
	OpI64ExtendU   = 0xad
	OpI64Extend32S = 0xc4 // last without immediates
	OpRefNull      = 0xd0
	OpRefIsNull    = 0xd1
	OpRefFunc      = 0xd2
	PrefixFC       = 0xfc

	SubMemoryInit = 8
	SubDataDrop   = 9
	SubMemoryCopy = 10
	SubMemoryFill = 11
	SubTableInit  = 12
	SubElemDrop   = 13
	SubTableCopy  = 14
	SubTableGrow  = 15
	SubTableSize  = 16
	SubTableFill  = 17
)

// BlockType is the type of a block, a loop or an if: a function type by its index, or at most one result.
type BlockType struct {
	Indexed bool
	Index   uint32    // if Indexed
	Result  ValueType // otherwise; 0: none
}

// Instruction is one instruction of a body.
type Instruction struct {
	Op         byte
	Sub        uint32 // after PrefixFC
	Start, End int    // where its bytes are in Body.Code
	// Index is its function, type, local, global, table or label: of br_table the largest label, of call_indirect the
	// type. Of other instructions it is 0.
	Index  uint32
	Labels uint32    // br_table: how many labels it has, the default one included
	Block  BlockType // block, loop, if
}

// Scanner walks the instructions of a body. It checks that each is one of the accepted feature set and complete, not
// that they fit together.
type Scanner struct {
	Instruction
	r reader
}

// NewScanner returns a scanner at the beginning of a body's code, which it borrows.
func NewScanner(code []byte) *Scanner { return &Scanner{r: reader{data: code}} }

// Err returns what stopped the scanner; nil at the end of the code.
func (s *Scanner) Err() error { return s.r.err }

// Next moves to the next instruction. It answers false at the end and on an error.
func (s *Scanner) Next() bool {
	r := &s.r
	if !r.more() {
		return false
	}
	s.Instruction = Instruction{Start: r.pos}
	s.Op = r.byte()
	switch op := s.Op; {
	case op == OpBlock || op == OpLoop || op == OpIf:
		s.Block = decodeBlockType(r)
	case op == OpBr || op == OpBrIf || op == OpCall || op == OpRefFunc || op >= OpLocalGet && op <= OpTableSet:
		s.Index = r.uint32()
	case op == OpBrTable:
		n := r.count()
		for i := 0; i <= n && r.err == nil; i++ {
			s.Index = max(s.Index, r.uint32())
		}
		s.Labels = uint32(n) + 1
	case op == OpCallIndirect:
		s.Index = r.uint32()
		s.zero("table")
	case op == OpSelectTyped:
		decodeAll(r, decodeValueType)
	case op >= OpI32Load && op <= OpI64Store32:
		if r.uint32() >= 32 { // larger ones name a second memory
			r.failf("instruction %#x with an alignment that is not supported", op)
		}
		r.uint32()
	case op == OpMemorySize || op == OpMemoryGrow:
		s.zero("memory")
	case op == OpI32Const:
		r.int64(32)
	case op == OpI64Const:
		r.int64(64)
	case op == OpF32Const:
		r.bytes(4)
	case op == OpF64Const:
		r.bytes(8)
	case op == OpRefNull:
		decodeValueType(r)
	case op == PrefixFC:
		s.prefixed()
	case op == OpUnreachable || op == OpNop || op == OpElse || op == OpEnd || op == OpReturn || op == OpDrop || op == OpSelect ||
		op == OpRefIsNull || op >= OpI32Eqz && op <= OpI64Extend32S:
	default:
		r.failf("instruction %#x is not supported", op)
	}
	s.End = r.pos
	return r.err == nil
}

func (s *Scanner) prefixed() {
	r := &s.r
	switch s.Sub = r.uint32(); s.Sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
	case SubMemoryInit:
		r.uint32()
		s.zero("memory")
	case SubDataDrop, SubElemDrop:
		r.uint32()
	case SubMemoryCopy:
		s.zero("memory")
		s.zero("memory")
	case SubMemoryFill:
		s.zero("memory")
	case SubTableInit:
		r.uint32()
		s.zero("table")
	case SubTableCopy:
		s.zero("table")
		s.zero("table")
	case SubTableGrow, SubTableSize, SubTableFill:
		s.zero("table")
	default:
		r.failf("instruction 0xfc %d is not supported", s.Sub)
	}
}

// zero reads the index of a memory or a table, of which a guest has one.
func (s *Scanner) zero(what string) {
	if i := s.r.uint32(); i != 0 {
		s.r.failf("a second %s is not supported", what)
	}
}

func decodeBlockType(r *reader) BlockType {
	v := r.int64(33)
	switch {
	case v >= 0:
		return BlockType{Indexed: true, Index: uint32(v)}
	case v == -64:
		return BlockType{}
	case v > -64:
		t := ValueType(v & 0x7f)
		switch t {
		case I32, I64, F32, F64, FuncRef, ExternRef:
			return BlockType{Result: t}
		}
	}
	r.failf("block type %d is not supported", v)
	return BlockType{}
}

// Append writes the block type.
func (b BlockType) Append(dst []byte) []byte {
	switch {
	case b.Indexed:
		return AppendInt64(dst, int64(b.Index))
	case b.Result == 0:
		return append(dst, 0x40)
	default:
		return append(dst, byte(b.Result))
	}
}
