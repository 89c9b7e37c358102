// Package jsondoc reads and writes JSON documents strictly.
//
// It is the one parser for every request body, hook result and stored document, so that the same bytes mean the same
// thing wherever they are read: text that this package accepts has exactly one meaning (no duplicate member names, no
// lone surrogates, no invalid UTF-8, no number that overflows), and text that it refuses is refused everywhere.
//
// There are two ways in:
//
//   - [Parser.Parse] judges text from outside. It builds a flat tape of nodes and hands out a [Value], which is a small
//     cursor into the tape. Nothing is allocated per value; a reused Parser allocates nothing at all.
//   - [Lookup], [Each], [Elements], [Fields], [KindOf] and [Unquote] read text that [Value.Append] wrote, which is
//     canonical and therefore needs no judging again. They keep no state and allocate nothing. On any other text they
//     answer something, but never panic and never read outside it.
//
// Canonical text has no white space outside strings, the shortest escapes (only ", \ and the control characters below
// U+0020 are escaped), numbers as they were sent (1.0 stays 1.0, 9007199254740993 keeps its last digit) and members in
// the order in which they were sent.
//
// The package never coerces, never rounds, never reorders and knows nothing about schemas or storage.
//
// Concurrency: a Parser serves one goroutine at a time, and so do the Values that borrow from it for writing; any number
// of goroutines may read Values of a Parser that nobody parses with. The functions are pure.
//
// Bytes: a Value borrows the Parser and the text given to Parse until the next call of Parse or Trim on that Parser.
// What Raw, Text, Members, Items, Lookup, Each, Elements and Fields hand out are parts of those bytes: copy what must
// live longer, change nothing. Append functions only write behind dst and keep nothing.
package jsondoc
