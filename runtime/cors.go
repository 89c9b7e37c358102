package runtime

import (
	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

var (
	headerAllowOrigin      = []byte(fasthttp.HeaderAccessControlAllowOrigin)
	headerAllowCredentials = []byte(fasthttp.HeaderAccessControlAllowCredentials)
	headerExposeHeaders    = []byte(fasthttp.HeaderAccessControlExposeHeaders)

	valueTrue   = []byte("true")
	valueExpose = []byte("Retry-After, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, ETag, x-request-id")
)

// allowOrigin lets a browser page read the answer when its origin is allowed: by the request's project, or, where the
// request got no further than its key, by any project of the node, so that the page can read why.
func (r *request) allowOrigin() {
	if len(r.origin) == 0 || r.route.admin() || !r.originAllowed() {
		return
	}
	h := &r.http.Response.Header
	h.SetCanonical(headerAllowOrigin, r.origin)
	h.SetCanonical(headerAllowCredentials, valueTrue)
	h.SetCanonical(headerExposeHeaders, valueExpose)
}

func (r *request) originAllowed() bool {
	if r.state != nil && r.state.Domains.Any() {
		_, err := project.ParseOrigin(string(r.origin))
		return err == nil
	}
	o, err := project.ParseOrigin(string(r.origin))
	if err != nil {
		return false
	}
	if r.state != nil {
		return r.state.Domains.Allows(o)
	}
	return r.server.registry.OriginAllowed(o)
}

// answerPreflight answers any OPTIONS. An origin that no project allows gets no permission.
func answerPreflight(r *request) error {
	h := &r.http.Response.Header
	r.http.Response.SetStatusCode(fasthttp.StatusNoContent)
	if len(r.origin) == 0 || !r.originAllowed() {
		return nil
	}
	h.Set(fasthttp.HeaderAccessControlAllowMethods, "GET,HEAD,PUT,PATCH,POST,DELETE")
	if asked := r.http.Request.Header.Peek(fasthttp.HeaderAccessControlRequestHeaders); len(asked) > 0 {
		h.SetBytesV(fasthttp.HeaderAccessControlAllowHeaders, asked)
	}
	h.Set(fasthttp.HeaderAccessControlMaxAge, "600")
	return nil
}
