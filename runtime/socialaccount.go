package runtime

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
	"github.com/sluice-edge/sluice/runtime/social"
)

// Whose account a provider's identity is. Which one it was before, it is again. Otherwise the address decides, and only one of which the
// provider says that it was verified:
//
//   - nobody has it: a new account, by the way of every sign-up;
//   - an account has it that proved it, here or at a provider: the identity is linked to it;
//   - an account has it that did not. Whoever made that account need not own the address, and may be waiting for the owner to come. The account
//     goes to the owner, and its password and logins, which the other may have, end before (CVE-2024-38351 and its like; SEC-91).

// socialDone is a login that succeeded: what the app's page is given.
type socialDone struct {
	token auth.Secret
	code  auth.Secret
}

// socialLink is a document of project.Identities.
type socialLink struct {
	id     kv.DocID
	rev    uint64
	userID string
}

// identityID derives the id of an identity. A provider that is declared with another issuer is another provider.
func identityID(p *project.Provider, subject string) kv.DocID {
	return guessesID("identity", []byte(p.Name), []byte(p.Issuer), []byte(p.APIURL), []byte(subject))
}

var (
	errNeedsPassword = errors.New("social: the account needs a password that nobody knows")
	errNeedsTakeover = errors.New("social: the account's password and logins have to end first")
)

// logInAs logs somebody in by what a provider says of them.
func (r *request) logInAs(p *project.Provider, who *social.Identity) (*socialDone, error) {
	email := ""
	if who.Verified {
		if normal, err := auth.NormalizeEmail(who.Email); err == nil {
			email = normal
		}
	}
	attempt := socialAttempt{p: p, who: who, email: email}
	for range maxSocialAttempts {
		done, err := r.trySocial(&attempt)
		var unique *kv.UniqueError
		switch {
		case errors.Is(err, errNeedsPassword):
			if attempt.hash, err = r.unknowablePassword(); err != nil {
				return nil, err
			}
		case errors.Is(err, errNeedsTakeover):
			if err = r.takeOver(&attempt); err != nil {
				return nil, err
			}
		case errors.As(err, &unique) && unique.Index != project.IndexEmail && attempt.suffix == "":
			var raw string
			if raw, err = randomText(4); err != nil { // somebody has that name: one more try, with another
				return nil, err
			}
			attempt.suffix = "-" + strings.ToLower(strings.NewReplacer("-", "0", "_", "1").Replace(raw))
		case errors.As(err, &unique) && unique.Index == project.IndexEmail: // made meanwhile: now it is there to be found
		default:
			return done, err
		}
	}
	return nil, errWriteContended
}

const maxSocialAttempts = 8

// socialAttempt is what one login knows from one try to the next.
type socialAttempt struct {
	p      *project.Provider
	who    *social.Identity
	email  string // verified and normalised; empty if there is none
	hash   string // of a password that nobody knows, once it is needed
	suffix string // of a name that was taken
}

// unknowablePassword is the hash of a password that nobody has ever seen. Its owner sets another one by mail.
func (r *request) unknowablePassword() (string, error) {
	password, err := randomText(32)
	if err != nil {
		return "", err
	}
	return r.hasher().Hash(r.context(), password)
}

// trySocial finds or makes the account and the session, in one commit.
func (r *request) trySocial(a *socialAttempt) (*socialDone, error) {
	done := new(socialDone)
	var err error
	if done.code, err = newExchangeCode(); err != nil {
		return nil, err
	}
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		if r.state.Config.Auth.Provider(a.p.Name) == nil {
			return nil, errSocialUnknown // it was taken out meanwhile
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		link, user, err := r.findSocial(a)
		if err != nil {
			return nil, err
		}
		var s *session
		if user == nil {
			s, err = r.addSocialAccount(a, link)
		} else {
			s, err = r.addSocialSession(a, link, user)
		}
		if err != nil {
			return nil, err
		}
		claims := auth.Claims{UserID: s.userID, SessionID: s.family.ID, Epoch: s.epoch, Custom: r.claims, ExpiresAt: r.start.Add(fragmentLifetime).Unix()}
		if done.token, err = r.state.Tokens.Issue(claims, r.start); err != nil {
			return nil, err
		}
		r.putExchangeCode(done, s)
		r.audit(&r.batch, project.AuditLogin, s.userID, "session", s.id.String(), "provider", a.p.Name)
		return &r.batch, nil
	})
	return done, err
}

// findSocial finds the account of an identity: linked to it, or by its address. user is nil if there is none; link.userID says whether the
// identity is linked already.
func (r *request) findSocial(a *socialAttempt) (link socialLink, user *kv.Document, err error) {
	link.id = identityID(a.p, a.who.Subject)
	snap, err := r.snapshot()
	if err != nil {
		return link, nil, err
	}
	c, ok := snap.Collection(project.Identities)
	if !ok {
		return link, nil, errors.New("there is no collection " + project.Identities)
	}
	doc, err := snap.Get(c, link.id)
	switch {
	case err == nil:
		link.rev = doc.Rev
		raw, _ := jsondoc.Lookup(doc.JSON, project.FieldUserID)
		owner, ok := kv.ParseDocID(jsondoc.Unquote(nil, raw))
		if !ok {
			return link, nil, errors.New("an identity without a user")
		}
		if account, err := r.load(owner); err == nil {
			link.userID = owner.String()
			return link, &account, nil
		} else if !errors.Is(err, kv.ErrNotFound) {
			return link, nil, err
		}
	case !errors.Is(err, kv.ErrNotFound):
		return link, nil, err
	}
	if a.email == "" {
		return link, nil, errSocialUnverified
	}
	found, err := r.findUser(a.email)
	if err != nil || found == nil {
		return link, nil, err
	}
	if isVerified(r.collection, found.JSON) {
		return link, found, nil
	}
	others, err := r.identitiesOf(found.ID)
	if err == nil && len(others) == 0 {
		err = errNeedsTakeover
	}
	return link, found, err
}

// identitiesOf finds the identities that are linked to an account.
func (r *request) identitiesOf(user kv.DocID) ([]kv.DocID, error) {
	snap, err := r.snapshot()
	if err != nil {
		return nil, err
	}
	c, ok := snap.Collection(project.Identities)
	if !ok {
		return nil, nil
	}
	page, err := snap.Find(r.reading(), c, &kv.Query{Limit: 1000, Where: []kv.Predicate{{Path: project.FieldUserID, Op: kv.Is, Values: []kv.Value{kv.String(user.String())}}}})
	if err != nil {
		return nil, err
	}
	var ids []kv.DocID
	for _, doc := range page.Docs {
		ids = append(ids, doc.ID)
	}
	return ids, nil
}

// deleteIdentities adds to a batch that no provider knows the account any more.
func (r *request) deleteIdentities(b *kv.Batch, user kv.DocID) error {
	ids, err := r.identitiesOf(user)
	for _, id := range ids {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDelete, Collection: project.Identities, ID: id})
	}
	return err
}

// put links the identity to an account.
func (l *socialLink) put(r *request, a *socialAttempt, user string) {
	doc := append([]byte(nil), `{"_id":"`...)
	doc = append(l.id.AppendHex(doc), '"')
	doc = appendMember(doc, project.FieldUserID, jsondoc.AppendString(nil, user))
	doc = appendMember(doc, "provider", jsondoc.AppendString(nil, a.p.Name))
	doc = appendMember(doc, "subject", jsondoc.AppendString(nil, a.who.Subject))
	doc = appendMember(doc, "linkedAt", strconv.AppendInt(nil, r.start.UnixMilli(), 10))
	b := &r.batch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Identities, ID: l.id, Rev: l.rev})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Identities, ID: l.id, Value: append(doc, '}')})
	r.audit(b, project.AuditSocialLinked, user, "provider", a.p.Name)
}

// addSocialAccount adds a new account to the batch, by the way of every sign-up: hooks are asked, the schema applies.
func (r *request) addSocialAccount(a *socialAttempt, link socialLink) (*session, error) {
	if a.hash == "" {
		return nil, errNeedsPassword
	}
	id := r.project.DB.NewID(r.start)
	s, err := r.newSession(id)
	if err != nil {
		return nil, err
	}
	s.expires = r.start.Add(fragmentLifetime) // until it is exchanged for one with a refresh token
	from, err := r.targetParser.Parse(r.socialProfile(a), jsondoc.Limits{})
	if err != nil {
		return nil, err
	}
	doc, err := r.newAccount(id, a.email, a.hash, from)
	if err != nil {
		return nil, err
	}
	if doc, err = r.withIdentity(doc, a); err != nil {
		return nil, err
	}
	if doc, err = r.judgeSignup(id, a.email, a.hash, doc); err != nil {
		return nil, err
	}
	if doc, err = r.withIdentity(doc, a); err != nil { // a hook that rewrites the profile has made the document anew
		return nil, err
	}
	if err := r.askClaims(id.String(), doc); err != nil {
		return nil, err
	}
	b := &r.batch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: id})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: id, Value: doc})
	r.addReads()
	link.put(r, a, id.String())
	s.put(b)
	r.audit(b, project.AuditSignup, id.String(), "session", s.id.String(), "provider", a.p.Name)
	return s, nil
}

// addSocialSession adds a login of an account that there is to the batch, and the link to it if that is new.
func (r *request) addSocialSession(a *socialAttempt, link socialLink, user *kv.Document) (*session, error) {
	account := kv.Document{ID: user.ID, Rev: user.Rev, JSON: slices.Clone(user.JSON)}
	s, err := r.newSession(account.ID)
	if err != nil {
		return nil, err
	}
	s.expires = r.start.Add(fragmentLifetime)
	b := &r.batch
	if err := r.addSession(b, s, account); err != nil {
		return nil, err
	}
	if link.userID != "" {
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Identities, ID: link.id, Rev: link.rev})
		return s, nil
	}
	doc, err := r.withIdentity(account.JSON, a)
	if err != nil {
		return nil, err
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: account.ID, Value: doc})
	link.put(r, a, account.ID.String())
	return s, nil
}

// takeOver ends what whoever made an unproved account may have of it: the password, every login, and codes.
func (r *request) takeOver(a *socialAttempt) error {
	if a.hash == "" {
		var err error
		if a.hash, err = r.unknowablePassword(); err != nil {
			return err
		}
	}
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdAccounts(); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		user, err := r.findUser(a.email)
		if err != nil {
			return nil, err
		}
		if user == nil || isVerified(r.collection, user.JSON) {
			return nil, errTakenCareOf
		}
		b := &r.batch
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: user.ID, Rev: user.Rev})
		link := socialLink{id: identityID(a.p, a.who.Subject)}
		if other, found, err := r.findSocial(a); err == nil && found != nil {
			return nil, errTakenCareOf
		} else if err != nil && !errors.Is(err, errNeedsTakeover) {
			return nil, err
		} else {
			link.rev = other.rev
		}
		doc, err := r.withIdentity(r.withPassword(slices.Clone(user.JSON), a.hash), a)
		if err != nil {
			return nil, err
		}
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: user.ID, Value: doc})
		ended, err := r.endSessions(b, user.ID, "")
		if err != nil {
			return nil, err
		}
		book, err := r.codesOf(a.email)
		if err != nil {
			return nil, err
		}
		if book.rev > 0 {
			clear(book.Codes)
			if err := r.putCodes(book); err != nil {
				return nil, err
			}
		}
		link.put(r, a, user.ID.String())
		r.audit(b, project.AuditPasswordReset, user.ID.String(), "sessionsEnded", strconv.Itoa(ended), "provider", a.p.Name)
		return b, nil
	})
	if errors.Is(err, errTakenCareOf) {
		return nil
	}
	return err
}

// errTakenCareOf ends a takeover that is not needed any more.
var errTakenCareOf = errors.New("social: somebody was faster")

// withIdentity is an account's document with the address proved, and with the provider's id where the schema declares a field for it
// (githubId, googleId).
func (r *request) withIdentity(doc []byte, a *socialAttempt) ([]byte, error) {
	members := []byte{}
	if f := verificationFlag(r.collection); f != nil && a.email != "" {
		members = appendMember(members, f.Key, []byte("true"))
	}
	if f := r.collection.Field(a.p.Name + "Id"); f != nil && f.Type == project.TypeString {
		members = appendMember(members, f.Key, jsondoc.AppendString(nil, a.who.Subject))
	}
	if len(members) == 0 {
		return doc, nil
	}
	members[0] = '{'
	v, err := r.docParser.Parse(append(members, '}'), jsondoc.Limits{})
	if err != nil {
		return nil, err
	}
	id, _ := jsondoc.Lookup(doc, "_id")
	return project.Merge(nil, doc, v, project.Stamp{ID: string(jsondoc.Unquote(nil, id)), Updated: project.Timestamp(r.start)})
}

// socialProfile is what a provider says of somebody, as the body of a sign-up: under the names by which schemas declare such things. What is
// not declared is left out later.
func (r *request) socialProfile(a *socialAttempt) []byte {
	b := []byte{}
	text := func(value string, names ...string) {
		value = strings.TrimSpace(value)
		if value == "" || !utf8.ValidString(value) || strings.ContainsRune(value, 0) || len(value) > maxSocialText {
			return
		}
		for _, name := range names {
			b = appendMember(b, name, jsondoc.AppendString(nil, value))
		}
	}
	username := a.who.Username
	if username == "" || auth.ValidateUsername(username) != nil {
		username = nameFrom(a.email)
	}
	if len(username) > 40 {
		username = username[:40]
	}
	text(username+a.suffix, fieldUsername)
	text(a.who.Name, fieldName, "fullName", "displayName")
	if p := a.who.Picture; strings.HasPrefix(p, "https://") {
		text(p, "picture", "avatar", "avatarUrl")
	}
	if len(b) == 0 {
		return []byte("{}")
	}
	b[0] = '{'
	return append(b, '}')
}

const maxSocialText = 1024
