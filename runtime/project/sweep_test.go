package project

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
)

// Sessions and stored answers that are past their time go away by themselves; those that are not stay.
func TestSweep(t *testing.T) {
	ctx := context.Background()
	host, err := hooks.NewHost(ctx, hooks.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r, err := OpenRegistry(ctx, t.TempDir(), host, Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, KV: kv.Options{MapSize: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.Apply(ctx, &Config{Name: "p"}, ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := r.Find("p")
	if err != nil {
		t.Fatal(err)
	}
	const total = 3*sweepSize + 7
	b, err := r.newBatch()
	if err != nil {
		t.Fatal(err)
	}
	for i := range total {
		id := p.DB.NewID(now)
		expires := now.Add(time.Duration(i-total+10) * time.Second).UnixMilli() // the last nine are still good
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: Sessions, ID: id,
			Value: fmt.Appendf(nil, `{"_id":"%s","tokenId":"t%d","expires":%d}`, id, i, expires)})
	}
	if _, err := p.DB.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	removed, err := r.Sweep(ctx, p)
	if err != nil || removed != total-10 {
		t.Errorf("removed %d (%v), want %d", removed, err, total-10)
	}
	if removed, err = r.Sweep(ctx, p); err != nil || removed != 0 {
		t.Errorf("a second sweep removed %d (%v)", removed, err)
	}
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	c, _ := snap.Collection(Sessions)
	if st, err := snap.State(c); err != nil || st.Documents != 10 {
		t.Errorf("%d left (%v), want 10", st.Documents, err)
	}
}
