package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestOrderOfChecks: of several mistakes in one request the first in the contract's order is answered.
func TestOrderOfChecks(t *testing.T) {
	n := start(t, blog)
	alice, aliceID := n.user("alice@example.com")
	bob, bobID := n.user("bob@example.com")
	post := n.send("POST", "/api/data/posts", `{"title":"p"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	const missing = "/api/data/posts/aaaaaaaaaaaaaaaaaaaaaaaa"
	one := "/api/data/posts/" + post
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		reason                   string
	}{
		{"JSON before the key", "POST", "/api/data/users", `{`, nil, 400, "body.malformed_json"},
		{"the key before users", "POST", "/api/data/users", `{}`, nil, 401, "key.missing"},
		{"users before the token", "GET", "/api/data/users/x", "", n.as(n.pk, "garbage"), 403, "collection.users_reserved"},
		{"the token before the collection", "GET", "/api/data/nothing", "", n.as(n.pk, "garbage"), 401, "token.invalid"},
		{"the collection before the id", "GET", "/api/data/nothing/x", "", n.as(n.pk, ""), 404, "collection.not_found"},
		{"the id before the collection for a secret key", "GET", "/api/data/nothing/x", "", n.as(n.sk, ""), 400, "document.invalid_id"},
		{"the collection, where the id is one", "GET", "/api/data/nothing/" + post, "", n.as(n.sk, ""), 404, "collection.not_found"},
		{"the collection before the rules", "PUT", "/api/data/nothing/" + post, `{}`, n.as(n.pk, alice), 404, "collection.not_found"},
		{"the rules before the login", "PUT", "/api/data/open/x", `{}`, n.as(n.pk, ""), 403, "rls.required"},
		{"the login before the id", "PUT", "/api/data/posts/x", `{}`, n.as(n.pk, ""), 401, "token.required_for_write"},
		{"the id before the body", "PUT", "/api/data/posts/x", "", n.as(n.pk, alice), 400, "document.invalid_id"},
		{"the document before the body", "PUT", missing, "", n.as(n.pk, alice), 404, "document.not_found"},
		{"the owner before the body", "PUT", one, "", n.as(n.pk, bob), 403, "rls.not_owner"},
		{"another's name before the owner", "PUT", one, `{"userId":"` + aliceID + `"}`, n.as(n.pk, bob), 403, "rls.owner_immutable"},
		{"the owner before the schema", "PUT", one, `{"title":5}`, n.as(n.pk, bob), 403, "rls.not_owner"},
		{"the owner before the revision", "PUT", one, `{}`, append(n.as(n.pk, bob), "If-Match", `"0"`), 403, "rls.not_owner"},
		{"the revision before the schema", "PUT", one, `{"title":5}`, append(n.as(n.pk, alice), "If-Match", `"0"`), 412, "document.precondition_failed"},
		{"the body before the schema", "PUT", one, "", n.as(n.pk, alice), 400, "body.missing"},
		{"a body that is a list", "PUT", one, "[1]", n.as(n.pk, alice), 400, "body.not_object"},
		{"the login before the body", "POST", "/api/data/posts", "", n.as(n.pk, ""), 401, "token.required_for_write"},
		{"the owner before the schema of an insert", "POST", "/api/data/posts", `{"userId":"` + bobID + `"}`, n.as(n.pk, alice), 403, "rls.owner_mismatch"},
		{"names before types", "POST", "/api/data/posts", `{"price":"x","$a":1}`, n.as(n.pk, alice), 400, "schema.invalid"},
		{"the rules before the query", "GET", "/api/data/notes?$where=1", "", n.as(n.pk, ""), 401, "token.required_for_read"},
		{"the document before its projection", "GET", missing + "?fields=a,-b", "", n.as(n.pk, ""), 404, "document.not_found"},
		{"the type of the body before the key", "POST", "/api/data/posts", `<a/>`, []string{"Content-Type", "text/xml"}, 415, "body.unsupported_type"},
	} {
		a := n.send(c.method, c.path, c.body, c.headers...)
		checkEnvelope(t, a)
		if a.status != c.status || a.field("reason") != c.reason {
			t.Errorf("%s: %d %s, want %d %s", c.name, a.status, a.body, c.status, c.reason)
		}
	}
	if a := n.send("POST", "/api/data/posts", "", n.as(n.pk, alice)...).want(t, 400); a.field("error") != "Item at index 0 must be a valid object" {
		t.Errorf("no body: %s", a.body)
	}
}

// TestBodies: what a body may be, and what of it is stored.
func TestBodies(t *testing.T) {
	n := startShop(t)
	nest := func(open, inner, end string, levels int) string {
		return strings.Repeat(open, levels) + inner + strings.Repeat(end, levels)
	}
	list := func(n int) string { return "[" + strings.Repeat("0,", n-1) + "0]" }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":0`, i)
		}
		return b.String()[1:]
	}
	for _, c := range []struct {
		name, kind, body string
		status           int
		reason, field    string
		want             string // of the field, when it is stored
	}{
		{"a form", "application/x-www-form-urlencoded", "name=a+b%21&other=%C3%A9", 201, "", "name", "a b!"},
		{"a form with a number for a Number", "application/x-www-form-urlencoded", "n=1", 400, "schema.invalid", "", ""},
		{"a form with a name twice", "application/x-www-form-urlencoded", "other=1&other=2", 400, "body.duplicate_key", "", ""},
		{"a form with a dollar", "application/x-www-form-urlencoded", "$a=1", 400, "schema.invalid", "", ""},
		{"JSON of another name", "application/vnd.api+json", `{"name":"x"}`, 201, "", "name", "x"},
		{"JSON with its charset", `application/json; charset="UTF-8"`, `{"name":"x"}`, 201, "", "name", "x"},
		{"another charset", "application/json; charset=utf-16", `{"name":"x"}`, 415, "body.unsupported_type", "", ""},
		{"Latin 1", "application/json;charset=iso-8859-1", `{"name":"x"}`, 415, "body.unsupported_type", "", ""},
		{"text", "text/plain", `{"name":"x"}`, 400, "body.missing", "", ""},
		{"XML", "text/xml", `<a/>`, 415, "body.unsupported_type", "", ""},
		{"nothing but space", "application/json", ` `, 400, "body.malformed_json", "", ""},
		{"null", "application/json", `null`, 400, "body.malformed_json", "", ""},
		{"a comment", "application/json", `{"a":1/**/}`, 400, "body.malformed_json", "", ""},
		{"a comma at the end", "application/json", `{"a":1,}`, 400, "body.malformed_json", "", ""},
		{"single quotes", "application/json", `{'a':1}`, 400, "body.malformed_json", "", ""},
		{"NaN", "application/json", `{"a":NaN}`, 400, "body.malformed_json", "", ""},

		{"32 levels", "application/json", `{"any":` + nest("[", "", "]", 31) + `}`, 201, "", "name", "null"},
		{"33 levels", "application/json", `{"any":` + nest("[", "", "]", 32) + `}`, 400, "body.too_deep", "", ""},
		{"33 levels of objects", "application/json", nest(`{"a":`, "1", "}", 33), 400, "body.too_deep", "", ""},
		{"1000 members with those of the node", "application/json", `{"other":{` + members(1000) + `}}`, 201, "", "other.k999", "0"},
		{"1001 members", "application/json", `{"other":{` + members(1001) + `}}`, 400, "body.too_many_values", "", ""},
		{"10000 items", "application/json", `{"any":` + list(10000) + `}`, 201, "", "any.9999", "0"},
		{"10001 items", "application/json", `{"any":` + list(10001) + `}`, 400, "body.too_many_values", "", ""},

		{"a key twice", "application/json", `{"a":1,"a":1}`, 400, "body.duplicate_key", "", ""},
		{"a key twice, once in escapes", "application/json", `{"a":1,"\u0061":1}`, 400, "body.duplicate_key", "", ""},
		{"a key twice in depth", "application/json", `{"any":[{"b":{"a":1,"a":2}}]}`, 400, "body.duplicate_key", "", ""},
		{"keys of two cases", "application/json", `{"other":1,"Other":2}`, 201, "", "Other", "2"},
		{"prototypes", "application/json", `{"__proto__":{"a":1},"constructor":2,"other":3}`, 201, "", "__proto__", `{"a":1}`},
		{"half a surrogate", "application/json", `{"a":"\ud800"}`, 400, "body.bad_text", "", ""},
		{"a pair of surrogates", "application/json", `{"other":"\ud83d\ude00"}`, 201, "", "other", "😀"},
		{"bytes that are not UTF-8", "application/json", "{\"a\":\"\xff\"}", 400, "body.bad_text", "", ""},
		{"NUL", "application/json", `{"a":"\u0000"}`, 400, "body.bad_text", "", ""},
		{"a raw control character", "application/json", "{\"a\":\"\x01\"}", 400, "body.bad_text", "", ""},
	} {
		a := n.send("POST", "/api/data/things", c.body, append(n.as(n.sk, ""), "Content-Type", c.kind)...)
		if a.status != c.status || c.reason != "" && a.field("reason") != c.reason {
			t.Errorf("%s: %d %.300s, want %d %s", c.name, a.status, a.body, c.status, c.reason)
		} else if c.field != "" && a.field(c.field) != c.want {
			t.Errorf("%s: %s = %s in %.300s", c.name, c.field, a.field(c.field), a.body)
		}
	}
	n.send("POST", "/api/data/things", `{}`, append(n.as(n.sk, ""), "Content-Encoding", "gzip")...).want(t, 415)

	// Names of members, at every depth, in every way of writing.
	for _, key := range []string{"", " a", "a ", `\ufeffa`, `a\u200b`, `a\u0007`, "$a", "a.b", `a\u202eb`, `\u00a0a`, "a\\n"} {
		for _, shape := range []string{`{"KEY":1}`, `{"free":{"KEY":1}}`, `{"any":[{"KEY":1}]}`, `{"rows":[{"KEY":1}]}`, `{"meta":{"deep":{"KEY":1}}}`, `{"other":[[{"x":{"KEY":1}}]]}`} {
			body := strings.ReplaceAll(shape, "KEY", key)
			for _, w := range [][3]string{
				{"POST", "/api/data/things", body}, {"POST", "/api/data/things/bulk", "[" + body + "]"},
				{"POST", "/api/batch", `{"operations":[{"op":"insert","collection":"things","data":` + body + `}]}`},
				{"PATCH", "/api/data/things/" + thingA, body},
			} {
				if w[0] == "PATCH" && key == "a.b" && shape == `{"KEY":1}` {
					continue // there it is a path
				}
				if a := n.send(w[0], w[1], w[2], n.as(n.sk, "")...); a.status != 400 {
					t.Errorf("%s %s %s: %d %s", w[0], w[1], w[2], a.status, a.body)
				}
			}
		}
	}
}

// TestNumbers: a number is answered as it was sent, found by its value, or refused.
func TestNumbers(t *testing.T) {
	n := startShop(t)
	for _, text := range []string{"0", "-0", "1", "-1", "1.0", "1.50", "0.1", "1e2", "1E2", "1e+2", "1e-2", "12.50", "9007199254740991", "-9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993",
		"9223372036854775807", "-9223372036854775808", "18446744073709551615", "123456789012345678901234567890", "0.1234567890123456789012345", "1e308", "-1.7976931348623157e308", "5e-324", "1e-400", "0.000001", "0e0", "0.0", "100000000000000000000000"} {
		a := n.send("POST", "/api/data/things", `{"n":`+text+`,"other":[`+text+`]}`, n.as(n.sk, "")...)
		if a.status != 201 || !strings.Contains(a.body, `"n":`+text+`,`) || !strings.Contains(a.body, `"other":[`+text+`]`) {
			t.Errorf("%s: %d %s", text, a.status, a.body)
			continue
		}
		id := a.field("_id")
		if got := n.send("GET", "/api/data/things?_id="+id+"&n="+strings.ReplaceAll(text, "+", "%2B"), "", n.as(n.sk, "")...).want(t, 200); got.field("data.total") != "1" || !strings.Contains(got.body, `"n":`+text+`,`) {
			t.Errorf("%s is not found: %s", text, got.body)
		}
		if got := n.send("PATCH", "/api/data/things/"+id, `{"other":{"$push":`+text+`}}`, n.as(n.sk, "")...).want(t, 200); !strings.Contains(got.body, `"other":[`+text+`,`+text+`]`) {
			t.Errorf("%s is pushed as %s", text, got.body)
		}
	}
	for _, text := range []string{"1e309", "-1e309", "1e400", "01", "+1", ".5", "5.", "1e", "0x1", "NaN", "Infinity", "-", "1_000", "--1"} {
		if a := n.send("POST", "/api/data/things", `{"n":`+text+`}`, n.as(n.sk, "")...); a.status != 400 {
			t.Errorf("%s: %d %s", text, a.status, a.body)
		}
	}
	// Neighbours that float64 cannot tell apart are two values.
	n.send("POST", "/api/data/things", `{"n":9007199254740993,"name":"odd"}`, n.as(n.sk, "")...).want(t, 201)
	if a := n.send("GET", "/api/data/things?n=9007199254740992&name=odd", "", n.as(n.sk, "")...).want(t, 200); a.field("data.total") != "0" {
		t.Errorf("2^53 finds 2^53+1: %s", a.body)
	}
}

// TestSpellingOfPaths: static parts of a path in any case, one slash at the end, and no two ways of reading one.
func TestSpellingOfPaths(t *testing.T) {
	n := startShop(t)
	for path, status := range map[string]int{
		"/api/data/things": 200, "/api/data/things/": 200, "/API/DATA/things": 200, "/Api/Data/things/": 200, "/api/data/things/" + thingA + "/": 200, "/api/data/things/" + strings.ToUpper(thingA): 200,
		"/api/data/Things": 404, "/api/data//things": 400, "/api/data/things//": 400, "/api/data/things/./" + thingA: 400, "/api/data/": 404, "/api/data": 404, "/api/data/things/" + thingA + "/x": 404, "/api/data/things%20": 404,
		"/api/schemas/things/": 200, "/API/SCHEMAS/things": 200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if a := n.send(method, path, "", n.as(n.sk, "")...); a.status != status {
				t.Errorf("%s %s: %d, want %d", method, path, a.status, status)
			}
		}
	}
	for _, path := range []string{"/api/data/things/bulk/", "/api/data/things/BULK", "/API/data/things/Bulk/"} {
		n.send("POST", path, `[{"n":1}]`, n.as(n.sk, "")...).want(t, 201)
	}
	n.send("POST", "/API/Data/things/Aggregate/", `{"pipeline":[{"$limit":1}]}`, n.as(n.sk, "")...).want(t, 200)
	for _, c := range [][2]string{{"POST", "/api/data/things/" + thingA}, {"DELETE", "/api/data/things"}, {"PUT", "/api/data/things"}, {"PATCH", "/api/batch"}} {
		if a := n.send(c[0], c[1], `{}`, n.as(n.sk, "")...); a.status != 405 || a.header.Get("Allow") == "" {
			t.Errorf("%s %s: %d, Allow %q", c[0], c[1], a.status, a.header.Get("Allow"))
		}
	}
	n.send("GET", "/api/data/things/bulk", "", n.as(n.sk, "")...).want(t, 400)
}
