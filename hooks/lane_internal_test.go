package hooks

import (
	"sync"
	"testing"
	"time"
)

// One bundle with many long calls keeps another one's waiting no longer than a single one would.
func TestBundlesEnterTheLaneInTurn(t *testing.T) {
	l := &lane{free: 1}
	greedy, modest := new(Bundle), new(Bundle)
	if !l.enter(greedy, 0) {
		t.Fatal("an empty lane has no place")
	}
	var (
		wg    sync.WaitGroup
		order = make(chan *Bundle, 20)
	)
	enter := func(b *Bundle, calls int) {
		for range calls {
			before := l.length()
			wg.Go(func() {
				if !l.enter(b, time.Minute) {
					t.Error("no place within a minute")
				}
				order <- b
				l.leave()
			})
			for l.length() == before { // so that they come in this order
				time.Sleep(time.Millisecond)
			}
		}
	}
	enter(greedy, 10)
	enter(modest, 2)
	l.leave()
	wg.Wait()
	close(order)
	var at []int
	i := 0
	for b := range order {
		if b == modest {
			at = append(at, i)
		}
		i++
	}
	if len(at) != 2 || at[0] != 1 || at[1] != 3 {
		t.Errorf("the modest one's came in at %v, not second and fourth", at)
	}
	if l.free != 1 || len(l.waiting) != 0 {
		t.Errorf("%d places are free, %d rows wait", l.free, len(l.waiting))
	}
}

func TestWhoGivesUpLeavesNothingInTheLane(t *testing.T) {
	l := &lane{free: 1}
	b := new(Bundle)
	l.enter(b, 0)
	for range 3 {
		if l.enter(b, time.Millisecond) {
			t.Fatal("a full lane has a place")
		}
	}
	if len(l.waiting) != 0 || l.wanted() {
		t.Errorf("%d rows wait", len(l.waiting))
	}
	l.leave()
	if l.free != 1 || !l.enter(b, 0) {
		t.Errorf("the place was lost")
	}
}

// Calls that come, wait, give up and leave at random never lose a place, and never have one too many.
func TestTheLaneKeepsItsPlaces(t *testing.T) {
	const places = 3
	l := &lane{free: places}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		inside int
	)
	for i := range 30 {
		b := new(Bundle)
		wg.Go(func() {
			for j := range 100 {
				if !l.enter(b, time.Duration((i*j)%5)*100*time.Microsecond) {
					continue
				}
				mu.Lock()
				if inside++; inside > places {
					t.Errorf("%d are inside", inside)
				}
				mu.Unlock()
				if j%3 == 0 {
					time.Sleep(10 * time.Microsecond)
				}
				mu.Lock()
				inside--
				mu.Unlock()
				l.leave()
			}
		})
	}
	wg.Wait()
	if l.free != places || len(l.waiting) != 0 {
		t.Errorf("%d places are free, %d rows wait", l.free, len(l.waiting))
	}
}

func (l *lane) length() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range l.waiting {
		n += len(row.calls)
	}
	return n
}
