package project

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// settingUsage keeps the requests of the present day, so that restarting a node gives nobody a new day.
const settingUsage = "usage"

const daySeconds = 24 * 60 * 60

// Usage counts the requests of one project. It is used by any number of goroutines.
type Usage struct {
	minute, day window
	saved       struct {
		mu sync.Mutex
		storedUsage
	}

	Refused [RefusalKinds]atomic.Uint64 // requests that a limit turned away
}

// The limits that turn a request away.
const (
	RefusedByAddress = iota
	RefusedByMinute
	RefusedByDay
	RefusedByLogin
	RefusedByRefresh
	RefusalKinds
)

// window counts in windows of the clock, as one number: which window in the upper half, how many in the lower one.
type window struct{ v atomic.Uint64 }

// take counts one in the window that now is in, unless it holds limit already. It returns how many more it takes.
func (w *window) take(now uint32, limit int) (left int, ok bool) {
	for {
		old := w.v.Load()
		n := uint32(old)
		if uint32(old>>32) != now {
			n = 0
		}
		if int(n) >= limit {
			return 0, false
		}
		if w.v.CompareAndSwap(old, uint64(now)<<32|uint64(n+1)) {
			return limit - int(n) - 1, true
		}
	}
}

// TakeMinute counts a request against a limit for one minute of the clock. reset is how long the minute goes on.
func (u *Usage) TakeMinute(now time.Time, limit int) (left int, reset time.Duration, ok bool) {
	left, ok = u.minute.take(uint32(now.Unix()/60), limit)
	return left, now.Truncate(time.Minute).Add(time.Minute).Sub(now), ok
}

// TakeDay counts a request against a limit for one day of UTC. reset is how long the day goes on.
func (u *Usage) TakeDay(now time.Time, limit int) (left int, reset time.Duration, ok bool) {
	left, ok = u.day.take(uint32(now.Unix()/daySeconds), limit)
	return left, now.Truncate(daySeconds * time.Second).Add(daySeconds * time.Second).Sub(now), ok
}

// storedUsage is the shape of settingUsage.
type storedUsage struct {
	Day      uint32 `json:"day"` // since 1970
	Requests uint32 `json:"requests"`
}

// loadUsage takes up the count of the day where it was saved.
func (p *Project) loadUsage(snap *kv.Snapshot) error {
	raw, _, ok := snap.Setting(settingUsage)
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, &p.Usage.saved.storedUsage); err != nil {
		return fmt.Errorf("read setting %s: %w", settingUsage, err)
	}
	p.Usage.day.v.Store(uint64(p.Usage.saved.Day)<<32 | uint64(p.Usage.saved.Requests))
	return nil
}

// keepUsage stores the count of the day every minute and when the project is closed, so that a crash forgets a minute of it
// at most. That it cannot, on a full disk perhaps, keeps nobody from anything.
func (r *Registry) keepUsage(ctx context.Context, p *Project) {
	if err := p.saveUsage(ctx, r); err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "today's number of requests not saved", "project", p.ID, "error", err)
	}
}

// saveUsage stores the count of the day when it has changed.
func (p *Project) saveUsage(ctx context.Context, r *Registry) error {
	if p.broken != nil {
		return nil
	}
	u := &p.Usage
	u.saved.mu.Lock()
	defer u.saved.mu.Unlock()
	v := u.day.v.Load()
	now := storedUsage{Day: uint32(v >> 32), Requests: uint32(v)}
	if now == u.saved.storedUsage {
		return nil
	}
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: settingUsage, Value: raw})
	if _, err := p.DB.Commit(ctx, b); err != nil {
		return err
	}
	u.saved.storedUsage = now
	return nil
}
