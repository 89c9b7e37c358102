package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	goruntime "runtime"
	"time"

	"github.com/sluice-edge/sluice/hooks/snapshot"
)

// Options tune a Host. A zero field means the default written beside it.
type Options struct {
	Logger   *slog.Logger // guests' own log lines and what goes wrong with guests; nil: they are dropped
	CacheDir string       // directory for compiled code, made with mode 0700; "": nothing is kept on disk
	// Compiler returns a command that does RunCompiler with its standard input and output, killed when ctx ends: usually this same
	// binary with an argument of its own. Modules are then compiled under limits of their own; it needs a CacheDir.
	// nil: modules are compiled in this process.
	Compiler     func(ctx context.Context) *exec.Cmd
	CompileTime  time.Duration // 10 s: processor time for compiling one module; three times that on the clock
	CompileBytes int64         // 1 GiB: memory for compiling one module

	// A bundle's manifest may set those that Limits has as it needs, up to Ceiling.
	Ceiling Limits // zero fields: what docs/abi.md lists, and never less than the defaults below
	// Interpreter runs guests without compiling them, many times slower, with the same verdicts for the same fuel: for the day on
	// which a fault in the engine's compiler becomes known. Only a guest that calls more than 2,000 deep fails here and not
	// there. Nothing is cached, and Compiler is not used.
	Interpreter bool
	MemoryPages uint32        // 256: pages of 64 KiB that one instance may have
	ModuleBytes int64         // 8 MiB: size of one module
	EventBytes  int           // 256 KiB: size of one event; what alloc is asked for
	ResultBytes int           // 256 KiB: size of the text in one answer
	HostCalls   int           // 64: how often one call may ask get, find and count
	HostBytes   int64         // 1 MiB: what they may return to one call
	LogLines    int           // 16: log lines that one call may write; further ones are dropped
	LogBytes    int           // 1 KiB: length of one log line; longer ones are cut
	Instances   int           // 2 × GOMAXPROCS: instances of one module; calls beyond that wait
	PoolBytes   int64         // 256 MiB: what instances of all modules may keep in memory while they rest
	PolicyFuel  int64         // 10 million: fuel of one policy call; what it costs is in docs/abi.md
	HookFuel    int64         // 20 million: fuel of one hook call
	InitFuel    int64         // 500 million: fuel for bringing up one instance
	PolicyTime  time.Duration // 250 ms: wall-clock bound of one policy call, a last resort behind its fuel
	HookTime    time.Duration // 500 ms: wall-clock bound of one hook call
	InitTime    time.Duration // 5 s: wall-clock bound of bringing up one instance
	QueueTime   time.Duration // 1 s: how long a call may wait for an instance

	isolation snapshot.Method // the best that works here; tests force one
}

// maxFuel keeps sums of fuel far away from overflow.
const maxFuel = 1 << 50

// Validate reports every field that is out of its range.
func (o *Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("hooks: options: "+format, args...))
		}
	}
	check(o.Compiler == nil || o.CacheDir != "", "Compiler needs a CacheDir")
	check(o.CompileTime >= 0, "CompileTime is negative")
	check(o.CompileBytes >= 0, "CompileBytes is negative")
	check(o.MemoryPages <= 65536, "MemoryPages is %d, a memory has at most 65536", o.MemoryPages)
	check(o.ModuleBytes >= 0, "ModuleBytes is negative")
	check(o.EventBytes >= 0 && o.EventBytes <= 1<<30, "EventBytes is %d, not within 0 to 1 GiB", o.EventBytes)
	check(o.ResultBytes >= 0 && o.ResultBytes <= 1<<30, "ResultBytes is %d, not within 0 to 1 GiB", o.ResultBytes)
	check(o.HostCalls >= 0, "HostCalls is negative")
	check(o.HostBytes >= 0 && o.HostBytes <= 1<<30, "HostBytes is %d, not within 0 to 1 GiB", o.HostBytes)
	check(o.LogLines >= 0, "LogLines is negative")
	check(o.LogBytes >= 0, "LogBytes is negative")
	check(o.Instances >= 0, "Instances is negative")
	check(o.PoolBytes >= 0, "PoolBytes is negative")
	check(o.PolicyFuel >= 0 && o.PolicyFuel <= maxFuel, "PolicyFuel is %d, not within 0 to %d", o.PolicyFuel, int64(maxFuel))
	check(o.HookFuel >= 0 && o.HookFuel <= maxFuel, "HookFuel is %d, not within 0 to %d", o.HookFuel, int64(maxFuel))
	check(o.InitFuel >= 0 && o.InitFuel <= maxFuel, "InitFuel is %d, not within 0 to %d", o.InitFuel, int64(maxFuel))
	check(o.PolicyTime >= 0, "PolicyTime is negative")
	check(o.HookTime >= 0, "HookTime is negative")
	check(o.InitTime >= 0, "InitTime is negative")
	check(o.QueueTime >= 0, "QueueTime is negative")
	if err := o.Ceiling.validate(); err != nil {
		check(false, "Ceiling: %w", err)
	}
	for _, most := range []struct {
		name        string
		value, most int64
	}{
		{"PolicyFuel", o.Ceiling.PolicyFuel, maxFuel}, {"HookFuel", o.Ceiling.HookFuel, maxFuel}, {"MemoryPages", o.Ceiling.MemoryPages, 65536},
		{"EventBytes", o.Ceiling.EventBytes, 1 << 30}, {"AnswerBytes", o.Ceiling.AnswerBytes, 1 << 30}, {"HostBytes", o.Ceiling.HostBytes, 1 << 30},
	} {
		check(most.value <= most.most, "Ceiling: %s is %d, at most %d are possible", most.name, most.value, most.most)
	}
	return errors.Join(errs...)
}

// withDefaults fills in the zero fields.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&o.CompileTime, 10*time.Second)
	setDefault(&o.CompileBytes, 1<<30)
	setDefault(&o.MemoryPages, 256)
	setDefault(&o.ModuleBytes, 8<<20)
	setDefault(&o.EventBytes, 256<<10)
	setDefault(&o.ResultBytes, 256<<10)
	setDefault(&o.HostCalls, 64)
	setDefault(&o.HostBytes, 1<<20)
	setDefault(&o.LogLines, 16)
	setDefault(&o.LogBytes, 1<<10)
	setDefault(&o.Instances, 2*goruntime.GOMAXPROCS(0))
	setDefault(&o.PoolBytes, 256<<20)
	setDefault(&o.PolicyFuel, 10_000_000)
	setDefault(&o.HookFuel, 20_000_000)
	setDefault(&o.InitFuel, 500_000_000)
	setDefault(&o.PolicyTime, 250*time.Millisecond)
	setDefault(&o.HookTime, 500*time.Millisecond)
	setDefault(&o.InitTime, 5*time.Second)
	setDefault(&o.QueueTime, time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
