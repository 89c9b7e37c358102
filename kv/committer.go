package kv

import (
	"runtime"
	"time"
)

// commitLoop is the committer: it takes what waits, applies it as one group
// with one fsync, and answers everybody.
func (db *DB) commitLoop() {
	defer close(db.drained)
	var group []*job
	last := 0 // size of the last group
	for first := range db.queue {
		group = db.gather(append(group[:0], first), last)
		group = take(group)
		if len(group) == 0 {
			continue
		}
		db.awaitDisk()
		if err := db.apply(group); err != nil {
			for _, j := range group {
				j.result = Result{Err: err}
			}
		}
		for _, j := range group {
			j.done <- struct{}{}
		}
		last = len(group)
		clear(group)
	}
}

// gather adds what waits to a group. After a group of several it lingers for
// the writers of that group to come back, or half of them would always miss
// the bus; a lone writer never waits. It yields instead of sleeping, as a
// sleep this short may take a millisecond on an idle system.
func (db *DB) gather(group []*job, last int) []*job {
	bytes := len(group[0].encoded)
	var deadline time.Time
	for len(group) < db.opt.GroupCount && bytes < db.opt.GroupBytes {
		select {
		case j, ok := <-db.queue:
			if !ok {
				return group
			}
			group = append(group, j)
			bytes += len(j.encoded)
			continue
		default:
		}
		if last <= 1 || len(group) >= last || db.opt.Linger <= 0 {
			return group
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now.Add(db.opt.Linger)
		}
		if !now.Before(deadline) {
			return group
		}
		runtime.Gosched()
	}
	return group
}

// take drops the jobs whose authors went away.
func take(group []*job) []*job {
	kept := group[:0]
	for _, j := range group {
		if j.state.CompareAndSwap(jobQueued, jobTaken) {
			kept = append(kept, j)
		}
	}
	return kept
}
