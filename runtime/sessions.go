package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	refreshLifetime = 7 * 24 * time.Hour
	refreshCookie   = "refreshToken"
	keptUsedHashes  = 64 // used tokens of one login that are remembered as used; older ones are merely unknown
)

// session is one login: a document of the _sessions collection, whose refresh token changes with every use. The document
// holds hashes only. The hashes of used tokens stay in it, so that one that comes back is recognised as a replay.
type session struct {
	id      kv.DocID
	tokenID string // the half of the refresh token that names the session; stays the same for its life
	userID  string
	hash    string   // of the refresh token that is good now, hex
	used    []string // of those that were good before, newest last
	expires time.Time
	revoked bool
	rev     uint64
	refresh auth.Secret // set when a token was just made: it is shown this once
}

// newSession makes a session and its first refresh token.
func (r *request) newSession(user kv.DocID) (*session, error) {
	id, token, err := auth.NewRefresh(rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &session{id: r.project.DB.NewID(r.start), tokenID: id, userID: user.String(), refresh: token, expires: r.start.Add(refreshLifetime)}
	s.hash = hashHex(token.Reveal())
	return s, nil
}

func hashHex(token string) string {
	sum := auth.HashRefresh(token)
	return hex.EncodeToString(sum[:])
}

// put adds the session's document to a batch, on top of the revision that it was read at.
func (s *session) put(b *kv.Batch) error {
	doc := append([]byte(nil), `{"_id":`...)
	doc = jsondoc.AppendString(doc, s.id.String())
	doc = appendMember(doc, project.IndexToken, jsondoc.AppendString(nil, s.tokenID))
	doc = appendMember(doc, "userId", jsondoc.AppendString(nil, s.userID))
	doc = appendMember(doc, "hash", jsondoc.AppendString(nil, s.hash))
	doc = appendMember(doc, "expires", strconv.AppendInt(nil, s.expires.UnixMilli(), 10))
	doc = appendMember(doc, "revoked", strconv.AppendBool(nil, s.revoked))
	used := []byte{'['}
	for i, h := range s.used {
		if i > 0 {
			used = append(used, ',')
		}
		used = jsondoc.AppendString(used, h)
	}
	doc = append(appendMember(doc, "used", append(used, ']')), '}')
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Sessions, ID: s.id, Rev: s.rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Sessions, ID: s.id, Value: doc})
	return nil
}

// decodeSession reads a session's document.
func (r *request) decodeSession(doc kv.Document) (*session, error) {
	v, err := r.docParser.Parse(doc.JSON, storedLimits)
	if err != nil {
		return nil, err
	}
	expires, err := strconv.ParseInt(string(v.Get("expires").Raw()), 10, 64)
	if err != nil {
		return nil, err
	}
	s := &session{id: doc.ID, rev: doc.Rev, tokenID: string(v.Get(project.IndexToken).Text()), userID: string(v.Get("userId").Text()),
		hash: string(v.Get("hash").Text()), expires: time.UnixMilli(expires), revoked: v.Get("revoked").Bool()}
	for _, h := range v.Get("used").Items() {
		s.used = append(s.used, string(h.Text()))
	}
	return s, nil
}

// storeSession commits a new session of a user whose password was verified against the stored hash. That the user still
// has that password is a need of the commit.
func (r *request) storeSession(s *session, user kv.DocID, verified string) error {
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
		if err := r.askClaims(s.userID, doc.JSON); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: user, Rev: doc.Rev})
		r.addReads()
		return b, s.put(b)
	})
	if errors.Is(err, kv.ErrNotFound) {
		return errCredentials
	}
	return err
}

// answerSession answers with an access token, and with the refresh token in the body for clients that ask for it there
// by x-refresh-token-mode, in a cookie for all others. user is the account's document, or nil to leave it out.
func (r *request) answerSession(status int, message string, s *session, user []byte) error {
	token, err := r.state.Tokens.Issue(auth.Claims{UserID: s.userID, SessionID: s.tokenID, Custom: r.claims}, r.start)
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
		value, err := r.docParser.Parse(user, storedLimits)
		if err != nil {
			return err
		}
		fields = appendMember(fields, "user", appendProfile(nil, value))
	}
	fields = fields[1:] // the first comma
	b := append(r.answer(status), '{')
	b = append(b, fields...)
	b = append(b, `,"data":{`...)
	b = append(b, fields...)
	return r.done(append(b, '}', '}'))
}

// headerMode reports whether the client keeps its refresh token itself.
func (r *request) headerMode() bool {
	return strings.EqualFold(string(r.refreshMode), "header") || len(r.refreshToken) > 0
}

// setRefreshCookie hands the refresh token to the browser; an empty token takes it away.
func (r *request) setRefreshCookie(token string, expires time.Time) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(refreshCookie)
	c.SetValue(token)
	c.SetPath("/api/userAuth")
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	c.SetSecure(r.http.IsTLS())
	if token == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetExpire(expires)
		c.SetMaxAge(int(expires.Sub(r.start) / time.Second))
	}
	r.http.Response.Header.SetCookie(c)
}

// presentedRefresh is the refresh token of the request: the header's, or the cookie's when the request comes from a page
// that the project's own site could have served.
func (r *request) presentedRefresh() string {
	if len(r.refreshToken) > 0 {
		return string(r.refreshToken)
	}
	if len(r.origin) > 0 && !r.originTrusted() {
		return ""
	}
	return string(r.http.Request.Header.Cookie(refreshCookie))
}

// originTrusted reports whether the project names the request's origin, so that its cookie counts. A `*` names nobody.
func (r *request) originTrusted() bool {
	o, err := project.ParseOrigin(string(r.origin))
	if err != nil {
		return false
	}
	if own, err := project.ParseOrigin("http://" + string(r.http.Host())); err == nil && own.Host == o.Host && own.Port == o.Port {
		return true
	}
	if site, err := project.ParseOrigin(r.state.Config.SiteURL); err == nil && site == o {
		return true
	}
	return !r.state.Domains.Any() && r.state.Domains.Allows(o)
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

// refreshToken answers POST /api/userAuth/refresh-token: the old token is spent and a new one takes its place, in one
// commit. A spent token that comes back was copied by somebody, so the whole login ends.
func refreshToken(r *request) error {
	token := r.presentedRefresh()
	if token == "" {
		return errRefreshMissing
	}
	var fresh *session
	var refusal error
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		s, err := r.findSession(token)
		if err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		refusal = r.judgeRefresh(s, token)
		if refusal == errRefreshUsed && !s.revoked {
			return b, s.revoke(b)
		}
		if refusal != nil {
			return nil, refusal
		}
		user, err := r.userOf(s)
		if err != nil {
			return nil, err
		}
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: user.ID, Rev: user.Rev})
		if fresh, err = s.rotate(r.start); err != nil {
			return nil, err
		}
		if err := r.askClaims(s.userID, user.JSON); err != nil {
			return nil, err
		}
		r.addReads()
		return b, fresh.put(b)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		if e := errorFrom(err); len(r.refreshToken) == 0 && e.guest == nil && e.Status < 500 { // a guest's no, or a bad moment, is not the token's fault
			r.setRefreshCookie("", r.start)
		}
		return err
	}
	return r.answerSession(fasthttp.StatusOK, "", fresh, nil)
}

// judgeRefresh says whether the token is the one that is good now.
func (r *request) judgeRefresh(s *session, token string) error {
	hash := hashHex(token)
	if auth.SameHash([]byte(hash), []byte(s.hash)) {
		if s.revoked || r.start.After(s.expires) {
			return errRefreshUsed
		}
		return nil
	}
	for _, used := range s.used {
		if auth.SameHash([]byte(hash), []byte(used)) {
			return errRefreshUsed
		}
	}
	return errRefreshMismatch // a guess: whoever knows only the session's id cannot end it
}

// rotate is the session with a new refresh token.
func (s *session) rotate(now time.Time) (*session, error) {
	next := *s
	var err error
	if next.refresh, err = auth.RotateRefresh(rand.Reader, s.tokenID); err != nil {
		return nil, err
	}
	next.used = append(next.used[:len(next.used):len(next.used)], s.hash)
	next.used = next.used[max(0, len(next.used)-keptUsedHashes):]
	next.hash, next.expires = hashHex(next.refresh.Reveal()), now.Add(refreshLifetime)
	return &next, nil
}

// revoke adds the end of the session to a batch. Its document stays, so that its tokens are known as used.
func (s *session) revoke(b *kv.Batch) error {
	ended := *s
	ended.revoked = true
	return ended.put(b)
}

// userOf reads the account of a session, borrowed from the request's snapshot.
func (r *request) userOf(s *session) (kv.Document, error) {
	id, ok := kv.ParseDocID(s.userID)
	if !ok {
		return kv.Document{}, errRefreshUserMissing
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return doc, errRefreshUserMissing
	}
	return doc, err
}

// logout answers POST /api/userAuth/logout. It always succeeds: a session that is not there has ended already.
func logout(r *request) error {
	if token := r.presentedRefresh(); token != "" {
		_, err := r.commit(func() (*kv.Batch, error) {
			r.state = r.project.State()
			defer r.closeSnapshot()
			s, err := r.findSession(token)
			if err == nil {
				err = r.judgeRefresh(s, token)
			}
			if err != nil {
				return nil, err
			}
			if err := r.beginBatch(); err != nil {
				return nil, err
			}
			return &r.batch, s.revoke(&r.batch)
		})
		var known *Error
		if err != nil && !errors.As(err, &known) {
			return err
		}
	}
	r.setRefreshCookie("", r.start)
	const fields = `"success":true,"message":"Logged out successfully"`
	return r.answerRaw(fasthttp.StatusOK, []byte(`{`+fields+`,"data":{`+fields+`}}`))
}
