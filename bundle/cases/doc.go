// Package cases runs a bundle's table of cases: who asks for what on which documents, and what must come of it.
//
// A File is what a developer writes (sluice.test.yaml): users, the documents that are there, and cases. Node is a real
// server on a temporary directory, in this process, with the project's own declaration and the bundle deployed as
// anywhere: a case is one HTTP request to it, and sees the whole pipeline, from the API key to the stored bytes. Before each
// case the documents are put back, and the clock stands still, so a case does not depend on the ones before it, nor on the day.
//
// Outcome compares what came with what the file expects, member by member, and says where in the file it differs.
// Update writes what came into the file in the place of what was expected, and leaves every other byte of it alone.
//
// Names begin with a dollar: $ada is the id of the user ada, $first that of the document labelled first, $any is any
// value. The names stand in for values that the file's reader has no need to see.
package cases
