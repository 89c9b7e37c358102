package project

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

const (
	fieldExpires = "expires" // Unix milliseconds; readers treat what is past it as gone, the sweeper removes it

	sweepEvery = time.Minute
	sweepSize  = 200 // documents in one commit, so that the writer is never held for long
	sweepMost  = 50  // commits in one round of a project
)

// sweepLoop removes what has expired from every project, now and then, and stores what was counted, until the registry is closed.
func (r *Registry) sweepLoop(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, p := range r.List() {
				if _, err := r.Sweep(ctx, p); err != nil && ctx.Err() == nil {
					r.log.WarnContext(ctx, "expired documents not removed", "project", p.ID, "error", err)
				}
				r.keepUsage(ctx, p)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Sweep removes the expired documents of a project's system collections and returns how many they were. It commits a few
// at a time and stops after a bounded number; what is left is there for the next round.
func (r *Registry) Sweep(ctx context.Context, p *Project) (removed int, err error) {
	if p.broken != nil {
		return 0, nil
	}
	if removed, err = r.sweepUploads(ctx, p); err != nil {
		return removed, fmt.Errorf("sweep %s: %w", Uploads, err)
	}
	for _, name := range []string{Sessions, Accounts, Audit, Idempotency, Codes, Outbox, Throttle, SocialCodes} {
		for range sweepMost {
			n, err := r.sweepSome(ctx, p, name)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("sweep %s: %w", name, err)
			}
			if n < sweepSize {
				break
			}
		}
	}
	p.revoked.forget(r.now())
	n, err := r.trimAudit(ctx, p)
	if removed += n; err != nil {
		return removed, fmt.Errorf("trim %s: %w", Audit, err)
	}
	return removed, nil
}

// sweepSome removes up to sweepSize expired documents of one collection in one commit. One that was renewed meanwhile
// makes the commit fail and is met again in the next round, as it is then.
func (r *Registry) sweepSome(ctx context.Context, p *Project, name string) (int, error) {
	now, _ := kv.Number(strconv.FormatInt(r.now().UnixMilli(), 10))
	n := 0
	_, err := p.Write(ctx, func() (*kv.Batch, error) {
		n = 0
		snap, err := p.DB.Snapshot()
		if err != nil {
			return nil, err
		}
		defer snap.Close()
		c, ok := snap.Collection(name)
		if !ok {
			return nil, errNothingExpired
		}
		page, err := snap.Find(ctx, c, &kv.Query{Limit: sweepSize, Sort: []kv.SortKey{{Path: fieldExpires}},
			Where: []kv.Predicate{{Path: fieldExpires, Op: kv.Lt, Values: []kv.Value{now}}}})
		if err != nil {
			return nil, err
		}
		if n = len(page.Docs); n == 0 {
			return nil, errNothingExpired
		}
		b, err := r.newBatch()
		if err != nil {
			return nil, err
		}
		for _, d := range page.Docs {
			b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: name, ID: d.ID, Rev: d.Rev})
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: name, ID: d.ID})
		}
		return b, nil
	})
	if err == errNothingExpired {
		return 0, nil
	}
	return n, err
}

// errNothingExpired ends a sweep without a commit.
var errNothingExpired = fmt.Errorf("project: nothing has expired")
