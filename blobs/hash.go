package blobs

import (
	"encoding/hex"
	"fmt"
)

// Hash is the SHA-256 of an object's bytes, and the only name under which a store knows it.
type Hash [32]byte

// String returns the hash as 64 lower-case hexadecimal digits: in records, names of files and keys of objects.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String for encoders.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHash for decoders.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// ParseHash reads what String wrote, and nothing else: upper case is refused, so that a hash has one spelling.
func ParseHash(s string) (h Hash, err error) {
	return h, parseHex(h[:], s, "hash")
}

// UploadID names an upload until it is confirmed. Who can guess it can replace the bytes, so it is to be random.
type UploadID [16]byte

// String returns the id as 32 lower-case hexadecimal digits.
func (id UploadID) String() string { return hex.EncodeToString(id[:]) }

// ParseUploadID reads what String wrote, and nothing else.
func ParseUploadID(s string) (id UploadID, err error) {
	return id, parseHex(id[:], s, "id of an upload")
}

func parseHex(to []byte, s, what string) error {
	if len(s) != 2*len(to) {
		return fmt.Errorf("blobs: %q is no %s: it needs %d hexadecimal digits", s, what, 2*len(to))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("blobs: %q is no %s: only digits and a to f may be in it", s, what)
		}
	}
	_, err := hex.Decode(to, []byte(s))
	return err
}
