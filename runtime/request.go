package runtime

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// request is one request on its way through the pipeline. It belongs to one goroutine, is pooled, and keeps nothing
// once its handler has returned. Fields are filled by the stages in their order.
type request struct {
	server *Server
	http   *fasthttp.RequestCtx
	route  *route
	start  time.Time
	id     [requestIDLen]byte
	headers
	path paths // of the data routes

	project *project.Project
	state   *project.State
	role    auth.Role
	user    auth.Claims // UserID is empty when nobody is logged in

	collection *project.Collection
	body       jsondoc.Value // borrowed from bodyParser and the HTTP body

	ctx       context.Context // made on first use: most reads need none
	readCtx   readContext
	cancel    context.CancelFunc
	snap      *kv.Snapshot        // open at most until the answer is complete
	session   *hooks.Session      // with the bundle of the present state; nil until a guest may be asked
	bundle    *hooks.Bundle       // that of the session
	reader    reader              // of the session's guests
	toldAsked int                 // guests of the session that an explanation has been told of
	filtered  map[string]*filters // by collection
	claims    string              // that go into the access token
	fuel      uint64
	budget    uint64
	reason    string // of the error that was answered, for the log
	subject   subject
	explain   *explanation // nil, unless the request only asks what would become of it

	bodyParser   jsondoc.Parser // of the request's body
	docParser    jsondoc.Parser // of documents on the way
	targetParser jsondoc.Parser // of documents that others refer to
	buffers      [2][]byte      // a document before and after
	scratch      []byte         // a document, or an answer, under construction
	query        listQuery
	etag         [24]byte
	tagged       bool       // the answer has an entity tag
	ownsCaching  bool       // the answer says by itself how it may be cached
	rateText     [32]byte   // of a RateLimit-Policy header
	from         netip.Addr // see clientAddr; invalid until somebody asked
	once         once
	batch        kv.Batch
	mailed       bool // the batch holds a mail
}

// headers are the request headers that the pipeline looks at, borrowed and read in one pass.
type headers struct {
	apiKey, authorization, origin, referer []byte
	accept, ifMatch, ifNoneMatch           []byte
	refreshToken, refreshMode              []byte
	idempotencyKey                         []byte
	explainMode, explainAs                 []byte
	duplicate                              bool // one of those that may be sent once came twice
}

const (
	requestIDLen   = 24
	maxPooledBytes = 256 << 10 // buffers larger than this are left to the garbage collector
)

func newRequest(s *Server) *request {
	r := &request{server: s}
	r.reader.r = r
	return r
}

// begin readies a pooled request.
func (s *Server) begin(http *fasthttp.RequestCtx, rt *route, path paths) *request {
	r := s.requests.Get().(*request)
	r.http, r.route, r.path, r.start = http, rt, path, s.now()
	s.requestIDs.next(&r.id)
	r.headers = headers{}
	r.readHeaders()
	return r
}

// end gives the request back. Nothing borrowed survives it.
func (r *request) end() {
	if r.snap != nil {
		r.snap.Close()
		r.snap = nil
	}
	if r.cancel != nil {
		r.cancel()
	}
	for _, buffer := range [...]*[]byte{&r.scratch, &r.buffers[0], &r.buffers[1]} {
		if cap(*buffer) > maxPooledBytes {
			*buffer = nil
		}
	}
	r.endSession()
	r.reader.notes, r.reader.needs = false, r.reader.needs[:0]
	clear(r.reader.seen)
	r.filtered, r.claims = nil, ""
	r.http, r.route, r.path, r.ctx, r.cancel = nil, nil, paths{}, nil, nil
	r.project, r.state, r.role, r.user = nil, nil, 0, auth.Claims{}
	r.collection, r.body = nil, jsondoc.Value{}
	r.fuel, r.budget, r.reason, r.tagged, r.ownsCaching, r.subject, r.explain = 0, 0, "", false, false, subject{}, nil
	r.batch = kv.Batch{Needs: r.batch.Needs[:0], Ops: r.batch.Ops[:0]}
	r.once, r.mailed, r.from = once{}, false, netip.Addr{}
	r.query.reset()
	r.server.requests.Put(r)
}

// context returns a context with the request's deadline. fasthttp's own ends only with the server.
func (r *request) context() context.Context {
	if r.ctx == nil {
		r.ctx, r.cancel = context.WithTimeout(context.Background(), r.server.opt.Timeout)
	}
	return r.ctx
}

// snapshot returns the request's one view of its project, opened on first use.
func (r *request) snapshot() (*kv.Snapshot, error) {
	if r.snap == nil {
		snap, err := r.project.DB.Snapshot()
		if err != nil {
			return nil, err
		}
		r.snap = snap
	}
	return r.snap, nil
}

// closeSnapshot lets go of the view, so that no page of the file is held while a guest runs or a commit waits.
func (r *request) closeSnapshot() {
	if r.snap != nil {
		r.snap.Close()
		r.snap = nil
	}
}

// param returns a path parameter of the other routes as it stands in the URL, still escaped: identifiers need no escapes, and what has one
// does not match any.
func (r *request) param(name string) string {
	s, _ := r.http.UserValue(name).(string)
	return s
}

// readHeaders collects the headers that the pipeline looks at. fasthttp has already brought the names to their
// canonical spelling.
func (r *request) readHeaders() {
	h := &r.headers
	for key, value := range r.http.Request.Header.All() {
		var slot *[]byte
		switch string(key) {
		case "X-Api-Key":
			slot = &h.apiKey
		case fasthttp.HeaderAuthorization:
			slot = &h.authorization
		case fasthttp.HeaderOrigin:
			slot = &h.origin
		case fasthttp.HeaderReferer:
			slot = &h.referer
		case fasthttp.HeaderAccept:
			h.accept = value
			continue
		case fasthttp.HeaderIfMatch:
			slot = &h.ifMatch
		case fasthttp.HeaderIfNoneMatch:
			slot = &h.ifNoneMatch
		case "X-Refresh-Token":
			slot = &h.refreshToken
		case "X-Refresh-Token-Mode":
			slot = &h.refreshMode
		case "Idempotency-Key":
			slot = &h.idempotencyKey
		case "X-Sluice-Explain":
			slot = &h.explainMode
		case "X-Sluice-Explain-As":
			slot = &h.explainAs
		default:
			continue
		}
		if *slot != nil {
			h.duplicate = true
		}
		*slot = value
	}
}

// requestIDs numbers requests: a random prefix for the process and a counter, so that making one costs no entropy.
type requestIDs struct {
	prefix  [4]byte
	counter atomic.Uint64
}

func (g *requestIDs) seed() error {
	_, err := rand.Read(g.prefix[:])
	return err
}

func (g *requestIDs) next(dst *[requestIDLen]byte) {
	var raw [requestIDLen / 2]byte
	copy(raw[:4], g.prefix[:])
	binary.BigEndian.PutUint64(raw[4:], g.counter.Add(1))
	hex.Encode(dst[:], raw[:])
}

// recovered logs a panic of a handler and turns it into an error that says nothing about it.
func (r *request) recovered(p any) error {
	r.server.log.Error("panic in a handler", "request_id", string(r.id[:]), "route", r.route.pattern,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	return errPanic
}
