package hooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-edge/sluice/hooks/snapshot"
)

// state is what instances of a module begin with and go back to after every call: their memory and their globals. So a
// guest remembers nothing, and the same event always finds the same guest.
type state struct {
	image   *snapshot.Image
	globals []uint64 // of module.globals; nil: as the module declares them
	buffer  uint32   // where the guest wants its events; 0: not known yet
}

// close frees the state. No instance may use it.
func (s *state) close() { s.image.Close() }

// prepare makes the state that the module's calls begin with. It brings one instance up and keeps what has become of it.
//
// Guests warm themselves up in init, where their author decides what stays. The host once sent each a sample event instead:
// it bought a fifth of the Go example's time, but a guest that keeps a flag from one event to the next would have
// begun every call with what the sample left, and isolation is there so that it may.
func (m *module) prepare(ctx context.Context) error {
	image, err := m.host.space.Image(m.memory)
	m.memory = nil
	if err != nil {
		return fmt.Errorf("hooks: module %q: %w", m.name, err)
	}
	raw := &state{image: image}
	defer raw.close()
	in, err := m.instantiate(ctx, raw)
	if err != nil {
		return err
	}
	defer in.close()
	if err := in.bringUp(); err != nil {
		return err
	}
	m.report.MemoryBytes, m.report.InitFuel = int64(in.memory.Size()), uint64(min(in.budget-in.left(), in.budget))
	m.state, err = in.capture()
	return err
}

// capture keeps the present state of an instance.
func (in *instance) capture() (*state, error) {
	memory, _ := in.memory.Read(0, in.memory.Size())
	return in.captureOf(memory)
}

// captureOf is capture of an instance whose memory is zeros behind what is given.
func (in *instance) captureOf(memory []byte) (*state, error) {
	image, err := in.module.host.space.ImageOf(memory, int(in.memory.Size()))
	if err != nil {
		return nil, fmt.Errorf("hooks: module %q: %w", in.module.name, err)
	}
	s := &state{image: image, buffer: in.buffer, globals: make([]uint64, 0, len(in.globals))}
	for _, g := range in.globals {
		s.globals = append(s.globals, g.Get())
	}
	return s, nil
}

// restore puts the instance back into the state that it began with, or sets broken.
func (in *instance) restore() {
	if err := in.backing.Restore(); err != nil {
		// A memory cannot shrink: the successor of one that has grown is made from the image, which is cheap.
		in.broken = true
		if !errors.Is(err, snapshot.ErrGrown) {
			in.module.host.options.Logger.Error("guest memory cannot be restored, the instance is dropped", "module", in.module.name, "error", err)
		}
		return
	}
	in.restoreGlobals()
}

func (in *instance) restoreGlobals() {
	for i, v := range in.state.globals {
		in.globals[i].Set(v)
	}
}
