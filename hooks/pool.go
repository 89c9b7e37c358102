package hooks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// pools bounds what the instances of all modules keep in memory. What is in use is counted but never refused: how many
// calls there are at a time is the server's affair. Instances that rest leave, those of the module first that has
// not been asked for longest, and come back from the module's image within a fraction of a millisecond.
type pools struct {
	limit int64
	bytes atomic.Int64 // of all instances, as of the last call of each
	calls atomic.Int64 // so far

	mu      sync.Mutex // held before any module's mu
	modules map[*module]struct{}
}

func (p *pools) add(m *module) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.modules[m] = struct{}{}
}

func (p *pools) remove(m *module) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.modules, m)
}

// makeRoom closes resting instances until bytes more would fit, or none rests.
func (p *pools) makeRoom(bytes int64) {
	for p.bytes.Load()+bytes > p.limit {
		in := p.coldest()
		if in == nil {
			return
		}
		in.close()
	}
}

// coldest takes the instance that has rested longest out of the pool of the module that has not been asked for longest;
// nil: none rests.
func (p *pools) coldest() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	var victim *module
	for m := range p.modules {
		if m.rests() && (victim == nil || m.used.Load() < victim.used.Load()) {
			victim = m
		}
	}
	if victim == nil {
		return nil
	}
	victim.mu.Lock()
	defer victim.mu.Unlock()
	rest := &victim.spent
	if len(*rest) == 0 {
		rest = &victim.idle
	}
	if len(*rest) == 0 { // a call came first
		return nil
	}
	in := (*rest)[0]
	*rest = slices.Delete(*rest, 0, 1)
	return in
}

func (m *module) rests() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.idle)+len(m.spent) > 0
}

// baseBytes estimates what the engine allocates for an instance: call stacks, exports, the table.
func baseBytes(m *wasmbin.Module) int64 {
	bytes := int64(32 << 10)
	for _, t := range m.Tables {
		bytes += 32 * int64(t.Limits.Min)
	}
	return bytes
}

// account counts what the instance keeps. It changes little from call to call, and nothing is written if it does not.
func (in *instance) account() {
	if bytes := in.module.base + in.backing.Kept(); bytes != in.bytes {
		in.module.host.pools.bytes.Add(bytes - in.bytes)
		in.bytes = bytes
	}
}

// take waits for a permit and returns an instance in the state that every call begins with: one that rests, else one
// that it restores, else a new one. The caller must put it back.
func (m *module) take(ctx context.Context) (*instance, error) {
	select {
	case m.permits <- struct{}{}:
	default:
		if err := m.wait(ctx); err != nil {
			return nil, err
		}
	}
	in := m.pop(&m.idle)
	for in == nil {
		if in = m.pop(&m.spent); in == nil {
			break
		}
		in = in.settle()
	}
	if in != nil {
		return in, nil
	}
	in, err := m.instantiate(ctx, m.state)
	if err != nil {
		<-m.permits
		return nil, err
	}
	return in, nil
}

// pop takes the instance that was put onto a stack last; nil: it is empty.
func (m *module) pop(stack *[]*instance) *instance {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := len(*stack) - 1
	if last < 0 {
		return nil
	}
	in := (*stack)[last]
	(*stack)[last] = nil
	*stack = (*stack)[:last]
	return in
}

func (m *module) push(stack *[]*instance, in *instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*stack = append(*stack, in)
}

// wait is the slow way to a permit.
func (m *module) wait(ctx context.Context) error {
	timer := time.NewTimer(m.host.options.QueueTime)
	defer timer.Stop()
	select {
	case m.permits <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hooks: module %q: wait for an instance: %w", m.name, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("hooks: module %q: %w", m.name, ErrBusy)
	}
}

// put returns an instance to the pool as its call has left it: whoever called has an answer to give first.
func (m *module) put(in *instance) {
	m.used.Store(m.host.pools.calls.Add(1))
	m.push(&m.spent, in)
	<-m.permits
}

// settle puts an instance back into the state that it began with. One that its call broke, or that cannot be put back,
// is freed instead: then there is none.
func (in *instance) settle() *instance {
	if !in.broken {
		in.restore()
	}
	if in.broken {
		in.close()
		return nil
	}
	in.account()
	return in
}

// tidy restores the instances that calls have left, and makes a new one if none of them can be restored. It leaves that to the
// calls which wait for instances when all are in use.
func (m *module) tidy() {
	select {
	case m.permits <- struct{}{}:
	default:
		return
	}
	defer func() { <-m.permits }()
	lost := false
	for {
		in := m.pop(&m.spent)
		if in == nil {
			break
		}
		if in.settle() != nil {
			m.push(&m.idle, in)
		} else {
			lost = true
		}
	}
	if lost && !m.rests() {
		// Making one may fail for want of memory. The next call will try, too, and has somebody to tell.
		if in, err := m.instantiate(context.Background(), m.state); err == nil {
			m.push(&m.idle, in)
		}
	}
	m.host.pools.makeRoom(0)
}

// close frees the resting instances, the state and the code. No call may be in flight.
func (m *module) close() {
	m.host.pools.remove(m)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, in := range slices.Concat(m.idle, m.spent) {
		in.close()
	}
	m.idle, m.spent = nil, nil
	if m.state != nil {
		m.state.close()
		m.state = nil
	}
	if m.script != nil {
		return // the engine is the host's
	}
	_ = m.code.Close(context.Background()) // forgets the code; it cannot fail
}
