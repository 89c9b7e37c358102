package journal

import (
	"context"
	"sync"
)

// Log is a bounded list of numbered entries. Numbers are consecutive and only grow.
type Log[T any] struct {
	limit int

	mu      sync.Mutex
	entries []T    // a ring once it has grown to limit
	oldest  int    // place of the oldest entry in it
	next    uint64 // number of the next entry
	dropped uint64 // entries that were offered and not taken
	changed bool   // something came since the last take of Save
	wake    chan struct{}
}

// newLog makes a log of up to limit entries. It takes memory as it fills.
func newLog[T any](limit int, next uint64) *Log[T] {
	return &Log[T]{limit: limit, next: max(next, 1)}
}

// Add appends an entry; the oldest one goes when there is no room.
func (l *Log[T]) Add(entry T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) < l.limit {
		l.entries = append(l.entries, entry)
	} else {
		l.entries[l.oldest] = entry
		l.oldest = (l.oldest + 1) % l.limit
	}
	l.next++
	l.changed = true
	l.rouse()
}

// drop counts an entry that is not taken.
func (l *Log[T]) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped++
}

// rouse wakes those who wait. mu is held.
func (l *Log[T]) rouse() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// Page is a stretch of a log.
type Page[T any] struct {
	First   uint64 // number of the first entry
	Entries []T    // oldest first; the reader's
	Next    uint64 // what to ask After for next
	Missed  uint64 // entries after the number asked for that are no longer there
	Dropped uint64 // entries that were never taken, since the log began
}

// After returns up to limit entries with numbers above after, oldest first. A number that the log has not come to yet, of
// one whose newest entries were lost, stands for 0: all that is there.
func (l *Log[T]) After(after uint64, limit int) Page[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.page(after, limit)
}

// Newest returns the last limit entries, oldest first.
func (l *Log[T]) Newest(limit int) Page[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.page(l.next-1-uint64(min(limit, len(l.entries))), limit)
}

// page is After with mu held.
func (l *Log[T]) page(after uint64, limit int) Page[T] {
	first := l.next - uint64(len(l.entries)) // number of the oldest entry
	if after >= l.next {
		after = 0
	}
	p := Page[T]{First: max(after+1, first), Dropped: l.dropped}
	if after > 0 {
		p.Missed = p.First - after - 1
	}
	n := min(limit, int(l.next-p.First))
	p.Entries = make([]T, n)
	for i := range p.Entries {
		p.Entries[i] = l.entries[(l.oldest+int(p.First-first)+i)%len(l.entries)]
	}
	p.Next = p.First + uint64(n) - 1
	return p
}

// Wait returns After as soon as it holds something, or when ctx ends, whatever it holds then.
func (l *Log[T]) Wait(ctx context.Context, after uint64, limit int) Page[T] {
	for {
		l.mu.Lock()
		if p := l.page(after, limit); len(p.Entries) > 0 || ctx.Err() != nil {
			l.mu.Unlock()
			return p
		}
		if l.wake == nil {
			l.wake = make(chan struct{})
		}
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
		}
	}
}

// take returns everything for Save, and whether there is anything new.
func (l *Log[T]) take() (entries []T, next uint64, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.changed {
		return nil, 0, false
	}
	l.changed = false
	return l.page(0, l.limit).Entries, l.next, true
}
