package runtime

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

const refreshCookie = "refreshToken"

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
	c.SetSecure(r.secure())
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
