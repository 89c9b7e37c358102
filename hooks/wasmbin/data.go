package wasmbin

// DataSegment is a piece of memory that a module brings along. Its slices are borrowed.
type DataSegment struct {
	Passive bool
	Offset  []byte // constant expression with its end; nil if passive
	Bytes   []byte
}

// EachData calls visit for each segment of Module.Data, in order, and stops at the first error, its own or visit's.
func (m *Module) EachData(visit func(DataSegment) error) error {
	if m.Data == nil {
		return nil
	}
	r := &reader{data: m.Data}
	n := r.count()
	for i := 0; i < n && r.err == nil; i++ {
		var s DataSegment
		switch flags := r.uint32(); flags {
		case 0:
			s.Offset = decodeConst(r)
		case 1:
			s.Passive = true
		case 2:
			if memory := r.uint32(); memory != 0 {
				r.failf("data segment %d is of a second memory", i)
			}
			s.Offset = decodeConst(r)
		default:
			r.failf("data segment %d has flags %#x", i, flags)
		}
		s.Bytes = r.bytes(r.uint32())
		if r.err == nil {
			if err := visit(s); err != nil {
				return err
			}
		}
	}
	if r.more() {
		r.failf("%d bytes too many", len(m.Data)-r.pos)
	}
	return r.err
}

// ConstInt32 returns the value of a constant expression that is one i32.const.
func ConstInt32(expr []byte) (v int32, ok bool) {
	if len(expr) == 0 || expr[0] != OpI32Const {
		return 0, false
	}
	r := &reader{data: expr, pos: 1}
	v = int32(r.int64(32))
	return v, r.byte() == OpEnd && r.err == nil && r.pos == len(expr)
}
