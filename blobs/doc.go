// Package blobs is the room for objects: bytes with a name, a type, a size and a hash. It will stream them to a store on
// disk, in memory or in an S3 service, content-addressed, and say of each whether it is whole.
//
// It never knows users, policies or HTTP, and never meets kv or hooks: an object's record is a document, which only
// runtime/project ties to the bytes. It holds no code yet: no endpoint serves files.
package blobs
