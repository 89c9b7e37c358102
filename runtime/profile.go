package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// me answers GET /api/userAuth/me: the caller's own document without its password.
func me(r *request) error {
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return errUserNotFound
	}
	if err != nil {
		return err
	}
	b := appendProfile(r.answer(fasthttp.StatusOK), doc.JSON)
	whole := len(b)
	if _, taken := jsondoc.Lookup(doc.JSON, "data"); !taken { // the bare document wins over the convenience
		b = append(append(b[:whole-1], `,"data":`...), b[:whole-1]...)
		b = append(b, '}', '}')
	}
	return r.done(b)
}

// appendProfile appends an account's document, as it is stored, as the user itself and the project's guests may see it: everything but the
// password's hash. It is not parsed: what is stored is canonical text.
func appendProfile(dst, doc []byte) []byte {
	dst = append(dst, '{')
	first := true
	jsondoc.Fields(doc, func(quoted, raw []byte) bool {
		if string(quoted) == `"`+fieldPassword+`"` {
			return true
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, quoted...), ':')
		dst = append(dst, raw...)
		return true
	})
	return append(dst, '}')
}

// publicProfile answers GET /api/userAuth/public/{username}: the declared fields that the project shows, or
// else those whose names are not sensitive.
func publicProfile(r *request) error {
	name := strings.TrimSpace(string(fasthttp.AppendUnquotedArg(nil, []byte(strings.ReplaceAll(r.param("username"), "+", "%2B")))))
	if name == "" {
		return errUsernameRequired
	}
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	c, ok := snap.Collection(project.Users)
	if !ok {
		return errAuthNoUsers
	}
	page, err := snap.Find(r.reading(), c, &kv.Query{Limit: 1,
		Where: []kv.Predicate{{Path: fieldUsername, Op: kv.Eq, Values: []kv.Value{kv.String(name)}}}})
	if err != nil {
		return err
	}
	if len(page.Docs) == 0 {
		return errUserNotFound
	}
	value, err := r.docParser.Parse(page.Docs[0].JSON, storedLimits)
	if err != nil {
		return err
	}
	return r.done(appendPublicProfile(r.answer(fasthttp.StatusOK), &r.state.Config.Auth, r.collection, value))
}

// appendPublicProfile appends a user's document as anybody may see it.
func appendPublicProfile(b []byte, rules *project.AuthConfig, users *project.Collection, user jsondoc.Value) []byte {
	b = append(b, `{"_id":`...)
	b = user.Get("_id").Append(b)
	for key, value := range user.Members() {
		if f := users.Field(string(key)); f != nil && rules.InPublicProfile(f.Key) {
			b = appendMember(b, f.Key, value.Append(nil))
		}
	}
	for _, key := range [...]string{"createdAt", "updatedAt"} {
		if v := user.Get(key); v.Exists() {
			b = appendMember(b, key, v.Append(nil))
		}
	}
	return append(b, '}')
}

// signedIn returns the id of the user whose token came with the request, for the routes that are about the caller.
func (r *request) signedIn() (kv.DocID, error) {
	if len(r.authorization) == 0 {
		return kv.DocID{}, errTokenMissing
	}
	if err := identifyUser(r); err != nil {
		return kv.DocID{}, r.badCaller()
	}
	id, ok := kv.ParseDocID(r.user.UserID)
	if !ok {
		return kv.DocID{}, r.badCaller()
	}
	return id, nil
}

// badCaller is the contract's text for a token that is not good, which differs from route to route.
func (r *request) badCaller() error {
	if r.route.method == fasthttp.MethodGet {
		return errTokenInvalid
	}
	return errTokenInvalid.saying("Access Denied: Invalid or expired token")
}

// self is the caller's own account at one attempt of a commit.
type self struct {
	id         kv.DocID
	doc        []byte // the account's document, in the request's first buffer
	account    project.Account
	accountRev uint64
}

// holdSelf readies an attempt of a commit that changes the caller's account: the rules, the batch, and the account as it is now, which
// the commit needs to be the same still. Here the end of a session counts at once, whatever auth.strictSessions says.
func (r *request) holdSelf(id kv.DocID) (me self, err error) {
	if err := r.holdAccounts(); err != nil {
		return me, err
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		return me, errUserNotFound
	}
	if err != nil {
		return me, err
	}
	snap, err := r.snapshot()
	if err != nil {
		return me, err
	}
	account, rev, err := project.ReadAccount(snap, id)
	if err != nil {
		return me, err
	}
	if r.project.Revoked(&r.user, true) {
		return me, r.badCaller()
	}
	r.buffers[0] = append(r.buffers[0][:0], doc.JSON...)
	me = self{id, r.buffers[0], account, rev}
	if err := r.beginBatch(); err != nil {
		return me, err
	}
	r.batch.Needs = append(r.batch.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.Users, ID: id, Rev: doc.Rev},
		kv.Need{Kind: kv.NeedDoc, Collection: project.Accounts, ID: id, Rev: rev})
	return me, nil
}

// updateProfile answers PUT /api/userAuth/update-profile: the caller's own document, changed as a document is, by the same schema, unique
// fields, hooks and policies. What is not for users to write is left out if it says what is stored already, as a client does that
// sends the whole profile back, and refused if it says anything else.
func updateProfile(r *request) error {
	if err := needProfile(r.body); err != nil {
		return err
	}
	if name := r.body.Get(fieldUsername); name.Kind() == jsondoc.String {
		var input *auth.InputError
		if err := auth.ValidateUsername(string(name.Text())); errors.As(err, &input) {
			if strings.Contains(input.Message, "at least") {
				input.Message = "Username must be between 3 and 50 characters."
			}
			return inputError(input)
		}
	}
	id, err := r.signedIn()
	if err != nil {
		return err
	}
	var after []byte
	_, err = r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		me, err := r.holdSelf(id)
		if err != nil {
			return nil, err
		}
		if after, err = r.newProfile(&me); err != nil {
			return nil, err
		}
		b := &r.batch
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Users, ID: id, Value: after})
		r.addReads()
		r.audit(b, project.AuditProfile, id.String())
		return b, nil
	})
	if err != nil {
		return err
	}
	fields := appendProfile([]byte(`"message":"Profile updated successfully","user":`), after)
	b := append(append(r.answer(fasthttp.StatusOK), '{'), fields...)
	b = append(append(b, `,"data":{`...), fields...)
	return r.done(append(b, '}', '}'))
}

// needProfile says what is wrong with a body that is not an object, in the words of the account routes.
func needProfile(body jsondoc.Value) error {
	switch body.Kind() {
	case jsondoc.Object:
		return nil
	case jsondoc.Array:
		return invalid("Invalid input: expected object, received array")
	}
	return invalid("Invalid input: expected object, received undefined")
}

// newProfile builds the account's document as it will be stored: the caller's wish, the hooks' rewriting, the schema's verdict, the policy's.
func (r *request) newProfile(me *self) ([]byte, error) {
	patch, err := r.profilePatch(me.doc)
	if err != nil {
		return nil, err
	}
	wish, err := new(jsondoc.Parser).Parse(patch, jsondoc.Limits{})
	if err != nil {
		return nil, err
	}
	stamp := project.Stamp{ID: me.id.String(), Updated: project.Timestamp(r.start)}
	if r.scratch, err = project.Merge(r.scratch[:0], me.doc, wish, stamp); err != nil {
		return nil, err
	}
	doc := r.scratch
	before := appendProfile(nil, me.doc)
	if r.state.AsksHook(project.Users, hooks.OpUpdate) {
		if doc, err = r.hookProfile(me, before, doc); err != nil {
			return nil, err
		}
	}
	value, err := r.docParser.Parse(doc, jsondoc.Limits{})
	if err != nil {
		return nil, err
	}
	if r.buffers[1], err = r.collection.Conform(r.buffers[1][:0], value, me.doc, stamp); err != nil {
		return nil, err
	}
	return r.buffers[1], r.judgeProfile(hooks.OpUpdate, before, r.buffers[1])
}

// profilePatch is what the caller may change of what it has sent, as a patch.
func (r *request) profilePatch(doc []byte) ([]byte, error) {
	patch := []byte{'{'}
	for key, value := range r.body.Members() {
		head, _, _ := bytes.Cut(key, []byte{'.'})
		switch name := string(head); {
		case name == "_id", name == fieldEmail, name == fieldPassword, len(name) > 0 && name[0] == '$':
			continue // the contract leaves them out without a word
		case r.collection.Field(name) == nil:
			continue // as at sign-up
		case !r.state.Config.Auth.UserWrites(name):
			if was, ok := jsondoc.Lookup(doc, string(key)); !ok && value.Kind() != jsondoc.Null || ok && !bytes.Equal(was, value.Append(nil)) {
				return nil, errProfileField.saying("Field '%s' cannot be changed.", name)
			}
			continue
		}
		patch = appendMember(patch, string(key), value.Append(nil))
	}
	if len(patch) > 1 {
		patch = append(patch[:1], patch[2:]...) // the first comma
	}
	return append(patch, '}'), nil
}

// hookProfile lets the project's write hooks on users accept, rewrite or reject a changed profile. They see it without the password and
// cannot make anybody an administrator.
func (r *request) hookProfile(me *self, before, doc []byte) ([]byte, error) {
	after := appendProfile(nil, doc)
	ev := r.caller(hooks.OpUpdate, project.Users)
	ev.Before, ev.After = before, after
	d, err := r.session.Hook(r.context(), &ev)
	if err := r.judged("hook update", errHookRejected, errHookFailed, &d, err); err != nil || d.Document == nil {
		return doc, err
	}
	made, err := r.targetParser.Parse(d.Document, jsondoc.Limits{})
	if err == nil && made.Kind() != jsondoc.Object {
		err = errors.New("the hook's profile is not an object")
	}
	if err == nil {
		err = r.keepsServerOnly(after, made)
	}
	if err != nil {
		return nil, r.guestFailed(errHookFailed, err)
	}
	out := []byte{'{'}
	for key, value := range made.Members() {
		if name := string(key); !project.NeverWritten(name) {
			out = appendMember(out, name, value.Append(nil))
		}
	}
	jsondoc.Fields(me.doc, func(quoted, raw []byte) bool { // what no hook has a say in stays as it is
		if name := string(jsondoc.Unquote(nil, quoted)); project.NeverWritten(name) {
			out = appendMember(out, name, raw)
		}
		return true
	})
	if len(out) > 1 {
		out = append(out[:1], out[2:]...)
	}
	return append(out, '}'), nil
}

// judgeProfile asks the policies on users. after is the document as it would be stored, nil when the account goes.
func (r *request) judgeProfile(op hooks.Op, before, after []byte) error {
	if r.role == auth.RoleSecret || !r.state.AsksPolicy(project.Users, op) {
		return nil
	}
	ev := r.caller(op, project.Users)
	ev.Before = before
	if after != nil {
		ev.After = appendProfile(nil, after)
	}
	d, err := r.session.Policy(r.context(), &ev)
	return r.judged(fmt.Sprintf("policy %s", op), errPolicyDenied, errPolicyFailed, &d, err)
}
