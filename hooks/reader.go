package hooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// Reader answers what a guest asks about stored documents, from the state on which the request will be judged: whoever makes one
// sees to it that all its answers come from one snapshot, and that a write which was allowed by them commits only if they still hold.
//
// A Reader is used by one goroutine at a time, while a method of the Session that it was given to runs. id and query
// are borrowed from the guest's memory for the call and may hold anything; collection is one that the bundle's manifest grants. Each
// method that returns text appends it to dst, at most most bytes, and returns the extended slice; it never keeps dst.
// If the text is longer it returns an error that wraps ErrReadTooLarge, at best before it has made it.
//
// An error other than ErrNotFound ends the guest's call, which means no, and is found in the error of Session's method
// by errors.Is and errors.As.
type Reader interface {
	// Get appends the document with an id. If there is none it returns ErrNotFound.
	Get(ctx context.Context, collection string, id, dst []byte, most int) ([]byte, error)
	// Find appends a JSON array of the documents that a query finds, in its order. docs/abi.md has the language of queries.
	Find(ctx context.Context, collection string, query, dst []byte, most int) ([]byte, error)
	// Count returns how many documents a query finds; sort and limit have no meaning in it.
	Count(ctx context.Context, collection string, query []byte) (int64, error)
}

// What reading costs a guest on top of the call itself, and what it may ask with. The costs are part of the cost table in docs/abi.md.
const (
	getFuel       = 5_000
	findFuel      = 20_000
	maxIDBytes    = 256
	maxQueryBytes = 16 << 10
	notFound      = -1
	keepScratch   = 64 << 10 // a larger buffer is left to the garbage collector after the call
)

// hostGet is get(collection, id, out) -> i32: the length of a document, -1 if there is none. Each of the three is an
// address and a length. The text is written if it fits; if not, nothing is.
func hostGet(ctx context.Context, guest api.Module, stack []uint64) {
	in := callOf(ctx)
	in.charge(getFuel)
	collection := in.granted("get", stack[0], stack[1])
	id := in.text("get", "id", stack[2], stack[3], maxIDBytes)
	out, err := in.reader.Get(in.reading, collection, id, in.scratch[:0], in.mayRead("get"))
	if errors.Is(err, ErrNotFound) {
		stack[0] = api.EncodeI32(notFound)
		return
	}
	stack[0] = in.give("get", out, err, stack[4], stack[5])
}

// hostFind is find(collection, query, out) -> i32, likewise: the length of a JSON array.
func hostFind(ctx context.Context, guest api.Module, stack []uint64) {
	in := callOf(ctx)
	in.charge(findFuel)
	collection := in.granted("find", stack[0], stack[1])
	query := in.text("find", "query", stack[2], stack[3], maxQueryBytes)
	in.charge(int64(len(query)))
	out, err := in.reader.Find(in.reading, collection, query, in.scratch[:0], in.mayRead("find"))
	stack[0] = in.give("find", out, err, stack[4], stack[5])
}

// hostCount is count(collection, query) -> i64.
func hostCount(ctx context.Context, guest api.Module, stack []uint64) {
	in := callOf(ctx)
	in.charge(findFuel)
	collection := in.granted("count", stack[0], stack[1])
	query := in.text("count", "query", stack[2], stack[3], maxQueryBytes)
	in.charge(int64(len(query)))
	in.mayRead("count")
	n, err := in.reader.Count(in.reading, collection, query)
	if err != nil {
		in.fail("count", err)
	}
	stack[0] = uint64(n)
}

// hostConfig is config(out) -> i32: the length of the bundle's configuration, a JSON object.
func hostConfig(ctx context.Context, guest api.Module, stack []uint64) {
	in := callOf(ctx)
	stack[0] = in.hand("config", in.module.bundle.config, stack[0], stack[1])
}

// granted returns the name of the collection that a guest wants to read, unless it may not.
func (in *instance) granted(function string, ptr, size uint64) string {
	name := in.text(function, "collection", ptr, size, maxNameBytes)
	granted, ok := in.module.bundle.readable[string(name)]
	if !ok {
		in.fail(function, fmt.Errorf("%.80q: %w", name, ErrNotGranted))
	}
	if in.reader == nil {
		in.fail(function, ErrNoReader)
	}
	return granted
}

// text reads what a guest passes. It is borrowed from the guest's memory.
func (in *instance) text(function, what string, ptr, size uint64, most uint32) []byte {
	at, n := uint32(ptr), uint32(size)
	if n > most {
		in.fail(function, fmt.Errorf("%s: %d bytes, at most %d are allowed: %w", what, n, most, ErrReadTooLarge))
	}
	text, ok := in.memory.Read(at, n)
	if !ok {
		in.fail(function, fmt.Errorf("%s: %d bytes at %d are outside of the guest's memory", what, n, at))
	}
	return text
}

// mayRead counts one reading, and returns how many bytes it may bring.
func (in *instance) mayRead(function string) int {
	if in.hostCalls++; in.hostCalls > in.module.bundle.limits.HostCalls {
		in.fail(function, fmt.Errorf("at most %d are allowed in one call: %w", in.module.bundle.limits.HostCalls, ErrHostCalls))
	}
	return int(in.module.bundle.limits.HostBytes - in.hostBytes)
}

// give takes what a Reader returned and hands it to the guest.
func (in *instance) give(function string, out []byte, err error, ptr, size uint64) uint64 {
	if cap(out) <= keepScratch {
		in.scratch = out[:0]
	}
	if err == nil && int64(len(out)) > in.module.bundle.limits.HostBytes-in.hostBytes {
		err = ErrReadTooLarge
	}
	if err != nil {
		in.fail(function, err)
	}
	in.hostBytes += int64(len(out))
	return in.hand(function, out, ptr, size)
}

// hand writes text into the guest's memory if it fits into the room that the guest has made, and returns its length.
func (in *instance) hand(function string, text []byte, ptr, size uint64) uint64 {
	in.charge(int64(len(text)))
	at, room := uint32(ptr), uint32(size)
	into, ok := in.memory.Read(at, room)
	if !ok {
		in.fail(function, fmt.Errorf("room for %d bytes at %d is outside of the guest's memory", room, at))
	}
	if len(text) <= len(into) {
		copy(into, text)
	}
	return uint64(len(text))
}

// fail ends the guest's call with an error that the caller of the Session finds.
func (in *instance) fail(function string, err error) {
	in.hostErr = fmt.Errorf("%s: %w", function, err)
	panic(in.hostErr)
}
