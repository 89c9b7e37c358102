// Package blobs is the room for objects: bytes under the SHA-256 of what they are. Bytes stream in, become visible whole
// or not at all, are on disk before anybody is told, and can be proved to be what was put.
//
// It never knows users, policies or HTTP, and never meets kv or hooks. What an object is called, who owns it and what type
// it is said to be is a document, a record, which only the rooms above tie to the bytes by their Hash.
//
// # Record and bytes
//
// A [Store] holds the bytes of one project. The same bytes are there once, however many records have their hash; nothing
// is shared between projects. Three rules keep records and bytes together, whatever crashes in between:
//
//   - Bytes first. A record is committed only after Put or Promote returned, when the bytes are durable, and before its
//     [Lease] is released. So there is no record without bytes.
//   - Record first. Deleting commits the record's end, then calls Remove, which asks whether another record has the hash
//     and takes the bytes only if none has.
//   - What falls between is collected. Bytes whose record never came, because the process died in between, are found by
//     Sweep; so are uploads that nobody confirmed.
//
// A Lease pins its hash: neither Remove nor Sweep takes pinned bytes. Remove asks for records while nobody can pin the
// hash, and a Put of the same bytes waits the moment until it is done. As a record comes to be only under a lease, the
// answer "no record has it" stays true until the bytes are gone. This holds in one process, which is what a directory
// or a prefix of a bucket has.
//
// # Uploads
//
// An upload is bytes that wait under an [UploadID] for being confirmed: written by Stage, or by the client itself to an
// address that PresignPut made, where the backend is a service that can do so. Promote freezes and hashes them and makes
// an object of them. The upload stays until Discard, so that a confirmation that was cut off can be repeated.
//
// # Backends
//
// A [Backend] is where bytes are: blobs/disk, blobs/memory, blobs/s3. It knows nothing of leases; blobs/blobtest is the
// judge of each. All methods of Store and Backend may be called concurrently.
package blobs
