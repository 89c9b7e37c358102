package runtime

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Header names and values that every answer carries, in fasthttp's canonical spelling, so that setting one costs a copy.
var (
	headerRequestID    = []byte("X-Request-Id")
	headerNoSniff      = []byte("X-Content-Type-Options")
	headerCacheControl = []byte(fasthttp.HeaderCacheControl)
	headerVary         = []byte(fasthttp.HeaderVary)
	headerETag         = []byte(fasthttp.HeaderETag)

	valueNoSniff = []byte("nosniff")
	valueNoStore = []byte("private, no-cache")
	valueVary    = []byte("Origin, x-api-key, Authorization")

	typeJSON    = []byte("application/json; charset=utf-8")
	typeProblem = []byte("application/problem+json; charset=utf-8")
)

// serve walks one request through its route and writes the answer.
func (s *Server) serve(ctx *fasthttp.RequestCtx, rt *route, path paths) {
	r := s.begin(ctx, rt, path)
	defer r.end()
	err := r.walk()
	if r.explain != nil {
		err = r.answerExplained(err)
	}
	if err != nil {
		r.answerError(err)
	}
	r.answerHeaders()
	if s.draining.Load() {
		ctx.SetConnectionClose()
	}
	if s.access != nil {
		r.logAccess()
	}
}

// walk runs the stages and the handler. A panic in any of them becomes an error of this request alone.
func (r *request) walk() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.recovered(p)
		}
	}()
	for i := range r.route.stages {
		st := &r.route.stages[i]
		if r.explain != nil && st.name == stageLimits.name {
			continue // what is only explained is not counted
		}
		if err := r.told(st.name, st.do(r)); err != nil {
			return err
		}
	}
	if err := r.route.handle(r); err != nil {
		return err
	}
	if r.route.tagged() {
		r.tagBody()
	}
	return nil
}

// tagBody gives an answer that is not one whole document a weak entity tag, made from its bytes, and answers 304 when the
// client has just these. The tag is good for the life of the process: a restart costs each client one full answer.
func (r *request) tagBody() {
	res := &r.http.Response
	if res.StatusCode() != fasthttp.StatusOK || r.tagged {
		return
	}
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], maphash.Bytes(r.server.tagSeed, res.Body()))
	etag := append(hex.AppendEncode(append(r.etag[:0], `W/"`...), sum[:]), '"')
	res.Header.SetCanonical(headerETag, etag)
	if matchesETag(r.ifNoneMatch, etag[len("W/"):]) {
		res.ResetBody()
		res.SetStatusCode(fasthttp.StatusNotModified)
	}
}

// answerHeaders sets what every answer carries.
func (r *request) answerHeaders() {
	h := &r.http.Response.Header
	h.SetCanonical(headerRequestID, r.id[:])
	h.SetCanonical(headerNoSniff, valueNoSniff)
	if !r.ownsCaching {
		h.SetCanonical(headerCacheControl, valueNoStore)
		h.SetCanonical(headerVary, valueVary)
	}
	r.allowOrigin()
}

// answer sets status and content type and returns the response's body to append JSON to; done takes it back.
func (r *request) answer(status int) []byte {
	r.http.Response.SetStatusCode(status)
	r.http.Response.Header.SetContentTypeBytes(typeJSON)
	return r.scratch[:0]
}

// done completes an answer with the bytes that answer's slice has grown to. They are copied: swapping buffers with the
// response was tried and allocated more, since fasthttp's pool drops large ones.
func (r *request) done(body []byte) error {
	r.scratch = body
	r.http.Response.SetBody(body)
	return nil
}

// answerRaw answers with bytes that are already JSON. They are copied.
func (r *request) answerRaw(status int, body []byte) error {
	r.http.Response.SetStatusCode(status)
	r.http.Response.Header.SetContentTypeBytes(typeJSON)
	r.http.Response.SetBody(body)
	return nil
}

// answerError writes the error envelope of the contract, or RFC 9457 problem details for a client that asks for them.
func (r *request) answerError(err error) {
	e := errorFrom(err)
	r.reason, r.ownsCaching = e.Reason, false
	r.recordRefusal(e)
	r.http.Response.ResetBody()
	if e.Status >= 500 {
		r.server.log.Error("request failed", "request_id", string(r.id[:]), "route", r.route.pattern, "reason", e.Reason, "error", err)
	}
	if e.RetryAfter > 0 {
		r.http.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(seconds(e.RetryAfter), 10))
	}
	problem := r.route.admin() || bytes.Contains(r.accept, []byte("application/problem+json"))
	r.http.Response.SetStatusCode(e.Status)
	r.http.Response.Header.SetContentTypeBytes(typeJSON)
	if problem {
		r.http.Response.Header.SetContentTypeBytes(typeProblem)
		r.http.Response.SetBody(appendProblem(nil, e, r.id[:]))
		return
	}
	r.http.Response.SetBody(appendEnvelope(nil, e))
}

// appendEnvelope appends {"success":false,"error":T,"message":T,"code":status,"reason":"…"}. Clients read error or
// message, so both say the same.
func appendEnvelope(b []byte, e *Error) []byte {
	b = append(b, `{"success":false,"error":`...)
	b = jsondoc.AppendString(b, e.Message)
	b = append(b, `,"message":`...)
	b = jsondoc.AppendString(b, e.Message)
	b = append(b, `,"code":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, `,"reason":`...)
	b = jsondoc.AppendString(b, e.Reason)
	return append(b, '}')
}

// setETag names the revision that is answered. The tag lives in the request.
func (r *request) setETag(rev uint64) []byte {
	etag := appendETag(r.etag[:0], rev)
	r.http.Response.Header.SetCanonical(headerETag, etag)
	r.tagged = true
	return etag
}

// appendProblem appends RFC 9457 problem details.
func appendProblem(b []byte, e *Error, requestID []byte) []byte {
	b = append(b, `{"type":"urn:sluice:`...)
	b = append(b, e.Reason...)
	b = append(b, `","title":`...)
	b = jsondoc.AppendString(b, statusTitle(e.Status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, `,"detail":`...)
	b = jsondoc.AppendString(b, e.Message)
	b = append(b, `,"reason":`...)
	b = jsondoc.AppendString(b, e.Reason)
	b = append(b, `,"instance":"urn:sluice:request:`...)
	b = append(b, requestID...)
	return append(b, `"}`...)
}

// refuseConnection answers what fasthttp could not read as a request. There is no route and no project yet.
func (s *Server) refuseConnection(ctx *fasthttp.RequestCtx, err error) {
	var (
		refusal = errMalformedRequest
		small   *fasthttp.ErrSmallBuffer
	)
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		refusal = errBodyTooLarge
	case errors.As(err, &small):
		refusal = errHeaderTooLarge
	case isDeadline(err):
		refusal = errTimeout
	}
	s.refuseBody(ctx, refusal)
}

// refuseBody answers a request that could not be read to its end, so that nothing behind it can be trusted to be another.
func (s *Server) refuseBody(ctx *fasthttp.RequestCtx, refusal error) {
	s.serve(ctx, &route{pattern: "none", handle: func(*request) error { return refusal }}, paths{})
	ctx.SetConnectionClose()
	linger(ctx.Conn())
}

// isDeadline reports whether err is a time limit, of a context or of a connection.
func isDeadline(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// answerBytes is the size of an answer's body. That of a stream must not be read to be known.
func answerBytes(res *fasthttp.Response) int {
	if res.IsBodyStream() {
		return res.Header.ContentLength()
	}
	return len(res.Body())
}

// logAccess writes the request's line. The pattern stands for the path: a path or query may hold a key.
func (r *request) logAccess() {
	e := accessEntry{
		Time: r.start, RequestID: r.id[:], Method: r.route.method, Route: r.route.pattern,
		Status: r.http.Response.StatusCode(), Duration: r.server.now().Sub(r.start),
		Bytes: answerBytes(&r.http.Response), Reason: r.reason, Fuel: r.fuel, Budget: r.budget,
	}
	if r.project != nil {
		e.Project = r.project.ID
	}
	r.server.access.log(&e)
}
