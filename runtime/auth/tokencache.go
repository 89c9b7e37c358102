package auth

import (
	"sync"
	"sync/atomic"
)

const (
	cacheShards   = 16
	cachePerShard = 256 // 4096 tokens a project
)

// tokenCache remembers verified tokens by their exact text: a different spelling of the same token is another key and
// is verified on its own. It holds only tokens that this project signed, so a stranger can neither fill nor steer it.
type tokenCache struct {
	generation atomic.Uint64 // +1 by purge and reset, so that a Verify already under way puts nothing back
	shards     [cacheShards]tokenShard
}

type tokenShard struct {
	mu     sync.RWMutex
	tokens map[string]Claims // guarded by mu
}

// shard picks by two characters of the signature, which are as good as random.
func (c *tokenCache) shard(last, before byte) *tokenShard {
	return &c.shards[(last^before<<1)%cacheShards]
}

func (c *tokenCache) get(token []byte) (Claims, bool) {
	n := len(token)
	if n < 8 {
		return Claims{}, false
	}
	s := c.shard(token[n-4], token[n-5])
	s.mu.RLock()
	claims, ok := s.tokens[string(token)] // the compiler makes no copy for a lookup
	s.mu.RUnlock()
	return claims, ok
}

// put remembers a token unless something was forgotten since generation was read. A full shard drops one that has
// expired, or else any one, of the first few: the map's random order is a good enough replacement policy for a cache whose miss
// costs microseconds.
func (c *tokenCache) put(token string, claims Claims, now int64, generation uint64) {
	n := len(token)
	s := c.shard(token[n-4], token[n-5])
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.generation.Load() != generation {
		return
	}
	if len(s.tokens) >= cachePerShard {
		looked, victim := 0, ""
		for text, old := range s.tokens {
			victim = text
			if looked++; old.ExpiresAt <= now || looked == 8 {
				break
			}
		}
		delete(s.tokens, victim)
	}
	s.tokens[token] = claims
}

func (c *tokenCache) purge(sessionID string) {
	c.generation.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for text, claims := range s.tokens {
			if claims.SessionID == sessionID {
				delete(s.tokens, text)
			}
		}
		s.mu.Unlock()
	}
}

func (c *tokenCache) reset() {
	c.generation.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.tokens = make(map[string]Claims)
		s.mu.Unlock()
	}
}
