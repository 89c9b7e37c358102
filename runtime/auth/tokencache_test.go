package auth

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func (c *tokenCache) len() int {
	n := 0
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].tokens)
		c.shards[i].mu.RUnlock()
	}
	return n
}

func TestTokenCache(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	tokens, err := NewTokens("p1", SigningKey{ID: "k1", Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(i int, session string) {
		t.Helper()
		user := fmt.Sprintf("%024d", i)
		token, err := tokens.Issue(Claims{UserID: user, SessionID: session}, now)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if c, err := tokens.Verify([]byte(token.Reveal()), now); err != nil || c.UserID != user {
				t.Fatalf("token %d: %+v, %v", i, c, err)
			}
		}
	}
	t.Run("never holds more than its bound", func(t *testing.T) {
		for i := range 6000 {
			verify(i, "s1")
		}
		if n := tokens.cache.len(); n > cacheShards*cachePerShard || n < cacheShards*cachePerShard*9/10 {
			t.Fatalf("%d tokens remembered", n)
		}
	})
	t.Run("purge forgets one session only", func(t *testing.T) {
		tokens.Clear()
		verify(1, "s1")
		verify(2, "s2")
		verify(3, "s1")
		tokens.Purge("s1")
		if n := tokens.cache.len(); n != 1 {
			t.Fatalf("%d tokens remembered, want 1", n)
		}
	})
	t.Run("what was verified before a purge is not put back after it", func(t *testing.T) {
		tokens.Clear()
		generation := tokens.cache.generation.Load()
		tokens.Purge("s1")
		tokens.cache.put("a.bbbbbbbb.cccccccc", Claims{SessionID: "s1", ExpiresAt: now.Unix() + 60}, now.Unix(), generation)
		if n := tokens.cache.len(); n != 0 {
			t.Fatal("a purged token is remembered")
		}
	})
	t.Run("refused tokens are not remembered", func(t *testing.T) {
		tokens.Clear()
		for i := range 100 {
			if _, err := tokens.Verify(fmt.Appendf(nil, "a.b.%040d", i), now); err == nil {
				t.Fatal("accepted")
			}
		}
		if n := tokens.cache.len(); n != 0 {
			t.Fatalf("%d tokens remembered", n)
		}
	})
}
