package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	// ErrToken reports an access token that is malformed, signed by a stranger, of another project or of another kind.
	// Which of these it was is for nobody but the signer to know.
	ErrToken = errors.New("auth: invalid access token")
	// ErrExpired reports an access token that was good once.
	ErrExpired = errors.New("auth: access token expired")
)

const (
	// AccessLifetime is how long an access token lives when Claims names no end.
	AccessLifetime = 15 * time.Minute
	// MaxAccessLifetime is the longest life that Issue grants and Verify believes.
	MaxAccessLifetime = 24 * time.Hour
	// MaxToken is the longest access token in bytes that is looked at.
	MaxToken = 4096
	// MinSigningSecret is the least length of a signing secret in bytes.
	MinSigningSecret = 32

	maxSkew    = 60 // seconds by which another node's clock may be ahead
	typeAccess = "access"
)

// SigningKey is one HS256 secret of a project. ID goes into the token's kid header.
type SigningKey struct {
	ID     string
	Secret []byte // at least MinSigningSecret random bytes
	Until  int64  // Unix seconds at which its tokens end; 0: never
}

// Claims is what an access token says. Times are Unix seconds.
type Claims struct {
	UserID    string // 24 hex digits
	ProjectID string
	SessionID string // the refresh token's id half
	Epoch     uint64 // of the account: a new password raises it, and tokens of an earlier one are no good
	IssuedAt  int64
	ExpiresAt int64
	Custom    string // JSON object that a project's own code put into the token; "": none
}

// Tokens issues and verifies the access tokens of one project. Verified tokens are remembered by their exact text, so
// that the usual request costs a map lookup rather than a signature check. Safe for concurrent use.
type Tokens struct {
	projectID string
	keys      []SigningKey // the first one signs, all verify; never changed
	parser    *jwt.Parser
	cache     tokenCache
}

// NewTokens returns the tokens of a project. The first key signs and all verify, so that a new secret can be put in
// front while older tokens run out.
func NewTokens(projectID string, keys ...SigningKey) (*Tokens, error) {
	if projectID == "" || len(keys) == 0 {
		return nil, errors.New("auth: tokens: a project id and a signing key are needed")
	}
	t := &Tokens{
		projectID: projectID,
		keys:      make([]SigningKey, 0, len(keys)),
		// The claims are validated in check, against the caller's clock.
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
	}
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if k.ID == "" || seen[k.ID] {
			return nil, fmt.Errorf("auth: tokens: signing key id %q is empty or used twice", k.ID)
		}
		if len(k.Secret) < MinSigningSecret {
			return nil, fmt.Errorf("auth: tokens: signing key %q has %d bytes, needs %d", k.ID, len(k.Secret), MinSigningSecret)
		}
		seen[k.ID] = true
		t.keys = append(t.keys, SigningKey{ID: k.ID, Secret: append([]byte(nil), k.Secret...), Until: k.Until})
	}
	t.cache.reset()
	return t, nil
}

// wireClaims is the token's payload. Numbers are whole seconds: a fraction or an exponent is not ours.
type wireClaims struct {
	UserID    string `json:"userId"`
	ProjectID string `json:"projectId"`
	SessionID string `json:"sid,omitempty"`
	Epoch     uint64 `json:"ep,omitempty"`
	IssuedAt  *int64 `json:"iat"`
	ExpiresAt *int64 `json:"exp"`
	NotBefore *int64 `json:"nbf,omitempty"`
	Type      string `json:"typ"`

	Custom json.RawMessage `json:"claims,omitempty"`
}

// jwt.Claims asks for these; validation is off in the parser, so nothing reads them.
func (wireClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (wireClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (wireClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (wireClaims) GetIssuer() (string, error)                   { return "", nil }
func (wireClaims) GetSubject() (string, error)                  { return "", nil }
func (wireClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// Issue signs an access token for a user at now. The project is always this one and IssuedAt is now; ExpiresAt 0 means
// [AccessLifetime] from now.
func (t *Tokens) Issue(c Claims, now time.Time) (Secret, error) {
	if c.UserID == "" {
		return "", errors.New("auth: issue token: no user")
	}
	iat, exp := now.Unix(), c.ExpiresAt
	if exp == 0 {
		exp = now.Add(AccessLifetime).Unix()
	}
	if exp <= iat || exp-iat > int64(MaxAccessLifetime/time.Second) {
		return "", fmt.Errorf("auth: issue token: a life of %d seconds is not allowed", exp-iat)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, wireClaims{
		UserID: c.UserID, ProjectID: t.projectID, SessionID: c.SessionID, Epoch: c.Epoch, IssuedAt: &iat, ExpiresAt: &exp, Type: typeAccess,
		Custom: json.RawMessage(c.Custom),
	})
	token.Header["kid"] = t.keys[0].ID
	text, err := token.SignedString(t.keys[0].Secret)
	if err != nil {
		return "", fmt.Errorf("auth: issue token: %w", err)
	}
	if len(text) > MaxToken {
		return "", fmt.Errorf("auth: issue token: %d bytes are too many", len(text))
	}
	return Secret(text), nil
}

// Verify returns what a token says if this project signed it and it is valid at now; otherwise [ErrToken] or
// [ErrExpired]. A token ends with the key that signed it, if that comes first. token is borrowed for the call. A token seen before costs no allocation. Whether the session still
// stands is for the caller to ask.
func (t *Tokens) Verify(token []byte, now time.Time) (Claims, error) {
	if len(token) == 0 || len(token) > MaxToken {
		return Claims{}, ErrToken
	}
	sec := now.Unix()
	if c, ok := t.cache.get(token); ok {
		if c.ExpiresAt <= sec {
			return Claims{}, ErrExpired
		}
		if c.IssuedAt > sec+maxSkew {
			return Claims{}, ErrToken
		}
		return c, nil
	}
	if !wellFormed(token) {
		return Claims{}, ErrToken
	}
	generation := t.cache.generation.Load()
	text := string(token)
	var wire wireClaims
	parsed, err := t.parser.ParseWithClaims(text, &wire, t.key)
	if err != nil || !parsed.Valid {
		return Claims{}, ErrToken
	}
	c, err := t.check(&wire, sec)
	if err != nil {
		return Claims{}, err
	}
	if key := t.signer(parsed); key.Until != 0 {
		if key.Until <= sec {
			return Claims{}, ErrExpired
		}
		c.ExpiresAt = min(c.ExpiresAt, key.Until)
	}
	t.cache.put(text, c, sec, generation)
	return c, nil
}

// wellFormed accepts three base64url parts and nothing else. The decoder below skips line breaks, so that without this
// look one token would have any number of spellings, each of them remembered.
func wellFormed(token []byte) bool {
	dots := 0
	for _, c := range token {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return dots == 2
}

// Purge forgets the verified tokens of one session, and Clear those of all. They are still valid signatures: the caller
// must have revoked the session first.
func (t *Tokens) Purge(sessionID string) { t.cache.purge(sessionID) }

// Clear forgets all verified tokens.
func (t *Tokens) Clear() { t.cache.reset() }

// key picks the secret by the token's kid and by nothing else in its header: no embedded key, no URL.
func (t *Tokens) key(token *jwt.Token) (any, error) {
	if k := t.signer(token); k != nil {
		return k.Secret, nil
	}
	return nil, ErrToken
}

func (t *Tokens) signer(token *jwt.Token) *SigningKey {
	kid, _ := token.Header["kid"].(string)
	for i := range t.keys {
		if t.keys[i].ID == kid {
			return &t.keys[i]
		}
	}
	return nil
}

func (t *Tokens) check(w *wireClaims, sec int64) (Claims, error) {
	if w.Type != typeAccess || w.ProjectID != t.projectID || w.UserID == "" || w.IssuedAt == nil || w.ExpiresAt == nil {
		return Claims{}, ErrToken
	}
	iat, exp := *w.IssuedAt, *w.ExpiresAt
	if iat < 0 || exp <= iat || exp-iat > int64(MaxAccessLifetime/time.Second) || iat > sec+maxSkew {
		return Claims{}, ErrToken
	}
	if w.NotBefore != nil && *w.NotBefore > sec+maxSkew {
		return Claims{}, ErrToken
	}
	if exp <= sec {
		return Claims{}, ErrExpired
	}
	if len(w.Custom) > 0 && w.Custom[0] != '{' { // the decoder has seen to it that it is JSON
		return Claims{}, ErrToken
	}
	return Claims{UserID: w.UserID, ProjectID: w.ProjectID, SessionID: w.SessionID, Epoch: w.Epoch, IssuedAt: iat, ExpiresAt: exp, Custom: string(w.Custom)}, nil
}
