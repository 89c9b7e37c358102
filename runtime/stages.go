package runtime

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// readHeaderRules refuses a request that gives two answers to one question: which key, token or origin counts must not
// depend on who reads the headers.
func readHeaderRules(r *request) error {
	if r.duplicate {
		return errDuplicateHeader
	}
	return nil
}

// readBody parses the JSON body, strictly. It comes before the key check, as in the contract, and is bounded by the
// server's own limit, which fasthttp enforced before it read the body.
func readBody(r *request) error {
	body := r.http.Request.Body()
	if len(body) == 0 {
		return nil // what is missing is said by the handler, which knows what it wanted
	}
	kind, parameters, _ := bytes.Cut(r.http.Request.Header.ContentType(), []byte(";"))
	if !isUTF8(parameters) {
		return errBodyUnsupported.saying("The body must be in UTF-8.")
	}
	if coding := r.http.Request.Header.ContentEncoding(); len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
		return errBodyUnsupported.saying("Content-Encoding is not supported for request bodies.")
	}
	switch kind = bytes.TrimSpace(kind); {
	case bytes.EqualFold(kind, []byte("application/x-www-form-urlencoded")):
		body = formToJSON(r.http.PostArgs(), nil)
	case len(kind) == 0, bytes.EqualFold(kind, []byte("application/json")), bytes.HasSuffix(bytes.ToLower(kind), []byte("+json")):
	case bytes.EqualFold(kind, []byte("text/plain")):
		return nil // as if there were none
	default:
		return errBodyUnsupported
	}
	value, err := r.bodyParser.Parse(body, jsondoc.Limits{})
	if err != nil {
		return err
	}
	if k := value.Kind(); k != jsondoc.Object && k != jsondoc.Array {
		return errMalformedJSON
	}
	r.body = value
	return nil
}

// isUTF8 reports whether the parameters of a media type name no character set but UTF-8, or its part US-ASCII.
func isUTF8(parameters []byte) bool {
	for len(parameters) > 0 {
		var item []byte
		item, parameters, _ = bytes.Cut(parameters, []byte(";"))
		name, value, _ := bytes.Cut(item, []byte("="))
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte("charset")) {
			continue
		}
		value = bytes.Trim(value, " \t\"")
		if !bytes.EqualFold(value, []byte("utf-8")) && !bytes.EqualFold(value, []byte("utf8")) && !bytes.EqualFold(value, []byte("us-ascii")) {
			return false
		}
	}
	return true
}

// formToJSON turns an HTML form into an object of strings; of a repeated name the parser will say that it is repeated.
func formToJSON(args *fasthttp.Args, dst []byte) []byte {
	dst = append(dst, '{')
	for key, value := range args.All() {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = jsondoc.AppendString(dst, key)
		dst = append(dst, ':')
		dst = jsondoc.AppendString(dst, value)
	}
	return append(dst, '}')
}

// identifyKey finds the project and the role. A publishable key may stand in the query, for links; a secret one never,
// since URLs end up in logs. A header, even a wrong one, beats the query.
func identifyKey(r *request) error {
	if r.explain != nil { // the operator asks, in whose name is known
		r.state = r.project.State()
		return r.identifyAs()
	}
	key := r.apiKey
	if len(key) == 0 {
		key = r.http.QueryArgs().Peek("key")
		if role, ok := auth.ParseRole(key); len(key) == 0 || ok && role != auth.RolePublishable {
			return errKeyMissing
		}
	}
	p, role, ok := r.server.registry.ByKey(key)
	if !ok {
		return errKeyUnknown
	}
	if err := p.Broken(); err != nil {
		return errProjectDown
	}
	r.project, r.role, r.state = p, role, p.State()
	if len(r.explainMode) > 0 || len(r.explainAs) > 0 {
		return r.beginExplain()
	}
	return nil
}

// checkOrigin holds publishable keys to the project's allowed domains.
func checkOrigin(r *request) error {
	if r.role != auth.RolePublishable || r.state.Domains.Any() {
		return nil
	}
	if r.explain != nil && len(r.origin) == 0 { // a tool asks, not a page
		return nil
	}
	origin := r.origin
	if len(origin) == 0 {
		origin = r.referer
	}
	if len(origin) == 0 {
		return errOriginMissing
	}
	o, err := project.ParseOrigin(string(origin))
	if err != nil {
		return errOriginMalformed
	}
	if !r.state.Domains.Allows(o) {
		return errOriginForbidden.saying("Forbidden: Origin %s is not allowed by this project's CORS policy.", o)
	}
	return nil
}

// checkBodySize holds the body to the project's own limit, which may be tighter than the server's.
func checkBodySize(r *request) error {
	if limit := r.state.Config.Limits.BodyBytes; limit > 0 && int64(len(r.http.Request.Body())) > limit {
		return errBodyTooLarge
	}
	return nil
}

// refuseUsers keeps accounts, and the system's own collections, out of the data API however their name is spelled.
func refuseUsers(r *request) error {
	if reservedName(r.path.collection) {
		return errUsersReserved
	}
	return nil
}

// reservedName reports whether a collection name in a URL means `users` when read with good will: in any case, padded or
// escaped.
func reservedName(name []byte) bool {
	if isPlainName(name) {
		return bytes.EqualFold(name, []byte(project.Users))
	}
	for range 3 { // an escaped escape is still an attempt
		decoded := fasthttp.AppendUnquotedArg(nil, name)
		if bytes.Equal(decoded, name) {
			break
		}
		name = decoded
	}
	name = bytes.Map(func(c rune) rune {
		if c <= ' ' || c == 0x7f || c == 0xa0 || c == 0xfeff || c >= 0x2000 && c <= 0x200f || c == 0x2060 || c == 0x3000 {
			return -1
		}
		if c >= 0xff01 && c <= 0xff5e { // full-width forms
			return c - 0xfee0
		}
		return c
	}, name)
	return bytes.EqualFold(name, []byte(project.Users))
}

// isPlainName reports whether a name is what collections are called, so that there is nothing to see through.
func isPlainName(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// identifyUser reads the bearer token. One that is missing leaves nobody logged in; one that is present must be good,
// or the caller would act as somebody else than it believes.
func identifyUser(r *request) error {
	if len(r.authorization) == 0 {
		return nil
	}
	token, ok := bearer(r.authorization)
	if !ok {
		return r.badToken()
	}
	claims, err := r.state.Tokens.Verify(token, r.start)
	if err != nil || r.project.Revoked(&claims, r.state.Config.Auth.StrictSessions) {
		return r.badToken()
	}
	r.user = claims
	return nil
}

// badToken is what a token that is not good is answered with: the text depends on what the caller was about to do.
func (r *request) badToken() error {
	if r.route.method != fasthttp.MethodGet && !r.route.asks() {
		return errTokenForWrite
	}
	return errTokenInvalid
}

// bearer returns the token of an Authorization header: the scheme is required and its case does not matter (RFC 9110
// section 11.1).
func bearer(authorization []byte) ([]byte, bool) {
	const scheme = "bearer "
	if len(authorization) <= len(scheme) || !bytes.EqualFold(authorization[:len(scheme)], []byte(scheme)) {
		return nil, false
	}
	token := bytes.TrimSpace(authorization[len(scheme):])
	return token, len(token) > 0
}

// findCollection finds the declared collection that the path names.
func findCollection(r *request) error {
	r.collection = r.state.Collection(r.path.collection)
	if r.collection != nil {
		return nil
	}
	if r.role == auth.RoleSecret && strings.HasSuffix(r.route.pattern, "/{id}") {
		if _, err := r.documentID(); err != nil {
			return err // the contract checks ids first for secret keys
		}
	}
	return errCollectionNotFound
}

// accountsEnabled is the gate of the account routes.
func accountsEnabled(r *request) error {
	if !r.state.Config.Auth.Enabled {
		return errAuthDisabled
	}
	if r.collection = r.state.Collection([]byte(project.Users)); r.collection == nil {
		return errAuthNoUsers
	}
	return nil
}
