package project

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// Errors of Compact.
var (
	ErrCompacting = errors.New("a compaction of this project is running already")
	ErrClosing    = errors.New("the project is being closed")
)

// Compaction is the newest compaction of a project's file since the node started: the running one, or the last that
// ended. Sizes are in bytes.
type Compaction struct {
	Running   bool         `json:"running"`
	Done      int64        `json:"done"`  // while it runs: of Total
	Total     int64        `json:"total"` // an estimate
	StartedAt string       `json:"startedAt"`
	EndedAt   string       `json:"endedAt,omitempty"`
	Result    kv.Compacted `json:"result"` // when it ended well
	Error     string       `json:"error,omitempty"`
}

// compaction runs at most one compaction at a time, in the background.
type compaction struct {
	mu      sync.Mutex
	newest  *Compaction
	cancel  context.CancelFunc // of the running one
	running sync.WaitGroup
	closed  bool
}

// Compact begins to write the project's file anew without its holes, while the project is in use, and returns at once;
// Compaction tells how far it is. Errors: ErrCompacting, ErrBroken, ErrClosing.
func (p *Project) Compact(now func() time.Time) error {
	if p.broken != nil {
		return ErrBroken
	}
	c := &p.compaction
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosing
	case c.newest != nil && c.newest.Running:
		return ErrCompacting
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	c.newest = &Compaction{Running: true, StartedAt: Timestamp(now())}
	c.running.Go(func() {
		result, err := p.DB.Compact(ctx, c.progress)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cancel()
		c.newest.Running, c.newest.EndedAt, c.newest.Result = false, Timestamp(now()), result
		if err != nil {
			c.newest.Error = err.Error()
		}
	})
	return nil
}

func (c *compaction) progress(done, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest.Done, c.newest.Total = done, total
}

// Compaction returns the newest compaction; ok is false when there was none.
func (p *Project) Compaction() (newest Compaction, ok bool) {
	p.compaction.mu.Lock()
	defer p.compaction.mu.Unlock()
	if p.compaction.newest == nil {
		return newest, false
	}
	return *p.compaction.newest, true
}

// stop ends a running compaction, which leaves the file as it was, and lets none begin.
func (c *compaction) stop() {
	c.mu.Lock()
	c.closed = true
	if c.cancel != nil {
		c.cancel()
	}
	c.mu.Unlock()
	c.running.Wait()
}
