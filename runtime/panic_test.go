package runtime

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestPanic: a mistake of ours costs the one request that met it. The caller learns nothing of it, the log everything, and
// the node goes on.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, rt := range []*route{
		{pattern: "/in-a-handler", handle: func(*request) error { panic("secret detail") }},
		{pattern: "/in-a-stage", stages: []stage{{"broken", func(*request) error { panic("secret detail") }}}, handle: live},
	} {
		var ctx fasthttp.RequestCtx
		s.serve(&ctx, rt, paths{})
		if body := string(ctx.Response.Body()); ctx.Response.StatusCode() != 500 || !strings.Contains(body, `"reason":"internal.panic"`) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", rt.pattern, ctx.Response.StatusCode(), body)
		}
		if line := log.String(); !strings.Contains(line, "secret detail") || !strings.Contains(line, "panic_test.go") || !strings.Contains(line, rt.pattern) {
			t.Errorf("%s: the log does not say what happened: %s", rt.pattern, line)
		}
	}
	var ctx fasthttp.RequestCtx
	s.serve(&ctx, &route{pattern: "/livez", handle: live}, paths{})
	if ctx.Response.StatusCode() != 200 {
		t.Errorf("after the panics: %d", ctx.Response.StatusCode())
	}
}
