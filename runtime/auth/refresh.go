package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// RefreshLen is the length of every refresh token: a UUID (36), a dot, and 64 hex digits.
const RefreshLen = 36 + 1 + 64

// ErrRefreshFormat reports text that cannot be a refresh token.
var ErrRefreshFormat = errors.New("auth: not a refresh token")

// NewRefresh makes a refresh token `<uuid4>.<64 hex>` and returns the id, which names the session and may be logged and
// looked up, and the whole token, which is shown once. Keep [HashRefresh] of the token.
func NewRefresh(rand io.Reader) (id string, token Secret, err error) {
	var raw [16 + 32]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", "", fmt.Errorf("auth: new refresh token: %w", err)
	}
	id = formatUUID([16]byte(raw[:16]))
	return id, Secret(id + "." + hex.EncodeToString(raw[16:])), nil
}

// ParseRefresh returns the id half of a refresh token in canonical form (lower-case hex), or [ErrRefreshFormat].
func ParseRefresh(token string) (id string, err error) {
	if len(token) != RefreshLen || token[36] != '.' || !isHex(token[37:]) {
		return "", ErrRefreshFormat
	}
	id = token[:36]
	for i := range len(id) {
		switch i {
		case 8, 13, 18, 23:
			if id[i] != '-' {
				return "", ErrRefreshFormat
			}
		default:
			if !isHex(id[i : i+1]) {
				return "", ErrRefreshFormat
			}
		}
	}
	if id[14] != '4' || strings.IndexByte("89ab", id[19]) < 0 {
		return "", ErrRefreshFormat
	}
	// A copy, so that keeping an id does not keep the secret half alive.
	return strings.Clone(id), nil
}

// HashRefresh returns the SHA-256 of a whole refresh token: what a session keeps.
func HashRefresh(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// SameHash compares two hashes in constant time; hashes of different length are never the same.
func SameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func formatUUID(raw [16]byte) string {
	raw[6] = raw[6]&0x0f | 0x40 // version 4
	raw[8] = raw[8]&0x3f | 0x80 // RFC 9562 variant
	var out [36]byte
	hex.Encode(out[0:8], raw[0:4])
	hex.Encode(out[9:13], raw[4:6])
	hex.Encode(out[14:18], raw[6:8])
	hex.Encode(out[19:23], raw[8:10])
	hex.Encode(out[24:36], raw[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// RotateRefresh makes the next refresh token of the session that id names: the id half stays, the secret half is new.
func RotateRefresh(rand io.Reader, id string) (Secret, error) {
	var raw [32]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", fmt.Errorf("auth: rotate refresh token: %w", err)
	}
	return Secret(id + "." + hex.EncodeToString(raw[:])), nil
}
