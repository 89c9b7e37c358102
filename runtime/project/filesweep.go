package project

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
)

const (
	// UploadTime is how long an upload may take from its request to its confirmation.
	UploadTime = time.Hour

	sweepFilesEvery = time.Hour
	// orphanAge is how old bytes without a record must be before they are taken for left over. Uploads that wait for
	// their confirmation are younger.
	orphanAge = 24 * time.Hour
)

// SweptFiles is what a sweep of a project's files removed.
type SweptFiles struct {
	Reservations int   `json:"reservations"` // of uploads that were given up
	Uploads      int   `json:"uploads"`      // bytes of such, in files
	Objects      int   `json:"objects"`      // bytes without a record, in files
	Bytes        int64 `json:"bytes"`        // that those objects held
}

// SweepFiles ends reservations that have expired, and removes uploads and bytes older than age that nothing refers to.
func (r *Registry) SweepFiles(ctx context.Context, p *Project, age time.Duration) (out SweptFiles, err error) {
	if p.broken != nil {
		return out, ErrBroken
	}
	out.Reservations, err = r.sweepUploads(ctx, p)
	if err != nil {
		return out, err
	}
	swept, err := p.Blobs.Sweep(ctx, p.referenced, age)
	out.Uploads, out.Objects, out.Bytes = swept.Uploads, swept.Objects, swept.Bytes
	return out, err
}

// sweepUploads ends the reservations that have expired and gives their room back.
func (r *Registry) sweepUploads(ctx context.Context, p *Project) (ended int, err error) {
	now, _ := kv.Number(strconv.FormatInt(r.now().UnixMilli(), 10))
	for range sweepMost {
		var gone []blobs.UploadID
		_, err := p.WriteFiles(ctx, func() (*kv.Batch, error) {
			gone = gone[:0]
			return r.sweepSomeUploads(ctx, p, now, &gone)
		})
		if errors.Is(err, errNothingExpired) {
			return ended, nil
		}
		if err != nil {
			return ended, err
		}
		ended += len(gone)
		for _, id := range gone {
			if err := p.Blobs.Discard(ctx, id); err != nil {
				return ended, err
			}
		}
	}
	return ended, nil
}

func (r *Registry) sweepSomeUploads(ctx context.Context, p *Project, now kv.Value, gone *[]blobs.UploadID) (*kv.Batch, error) {
	snap, c, err := p.filesSnapshot(Uploads)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	page, err := snap.Find(ctx, c, &kv.Query{Limit: sweepSize, Sort: []kv.SortKey{{Path: fieldExpires}},
		Where: []kv.Predicate{{Path: fieldExpires, Op: kv.Lt, Values: []kv.Value{now}}}})
	if err != nil {
		return nil, err
	}
	if len(page.Docs) == 0 {
		return nil, errNothingExpired
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, d := range page.Docs {
		v, err := readReservation(d)
		if err != nil {
			return nil, err
		}
		*gone = append(*gone, v.Upload)
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: Uploads, ID: d.ID, Rev: d.Rev})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: Uploads, ID: d.ID})
		total += v.Size
	}
	addFiles(b, p.State().Config, -total)
	return b, nil
}

// sweepFilesLoop sweeps every project's files now and then, until the registry is closed.
func (r *Registry) sweepFilesLoop(ctx context.Context) {
	tick := time.NewTicker(sweepFilesEvery)
	defer tick.Stop()
	for {
		for _, p := range r.List() {
			if p.broken != nil {
				continue
			}
			switch swept, err := r.SweepFiles(ctx, p, orphanAge); {
			case ctx.Err() != nil:
				return
			case err != nil:
				r.log.WarnContext(ctx, "files not swept", "project", p.ID, "error", err)
			case swept != SweptFiles{}:
				r.log.InfoContext(ctx, "files swept", "project", p.ID, "reservations", swept.Reservations, "uploads", swept.Uploads, "objects", swept.Objects, "bytes", swept.Bytes)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
