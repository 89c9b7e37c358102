// Package kv is a document store: JSON documents with revisions, unique
// indexes, queries, settings and counters, changed by atomic batches, in one
// bbolt file a project.
//
// It never decides who may do what, speaks no HTTP and runs no guest; it never
// looks at a clock or a random source while it applies a batch; it never hands
// out a value whose checksum differs, and never takes a damaged file for a new
// one.
//
// # Nouns
//
// A [DB] is one project's open file. A [Batch] is a set of operations with the
// needs under which they are right; [DB.Commit] waits for it to be on disk,
// together with whatever other batches wait (one fsync for the group).
// [DB.Apply] is the only code that writes documents: it judges each batch in order from
// the file alone, so the same batches make the same file on every node. A
// [Snapshot] is one state of the file; [Snapshot.Get], [Snapshot.GetUnique],
// [Snapshot.Find] and [Snapshot.Count] read documents from it. A commit is the
// number of a batch that passed, and the revision of what it put; seq numbers
// all judged batches, also the refused ones.
//
// # Concurrency
//
// Any number of goroutines may use a DB. A Snapshot serves one goroutine at a
// time and is closed once; readers never wait for writers, nor the other way
// round. [Collection] and [Value] are immutable. Locks, in the order in which
// they are taken: DB.applyMu (one write transaction), relaxation.headMu, then bbolt's own;
// DB.queueMu is held for nothing but a send to the queue, or its closing.
//
// # Who owns bytes
//
// Batches and what they hold belong to the caller but must not change until
// Commit or Apply returned. Documents, settings and pages of documents are borrowed from their
// snapshot: read-only, and gone when it is closed. Changes, and positions in
// Page.Next, are the caller's.
//
// # Failures
//
// A refusal ([ConflictError], [UniqueError], …) is an answer: it is logged, and
// a batch delivered again gets the same one. A value that rotted fails who
// reads it ([CorruptError]); [DB.Check] lists all of them.
//
// After a failed write or sync, or a panic while applying, nothing more is
// acknowledged on that opening of the file, because pages that failed to reach
// the disk may look clean afterwards. Everybody who waits is told that the
// outcome is unknown, or, if the disk was full and the file's head untouched,
// that nothing happened ([ErrFull]). Reading goes on. In the background the
// file is checked and opened anew, its head is written and synced once more,
// it must hold everything that was acknowledged, snapshots of the opening
// before must be closed (its pages would be used again), and then writing goes
// on: at once, or as soon as the disk works or has space. [DB.Health] says so.
//
// With the setting kv.syncMillis a commit is acknowledged before it is on disk,
// and reaches it at most so many milliseconds later: a machine that stops loses
// what came after the last checkpoint and nothing else, a process that dies
// loses nothing. [DB.Sync] waits for the disk.
//
// The setting kv.maxBytes bounds the documents' bytes, kv.maxFileBytes those of
// the file: a batch that would pass either is refused ([QuotaError]).
//
// [DB.Compact] writes the file anew and exchanges it by a rename; snapshots
// keep the file that they began in.
//
// # Files
//
//	<dir>/data.db    bbolt, locked while open
//	<dir>/identity   "sluice database, format 1, id <32 hex digits>": there is a database, and which
//	<dir>/head       while durability is relaxed: the head of the last state that is on disk
//	<dir>/data.db.format1   a copy from before the file was upgraded
//
// The data file appears complete under its name, then the identity: a cut in
// between is finished by the next Open. Afterwards either file without the
// other is damage.
//
// Buckets are flat and have short names; numbers are big-endian, lengths and
// other numbers in rows are varints.
//
//	m   "format" → 2 bytes, now 2 · "id" → 16 bytes · "state" → [sealed] commit 8, seq 8,
//	    catalog's commit 8, last drop's commit 8, documents' bytes 8, next cid 4,
//	    next iid 4, history 32; written once for each group
//	s   name → [sealed] revision 8, value
//	c   collection name → [sealed] cid 4, defined, indexes (iid 4, flags, name, fields)
//	n   'u' name → [sealed] counter 8 · 'c' cid 4 → [sealed] revision 8, documents 8, bytes 8
//	    'b' cid 4, iid 4 → [sealed] how far an unfinished index is: started, document id 12, done, total
//	l   seq 8 → [sealed] batch id 16, commit, time, meta, passed or not, operations or refusal;
//	    the newest 4096 and up to 63 more, trimmed whenever seq is a multiple of 64
//	d<cid 4>         document id 12 → version 1, flags 1, CRC-32C 4, revision 8, JSON
//	u<cid 4><iid 4>  index key → [sealed] document id 12
//	x<cid 4><iid 4>  keys of the fields, document id 12 → nothing
//	                 1, document id 12 → nothing: a document with more than 64 entries
//	                 0 → [sealed] for each of 4 fields the documents with arrays or cut keys; those with too many entries
//
// [sealed] is version 1, CRC-32C 4, content. Every checksum also covers bucket
// and key, so a value that turns up in another place is noticed. Index keys
// are [AppendKey] of each field in turn; a unique one of 512 bytes or more is
// cut and ends in its SHA-256, in an ordered index each field is cut at 256.
//
// # Indexes
//
// A unique index leaves out documents with a missing or null field. An ordered
// one has every document, under each element of an array as well as the whole.
// A batch writes both together with its documents. On a collection of more
// than 1000 documents a new ordered index is built afterwards by a goroutine
// of the DB, in bounded steps that survive a restart, and is not used before;
// see [Snapshot.Building]. [Snapshot.Explain] shows what a query chose from.
//
// The history is SHA-256 over the history before, the encoded batch
// ([AppendBatch]) and the verdict (one byte: 1 passed, 0 refused).
//
// # Why bbolt is checked before it is opened
//
// bbolt has no page checksums, takes an empty file for a new one, and answers
// damage with panics, some of them on its own goroutines, or with memory
// faults. Open therefore reads the pages itself first: only the top of a file
// that was closed in order, all of one that was not, for bbolt then reads all
// of it too. Calls that read run with memory faults turned into errors.
package kv
