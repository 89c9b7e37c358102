// Package s3 keeps objects in a bucket of a service that speaks S3, Amazon's or another:
//
//	<prefix><project>/blobs/<sha256>     an object
//	<prefix><project>/uploads/<id>       an upload that waits for being confirmed; the only keys that clients can write
//	<prefix><project>/frozen/<random>    a copy of an upload while it is hashed and confirmed
//	<prefix><project>/owner              which node's project this is, so that no other sweeps it
//
// What goes through the server is first spooled to a file without a name, hashed, and then sent: in one request whose
// signature covers the hash, or in parts of which each does, so that the service refuses what was changed on the way. It is
// sent again from the file when the service fails, a bounded number of times.
//
// What a client sends by itself is never trusted to be what it is confirmed as, nor to stay so: it is copied by the
// service to a key that no client can write, the copy is read and hashed, and copied on to where its hash says. No checksum
// and no entity tag of the service is relied on: services differ in them, and the client may send again in between.
//
// The service has to be strongly consistent: what was stored is read. All that are in use are.
package s3
