package main

import "github.com/sluice-edge/sluice/hooks"

// Two documents: one that the policy lets through, which is what is timed, and one that it refuses, so that no engine is
// timed that does not judge.
const (
	document = `{"title":"A title","tags":["go","db"],"price":17.5,"userId":"` + userID + `"}`
	dear     = `{"title":"A title","tags":["go","db"],"price":175,"userId":"` + userID + `"}`
	userID   = "68f5a1c200000000000000aa"
)

// event is the event as package hooks is told of it.
func event(document string) *hooks.Event {
	return &hooks.Event{Op: hooks.OpInsert, Collection: "posts", Role: "publishable", UserID: userID, After: []byte(document),
		Now: 1760928194000, RequestID: "0123456789abcdef"}
}

// text is the same event as guests read it, for those that are asked without package hooks.
func text(document string) []byte {
	return []byte(`{"v":1,"event":"policy","op":"insert","collection":"posts","caller":{"role":"publishable","userId":"` + userID +
		`","claims":{}},"before":null,"after":` + document + `,"now":1760928194000,"requestId":"0123456789abcdef"}`)
}
