// Package e2e holds the journeys: tests that build the real binary, start it as an operator would, and drive it from
// outside, with the official npm client, in Node and in a real Chromium (browser/), with plain HTTP, with the command line it
// prints, and with kill -9. It also keeps the arrows between the rooms. It has no code that anything else may use.
//
// "make e2e" installs the npm client by its lock file and runs everything here; "go test ./e2e" alone needs that install once.
package e2e
