// Package sluice is what a guest module for Sluice, written in Go, imports. A guest decides about writes and reads of a
// project's documents, as a policy (may this caller do this?) or as a hook (shall the document be so?):
//
//	func init() { sluice.Policy(policy) }
//
//	func policy(e *sluice.Event) sluice.Decision {
//		if price, ok := e.After.Number("price"); ok && price > 100 {
//			return sluice.Deny("posts.price_too_high", "Set a price of 100 or less.")
//		}
//		return sluice.Allow()
//	}
//
//	func main() {}
//
// Build it with the plain Go toolchain:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags "-s -w" -o posts.wasm .
//
// A guest has no files, no network, no environment; its clock is Event.Now. Every event finds the guest's variables as
// its init functions left them: what an event leaves is gone at the next one, whoever sent it. A panic refuses the operation.
//
// The package reads JSON with a small scanner of its own: encoding/json would cost ten times what a policy itself costs,
// and double the module. It parses nothing before it is asked for. Off WebAssembly the package builds too, so that
// policies can be tested with go test: make an event with ParseEvent and call the policy.
//
// Guests run on one goroutine; nothing here may be used from several.
package sluice
