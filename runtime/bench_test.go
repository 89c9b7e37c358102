package runtime

import (
	"context"
	"io"
	"log/slog"
	goruntime "runtime"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
)

const benchProject = `
name: bench
auth: {enabled: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true}
      - {key: password, type: String, required: true}
  - name: posts
    fields:
      - {key: title, type: String, required: true}
      - {key: body, type: String}
      - {key: price, type: Number}
      - {key: tags, type: Array, items: {type: String}}
      - {key: userId, type: String}
    rls: {enabled: true, mode: public-read}
`

// benchNode is a server without listeners in use: requests are put into its handler.
type benchNode struct {
	server  *Server
	handler fasthttp.RequestHandler
	keys    *project.Applied
	ctx     fasthttp.RequestCtx
}

func newBenchNode(t testing.TB) *benchNode {
	t.Helper()
	return newBenchNodeOf(t, benchProject)
}

func newBenchNodeOf(t testing.TB, file string) *benchNode {
	t.Helper()
	opt := Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), AccessLog: io.Discard}
	s, err := Open(context.Background(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg, err := project.ParseFile("bench.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	n := &benchNode{server: s, handler: s.publicHandler()}
	if n.keys, err = s.registry.Apply(context.Background(), cfg, project.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	return n
}

// do puts one request through the handler and returns the status.
func (n *benchNode) do(method, path, body string, headers ...string) int {
	n.ctx.Request.Reset()
	n.ctx.Response.Reset()
	n.ctx.Request.Header.SetMethod(method)
	n.ctx.Request.SetRequestURI("http://node.example" + path)
	for i := 0; i+1 < len(headers); i += 2 {
		n.ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	if body != "" {
		n.ctx.Request.Header.SetContentType("application/json")
		n.ctx.Request.SetBodyString(body)
	}
	n.handler(&n.ctx)
	return n.ctx.Response.StatusCode()
}

const benchDocument = `{"title":"A post of the usual size","body":"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur.","price":42,"tags":["one","two"]}`

// limitedProject is the same project with every limit on how often, none of them ever reached.
const limitedProject = benchProject + "limits: {requestsPerAddress: 1000000000, requestsPerMinute: 1000000000, requestsPerDay: 1000000000}\n"

// insert stores one document and returns its path.
func (n *benchNode) insert(t testing.TB) string {
	t.Helper()
	if status := n.do("POST", "/api/data/posts", benchDocument, "X-Api-Key", n.keys.SecretKey.Reveal()); status != 201 {
		t.Fatalf("insert: %d %s", status, n.ctx.Response.Body())
	}
	const idAt = len(`{"_id":"`)
	return "/api/data/posts/" + string(n.ctx.Response.Body()[idAt:idAt+24])
}

// A GET by id is what users feel on every page: it must not feed the garbage collector.
func TestGetAllocates(t *testing.T) {
	const most = 10
	n := newBenchNode(t)
	path := n.insert(t)
	if status := n.do("GET", path, "", "X-Api-Key", n.keys.PublishableKey.Reveal()); status != 200 {
		t.Fatalf("GET: %d %s", status, n.ctx.Response.Body())
	}
	if got := testing.AllocsPerRun(1000, func() { n.ctx.Response.Reset(); n.handler(&n.ctx) }); got > most {
		t.Errorf("a GET by id allocates %.0f times, at most %d are allowed", got, most)
	} else {
		t.Logf("a GET by id allocates %.0f times", got)
	}
}

func BenchmarkGetByID(b *testing.B) {
	n := newBenchNode(b)
	path := n.insert(b)
	n.do("GET", path, "", "X-Api-Key", n.keys.PublishableKey.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		n.ctx.Response.Reset()
		n.handler(&n.ctx)
	}
}

func BenchmarkInsert(b *testing.B) {
	n := newBenchNode(b)
	n.insert(b)
	b.ReportAllocs()
	for b.Loop() {
		n.ctx.Response.Reset()
		n.handler(&n.ctx)
	}
}

func BenchmarkList20(b *testing.B) {
	n := newBenchNode(b)
	for range 200 {
		n.insert(b)
	}
	n.do("GET", "/api/data/posts?limit=20", "", "X-Api-Key", n.keys.PublishableKey.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		n.ctx.Response.Reset()
		n.handler(&n.ctx)
	}
}

// Counting a request must not cost an allocation: it is there to hold floods off, not to help them.
func TestLimitsAllocateNothing(t *testing.T) {
	allocations := func(file string) float64 {
		n := newBenchNodeOf(t, file)
		path := n.insert(t)
		n.do("GET", path, "", "X-Api-Key", n.keys.PublishableKey.Reveal())
		// The mean, not its whole part: the race detector has pools lose some of what they hold.
		const rounds = 2000
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		for range rounds {
			n.ctx.Response.Reset()
			n.handler(&n.ctx)
		}
		goruntime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / rounds
	}
	if free, limited := allocations(benchProject), allocations(limitedProject); limited > free+0.5 {
		t.Errorf("a GET by id allocates %.1f times with limits and %.1f without", limited, free)
	}
}

func BenchmarkGetByIDLimited(b *testing.B) {
	n := newBenchNodeOf(b, limitedProject)
	path := n.insert(b)
	n.do("GET", path, "", "X-Api-Key", n.keys.PublishableKey.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		n.ctx.Response.Reset()
		n.handler(&n.ctx)
	}
}
