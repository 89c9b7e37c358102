// Package hooks runs guest modules: an event goes in, a decision comes out, within memory, time and a fixed contract.
//
// A guest is a core WebAssembly module that a project's developer uploads. It is asked as a policy (may this caller do
// this?) or as a hook (shall the document be so?). The contract between host and guest is docs/abi.md. This package
// never interprets documents, knows no HTTP and no storage: documents are bytes that it carries, and what guests read comes
// from a Reader that the caller provides.
//
// A Host owns the engine. Host.Load turns a Manifest and its files into a Bundle. A request asks the bundle's guests through
// a Session.
//
// # The life of an instance
//
// Host.Load checks each module against the contract, has package meter rewrite it so that it counts its own steps, and
// compiles the result once: given Options.Compiler in a process of its own, which the system stops when it takes too much,
// into the cache directory. One instance is brought up: start function, _initialize, abi_version, alloc, init. What has
// become of its memory and globals is the module's state, a sealed image of package snapshot. All instances that serve
// calls are private mappings of that image; nothing of the guest runs to make one. They are made when a call finds none
// that rests, up to Options.Instances for a module, serve one call at a time and rest in between on a stack, last in, first out.
//
// Between two calls the pages that it has written to and all mutable globals are put back. So every call begins in the same state:
// a guest can remember nothing, neither for itself nor about another tenant, and the same event gets the same verdict for
// the same fuel. A module that could keep something elsewhere is refused at load. An instance that traps, spends its fuel, runs out of
// time, grows its memory or gives an answer against the contract is dropped; its successor is made from the image. None of this is
// waited for by whoever asked: a call leaves its instance as it is, and Session.End, behind the answer's last byte, does the rest. A call that finds only
// such instances in the pool restores one itself.
//
// Fuel bounds every call, deterministically. The wall clock is a last resort: the watchdog, one goroutine of the host,
// takes the fuel of guests that are overdue.
//
// # Long calls
//
// A call that goes on for long, by its fuel or by the clock, waits for a place in the host's lane, which has one for half of the processors. A short one never waits. So
// guests that spin leave half of the machine to others, of however many bundles they are, and share the other half evenly among their bundles.
//
// # Scripts
//
// A module whose file ends in .js, .mjs, .ts or .mts is JavaScript, of whatever kind its source was. All scripts run on one engine, package quickjs, a guest module that is compiled once
// for the host. To load a script is to run it on the engine and to take the image of what has become of the memory, which is a
// millisecond's work. From there on it is a module like others. An exception that a script does not catch is an error, a *ScriptError;
// its instance is sound and goes on.
//
// # No means no
//
// An error of a Session's method is a denial. A guest that answers nothing at all answers 0, which is a denial too. Status,
// code and message of a denial are the guest's own words for the caller; an error's text is for the developer only.
//
// # Concurrency and bytes
//
// Host and Bundle may be used from any goroutine, a Session by one at a time. An Event's slices are borrowed for the call and copied once, straight
// into the guest's memory. A Decision's slices and strings are copies that belong to the caller.
package hooks
