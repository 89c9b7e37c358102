package hooks

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is how often the watchdog looks, and so how exact wall-clock bounds are.
const tick = 5 * time.Millisecond

// watchdog takes the fuel of guests that have run past their wall-clock bound. Fuel decides verdicts; this is the last
// resort against a machine so slow that fuel lasts too long. One goroutine watches all instances, so that a call costs
// two atomic stores and no timer; it counts ticks, not time, so that a machine that stands still makes nobody overdue.
type watchdog struct {
	ticks  atomic.Int64
	parked atomic.Bool   // nobody runs: the goroutine sleeps until woken
	wake   chan struct{} // holds one token
	stop   chan struct{}
	once   sync.Once
	done   sync.WaitGroup

	mu        sync.Mutex
	instances map[*instance]struct{}
}

// idleTicks is for how long nobody must have run before the watchdog sleeps.
const idleTicks = 20

func newWatchdog() *watchdog {
	w := &watchdog{wake: make(chan struct{}, 1), stop: make(chan struct{}), instances: make(map[*instance]struct{})}
	w.done.Go(w.run)
	return w
}

func (w *watchdog) add(in *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances[in] = struct{}{}
}

func (w *watchdog) remove(in *instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.instances, in)
}

// due returns the tick at which something that begins now and may take limit is overdue. It is never 0.
func (w *watchdog) due(limit time.Duration) int64 {
	return w.ticks.Load() + 2 + int64(limit/tick)
}

// notice wakes the watchdog if it sleeps. Call it after an instance has been marked as running: either this sees that
// the watchdog is parked, or the watchdog's last look before it sleeps sees the instance.
func (w *watchdog) notice() {
	if w.parked.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *watchdog) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for idle := 0; ; {
		select {
		case <-w.stop:
			return
		case <-ticker.C:
		}
		if w.look(w.ticks.Add(1)) {
			idle = 0
			continue
		}
		if idle++; idle < idleTicks {
			continue
		}
		idle = 0
		w.parked.Store(true)
		if !w.look(w.ticks.Load()) {
			ticker.Stop()
			select {
			case <-w.stop:
				return
			case <-w.wake:
			}
			ticker.Reset(tick)
		}
		w.parked.Store(false)
	}
}

// look stops whatever is overdue at tick now, and reports whether anything runs.
func (w *watchdog) look(now int64) (running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for in := range w.instances {
		if due := in.due.Load(); due != 0 {
			running = true
			if now > due {
				in.poison()
			}
		}
	}
	return running
}

// close ends the goroutine.
func (w *watchdog) close() {
	w.once.Do(func() { close(w.stop) })
	w.done.Wait()
}
