// Package snapshot keeps the state of a guest's memory and puts it back after every call, at the price of the pages that
// have changed.
//
// An Image is such a state: immutable bytes, on Linux in a sealed file that lives in memory only. A Memory begins as a
// private mapping of an image, so that making one copies nothing; the kernel copies a page when the guest first writes to it.
// Memory.Restore asks the kernel which pages are copies and overwrites those with what the image has. The copies stay
// where they are: in steady state no page is ever faulted in again. (Giving the copies back to the kernel after each call
// is simpler and several times slower, since each call then pays for the faults.)
//
// How to ask the kernel is a Method. Open tries them from the best to the plainest and takes the first that passes a
// test on this very machine; Copy, which asks nobody and overwrites everything, always works.
//
// This package knows nothing of WebAssembly but the shape of a linear memory. A Space and an Image may be used from any
// goroutine; a Memory by one at a time. Image.Bytes is shared: nobody writes to it.
package snapshot
