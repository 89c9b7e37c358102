package blobs

import (
	"context"
	"sync"
)

// Lease keeps the bytes of its object from being removed until it is released. Who was given one commits the record, or
// gives it up, and then calls Release.
type Lease struct {
	Object
	pins *pins
	once sync.Once
}

// Release ends the lease. It may be called more than once.
func (l *Lease) Release() { l.once.Do(func() { l.pins.unpin(l.Hash) }) }

// pins counts the leases of each hash, and keeps leases and removals of the same hash apart.
type pins struct {
	mu    sync.Mutex
	of    map[Hash]*pin // only hashes that are pinned or being removed
	holds int           // while above zero nothing is removed
}

// pin is the state of one hash: pinned by count leases, or else being removed.
type pin struct {
	count    int
	removing chan struct{} // closed when the removal has ended; nil while there is none
}

// pin pins the hash, once a removal of it that is under way has ended.
func (p *pins) pin(ctx context.Context, h Hash) error {
	for {
		p.mu.Lock()
		s := p.of[h]
		if s == nil {
			s = &pin{}
			p.of[h] = s
		}
		removing := s.removing
		if removing == nil {
			s.count++
		}
		p.mu.Unlock()
		if removing == nil {
			return nil
		}
		select {
		case <-removing:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *pins) unpin(h Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[h]
	if s.count--; s.count == 0 {
		delete(p.of, h)
	}
}

// remove runs f while nobody can pin the hash. It reports false, without running f, if the hash is pinned, if it is being
// removed already, or if removals are held.
func (p *pins) remove(h Hash, f func() error) (bool, error) {
	p.mu.Lock()
	if p.holds > 0 || p.of[h] != nil {
		p.mu.Unlock()
		return false, nil
	}
	done := make(chan struct{})
	p.of[h] = &pin{removing: done}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.of, h)
		p.mu.Unlock()
		close(done)
	}()
	return true, f()
}

// hold stops removals until the function that it returns was called.
func (p *pins) hold() func() {
	p.mu.Lock()
	p.holds++
	p.mu.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			p.mu.Lock()
			p.holds--
			p.mu.Unlock()
		})
	}
}
