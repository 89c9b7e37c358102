package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/snapshot"
)

// instance is one running guest: its memory, its exports, its counters, and the state of the call that it is in. One
// goroutine at a time may use it; the pool sees to that. The watchdog alone reaches into a running one, through due and poison.
type instance struct {
	module  *module
	guest   api.Module
	memory  api.Memory
	state   *state              // what it began with
	backing snapshot.Memory     // what memory is made of
	globals []api.MutableGlobal // the guest's own, see module.globals
	policy  api.Function        // nil if the guest exports none
	hook    api.Function        // nil if the guest exports none
	failed  api.Function        // of a script: tells of its last exception
	buffer  uint32              // where the guest wants its events
	ctx     context.Context
	stack   [2]uint64 // parameters and result of a call
	bytes   int64     // what account has counted of it
	broken  bool      // the last call left it in an unknown state: it must not be used again

	// The guest's counters, see package meter. fuel + total is what it has left.
	fuel, total, depth api.MutableGlobal
	budget             int64 // what the present call began with

	due      atomic.Int64 // tick at which the present call is overdue; 0: the guest does not run, or waits for a place in the lane
	mu       sync.Mutex   // guards poisoned, and total between the watchdog and the end of a call
	poisoned bool         // the watchdog has taken the present call's fuel

	// How long the present call has run, see turn.
	turns    int64         // slices that it has spent
	begun    int64         // tick at which it began
	inLane   bool          // it has a place
	patience time.Duration // for which it may wait for one

	// What host functions see of the present call.
	requestID string
	clock     int64 // nanoseconds since 1970: the event's time, plus what the guest has slept
	random    *rand.ChaCha8
	logLines  int64
	reader    Reader          // nil: there is nothing to read
	reading   context.Context // for reader
	hostCalls int64           // of reader
	hostBytes int64           // that reader has returned
	hostErr   error           // why a host function has ended the call
	scratch   []byte          // what reader appends to
	line      []byte          // printed, but not to its end yet
	lineLevel slog.Level
}

// epoch is the earliest time that a guest's clock shows: Go's runtime takes zero for a broken clock.
const epoch = int64(time.Second)

// stackBytes is how deep a guest may call, by the bounds of package meter.
const stackBytes = 1 << 20

// engineStack is how the engine says that its own stack has ended. Only its interpreter does, which takes calls 2,000 deep.
const engineStack = "wasm error: stack overflow"

// instanceKey finds the instance in the context that a host function gets.
type instanceKey struct{}

// instantiate makes an instance in a state. The state must outlive it.
func (m *module) instantiate(ctx context.Context, from *state) (*instance, error) {
	m.host.pools.makeRoom(m.base)
	in := &instance{module: m, state: from, buffer: from.buffer, clock: epoch}
	in.ctx = context.WithValue(context.Background(), instanceKey{}, in)
	most := max(min(uint64(m.bundle.limits.MemoryPages), m.maxPages)*wasmPage, uint64(len(from.image.Bytes())))
	var err error
	if in.backing, err = from.image.Memory(most); err != nil {
		return nil, fmt.Errorf("hooks: module %q cannot be instantiated: %w", m.name, err)
	}
	allocator := experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return growth{in.backing, in} })
	guest, err := m.host.engine.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), m.code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		in.backing.Free()
		return nil, fmt.Errorf("hooks: module %q cannot be instantiated: %w", m.name, err)
	}
	in.guest = guest
	in.memory = guest.ExportedMemory(exportMemory)
	in.fuel = mutable(guest, meter.Fuel)
	in.total = mutable(guest, meter.Total)
	in.depth = mutable(guest, meter.Stack)
	for _, name := range m.globals {
		in.globals = append(in.globals, mutable(guest, name))
	}
	in.restoreGlobals()
	in.policy = guest.ExportedFunction(exportPolicy)
	in.hook = guest.ExportedFunction(exportHook)
	if m.script != nil {
		in.failed = guest.ExportedFunction("failure")
	}
	in.account()
	m.host.watch.add(in)
	return in, nil
}

func mutable(guest api.Module, export string) api.MutableGlobal {
	return guest.ExportedGlobal(export).(api.MutableGlobal)
}

// bringUp is what happens once in the life of a module: start function, _initialize, version, buffer, init. Each may
// trap or take too long.
func (in *instance) bringUp() error {
	options := &in.module.host.options
	in.begin(options.InitFuel, options.InitTime)
	defer in.end()
	for _, export := range []string{meter.Start, exportInitialize} {
		if err := in.optional(export); err != nil {
			return err
		}
	}
	version, err := in.invoke(exportVersion)
	if err != nil {
		return err
	}
	if int32(version) != abiVersion {
		return &ABIError{Module: in.module.name, Why: fmt.Sprintf("it speaks version %d of the guest contract, this host speaks %d", int32(version), abiVersion)}
	}
	if err := in.makeBuffer(); err != nil {
		return err
	}
	return in.optional(exportInit)
}

// makeBuffer asks the guest for room for its events.
func (in *instance) makeBuffer() error {
	size := uint32(in.module.bundle.limits.EventBytes)
	buffer, err := in.invoke(exportAlloc, uint64(size))
	if err != nil {
		return err
	}
	in.buffer = uint32(buffer)
	if _, ok := in.memory.Read(in.buffer, size); !ok || in.buffer == 0 {
		return &ABIError{Module: in.module.name, Why: fmt.Sprintf("alloc(%d) returned %d, which does not leave room for that many bytes in its memory", size, in.buffer)}
	}
	return nil
}

// optional calls an export without parameters, if there is one.
func (in *instance) optional(export string) error {
	if in.guest.ExportedFunction(export) == nil {
		return nil
	}
	_, err := in.invoke(export)
	return err
}

// invoke calls an export while the instance is brought up; the hot path does without it.
func (in *instance) invoke(export string, params ...uint64) (uint64, error) {
	results, err := in.guest.ExportedFunction(export).Call(in.ctx, params...)
	if err := in.failure(export, err); err != nil {
		return 0, err
	}
	if len(results) == 0 {
		return 0, nil
	}
	return results[0], nil
}

// call asks the guest about one event. It sets broken when the instance must not be used again.
func (in *instance) call(q *question, e *Event) (Decision, error) {
	d, err := in.judge(q, e)
	in.endTurns()
	return d, err
}

func (in *instance) judge(q *question, e *Event) (Decision, error) {
	limits := &in.module.bundle.limits
	fn, fuel, limit := in.policy, limits.PolicyFuel, limits.PolicyMillis
	if q.function == exportHook {
		fn, fuel, limit = in.hook, limits.HookFuel, limits.HookMillis
	}
	in.hostCalls = 0
	size, err := in.writeEvent(e, q.event)
	if err != nil {
		return Decision{}, err
	}
	in.requestID = e.RequestID
	in.clock = max(e.Now*int64(time.Millisecond), epoch)
	in.stack = [2]uint64{uint64(e.Op), uint64(size)}
	in.begin(fuel, time.Duration(limit)*time.Millisecond)
	in.patience = in.module.host.options.QueueTime
	if err := in.queue(); err != nil {
		in.stop()
		return Decision{Budget: uint64(fuel)}, fmt.Errorf("hooks: module %q: %s: %w", in.module.name, q.function, err)
	}
	err = in.failure(q.function, fn.CallWithStack(in.ctx, in.stack[:]))
	in.stop()
	spent := uint64(min(in.budget-in.left(), in.budget))
	if err != nil {
		in.broken = true
		return Decision{Fuel: spent, Budget: uint64(fuel)}, err
	}
	d, err := in.answer(q, e, in.stack[0])
	d.Fuel, d.Budget = spent, uint64(fuel)
	if err != nil && !isException(err) {
		in.broken = true // a guest that lies about its memory may have ruined it
	}
	return d, err
}

// begin gives the guest its fuel and starts the clock.
func (in *instance) begin(fuel int64, limit time.Duration) {
	in.budget = fuel
	slice := min(fuel, meter.Slice)
	in.fuel.Set(uint64(slice))
	in.total.Set(uint64(fuel - slice))
	in.depth.Set(in.module.stack)
	in.random = nil
	in.logLines = 0
	in.hostCalls, in.hostBytes, in.hostErr = 0, 0, nil
	in.beginTurns(in.module.host.options.InitTime) // a call is less patient
	watch := in.module.host.watch
	in.due.Store(watch.due(limit))
	watch.notice()
}

// end is the end of what is no call.
func (in *instance) end() {
	in.stop()
	in.endTurns()
}

// stop stops the clock and lets go of what was borrowed for a call.
func (in *instance) stop() {
	in.mu.Lock()
	in.due.Store(0)
	in.poisoned = false
	in.mu.Unlock()
	in.flush()
	in.requestID = ""
}

// poisonUnits are what poison takes: far more than there are, and far from wrapping around.
const poisonUnits = int64(1) << 61

// poison takes the guest's fuel, if it runs still: it traps when its present slice is spent. The guest itself writes
// its total rarely, and may then undo this; the watchdog tries again at every tick. What was left can still be told: a guest that
// ends within its slice has given its verdict, for the fuel that it always takes.
func (in *instance) poison() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.due.Load() == 0 {
		return
	}
	in.poisoned = true
	if total := int64(in.total.Get()); total > -poisonUnits/2 {
		in.total.Set(uint64(total - poisonUnits))
	}
}

// left is the fuel that the guest has left; negative: it overdrew.
func (in *instance) left() int64 {
	total := int64(in.total.Get())
	if total < -poisonUnits/2 {
		total += poisonUnits
	}
	return int64(in.fuel.Get()) + total
}

// charge makes the guest pay for what a host function does on its behalf.
func (in *instance) charge(units int64) {
	fuel := int64(in.fuel.Get()) - units
	in.fuel.Set(uint64(fuel))
	if in.left() < 0 {
		panic(ErrFuel)
	}
}

// failure says how a call of function went, by what the engine returned and by the counters. Call it before end.
func (in *instance) failure(function string, err error) error {
	if function == meter.Start {
		function = "its start function"
	}
	in.mu.Lock()
	poisoned := in.poisoned
	in.mu.Unlock()
	switch {
	case poisoned && err != nil:
		err = ErrTimeout
	case in.left() < 0: // also of a guest that ended before anything looked
		err = ErrFuel
	case err == nil:
		return nil
	case in.hostErr != nil:
		err = in.hostErr
	case int32(in.depth.Get()) < 0, strings.Contains(err.Error(), engineStack):
		err = ErrStack
	default:
		return &TrapError{Module: in.module.name, Function: function, Err: err}
	}
	return fmt.Errorf("hooks: module %q: %s: %w", in.module.name, function, err)
}

// writeEvent writes e straight into the guest's buffer and returns its length.
func (in *instance) writeEvent(e *Event, name string) (int, error) {
	limit := int(in.module.bundle.limits.EventBytes)
	// The view is taken anew each time: it moves when the guest's memory grows.
	view, ok := in.memory.Read(in.buffer, uint32(limit))
	if !ok {
		in.broken = true
		return 0, &ABIError{Module: in.module.name, Why: "its buffer left its memory"}
	}
	written := e.append(view[:0], name)
	if len(written) > limit { // append has moved to memory of its own: the guest saw only part of it
		return 0, fmt.Errorf("hooks: module %q: %w", in.module.name, ErrEventTooLarge)
	}
	return len(written), nil
}

// close frees the instance. It must not be used, and must not run, any more.
func (in *instance) close() {
	in.module.host.watch.remove(in)
	_ = in.guest.Close(context.Background()) // there is nothing in it that can fail
	in.backing.Free()
	in.module.host.pools.bytes.Add(-in.bytes)
	in.bytes = 0
}
