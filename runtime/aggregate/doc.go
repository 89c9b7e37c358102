// Package aggregate runs aggregation pipelines over documents: a subset of MongoDB's, without joins, writes and code.
//
// It is pure. Parse judges a pipeline that a caller sent, Where says which of its conditions a store can answer by itself,
// and Append sends documents through the stages. It never fetches anything: what a caller may see is decided by whoever
// hands the documents in, and nothing in a pipeline can widen that.
//
// Documents and values are canonical JSON text as kv/jsondoc has it; a value that is not there is nil. They are compared,
// grouped and sorted in kv's order of values, so that a pipeline and a list agree about what is equal, less and missing.
// Whole numbers and decimals are added and multiplied exactly as far as sixty digits go, and by float64 beyond.
//
// A pipeline is bounded before it runs (stages, nodes, values, patterns) and while it runs (documents passed on, memory
// kept, size of a document and of the answer, time). A Pipeline is immutable: any number of goroutines may run it at once.
// Bytes that Append is given are borrowed until it returns.
package aggregate
