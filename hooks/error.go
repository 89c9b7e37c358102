package hooks

import (
	"errors"
	"fmt"
)

// Errors of a call. Each of them means "no": a caller that gets an error from
// a method of a Session must refuse the operation.
var (
	// ErrFuel: the guest spent its whole fuel without an answer. It does so with this event every time.
	ErrFuel = errors.New("guest ran out of fuel")
	// ErrStack: the guest called too deep. It does so with this event every time.
	ErrStack = errors.New("guest overflowed its stack")
	// ErrTimeout: the guest ran longer than its wall-clock limit. It says something about the moment, not about the
	// event, so trying again may succeed.
	ErrTimeout = errors.New("guest ran out of time")
	// ErrBusy: every instance of the module stayed in use for as long as a call may wait.
	ErrBusy = errors.New("every guest instance is busy")
	// ErrEventTooLarge: the event does not fit into the buffer that the guest allocated (Limits.EventBytes).
	ErrEventTooLarge = errors.New("event is larger than the guest's buffer")
	// ErrNotGranted: the guest read a collection that its manifest does not grant.
	ErrNotGranted = errors.New("the manifest's grants.read does not name this collection")
	// ErrNoReader: the guest read documents where there are none to read.
	ErrNoReader = errors.New("no documents can be read here")
	// ErrHostCalls: the guest read more often than one call may (Limits.HostCalls).
	ErrHostCalls = errors.New("the guest reads too often")
	// ErrReadTooLarge: what the guest read is more than one call may read (Limits.HostBytes), or its question is too long.
	ErrReadTooLarge = errors.New("the guest reads too much")
	// ErrNotFound is what a Reader answers for a document that does not exist. No call ends with it.
	ErrNotFound = errors.New("no such document")
	// ErrClosed: the bundle or its host has been closed.
	ErrClosed = errors.New("bundle is closed")
)

// LoadError tells why a bundle was refused. Its text is meant for the developer who deploys the module.
type LoadError struct {
	Module string // name in the manifest; empty when the manifest itself is at fault
	Why    string // a whole clause: "imports env.abort, which no guest may"
	Err    error  // underlying cause; nil when Why says it all
}

func (e *LoadError) Error() string {
	if e.Module == "" {
		return "hooks: load bundle: " + e.Why
	}
	return fmt.Sprintf("hooks: load module %q: %s", e.Module, e.Why)
}

func (e *LoadError) Unwrap() error { return e.Err }

// TrapError says that a guest broke: an unreachable instruction, an access outside of its memory, a division by zero, a
// panic of its language runtime. Err holds the engine's account with the guest's stack; it is for the log, never for the
// caller of the API.
type TrapError struct {
	Module   string // name in the manifest
	Function string // export that was called
	Err      error
}

func (e *TrapError) Error() string {
	return fmt.Sprintf("hooks: module %q trapped in %s: %v", e.Module, e.Function, e.Err)
}

func (e *TrapError) Unwrap() error { return e.Err }

// ScriptError says that a script threw an exception and caught it nowhere. Its text is for the log, never for the caller of
// the API.
type ScriptError struct {
	Module string // name in the manifest
	Text   string // the exception, and below it the stack, a line for each function
}

func (e *ScriptError) Error() string {
	return fmt.Sprintf("hooks: module %q threw %s", e.Module, e.Text)
}

// ABIError says that a guest ran to its end but gave an answer that docs/abi.md does not allow: a pointer outside of its
// memory, text that is not the JSON asked for, a code of the wrong form, an answer over the size limit.
type ABIError struct {
	Module string // name in the manifest
	Why    string
}

func (e *ABIError) Error() string {
	return fmt.Sprintf("hooks: module %q broke the guest contract: %s", e.Module, e.Why)
}
