package project

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// AuditKind says what has happened to an account.
type AuditKind string

// The kinds.
const (
	AuditSignup         AuditKind = "signup"
	AuditLogin          AuditKind = "login"
	AuditLoginFailed    AuditKind = "login.failed" // told together: see Failures
	AuditLogout         AuditKind = "logout"
	AuditRefreshReplay  AuditKind = "refresh.replayed" // a spent refresh token came back, and its login was ended
	AuditSessionRevoked AuditKind = "session.revoked"
	AuditPassword       AuditKind = "password.changed"
	AuditPasswordFailed AuditKind = "password.failed" // the current password was wrong; told together
	AuditPasswordReset  AuditKind = "password.reset"
	AuditEmailVerified  AuditKind = "email.verified"
	AuditProfile        AuditKind = "profile.updated"
	AuditSocialLinked   AuditKind = "social.linked"
	AuditDeleted        AuditKind = "account.deleted"
	AuditDisabled       AuditKind = "account.disabled"
	AuditEnabled        AuditKind = "account.enabled"
	AuditKeyRotated     AuditKind = "jwt.rotated"
)

// AuditEntry is one event. An empty member is not stored.
type AuditEntry struct {
	Time      time.Time
	Kind      AuditKind
	UserID    string
	By        string // who brought it about: publishable or secret, the key's role, or operator
	SessionID string // of the login
	RequestID string
	IP        string
	UserAgent string   // see Printable
	Detail    []string // names and texts in turn
	Count     int      // events told together; 0: one
	First     time.Time
}

// Put adds the entry to a batch, so that it is stored with what it tells of or not at all. It goes when it is as old as the project
// keeps them.
func (e *AuditEntry) Put(b *kv.Batch, id kv.DocID, cfg *Config) {
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(id.AppendHex(doc), '"')
	text := func(name, value string) {
		if value != "" {
			doc = jsondoc.AppendString(appendKey(doc, name), value)
		}
	}
	text("time", Timestamp(e.Time))
	text("kind", string(e.Kind))
	text("userId", e.UserID)
	text("by", e.By)
	text("sessionId", e.SessionID)
	text("requestId", e.RequestID)
	text("ip", e.IP)
	text("userAgent", e.UserAgent)
	if len(e.Detail) > 1 {
		doc = append(appendKey(doc, "detail"), '{')
		for i := 0; i+1 < len(e.Detail); i += 2 {
			if i > 0 {
				doc = append(doc, ',')
			}
			doc = append(jsondoc.AppendString(doc, e.Detail[i]), ':')
			doc = jsondoc.AppendString(doc, e.Detail[i+1])
		}
		doc = append(doc, '}')
	}
	if e.Count > 0 {
		doc = strconv.AppendInt(appendKey(doc, "count"), int64(e.Count), 10)
		text("first", Timestamp(e.First))
	}
	expires := e.Time.AddDate(0, 0, cfg.Audit.Days)
	doc = strconv.AppendInt(appendKey(doc, fieldExpires), expires.UnixMilli(), 10)
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: Audit, ID: id, Value: append(doc, '}')})
}

// maxPrintable bounds a stranger's text that is kept, in bytes.
const maxPrintable = 256

// Printable is a stranger's text as it is kept: at most 256 bytes, without what a terminal or a page would obey.
func Printable[T ~string | ~[]byte](text T) string {
	if len(text) > maxPrintable {
		text = text[:maxPrintable]
	}
	out := make([]byte, 0, len(text))
	for s := string(text); len(s) > 0; {
		c, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		if (c == utf8.RuneError && n == 1) || !unicode.IsPrint(c) {
			continue
		}
		out = utf8.AppendRune(out, c)
	}
	return string(out)
}

// Bounds of what is told together.
const (
	failuresWindow = time.Hour
	maxFailures    = 32 // users and addresses of one window that are told by name; the others are told as one
)

// Failures gathers what anybody can bring about as often as they like: wrong passwords. A stranger must be able neither to fill the
// disk with them, nor to push out what else the log holds, nor to make each attempt cost a commit. So they are counted in memory, by
// user and address, and an entry of each is written now and then and once more with the new count for as long as its hour lasts. A
// crash loses those of the last seconds.
type Failures struct {
	mu     sync.Mutex
	window int64 // hours since 1970
	told   map[failure]*failed
	unsent []*failed // of windows that are over
}

type failure struct {
	kind       AuditKind
	userID, ip string
}

type failed struct {
	failure
	id          kv.DocID
	count       int
	sent        int // count of the entry that is stored
	first, last time.Time
}

// Note counts one failure. userID is empty where there is no such account, ip where it is not kept.
func (f *Failures) Note(now time.Time, kind AuditKind, userID, ip string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if window := now.Unix() / int64(failuresWindow/time.Second); window != f.window || f.told == nil {
		for _, t := range f.told {
			if t.count > t.sent {
				f.unsent = append(f.unsent, t)
			}
		}
		f.window, f.told = window, map[failure]*failed{}
	}
	key := failure{kind, userID, ip}
	t := f.told[key]
	if t == nil && len(f.told) >= maxFailures {
		key = failure{kind: kind}
		t = f.told[key]
	}
	if t == nil {
		t = &failed{failure: key, first: now}
		f.told[key] = t
	}
	t.count++
	t.last = now
}

// changed returns copies of what is not stored yet, in the order in which it began.
func (f *Failures) changed() []failed {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []failed
	for _, t := range f.unsent {
		list = append(list, *t)
	}
	for _, t := range f.told {
		if t.count > t.sent {
			list = append(list, *t)
		}
	}
	slices.SortFunc(list, func(a, b failed) int {
		return cmp.Or(a.first.Compare(b.first), cmp.Compare(b.userID, a.userID), cmp.Compare(a.ip, b.ip), cmp.Compare(a.kind, b.kind))
	})
	return list
}

// stored notes that the entries of a list are, under the ids that they have there.
func (f *Failures) stored(list []failed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsent = nil // at most one window ends between two rounds, and changed has returned it
	for i := range list {
		if t := f.told[list[i].failure]; t != nil && t.first.Equal(list[i].first) {
			t.id, t.sent = list[i].id, list[i].count
		}
	}
}

// SaveFailures stores what was counted since the last time. One caller at a time.
func (r *Registry) SaveFailures(ctx context.Context, p *Project) error {
	p.saving.Lock()
	defer p.saving.Unlock()
	list := p.Failures.changed()
	if len(list) == 0 {
		return nil
	}
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	cfg := p.State().Config
	for i := range list {
		t := &list[i]
		if t.id == (kv.DocID{}) {
			t.id = p.DB.NewID(t.first)
		}
		e := AuditEntry{Time: t.last, Kind: t.kind, UserID: t.userID, IP: t.ip, Count: t.count, First: t.first}
		e.Put(b, t.id, cfg)
	}
	if _, err := p.commit(ctx, b); err != nil {
		return err
	}
	p.Failures.stored(list)
	return nil
}

// AuditQuery asks for a page of a project's audit log.
type AuditQuery struct {
	UserID string    // "": of everybody
	Kind   AuditKind // "": of every kind
	Limit  int
	Before string // id of an entry: older ones only
	After  string // id of an entry: newer ones only, and of these the oldest
}

// AuditPage reads a page of the audit log, oldest first. Entries are the stored documents, the caller's. more says that there are
// others beyond the page, in the direction in which it was read.
func (p *Project) AuditPage(ctx context.Context, q AuditQuery) (entries [][]byte, more bool, err error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	c, ok := snap.Collection(Audit)
	if !ok {
		return nil, false, nil
	}
	forward := q.After != ""
	query := &kv.Query{Limit: q.Limit, Budget: auditBudget, Sort: []kv.SortKey{{Path: idMember, Desc: !forward}}}
	where := func(path string, op kv.Compare, value string) {
		if value != "" {
			query.Where = append(query.Where, kv.Predicate{Path: path, Op: op, Values: []kv.Value{kv.String(value)}})
		}
	}
	where("userId", kv.Is, q.UserID)
	where("kind", kv.Is, string(q.Kind))
	where(idMember, kv.Lt, q.Before)
	where(idMember, kv.Gt, q.After)
	page, err := snap.Find(ctx, c, query)
	if err != nil {
		return nil, false, err
	}
	entries = make([][]byte, len(page.Docs))
	for i, d := range page.Docs {
		at := i
		if !forward {
			at = len(page.Docs) - 1 - i
		}
		entries[at] = append([]byte(nil), d.JSON...)
	}
	return entries, page.Next != nil, nil
}

// auditBudget is what one page may look at: all of the largest log.
const auditBudget = maxAuditEntries + 100_000

// auditShare is the part of a project's database limit that its audit log may take.
const auditShare = 10

// trimAudit removes the oldest entries beyond what the project keeps: a number, and a tenth of what its documents may take if that is limited.
func (r *Registry) trimAudit(ctx context.Context, p *Project) (removed int, err error) {
	cfg := p.State().Config
	most, bytes := int64(cfg.Audit.Entries), cfg.Limits.DatabaseBytes/auditShare
	for range sweepMost {
		n := 0
		_, err := p.Write(ctx, func() (*kv.Batch, error) {
			n = 0
			snap, err := p.DB.Snapshot()
			if err != nil {
				return nil, err
			}
			defer snap.Close()
			c, ok := snap.Collection(Audit)
			if !ok {
				return nil, errNothingExpired
			}
			st, err := snap.State(c)
			if err != nil {
				return nil, err
			}
			over := st.Documents - most
			if bytes > 0 && st.Bytes > bytes {
				over = max(over, (st.Bytes-bytes)*st.Documents/st.Bytes+1)
			}
			if over <= 0 {
				return nil, errNothingExpired
			}
			page, err := snap.Find(ctx, c, &kv.Query{Limit: int(min(over, sweepSize)), Sort: []kv.SortKey{{Path: idMember}}})
			if err != nil {
				return nil, err
			}
			b, err := r.newBatch()
			if err != nil {
				return nil, err
			}
			n = len(page.Docs)
			for _, d := range page.Docs {
				b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: Audit, ID: d.ID})
			}
			return b, nil
		})
		if err == errNothingExpired {
			return removed, nil
		}
		if err != nil {
			return removed, err
		}
		removed += n
	}
	return removed, nil
}
