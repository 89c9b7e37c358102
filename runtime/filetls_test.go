package runtime_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/runtime"
)

// TestFilesOverTLS: bytes come and go under TLS as they do without, kept in memory or not, and a client in the middle of an
// upload that is too large learns why.
func TestFilesOverTLS(t *testing.T) {
	borrowed := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, and a client that trusts it
	defer borrowed.Close()
	n := start(t, blog+"\nfiles: {maxBytes: 300000}\n", func(o *runtime.Options) {
		o.TLS = &tls.Config{Certificates: borrowed.TLS.Certificates}
	})
	base := n.server.PublicURL()
	do := func(method, url, kind string, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		req.Header.Set("x-api-key", n.sk)
		res, err := borrowed.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(raw)
	}
	for _, size := range []int{1000, 300_000} {
		contents := strings.Repeat("0123456789", size/10)
		body, kind := form("file:a.txt", contents)
		status, stored := do("POST", base+"/api/storage/upload", kind, body)
		a := answer{body: stored}
		if status != 201 || !strings.HasPrefix(a.field("url"), "https://") {
			t.Fatalf("%d %s", status, stored)
		}
		for range 2 {
			if status, got := do("GET", a.field("url"), "", ""); status != 200 || got != contents {
				t.Errorf("%d, %d bytes that are not the %d", status, len(got), size)
			}
		}
	}
	body, kind := form("file:a.txt", strings.Repeat("x", 4<<20))
	for range 10 {
		if status, told := do("POST", base+"/api/storage/upload", kind, body); status != 413 {
			t.Fatalf("%d %s", status, told)
		}
	}
}
