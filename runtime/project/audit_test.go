package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
)

// TestFailuresAreBounded: whoever fails as often as they like from as many addresses as they like fills neither memory nor the log.
func TestFailuresAreBounded(t *testing.T) {
	r, p, ctx := openTest(t)
	noon := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		p.Failures.Note(noon, AuditLoginFailed, "", fmt.Sprintf("192.0.%d.%d", i/250, i%250))
	}
	for range 3 {
		if err := r.SaveFailures(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	entries, _, err := p.AuditPage(ctx, AuditQuery{Limit: 1000})
	if err != nil || len(entries) != maxFailures+1 {
		t.Errorf("there are %d entries, %v", len(entries), err)
	}
}

// TestAuditIsTrimmed: the log keeps as many entries as the project says, and the newest.
func TestAuditIsTrimmed(t *testing.T) {
	r, p, ctx := openTest(t)
	cfg := p.State().Config
	cfg.Audit.Entries = 100
	now := r.now()
	var last kv.DocID
	for range 5 {
		b, err := r.newBatch()
		if err != nil {
			t.Fatal(err)
		}
		for range 150 {
			last = p.DB.NewID(now)
			e := AuditEntry{Time: now, Kind: AuditLogin, UserID: "u"}
			e.Put(b, last, cfg)
		}
		if _, err := p.DB.Commit(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Sweep(ctx, p); err != nil {
		t.Fatal(err)
	}
	entries, more, err := p.AuditPage(ctx, AuditQuery{Limit: 1000})
	if err != nil || len(entries) != 100 || more {
		t.Fatalf("%d entries are left, more: %v, %v", len(entries), more, err)
	}
	if got := string(entries[99][8:32]); got != last.String() {
		t.Errorf("the newest that is left is %s, not %s", got, last)
	}
}

// TestAuditTakesItsShare: where documents are limited the log takes a tenth at most.
func TestAuditTakesItsShare(t *testing.T) {
	r, p, ctx := openTest(t)
	cfg := p.State().Config
	cfg.Limits.DatabaseBytes = 100_000
	b, err := r.newBatch()
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		e := AuditEntry{Time: r.now(), Kind: AuditLogin, UserID: "u"}
		e.Put(b, p.DB.NewID(r.now()), cfg)
	}
	if _, err := p.DB.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sweep(ctx, p); err != nil {
		t.Fatal(err)
	}
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	c, _ := snap.Collection(Audit)
	if st, err := snap.State(c); err != nil || st.Bytes > 10_000 || st.Bytes < 9_000 {
		t.Errorf("%d entries of %d bytes are left, %v", st.Documents, st.Bytes, err)
	}
}

// TestPrintable: what a stranger calls itself cannot speak to a terminal, nor grow.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"curl/8.0": "curl/8.0", "a\x1b[31mb\r\nc\x00": "a[31mbc", "x\u202ey\u200bz": "xyz", "\xff\xfeé": "é"} {
		if got := Printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	long := make([]byte, 10_000)
	for i := range long {
		long[i] = 'x'
	}
	if n := len(Printable(long)); n != maxPrintable {
		t.Errorf("%d bytes are kept", n)
	}
}

// openTest opens a registry with one project that declares nothing.
func openTest(t *testing.T) (*Registry, *Project, context.Context) {
	t.Helper()
	ctx := context.Background()
	host, err := hooks.NewHost(ctx, hooks.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	r, err := OpenRegistry(ctx, t.TempDir(), host, Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }, KV: kv.Options{MapSize: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(ctx), host.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	if _, err := r.Apply(ctx, &Config{Name: "p"}, ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := r.Find("p")
	if err != nil {
		t.Fatal(err)
	}
	return r, p, ctx
}
