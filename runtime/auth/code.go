package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
)

const (
	// CodeLen is the length of a one-time code in decimal digits.
	CodeLen = 6

	codes = 1_000_000 // there are so many
)

// NewCode makes a one-time code of [CodeLen] digits, each of the million equally likely. It travels in a mail; keep
// [Box.HashCode] of it.
func NewCode(rand io.Reader) (Secret, error) {
	// The largest multiple of a million that fits: what lies above it would make small codes likelier, and is drawn again.
	const bound = (1<<32)/codes*codes - 1
	for {
		var raw [4]byte
		if _, err := io.ReadFull(rand, raw[:]); err != nil {
			return "", fmt.Errorf("auth: new code: %w", err)
		}
		if n := binary.BigEndian.Uint32(raw[:]); n <= bound {
			digits := strconv.Itoa(int(n % codes))
			return Secret("000000"[len(digits):] + digits), nil
		}
	}
}

// IsCode reports whether text could be a one-time code: six ASCII digits and nothing else.
func IsCode(text string) bool {
	if len(text) != CodeLen {
		return false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// HashCode returns, in hex, what is kept of a one-time code. It is bound to everything that the code is good for: the
// project by the box's key, and the purpose, the user and the address by name. A million codes are tried in a second by whoever has
// the key, so what protects a stolen file is that the key does not lie in it.
func (b *Box) HashCode(purpose, user, email string, code Secret) string {
	return hex.EncodeToString(b.mac("code", purpose, user, email, code.Reveal()))
}

// HashAddress returns, in hex, the name under which something is kept about an address without keeping the address.
func (b *Box) HashAddress(email string) string { return hex.EncodeToString(b.mac("address", email)) }

// mac is HMAC-SHA-256 over the parts, each with its length before it, so that no two lists of parts look alike.
func (b *Box) mac(parts ...string) []byte {
	h := hmac.New(sha256.New, b.macKey)
	for _, part := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		io.WriteString(h, part)
	}
	return h.Sum(nil)
}
