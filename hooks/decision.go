package hooks

import "time"

// Decision is what the guests bound to an event answered together. The zero Decision is a denial.
type Decision struct {
	// Allow is whether the operation may go on. Look at it only when the error is nil.
	Allow bool
	// Code and Message are the guest's reason for a no, for the caller of the API to see. Code matches
	// [a-z0-9_.]{1,64}; Message is valid UTF-8 of at most 500 bytes. Both are empty if the guest gave no reason.
	Code, Message string
	// Status is the HTTP status that goes with a no, 400 to 499: the guest's, else 422 for a hook and 403 for anything else.
	// 0 when Allow is set.
	Status int
	// Document is the document that the hooks made, a JSON object owned by the receiver. nil: they left it as it was.
	Document []byte
	// Allowed, after a policy on OpRead, says for each of the event's documents whether the caller may see it.
	// nil with Allow set: all of them.
	Allowed []bool
	// Filters, after OpFilter, holds the predicates that must all hold, each a JSON object with where, any or both.
	// nil with Allow set: no restriction.
	Filters [][]byte
	// Claims, after OpClaims, is a JSON object for the access token, of at most 2 KiB. nil: nothing is added.
	Claims []byte
	// Fuel is what the guests spent, Budget what those that were asked could have, in units of the cost table of
	// docs/abi.md.
	Fuel, Budget uint64
	// Module is the manifest name of the guest that said no; empty when Allow is set.
	Module string
}

// Asked is one guest's part in the decisions of a Session.
type Asked struct {
	Module     string // name in the manifest
	Event      string // as in the manifest: policy, filter, beforeInsert, …
	Op         Op
	Collection string
	Outcome    Outcome
	Code       string // of a no; empty: the guest gave no reason
	Err        error  // why there is no answer; its text is for the developer only
	Fuel       uint64 // what the guest spent
	Budget     uint64 // what it could have spent
	HostCalls  int    // get, find and count
	Duration   time.Duration
}

// Outcome is how a guest answered.
type Outcome uint8

const (
	OutcomeError  Outcome = iota // it did not: what was asked for is refused
	OutcomeDeny                  // no
	OutcomeAllow                 // yes, as it stands
	OutcomeChange                // yes, with a value: another document, part of a page, a predicate, claims
)

// String returns the outcome's name in logs and answers.
func (o Outcome) String() string {
	return [...]string{"error", "deny", "allow", "change"}[o&3]
}

func outcome(d *Decision, err error) Outcome {
	switch {
	case err != nil:
		return OutcomeError
	case !d.Allow:
		return OutcomeDeny
	case d.Document != nil, d.Allowed != nil, d.Filters != nil, d.Claims != nil:
		return OutcomeChange
	}
	return OutcomeAllow
}
