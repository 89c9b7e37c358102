package runtime

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/project"
)

// What a project's own code has to say about accounts: whether there may be a new one and what is in it, and what an account may
// do. Both are asked for every key, within the commit that they decide about, and what they read is among its needs.

// holdAccounts readies one attempt of a commit about an account.
func (r *request) holdAccounts() error {
	if err := r.holdState(); err != nil {
		return err
	}
	r.reader.begin()
	if r.state.BundleErr != nil && (r.state.AsksHook(project.Users, hooks.OpSignup) || r.state.AsksHook(project.Users, hooks.OpClaims)) {
		return errBundleDown.because(r.state.BundleErr)
	}
	return accountsEnabled(r)
}

// judgeSignup lets the project's hooks accept, rewrite or reject a new account. It returns the document to store.
func (r *request) judgeSignup(id kv.DocID, email, hash string, doc []byte) ([]byte, error) {
	if !r.state.AsksHook(project.Users, hooks.OpSignup) {
		return doc, nil
	}
	profile := appendProfile(nil, doc)
	ev := r.caller(hooks.OpSignup, project.Users)
	ev.After = profile
	d, err := r.session.Signup(r.context(), &ev)
	if err := r.judged("signup", errSignupRejected, errSignupFailed, &d, err); err != nil || d.Document == nil {
		return doc, err
	}
	made, err := r.targetParser.Parse(d.Document, jsondoc.Limits{})
	if err == nil && made.Kind() != jsondoc.Object {
		err = errors.New("the hook's profile is not an object")
	}
	if err == nil {
		err = r.keepsServerOnly(profile, made)
	}
	if err != nil {
		return nil, r.guestFailed(errSignupFailed, err)
	}
	return r.newAccount(id, email, hash, made)
}

// keepsServerOnly refuses a rewritten profile that says what a hook has no say in: who the account is, and what the server alone
// writes. A hook that believes it has made somebody an administrator must not be left in that belief.
func (r *request) keepsServerOnly(profile []byte, made jsondoc.Value) error {
	for _, key := range append([]string{"_id", fieldEmail, fieldPassword}, serverOnly...) {
		v := made.Get(key)
		if !v.Exists() {
			continue
		}
		if was, _ := jsondoc.Lookup(profile, key); !bytes.Equal(was, v.Append(nil)) {
			return fmt.Errorf("the hook set %q, which it cannot", key)
		}
	}
	return nil
}

// askClaims asks what goes into the access token of an account. A no, or a guest that breaks, means no token.
func (r *request) askClaims(userID string, doc []byte) error {
	r.claims = ""
	if !r.state.AsksHook(project.Users, hooks.OpClaims) {
		return nil
	}
	profile := appendProfile(nil, doc)
	ev := r.caller(hooks.OpClaims, project.Users)
	ev.UserID, ev.Before = userID, profile
	d, err := r.session.Claims(r.context(), &ev)
	if err := r.judged("claims", errClaimsDenied, errClaimsFailed, &d, err); err != nil {
		return err
	}
	r.claims = string(d.Claims)
	return nil
}

// claimsAs gives an explained request the claims that its user would have been given with the token.
func (r *request) claimsAs(id kv.DocID) error {
	if !r.state.AsksHook(project.Users, hooks.OpClaims) {
		return nil
	}
	defer r.closeSnapshot()
	if err := r.holdAccounts(); err != nil {
		return err
	}
	doc, err := r.load(id)
	if errors.Is(err, kv.ErrNotFound) {
		r.note("claims", outcomeSkipped, "There is no such account.")
	} else if err == nil {
		err = r.askClaims(id.String(), doc.JSON)
	}
	r.user.Custom, r.collection = r.claims, nil
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return err
}
