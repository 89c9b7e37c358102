package hooks

// question is one way of asking a guest: which of its functions answers, what the event is called, and which status goes with a no
// that names none.
type question struct {
	function string
	event    string
	status   int
}

// questions holds, for each function of a guest, what it can be asked by operation. An empty event: nothing.
var questions = map[string]*[opEnd]question{
	exportPolicy: {
		OpInsert: {exportPolicy, EventPolicy, policyStatus},
		OpUpdate: {exportPolicy, EventPolicy, policyStatus},
		OpDelete: {exportPolicy, EventPolicy, policyStatus},
		OpRead:   {exportPolicy, EventPolicy, policyStatus},
		OpFilter: {exportPolicy, EventFilter, policyStatus},
	},
	exportHook: {
		OpInsert: {exportHook, EventBeforeInsert, hookStatus},
		OpUpdate: {exportHook, EventBeforeUpdate, hookStatus},
		OpDelete: {exportHook, EventBeforeDelete, hookStatus},
		OpSignup: {exportHook, EventBeforeSignup, hookStatus},
		OpClaims: {exportHook, EventClaims, policyStatus},
		OpUpload: {exportHook, EventBeforeUpload, hookStatus},
	},
}

var policyQuestions, hookQuestions = questions[exportPolicy], questions[exportHook]
