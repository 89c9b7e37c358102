// Package kvtest helps tests that use kv: handles that are checked when the
// test ends, batches in one line, a model of the store in plain maps, and
// random batches for both.
//
// It is for tests only. Helpers that take a testing.TB belong to its goroutine;
// a Model is for one goroutine at a time.
package kvtest
