package kv

import (
	"encoding/binary"
	"hash/crc32"
)

// Names of the top-level buckets; doc.go draws what is in them.
const (
	bucketMeta     = "m"
	bucketSettings = "s"
	bucketCatalog  = "c"
	bucketCounters = "n"
	bucketLog      = "l"

	prefixDocuments = 'd' // + collection id
	prefixUnique    = 'u' // + collection id + index id
	prefixOrdered   = 'x' // + collection id + index id
)

// Keys of the meta bucket.
const (
	keyFormat = "format" // fileFormat, 2 bytes
	keyFileID = "id"     // 16 bytes, also in the identity file
	keyState  = "state"  // sealed state
)

// Prefixes of keys in the counters bucket.
const (
	counterNamed  = 'u' // + name: an int64 that OpAdd changes
	counterTotals = 'c' // + collection id: totals
	counterBuild  = 'b' // + collection id + index id: build
)

func documentsBucket(cid uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefixDocuments}, cid)
}

func uniqueBucket(cid, iid uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{prefixUnique}, cid)
	return binary.BigEndian.AppendUint32(b, iid)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Every stored value carries a CRC-32C over its place (bucket and key) and
// its content: bbolt has no checksums, and a value found under another key is
// as wrong as one with a flipped bit.

// A document's value: version, flags, CRC, revision, JSON.
const (
	docVersion = 1
	docHeader  = 1 + 1 + 4 + 8
)

// docSum starts the CRC from a hash of the place. A CRC maps different starts
// to different ends, so a wrong place shows as surely as a wrong byte, and the
// place needs no slice, which would cost an allocation a document.
func docSum(cid uint32, id DocID, v []byte) uint32 {
	h := (uint64(cid)<<16 | uint64(v[0])<<8 | uint64(v[1])) ^ fnvOffset
	h = (h ^ binary.BigEndian.Uint64(id[:8])) * fnvPrime
	h ^= h >> 29
	h = (h ^ uint64(binary.BigEndian.Uint32(id[8:]))) * fnvPrime
	return crc32.Update(uint32(h>>32)^uint32(h), castagnoli, v[6:])
}

const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// sealDoc completes v, which has the JSON behind an empty header.
func sealDoc(cid uint32, id DocID, rev uint64, v []byte) {
	v[0], v[1] = docVersion, 0
	binary.BigEndian.PutUint64(v[6:], rev)
	binary.BigEndian.PutUint32(v[2:], docSum(cid, id, v))
}

// openDoc checks a stored document.
func openDoc(c *Collection, id DocID, v []byte) (Document, error) {
	why := ""
	switch {
	case len(v) < docHeader:
		why = "cut short"
	case docSum(c.ID, id, v) != binary.BigEndian.Uint32(v[2:]):
		why = "checksum differs"
	case v[0] != docVersion:
		why = "unknown version"
	default:
		return Document{ID: id, Rev: binary.BigEndian.Uint64(v[6:]), JSON: v[docHeader:]}, nil
	}
	return Document{}, &CorruptError{Where: "document " + c.Name + "/" + id.String(), Why: why}
}

// Any other value: version, CRC, content.
const (
	sealVersion = 1
	sealHeader  = 1 + 4
)

func sealSum(bucket string, key, v []byte) uint32 {
	h := uint64(fnvOffset)
	for i := range bucket {
		h = (h ^ uint64(bucket[i])) * fnvPrime
	}
	h = (h ^ uint64(len(bucket))<<8 ^ uint64(v[0])) * fnvPrime
	for _, c := range key {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return crc32.Update(uint32(h>>32)^uint32(h), castagnoli, v[sealHeader:])
}

// beginSeal appends an empty header; endSeal fills in the one at start.
func beginSeal(dst []byte) []byte { return append(dst, sealVersion, 0, 0, 0, 0) }

func endSeal(dst []byte, start int, bucket string, key []byte) []byte {
	v := dst[start:]
	binary.BigEndian.PutUint32(v[1:], sealSum(bucket, key, v))
	return dst
}

func openSeal(bucket string, key, v []byte) ([]byte, error) {
	why := ""
	switch {
	case len(v) < sealHeader:
		why = "cut short"
	case sealSum(bucket, key, v) != binary.BigEndian.Uint32(v[1:]):
		why = "checksum differs"
	case v[0] != sealVersion:
		why = "unknown version"
	default:
		return v[sealHeader:], nil
	}
	return nil, &CorruptError{Where: placeName(bucket, key), Why: why}
}

func placeName(bucket string, key []byte) string {
	switch {
	case bucket == bucketMeta:
		return "meta " + string(key)
	case bucket == bucketSettings:
		return "setting " + string(key)
	case bucket == bucketCatalog:
		return "definition of collection " + string(key)
	case bucket == bucketCounters && len(key) > 0 && key[0] == counterNamed:
		return "counter " + string(key[1:])
	case bucket == bucketCounters && len(key) > 0 && key[0] == counterBuild:
		return "progress of an index"
	case bucket == bucketCounters:
		return "totals of a collection"
	case bucket == bucketLog:
		return "a row of the change log"
	}
	if bucket != "" && bucket[0] == prefixOrdered {
		return "counts of an index"
	}
	return "an entry of a unique index"
}

// state is what one commit of the file changes besides the data, written once
// for each group.
type state struct {
	commit  uint64 // last commit
	seq     uint64 // batches judged
	catalog uint64 // commit that last changed the catalog
	dropped uint64 // commit that last dropped a collection
	nextCID uint32
	nextIID uint32
	bytes   int64 // of all documents' JSON
	history [32]byte
}

func (s *state) append(dst []byte) []byte {
	for _, v := range []uint64{s.commit, s.seq, s.catalog, s.dropped, uint64(s.bytes)} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	dst = binary.BigEndian.AppendUint32(dst, s.nextCID)
	dst = binary.BigEndian.AppendUint32(dst, s.nextIID)
	return append(dst, s.history[:]...)
}

func (r *reader) state() (s state) {
	s.commit, s.seq, s.catalog, s.dropped, s.bytes = r.uint64(), r.uint64(), r.uint64(), r.uint64(), int64(r.uint64())
	s.nextCID, s.nextIID = r.uint32(), r.uint32()
	copy(s.history[:], r.take(len(s.history)))
	return s
}

// totals of a collection.
type totals struct {
	rev       uint64 // last commit that changed a document or the definition
	documents int64
	bytes     int64
}

func totalsKey(cid uint32) [5]byte {
	var k [5]byte
	k[0] = counterTotals
	binary.BigEndian.PutUint32(k[1:], cid)
	return k
}

func (t totals) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, t.rev)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.documents))
	return binary.BigEndian.AppendUint64(dst, uint64(t.bytes))
}

func (r *reader) totals() totals {
	return totals{rev: r.uint64(), documents: int64(r.uint64()), bytes: int64(r.uint64())}
}
