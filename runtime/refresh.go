package runtime

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// refreshToken answers POST /api/userAuth/refresh-token: the old token is spent and a new one takes its place, in one
// commit. A spent token that comes back was copied by somebody, so the whole login ends.
func refreshToken(r *request) error {
	token, err := r.presentedRefresh()
	if err != nil {
		return err
	}
	if token == "" {
		return errRefreshMissing
	}
	if err := r.admitRefresher(); err != nil {
		return err
	}
	var fresh *session
	var refusal error
	counted := false
	_, err = r.commit(func() (*kv.Batch, error) {
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
		if again := r.childAgain(s, token); refusal == errRefreshUsed && again != "" {
			refusal, s.refresh = nil, again
		} else if refusal == errRefreshUsed && s.stands(r.start) {
			s.replay = true
			s.end(b, r.start)
			r.audit(b, project.AuditRefreshReplay, s.userID, "session", s.id.String())
			return b, nil
		}
		if refusal != nil {
			return nil, refusal
		}
		if !counted { // once, however often the commit is tried
			if err := r.admitRefresh(s); err != nil {
				return nil, err
			}
			counted = true
		}
		if err := r.sessionUser(b, s); err != nil {
			return nil, err
		}
		r.addReads()
		fresh = s
		if s.refresh != "" { // given again: nothing changes, but that it may be given has to be true still
			b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Sessions, ID: s.id, Rev: s.rev})
			return b, nil
		}
		next, err := r.nextToken(s, token)
		if err != nil {
			return nil, err
		}
		s.use(next, r.start)
		s.ip, s.agent = r.client()
		s.put(b)
		return b, nil
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		if e := errorFrom(err); len(r.refreshToken) == 0 && e.guest == nil && e.Status < 500 && e.Status != fasthttp.StatusTooManyRequests { // a guest's no, or a bad moment, is not the token's fault
			r.setRefreshCookie("", r.start)
		}
		return err
	}
	return r.answerSession(fasthttp.StatusOK, "", fresh, nil)
}

// judgeRefresh says whether the token is the one that is good now.
func (r *request) judgeRefresh(s *session, token string) error {
	switch good := auth.SameHash([]byte(hashHex(token)), []byte(s.hash)); {
	case good && s.stands(r.start):
		return nil
	case good, s.family.Made(token):
		return errRefreshUsed
	}
	return errRefreshMismatch // a guess: whoever knows only the session's id cannot end it
}

// grace is how long the token that was spent last may still be sent again.
func (r *request) grace() time.Duration {
	return time.Duration(r.state.Config.Auth.RefreshGrace) * time.Second
}

// nextToken makes the token that comes after the present one. Within a grace it must be found again by whoever sends the present one
// once more; without one it hangs on nothing.
func (r *request) nextToken(s *session, present string) (auth.Secret, error) {
	if r.grace() > 0 {
		return s.family.Child(present), nil
	}
	return s.family.Token(rand.Reader)
}

// childAgain returns the good token once more to a client that sends the one before it within the grace: another tab was faster, or the
// answer was lost. It is empty if that is not so.
func (r *request) childAgain(s *session, token string) auth.Secret {
	if r.grace() == 0 || !s.stands(r.start) || r.start.After(s.used.Add(r.grace())) || !s.family.Made(token) {
		return ""
	}
	child := s.family.Child(token)
	if !auth.SameHash([]byte(hashHex(child.Reveal())), []byte(s.hash)) {
		return ""
	}
	return child
}

// sessionUser reads what a session's next access token hangs on, and adds it to what the batch needs: that there is such a user still,
// with the password and the rights that it had, and what the claims say.
func (r *request) sessionUser(b *kv.Batch, s *session) error {
	id, ok := kv.ParseDocID(s.userID)
	if !ok {
		return errRefreshUserMissing
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return errRefreshUserMissing
	}
	if err != nil {
		return err
	}
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	account, rev, err := project.ReadAccount(snap, id)
	switch {
	case err != nil:
		return err
	case account.Disabled:
		return errAccountDisabled
	case s.epoch < account.Epoch:
		return errRefreshUsed // it began while the password was changed
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: id, Rev: doc.Rev},
		kv.Need{Kind: kv.NeedDoc, Collection: project.Accounts, ID: id, Rev: rev})
	return r.askClaims(s.userID, doc.JSON)
}

// logout answers POST /api/userAuth/logout. It always succeeds: a session that is not there has ended already. A foreign page logs nobody
// out.
func logout(r *request) error {
	token, foreign := r.presentedRefresh()
	if token != "" {
		_, err := r.commit(func() (*kv.Batch, error) {
			r.state = r.project.State()
			defer r.closeSnapshot()
			s, err := r.findSession(token)
			if err != nil {
				return nil, err
			}
			if refusal := r.judgeRefresh(s, token); refusal != nil && (refusal != errRefreshUsed || !s.stands(r.start)) {
				return nil, refusal // a spent token ends its login here, too
			}
			if err := r.beginBatch(); err != nil {
				return nil, err
			}
			s.end(&r.batch, r.start)
			r.audit(&r.batch, project.AuditLogout, s.userID, "session", s.id.String())
			return &r.batch, nil
		})
		var known *Error
		if err != nil && !errors.As(err, &known) {
			return err
		}
	}
	if foreign == nil {
		r.setRefreshCookie("", r.start)
	}
	const fields = `"success":true,"message":"Logged out successfully"`
	return r.answerRaw(fasthttp.StatusOK, []byte(`{`+fields+`,"data":{`+fields+`}}`))
}
