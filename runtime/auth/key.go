package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// Role says what a key may do. The zero value is no role at all, so that a forgotten assignment grants nothing.
type Role uint8

const (
	// RolePublishable is the role of pk_live_ keys, which are public: they live in web pages and are bound by every rule.
	RolePublishable Role = iota + 1
	// RoleSecret is the role of sk_live_ keys, which stay on servers and are trusted.
	RoleSecret
)

// String returns "publishable", "secret", or "none".
func (r Role) String() string {
	switch r {
	case RolePublishable:
		return "publishable"
	case RoleSecret:
		return "secret"
	}
	return "none"
}

const (
	publishablePrefix = "pk_live_"
	secretPrefix      = "sk_live_"
	keyPrefixLen      = len(publishablePrefix)
	keyEntropy        = 32 // bytes: 256 bit

	// KeyLen is the length of every API key in bytes: the prefix and 43 base64url characters.
	KeyLen = keyPrefixLen + 43
)

// NewKey makes an API key of the given role with 256 bit from rand. It is shown once; keep [HashKey] of it.
func NewKey(rand io.Reader, role Role) (Secret, error) {
	prefix := publishablePrefix
	switch role {
	case RolePublishable:
	case RoleSecret:
		prefix = secretPrefix
	default:
		return "", fmt.Errorf("auth: new key: no such role: %d", role)
	}
	var raw [keyEntropy]byte
	if _, err := io.ReadFull(rand, raw[:]); err != nil {
		return "", fmt.Errorf("auth: new key: %w", err)
	}
	return Secret(prefix + base64.RawURLEncoding.EncodeToString(raw[:])), nil
}

// ParseRole returns the role that a key's form claims. It looks at the form only: whether the key exists is for the
// caller to find out by its hash. It does not allocate.
func ParseRole[T string | []byte](key T) (Role, bool) {
	if len(key) != KeyLen {
		return 0, false
	}
	var role Role
	switch string(key[:keyPrefixLen]) {
	case publishablePrefix:
		role = RolePublishable
	case secretPrefix:
		role = RoleSecret
	default:
		return 0, false
	}
	for i := keyPrefixLen; i < len(key); i++ {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return 0, false
		}
	}
	return role, true
}

// HashKey returns the SHA-256 of a key: what is stored and looked up. A slow hash would add nothing, since a key is 256
// random bits; and looking a hash up in a map leaks no useful timing, since a guesser cannot steer its leading bytes.
func HashKey(key []byte) [32]byte { return sha256.Sum256(key) }
