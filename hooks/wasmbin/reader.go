package wasmbin

import (
	"errors"
	"fmt"
)

// errShort is what every read past the end answers.
var errShort = errors.New("unexpected end")

// reader takes bytes apart. The first error sticks: later reads return zeros, so that a caller may check once.
type reader struct {
	data []byte
	pos  int
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.pos = len(r.data)
}

func (r *reader) failf(format string, args ...any) { r.fail(fmt.Errorf(format, args...)) }

func (r *reader) more() bool { return r.err == nil && r.pos < len(r.data) }

func (r *reader) byte() byte {
	if r.pos >= len(r.data) {
		r.fail(errShort)
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// bytes returns the next n bytes, borrowed.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)-r.pos) {
		r.fail(errShort)
		return nil
	}
	b := r.data[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// uint32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) uint32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			r.failf("number does not fit in 32 bits")
			return 0
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	return v
}

// int64 reads a signed LEB128 number of at most bits (32, 33 or 64) bits.
func (r *reader) int64(bits int) int64 {
	var v int64
	for shift := 0; ; shift += 7 {
		if shift >= bits {
			r.failf("number does not fit in %d bits", bits)
			return 0
		}
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if end := shift + 7; end < 64 && b&0x40 != 0 {
				v |= -1 << end
			}
			return v
		}
	}
}

// name reads a length and that many bytes.
func (r *reader) name() string { return string(r.bytes(r.uint32())) }

// count reads the length of a vector whose items take at least one byte each, so that a lie about it costs no memory.
func (r *reader) count() int {
	n := r.uint32()
	if uint64(n) > uint64(len(r.data)-r.pos) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

// AppendUint32 writes v as unsigned LEB128.
func AppendUint32(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// AppendInt64 writes v as signed LEB128.
func AppendInt64(dst []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && b&0x40 == 0) || (v == -1 && b&0x40 != 0) {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

func appendBytes(dst, b []byte) []byte {
	return append(AppendUint32(dst, uint32(len(b))), b...)
}

func appendName(dst []byte, s string) []byte {
	return append(AppendUint32(dst, uint32(len(s))), s...)
}
