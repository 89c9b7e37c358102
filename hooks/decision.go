package hooks

// Decision is what the guests bound to an event answered together. The zero Decision is a denial.
type Decision struct {
	// Allow is whether the operation may go on. Look at it only when the error is nil.
	Allow bool
	// Code and Message are the guest's reason for a no, for the caller of the API to see. Code matches
	// [a-z0-9_.]{1,64}; Message is valid UTF-8 of at most 500 bytes. Both are empty if the guest gave no reason.
	Code, Message string
	// Status is the HTTP status that goes with a no, 400 to 499: the guest's, else 403 for a policy and 422 for a hook.
	// 0 when Allow is set.
	Status int
	// Document is the document that the hooks made, a JSON object owned by the receiver. nil: they left it as it was.
	Document []byte
	// Allowed, after a policy on OpRead, says for each of the event's documents whether the caller may see it.
	// nil with Allow set: all of them.
	Allowed []bool
	// Fuel is what the guests spent, in units of the cost table of docs/abi.md.
	Fuel uint64
	// Module is the manifest name of the guest that said no; empty when Allow is set.
	Module string
}
