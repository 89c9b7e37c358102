package project

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Files are kept twice over: their bytes in the project's blobs.Store, under their hash, and a record of each in the
// project's own file. Only the record makes a file: it is committed once the bytes are durable, and removed before they
// are. What an upload may take is reserved before its first byte; the reservation is a document as well, so that it is
// there after a crash and ends by itself.
const (
	StoredFiles = "_files"   // a record a file
	Uploads     = "_uploads" // a reservation an upload

	IndexFileKey  = "key"
	IndexFileHash = "hash"

	// counterFiles is minus the bytes of all records and reservations together. A counter has a floor and no ceiling, so
	// what is used counts downwards: the floor is minus the project's quota.
	counterFiles = "files"
)

// File is the record of one stored file.
type File struct {
	ID      kv.DocID
	Rev     uint64     // 0: not stored yet
	Key     string     // what its address ends in, unique: "<uuid>_<name>"
	Name    string     // what people call it
	Hash    blobs.Hash // of its bytes
	Size    int64      // bytes
	Type    string     // media type that it is served with
	Owner   string     // user id, "" when it was stored with a secret key
	Private bool
	Created string // as Timestamp
	Updated string
}

// Visibility is the word for Private.
func (f *File) Visibility() string {
	if f.Private {
		return VisibilityPrivate
	}
	return VisibilityPublic
}

// Append appends the record as JSON, as it is stored.
func (f *File) Append(dst []byte) []byte {
	dst = appendHead(dst, f.ID.String())
	text := func(key, value string) { dst = jsondoc.AppendString(appendKey(dst, key), value) }
	text(IndexFileKey, f.Key)
	text("name", f.Name)
	text(IndexFileHash, f.Hash.String())
	dst = strconv.AppendInt(appendKey(dst, "size"), f.Size, 10)
	text("type", f.Type)
	if f.Owner != "" {
		text("owner", f.Owner)
	}
	text("visibility", f.Visibility())
	text(createdAt, f.Created)
	text(updatedAt, f.Updated)
	return append(dst, '}')
}

// ReadFile reads a stored record. doc is borrowed; what is returned is not.
func ReadFile(doc kv.Document) (*File, error) {
	f := &File{ID: doc.ID, Rev: doc.Rev}
	var err error
	jsondoc.Fields(doc.JSON, func(name, raw []byte) bool {
		switch string(name[1 : len(name)-1]) { // names of ours hold no escapes
		case IndexFileKey:
			f.Key = text(raw)
		case "name":
			f.Name = text(raw)
		case IndexFileHash:
			f.Hash, err = blobs.ParseHash(text(raw))
		case "size":
			f.Size, err = strconv.ParseInt(string(raw), 10, 64)
		case "type":
			f.Type = text(raw)
		case "owner":
			f.Owner = text(raw)
		case "visibility":
			f.Private = text(raw) != VisibilityPublic
		case createdAt:
			f.Created = text(raw)
		case updatedAt:
			f.Updated = text(raw)
		}
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("project: record of file %s: %w", doc.ID, err)
	}
	return f, nil
}

func text(raw []byte) string { return string(jsondoc.Unquote(nil, raw)) }

// Reservation is an upload that is on its way: room that it may take, and what its record will say.
type Reservation struct {
	ID      kv.DocID
	Rev     uint64
	Upload  blobs.UploadID // where the bytes wait, for an upload in steps
	Key     string         // as File
	Name    string
	Size    int64  // bytes that are reserved
	Type    string // that the client declared
	Owner   string
	Private bool
	Expires time.Time
}

func (v *Reservation) append(dst []byte) []byte {
	dst = appendHead(dst, v.ID.String())
	text := func(key, value string) { dst = jsondoc.AppendString(appendKey(dst, key), value) }
	text("upload", v.Upload.String())
	text(IndexFileKey, v.Key)
	text("name", v.Name)
	dst = strconv.AppendInt(appendKey(dst, "size"), v.Size, 10)
	text("type", v.Type)
	if v.Owner != "" {
		text("owner", v.Owner)
	}
	dst = strconv.AppendBool(appendKey(dst, "private"), v.Private)
	dst = strconv.AppendInt(appendKey(dst, fieldExpires), v.Expires.UnixMilli(), 10)
	return append(dst, '}')
}

func readReservation(doc kv.Document) (*Reservation, error) {
	v := &Reservation{ID: doc.ID, Rev: doc.Rev}
	var err error
	jsondoc.Fields(doc.JSON, func(name, raw []byte) bool {
		switch string(name[1 : len(name)-1]) { // names of ours hold no escapes
		case "upload":
			v.Upload, err = blobs.ParseUploadID(text(raw))
		case IndexFileKey:
			v.Key = text(raw)
		case "name":
			v.Name = text(raw)
		case "size":
			v.Size, err = strconv.ParseInt(string(raw), 10, 64)
		case "type":
			v.Type = text(raw)
		case "owner":
			v.Owner = text(raw)
		case "private":
			v.Private = string(raw) == "true"
		case fieldExpires:
			var ms int64
			ms, err = strconv.ParseInt(string(raw), 10, 64)
			v.Expires = time.UnixMilli(ms)
		}
		return err == nil
	})
	if err != nil {
		return nil, fmt.Errorf("project: reservation %s: %w", doc.ID, err)
	}
	return v, nil
}
