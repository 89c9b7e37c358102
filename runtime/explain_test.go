package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// checks are the names and outcomes of an explanation's checks, "access passed, owner refused".
func (a *answer) checks(at string) string {
	var list []string
	for i := 0; ; i++ {
		name := a.field(fmt.Sprintf("%schecks.%d.check", at, i))
		if name == "" || name == "null" {
			return strings.Join(list, ", ")
		}
		list = append(list, name+" "+a.field(fmt.Sprintf("%schecks.%d.outcome", at, i)))
	}
}

// TestExplain: every check in order, what decided, and nothing is changed.
func TestExplainedRequests(t *testing.T) {
	n := startGuarded(t)
	alice, aliceID := n.user("alice@example.com")
	_, bobID := n.user("bob@example.com")
	pair := n.send("POST", "/api/data/pairs", `{"a":1,"b":2}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	one := "/api/data/pairs/" + pair
	const before = "key passed, origin passed, size passed, users passed, user passed, collection passed, "
	for _, c := range []struct {
		name, method, path, body, as string
		outcome                      string
		status                       string
		checks                       string
		field, value                 string
	}{
		{"a write that is allowed", "PATCH", one, `{"a":5}`, aliceID, "allowed", "200",
			before + "access passed, document passed, owner passed, revision passed, id passed, schema passed, owner afterwards passed, policy update passed, commit passed", "data.answer.data.a", "5"},
		{"a policy's no", "PATCH", one, `{"a":99}`, aliceID, "refused", "403",
			before + "access passed, document passed, owner passed, revision passed, id passed, schema passed, owner afterwards passed, policy update refused", "data.decidedBy.code", "sum.too_high"},
		{"another's document", "PATCH", one, `{"a":5}`, bobID, "refused", "403", before + "access passed, document passed, owner refused", "data.reason", "rls.not_owner"},
		{"nobody", "PATCH", one, `{"a":5}`, "nobody", "refused", "401", before + "access refused", "data.decidedBy.reason", "token.required_for_write"},
		{"the secret key itself", "PATCH", one, `{"a":99}`, "", "allowed", "200",
			before + "access skipped, document passed, owner skipped, revision passed, id passed, schema passed, owner afterwards skipped, policy skipped, commit passed", "data.answer.data.a", "99"},
		{"an insert through a hook", "POST", "/api/data/strictly", `{"hook":"fill"}`, aliceID, "allowed", "201",
			before + "access passed, document passed, owner passed, revision passed, id passed, hook insert rewrote, schema passed, owner afterwards passed, policy insert passed, commit passed", "data.answer.needed", "made by the hook"},
		{"a hook's no", "POST", "/api/data/pairs", `{"hook":"reject"}`, aliceID, "refused", "422",
			before + "access passed, document passed, owner passed, revision passed, id passed, hook insert refused", "data.decidedBy.module", "guest"},
		{"the schema's no", "POST", "/api/data/strictly", `{}`, aliceID, "refused", "400",
			before + "access passed, document passed, owner passed, revision passed, id passed, hook insert passed, schema refused", "data.message", "Field 'needed' is required."},
		{"a guest that broke", "POST", "/api/data/pairs", `{"policy":"trap"}`, aliceID, "refused", "403",
			before + "access passed, document passed, owner passed, revision passed, id passed, hook insert passed, schema passed, owner afterwards passed, policy insert failed", "data.reason", "policy.error"},
		{"a read", "GET", one, "", "nobody", "allowed", "200", "key passed, origin passed, users passed, user passed, collection passed, access passed, document passed", "data.answer.a", "1"},
		{"a document that is not there", "GET", "/api/data/pairs/" + strings.Repeat("0", 24), "", "nobody", "refused", "404",
			"key passed, origin passed, users passed, user passed, collection passed, access passed, document refused", "data.reason", "document.not_found"},
		{"a list", "GET", "/api/data/pairs?a=1", "", "nobody", "allowed", "200", "key passed, origin passed, users passed, user passed, collection passed, access passed, query passed, scope passed, find passed", "data.answer.data.total", "1"},
		{"a delete", "DELETE", one, "", aliceID, "allowed", "200",
			"key passed, origin passed, users passed, user passed, collection passed, access passed, document passed, owner passed, revision passed, id passed, schema passed, owner afterwards passed, policy delete passed, commit passed", "data.answer.id", pair},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := append(n.as(n.sk, ""), "x-sluice-explain", "1")
			if c.as != "" {
				header = append(header, "x-sluice-explain-as", c.as)
			}
			a := n.send(c.method, c.path, c.body, header...).want(t, 200)
			if a.field("data.outcome") != c.outcome || a.field("data.status") != c.status || a.checks("data.") != c.checks || a.field(c.field) != c.value {
				t.Errorf("got %s %s: %s\nwant %s: %s\n%s", a.field("data.outcome"), a.field("data.status"), a.checks("data."), c.outcome, c.checks, a.body)
			}
			if a.header.Get("ETag") != "" {
				t.Error("an explanation has an ETag")
			}
			role, user := "publishable", c.as
			if c.as == "" {
				role = "secret"
			} else if c.as == "nobody" {
				user = ""
			}
			body := c.body
			if body == "" {
				body = "null"
			}
			op := n.operator("POST", "/admin/v1/projects/guarded/explain", fmt.Sprintf(`{"method":%q,"path":%q,"role":%q,"userId":%q,"body":%s}`, c.method, c.path, role, user, body)).want(t, 200)
			if inner := strings.TrimPrefix(strings.TrimPrefix(op.checks(""), "headers passed, "), "body passed, "); inner != c.checks || op.field("status") != c.status {
				t.Errorf("the operator is told %s: %s", op.field("status"), inner)
			}
		})
	}
	for _, name := range []string{"alice@example.com", " Alice@Example.COM"} { // however the address is written
		a := n.send("GET", one, "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", name)...).want(t, 200)
		op := n.operator("POST", "/admin/v1/projects/guarded/explain", fmt.Sprintf(`{"path":%q,"userId":%q}`, one, name)).want(t, 200)
		if a.field("data.request.userId") != aliceID || op.field("request.userId") != aliceID || a.field("data.outcome") != "allowed" || op.field("outcome") != "allowed" {
			t.Errorf("as %q: %s\n%s", name, a.body, op.body)
		}
	}
	if a := n.send("GET", one, "", n.as(n.sk, "")...).want(t, 200); a.field("a") != "1" {
		t.Errorf("an explanation changed the document: %s", a.body)
	}
	if a := n.send("GET", "/api/data/strictly?count=true", "", n.as(n.sk, "")...); a.field("data.count") != "0" {
		t.Errorf("an explanation stored a document: %s", a.body)
	}
	a := n.operator("GET", "/admin/v1/projects/guarded/decisions", "")
	if a.field("decisions") != "[]" {
		t.Errorf("an explanation was logged as a decision: %s", a.body)
	}
}

// TestExplainIsKept: only who may see everything is told anything, and only about what has no effect.
func TestExplainIsKept(t *testing.T) {
	n := start(t, blog)
	token, id := n.user("alice@example.com")
	n.send("POST", "/api/data/posts", `{"title":"x","slug":"taken"}`, n.as(n.sk, "")...).want(t, 201)
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		reason                   string
	}{
		{"a publishable key", "GET", "/api/data/posts", "", append(n.as(n.pk, token), "x-sluice-explain", "1"), 403, "key.secret_required"},
		{"a publishable key that names somebody", "GET", "/api/data/posts", "", append(n.as(n.pk, ""), "x-sluice-explain-as", id), 403, "key.secret_required"},
		{"another mode", "GET", "/api/data/posts", "", append(n.as(n.sk, ""), "x-sluice-explain", "yes"), 400, "explain.invalid"},
		{"a name alone", "GET", "/api/data/posts", "", append(n.as(n.sk, ""), "x-sluice-explain-as", id), 400, "explain.invalid"},
		{"no user's id", "GET", "/api/data/posts", "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", "alice"), 400, "explain.invalid"},
		{"an address that nobody has", "GET", "/api/data/posts", "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", "carol@example.com"), 400, "explain.invalid"},
		{"no address", "GET", "/api/data/posts", "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", "@"), 400, "explain.invalid"},
		{"two names", "GET", "/api/data/posts", "", append(n.as(n.sk, token), "x-sluice-explain", "1", "x-sluice-explain-as", id), 400, "explain.invalid"},
		{"a login", "POST", "/api/userAuth/login", `{"email":"alice@example.com","password":"correct horse"}`, append(n.as(n.sk, ""), "x-sluice-explain", "1"), 400, "explain.not_here"},
		{"a schema", "POST", "/api/schemas", `{"name":"made"}`, append(n.as(n.sk, ""), "x-sluice-explain", "1"), 400, "explain.not_here"},
		{"a unique key that is taken", "POST", "/api/data/posts", `{"title":"y","slug":"taken"}`, append(n.as(n.sk, ""), "x-sluice-explain", "1"), 200, ""},
		{"with the user's own token", "POST", "/api/data/notes", `{}`, append(n.as(n.sk, token), "x-sluice-explain", "1"), 200, ""},
	} {
		a := n.send(c.method, c.path, c.body, c.header...)
		if a.status != c.status || c.reason != "" && (a.field("reason") != c.reason || a.field("data") != "null") {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if c.name == "a unique key that is taken" && a.field("data.reason") != "document.duplicate" {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
	for _, c := range []struct{ body, reason string }{
		{`{"path":"/api/data/posts","rôle":1}`, "explain.invalid"}, {`{"path":"/api/data/posts","role":"root"}`, "explain.invalid"},
		{`{"path":"/api/data/posts","userId":"x"}`, "explain.invalid"}, {`{"path":"/api/data/posts","userId":"carol@example.com"}`, "explain.invalid"}, {`{"path":"api"}`, "explain.invalid"}, {`{"path":"/api/health"}`, "explain.not_here"},
		{`{"path":"/api/data/../x"}`, "request.malformed_path"}, {``, "explain.invalid"},
	} {
		if a := n.operator("POST", "/admin/v1/projects/blog/explain", c.body); a.field("reason") != c.reason {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
		}
	}
	batch := `{"operations":[{"op":"insert","collection":"notes","data":{}},{"op":"insert","collection":"open","data":{}}]}`
	a := n.operator("POST", "/admin/v1/projects/blog/explain", fmt.Sprintf(`{"method":"post","path":"/api/batch","userId":%q,"body":%s}`, id, batch)).want(t, 200)
	if a.field("decidedBy.operation") != "1" || a.field("decidedBy.collection") != "open" || a.field("reason") != "rls.required" {
		t.Errorf("a batch: %s", a.body)
	}
}
