package runtime_test

import (
	"strings"
	"testing"
)

// TestEntityTags: what a client has already is not sent again, and what has changed is not overwritten, on every verb.
func TestEntityTags(t *testing.T) {
	n := startShop(t)
	sk := n.as(n.sk, "")
	one := "/api/data/things/" + thingA
	with := func(name, value string) []string { return append(n.as(n.sk, ""), name, value) }

	got := n.send("GET", one, "", sk...).want(t, 200)
	etag := got.header.Get("ETag")
	if etag == "" || strings.HasPrefix(etag, "W/") {
		t.Fatalf("the revision is %q", etag)
	}
	for _, tags := range []string{etag, "W/" + etag, "*", `"x", ` + etag, `"x",W/` + etag} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := n.send(method, one, "", with("If-None-Match", tags)...); a.status != 304 || a.body != "" || a.header.Get("ETag") != etag {
				t.Errorf("%s with If-None-Match %s: %d %s %s", method, tags, a.status, a.header.Get("ETag"), a.body)
			}
		}
	}
	n.send("GET", one, "", with("If-None-Match", `"x", W/"y"`)...).want(t, 200)
	if a := n.send("HEAD", one, "", sk...).want(t, 200); a.body != "" || a.header.Get("ETag") != etag || a.header.Get("Content-Length") != got.header.Get("Content-Length") {
		t.Errorf("HEAD: %v", a.header)
	}

	// Answers that are not one whole document have weak tags, of their bytes.
	for _, path := range []string{"/api/data/things?sort=n", "/api/data/things?count=true", one + "?fields=name", "/api/schemas/things"} {
		a := n.send("GET", path, "", sk...).want(t, 200)
		weak := a.header.Get("ETag")
		if !strings.HasPrefix(weak, `W/"`) {
			t.Errorf("%s: ETag %q", path, weak)
		}
		if again := n.send("GET", path, "", with("If-None-Match", weak)...); again.status != 304 || again.body != "" {
			t.Errorf("%s again: %d %s", path, again.status, again.body)
		}
		n.send("HEAD", path, "", with("If-None-Match", weak)...).want(t, 304)
		n.send("GET", path, "", with("If-None-Match", `W/"0"`)...).want(t, 200)
	}
	if a := n.send("GET", "/api/data/things?n=x", "", sk...).want(t, 400); a.header.Get("ETag") != "" {
		t.Error("an error has an entity tag")
	}

	const stale = `"ffff"`
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		body := `{"name":"x"}`
		if method == "DELETE" {
			body = ""
		}
		for name, headers := range map[string][]string{
			"a stale If-Match": with("If-Match", stale), "a list of stale ones": with("If-Match", stale+`, W/"0"`),
			"If-None-Match of this one": with("If-None-Match", etag), "If-None-Match *": with("If-None-Match", "*"),
		} {
			if a := n.send(method, one, body, headers...); a.status != 412 || a.field("reason") != "document.precondition_failed" {
				t.Errorf("%s with %s: %d %s", method, name, a.status, a.body)
			}
		}
	}
	if a := n.send("GET", one, "", sk...).want(t, 200); a.header.Get("ETag") != etag {
		t.Error("a refused write changed the document")
	}
	n.send("PATCH", "/api/data/things/"+strings.Repeat("a", 24), `{"name":"x"}`, with("If-Match", "*")...).want(t, 404)

	now := n.send("PATCH", one, `{"name":"x"}`, with("If-Match", etag)...).want(t, 200).header.Get("ETag")
	if now == etag || now != n.send("GET", one, "", sk...).header.Get("ETag") {
		t.Errorf("after an update the revision is %s", now)
	}
	n.send("PUT", one, `{"name":"y"}`, with("If-Match", "W/"+now)...).want(t, 200)
	n.send("PUT", one, `{"name":"z"}`, with("If-None-Match", stale)...).want(t, 200)
	n.send("PATCH", one, `{"name":"z"}`, with("If-Match", "*")...).want(t, 200)
	n.send("DELETE", one, "", with("If-Match", now)...).want(t, 412)
	n.send("DELETE", one, "", with("If-Match", "*")...).want(t, 200)
	n.send("DELETE", one, "", with("If-Match", "*")...).want(t, 404)
}
