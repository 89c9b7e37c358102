// Package meter rewrites a guest module so that nothing in it can run or recurse without bound, whatever its code does.
//
// WebAssembly has no clock and an engine cannot be stopped from outside at a price that a policy of a microsecond could
// bear; so the bound is compiled into the guest. Every stretch of instructions between two places where control can
// meet subtracts its cost from a counter, fuel; function entries and the heads of loops look whether any is left.
// The same module with the same input spends the same fuel everywhere.
//
// A function that charges more often than it calls keeps the counter in a local, which the engine puts into a register, and
// gives it back to the global around calls and where it ends: in the global each charge would wait for the store before it.
// A trap within an instruction leaves the global behind by at most a slice and a stretch.
//
// Fuel is handed out in slices. When a slice is spent the guest calls a function that this package has added to it: that
// one leaves native code for a moment, so that the host's garbage collector and scheduler get their turn (fuel is not
// time: a million units can be a quarter of a millisecond of arithmetic or a hundred milliseconds of cache misses), and takes the next slice
// out of the total. With the total gone it traps. A host that wants to stop a guest now takes its total away.
//
// A second counter bounds the stack: functions subtract an upper bound of their frame on entry and give it back when they
// leave, unless all that they call takes but a little together and never comes back to them.
//
// The pass does not validate, that is the engine's business afterwards; but whatever instructions refer to must
// exist before anything is added, so that no guest reaches the counters. It also bounds the module's shape, since
// compilers take more than linear time for some shapes.
//
// Nothing here has state; everything may be called from any goroutine. No input makes Rewrite panic.
package meter
