// Package wat assembles WebAssembly's text format, as much of it as small guests for tests need: they can then be read, and need no
// tool but Go. It knows the fields type, import, func, table, memory, global, export, start, elem and data, inline exports, folded and
// plain instructions of the feature set that package wasmbin accepts, and names for everything.
//
// It adds one thing, in the form of an annotation: (@repeat N …) stands for N times what follows. A module that is hostile by its
// size remains a few lines.
//
// It does not validate: what it makes may be as wrong as its text. That is what the tests are for.
package wat
