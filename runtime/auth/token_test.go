package auth_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime/auth"
)

var (
	noon   = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	first  = auth.SigningKey{ID: "k1", Secret: bytes.Repeat([]byte{1}, 32)}
	second = auth.SigningKey{ID: "k2", Secret: bytes.Repeat([]byte{2}, 32)}
)

const user, session = "64a1f0c2e4b0a1b2c3d4e5f6", "123e4567-e89b-42d3-a456-426614174000"

func newTokens(t testing.TB, project string, keys ...auth.SigningKey) *auth.Tokens {
	t.Helper()
	tokens, err := auth.NewTokens(project, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func issue(t testing.TB, tokens *auth.Tokens, c auth.Claims, now time.Time) []byte {
	t.Helper()
	token, err := tokens.Issue(c, now)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token.Reveal())
}

// forge signs any header and payload, as a holder of the secret would.
func forge(header, payload string, secret []byte) []byte {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return []byte(text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func TestAccessToken(t *testing.T) {
	tokens := newTokens(t, "p1", first)
	token := issue(t, tokens, auth.Claims{UserID: user, SessionID: session}, noon)
	t.Run("it says who, and for how long, twice alike", func(t *testing.T) {
		want := auth.Claims{UserID: user, ProjectID: "p1", SessionID: session, IssuedAt: noon.Unix(), ExpiresAt: noon.Unix() + 900}
		for range 2 { // the second answer is from the cache
			if got, err := tokens.Verify(token, noon.Add(time.Minute)); err != nil || got != want {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
	})
	t.Run("it ends to the second, remembered or not", func(t *testing.T) {
		for name, tokens := range map[string]*auth.Tokens{"warm": tokens, "cold": newTokens(t, "p1", first)} {
			if _, err := tokens.Verify(token, noon.Add(15*time.Minute)); !errors.Is(err, auth.ErrExpired) {
				t.Fatalf("%s: at its end: %v", name, err)
			}
			if _, err := tokens.Verify(token, noon.Add(15*time.Minute-time.Second)); err != nil {
				t.Fatalf("%s: a second before its end: %v", name, err)
			}
		}
	})
	t.Run("another project refuses it", func(t *testing.T) {
		if _, err := newTokens(t, "p2", first).Verify(token, noon); !errors.Is(err, auth.ErrToken) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("another secret refuses it", func(t *testing.T) {
		stranger := auth.SigningKey{ID: "k1", Secret: bytes.Repeat([]byte{9}, 32)}
		if _, err := newTokens(t, "p1", stranger).Verify(token, noon); !errors.Is(err, auth.ErrToken) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a rotated secret verifies until it is removed", func(t *testing.T) {
		both := newTokens(t, "p1", second, first)
		if _, err := both.Verify(token, noon); err != nil {
			t.Fatal(err)
		}
		fresh := issue(t, both, auth.Claims{UserID: user}, noon)
		after := newTokens(t, "p1", second)
		if _, err := after.Verify(fresh, noon); err != nil {
			t.Fatalf("the new secret's token: %v", err)
		}
		if _, err := after.Verify(token, noon); !errors.Is(err, auth.ErrToken) {
			t.Fatalf("the removed secret's token: %v", err)
		}
	})
	t.Run("any changed byte refuses it, also when the true one is remembered", func(t *testing.T) {
		for i := range token {
			changed := bytes.Clone(token)
			changed[i] ^= 0x01
			if c, err := tokens.Verify(changed, noon); err == nil {
				t.Fatalf("byte %d: %+v", i, c)
			}
		}
	})
	t.Run("the caller's buffer is not kept", func(t *testing.T) {
		buffer := bytes.Clone(token)
		tokens := newTokens(t, "p1", first)
		if _, err := tokens.Verify(buffer, noon); err != nil {
			t.Fatal(err)
		}
		for i := range buffer {
			buffer[i] = 'x'
		}
		if _, err := tokens.Verify(buffer, noon); !errors.Is(err, auth.ErrToken) {
			t.Fatalf("an overwritten buffer passes: %v", err)
		}
		if _, err := tokens.Verify(token, noon); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("purge and clear forget, and a valid signature is learned again", func(t *testing.T) {
		tokens.Purge(session)
		tokens.Purge("")
		tokens.Clear()
		if _, err := tokens.Verify(token, noon); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVerifyRefuses(t *testing.T) {
	const header = `{"alg":"HS256","kid":"k1","typ":"JWT"}`
	now := noon.Unix()
	payload := func(extra string, iat, exp int64) string {
		return fmt.Sprintf(`{"userId":%q,"projectId":"p1","typ":"access","iat":%d,"exp":%d%s}`, user, iat, exp, extra)
	}
	good := payload("", now, now+60)
	tokens := newTokens(t, "p1", first)
	if _, err := tokens.Verify(forge(header, good, first.Secret), noon); err != nil {
		t.Fatalf("the forge itself is wrong: %v", err)
	}
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k1"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(good)) + "."
	valid := string(forge(header, good, first.Secret))
	for name, token := range map[string][]byte{
		"empty":                     nil,
		"one byte":                  []byte("x"),
		"dots":                      []byte("...."),
		"4096 dots":                 bytes.Repeat([]byte("."), 4096),
		"a megabyte of dots":        bytes.Repeat([]byte("."), 1<<20),
		"alg none":                  []byte(unsigned),
		"alg HS384":                 forge(`{"alg":"HS384","kid":"k1"}`, good, first.Secret),
		"alg RS256":                 forge(`{"alg":"RS256","kid":"k1"}`, good, first.Secret),
		"no alg":                    forge(`{"kid":"k1"}`, good, first.Secret),
		"no kid":                    forge(`{"alg":"HS256"}`, good, first.Secret),
		"unknown kid":               forge(`{"alg":"HS256","kid":"../k1"}`, good, first.Secret),
		"kid of another type":       forge(`{"alg":"HS256","kid":["k1"]}`, good, first.Secret),
		"embedded key":              forge(`{"alg":"HS256","kid":"x","jwk":{"kty":"oct","k":"CQkJCQ"}}`, good, bytes.Repeat([]byte{9}, 32)),
		"16 KiB header":             forge(`{"alg":"HS256","kid":"k1","pad":"`+strings.Repeat("a", 16<<10)+`"}`, good, first.Secret),
		"no exp":                    forge(header, fmt.Sprintf(`{"userId":%q,"projectId":"p1","typ":"access","iat":%d}`, user, now), first.Secret),
		"no iat":                    forge(header, fmt.Sprintf(`{"userId":%q,"projectId":"p1","typ":"access","exp":%d}`, user, now+60), first.Secret),
		"huge exp":                  forge(header, payload("", now, 1<<62), first.Secret),
		"exp before iat":            forge(header, payload("", now, now-1), first.Secret),
		"exp as text":               forge(header, fmt.Sprintf(`{"userId":%q,"projectId":"p1","typ":"access","iat":%d,"exp":"%d"}`, user, now, now+60), first.Secret),
		"exp as fraction":           forge(header, fmt.Sprintf(`{"userId":%q,"projectId":"p1","typ":"access","iat":%d,"exp":%d.5}`, user, now, now+60), first.Secret),
		"negative iat":              forge(header, payload("", -1, 1), first.Secret),
		"iat in the future":         forge(header, payload("", now+61, now+120), first.Secret),
		"nbf in the future":         forge(header, payload(fmt.Sprintf(`,"nbf":%d`, now+61), now, now+120), first.Secret),
		"another kind":              forge(header, strings.Replace(good, "access", "refresh", 1), first.Secret),
		"no kind":                   forge(header, strings.Replace(good, `"typ":"access",`, "", 1), first.Secret),
		"another project":           forge(header, strings.Replace(good, "p1", "p2", 1), first.Secret),
		"no user":                   forge(header, strings.Replace(good, user, "", 1), first.Secret),
		"user of another type":      forge(header, strings.Replace(good, `"`+user+`"`, "{}", 1), first.Secret),
		"payload is an array":       forge(header, "["+good+"]", first.Secret),
		"trailing data":             append([]byte(valid), '.'),
		"a space in front":          []byte(" " + valid),
		"padding":                   []byte(valid + "="),
		"signature spelled loosely": []byte(valid[:len(valid)-1] + looseLast(valid[len(valid)-1])),
		"a refresh token":           []byte(session + "." + strings.Repeat("0", 64)),
		"two tokens":                []byte(valid + "," + valid),
		"NUL inside":                []byte(valid[:20] + "\x00" + valid[20:]),
		"a line break in signature": []byte(valid[:len(valid)-4] + "\n" + valid[len(valid)-4:]),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tokens.Verify(token, noon)
			if !errors.Is(err, auth.ErrToken) || c != (auth.Claims{}) {
				t.Fatalf("got %+v, %v", c, err)
			}
		})
	}
	t.Run("a clock a minute ahead is believed", func(t *testing.T) {
		if _, err := tokens.Verify(forge(header, payload("", now+60, now+120), first.Secret), noon); err != nil {
			t.Fatal(err)
		}
	})
}

// looseLast returns another base64 character with the same four meaningful bits.
func looseLast(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestNewTokensRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		project string
		keys    []auth.SigningKey
	}{
		"no project":   {"", []auth.SigningKey{first}},
		"no key":       {"p1", nil},
		"short secret": {"p1", []auth.SigningKey{{ID: "k1", Secret: make([]byte, 31)}}},
		"no key id":    {"p1", []auth.SigningKey{{Secret: make([]byte, 32)}}},
		"same key id":  {"p1", []auth.SigningKey{first, first}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := auth.NewTokens(c.project, c.keys...); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	tokens := newTokens(t, "p1", first)
	for name, c := range map[string]auth.Claims{
		"no user":       {},
		"past end":      {UserID: user, ExpiresAt: noon.Unix()},
		"too long life": {UserID: user, ExpiresAt: noon.Add(25 * time.Hour).Unix()},
		"giant user id": {UserID: strings.Repeat("a", auth.MaxToken)},
	} {
		t.Run(name, func(t *testing.T) {
			if token, err := tokens.Issue(c, noon); err == nil {
				t.Fatalf("issued %d bytes", len(token.Reveal()))
			}
		})
	}
}

func TestVerifyTogetherWithPurge(t *testing.T) {
	tokens := newTokens(t, "p1", first)
	token := issue(t, tokens, auth.Claims{UserID: user, SessionID: session}, noon)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 2000 {
				if c, err := tokens.Verify(token, noon); err != nil || c.UserID != user {
					t.Errorf("got %+v, %v", c, err)
					return
				}
				if i%50 == 0 {
					tokens.Purge(session)
				}
			}
		})
	}
	all.Wait()
}

func FuzzVerify(f *testing.F) {
	tokens := newTokens(f, "p1", first)
	f.Add(issue(f, tokens, auth.Claims{UserID: user, SessionID: session}, noon))
	f.Add([]byte("a.b.c"))
	f.Add(forge(`{"alg":"HS256","kid":"k1"}`, `{"exp":1e999}`, first.Secret))
	f.Fuzz(func(t *testing.T, token []byte) {
		c, err := tokens.Verify(token, noon)
		if err == nil && (c.ProjectID != "p1" || c.ExpiresAt <= noon.Unix()) {
			t.Fatalf("%q gave %+v", token, c)
		}
	})
}

func TestVerifyHitDoesNotAllocate(t *testing.T) {
	tokens := newTokens(t, "p1", first)
	token := issue(t, tokens, auth.Claims{UserID: user, SessionID: session}, noon)
	if _, err := tokens.Verify(token, noon); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = tokens.Verify(token, noon) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	tokens := newTokens(b, "p1", first)
	token := issue(b, tokens, auth.Claims{UserID: user, SessionID: session}, noon)
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = tokens.Verify(token, noon)
		}
	})
	b.Run("hit, parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = tokens.Verify(token, noon)
			}
		})
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tokens.Purge(session)
			_, _ = tokens.Verify(token, noon)
		}
	})
}

func BenchmarkIssue(b *testing.B) {
	tokens := newTokens(b, "p1", first)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = tokens.Issue(auth.Claims{UserID: user, SessionID: session}, noon)
	}
}

// TestKeyEnds: a token ends with the key that signed it, also one that is remembered.
func TestKeyEnds(t *testing.T) {
	token := issue(t, newTokens(t, "p1", first), auth.Claims{UserID: user}, noon)
	ending := first
	ending.Until = noon.Add(time.Minute).Unix()
	tokens := newTokens(t, "p1", second, ending)
	for range 2 {
		if c, err := tokens.Verify(token, noon.Add(59*time.Second)); err != nil || c.ExpiresAt != ending.Until {
			t.Errorf("before the end: %+v, %v", c, err)
		}
	}
	for _, fresh := range []*auth.Tokens{tokens, newTokens(t, "p1", second, ending)} {
		if _, err := fresh.Verify(token, noon.Add(time.Minute)); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("at the end: %v", err)
		}
	}
}
