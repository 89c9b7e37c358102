package runtime

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// freshLogin is how old a login may be that stands for the password where something cannot be undone.
const freshLogin = 5 * time.Minute

// listSessions answers GET /api/userAuth/sessions: where the caller is logged in, newest first.
func listSessions(r *request) error {
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	list, err := r.sessionsOf(id.String())
	if err != nil {
		return err
	}
	fields := []byte(`"sessions":[`)
	for i, s := range list {
		if i > 0 {
			fields = append(fields, ',')
		}
		fields = s.appendPublic(fields, s.family.ID == r.user.SessionID)
	}
	return r.answerAccount(`"success":true,` + string(append(fields, ']')))
}

// appendPublic appends what a user is shown of a login.
func (s *session) appendPublic(dst []byte, current bool) []byte {
	at := func(name string, t time.Time) {
		dst = append(dst, `,"`+name+`":`...)
		dst = jsondoc.AppendString(dst, project.Timestamp(t))
	}
	dst = append(dst, `{"id":"`...)
	dst = append(s.id.AppendHex(dst), '"')
	at("created", s.created)
	at("lastUsed", s.used)
	at("expires", s.expires)
	if s.agent != "" {
		dst = appendMember(dst, "userAgent", jsondoc.AppendString(nil, s.agent))
	}
	if s.ip != "" {
		dst = appendMember(dst, "ip", jsondoc.AppendString(nil, s.ip))
	}
	dst = strconv.AppendBool(append(dst, `,"current":`...), current)
	return append(dst, '}')
}

// revokeSession answers DELETE /api/userAuth/sessions/{id}. Another user's session is one that does not exist.
func revokeSession(r *request) error {
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	named, ok := kv.ParseDocID(r.param("id"))
	if !ok {
		return errSessionNotFound
	}
	var ended *session
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if _, err := r.holdSelf(id); err != nil {
			return nil, err
		}
		list, err := r.sessionsOf(id.String())
		if err != nil {
			return nil, err
		}
		ended = nil
		for _, s := range list {
			if s.id == named {
				ended = s
			}
		}
		if ended == nil {
			return nil, errSessionNotFound
		}
		ended.end(&r.batch, r.start)
		r.audit(&r.batch, project.AuditSessionRevoked, id.String(), "session", named.String())
		return &r.batch, nil
	})
	if err != nil {
		return err
	}
	if ended.family.ID == r.user.SessionID {
		r.setRefreshCookie("", r.start)
	}
	return r.answerAccount(`"success":true,"message":"Session ended","id":"` + named.String() + `"`)
}

// revokeSessions answers DELETE /api/userAuth/sessions: everywhere the caller is logged in, or with keepCurrent=true everywhere else. Access
// tokens of these logins are no good from now on, and no login that begins at the same moment is left.
func revokeSessions(r *request) error {
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	keep := ""
	if r.http.QueryArgs().GetBool("keepCurrent") {
		keep = r.user.SessionID
	}
	ended := 0
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if _, err := r.holdSelf(id); err != nil {
			return nil, err
		}
		if ended, err = r.endSessions(&r.batch, id, keep); err != nil {
			return nil, err
		}
		r.audit(&r.batch, project.AuditSessionRevoked, id.String(), "sessionsEnded", strconv.Itoa(ended))
		return &r.batch, nil
	})
	if err != nil {
		return err
	}
	if keep == "" {
		r.setRefreshCookie("", r.start)
	}
	return r.answerAccount(`"success":true,"message":"Sessions ended","ended":` + strconv.Itoa(ended))
}

// deleteMe answers DELETE /api/userAuth/me: the caller's account, its sessions and its one-time codes go in one commit. It takes the password, or a login
// of the last five minutes, since an account that logs in elsewhere has none. What the user owns stays: whose it is then is for the project
// to say, by a hook before the deletion or with a secret key after it.
func deleteMe(r *request) error {
	password := ""
	if r.body.Exists() {
		var err error
		if password, err = r.text("currentPassword", false); err != nil {
			return err
		}
	}
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	stored := ""
	if password != "" {
		if stored, err = r.confirmPassword(id, password); err != nil {
			return err
		}
	}
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		me, err := r.holdSelf(id)
		if err != nil {
			return nil, err
		}
		switch {
		case password == "":
			if err := r.needFreshLogin(id); err != nil {
				return nil, err
			}
		case passwordOf(me.doc) != stored:
			return nil, errPasswordWrong
		}
		if err := r.judgeDeletion(&me); err != nil {
			return nil, err
		}
		return &r.batch, r.addDeletion(&me)
	})
	if err != nil {
		return err
	}
	r.setRefreshCookie("", r.start)
	return r.answerAccount(`"success":true,"message":"Account deleted","id":"` + id.String() + `"`)
}

// needFreshLogin refuses what a login of long ago is not enough for.
func (r *request) needFreshLogin(user kv.DocID) error {
	list, err := r.sessionsOf(user.String())
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.family.ID == r.user.SessionID && r.start.Sub(s.created) <= freshLogin {
			return nil
		}
	}
	return errLoginTooOld
}

// judgeDeletion asks the project's hooks and policies about the end of an account.
func (r *request) judgeDeletion(me *self) error {
	before := appendProfile(nil, me.doc)
	if r.state.AsksHook(project.Users, hooks.OpDelete) {
		ev := r.caller(hooks.OpDelete, project.Users)
		ev.Before = before
		d, err := r.session.Hook(r.context(), &ev)
		if err := r.judged("hook delete", errHookRejected, errHookFailed, &d, err); err != nil {
			return err
		}
	}
	return r.judgeProfile(hooks.OpDelete, before, nil)
}

// addDeletion adds the end of an account and of what hangs on it to the batch. Its record stays until its last access token has run out.
func (r *request) addDeletion(me *self) error {
	b := &r.batch
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Users, ID: me.id})
	if err := r.deleteSessions(b, me.id); err != nil {
		return err
	}
	if err := r.deleteIdentities(b, me.id); err != nil {
		return err
	}
	account := me.account
	account.Gone = true
	account.Put(b, me.id, me.accountRev, r.start)
	if raw, ok := jsondoc.Lookup(me.doc, fieldEmail); ok {
		book, err := r.codesOf(string(jsondoc.Unquote(nil, raw)))
		if err != nil {
			return err
		}
		if book.rev > 0 { // how many were sent stays known, or whoever signs up and goes could send any number
			clear(book.Codes)
			if err := r.putCodes(book); err != nil {
				return err
			}
		}
	}
	r.addReads()
	r.audit(b, project.AuditDeleted, me.id.String())
	return nil
}

// deleteSessions adds the deletion of every session of a user to a batch, of those too that have ended.
func (r *request) deleteSessions(b *kv.Batch, user kv.DocID) error {
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(project.Sessions)
	if !ok {
		return nil
	}
	// More than these are ended ones, which nothing can be done with and which the sweeper takes.
	page, err := snap.Find(r.reading(), c, &kv.Query{Limit: 1000, Budget: maxSessionScan,
		Where: []kv.Predicate{{Path: project.FieldUserID, Op: kv.Is, Values: []kv.Value{kv.String(user.String())}}}})
	if err != nil {
		return err
	}
	for _, doc := range page.Docs {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Sessions, ID: doc.ID})
	}
	return nil
}

var (
	errSessionNotFound = reason(fasthttp.StatusNotFound, "session.not_found", "Session not found")
	errLoginTooOld     = reason(fasthttp.StatusForbidden, "account.login_too_old", "Send currentPassword, or log in again: this login is too old for that.")
)
