package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unsafe"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Type tags of a key, in the order of the types. 0x00 is free to end arrays
// and objects; the gap between string and array is for types to come.
const (
	tagNull   = 0x10
	tagFalse  = 0x20
	tagTrue   = 0x21
	tagNumber = 0x30
	tagString = 0x40
	tagArray  = 0x50
	tagObject = 0x60
	tagDeep   = 0x70 // text of a value nested deeper than any document may be
)

const maxKeyDepth = 64

// AppendKey appends an encoding of a JSON value's canonical text whose byte
// order is the order of the values, and of which none is the prefix of
// another, so that encodings can be concatenated:
//
//	null < false < true < numbers < strings < arrays < objects
//
// Numbers are ordered exactly among 64-bit integers (as plain digits) and
// float64; other decimals count as their nearest float64. Strings are ordered
// by their UTF-8 bytes, arrays element-wise with the shorter one first,
// objects as the list of their members sorted by name. Equal values have
// equal keys: 1, 1.0 and 1e0 are one key.
//
// Text that is no JSON gets some key and never a panic.
func AppendKey(dst, raw []byte) []byte { return appendKey(dst, raw, 0) }

func appendKey(dst, raw []byte, depth int) []byte {
	switch jsondoc.KindOf(raw) {
	case jsondoc.Bool:
		if raw[0] == 't' {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case jsondoc.Number:
		return appendNumberKey(append(dst, tagNumber), raw)
	case jsondoc.String:
		return appendStringKey(append(dst, tagString), raw)
	case jsondoc.Array, jsondoc.Object:
		if depth >= maxKeyDepth {
			return appendEscaped(append(dst, tagDeep), raw)
		}
		if raw[0] == '[' {
			return appendArrayKey(dst, raw, depth)
		}
		return appendObjectKey(dst, raw, depth)
	}
	return append(dst, tagNull)
}

func appendArrayKey(dst, raw []byte, depth int) []byte {
	dst = append(dst, tagArray)
	jsondoc.Elements(raw, func(el []byte) bool {
		dst = appendKey(dst, el, depth+1)
		return true
	})
	return append(dst, 0)
}

func appendObjectKey(dst, raw []byte, depth int) []byte {
	var members [][]byte // each the key of the name, then the key of the value
	jsondoc.Fields(raw, func(name, value []byte) bool {
		m := appendStringKey([]byte{tagString}, name)
		members = append(members, appendKey(m, value, depth+1))
		return true
	})
	slices.SortFunc(members, bytes.Compare)
	dst = append(dst, tagObject)
	for _, m := range members {
		dst = append(dst, m...)
	}
	return append(dst, 0)
}

// appendStringKey appends the UTF-8 of a string's canonical text with 0x00 as
// 0x00 0xFF, ended by 0x00 0x00.
func appendStringKey(dst, raw []byte) []byte {
	start := len(dst)
	dst = jsondoc.Unquote(dst, raw)
	if bytes.IndexByte(dst[start:], 0) >= 0 {
		text := slices.Clone(dst[start:])
		return appendEscaped(dst[:start], text)
	}
	return append(dst, 0, 0)
}

func appendEscaped(dst, text []byte) []byte {
	for _, c := range text {
		dst = append(dst, c)
		if c == 0 {
			dst = append(dst, 0xFF)
		}
	}
	return append(dst, 0, 0)
}

// appendNumberKey appends the order-preserving bits of the nearest float64
// and, from 2^53 on where several integers share one float64, the distance to
// it: 2 bytes suffice, it is at most 1024 for 64-bit integers.
func appendNumberKey(dst, raw []byte) []byte {
	if n, ok := smallInteger(raw); ok {
		return binary.BigEndian.AppendUint64(dst, orderedBits(float64(n)))
	}
	// The string lives only for the call, which does not keep it unless it
	// fails, when the error is dropped.
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	if err != nil && !math.IsInf(f, 0) {
		f = 0
	}
	if math.IsNaN(f) || f == 0 { // one zero
		f = 0
	}
	dst = binary.BigEndian.AppendUint64(dst, orderedBits(f))
	if math.Abs(f) >= 1<<53 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(int32(distance(raw, f))+1<<15))
	}
	return dst
}

func orderedBits(f float64) uint64 {
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		return ^bits
	}
	return bits | 1<<63
}

// smallInteger reads up to 15 plain digits: exact in a float64.
func smallInteger(raw []byte) (int64, bool) {
	digits, negative := raw, false
	if len(digits) > 0 && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}

// distance returns the integer raw minus f, its nearest float64; 0 when raw
// is not plain digits or does not fit into 64 bits.
func distance(raw []byte, f float64) int16 {
	digits, negative := raw, false
	if len(digits) > 0 && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' || n > (math.MaxUint64-uint64(c-'0'))/10 {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	near := math.Abs(f)
	var nearest uint64 // 2^64 is 0 here, as the subtraction wraps
	if near < 1<<64 {
		nearest = uint64(near)
	}
	d := int64(n - nearest)
	if d < -1024 || d > 1024 {
		return 0
	}
	if negative {
		d = -d
	}
	return int16(d)
}

// maxIndexKey bounds a key in an index; a longer one keeps its start, for its
// place in the order, and ends in a hash, for its identity.
const maxIndexKey = 512

// capKey shortens the key that begins at start of dst.
func capKey(dst []byte, start int) []byte {
	if len(dst)-start < maxIndexKey {
		return dst
	}
	sum := sha256.Sum256(dst[start:])
	return append(dst[:start+maxIndexKey-len(sum)], sum[:]...)
}

// appendIndexKey appends the key under which an index on fields holds doc. It
// reports false, and leaves dst as it was, when one of the fields is missing
// or null: such documents are not in the index.
func appendIndexKey(dst, doc []byte, fields []string) ([]byte, bool) {
	start := len(dst)
	for _, f := range fields {
		raw, ok := jsondoc.Lookup(doc, f)
		if !ok || raw[0] == 'n' {
			return dst[:start], false
		}
		dst = AppendKey(dst, raw)
	}
	return capKey(dst, start), true
}
