// Package deliver is the room for what leaves the server after a commit: today mail. Nothing is sent for a write that did
// not commit, and nothing is lost for one that did, because what is to be sent is a document of the same commit.
//
// Nouns: a [Message] is one mail to one address. [Enqueue] puts it into a batch as an entry of the project's outbox, sealed,
// so that neither the file nor a copy of it shows what it says. A [Post] is the worker of the node: it takes what is due
// from the outboxes of all projects ([Outbox]) and hands it to a [Carrier], which is an SMTP server ([SMTP]) or, without one, a directory
// ([Files]).
//
// # The life of an entry
//
//	due  → carried: the entry is gone, and counted
//	     → refused for now (a server that is down, a 4xx): due again later, each time about twice as late
//	     → refused for good (a 5xx), too often, or too late: dead
//	dead → kept for a week for the operator to look at and to retry, then gone
//
// Before it is carried, an entry is leased in a commit of its own: whoever holds the lease alone sends. A node that dies
// while it sends has perhaps sent, and nobody can know: after a restart the mail goes out again, under the same Message-ID,
// by which the receiving side can tell. At least once, never lost.
//
// It never delays a caller, knows no HTTP, users or rules, and imports kv alone. A Post may be used by any number of goroutines.
package deliver
