package hooks

import (
	"context"

	"github.com/sluice-edge/sluice/hooks/snapshot"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// WithIsolation forces a method.
func (o Options) WithIsolation(method snapshot.Method) Options {
	o.isolation = method
	return o
}

// Bench asks a bundle's first module in ways that a bundle does not offer, to be compared with the one that it does.
type Bench struct {
	mod *module
	in  *instance
	raw *state
}

// NewBench takes an instance and keeps it until Close. wasm is the module's file.
func (b *Bundle) NewBench(wasm []byte) (*Bench, error) {
	mod := b.modules[0]
	in, err := mod.take(context.Background())
	if err != nil {
		return nil, err
	}
	parsed, err := wasmbin.Decode(wasm)
	if err != nil {
		return nil, err
	}
	memory, err := takeData(parsed)
	if err != nil {
		return nil, err
	}
	image, err := b.host.space.Image(memory)
	return &Bench{mod: mod, in: in, raw: &state{image: image}}, err
}

// Reuse asks the instance and does not restore it.
func (b *Bench) Reuse(e *Event) error {
	_, err := b.in.call(&policyQuestions[e.Op], e)
	return err
}

// Snapshot makes an instance from the module's state for one call.
func (b *Bench) Snapshot(e *Event) error { return b.once(b.mod.state, e) }

// Scratch brings an instance up for one call.
func (b *Bench) Scratch(e *Event) error { return b.once(b.raw, e) }

func (b *Bench) once(from *state, e *Event) error {
	in, err := b.mod.instantiate(context.Background(), from)
	if err != nil {
		return err
	}
	defer in.close()
	if from == b.raw {
		if err := in.bringUp(); err != nil {
			return err
		}
	}
	_, err = in.call(&policyQuestions[e.Op], e)
	return err
}

// Pages returns the size of the module's state in pages of 64 KiB.
func (b *Bench) Pages() int { return len(b.mod.state.image.Bytes()) / wasmPage }

// Close gives back what the bench holds.
func (b *Bench) Close() {
	b.mod.put(b.in)
	b.raw.close()
}

// PooledBytes returns what all instances keep in memory.
func (h *Host) PooledBytes() int64 { return h.pools.bytes.Load() }

// Resting returns how many instances of the bundle's first module rest.
func (b *Bundle) Resting() int {
	idle, spent := b.Pool()
	return idle + spent
}

// Pool returns how many instances of the bundle's first module are restored, and how many wait for it.
func (b *Bundle) Pool() (idle, spent int) {
	mod := b.modules[0]
	mod.mu.Lock()
	defer mod.mu.Unlock()
	return len(mod.idle), len(mod.spent)
}

// Lane returns how many places for long calls are free; if none is, how many calls wait, negated.
func (h *Host) Lane() int {
	now := h.LongCalls()
	return now.Places - now.Running - now.Waiting
}

// FillLane takes every place, and returns what gives them back.
func (h *Host) FillLane() (leave func()) {
	n := h.Lane()
	for range n {
		h.lane.enter(new(Bundle), 0)
	}
	return func() {
		for range n {
			h.lane.leave()
		}
	}
}

// PassTicks lets the watchdog look n times.
func (h *Host) PassTicks(n int64) {
	for range n {
		h.watch.look(h.watch.ticks.Add(1))
	}
}
