package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, in string
		status   int
		body     string // of a whole one
		whole    bool
		bad      bool
	}{
		{name: "nothing yet"},
		{name: "half a head", in: "HTTP/1.1 200 OK\r\nContent-Le"},
		{name: "a whole one", in: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", status: 200, body: "hi", whole: true},
		{name: "half a body", in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"},
		{name: "none is needed", in: "HTTP/1.1 304 Not Modified\r\nX: y\r\n\r\n", status: 304, whole: true},
		{name: "chunks", in: "HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nA\r\n0123456789\r\n0\r\n\r\n", status: 201, body: "hi0123456789", whole: true},
		{name: "half a chunk", in: "HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhi"},
		{name: "no last chunk", in: "HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"},
		{name: "an end that nobody knows", in: "HTTP/1.1 200 OK\r\nX: y\r\n\r\nhi", bad: true},
		{name: "more than was asked for", in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi", bad: true},
		{name: "a negative length", in: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", bad: true},
		{name: "another protocol", in: "SSH-2.0-x\r\n\r\n", bad: true},
		{name: "a chunk without its end", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!!", bad: true},
		{name: "a size that is none", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h head
			whole, err := h.parse([]byte(c.in))
			if whole != c.whole || (err != nil) != c.bad {
				t.Fatalf("whole %v, %v", whole, err)
			}
			if !whole {
				return
			}
			if body, err := h.body([]byte(c.in)); err != nil || string(body) != c.body || h.status != c.status {
				t.Errorf("%d %q %v", h.status, body, err)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var h head
		whole, err := h.parse(in)
		if whole && err == nil {
			if _, err := h.body(in); err != nil {
				t.Error("a whole answer has a body:", err)
			}
			// What is whole was not whole before its last byte.
			if before, err := h.parse(in[:len(in)-1]); before || err != nil {
				t.Errorf("without its last byte: whole %v, %v", before, err)
			}
		}
	})
}

func TestQuantilesAreAsIfSorted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, half Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			half.Add(d)
		} else {
			h.Add(d)
		}
	}
	h.Merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		want, got := all[int(q*float64(len(all)))], h.Quantile(q)
		if got > want || got < want-want/steps-1 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/no":
			w.WriteHeader(404)
		case "/long":
			_, _ = w.Write(bytes.Repeat([]byte("long"), 40_000)) // in chunks
		default:
			_, _ = w.Write([]byte("short"))
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	ask := func(paths ...string) func(int) Requests {
		return func(int) Requests {
			i := 0
			return func(dst []byte) []byte {
				i++
				return fmt.Appendf(dst, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i%len(paths)])
			}
		}
	}
	t.Run("counts to its bound", func(t *testing.T) {
		r, err := Run{Addr: addr, Connections: 4, Duration: time.Minute, Count: 100, Requests: ask("/", "/long"), Status: 200}.Do()
		if err != nil || r.Requests != 100 || r.Latency.Quantile(0.5) == 0 || r.Rate() <= 0 {
			t.Errorf("%+v %v", r, err)
		}
	})
	t.Run("ends in time", func(t *testing.T) {
		r, err := Run{Addr: addr, Connections: 2, Duration: 50 * time.Millisecond, Requests: ask("/"), Status: 200}.Do()
		if err != nil || r.Requests == 0 || r.Elapsed > 5*time.Second {
			t.Errorf("%+v %v", r, err)
		}
	})
	t.Run("another status is an error that shows it", func(t *testing.T) {
		_, err := Run{Addr: addr, Connections: 2, Duration: time.Minute, Requests: ask("/", "/no"), Status: 200}.Do()
		if err == nil || !strings.Contains(err.Error(), "404 Not Found") {
			t.Error(err)
		}
	})
	t.Run("others' machines are left alone", func(t *testing.T) {
		_, err := Run{Addr: "192.0.2.1:80", Duration: time.Second, Requests: ask("/"), Status: 200}.Do()
		if err == nil || !strings.Contains(err.Error(), "not on this machine") {
			t.Error(err)
		}
	})
	t.Run("one answer can be looked at", func(t *testing.T) {
		body, err := One(addr, 200, []byte("GET /long HTTP/1.1\r\nHost: x\r\n\r\n"))
		if err != nil || len(body) != 160_000 {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

func TestAConnectionMayAskLessOften(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer server.Close()
	run := Run{Addr: server.Listener.Addr().String(), Connections: 2, Duration: 300 * time.Millisecond, Every: 100 * time.Millisecond, Status: AnyStatus,
		Requests: func(int) Requests {
			return func(dst []byte) []byte { return append(dst, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"...) }
		}}
	result, err := run.Do()
	if err != nil {
		t.Fatalf("an answer of any status is a good one: %v", err)
	}
	if n := result.Requests; n < 2 || n > 8 {
		t.Errorf("%d requests of 2 connections that ask every third of the time", n)
	}
	run.Status = 200
	if _, err := run.Do(); err == nil {
		t.Error("a teapot is taken for a good answer")
	}
}
