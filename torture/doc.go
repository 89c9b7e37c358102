// Package torture breaks what kv and blobs stand on, and looks whether anything that was
// acknowledged is lost, half there or wrong: processes killed in the middle of
// a write, disks that fill up, fail, are slow or lose power, files that were
// damaged, and writers that race each other.
//
// It holds tests only, in a module of its own, so that what they need (FUSE, a
// checker of histories) is no dependency of the product. They use kv's
// and blobs' exported API alone, and an oracle outside of the process that is tortured.
//
// go test . runs the short form; with TORTURE=long it takes as long as it
// takes. Mounting needs root: without it those tests say that they did not run.
package torture
