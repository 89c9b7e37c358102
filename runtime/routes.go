package runtime

import (
	"bytes"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
)

// stage is one step of the pipeline. The first error ends the walk. The name is what an explanation calls it.
type stage struct {
	name string
	do   func(*request) error
}

// route is one row of the table of routes.
type route struct {
	method  string
	pattern string // static segments in lower case
	stages  []stage
	handle  func(*request) error
}

// The stages, and chains of them. Their order is the contract's order of checks: the first failure wins.
var (
	stageHeaders    = stage{"headers", readHeaderRules}
	stageBody       = stage{"body", readBody}
	stageKey        = stage{"key", identifyKey}
	stageOrigin     = stage{"origin", checkOrigin}
	stageLimits     = stage{"limits", admit}
	stageSize       = stage{"size", checkBodySize}
	stageNotUsers   = stage{"users", refuseUsers}
	stageUser       = stage{"user", identifyUser}
	stageCollection = stage{"collection", findCollection}
	stageAccounts   = stage{"accounts", accountsEnabled}
	stageAdmin      = stage{"token", checkAdminToken}
	stageFiles      = stage{"files", mayHaveFiles}
	stageUpload     = stage{"upload", mayUpload}
	stageSecret     = stage{"secret", needSecret}
	stageProject    = stage{"project", actAsProject}

	open     = []stage{}
	heard    = []stage{stageHeaders} // without a key: the request itself says which project it is about
	withKey  = []stage{stageHeaders, stageKey, stageOrigin, stageLimits}
	account  = []stage{stageHeaders, stageKey, stageOrigin, stageLimits, stageAccounts}
	accountW = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize, stageAccounts}
	dataRead = []stage{stageHeaders, stageKey, stageOrigin, stageLimits, stageNotUsers, stageUser, stageCollection}
	dataDrop = dataRead
	keyW     = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize}
	batchW   = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize, stageUser}
	dataW    = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize, stageNotUsers, stageUser, stageCollection}
	dataAsk  = dataW
	fileUp   = []stage{stageHeaders, stageKey, stageOrigin, stageLimits, stageUser, stageUpload}
	fileUpW  = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize, stageUser, stageUpload}
	fileR    = []stage{stageHeaders, stageKey, stageOrigin, stageLimits, stageUser, stageFiles}
	fileW    = []stage{stageHeaders, stageBody, stageKey, stageOrigin, stageLimits, stageSize, stageUser, stageFiles}
	fileAll  = []stage{stageHeaders, stageKey, stageOrigin, stageLimits, stageSecret}
)

// publicRoutes is the API that apps use.
func publicRoutes() []route {
	return []route{
		{"GET", "/", open, home},
		{"GET", "/livez", open, live},
		{"GET", "/readyz", open, ready},
		{"GET", "/api/health", open, health},

		{"POST", "/api/userauth/signup", accountW, signup},
		{"POST", "/api/userauth/login", accountW, login},
		{"POST", "/api/userauth/refresh-token", account, refreshToken},
		{"POST", "/api/userauth/logout", account, logout},
		{"POST", "/api/userauth/verify-email", accountW, verifyEmail},
		{"POST", "/api/userauth/resend-verification-otp", accountW, resendVerification},
		{"POST", "/api/userauth/request-password-reset", accountW, requestReset},
		{"POST", "/api/userauth/reset-password", accountW, resetPassword},
		{"GET", "/api/userauth/me", account, me},
		{"GET", "/api/userauth/public/{username}", account, publicProfile},
		{"PUT", "/api/userauth/update-profile", accountW, updateProfile},
		{"PUT", "/api/userauth/change-password", accountW, changePassword},
		{"DELETE", "/api/userauth/me", accountW, deleteMe},
		{"GET", "/api/userauth/social/{provider}/start", account, startSocial},
		{"GET", "/api/userauth/social/{provider}/callback", heard, socialCallback},
		{"POST", "/api/userauth/social/exchange", accountW, exchangeSocial},
		{"GET", "/api/userauth/sessions", account, listSessions},
		{"DELETE", "/api/userauth/sessions", account, revokeSessions},
		{"DELETE", "/api/userauth/sessions/{id}", account, revokeSession},

		{"GET", "/api/data/{collection}", dataRead, listDocuments},
		{"POST", "/api/data/{collection}", dataW, insertDocument},
		{"POST", "/api/data/{collection}/bulk", dataW, insertDocuments},
		{"POST", aggregatePattern, dataAsk, aggregateDocuments},
		{"GET", "/api/data/{collection}/{id}", dataRead, getDocument},
		{"PUT", "/api/data/{collection}/{id}", dataW, updateDocument},
		{"PATCH", "/api/data/{collection}/{id}", dataW, updateDocument},
		{"DELETE", "/api/data/{collection}/{id}", dataDrop, deleteDocument},

		{"POST", "/api/batch", batchW, writeBatch},

		{"POST", "/api/storage/upload", fileUp, uploadFile},
		{"POST", "/api/storage/upload-request", fileUpW, requestUpload},
		{"POST", "/api/storage/upload-confirm", fileUpW, confirmUpload},
		{"POST", "/api/storage/signed-url", fileW, signFile},
		{"GET", "/api/storage/files", fileR, listFiles},
		{"DELETE", "/api/storage/file", fileW, deleteFile},
		{"DELETE", "/api/storage/all", fileAll, deleteFiles},
		{"GET", "/files/{project}/{name}", open, getFile},
		{"PUT", "/files/{project}/{name}", open, putFile},

		{"POST", "/api/mail/send", keyW, sendMail},

		{"GET", "/api/schemas/{collection}", withKey, getSchema},
		{"POST", "/api/schemas", keyW, createSchema},
	}
}

// adminRoutes is the API that the operator uses.
func adminRoutes() []route {
	admin := []stage{stageAdmin}
	adminFile := []stage{stageAdmin, stageProject}
	adminFileW := []stage{stageAdmin, stageProject, stageBody}
	return []route{
		{"GET", "/livez", open, live},
		{"GET", "/readyz", open, ready},
		{"GET", "/metrics", admin, metricsPage},
		{"GET", "/admin/v1/status", admin, adminStatus},
		{"GET", "/admin/v1/backup", admin, adminBackupNode},
		{"GET", "/admin/v1/projects", admin, adminListProjects},
		{"PUT", "/admin/v1/projects", admin, adminApplyProject},
		{"GET", "/admin/v1/projects/{project}/store", admin, adminStore},
		{"POST", "/admin/v1/projects/{project}/compact", admin, adminCompact},
		{"GET", "/admin/v1/projects/{project}/files", adminFile, listFiles},
		{"DELETE", "/admin/v1/projects/{project}/files", adminFileW, deleteFile},
		{"POST", "/admin/v1/projects/{project}/files/upload-request", adminFileW, requestUpload},
		{"POST", "/admin/v1/projects/{project}/files/upload-confirm", adminFileW, confirmUpload},
		{"POST", "/admin/v1/projects/{project}/files/signed-url", adminFileW, signFile},
		{"POST", "/admin/v1/projects/{project}/files/sweep", adminFile, adminSweepFiles},
		{"GET", "/admin/v1/projects/{project}/backup", admin, adminBackupProject},
		{"GET", "/admin/v1/projects/{project}/mail", admin, adminMail},
		{"POST", "/admin/v1/projects/{project}/mail/retry", admin, adminRetryMail},
		{"GET", "/admin/v1/projects/{project}/bundles", admin, adminListBundles},
		{"POST", "/admin/v1/projects/{project}/bundles", admin, adminDeployBundle},
		{"GET", "/admin/v1/projects/{project}/bundles/{version}", admin, adminInspectBundle},
		{"POST", "/admin/v1/projects/{project}/bundles/{version}/rollback", admin, adminRollback},
		{"GET", "/admin/v1/projects/{project}/audit", admin, adminAudit},
		{"POST", "/admin/v1/projects/{project}/users/{id}/disable", admin, adminDisableUser},
		{"POST", "/admin/v1/projects/{project}/users/{id}/enable", admin, adminEnableUser},
		{"GET", "/admin/v1/projects/{project}/keys/jwt", admin, adminListSigningKeys},
		{"POST", "/admin/v1/projects/{project}/keys/jwt/rotate", admin, adminRotateSigningKey},
		{"GET", "/admin/v1/projects/{project}/decisions", admin, adminDecisions},
		{"GET", "/admin/v1/projects/{project}/logs", admin, adminLogs},
		{"POST", "/admin/v1/projects/{project}/explain", admin, adminExplain},
	}
}

// paths are the parameters of the routes of data, and of files (as project and name), borrowed from the URL and still escaped. They are taken apart by hand:
// the router copies every parameter three times, which on a GET by id is most of what it allocates.
type paths struct{ collection, id []byte }

const (
	dataPrefix       = "/api/data/"
	aggregatePattern = "/api/data/{collection}/aggregate"
	filesPrefix      = "/files/"
	uploadPattern    = "/api/storage/upload"
)

// splitDataPath reads /api/data/{collection} and /api/data/{collection}/{id}.
func splitDataPath(path []byte) (p paths, ok bool) {
	if len(path) <= len(dataPrefix) || string(path[:len(dataPrefix)]) != dataPrefix {
		return p, false
	}
	p.collection, p.id, _ = bytes.Cut(path[len(dataPrefix):], []byte("/"))
	return p, len(p.collection) > 0 && bytes.IndexByte(p.id, '/') < 0
}

// dataRoutes are the rows of the table that splitDataPath stands for, by method: without an id, with one, and, since ids are
// never POSTed to, POST with the name of what to do.
type dataRoutes struct {
	list, one map[string]*route
	named     []namedRoute
}

type namedRoute struct {
	name string // lower case
	*route
}

func newDataRoutes(routes []route) dataRoutes {
	d := dataRoutes{list: map[string]*route{}, one: map[string]*route{}}
	for i := range routes {
		rt := &routes[i]
		rest, ok := strings.CutPrefix(rt.pattern, dataPrefix+"{collection}")
		if !ok {
			continue
		}
		table := d.list
		switch rest {
		case "":
		case "/{id}":
			table = d.one
		default:
			d.named = append(d.named, namedRoute{rest[1:], rt})
			continue
		}
		table[rt.method] = rt
		if rt.method == fasthttp.MethodGet {
			table[fasthttp.MethodHead] = rt
		}
	}
	return d
}

// fileRoutes are the rows of the table that splitFileAddress stands for, by method.
func fileRoutes(routes []route) map[string]*route {
	table := map[string]*route{}
	for i := range routes {
		if rt := &routes[i]; rt.pattern == filesPrefix+"{project}/{name}" {
			table[rt.method] = rt
			if rt.method == fasthttp.MethodGet {
				table[fasthttp.MethodHead] = rt
			}
		}
	}
	return table
}

// find returns the row for a method and path, or nil when the router has to say what is wrong.
func (d *dataRoutes) find(method []byte, path paths) *route {
	if len(path.id) == 0 {
		return d.list[string(method)]
	}
	if string(method) != fasthttp.MethodPost {
		return d.one[string(method)]
	}
	for i := range d.named {
		if strings.EqualFold(d.named[i].name, string(path.id)) { // static segments are taken in any case
			return d.named[i].route
		}
	}
	return nil
}

// newRouter builds the router of one listener. HEAD is answered wherever GET is.
func (s *Server) newRouter(routes []route) *router.Router {
	r := router.New()
	r.RedirectTrailingSlash, r.RedirectFixedPath = false, false // both redirect to a host that the client names
	r.HandleOPTIONS = false
	for i := range routes {
		rt := &routes[i]
		handler := func(ctx *fasthttp.RequestCtx) { s.serve(ctx, rt, paths{}) }
		r.Handle(rt.method, rt.pattern, handler)
		if rt.method == fasthttp.MethodGet {
			r.Handle(fasthttp.MethodHead, rt.pattern, handler)
		}
	}
	refuse := func(err *Error) fasthttp.RequestHandler {
		rt := &route{pattern: "none", handle: func(*request) error { return err }}
		return func(ctx *fasthttp.RequestCtx) { s.serve(ctx, rt, paths{}) }
	}
	r.NotFound, r.MethodNotAllowed = refuse(errRouteNotFound), refuse(errMethod)
	return r
}

// publicHandler answers the public listener: preflights first, then the routes.
func (s *Server) publicHandler() fasthttp.RequestHandler {
	preflight := &route{method: "OPTIONS", pattern: "preflight", handle: answerPreflight}
	return s.handler(s.newRouter(s.routes), func(ctx *fasthttp.RequestCtx) bool {
		if ctx.IsOptions() {
			s.serve(ctx, preflight, paths{})
			return true
		}
		var rt *route
		path, ok := splitDataPath(ctx.URI().PathOriginal())
		if ok {
			rt = s.data.find(ctx.Method(), path)
		} else if path, ok = splitFileAddress(ctx.URI().PathOriginal()); ok {
			rt = s.files[string(ctx.Method())]
		}
		if rt != nil {
			s.serve(ctx, rt, path)
		}
		return rt != nil
	})
}

func (s *Server) adminHandler() fasthttp.RequestHandler {
	return s.handler(s.newRouter(adminRoutes()), func(*fasthttp.RequestCtx) bool { return false })
}

// handler puts the checks that need no route before the routing, and first before the router.
func (s *Server) handler(r *router.Router, first func(*fasthttp.RequestCtx) bool) fasthttp.RequestHandler {
	malformed := func(err *Error) *route {
		return &route{pattern: "none", handle: func(*request) error { return err }}
	}
	badFraming, badPath := malformed(errMalformedRequest), malformed(errMalformedPath)
	return func(ctx *fasthttp.RequestCtx) {
		switch {
		case !soundFraming(&ctx.Request.Header):
			ctx.SetConnectionClose() // what follows on this connection cannot be trusted to be a request
			s.serve(ctx, badFraming, paths{})
		case !soundPath(ctx.URI().PathOriginal()):
			s.serve(ctx, badPath, paths{})
		default:
			canonicalPath(ctx.URI())
			switch {
			case !ctx.Request.IsBodyStream():
			case takesFile(ctx):
				linger(ctx.Conn()) // an early answer must reach a client that is still sending
			default:
				body := s.bodies.get()
				defer s.bodies.put(body)
				if err := receive(ctx, body, s.opt.BodyBytes); err != nil {
					s.refuseBody(ctx, err)
					return
				}
			}
			if !first(ctx) {
				r.Handler(ctx)
			}
		}
	}
}

// takesFile reports whether a request's body is a file, which its handler reads as it comes.
func takesFile(ctx *fasthttp.RequestCtx) bool {
	path := ctx.URI().PathOriginal()
	switch {
	case ctx.IsPut():
		return bytes.HasPrefix(path, []byte(filesPrefix))
	case ctx.IsPost():
		return string(path) == uploadPattern
	}
	return false
}

// soundFraming refuses what fasthttp lets through although RFC 9112 does not want it trusted: a body announced both by
// length and by chunks (section 6.1), and continuation lines in headers (section 5.2).
func soundFraming(h *fasthttp.RequestHeader) bool {
	raw := h.RawHeaders()
	length, chunks := false, false
	for len(raw) > 0 {
		switch raw[0] {
		case ' ', '\t':
			return false
		case 'c', 'C':
			length = length || hasName(raw, "content-length:")
		case 't', 'T':
			chunks = chunks || hasName(raw, "transfer-encoding:")
		}
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			break
		}
		raw = raw[i+1:]
	}
	return !length || !chunks
}

// hasName reports whether a header line starts with name, which ends in a colon.
func hasName(line []byte, name string) bool {
	return len(line) >= len(name) && bytes.EqualFold(line[:len(name)], []byte(name))
}

// soundPath refuses paths that two readers could understand differently: empty and dot segments, encoded separators,
// NULs, control characters and broken escapes. The router then sees exactly what every check saw.
func soundPath(path []byte) bool {
	segment := 0 // where the present segment began
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/':
			if i > 0 && !soundSegment(path[segment:i]) {
				return false
			}
			segment = i + 1
		case c == '\\' || c < 0x20 || c == 0x7f:
			return false
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return false
			}
			switch v := unhex(path[i+1])<<4 | unhex(path[i+2]); {
			case v == '/' || v == '\\' || v == '%' || v == '.' || v < 0x20 || v == 0x7f:
				return false
			}
		}
	}
	last := path[segment:]
	return len(last) == 0 || soundSegment(last)
}

func soundSegment(s []byte) bool {
	return len(s) > 0 && string(s) != "." && string(s) != ".."
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// canonicalPath makes static segments lower-case and drops one trailing slash, as the contract allows both. Names and
// ids keep their case. The usual path is left alone.
func canonicalPath(uri *fasthttp.URI) {
	path := uri.PathOriginal()
	static := staticPrefix(path)
	slash := len(path) > 1 && path[len(path)-1] == '/'
	if !slash && bytes.IndexFunc(path[:static], func(c rune) bool { return 'A' <= c && c <= 'Z' }) < 0 {
		return
	}
	canonical := append([]byte(nil), path...)
	copy(canonical, bytes.ToLower(canonical[:static]))
	if slash {
		canonical = canonical[:len(canonical)-1]
	}
	uri.SetPathBytes(canonical)
}

// staticPrefix returns how much of a path is names of ours rather than of the project's: `/api/data/` and
// `/api/schemas/` end it, `/api/userAuth/public/` and `/files/` too, and everything else is ours throughout.
func staticPrefix(path []byte) int {
	for _, prefix := range [...]string{"/api/data/", "/api/schemas/", "/api/userauth/public/", filesPrefix, "/admin/v1/projects/"} {
		if len(path) >= len(prefix) && bytes.EqualFold(path[:len(prefix)], []byte(prefix)) {
			return len(prefix)
		}
	}
	return len(path)
}

// admin reports whether the route belongs to the operator's API, whose errors are RFC 9457 problem details.
func (rt *route) admin() bool {
	return len(rt.pattern) > 6 && rt.pattern[:7] == "/admin/"
}

// asks reports whether the route only reads, although it takes a body.
func (rt *route) asks() bool { return rt.pattern == aggregatePattern }

// tagged reports whether the route's answers get entity tags.
func (rt *route) tagged() bool {
	return rt.method == fasthttp.MethodGet && (strings.HasPrefix(rt.pattern, dataPrefix) || strings.HasPrefix(rt.pattern, "/api/schemas/"))
}
