package runtime_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// operator sends a request to the admin listener.
func (n *node) operator(method, path, body string) *answer {
	n.t.Helper()
	return n.sendTo(n.server.AdminURL(), method, path, body, "Authorization", "Bearer "+n.server.AdminToken().Reveal())
}

// newest returns the last entry of the log of decisions.
func (n *node) newest(project string) map[string]any {
	n.t.Helper()
	a := n.operator("GET", "/admin/v1/projects/"+project+"/decisions?limit=1", "").want(n.t, 200)
	var page struct{ Decisions []map[string]any }
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Decisions) != 1 {
		n.t.Fatalf("%v: %s", err, a.body)
	}
	return page.Decisions[0]
}

// TestDecisionsAreLogged: a developer finds out why a write was refused, also what its caller is not told.
func TestDecisionsAreLogged(t *testing.T) {
	n := startGuarded(t)
	n.apply(strings.Replace(guarded, "  - name: strictly", "  - name: mine\n    rls: {enabled: true, mode: private}\n  - name: locked\n    rls: {enabled: true, mode: custom}\n  - name: strictly", 1))
	alice, aliceID := n.user("alice@example.com")
	bob, bobID := n.user("bob@example.com")
	pair := n.send("POST", "/api/data/pairs", `{"a":1}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	secret := n.send("POST", "/api/data/mine", `{}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	for _, c := range []struct {
		name, method, path, body, token string
		want                            map[string]any
	}{
		{"a built-in rule", "PATCH", "/api/data/pairs/" + pair, `{"a":2}`, bob,
			map[string]any{"reason": "rls.not_owner", "status": 403., "collection": "pairs", "documentId": pair, "operation": "update", "role": "publishable", "userId": bobID, "route": "PATCH /api/data/{collection}/{id}"}},
		{"nobody logged in", "POST", "/api/data/pairs", `{}`, "", map[string]any{"reason": "token.required_for_write", "operation": "insert", "userId": nil}},
		{"a policy's no", "POST", "/api/data/pairs", `{"a":60,"b":41}`, alice,
			map[string]any{"reason": "policy.sum.too_high", "code": "sum.too_high", "module": "guest", "message": "a and b may be 100 together. Lower one of them.", "userId": aliceID, "operation": "insert"}},
		{"a hook's no", "POST", "/api/data/pairs", `{"hook":"reject"}`, alice, map[string]any{"reason": "hook.not.today", "code": "not.today", "module": "guest", "status": 422.}},
		{"a guest that broke", "POST", "/api/data/pairs", `{"policy":"trap"}`, alice, map[string]any{"reason": "policy.error", "module": "guest"}},
		{"a document that looks missing", "DELETE", "/api/data/mine/" + secret, "", bob, map[string]any{"reason": "document.not_found", "hides": "rls.not_owner", "status": 404., "documentId": secret}},
		{"no policy where policies alone decide", "POST", "/api/data/locked", `{}`, alice, map[string]any{"reason": "rls.no_policy", "status": 403.}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := n.send(c.method, c.path, c.body, n.as(n.pk, c.token)...)
			if a.status < 400 || strings.Contains(a.body, "hides") {
				t.Fatalf("%d %s", a.status, a.body)
			}
			got := n.newest("guarded")
			c.want["requestId"] = a.header.Get("x-request-id")
			c.want["message"] = a.field("message")
			for key, want := range c.want {
				if got[key] != want {
					t.Errorf("%s: got %v, want %v in %v", key, got[key], want, got)
				}
			}
			if broke := c.name == "a guest that broke"; broke != (got["cause"] != nil) || broke && !strings.Contains(got["cause"].(string), "trapped") {
				t.Errorf("cause: %v", got["cause"])
			}
			if at, err := time.Parse(time.RFC3339, got["time"].(string)); err != nil || time.Since(at) > time.Minute {
				t.Errorf("time: %v", got["time"])
			}
		})
	}
	before := n.operator("GET", "/admin/v1/projects/guarded/decisions", "").field("next")
	n.send("GET", "/api/data/pairs/"+strings.Repeat("0", 24), "", n.as(n.pk, "")...).want(t, 404)
	n.send("POST", "/api/data/pairs", `{"a":"no number"}`, n.as(n.pk, alice)...).want(t, 400)
	if after := n.operator("GET", "/admin/v1/projects/guarded/decisions", "").field("next"); after != before {
		t.Error("a caller's mistake was logged as a decision")
	}
}

// TestDecisionsAreFollowed: a client that asks again and again sees every entry once, and need not poll.
func TestDecisionsAreFollowed(t *testing.T) {
	n := start(t, blog)
	refuse := func() { n.send("POST", "/api/data/posts", `{"title":"x"}`, n.as(n.pk, "")...).want(t, 401) }
	for range 3 {
		refuse()
	}
	const path = "/admin/v1/projects/blog/decisions"
	a := n.operator("GET", path+"?limit=2", "").want(t, 200)
	if a.field("decisions.1.seq") != a.field("next") || a.field("decisions.2") != "null" && a.field("decisions.2") != "" {
		t.Errorf("the newest two: %s", a.body)
	}
	next := a.field("next")
	if a := n.operator("GET", path+"?after="+next, "").want(t, 200); a.field("next") != next || a.field("decisions") != "[]" {
		t.Errorf("nothing new: %s", a.body)
	}
	answers := make(chan *answer)
	go func() { answers <- n.operator("GET", path+"?wait=20&after="+next, "") }()
	time.Sleep(50 * time.Millisecond)
	refuse()
	select {
	case a := <-answers:
		if a.field("decisions.0.reason") != "token.required_for_write" || a.field("missed") != "0" {
			t.Errorf("followed: %s", a.body)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the follower was not woken")
	}
	for _, c := range []struct {
		path   string
		status int
		reason string
	}{
		{path + "?limit=1001", 400, "query.invalid"},
		{path + "?wait=31", 400, "query.invalid"},
		{path + "?after=-1", 400, "query.invalid"},
		{"/admin/v1/projects/none/decisions", 404, "project.not_found"},
		{"/admin/v1/projects/blog/logs?limit=x", 400, "query.invalid"},
		{"/admin/v1/projects/blog/logs", 200, ""},
	} {
		a := n.operator("GET", c.path, "")
		if a.status != c.status || c.reason != "" && (a.field("reason") != c.reason || a.header.Get("Content-Type") != "application/problem+json; charset=utf-8") {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
	}
	if a := n.send("GET", path, "", n.as(n.sk, "")...); a.status != 404 {
		t.Errorf("the log is on the public listener: %d", a.status)
	}
}

// TestFollowersDoNotHoldUpTheEnd: a node that is told to stop does not wait for those who wait.
func TestFollowersDoNotHoldUpTheEnd(t *testing.T) {
	began := time.Now()
	t.Run("node", func(t *testing.T) {
		n := start(t, blog)
		go func() {
			req, _ := http.NewRequest("GET", n.server.AdminURL()+"/admin/v1/projects/blog/decisions?wait=30", nil)
			req.Header.Set("Authorization", "Bearer "+n.server.AdminToken().Reveal())
			if res, err := http.DefaultClient.Do(req); err == nil {
				res.Body.Close()
			}
		}()
		time.Sleep(100 * time.Millisecond)
	})
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestCustomModeWithoutPolicy: where policies alone decide and none is deployed, nobody with a publishable key gets in.
func TestCustomModeWithoutPolicy(t *testing.T) {
	n := start(t, strings.Replace(blog, "  - name: open\n", "  - name: locked\n    rls: {enabled: true, mode: custom}\n    fields: [{key: text, type: String}, {key: userId, type: String}]\n  - name: links\n    fields: [{key: to, type: Ref, ref: locked}]\n  - name: open\n", 1))
	token, _ := n.user("alice@example.com")
	doc := n.send("POST", "/api/data/locked", `{"text":"x"}`, n.as(n.sk, "")...).want(t, 201).field("_id")
	link := n.send("POST", "/api/data/links", fmt.Sprintf(`{"to":%q}`, doc), n.as(n.sk, "")...).want(t, 201).field("_id")
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/api/data/locked", ""}, {"GET", "/api/data/locked?count=true", ""}, {"GET", "/api/data/locked/" + doc, ""},
		{"POST", "/api/data/locked", `{}`}, {"POST", "/api/data/locked/bulk", `[{}]`}, {"PATCH", "/api/data/locked/" + doc, `{}`}, {"DELETE", "/api/data/locked/" + doc, ""},
		{"POST", "/api/batch", `{"operations":[{"op":"delete","collection":"locked","id":"` + doc + `"}]}`},
	} {
		if a := n.send(c.method, c.path, c.body, n.as(n.pk, token)...); a.status != 403 || a.field("reason") != "rls.no_policy" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if a := n.send("GET", "/api/data/links/"+link+"?populate=to", "", n.as(n.pk, token)...).want(t, 200); a.field("to") != doc {
		t.Errorf("populate shows it: %s", a.body)
	}
	if a := n.send("GET", "/api/schemas/locked", "", n.as(n.pk, "")...).want(t, 200); a.field("collection.rls.mode") != "custom" || a.field("collection.rls.ownerField") != "null" {
		t.Errorf("schema: %s", a.body)
	}
	n.send("GET", "/api/data/locked/"+doc, "", n.as(n.sk, "")...).want(t, 200)
}
