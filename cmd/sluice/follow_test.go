package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestFollowGoesOnWhereItWas follows a node that goes away in the middle and comes back.
func TestFollowGoesOnWhereItWas(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var asked []string
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		line := func(seq int, text string) string {
			return fmt.Sprintf(`{"seq":%d,"time":"2026-01-02T03:04:05.006Z","level":"WARN","module":"posts","requestId":"r%d","text":%q}`, seq, seq, text)
		}
		switch len(asked) {
		case 1:
			fmt.Fprintf(w, `{"lines":[%s,%s],"next":8,"missed":0,"dropped":4}`, line(7, "first"), line(8, "second"))
		case 2: // it is restarted in the middle of an answer
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"lines":[`))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 3:
			fmt.Fprintf(w, `{"lines":[%s],"next":12,"missed":3,"dropped":6}`, line(12, "third"))
		default:
			cancel() // Ctrl-C
			<-r.Context().Done()
		}
	}))
	defer node.Close()
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"sluice", "bundle", "logs", "--project", "my blog", "--server", node.URL, "--token", "t", "-f", "--limit", "2"}, &terminal{out: &out, err: &errOut})
	if code != exitDone {
		t.Fatalf("exit %d: %s%s", code, out.String(), errOut.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "  warn   posts  r7  first") || !strings.HasSuffix(lines[1], "second") || !strings.HasSuffix(lines[2], "third") {
		t.Errorf("%q", lines)
	}
	if want := []string{"limit=2", "after=8&limit=1000&wait=25", "after=8&limit=1000&wait=25", "after=12&limit=1000&wait=25"}; strings.Join(asked, " ") != strings.Join(want, " ") {
		t.Errorf("asked %q, want %q", asked, want)
	}
	for _, want := range []string{"the node does not answer; waiting for it", "3 older entries are gone", "2 lines were dropped"} {
		if !strings.Contains(errOut.String(), want) {
			t.Errorf("does not say %q: %s", want, errOut.String())
		}
	}
}

func TestShowDecision(t *testing.T) {
	for _, c := range []struct{ name, entry, want string }{
		{"a guest's no", `{"time":"2026-01-02T03:04:05.006Z","requestId":"r1","route":"POST /api/data/{collection}","collection":"posts","documentId":"65a0000000000000000000aa","operation":"update","role":"publishable","userId":"u1","status":403,"reason":"policy.a.b","message":"No\u001b[0m.","module":"posts","code":"a.b","fuel":1234,"budget":10000000}`,
			"403 policy.a.b  update posts/65a0000000000000000000aa by u1  [posts, 1,234 of 10,000,000 fuel]  No\ufffd[0m.  r1"},
		{"a rule that shows nothing", `{"time":"2026-01-02T03:04:05.006Z","requestId":"r2","operation":"delete","collection":"notes","documentId":"x","role":"publishable","status":404,"reason":"document.not_found","message":"Document not found.","hides":"rls.not_owner"}`,
			"404 document.not_found (hides rls.not_owner)  delete notes/x by nobody  Document not found.  r2"},
		{"a guest that broke, asked by a server", `{"time":"2026-01-02T03:04:05.006Z","requestId":"r3","route":"POST /api/batch","role":"secret","status":422,"reason":"hook.error","message":"M.","module":"posts","fuel":1,"cause":"trapped:\nunreachable"}`,
			"422 hook.error  POST /api/batch by the secret key  [posts, 1 fuel]  M.  r3\n    trapped:\n    unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := showDecision([]byte(c.entry))
			if err != nil || !strings.HasSuffix(got, "  "+c.want) {
				t.Errorf("got\n%s\nwant\n%s\n(%v)", got, c.want, err)
			}
		})
	}
}
