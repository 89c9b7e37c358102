// Package bench holds what measures a node over HTTP, beside others in one run. It has its own go.mod, so that what it
// measures against is no dependency of the product; PocketBase has another one below it, so that nobody has to fetch it
// to check the rest.
//
//	compare     a node beside PocketBase and beside bare servers, row by row
//	growth      what a request costs with more and more documents
//	bare        those bare servers
//	pocketbase  PocketBase, and what fills it
//	node        runs the real binary and knows its API
//	process     runs a server, and reads what it uses
//	load        makes the load
//	figure      takes and tells figures
package bench
