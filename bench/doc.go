// Package bench holds what measures a node over HTTP, beside others in one run. It has its own go.mod, so that what it
// measures against is no dependency of the product; PocketBase and the engines that guests are compared with have others below it,
// so that nobody has to fetch them to check the rest.
//
//	compare     a node beside PocketBase and beside bare servers, row by row
//	growth      what a request costs with more and more documents
//	soak        a good project beside a hostile one
//	engines     what a guest's call costs beside other engines
//	bare        those bare servers
//	pocketbase  PocketBase, and what fills it
//	node        runs the real binary and knows its API
//	process     runs a server, and reads what it uses
//	load        makes the load
//	figure      takes and tells figures
package bench
