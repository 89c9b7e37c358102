package sluice

import (
	"errors"
	"iter"
)

// Op is what a caller does to a document.
type Op int32

const (
	Insert Op = 1
	Update Op = 2
	Delete Op = 3
	Read   Op = 4 // policies only
	Filter Op = 5 // filters only: what may a list find?
	Signup Op = 6 // the hook before a new account
	Claims Op = 7 // what goes into a user's access token
	Upload Op = 8 // the hook before a file is stored
)

// Names of events, see Event.Name.
const (
	EventPolicy       = "policy"
	EventBeforeInsert = "beforeInsert"
	EventBeforeUpdate = "beforeUpdate"
	EventBeforeDelete = "beforeDelete"
	EventFilter       = "filter"
	EventBeforeSignup = "beforeSignup"
	EventClaims       = "claims"
	EventBeforeUpload = "beforeUpload"
)

// Caller is who asks.
type Caller struct {
	Role   string // "publishable" or "secret"
	UserID string // empty: nobody is logged in
	Claims Object // of the caller's token
}

// LoggedIn reports whether the caller is a user of the project.
func (c *Caller) LoggedIn() bool { return c.UserID != "" }

// Event is what a guest is asked to judge. It is valid until the guest answers.
type Event struct {
	Name       string // one of the Event constants
	Op         Op
	Collection string
	Caller     Caller
	Before     Object // stored document, or the profile of the user whose claims are asked; missing on insert, read, filter, signup and upload
	After      Object // document or profile as it would be stored, on Upload name, contentType, size and visibility of the file; missing on delete, read, filter and claims
	Now        int64  // Unix milliseconds: the only clock there is
	RequestID  string
	documents  []byte
}

var errEvent = errors.New("sluice: the event is not a JSON object")

// ParseEvent reads an event from its JSON text, as docs/abi.md describes it. Members that it does not know are
// ignored. The event borrows text.
func ParseEvent(text []byte) (*Event, error) {
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '{' {
		return nil, errEvent
	}
	e := new(Event)
	for c := enter(text, '{'); ; {
		name, text, ok := c.member()
		if !ok {
			return e, nil
		}
		v := Value{text}
		switch string(name) { // the host writes these names without escapes
		case `"event"`:
			e.Name = oneOf(v, EventPolicy, EventBeforeInsert, EventBeforeUpdate, EventBeforeDelete, EventFilter, EventBeforeSignup, EventClaims, EventBeforeUpload)
		case `"op"`:
			e.Op = parseOp(text)
		case `"collection"`:
			e.Collection, _ = v.AsString()
		case `"caller"`:
			e.Caller = parseCaller(text)
		case `"before"`:
			e.Before = v.AsObject()
		case `"after"`:
			e.After = v.AsObject()
		case `"documents"`:
			e.documents = text
		case `"now"`:
			e.Now, _ = v.AsInt()
		case `"requestId"`:
			e.RequestID, _ = v.AsString()
		}
	}
}

func parseCaller(text []byte) (caller Caller) {
	for c := enter(text, '{'); ; {
		name, text, ok := c.member()
		if !ok {
			return caller
		}
		v := Value{text}
		switch string(name) {
		case `"role"`:
			caller.Role = oneOf(v, "publishable", "secret")
		case `"userId"`:
			caller.UserID, _ = v.AsString()
		case `"claims"`:
			caller.Claims = v.AsObject()
		}
	}
}

// oneOf returns a string value; without allocating if it is one of those that are known.
func oneOf(v Value, known ...string) string {
	for _, s := range known {
		if len(v.text) == len(s)+2 && string(v.text[1:len(v.text)-1]) == s {
			return s
		}
	}
	s, _ := v.AsString()
	return s
}

func parseOp(text []byte) Op {
	switch string(text) {
	case `"insert"`:
		return Insert
	case `"update"`:
		return Update
	case `"delete"`:
		return Delete
	case `"read"`:
		return Read
	case `"filter"`:
		return Filter
	case `"signup"`:
		return Signup
	case `"claims"`:
		return Claims
	case `"upload"`:
		return Upload
	}
	return 0
}

// Documents yields the documents of the page that a policy on Read is asked about, and nothing on other operations.
func (e *Event) Documents() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for c := enter(e.documents, '['); ; {
			item, ok := c.item()
			if !ok || !yield(Value{item}.AsObject()) {
				return
			}
		}
	}
}
