package kv

import "regexp"

// Compare is how a predicate compares.
type Compare uint8

// The comparisons. Ordered ones hold only within one type: a number is
// neither less nor greater than a string. A document matches when the value
// at the path, or an element of it when it is an array, matches any of the
// predicate's values; Ne matches when Eq does not. A missing value equals
// null.
const (
	Eq Compare = iota + 1
	Ne
	Gt
	Gte
	Lt
	Lte
	In     // as Eq
	Exists // Values[0] true: the path is present, be it null; false: it is not
	Regex  // a string at the path matches Pattern
	Is     // as Eq, but an array does not match by its elements: for rules, where a list of owners is no owner
	Has    // an array at the path, reached through objects only, has an element that is one of the values
)

// Predicate is one condition on a document.
type Predicate struct {
	// Path is dotted: "meta.likes". Arrays met on the way are searched
	// element-wise.
	Path    string
	Op      Compare
	Values  []Value
	Pattern *regexp.Regexp
	// Plain takes an array for a value like any other: none is searched, neither
	// at the path nor on the way to it. For rules: what an array holds must not
	// make a document somebody's.
	Plain bool
}

// Alternatives are conditions of which one is enough; each is a list of
// predicates that must hold together. None at all are never fulfilled, an empty
// list always.
type Alternatives [][]Predicate

// SortKey is one level of an order. Missing and null are equal and come first
// when ascending; then false, true, numbers, strings, arrays, objects.
type SortKey struct {
	Path string
	Desc bool
}

// Defaults of a query.
const (
	DefaultLimit  = 100
	DefaultBudget = 100_000
)

// Query asks for a page of documents.
type Query struct {
	// Where must hold together.
	Where []Predicate
	// Any must hold, too, each of them.
	Any []Alternatives
	// Sort orders the result, ties by id in the direction of the last key.
	// Empty means newest first, which is id descending.
	Sort []SortKey
	// Skip leaves out that many documents of the result.
	Skip int
	// Limit is how many documents are returned at most; 0 means DefaultLimit.
	Limit int
	// After is the Next of an earlier page of the same Where and Sort: the
	// result goes on behind it, whatever was written in between.
	After []byte
	// Total asks for the number of documents that match, apart from After,
	// Skip and Limit.
	Total bool
	// Budget is how many documents may be examined; 0 means DefaultBudget.
	Budget int
}

// Page is the answer to a Query.
type Page struct {
	// Docs are borrowed from the snapshot.
	Docs []Document
	// Total is the number of matching documents, or -1 when not asked for.
	Total int64
	// Examined is how many documents were read.
	Examined int
	// Next is the position behind the last document, for Query.After. It is
	// nil when nothing follows. It is the caller's.
	Next []byte
	// Plan names how the documents were found: "id", "unique:<index>",
	// "index:<fields>", several of them with "|" between, or "scan" (of the collection by id); with "+sort" when
	// that was not the order asked for, and all matches were looked at.
	Plan string
}
