package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// Access tokens are not looked up anywhere, so that a request costs no read. What must end them early is known instead: an epoch of
// each account, which a new password raises, and the sessions that were ended. Both are in the project's file, in the same commit as
// what brings them about, and for as long as an access token may still live in memory, where each request asks.

// revokedFor is how long a token may still live that was issued before it was revoked: its life, and the skew of clocks. No access token of a
// user's is issued for longer than auth.AccessLifetime.
const revokedFor = auth.AccessLifetime + 2*time.Minute

// Fields of sessions and account records that are looked for.
const (
	FieldUserID    = "userId"
	FieldRevokedAt = "revokedAt" // Unix milliseconds; absent while a session stands
	FieldChangedAt = "changedAt" // Unix milliseconds, of Account
	FieldReplayed  = "replayed"  // of a session: it was ended because a spent token came back
)

// Account is what the server alone keeps of an account: a document of Accounts under the user's id. One that is missing is the zero
// Account.
type Account struct {
	Epoch    uint64 // tokens and sessions of an earlier one are no good
	Keep     string // session whose access tokens of the epoch before stay good: a user who changes the password stays logged in
	Disabled bool   // nobody logs in as this user
	Gone     bool   // the user was deleted; the record goes when the last token has run out

	changed int64
}

// ReadAccount reads the record of an account. rev is for the needs of a batch, 0 if there is none.
func ReadAccount(snap *kv.Snapshot, user kv.DocID) (a Account, rev uint64, err error) {
	c, ok := snap.Collection(Accounts)
	if !ok {
		return a, 0, fmt.Errorf("project: there is no collection %s", Accounts)
	}
	doc, err := snap.Get(c, user)
	if errors.Is(err, kv.ErrNotFound) {
		return a, 0, nil
	}
	if err != nil {
		return a, 0, err
	}
	a, err = decodeAccount(doc.JSON)
	return a, doc.Rev, err
}

func decodeAccount(doc []byte) (a Account, err error) {
	number := func(name string) uint64 {
		raw, _ := jsondoc.Lookup(doc, name)
		n, bad := strconv.ParseUint(string(raw), 10, 63)
		if bad != nil {
			err = fmt.Errorf("project: account record: %s is no number", name)
		}
		return n
	}
	flag := func(name string) bool {
		raw, _ := jsondoc.Lookup(doc, name)
		return string(raw) == "true"
	}
	a.Epoch, a.changed = number("epoch"), int64(number(FieldChangedAt))
	a.Disabled, a.Gone = flag("disabled"), flag("gone")
	if raw, ok := jsondoc.Lookup(doc, "keep"); ok {
		a.Keep = string(jsondoc.Unquote(nil, raw))
	}
	return a, err
}

// Put adds the record to a batch, in place of the one at rev.
func (a Account) Put(b *kv.Batch, user kv.DocID, rev uint64, now time.Time) {
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(user.AppendHex(doc), '"')
	doc = strconv.AppendUint(appendKey(doc, "epoch"), a.Epoch, 10)
	doc = jsondoc.AppendString(appendKey(doc, "keep"), a.Keep)
	doc = strconv.AppendBool(appendKey(doc, "disabled"), a.Disabled)
	doc = strconv.AppendBool(appendKey(doc, "gone"), a.Gone)
	doc = strconv.AppendInt(appendKey(doc, FieldChangedAt), now.UnixMilli(), 10)
	if a.Gone {
		doc = strconv.AppendInt(appendKey(doc, fieldExpires), now.Add(revokedFor).UnixMilli(), 10)
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: Accounts, ID: user, Rev: rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: Accounts, ID: user, Value: append(doc, '}')})
}

// revoked is what is no good any more although it is signed and has not run out. The zero value is empty.
type revoked struct {
	any      atomic.Bool // whether there is anything; the usual request asks no more
	mu       sync.RWMutex
	users    map[string]revokedUser
	sessions map[string]revokedSession // by the half of the refresh token that names the session
}

type revokedUser struct {
	epoch uint64
	keep  string
	none  bool // nothing is good: the user is gone, or disabled
	until int64
}

type revokedSession struct {
	replayed bool
	until    int64
}

// Revoked reports whether an access token that Tokens found good must not count any more. The end of a session counts at once where
// the project wants it so (auth.strictSessions) or a stolen token has ended it; else its last access token runs out by itself. It does
// not allocate.
func (p *Project) Revoked(c *auth.Claims, strict bool) bool {
	r := &p.revoked
	if !r.any.Load() {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if u, ok := r.users[c.UserID]; ok && (u.none || c.Epoch < u.epoch && (u.keep == "" || c.SessionID != u.keep || c.Epoch+1 < u.epoch)) {
		return true
	}
	s, ok := r.sessions[c.SessionID]
	return ok && (strict || s.replayed)
}

// note learns from a batch that was committed, or may have been: what was revoked in vain costs its owner a refresh.
func (r *revoked) note(b *kv.Batch) {
	for i := range b.Ops {
		op := &b.Ops[i]
		if op.Kind != kv.OpPut {
			continue
		}
		switch op.Collection {
		case Accounts:
			if a, err := decodeAccount(op.Value); err == nil {
				r.user(op.ID, a)
			}
		case Sessions:
			r.session(op.Value)
		}
	}
}

func (r *revoked) user(id kv.DocID, a Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == nil {
		r.users = map[string]revokedUser{}
	}
	r.users[id.String()] = revokedUser{a.Epoch, a.Keep, a.Gone || a.Disabled, time.UnixMilli(a.changed).Add(revokedFor).UnixMilli()}
	r.any.Store(true)
}

// session learns from a session's document, if it says that it was revoked.
func (r *revoked) session(doc []byte) {
	raw, ok := jsondoc.Lookup(doc, FieldRevokedAt)
	if !ok {
		return
	}
	at, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return
	}
	name, _ := jsondoc.Lookup(doc, IndexToken)
	replayed, _ := jsondoc.Lookup(doc, FieldReplayed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions == nil {
		r.sessions = map[string]revokedSession{}
	}
	r.sessions[string(jsondoc.Unquote(nil, name))] = revokedSession{bytes.Equal(replayed, []byte("true")), time.UnixMilli(at).Add(revokedFor).UnixMilli()}
	r.any.Store(true)
}

// forget drops what no token can be concerned by any more.
func (r *revoked) forget(now time.Time) {
	if !r.any.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, u := range r.users {
		if u.until < now.UnixMilli() {
			delete(r.users, id)
		}
	}
	for id, s := range r.sessions {
		if s.until < now.UnixMilli() {
			delete(r.sessions, id)
		}
	}
	r.any.Store(len(r.users)+len(r.sessions) > 0)
}

// loadRevoked reads what was revoked lately, when a project is opened.
func (p *Project) loadRevoked(ctx context.Context, snap *kv.Snapshot, now time.Time) error {
	since, _ := kv.Number(strconv.FormatInt(now.Add(-revokedFor).UnixMilli(), 10))
	for _, of := range []struct {
		collection, field string
		learn             func(kv.Document) error
	}{
		{Accounts, FieldChangedAt, func(d kv.Document) error {
			a, err := decodeAccount(d.JSON)
			p.revoked.user(d.ID, a)
			return err
		}},
		{Sessions, FieldRevokedAt, func(d kv.Document) error { p.revoked.session(d.JSON); return nil }},
	} {
		c, ok := snap.Collection(of.collection)
		if !ok {
			return fmt.Errorf("project: there is no collection %s", of.collection)
		}
		q := &kv.Query{Limit: 1000, Budget: maxControl, Sort: []kv.SortKey{{Path: of.field}},
			Where: []kv.Predicate{{Path: of.field, Op: kv.Gte, Values: []kv.Value{since}}}}
		for {
			page, err := snap.Find(ctx, c, q)
			if err != nil {
				return err
			}
			for _, d := range page.Docs {
				if err := of.learn(d); err != nil {
					return err
				}
			}
			if page.Next == nil {
				break
			}
			q.After = page.Next
		}
	}
	return nil
}
