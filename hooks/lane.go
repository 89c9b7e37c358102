package hooks

import (
	"slices"
	"sync"
	"time"
)

// lane bounds how many calls that run for long there are at a time. Those that wait get in by their bundles in turn, and of one
// bundle in the order in which they came: a bundle with a hundred of them keeps another one's waiting no longer than one with a single one.
type lane struct {
	mu      sync.Mutex
	free    int        // places
	places  int        // free and taken
	turns   uint64     // that were taken so far
	gaveUp  uint64     // how many calls waited too long so far
	waiting []*laneRow // of the bundles that have calls waiting, the next one first
}

// laneRow holds one bundle's waiting calls, the longest first.
type laneRow struct {
	bundle *Bundle
	calls  []chan struct{} // closed when it gets a place
}

// enter takes a place for a call of a bundle. It returns false, and takes none, if there is none for it within patience.
func (l *lane) enter(b *Bundle, patience time.Duration) bool {
	l.mu.Lock()
	if l.free > 0 { // then nobody waits
		l.free--
		l.turns++
		l.mu.Unlock()
		return true
	}
	call := make(chan struct{})
	row := l.row(b)
	if row == nil {
		row = &laneRow{bundle: b}
		l.waiting = append(l.waiting, row)
	}
	row.calls = append(row.calls, call)
	l.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-call:
		return true
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if row := l.row(b); row != nil {
		if i := slices.Index(row.calls, call); i >= 0 {
			row.calls = slices.Delete(row.calls, i, i+1)
			l.gaveUp++
			l.forget(row)
			return false
		}
	}
	return true // it got one at the last moment
}

// leave gives a place to whoever is next.
func (l *lane) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.free++
		return
	}
	row := l.waiting[0]
	l.waiting = append(l.waiting[1:], row)
	call := row.calls[0]
	row.calls = row.calls[1:]
	l.turns++
	l.forget(row)
	close(call)
}

// LongCalls tells of the calls that run for long.
type LongCalls struct {
	Running, Waiting, Places int
	Turns                    uint64 // how often one got a place so far: again each time after it had given way
	GaveUp                   uint64 // how many were refused so far because they had waited too long
}

// LongCalls returns how many calls run for long at the moment.
func (h *Host) LongCalls() LongCalls {
	l := &h.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	now := LongCalls{Running: l.places - l.free, Places: l.places, Turns: l.turns, GaveUp: l.gaveUp}
	for _, row := range l.waiting {
		now.Waiting += len(row.calls)
	}
	return now
}

// wanted reports whether anybody waits.
func (l *lane) wanted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) > 0
}

// row finds a bundle's calls. There are as many rows as bundles that spin at the moment.
func (l *lane) row(b *Bundle) *laneRow {
	for _, row := range l.waiting {
		if row.bundle == b {
			return row
		}
	}
	return nil
}

// forget drops a row that nobody is in.
func (l *lane) forget(row *laneRow) {
	if len(row.calls) == 0 {
		l.waiting = slices.DeleteFunc(l.waiting, func(r *laneRow) bool { return r == row })
	}
}
