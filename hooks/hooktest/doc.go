// Package hooktest proves guests. It holds the conformance vectors of the guest contract (docs/abi.md), which each
// SDK's example guest must pass, and an assembler for the tiny guests, mostly wicked ones, that tests of the host need.
//
// It is for tests only. Nothing in it is safe for concurrent use, save what it hands to package hooks.
package hooktest
