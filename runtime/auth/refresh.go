package auth

import (
	"crypto/hmac"
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

// Family is one login's refresh tokens: `<uuid4>.<64 hex>`, of which the UUID stays and names the session, and the rest is new with
// every use. The rest is 16 random bytes and a tag over them, so that a token that was spent long ago is told from one that somebody
// made up, however many there have been, without keeping any. The seed makes and checks tags; it stays with the session. Whoever
// reads it can fake a spent token, and thereby end the login, but not the one that is good, of which only the hash is kept.
type Family struct {
	ID   string // UUID; may be logged and looked up
	Seed [32]byte
}

const (
	refreshRandom = 16
	refreshTag    = 16
)

// NewFamily makes the family of a new login.
func NewFamily(rand io.Reader) (f Family, err error) {
	var raw [16 + len(f.Seed)]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return f, fmt.Errorf("auth: new refresh token: %w", err)
	}
	return Family{ID: formatUUID([16]byte(raw[:16])), Seed: [32]byte(raw[16:])}, nil
}

// Token makes a token. It is shown once: keep [HashRefresh] of it.
func (f *Family) Token(rand io.Reader) (Secret, error) {
	var raw [refreshRandom]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", fmt.Errorf("auth: new refresh token: %w", err)
	}
	return f.seal(raw), nil
}

// Child makes the token that takes the place of parent, the same one each time: an answer that was lost can be given again, although
// the token in it was never stored. Whoever has both the seed and one token can make all that come after it in this way.
func (f *Family) Child(parent string) Secret {
	return f.seal([refreshRandom]byte(f.mac("child", parent)))
}

// Made reports whether the family made the token, good or spent.
func (f *Family) Made(token string) bool {
	if len(token) != RefreshLen || token[:len(f.ID)] != f.ID {
		return false
	}
	var raw [refreshRandom + refreshTag]byte
	if _, err := hex.Decode(raw[:], []byte(token[len(f.ID)+1:])); err != nil {
		return false
	}
	return SameHash(f.mac("tag", string(raw[:refreshRandom]))[:refreshTag], raw[refreshRandom:])
}

func (f *Family) seal(raw [refreshRandom]byte) Secret {
	whole := append(raw[:], f.mac("tag", string(raw[:]))[:refreshTag]...)
	return Secret(f.ID + "." + hex.EncodeToString(whole))
}

func (f *Family) mac(purpose, text string) []byte {
	h := hmac.New(sha256.New, f.Seed[:])
	h.Write([]byte(purpose + "\x00" + f.ID + "\x00" + text))
	return h.Sum(nil)
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
