// Package runtime is the server: it turns one HTTP request into one decision, one commit and one answer.
//
// It knows HTTP (fasthttp and its router stop here), the routes, the order in which a request is judged and the
// texts of the wire contract. It never knows bbolt or wazero: documents are kv's, guests are hooks', what a project
// is lives in runtime/project, and keys, passwords and tokens are pure functions of runtime/auth.
//
// # The way of a request
//
// server.go accepts and answers; routes.go is the one table of routes; stages.go holds the checks that many routes
// share; write.go and read.go are the way of a write and of a read, guests.go where a project's own code is asked;
// body.go is how bodies come in, files.go, fileform.go and fileserve.go the way of a file; the area files hold handlers:
// accounts.go, profile.go, password.go, refresh.go and sessionlist.go those of accounts (sessions.go is the document of a login, cookie.go its
// cookie, audit.go what is told of it), documents.go, bulk.go, batch.go, schemas.go, admin.go and health.go the others.
// A handler returns an error and never writes one: respond.go writes, error.go maps.
//
// # Concurrency
//
// A Server is used by any number of goroutines. A *request belongs to the goroutine of its connection and dies when
// its handler returns; bytes taken from it (headers, path, body) are borrowed until then, and documents read through
// its snapshot are borrowed until the snapshot is closed, which happens before the answer leaves. There is no lock in
// this package on the way of a request: projects are found through atomically swapped maps and pointers.
//
// Lock order, outermost first, all in runtime/project: the registry's mu, a project's mu (one change of its rules) or saving (one save of
// what failed), a project's turn (shared by commits), the mu of what was revoked. kv and hooks lock below them.
package runtime
