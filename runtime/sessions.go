package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	sessionIdle     = 7 * 24 * time.Hour  // a login that is not refreshed for so long ends
	sessionLifetime = 30 * 24 * time.Hour // and every login after so long
	revokedKept     = 24 * time.Hour      // a session that was ended is remembered so long, so that its tokens are known as used
	maxSessions     = 100                 // logins of one user at once; a further one ends the oldest
)

// session is one login: a document of the _sessions collection, whose refresh token changes with every use. The document
// holds the hash of the one that is good, and a seed by which those that are spent are known: see auth.Family.
type session struct {
	id      kv.DocID
	family  auth.Family
	userID  string
	hash    string // of the refresh token that is good now, hex
	epoch   uint64 // of the account: see project.Account
	created time.Time
	used    time.Time // when it was last refreshed, or made
	ends    time.Time // however often it is refreshed
	expires time.Time // unless it is refreshed
	revoked time.Time // zero while it stands
	replay  bool      // it was ended because a spent token came back
	ip      string
	agent   string
	rev     uint64
	refresh auth.Secret // set when a token was just made: it is shown this once
}

// newSession makes a session and its first refresh token.
func (r *request) newSession(user kv.DocID) (*session, error) {
	family, err := auth.NewFamily(rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &session{id: r.project.DB.NewID(r.start), family: family, userID: user.String(), created: r.start, ends: r.start.Add(sessionLifetime)}
	s.ip, s.agent = r.client()
	token, err := family.Token(rand.Reader)
	if err != nil {
		return nil, err
	}
	s.use(token, r.start)
	return s, nil
}

// use makes a token the one that is good.
func (s *session) use(token auth.Secret, now time.Time) {
	s.refresh, s.hash, s.used = token, hashHex(token.Reveal()), now
	if s.expires = now.Add(sessionIdle); s.expires.After(s.ends) {
		s.expires = s.ends
	}
}

// stands reports whether the session has neither been ended nor run out.
func (s *session) stands(now time.Time) bool { return s.revoked.IsZero() && !now.After(s.expires) }

func hashHex(token string) string {
	sum := auth.HashRefresh(token)
	return hex.EncodeToString(sum[:])
}

// put adds the session's document to a batch, on top of the revision that it was read at.
func (s *session) put(b *kv.Batch) {
	doc := append([]byte(nil), `{"_id":`...)
	doc = jsondoc.AppendString(doc, s.id.String())
	text := func(name, value string) { doc = appendMember(doc, name, jsondoc.AppendString(nil, value)) }
	at := func(name string, t time.Time) {
		doc = appendMember(doc, name, strconv.AppendInt(nil, t.UnixMilli(), 10))
	}
	text(project.IndexToken, s.family.ID)
	text("seed", hex.EncodeToString(s.family.Seed[:]))
	text(project.FieldUserID, s.userID)
	text("hash", s.hash)
	doc = appendMember(doc, "epoch", strconv.AppendUint(nil, s.epoch, 10))
	at("created", s.created)
	at("used", s.used)
	at("ends", s.ends)
	at("expires", s.expires)
	if !s.revoked.IsZero() {
		at(project.FieldRevokedAt, s.revoked)
		doc = appendMember(doc, project.FieldReplayed, strconv.AppendBool(nil, s.replay))
	}
	text("ip", s.ip)
	text("userAgent", s.agent)
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Sessions, ID: s.id, Rev: s.rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Sessions, ID: s.id, Value: append(doc, '}')})
}

// decodeSession reads a session's document.
func (r *request) decodeSession(doc kv.Document) (*session, error) {
	v, err := r.docParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return nil, err
	}
	at := func(name string) time.Time {
		n, bad := strconv.ParseInt(string(v.Get(name).Raw()), 10, 64)
		if bad != nil {
			return time.Time{}
		}
		return time.UnixMilli(n)
	}
	text := func(name string) string { return string(v.Get(name).Text()) }
	s := &session{id: doc.ID, rev: doc.Rev, userID: text(project.FieldUserID), hash: text("hash"),
		created: at("created"), used: at("used"), ends: at("ends"), expires: at("expires"), revoked: at(project.FieldRevokedAt),
		replay: v.Get(project.FieldReplayed).Bool(), ip: text("ip"), agent: text("userAgent")}
	s.epoch, _ = strconv.ParseUint(string(v.Get("epoch").Raw()), 10, 64)
	s.family.ID = text(project.IndexToken)
	if n, bad := hex.Decode(s.family.Seed[:], v.Get("seed").Text()); bad != nil || n != len(s.family.Seed) {
		// Of an older version, which kept no seed: with a fresh one it goes on from its next token.
		if _, err := rand.Read(s.family.Seed[:]); err != nil {
			return nil, err
		}
		s.created, s.used, s.ends = r.start, r.start, r.start.Add(sessionLifetime)
		if v.Get("revoked").Bool() {
			s.revoked = r.start
		}
	}
	return s, nil
}

// addSession adds a new session of a user to a batch, in place of the oldest one if there are too many. It is what every way to log in
// has in common: nobody logs in as a disabled user; the claims are asked; and a new password, or the end of the account, that comes
// between now and the commit leaves no session behind. doc is the account's document as it is now, borrowed.
func (r *request) addSession(b *kv.Batch, s *session, doc kv.Document) error {
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	account, rev, err := project.ReadAccount(snap, doc.ID)
	if err != nil {
		return err
	}
	if account.Disabled {
		return errAccountDisabled
	}
	s.epoch = account.Epoch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: doc.ID, Rev: doc.Rev},
		kv.Need{Kind: kv.NeedDoc, Collection: project.Accounts, ID: doc.ID, Rev: rev})
	if err := r.askClaims(s.userID, doc.JSON); err != nil {
		return err
	}
	r.addReads()
	standing, err := r.sessionsOf(s.userID)
	if err != nil {
		return err
	}
	for ; len(standing) >= maxSessions; standing = standing[:len(standing)-1] {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Sessions, ID: standing[len(standing)-1].id})
	}
	s.put(b)
	return nil
}

// storeSession commits a new session of a user whose password was verified against the stored hash. That the user still
// has that password is a need of the commit, and that nobody has guessed at it too often. better, if there is any, takes the place of a hash that was made with other parameters.
func (r *request) storeSession(s *session, user kv.DocID, email, verified, better string) error {
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		doc, err := r.load(user)
		if err != nil {
			return nil, err
		}
		if raw, ok := jsondoc.Lookup(doc.JSON, fieldPassword); !ok || string(jsondoc.Unquote(nil, raw)) != verified {
			return nil, errCredentials
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		if err := r.guessedRight(b, email); err != nil {
			return nil, err
		}
		if err := r.addSession(b, s, doc); err != nil {
			return nil, err
		}
		if better != "" {
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: user, Value: replaceMember(nil, doc.JSON, fieldPassword, better)})
		}
		r.audit(b, project.AuditLogin, s.userID, "session", s.id.String())
		return b, nil
	})
	if errors.Is(err, kv.ErrNotFound) {
		return errCredentials
	}
	return err
}

// replaceMember appends a stored document with another text as one of its members, which comes last if there was none.
func replaceMember(dst, doc []byte, name, text string) []byte {
	found := false
	dst = append(dst, '{')
	jsondoc.Fields(doc, func(quoted, raw []byte) bool {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(dst, quoted...), ':')
		if string(jsondoc.Unquote(nil, quoted)) == name {
			dst, found = jsondoc.AppendString(dst, text), true
		} else {
			dst = append(dst, raw...)
		}
		return true
	})
	if !found {
		dst = appendMember(dst, name, jsondoc.AppendString(nil, text))
	}
	return append(dst, '}')
}

// sessionsOf reads the sessions of a user that stand, newest first.
func (r *request) sessionsOf(userID string) ([]*session, error) {
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	c, ok := snap.Collection(project.Sessions)
	if !ok {
		return nil, nil
	}
	q := &kv.Query{Limit: 1000, Budget: maxSessionScan, Where: []kv.Predicate{
		{Path: project.FieldUserID, Op: kv.Is, Values: []kv.Value{kv.String(userID)}},
		{Path: project.FieldRevokedAt, Op: kv.Is, Values: []kv.Value{kv.Null()}},
	}}
	var list []*session
	for {
		page, err := snap.Find(r.reading(), c, q)
		if err != nil {
			return nil, err
		}
		for _, doc := range page.Docs {
			s, err := r.decodeSession(doc)
			if err != nil {
				return nil, err
			}
			if s.stands(r.start) {
				list = append(list, s)
			}
		}
		if page.Next == nil {
			return list, nil
		}
		q.After = page.Next
	}
}

// maxSessionScan is what finding the sessions of one user may look at. With the index it is their number; an older file is searched
// whole while the index is being built.
const maxSessionScan = 10_000_000

// endSessions adds the end of all sessions of a user but one to a batch, and of their access tokens with them. keep is the half of the
// refresh token that names the one that stays, empty for none. It returns how many it ended. Sessions that begin before the commit without
// having been seen here end by the epoch.
func (r *request) endSessions(b *kv.Batch, user kv.DocID, keep string) (ended int, err error) {
	return r.endAccount(b, user, keep, func(*project.Account) {})
}

// endAccount is endSessions with another change of the account's record.
func (r *request) endAccount(b *kv.Batch, user kv.DocID, keep string, change func(*project.Account)) (ended int, err error) {
	snap, err := r.snapshot()
	if err != nil {
		return 0, err
	}
	account, rev, err := project.ReadAccount(snap, user)
	if err != nil {
		return 0, err
	}
	account.Epoch++
	account.Keep = keep
	change(&account)
	account.Put(b, user, rev, r.start)
	list, err := r.sessionsOf(user.String())
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		if s.family.ID == keep {
			s.epoch = account.Epoch
			s.put(b)
			continue
		}
		s.end(b, r.start)
		ended++
	}
	return ended, nil
}

// end adds the end of the session to a batch. Its document stays for a while, so that its tokens are known as used.
func (s *session) end(b *kv.Batch, now time.Time) {
	ended := *s
	ended.revoked = now
	if until := now.Add(revokedKept); ended.expires.After(until) {
		ended.expires = until
	}
	ended.put(b)
}

// answerSession answers with an access token, and with the refresh token in the body for clients that ask for it there
// by x-refresh-token-mode, in a cookie for all others. user is the account's document, or nil to leave it out.
func (r *request) answerSession(status int, message string, s *session, user []byte) error {
	token, err := r.state.Tokens.Issue(auth.Claims{UserID: s.userID, SessionID: s.family.ID, Epoch: s.epoch, Custom: r.claims}, r.start)
	if err != nil {
		return err
	}
	fields := []byte{}
	if message != "" {
		fields = appendMember(fields, "message", jsondoc.AppendString(nil, message))
	}
	access := jsondoc.AppendString(nil, token.Reveal())
	fields = appendMember(fields, "token", access)
	fields = appendMember(fields, "accessToken", access)
	fields = appendMember(fields, "expiresIn", []byte(`"15m"`))
	if r.headerMode() {
		fields = appendMember(fields, "refreshToken", jsondoc.AppendString(nil, s.refresh.Reveal()))
	} else {
		r.setRefreshCookie(s.refresh.Reveal(), s.expires)
	}
	fields = appendMember(fields, "userId", jsondoc.AppendString(nil, s.userID))
	if user != nil {
		fields = appendMember(fields, "user", appendProfile(nil, user))
	}
	fields = fields[1:] // the first comma
	b := append(r.answer(status), '{')
	b = append(b, fields...)
	b = append(b, `,"data":{`...)
	b = append(b, fields...)
	return r.done(append(b, '}', '}'))
}

// findSession finds the session that a refresh token names, without judging the token.
func (r *request) findSession(token string) (*session, error) {
	id, err := auth.ParseRefresh(token)
	if err != nil {
		return nil, errRefreshMalformed
	}
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	c, ok := snap.Collection(project.Sessions)
	if !ok {
		return nil, errRefreshUnknown
	}
	doc, err := snap.GetUnique(c, project.IndexToken, kv.String(id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, errRefreshUnknown
	}
	if err != nil {
		return nil, err
	}
	return r.decodeSession(doc)
}
