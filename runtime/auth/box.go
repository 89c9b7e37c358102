package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// NodeSecretLen is the length of a node's secret in bytes.
const NodeSecretLen = 32

// ErrSealed reports sealed bytes that this box did not seal, or not for this place: damaged, moved, or sealed under another node's
// secret.
var ErrSealed = errors.New("auth: sealed under another secret, or damaged")

// Box keeps a project's short-lived secrets out of the project's own file: it hashes one-time codes and seals what
// carries them, with keys derived from a secret of the node that lies beside the files and not in them. Whoever gets hold
// of a file or of a copy of it finds neither codes nor mails. Safe for concurrent use.
type Box struct {
	macKey []byte
	aead   cipher.AEAD
	rand   io.Reader
}

// NewBox derives a project's box from the node's secret by HKDF-SHA-256 (RFC 5869). rand makes the nonces.
func NewBox(nodeSecret []byte, projectID string, rand io.Reader) (*Box, error) {
	if len(nodeSecret) != NodeSecretLen {
		return nil, fmt.Errorf("auth: a node's secret has %d bytes, not %d", NodeSecretLen, len(nodeSecret))
	}
	macKey, err := hkdf.Key(sha256.New, nodeSecret, nil, "sluice codes "+projectID, 32)
	if err != nil {
		return nil, err
	}
	sealKey, err := hkdf.Key(sha256.New, nodeSecret, nil, "sluice outbox "+projectID, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Box{macKey: macKey, aead: aead, rand: rand}, nil
}

// Seal encrypts text (AES-256-GCM, NIST SP 800-38D) for a place, such as the id of the document that will hold it. The
// random nonce comes first in the result.
func (b *Box) Seal(text []byte, place string) ([]byte, error) {
	nonce := make([]byte, b.aead.NonceSize(), b.aead.NonceSize()+len(text)+b.aead.Overhead())
	if _, err := io.ReadFull(b.rand, nonce); err != nil {
		return nil, fmt.Errorf("auth: seal: %w", err)
	}
	return b.aead.Seal(nonce, nonce, text, []byte(place)), nil
}

// Open decrypts what Seal made for the same place, or returns [ErrSealed].
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	n := b.aead.NonceSize()
	if len(sealed) < n {
		return nil, ErrSealed
	}
	text, err := b.aead.Open(nil, sealed[:n], sealed[n:], []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return text, nil
}
