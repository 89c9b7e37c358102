package sluice

// What a guest is made of. WebAssembly modules run on one thread, and the host asks one thing at a time.
var (
	policyFunc func(*Event) Decision
	hookFunc   func(*Event) Decision
)

// Policy sets the function that answers when the manifest binds this module as a policy. Call it in an init function.
func Policy(f func(*Event) Decision) { policyFunc = f }

// Hook sets the function that answers when the manifest binds this module as a hook. Call it in an init function.
func Hook(f func(*Event) Decision) { hookFunc = f }

// Level is how much a log line matters.
type Level int32

const (
	Debug Level = 0
	Info  Level = 1
	Warn  Level = 2
	Error Level = 3
)

// Log writes one line to the project's log. The host keeps a few short lines of each call. Off WebAssembly it does
// nothing.
func Log(level Level, line string) { hostLog(level, line) }
