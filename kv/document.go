package kv

import "encoding/hex"

// DocID names a document within its collection. It has ObjectID form: 4 bytes
// of seconds since 1970, 5 bytes of node, 3 bytes of counter, all big-endian,
// so that the byte order is the order of creation on one node. Its text form
// is 24 hex digits. The zero DocID is never handed out by NewID but is a
// valid name for a document.
type DocID [12]byte

// String returns the 24 lower-case hex digits of the id.
func (id DocID) String() string { return hex.EncodeToString(id[:]) }

// AppendHex appends the 24 lower-case hex digits of the id to dst.
func (id DocID) AppendHex(dst []byte) []byte { return hex.AppendEncode(dst, id[:]) }

// ParseDocID reads 24 hex digits of either case. It reports false for any
// other length or character.
func ParseDocID[T ~string | ~[]byte](s T) (DocID, bool) {
	var id DocID
	if len(s) != 2*len(id) {
		return DocID{}, false
	}
	for i := range id {
		hi, ok1 := unhex(s[2*i])
		lo, ok2 := unhex(s[2*i+1])
		if !ok1 || !ok2 {
			return DocID{}, false
		}
		id[i] = hi<<4 | lo
	}
	return id, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Document is one stored document as a snapshot shows it.
type Document struct {
	ID DocID
	// Rev is the commit that wrote this state of the document; never 0.
	Rev uint64
	// JSON is the document as a GET returns it, _id included. It is borrowed
	// from the snapshot: read-only, and gone when the snapshot is closed.
	JSON []byte
}
