package runtime

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

// refreshCookie is the name of a project's cookie: two projects on one host have one each.
func (r *request) refreshCookie() string { return "refreshToken-" + r.project.ID }

// headerMode reports whether the client keeps its refresh token itself.
func (r *request) headerMode() bool {
	return strings.EqualFold(string(r.refreshMode), "header") || len(r.refreshToken) > 0
}

// setRefreshCookie hands the refresh token to the browser; an empty token takes it away. No script reads it, it goes to the account routes only,
// and over TLS only where the client speaks TLS.
func (r *request) setRefreshCookie(token string, expires time.Time) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(r.refreshCookie())
	c.SetValue(token)
	c.SetPath("/api/userAuth")
	c.SetHTTPOnly(true)
	c.SetSecure(r.secure())
	switch r.state.Config.Auth.CookieSameSite {
	case project.SameSiteStrict:
		c.SetSameSite(fasthttp.CookieSameSiteStrictMode)
	case project.SameSiteNone:
		c.SetSameSite(fasthttp.CookieSameSiteNoneMode)
		c.SetSecure(true) // browsers take no other; that there is TLS may be known to a proxy alone
	default:
		c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	}
	if token == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetExpire(expires)
		c.SetMaxAge(int(expires.Sub(r.start) / time.Second))
	}
	r.http.Response.Header.SetCookie(c)
}

// presentedRefresh is the refresh token of the request: the header's, or the cookie's. The cookie of a request that a foreign page has made is an
// error: browsers send it along, but its owner did not ask for anything.
func (r *request) presentedRefresh() (string, error) {
	if len(r.refreshToken) > 0 {
		return string(r.refreshToken), nil
	}
	cookie := r.http.Request.Header.Cookie(r.refreshCookie())
	if len(cookie) > 0 && !r.ownPage() {
		return "", errCookieOrigin
	}
	return string(cookie), nil
}

// ownPage reports whether no page has made the request, or one of this site, or of an origin that the project names. Browsers tell by
// Sec-Fetch-Site, which no page can set, and older ones by Origin, which they send with every POST.
func (r *request) ownPage() bool {
	switch site := r.http.Request.Header.Peek("Sec-Fetch-Site"); string(site) {
	case "same-origin", "same-site", "none":
		return true
	case "":
		return len(r.origin) == 0 || r.originTrusted()
	}
	return r.originTrusted()
}

// originTrusted reports whether the project names the request's origin, so that its cookie counts. A `*` names nobody.
func (r *request) originTrusted() bool {
	o, err := project.ParseOrigin(string(r.origin))
	if err != nil {
		return false
	}
	if own, err := project.ParseOrigin(o.Scheme + "://" + string(r.http.Host())); err == nil && own == o {
		return true // a proxy may have taken the TLS off, so that the scheme is not known here
	}
	if site, err := project.ParseOrigin(r.state.Config.SiteURL); err == nil && site == o {
		return true
	}
	return !r.state.Domains.Any() && r.state.Domains.Allows(o)
}
