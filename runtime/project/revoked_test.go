package project

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// ended is a batch that raises an account's epoch, or ends a session.
func ended(a Account, user kv.DocID, session string, replayed bool, now time.Time) *kv.Batch {
	b := new(kv.Batch)
	if user != (kv.DocID{}) {
		a.Put(b, user, 0, now)
	}
	if session != "" {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: Sessions, Value: fmt.Appendf(nil, `{"_id":"x","tokenId":%q,"revokedAt":%d,"replayed":%v}`, session, now.UnixMilli(), replayed)})
	}
	return b
}

// TestRevoked: which tokens of whom are no good after what.
func TestRevoked(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	ann, bob := kv.DocID{1}, kv.DocID{2}
	token := func(user kv.DocID, session string, epoch uint64) *auth.Claims {
		return &auth.Claims{UserID: user.String(), SessionID: session, Epoch: epoch}
	}
	for _, c := range []struct {
		name          string
		batch         *kv.Batch
		token         *auth.Claims
		loose, strict bool
	}{
		{"nothing happened", new(kv.Batch), token(ann, "s", 0), false, false},
		{"a new password", ended(Account{Epoch: 1}, ann, "", false, now), token(ann, "s", 0), true, true},
		{"a new password, and a token of after it", ended(Account{Epoch: 1}, ann, "", false, now), token(ann, "s", 1), false, false},
		{"somebody else's new password", ended(Account{Epoch: 1}, bob, "", false, now), token(ann, "s", 0), false, false},
		{"the session that set it", ended(Account{Epoch: 1, Keep: "s"}, ann, "", false, now), token(ann, "s", 0), false, false},
		{"the session that set the one before", ended(Account{Epoch: 2, Keep: "s"}, ann, "", false, now), token(ann, "s", 0), true, true},
		{"a token that names no session", ended(Account{Epoch: 1}, ann, "", false, now), token(ann, "", 0), true, true},
		{"an account that is gone", ended(Account{Gone: true}, ann, "", false, now), token(ann, "s", 0), true, true},
		{"an account that is disabled", ended(Account{Disabled: true, Keep: "s", Epoch: 1}, ann, "", false, now), token(ann, "s", 1), true, true},
		{"the end of the session", ended(Account{}, kv.DocID{}, "s", false, now), token(ann, "s", 0), false, true},
		{"the end of another session", ended(Account{}, kv.DocID{}, "other", true, now), token(ann, "s", 0), false, false},
		{"a replay", ended(Account{}, kv.DocID{}, "s", true, now), token(ann, "s", 0), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := new(Project)
			p.revoked.note(c.batch)
			if loose, strict := p.Revoked(c.token, false), p.Revoked(c.token, true); loose != c.loose || strict != c.strict {
				t.Errorf("revoked %v, strictly %v", loose, strict)
			}
			p.revoked.forget(now.Add(revokedFor))
			if loose := p.Revoked(c.token, false); loose != c.loose {
				t.Errorf("forgotten before the last token has run out")
			}
			p.revoked.forget(now.Add(revokedFor + time.Millisecond))
			if p.Revoked(c.token, true) || p.revoked.any.Load() {
				t.Errorf("not forgotten when the last token has run out")
			}
		})
	}
}

// TestRevokedIsCheap: every request of a user asks.
func TestRevokedIsCheap(t *testing.T) {
	p := new(Project)
	c := &auth.Claims{UserID: kv.DocID{9}.String(), SessionID: "s"}
	for i := range 1000 {
		p.revoked.note(ended(Account{Epoch: 1}, kv.DocID{1, byte(i), byte(i >> 8)}, fmt.Sprint(i), false, time.Now()))
	}
	if n := testing.AllocsPerRun(100, func() { p.Revoked(c, true) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkRevoked(b *testing.B) {
	c := &auth.Claims{UserID: kv.DocID{9}.String(), SessionID: "s"}
	for _, n := range []int{0, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := new(Project)
			for i := range n {
				p.revoked.note(ended(Account{Epoch: 1}, kv.DocID{1, byte(i), byte(i >> 8)}, fmt.Sprint(i), false, time.Now()))
			}
			for b.Loop() {
				if p.Revoked(c, true) {
					b.Fatal("revoked")
				}
			}
		})
	}
}

// FuzzDecodeAccount: what was stored is read back, and anything else is no reason to fall down.
func FuzzDecodeAccount(f *testing.F) {
	f.Add([]byte(`{"_id":"x","epoch":3,"keep":"s","disabled":true,"gone":false,"changedAt":1}`))
	f.Add([]byte(`{"epoch":-1}`))
	f.Add([]byte(`{"epoch":18446744073709551615,"changedAt":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		a, err := decodeAccount(doc)
		if err != nil {
			return
		}
		b := new(kv.Batch)
		a.Put(b, kv.DocID{1}, 0, time.UnixMilli(a.changed))
		again, err := decodeAccount(b.Ops[0].Value)
		if err != nil || again.Epoch != a.Epoch || again.Disabled != a.Disabled || again.Gone != a.Gone || again.changed != a.changed {
			t.Fatalf("%s became %s (%v)", doc, b.Ops[0].Value, err)
		}
		new(revoked).note(b)
	})
}
