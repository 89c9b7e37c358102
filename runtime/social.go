package runtime

import (
	"bytes"
	"errors"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
	"github.com/sluice-edge/sluice/runtime/social"
)

// Logging in elsewhere, as a browser goes: start sends it to the provider, the provider sends it to callback, and callback sends it to
// the app's own site, siteUrl/auth/callback, with an access token that lives for minutes and a code. The app gives both to exchange
// and gets the refresh token.

// startSocial answers GET /api/userAuth/social/{provider}/start.
func startSocial(r *request) error {
	declared, err := r.declaredProvider()
	if err != nil {
		return err
	}
	if r.elsewhere() {
		return nil
	}
	provider, err := r.provider(declared)
	if err != nil {
		return errSocialIncomplete.saying(incompleteText, declared.Name).because(err)
	}
	login, err := r.newSocialLogin(declared.Name)
	if err != nil {
		return err
	}
	to, err := r.server.social.Start(r.context(), provider, login.asked())
	if err != nil {
		return errSocialUnavailable.because(err)
	}
	sealed, err := r.sealLogin(login)
	if err != nil {
		return err
	}
	r.setStateCookie(login.State, sealed)
	return r.goTo(to)
}

// incompleteText is the contract's text for a provider that cannot be used.
const incompleteText = "%s social auth is disabled or incomplete for this project."

// declaredProvider finds the provider of the path among those of the project.
func (r *request) declaredProvider() (*project.Provider, error) {
	name := r.param("provider")
	if p := r.state.Config.Auth.Provider(name); p != nil {
		return p, nil
	}
	if name == project.ProviderGitHub || name == project.ProviderGoogle {
		return nil, errSocialIncomplete.saying(incompleteText, name)
	}
	return nil, errSocialUnknown
}

// elsewhere sends a browser that knows the node under another name than the provider does, localhost instead of 127.0.0.1 say, to
// start there: the cookie has to be where the browser comes back to. It does so once.
func (r *request) elsewhere() bool {
	base, err := url.Parse(r.server.baseURL())
	args := r.http.QueryArgs()
	if err != nil || args.Has("moved") || strings.EqualFold(base.Host, string(r.http.Host())) {
		return false
	}
	query := url.Values{"moved": {"1"}}
	if key := args.Peek("key"); len(key) > 0 {
		query.Set("key", string(key))
	} else {
		return false // a key in a header does not follow a redirect
	}
	_ = r.goTo(r.server.baseURL() + socialPath + "/" + r.param("provider") + "/start?" + query.Encode())
	return true
}

// goTo answers with a redirect that nobody keeps and that tells the next page nothing about this one.
func (r *request) goTo(to string) error {
	h := &r.http.Response.Header
	r.http.Response.SetStatusCode(fasthttp.StatusFound)
	h.Set(fasthttp.HeaderLocation, to)
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	h.SetCanonical(headerCacheControl, []byte("no-store"))
	r.ownsCaching = true
	return nil
}

// socialCallback answers GET /api/userAuth/social/{provider}/callback, where the provider sends the browser. Until the state is known to be this
// browser's, a mistake is answered here; after that the app's own page is told.
func socialCallback(r *request) error {
	args := r.http.QueryArgs()
	code, state := args.Peek("code"), args.Peek("state")
	if len(state) == 0 || len(code) == 0 && !args.Has("error") {
		return errSocialMissing
	}
	login, err := r.findLogin(state)
	if err != nil {
		return err
	}
	declared, err := r.declaredProvider()
	if err != nil {
		return err
	}
	if err := r.burnState(login.State); err != nil {
		return err
	}
	r.setStateCookie(login.State, "")
	done, err := r.finishSocial(declared, login, &social.Answer{Code: string(code), Issuer: string(args.Peek("iss"))}, args.Peek("error"))
	if err != nil {
		return r.goBackWithout(declared.Name, err)
	}
	query := url.Values{"rtCode": {done.code.Reveal()}, "provider": {declared.Name}}
	fragment := url.Values{"token": {done.token.Reveal()}}
	return r.goTo(r.siteCallback() + "?" + query.Encode() + "#" + fragment.Encode())
}

// siteCallback is where browsers go back to: from configuration, never from a request (SEC-82).
func (r *request) siteCallback() string {
	return strings.TrimRight(r.state.Config.SiteURL, "/") + "/auth/callback"
}

// findLogin finds the project of a state and the login that the browser holds for it. There is no key: the state is one.
func (r *request) findLogin(state []byte) (*socialLogin, error) {
	id, ok := parseState(state)
	if !ok {
		return nil, errSocialState
	}
	p, err := r.server.registry.Find(id)
	if err != nil || p.ID != id {
		return nil, errSocialState
	}
	if p.Broken() != nil {
		return nil, errProjectDown
	}
	r.project, r.role, r.state = p, auth.RolePublishable, p.State()
	if err := admit(r); err != nil {
		return nil, err
	}
	if err := accountsEnabled(r); err != nil {
		return nil, err
	}
	login, ok := r.openLogin(r.http.Request.Header.Cookie(stateCookie(string(state))), string(state), r.param("provider"))
	if !ok {
		return nil, errSocialState
	}
	return login, nil
}

// burnState notes that a state was used, before anything is done with it. The second one to come finds it.
func (r *request) burnState(state string) error {
	id := guessesID("state", []byte(state))
	_, err := r.commit(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if _, err := r.socialCode(id); err == nil {
			return nil, errSocialState
		} else if !errors.Is(err, kv.ErrNotFound) {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		b := &r.batch
		b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: project.SocialCodes, ID: id})
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: project.SocialCodes, ID: id, Value: usedState(id, r.start.Add(2*socialLifetime))})
		return b, nil
	})
	return err
}

// finishSocial asks the provider who it was, and logs them in.
func (r *request) finishSocial(declared *project.Provider, login *socialLogin, answer *social.Answer, refused []byte) (*socialDone, error) {
	if len(refused) > 0 {
		if bytes.Equal(refused, []byte("access_denied")) {
			return nil, errSocialDenied
		}
		return nil, errSocialUnavailable.because(errors.New("the provider answers " + project.Printable(refused)))
	}
	provider, err := r.provider(declared)
	if err != nil {
		return nil, errSocialIncomplete.saying(incompleteText, declared.Name).because(err)
	}
	who, err := r.server.social.Identify(r.context(), provider, login.asked(), answer)
	switch {
	case errors.Is(err, social.ErrRefused):
		return nil, errSocialRefused.because(err)
	case err != nil:
		return nil, errSocialUnavailable.because(err)
	}
	return r.logInAs(declared, who)
}

// goBackWithout sends the browser to the app with what went wrong: the reason, and a text for people.
func (r *request) goBackWithout(provider string, err error) error {
	e := errorFrom(err)
	r.reason = e.Reason
	r.recordRefusal(e)
	level := r.server.log.Info
	if e.Status >= 500 {
		level = r.server.log.Error
	}
	level("social login failed", "request_id", string(r.id[:]), "project", r.project.ID, "provider", provider, "reason", e.Reason, "error", project.Printable(err.Error()))
	query := url.Values{"error": {e.Reason}, "error_description": {e.Message}, "provider": {provider}}
	return r.goTo(r.siteCallback() + "?" + query.Encode())
}
