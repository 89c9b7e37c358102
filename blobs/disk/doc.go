// Package disk keeps objects as files of one directory, which one process has to itself:
//
//	<root>/ab/ab12…       an object: its SHA-256 in hexadecimal, in a directory named for the first byte
//	<root>/uploads/<id>   an upload that waits for being confirmed
//	<root>/tmp/<random>   bytes that are arriving; what is left here by a process that died is removed at the next Open
//
// Bytes are written to tmp, synced, and renamed to where they belong; then the directory is synced, and its own entry
// when it is new. So a crash or a power cut at any moment leaves a whole file under its name or none, and what was
// acknowledged is there. Files are never changed once they have their name, so that one that is being read stays whole
// when it is replaced or removed. Files have mode 0600, directories 0700.
//
// A put of bytes that are there replaces the file by the new one: who uploads a damaged object again has mended it.
package disk
