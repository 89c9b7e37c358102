package runtime

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// An explained request goes the way of every other, through the same stages and handlers, with two differences: it may go
// it in another's name, and it stops where a commit would begin. What it would have been answered becomes a part of its
// answer, beside every check in order. Only a secret key or the operator gets one.

var (
	errExplainHere = reason(400, "explain.not_here", "Only requests to /api/data and /api/batch can be explained.")
	errExplain     = reason(400, "explain.invalid", "The request to explain is not valid.")
)

// identity is in whose name a request is explained.
type identity struct {
	role   auth.Role
	userID string
	email  string // normalised, in place of userID, until it has been looked up
}

// Outcomes of a check.
const (
	outcomePassed  = "passed"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"  // a guest broke, which means no
	outcomeRewrote = "rewrote" // a hook made another document
	outcomeSkipped = "skipped" // it does not bind this caller
)

// check is one check of an explained request.
type check struct {
	Check      string            `json:"check"`
	Outcome    string            `json:"outcome"`
	Operation  *int              `json:"operation,omitempty"` // place among several changes, from 0
	Collection string            `json:"collection,omitempty"`
	Module     string            `json:"module,omitempty"` // the guest that was asked
	Status     int               `json:"status,omitempty"` // of a refusal, as are the next two
	Reason     string            `json:"reason,omitempty"`
	Message    string            `json:"message,omitempty"`
	Code       string            `json:"code,omitempty"`  // the guest's own word
	Cause      string            `json:"cause,omitempty"` // of a guest's failure
	Fuel       uint64            `json:"fuel,omitempty"`
	Budget     uint64            `json:"budget,omitempty"`
	HostCalls  int               `json:"hostCalls,omitempty"` // documents that the guest read
	Note       string            `json:"note,omitempty"`
	Document   json.RawMessage   `json:"document,omitempty"` // that a hook made
	Filters    []json.RawMessage `json:"filters,omitempty"`  // predicates that joined the query
	Millis     float64           `json:"durationMs"`         // of a guest, its own; else since the check before
}

// explanation gathers the checks of one request.
type explanation struct {
	as     *identity // nil: the key's own
	began  time.Time
	last   time.Time // when the check before ended
	now    func() time.Time
	checks []check
	at     *int   // the change that is judged, where there are several
	within string // its collection
}

// begin starts the clock.
func (x *explanation) begin(now func() time.Time) {
	x.now = now
	x.began = now()
	x.last = x.began
}

// add appends a check and gives it the time since the last one.
func (x *explanation) add(c check) {
	now := x.now()
	c.Operation, c.Collection = x.at, cmp.Or(c.Collection, x.within)
	if c.Millis == 0 {
		c.Millis = millis(now.Sub(x.last))
	}
	x.last = now
	x.checks = append(x.checks, c)
}

// judging says which change the coming checks are about.
func (x *explanation) judging(ch *change, several bool) {
	x.within, x.at = "", nil
	if several {
		at := ch.index
		x.within, x.at = ch.rules.Name, &at
	}
}

// refused reports whether something has been refused already: whoever hears of it on the way out does not tell it again.
func (x *explanation) refused() bool {
	if len(x.checks) == 0 {
		return false
	}
	last := x.checks[len(x.checks)-1].Outcome
	return last == outcomeRefused || last == outcomeFailed
}

// told notes the outcome of a check when the request is explained, and returns it.
func (r *request) told(name string, err error) error {
	if r.explain == nil || err != nil && r.explain.refused() {
		return err
	}
	c := check{Check: name, Outcome: outcomePassed}
	if err != nil {
		c.refuse(errorFrom(err))
	}
	r.explain.add(c)
	return err
}

// note adds to an explanation what is no refusal.
func (r *request) note(name, outcome, text string) {
	if r.explain != nil {
		r.explain.add(check{Check: name, Outcome: outcome, Note: text})
	}
}

// refuse fills in why a check refused. What the caller is not told, the explanation tells.
func (c *check) refuse(e *Error) {
	c.Outcome, c.Status, c.Reason, c.Message = outcomeRefused, e.Status, e.Reason, e.Message
	if h := e.hides; h != nil {
		c.Note = "Shown to the caller as a document that does not exist. The true reason: " + h.Reason + ": " + h.Message
		e = h
	}
	if g := e.guest; g != nil {
		c.Module, c.Code, c.Fuel, c.Budget = g.module, g.code, g.fuel, g.budget
		if g.cause != nil {
			c.Outcome, c.Cause = outcomeFailed, g.cause.Error()
		}
	} else if e.cause != nil && e.Status < 500 {
		c.Cause = e.cause.Error()
	}
}

// beginExplain turns a request with `x-sluice-explain: 1` into one that is explained. It is called once the key is known.
func (r *request) beginExplain() error {
	switch {
	case r.role != auth.RoleSecret:
		return errKeySecretRequired
	case string(r.explainMode) != "1":
		return errExplain.saying("x-sluice-explain must be 1.")
	case !r.route.explains():
		return errExplainHere
	}
	x := new(explanation)
	if len(r.explainAs) > 0 {
		if len(r.authorization) > 0 {
			return errExplain.saying("Send x-sluice-explain-as or a token, not both.")
		}
		as, err := namedIdentity(string(r.explainAs))
		if err != nil {
			return err
		}
		if err := r.lookUp(as); err != nil {
			return err
		}
		x.as = as
	}
	x.begin(r.server.now)
	r.explain = x
	return r.identifyAs()
}

// namedIdentity reads a user's id or address, or "nobody".
func namedIdentity(name string) (*identity, error) {
	as := &identity{role: auth.RolePublishable}
	switch {
	case name == "nobody":
	case strings.Contains(name, "@"):
		email, err := auth.NormalizeEmail(name)
		if err != nil {
			return nil, errExplain.saying("In whose name? %v.", err)
		}
		as.email = email
	default:
		id, ok := kv.ParseDocID(name)
		if !ok {
			return nil, errExplain.saying(`In whose name? A user's id (24 hex digits) or address, or "nobody".`)
		}
		as.userID = id.String()
	}
	return as, nil
}

// identifyAs gives an explained request the name in which it goes.
func (r *request) identifyAs() error {
	if as := r.explain.as; as != nil {
		r.role, r.user = as.role, auth.Claims{UserID: as.userID}
		if id, ok := kv.ParseDocID(as.userID); ok && as.role == auth.RolePublishable {
			return r.claimsAs(id)
		}
	}
	return nil
}

// lookUp finds the user who has an address.
func (r *request) lookUp(as *identity) error {
	if as.email == "" {
		return nil
	}
	defer r.closeSnapshot()
	doc, err := r.userByEmail(as.email)
	if errors.Is(err, kv.ErrNotFound) || errors.Is(err, errAuthNoUsers) {
		return errExplain.saying("There is no account with the address %s.", as.email)
	}
	as.userID, as.email = doc.ID.String(), ""
	return err
}

// explains reports whether requests to a route can be explained.
func (rt *route) explains() bool {
	return strings.HasPrefix(rt.pattern, dataPrefix) || rt.pattern == "/api/batch"
}

// wouldCommit judges what only the commit would: unique keys and the size of the database. Everything else was read from the
// state that the commit would meet.
func (r *request) wouldCommit(b *kv.Batch) error {
	r.explain.within, r.explain.at = "", nil
	defer r.closeSnapshot()
	snap, err := r.snapshot()
	if err != nil {
		return err
	}
	bytes, taken := snap.Bytes(), map[string]kv.DocID{}
	for _, op := range b.Ops {
		c, ok := snap.Collection(op.Collection)
		if !ok || strings.HasPrefix(op.Collection, "_") {
			continue
		}
		before, err := snap.Get(c, op.ID)
		if err == nil {
			bytes -= int64(len(before.JSON))
		}
		bytes += int64(len(op.Value))
		if op.Kind != kv.OpPut {
			continue
		}
		for _, x := range c.Indexes {
			values, present := indexed(&x, op.Value)
			if !x.Unique || !present {
				continue
			}
			key := op.Collection + "/" + x.Name
			for _, v := range values {
				key += "/" + string(v.JSON())
			}
			holder, err := snap.GetUnique(c, x.Name, values...)
			other, twice := taken[key]
			if err == nil && holder.ID != op.ID || twice && other != op.ID {
				return r.told("unique", errUnique.saying("%s (index %s)", errUnique.Message, x.Name))
			}
			taken[key] = op.ID
		}
	}
	if most := r.state.Config.Limits.DatabaseBytes; most > 0 && bytes > most {
		return r.told("quota", errQuotaDatabase)
	}
	return r.told("commit", nil)
}

// indexed returns a document's values under an index, and whether it is in it at all.
func indexed(x *kv.Index, doc []byte) ([]kv.Value, bool) {
	values := make([]kv.Value, len(x.Fields))
	for i, path := range x.Fields {
		raw, ok := jsondoc.Lookup(doc, path)
		if !ok || string(raw) == "null" {
			return nil, false
		}
		if values[i], ok = kv.Raw(raw); !ok {
			return nil, false
		}
	}
	return values, true
}

// explained is the shape of an explanation.
type explained struct {
	Request struct {
		Method     string `json:"method"`
		Route      string `json:"route"`
		Collection string `json:"collection,omitempty"`
		Role       string `json:"role"`
		UserID     string `json:"userId,omitempty"`
	} `json:"request"`
	Outcome string          `json:"outcome"` // allowed or refused
	Status  int             `json:"status"`  // that the request would have been answered with
	Reason  string          `json:"reason,omitempty"`
	Message string          `json:"message,omitempty"`
	Decided *check          `json:"decidedBy,omitempty"` // the check that refused
	Checks  []check         `json:"checks"`
	Answer  json.RawMessage `json:"answer,omitempty"` // that the request would have been given
	Fuel    uint64          `json:"fuel"`             // of all guests together
	Budget  uint64          `json:"budget"`           // that those could have spent
	Millis  float64         `json:"durationMs"`
}

// explanation makes the account of a request that has gone its way, and ended in err.
func (r *request) explained(err error) *explained {
	x := r.explain
	out := &explained{Outcome: "allowed", Status: r.http.Response.StatusCode(), Fuel: r.fuel, Budget: r.budget, Millis: millis(x.now().Sub(x.began))}
	out.Request.Method, out.Request.Route = string(r.http.Method()), r.route.pattern
	out.Request.Role, out.Request.UserID = r.role.String(), r.user.UserID
	if r.collection != nil {
		out.Request.Collection = r.collection.Name
	}
	if err != nil {
		e := errorFrom(err)
		_ = r.told("request", err) // what no check has told yet
		out.Outcome, out.Status, out.Reason, out.Message = outcomeRefused, e.Status, e.Reason, e.Message
		out.Decided = &x.checks[len(x.checks)-1]
		out.Answer = appendEnvelope(nil, e)
	} else if body := r.http.Response.Body(); json.Valid(body) {
		out.Answer = append(json.RawMessage(nil), body...)
	}
	out.Checks = x.checks
	return out
}

// answerExplained answers an explained request with the account of it.
func (r *request) answerExplained(err error) error {
	if e := (*Error)(nil); err != nil {
		if e = errorFrom(err); e.Status == errInternal.Status {
			return err // our own fault explains nothing
		}
	}
	out := r.explained(err)
	r.http.Response.Reset() // headers, too, are the other answer's
	return r.answerJSON(fasthttp.StatusOK, struct {
		Success bool       `json:"success"`
		Data    *explained `json:"data"`
		Message string     `json:"message"`
	}{true, out, "Explained. Nothing was changed."})
}

// maxExplainedPath bounds the path and query that the operator asks about.
const maxExplainedPath = 8 << 10

// adminExplain answers POST /admin/v1/projects/{project}/explain: what would become of a request in anybody's name.
func adminExplain(r *request) error {
	p, err := r.server.registry.Find(r.param("project"))
	if err != nil {
		return err
	}
	if p.Broken() != nil {
		return errProjectDown
	}
	var ask struct {
		Method string          `json:"method"`
		Path   string          `json:"path"` // with its query
		Role   string          `json:"role"` // publishable if absent
		UserID string          `json:"userId"`
		Body   json.RawMessage `json:"body"`
	}
	if err := decodeStrictly(r.http.Request.Body(), &ask); err != nil {
		return errExplain.saying("%v", err)
	}
	as := &identity{role: auth.RolePublishable}
	switch ask.Role {
	case "", auth.RolePublishable.String():
	case auth.RoleSecret.String():
		as.role = auth.RoleSecret
	default:
		return errExplain.saying(`"role" must be "publishable" or "secret".`)
	}
	if ask.UserID != "" {
		named, err := namedIdentity(ask.UserID)
		if err != nil {
			return err
		}
		as.userID, as.email = named.userID, named.email
	}
	if len(ask.Path) > maxExplainedPath || !strings.HasPrefix(ask.Path, "/") {
		return errExplain.saying(`"path" must be the path of a request, such as "/api/data/posts".`)
	}
	out, err := r.server.explainAs(p, as, strings.ToUpper(cmp.Or(ask.Method, fasthttp.MethodGet)), ask.Path, ask.Body)
	if err != nil {
		return err
	}
	return r.answerJSON(fasthttp.StatusOK, out)
}

// explainAs takes a request that nobody sent through the pipeline of the public listener, past the key.
func (s *Server) explainAs(p *project.Project, as *identity, method, path string, body []byte) (*explained, error) {
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI("http://explain.invalid" + path)
	if len(body) > 0 && string(body) != "null" {
		req.Header.SetContentType("application/json")
		req.SetBody(body)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, nil, serverLog{s.log})
	if !soundPath(ctx.URI().PathOriginal()) {
		return nil, errMalformedPath
	}
	canonicalPath(ctx.URI())
	rt, params := s.explainable(&ctx)
	if rt == nil {
		return nil, errExplainHere
	}
	r := s.begin(&ctx, rt, params)
	defer r.end()
	r.project = p
	if err := r.lookUp(as); err != nil {
		return nil, err
	}
	r.explain = &explanation{as: as}
	r.explain.begin(s.now)
	err := r.walk()
	if err != nil && errorFrom(err).Status == errInternal.Status {
		return nil, err
	}
	return r.explained(err), nil
}

// explainable finds the route of a request that can be explained.
func (s *Server) explainable(ctx *fasthttp.RequestCtx) (*route, paths) {
	if path, ok := splitDataPath(ctx.URI().PathOriginal()); ok {
		return s.data.find(ctx.Method(), path), path
	}
	for i := range s.routes {
		if rt := &s.routes[i]; rt.method == string(ctx.Method()) && rt.pattern == string(ctx.URI().PathOriginal()) && rt.explains() {
			return rt, paths{}
		}
	}
	return nil, paths{}
}
