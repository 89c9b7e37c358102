package project

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
)

// FileReport is what CheckFiles has seen.
type FileReport struct {
	Files    int64         // records
	Bytes    int64         // of them
	Reserved int64         // bytes of uploads on their way
	Orphans  int64         // objects without a record, which a crash may leave and a sweep removes
	Problems []FileProblem // nil: nothing is wrong
	More     int           // problems beyond maxFileFaults
}

// FileProblem is one thing that is wrong.
type FileProblem struct {
	Where string
	What  string
}

// maxFileFaults bounds a report: more would not be read.
const maxFileFaults = 100

func (r *FileReport) addf(where, format string, args ...any) {
	if len(r.Problems) == maxFileFaults {
		r.More++
		return
	}
	r.Problems = append(r.Problems, FileProblem{Where: where, What: fmt.Sprintf(format, args...)})
}

// CheckFiles compares a project's records with the bytes in its store: that every file is there and whole, and that the
// counter of the quota says what there is. It changes nothing. An error means that this could not be found out.
func CheckFiles(ctx context.Context, db *kv.DB, store *blobs.Store) (*FileReport, error) {
	snap, err := db.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	out := &FileReport{}
	recorded := map[blobs.Hash]bool{}
	err = each(ctx, snap, StoredFiles, func(doc kv.Document) error {
		f, err := ReadFile(doc)
		if err != nil {
			out.addf("file "+doc.ID.String(), "its record cannot be read: %v", err)
			return nil
		}
		out.Files++
		out.Bytes += f.Size
		recorded[f.Hash] = true
		info, err := store.Stat(ctx, f.Hash)
		switch {
		case errors.Is(err, blobs.ErrNotFound):
			out.addf("file "+f.Key, "its bytes are missing")
		case err != nil:
			return err
		case info.Size != f.Size:
			out.addf("file "+f.Key, "it has %d bytes, and its record says %d", info.Size, f.Size)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, snap, Uploads, func(doc kv.Document) error {
		v, err := readReservation(doc)
		if err != nil {
			out.addf("upload "+doc.ID.String(), "its reservation cannot be read: %v", err)
			return nil
		}
		out.Reserved += v.Size
		return nil
	})
	if err != nil {
		return nil, err
	}
	if used := FileBytes(snap); used != out.Bytes+out.Reserved {
		out.addf("quota of files", "it counts %d bytes, and there are %d", used, out.Bytes+out.Reserved)
	}
	if err := snap.Err(); err != nil {
		return nil, err
	}
	if err := store.Walk(ctx, func(info blobs.Info) error {
		if !recorded[info.Hash] {
			out.Orphans++
		}
		return nil
	}); err != nil {
		return nil, err
	}
	_, err = store.Check(ctx, func(info blobs.Info, err error) {
		if recorded[info.Hash] {
			out.addf("object "+info.Hash.String(), "%v", err)
		}
	})
	return out, err
}

// each reads a whole collection, newest first; one that is missing is empty.
func each(ctx context.Context, snap *kv.Snapshot, name string, f func(kv.Document) error) error {
	c, ok := snap.Collection(name)
	if !ok {
		return nil
	}
	q := &kv.Query{Limit: 1000}
	for {
		page, err := snap.Find(ctx, c, q)
		if err != nil {
			return err
		}
		for _, doc := range page.Docs {
			if err := f(doc); err != nil {
				return err
			}
		}
		if q.After = page.Next; q.After == nil {
			return nil
		}
	}
}
