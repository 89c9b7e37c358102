package runtime

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// signUp makes an account and returns its access token.
func (n *benchNode) signUp(t testing.TB, email string) string {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email)
	if status := n.do("POST", "/api/userAuth/signup", body, "X-Api-Key", n.keys.PublishableKey.Reveal()); status != 201 {
		t.Fatalf("sign up: %d %s", status, n.ctx.Response.Body())
	}
	raw, _ := jsondoc.Lookup(n.ctx.Response.Body(), "accessToken")
	return string(jsondoc.Unquote(nil, raw))
}

// BenchmarkMe is GET /api/userAuth/me, which an app asks on every page. BenchmarkGetByID is what it is compared with.
func BenchmarkMe(b *testing.B) {
	for _, revoked := range []bool{false, true} {
		b.Run(fmt.Sprintf("revoked=%v", revoked), func(b *testing.B) {
			n := newBenchNode(b)
			if revoked { // others have logged out everywhere lately, so that each token is looked for among the revoked
				other := n.signUp(b, "other@example.com")
				if status := n.do("DELETE", "/api/userAuth/sessions", "", "X-Api-Key", n.keys.PublishableKey.Reveal(), "Authorization", "Bearer "+other); status != 200 {
					b.Fatalf("%d %s", status, n.ctx.Response.Body())
				}
			}
			token := n.signUp(b, "ann@example.com")
			if status := n.do("GET", "/api/userAuth/me", "", "X-Api-Key", n.keys.PublishableKey.Reveal(), "Authorization", "Bearer "+token); status != 200 {
				b.Fatalf("%d %s", status, n.ctx.Response.Body())
			}
			b.ReportAllocs()
			for b.Loop() {
				n.ctx.Response.Reset()
				n.handler(&n.ctx)
			}
		})
	}
}

// TestMeAllocates: who the caller is costs little more than any document.
func TestMeAllocates(t *testing.T) {
	const most = 12
	n := newBenchNode(t)
	token := n.signUp(t, "ann@example.com")
	n.do("GET", "/api/userAuth/me", "", "X-Api-Key", n.keys.PublishableKey.Reveal(), "Authorization", "Bearer "+token)
	if got := testing.AllocsPerRun(1000, func() { n.ctx.Response.Reset(); n.handler(&n.ctx) }); got > most {
		t.Errorf("GET /me allocates %.0f times, at most %d are allowed", got, most)
	} else {
		t.Logf("GET /me allocates %.0f times", got)
	}
}

// BenchmarkReadsBesideLogins is what a flood of logins does to everybody else: the 99th percentile of GETs by id of 8 clients over HTTP, first
// alone and then beside 64 clients who do nothing but log in. SEC-19 wants the ratio to be 2 at most.
func BenchmarkReadsBesideLogins(b *testing.B) {
	n := newBenchNode(b)
	n.signUp(b, "ann@example.com")
	path := n.insert(b)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: n.handler, Logger: silent{}}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.ShutdownWithContext(context.Background()) }()
	url, key := "http://"+listener.Addr().String(), n.keys.PublishableKey.Reveal()
	ask := func(client *fasthttp.Client, method, path, body string) int {
		req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(res)
		req.Header.SetMethod(method)
		req.SetRequestURI(url + path)
		req.Header.Set("X-Api-Key", key)
		if body != "" {
			req.Header.SetContentType("application/json")
			req.SetBodyString(body)
		}
		if err := client.Do(req, res); err != nil {
			return 0
		}
		return res.StatusCode()
	}
	reads := func(d time.Duration) (p99 time.Duration, count int) {
		var all []time.Duration
		var mu sync.Mutex
		var clients sync.WaitGroup
		until := time.Now().Add(d)
		for range 8 {
			clients.Go(func() {
				client := &fasthttp.Client{}
				var mine []time.Duration
				for time.Now().Before(until) {
					begun := time.Now()
					if status := ask(client, "GET", path, ""); status != 200 {
						b.Errorf("GET: %d", status)
						return
					}
					mine = append(mine, time.Since(begun))
				}
				mu.Lock()
				all = append(all, mine...)
				mu.Unlock()
			})
		}
		clients.Wait()
		slices.Sort(all)
		return all[len(all)*99/100], len(all)
	}
	const span = 3 * time.Second
	for b.Loop() {
		alone, _ := reads(span)
		var stop atomic.Bool
		var logins, refused atomic.Int64
		var flood sync.WaitGroup
		for i := range 64 {
			flood.Go(func() {
				client := &fasthttp.Client{}
				for !stop.Load() {
					switch status := ask(client, "POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`); status {
					case 200:
						logins.Add(1)
					case 503, 429:
						refused.Add(1)
						time.Sleep(10 * time.Millisecond) // as Retry-After asks, and more than politely
					default:
						b.Errorf("login %d: %d", i, status)
						return
					}
				}
			})
		}
		beside, count := reads(span)
		stop.Store(true)
		flood.Wait()
		b.ReportMetric(float64(alone.Microseconds()), "p99alone-µs")
		b.ReportMetric(float64(beside.Microseconds()), "p99beside-µs")
		b.ReportMetric(float64(beside)/float64(alone), "ratio")
		b.ReportMetric(float64(logins.Load())/span.Seconds(), "logins/s")
		b.ReportMetric(float64(count)/span.Seconds(), "reads/s")
	}
}

type silent struct{}

func (silent) Printf(string, ...any) {}
