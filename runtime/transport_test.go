package runtime_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// raw sends bytes as they are and returns every answer that comes back before the server hangs up or is silent for long.
func (n *node) raw(request string) (answers []*http.Response, closed bool) {
	n.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		n.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers, err == io.EOF || err == io.ErrUnexpectedEOF || strings.Contains(err.Error(), "reset")
		}
		body, _ := io.ReadAll(res.Body)
		res.Body = io.NopCloser(bytes.NewReader(body))
		answers = append(answers, res)
	}
}

// TestFraming: a request that two readers could cut differently is refused and the connection closed, so that nothing can
// be smuggled past a proxy in front of the node.
func TestFraming(t *testing.T) {
	n := start(t, blog, func(o *runtime.Options) { o.Timeout = 2 * time.Second })
	const head = "POST /api/data/posts HTTP/1.1\r\nHost: node\r\n"
	for name, request := range map[string]string{
		"length and chunks":        head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: node\r\n\r\n",
		"two lengths":              head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}xGET /livez HTTP/1.1\r\nHost: node\r\n\r\n",
		"two equal lengths":        head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"signed length":            head + "Content-Length: +2\r\n\r\n{}",
		"negative length":          head + "Content-Length: -1\r\n\r\n{}",
		"hexadecimal length":       head + "Content-Length: 0x2\r\n\r\n{}",
		"unknown transfer coding":  head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"doubled transfer coding":  head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"continuation line":        head + "X-Note: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
		"space before the colon":   head + "Content-Length : 2\r\n\r\n{}",
		"NUL in a header":          head + "X-Note: a\x00b\r\n\r\n",
		"two hosts":                head + "Host: other\r\n\r\n",
		"no host":                  "GET /livez HTTP/1.1\r\n\r\n",
		"bad chunk size":           head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"a header block too large": head + "X-Note: " + strings.Repeat("a", 20<<10) + "\r\n\r\n",
		"a body that lies":         head + "Content-Length: 9999999999\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			n := *n
			n.t = t
			answers, closed := n.raw(request)
			if len(answers) > 1 {
				t.Fatalf("%d answers to one request", len(answers))
			}
			if len(answers) == 1 {
				body, _ := io.ReadAll(answers[0].Body)
				if s := answers[0].StatusCode; s != 400 && s != 413 && s != 431 {
					t.Errorf("status %d %s", s, body)
				}
				if !bytes.Contains(body, []byte(`"success":false`)) {
					t.Errorf("not the error envelope: %s", body)
				}
			}
			if !closed {
				t.Error("the connection was left open")
			}
		})
	}
}

// TestPaths: every check and the router read a path alike, so no spelling of it reaches what another spelling may not.
func TestPaths(t *testing.T) {
	n := start(t, blog)
	for path, status := range map[string]int{
		"/api/data/posts":            200,
		"/api/data/posts/":           200,
		"/API/DATA/posts":            200,
		"/api/data/Posts":            404,
		"/api//data/posts":           400,
		"//api/data/posts":           404,
		"/api/data//users":           400,
		"/api/./data/posts":          400,
		"/api/data/../data/posts":    400,
		"/api/data/posts/..%2fusers": 400,
		"/api/data/%2e%2e/users":     400,
		"/api/data/posts%5cx":        400,
		"/api/data/posts%00":         400,
		"/api/data/posts%0d%0aX:1":   400,
		"/api/data/%2575sers":        400,
		"/api/data/%ef%bd%95sers":    403,
		"/api/data/users%ef%bb%bf":   403,
		"/api/data/u\u200bsers":      403,
		"/api/data/posts%":           400,
		"/api/data/":                 404,
		"/api/data/a/b/c":            404,
	} {
		a := n.send("GET", path, "", n.as(n.pk, "")...)
		if a.status != status {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, status)
		}
	}
}

// TestLimits: what is too large or too slow is refused before it costs memory, and the node goes on.
func TestLimits(t *testing.T) {
	n := start(t, blog, func(o *runtime.Options) { o.BodyBytes = 1000 })
	exactly := `{"title":"` + strings.Repeat("a", 1000-len(`{"title":""}`)) + `"}`
	n.send("POST", "/api/data/posts", exactly, n.as(n.sk, "")...).want(t, 201)
	n.send("POST", "/api/data/posts", exactly+" ", n.as(n.sk, "")...).want(t, 413)
	for range 20 { // a client in the middle of its upload learns why, too, instead of losing the connection
		n.send("POST", "/api/data/posts", exactly+strings.Repeat(" ", 4<<20), n.as(n.sk, "")...).want(t, 413)
	}

	hasty := start(t, blog, func(o *runtime.Options) { o.Timeout = 300 * time.Millisecond })
	answers, closed := hasty.raw("POST /api/data/posts HTTP/1.1\r\nHost: node\r\nContent-Length: 10\r\n\r\n{")
	if !closed || len(answers) > 1 {
		t.Errorf("a body that never came: closed %v, %d answers", closed, len(answers))
	}
	hasty.send("GET", "/livez", "").want(t, 200)
}

// TestDuplicateHeaders: a request that names two keys or two tokens has no right answer.
func TestDuplicateHeaders(t *testing.T) {
	n := start(t, blog)
	for _, twice := range []string{
		fmt.Sprintf("x-api-key: %s\r\nX-API-Key: %s\r\n", n.pk, n.sk),
		fmt.Sprintf("x-api-key: %s\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n", n.pk),
	} {
		answers, _ := n.raw("GET /api/data/posts HTTP/1.1\r\nHost: node\r\nConnection: close\r\n" + twice + "\r\n")
		if len(answers) != 1 || answers[0].StatusCode != 400 {
			t.Errorf("%q was answered: %v", twice, answers)
		}
	}
}

// TestConnectionLimit: one connection too many learns that it is, and the next one finds room when another has gone.
func TestConnectionLimit(t *testing.T) {
	n := start(t, blog, func(o *runtime.Options) { o.Connections = 2 })
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != 200 {
			t.Fatalf("a connection within the limit: %v %v", res, err)
		}
		held = append(held, c)
	}
	answers, closed := n.raw("GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
	if len(answers) != 1 || answers[0].StatusCode != 503 || answers[0].Header.Get("Retry-After") == "" || !closed {
		t.Fatalf("a connection beyond it: %v, closed %v", answers, closed)
	}
	if body, _ := io.ReadAll(answers[0].Body); !bytes.Contains(body, []byte(`"reason":"busy.connections"`)) {
		t.Errorf("not the error envelope: %s", body)
	}
	held[0].Close()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		answers, _ := n.raw("GET /livez HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
		if len(answers) == 1 && answers[0].StatusCode == 200 {
			return
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the room that a closed connection left was never used")
		}
	}
}
