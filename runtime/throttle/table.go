package throttle

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"
)

// ways is how many keys may share a set. With the set's lock they fill two cache lines.
const ways = 7

// Table is a rate limiter for any number of keys in memory of a fixed size.
type Table struct {
	seed maphash.Seed // so that nobody can choose keys that collide
	sets []set        // their number is a power of two
}

// set is the places that a key can be in. It is a table of its own behind a lock that is held for nanoseconds.
type set struct {
	mu   sync.Mutex
	keys [ways]uint64 // 0: free
	due  [ways]int64  // when the key's debt is paid off, Unix nanoseconds
}

// New makes a table for about that many keys that owe something at the same time: 18 bytes each, and never more.
func New(keys int) *Table {
	n := 1 << bits.Len(uint(max(keys, ways)/ways-1))
	return &Table{seed: maphash.MakeSeed(), sets: make([]set, n)}
}

// Take asks once for the key made of scope and id, which is borrowed. A rate without limit passes always. It does not allocate.
func (t *Table) Take(now time.Time, rate Rate, scope string, id []byte) Verdict {
	if !rate.Limited() {
		return Verdict{OK: true}
	}
	key := bits.RotateLeft64(maphash.String(t.seed, scope), 1) ^ maphash.Bytes(t.seed, id) // turned: scope and id are not exchangeable
	s := &t.sets[key&uint64(len(t.sets)-1)]
	key |= 1 << 63 // never 0; the low bits have chosen the set

	clock := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	place := 0
	for i := range s.keys {
		if s.keys[i] == key {
			var v Verdict
			s.due[i], v = rate.take(clock, s.due[i])
			return v
		}
		if s.due[i] < s.due[place] { // a free place owes nothing and is before all others
			place = i
		}
	}
	s.keys[place] = key
	var v Verdict
	s.due[place], v = rate.take(clock, 0)
	return v
}
