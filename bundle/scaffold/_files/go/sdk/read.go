package sluice

import (
	"bytes"
	"iter"
)

// What a guest reads comes from the state on which the request is judged: a write that was allowed by it takes place
// only if it still holds. The manifest must grant each collection (grants.read); reading any other refuses the operation, and so
// does reading too much.

// notFound is the host's answer when there is no document.
const notFound = -1

// readRoom is how much the host may bring at first. Most documents fit; for one that does not it is asked again.
const readRoom = 4 << 10

var readBuffer = make([]byte, readRoom)

// Get returns the document of a collection that has the given _id; the missing Object if there is none.
func Get(collection, id string) Object {
	text, _ := read(func(into []byte) int32 { return hostGet(collection, id, into) })
	return ParseObject(text)
}

// Find yields the documents that a query finds, in its order.
func Find(collection string, q Query) iter.Seq[Object] {
	question := string(q.Object().text)
	text, _ := read(func(into []byte) int32 { return hostFind(collection, question, into) })
	return func(yield func(Object) bool) {
		for c := enter(text, '['); ; {
			item, ok := c.item()
			if !ok || !yield(Value{item}.AsObject()) {
				return
			}
		}
	}
}

// Count returns how many documents a query finds.
func Count(collection string, q Query) int64 { return hostCount(collection, string(q.Object().text)) }

// Config returns what the bundle's manifest has under config. It may be read in an init function.
func Config() Object {
	text, _ := read(hostConfig)
	return ParseObject(text)
}

// read lets the host write a text, with more room if it needs more, and returns a copy.
func read(ask func(into []byte) int32) (text []byte, ok bool) {
	n := ask(readBuffer)
	if int(n) > len(readBuffer) {
		readBuffer = make([]byte, n)
		n = ask(readBuffer)
	}
	if n == notFound {
		return nil, false
	}
	return bytes.Clone(readBuffer[:n]), true
}
