package project

import (
	"context"
	"errors"

	"github.com/sluice-edge/sluice/kv"
)

// maxAttempts is how often a write is prepared anew after another one got in between.
const maxAttempts = 8

// Write commits what prepare builds. prepare judges the present state and names what it looked at among the batch's
// needs; when another write got in between, the commit is refused and prepare is asked again, on the new state. After a
// bounded number of times it is asked once more while this write holds the project's turn, so that it always ends.
//
// prepare may therefore run several times and must change nothing; a batch may be reused between its calls. Errors:
// prepare's own, and kv's. A *kv.ConflictError means that even the turn did not help, which only a batch that names
// what can never hold brings about.
func (p *Project) Write(ctx context.Context, prepare func() (*kv.Batch, error)) (rev uint64, err error) {
	var conflict *kv.ConflictError
	for range maxAttempts {
		b, err := prepare()
		if err != nil {
			return 0, err
		}
		if rev, err = p.commit(ctx, b); err == nil || !errors.As(err, &conflict) {
			return rev, err
		}
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	b, err := prepare()
	if err != nil {
		return 0, err
	}
	return p.noted(ctx, b)
}

// change commits a change of the project's rules and makes next's State the present one. A write that takes the turn
// meanwhile waits for both, so that it never meets rules in its file that it cannot see yet.
func (p *Project) change(ctx context.Context, b *kv.Batch, next func(rev uint64) *State) error {
	p.turn.RLock()
	defer p.turn.RUnlock()
	rev, err := p.DB.Commit(ctx, b)
	if err == nil {
		p.state.Store(next(rev))
	}
	return err
}

// commit commits one batch beside others, unless somebody holds the project's turn.
func (p *Project) commit(ctx context.Context, b *kv.Batch) (uint64, error) {
	p.turn.RLock()
	defer p.turn.RUnlock()
	return p.noted(ctx, b)
}

// noted commits a batch and learns from it which access tokens are no good any more, before anybody is answered.
func (p *Project) noted(ctx context.Context, b *kv.Batch) (uint64, error) {
	rev, err := p.DB.Commit(ctx, b)
	if err == nil || errors.Is(err, kv.ErrUnknownOutcome) {
		p.revoked.note(b)
	}
	return rev, err
}
