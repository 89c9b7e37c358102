package hooks

import (
	"fmt"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/snapshot"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// A guest that runs for long is one of few that may. Whenever it has spent a slice of its fuel it comes here, on the goroutine of
// its call and outside of native code. Short calls just go on: they never notice. One that has spent shortTurns slices goes on in the
// host's lane, which has places for half of the processors, and from there on lets everybody else go first at each slice. So
// guests that spin, of however many bundles, leave half of the machine alone, and what they have of the other half is shared among their
// bundles evenly.
//
// How it comes here: the engine asks the instance's allocator whenever a memory shall grow. The function that package meter adds for
// spent slices is given a first part that asks for a page which it never gets, having said through its fuel that this is what it
// is about.

const (
	// shortTurns is how many slices a call may spend before it counts as long: 2 million units, a millisecond of arithmetic, or a script that
	// judges a page of documents.
	shortTurns = 100
	// shortTicks is the same on the clock, for guests that wait for memory: 20 to 25 ms, which a machine that is busy with other
	// things rarely takes a processor away for.
	shortTicks = 5
	// longTicks is for how long all calls of a bundle begin in the lane when one has grown its memory: a second.
	longTicks = 200
	// longGrowth is by how much a memory may grow in a call before that is much: the system makes every page of it, and takes it back.
	// 1 MiB.
	longGrowth = 1 << 20
	// politeTurns is how many slices a call may spend before it lets others go first at each slice.
	politeTurns = 10
	// laneTurns is how many slices a call keeps its place for when others wait: 2 million units, a millisecond or two.
	laneTurns = 100
	laneTicks = 2 // the same on the clock, 5 to 10 ms
	// endedTurns is far from both: nothing that is called outside of begin and end waits for anybody.
	endedTurns = -1 << 40
)

// atTurn is the fuel of a guest that asks for a page and means its turn. Nothing else makes it so little: poison takes from the total.
const atTurn = -1 << 62

// addTurn makes the function that a rewritten module calls when a slice is spent begin with the host's turn, and takes the memory's own
// maximum out of the engine's sight, which would refuse a page without asking. It returns that maximum, in pages.
func addTurn(m *wasmbin.Module) (maxPages uint64, err error) {
	fuel := slices.IndexFunc(m.Exports, func(e wasmbin.Export) bool { return e.Name == meter.Fuel })
	if fuel < 0 || len(m.Bodies) == 0 || len(m.Memories) != 1 {
		return 0, fmt.Errorf("has no fuel, no code or no memory") // package meter has seen to all of them
	}
	body := &m.Bodies[len(m.Bodies)-1] // meter.Rewrite adds it last
	local := uint32(0)
	for _, group := range body.Locals {
		local += group.Count
	}
	body.Locals = append(slices.Clip(body.Locals), wasmbin.LocalGroup{Count: 1, Type: wasmbin.I64})
	index := m.Exports[fuel].Index
	code := wasmbin.AppendUint32([]byte{wasmbin.OpGlobalGet}, index)
	code = wasmbin.AppendUint32(append(code, wasmbin.OpLocalSet), local)
	code = wasmbin.AppendInt64(append(code, wasmbin.OpI64Const), atTurn)
	code = wasmbin.AppendUint32(append(code, wasmbin.OpGlobalSet), index)
	code = append(code, wasmbin.OpI32Const, 1, wasmbin.OpMemoryGrow, 0, wasmbin.OpDrop)
	code = wasmbin.AppendUint32(append(code, wasmbin.OpLocalGet), local)
	code = wasmbin.AppendUint32(append(code, wasmbin.OpGlobalSet), index)
	body.Code = append(code, body.Code...)

	limits := &m.Memories[0]
	maxPages = maxMemoryPages
	if limits.HasMax {
		maxPages = uint64(limits.Max)
	}
	limits.HasMax, limits.Max = false, 0
	return maxPages, nil
}

// maxMemoryPages is what WebAssembly has addresses for.
const maxMemoryPages = 1 << 16

// growth is the memory that the engine sees: the instance's, and its turns.
type growth struct {
	snapshot.Memory
	in *instance
}

// Reallocate is asked for more memory, or for a turn.
func (g growth) Reallocate(size uint64) []byte {
	if fuel := g.in.fuel; fuel != nil && int64(fuel.Get()) == atTurn {
		g.in.turn()
		return nil
	}
	if g.in.turns >= 0 && size > uint64(len(g.in.state.image.Bytes()))+longGrowth {
		g.in.module.bundle.grewMuch()
	}
	return g.Memory.Reallocate(size)
}

// grewMuch has the bundle's calls begin in the lane for a while.
func (b *Bundle) grewMuch() { b.longUntil.Store(b.host.watch.ticks.Load() + longTicks) }

// turn is where a guest's call is after each slice.
func (in *instance) turn() {
	in.turns++
	if in.turns < politeTurns {
		return
	}
	lane, ticks := &in.module.host.lane, in.module.host.watch.ticks.Load()-in.begun
	switch {
	case !in.inLane && in.turns < shortTurns && ticks < shortTicks:
	case !in.inLane:
		in.wait(lane)
	case in.turns%laneTurns != 0 && ticks < laneTicks:
	case lane.wanted():
		lane.leave()
		in.inLane = false
		in.wait(lane)
	}
	goruntime.Gosched()
}

// wait is a long call's way into the lane.
func (in *instance) wait(l *lane) {
	if err := in.enter(l); err != nil {
		in.fuel.Set(0) // the slice that was spent
		in.hostErr = err
		panic(err)
	}
}

// enter waits for a place in the lane. Its time does not count as the guest's.
func (in *instance) enter(l *lane) error {
	watch := in.module.host.watch
	in.mu.Lock()
	due := in.due.Load()
	in.due.Store(0)
	in.mu.Unlock()
	begun := watch.ticks.Load()
	in.inLane = l.enter(in.module.bundle, in.patience)
	in.mu.Lock()
	waited := watch.ticks.Load() - begun
	in.begun += waited
	if in.inLane {
		in.begun = watch.ticks.Load() // from here on it is about how long it keeps its place for
	}
	if due != 0 {
		in.due.Store(due + waited)
	}
	in.mu.Unlock()
	watch.notice()
	if !in.inLane {
		return fmt.Errorf("waited %v for a place among guests that run for long: %w", in.patience, ErrBusy)
	}
	return nil
}

// queue has a call begin in the lane if one of its bundle's has grown its memory by much lately. Such guests hold a processor, and keep
// the system from their neighbours' memory, without ever coming to their turn: one instruction fills all of a memory.
func (in *instance) queue() error {
	if in.begun < in.module.bundle.longUntil.Load() {
		return in.enter(&in.module.host.lane)
	}
	return nil
}

// endTurns gives a place in the lane back, when the call is over. What the call has done to the memory is undone before: it may take as
// long as the call did.
func (in *instance) endTurns() {
	in.turns = endedTurns
	if in.inLane {
		if !in.broken && in.state == in.module.state {
			in.restore()
		}
		if in.broken {
			in.close()
		}
		in.inLane = false
		in.module.host.lane.leave()
	}
}

// beginTurns makes a call a short one. patience is how long it may wait for a place, each time.
func (in *instance) beginTurns(patience time.Duration) {
	in.turns, in.patience = 0, patience
	in.begun = in.module.host.watch.ticks.Load()
}
