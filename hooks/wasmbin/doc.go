// Package wasmbin reads and writes the binary form of WebAssembly modules: sections, types, and the instructions of the
// feature set that Sluice accepts (WebAssembly 2.0 without vectors).
//
// It exists so that the host can judge a guest's shape before anything expensive happens to it, and so that tests can
// assemble small guests by hand. It does not validate: whether the instructions of a body fit together is the
// engine's business. It never executes anything.
//
// Nothing here has state; every function may be called from any goroutine. A decoded Module borrows the bytes that it
// was decoded from. No input makes Decode panic, and the memory that it takes is proportional to its input.
package wasmbin
