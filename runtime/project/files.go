package project

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
)

// FileQuotaError: the project's files would take more than its files.totalBytes. Nothing happened.
type FileQuotaError struct {
	Limit int64 // bytes
	Used  int64 // bytes, with what is reserved
}

func (e *FileQuotaError) Error() string { return "project: the files would take more than their quota" }

// quotaError names the quota of files if err is about it.
func quotaError(err error) error {
	var floor *kv.FloorError
	if errors.As(err, &floor) && floor.Name == counterFiles {
		return &FileQuotaError{Limit: -floor.Floor, Used: -floor.Value}
	}
	return err
}

// addFiles adds so many bytes to what the project's files take. More than the quota is refused by the commit itself;
// giving back always works, also when the quota has shrunk meanwhile.
func addFiles(b *kv.Batch, cfg *Config, bytes int64) {
	if bytes == 0 {
		return
	}
	op := kv.Op{Kind: kv.OpAdd, Name: counterFiles, Delta: -bytes}
	if limit := cfg.Files.TotalBytes; limit > 0 && bytes > 0 {
		op.HasFloor, op.Floor = true, -limit
	}
	b.Ops = append(b.Ops, op)
}

// FileBytes returns what the project's files take together, with what is reserved for uploads.
func FileBytes(snap *kv.Snapshot) int64 { return -snap.Counter(counterFiles) }

// Reserve adds a reservation to a batch, and its room. least is what the file takes at any rate, v.Size what it may take at
// most: if there is less left than v.Size but enough for least, what is left is reserved. The batch must rest on st's rules.
// Errors: *FileQuotaError, kv's.
func (p *Project) Reserve(b *kv.Batch, st *State, v *Reservation, least int64) error {
	if limit := st.Config.Files.TotalBytes; limit > 0 {
		snap, err := p.DB.Snapshot()
		if err != nil {
			return err
		}
		used := FileBytes(snap)
		err = snap.Err()
		snap.Close()
		if err != nil {
			return err
		}
		left := max(limit-used, 0)
		if left < least {
			return &FileQuotaError{Limit: limit, Used: used}
		}
		v.Size = min(v.Size, left)
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: Uploads, ID: v.ID})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: Uploads, ID: v.ID, Value: v.append(nil)})
	addFiles(b, st.Config, v.Size)
	return nil
}

// Settle adds the record of a file whose bytes are durable to a batch, and takes its reservation back, if it had one. The
// caller holds the lease of the bytes until the batch is committed, which must rest on st's rules.
func Settle(b *kv.Batch, st *State, f *File, v *Reservation) {
	reserved := int64(0)
	if v != nil {
		reserved = v.Size
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: Uploads, ID: v.ID, Rev: v.Rev})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: Uploads, ID: v.ID})
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: StoredFiles, ID: f.ID})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: StoredFiles, ID: f.ID, Value: f.Append(nil)})
	addFiles(b, st.Config, f.Size-reserved)
}

// WriteFiles is Write for batches that change what files take: it adds *FileQuotaError to its errors.
func (p *Project) WriteFiles(ctx context.Context, prepare func() (*kv.Batch, error)) (rev uint64, err error) {
	rev, err = p.Write(ctx, prepare)
	return rev, quotaError(err)
}

// dropUpload adds the end of a reservation to a batch.
func dropUpload(b *kv.Batch, st *State, v *Reservation) {
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: Uploads, ID: v.ID, Rev: v.Rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: Uploads, ID: v.ID})
	addFiles(b, st.Config, -v.Size)
}

// CancelUpload ends a reservation without a file and gives its room back. One that is gone already is no error.
func (r *Registry) CancelUpload(ctx context.Context, p *Project, v *Reservation) error {
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	dropUpload(b, p.State(), v)
	var conflict *kv.ConflictError
	if _, err := p.commit(ctx, b); err != nil && !errors.As(err, &conflict) {
		return err
	}
	return p.Blobs.Discard(ctx, v.Upload)
}

// errGone ends a write that has nothing left to do.
var errGone = errors.New("project: gone already")

// RemoveFile removes a file's record, and its bytes if no other record has them. may judges the record as it is removed.
// The error of a key that no record has is kv.ErrNotFound.
func (r *Registry) RemoveFile(ctx context.Context, p *Project, key string, may func(*File) error) error {
	var hash blobs.Hash
	_, err := p.Write(ctx, func() (*kv.Batch, error) {
		f, err := p.FindFile(key)
		if err != nil {
			return nil, err
		}
		if err := may(f); err != nil {
			return nil, err
		}
		b, err := r.newBatch()
		if err != nil {
			return nil, err
		}
		hash = f.Hash
		dropFile(b, p.State(), f)
		return b, nil
	})
	if err != nil {
		return err
	}
	r.DropBytes(ctx, p, hash)
	return nil
}

func dropFile(b *kv.Batch, st *State, f *File) {
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: StoredFiles, ID: f.ID, Rev: f.Rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: StoredFiles, ID: f.ID})
	addFiles(b, st.Config, -f.Size)
}

// DropBytes removes bytes that a record had, or was to have. The record is gone, which is what the caller asked for: bytes that cannot be
// removed now are found by a later sweep.
func (r *Registry) DropBytes(ctx context.Context, p *Project, hashes ...blobs.Hash) {
	for _, h := range hashes {
		if _, err := p.Blobs.Remove(ctx, h, p.referenced); err != nil {
			r.log.WarnContext(ctx, "bytes of a removed file are left for the sweep", "project", p.ID, "hash", h.String(), "error", err)
		}
	}
}

// removeSize is how many files RemoveFiles removes in one commit.
const removeSize = 200

// RemoveFiles removes every file that there was when it began, a few in one commit, and returns how many. When it is
// interrupted, what it has removed is removed, and the rest is whole.
func (r *Registry) RemoveFiles(ctx context.Context, p *Project) (removed int, err error) {
	last := p.DB.NewID(r.now()) // what is stored from now on has a greater id
	for {
		var hashes []blobs.Hash
		_, err := p.WriteFiles(ctx, func() (*kv.Batch, error) {
			hashes = hashes[:0]
			return r.removeSome(ctx, p, last, &hashes)
		})
		if err == errGone {
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		removed += len(hashes)
		r.DropBytes(ctx, p, hashes...)
	}
}

func (r *Registry) removeSome(ctx context.Context, p *Project, last kv.DocID, hashes *[]blobs.Hash) (*kv.Batch, error) {
	snap, c, err := p.filesSnapshot(StoredFiles)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	page, err := snap.Find(ctx, c, &kv.Query{Limit: removeSize, Sort: []kv.SortKey{{Path: idMember}},
		Where: []kv.Predicate{{Path: idMember, Op: kv.Lt, Values: []kv.Value{kv.String(last.String())}}}})
	if err != nil {
		return nil, err
	}
	if len(page.Docs) == 0 {
		return nil, errGone
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, d := range page.Docs {
		f, err := ReadFile(d)
		if err != nil {
			return nil, err
		}
		*hashes = append(*hashes, f.Hash)
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: StoredFiles, ID: f.ID, Rev: f.Rev})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: StoredFiles, ID: f.ID})
		total += f.Size
	}
	addFiles(b, p.State().Config, -total)
	return b, nil
}

// filesSnapshot opens a snapshot and a system collection in it.
func (p *Project) filesSnapshot(name string) (*kv.Snapshot, *kv.Collection, error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	c, ok := snap.Collection(name)
	if !ok {
		snap.Close()
		return nil, nil, errors.New("project: the collection " + name + " is missing")
	}
	return snap, c, nil
}

// FindFile returns the record with that key, or kv.ErrNotFound.
func (p *Project) FindFile(key string) (*File, error) {
	snap, c, err := p.filesSnapshot(StoredFiles)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	doc, err := snap.GetUnique(c, IndexFileKey, kv.String(key))
	if err != nil {
		return nil, err
	}
	return ReadFile(doc)
}

// FindUpload returns the reservation with that key, or kv.ErrNotFound, also for one that has expired.
func (p *Project) FindUpload(key string, now time.Time) (*Reservation, error) {
	snap, c, err := p.filesSnapshot(Uploads)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	doc, err := snap.GetUnique(c, IndexFileKey, kv.String(key))
	if err != nil {
		return nil, err
	}
	v, err := readReservation(doc)
	if err == nil && !v.Expires.After(now) {
		return nil, kv.ErrNotFound
	}
	return v, err
}

// referenced reports whether a record has the hash.
func (p *Project) referenced(ctx context.Context, h blobs.Hash) (bool, error) {
	snap, c, err := p.filesSnapshot(StoredFiles)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	page, err := snap.Find(ctx, c, &kv.Query{Limit: 1, Where: []kv.Predicate{{Path: IndexFileHash, Op: kv.Eq, Values: []kv.Value{kv.String(h.String())}}}})
	return err == nil && len(page.Docs) > 0, err
}

// FileTotals is how much there is of a project's files.
type FileTotals struct {
	Files   int64
	Bytes   int64 // with what is reserved for uploads
	Quota   int64 // of Bytes; 0: no limit
	Uploads int64 // on their way
}

// FileTotals reads the totals, which are kept and not counted.
func (p *Project) FileTotals() (t FileTotals, err error) {
	snap, c, err := p.filesSnapshot(StoredFiles)
	if err != nil {
		return t, err
	}
	defer snap.Close()
	files, err := snap.State(c)
	if err != nil {
		return t, err
	}
	t.Files, t.Bytes, t.Quota = files.Documents, FileBytes(snap), p.State().Config.Files.TotalBytes
	if c, ok := snap.Collection(Uploads); ok {
		uploads, err := snap.State(c)
		if err != nil {
			return t, err
		}
		t.Uploads = uploads.Documents
	}
	return t, snap.Err()
}
