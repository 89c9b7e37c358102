package runtime_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestRefusals is the table of what goes wrong: each row is one request that a client gets wrong, and the status, text
// and reason that it must meet. A row that fails means an app shows its user the wrong thing, or lets somebody in.
func TestRefusals(t *testing.T) {
	n := start(t, blog)
	alice, aliceID := n.user("alice@example.com")
	bob, bobID := n.user("bob@example.com")
	post := n.send("POST", "/api/data/posts", `{"title":"hello","slug":"hello"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	note := n.send("POST", "/api/data/notes", `{"text":"mine"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	const missing = "aaaaaaaaaaaaaaaaaaaaaaaa"
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)

	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		text, reason             string
	}{
		{"no key", "GET", "/api/data/posts", "", nil, 401, "API key not found", "key.missing"},
		{"unknown key", "GET", "/api/data/posts", "", n.as("pk_live_nope", ""), 401, "API key is expired or invalid.", "key.unknown"},
		{"well-formed foreign key", "GET", "/api/data/posts", "", n.as("pk_live_"+strings.Repeat("A", 43), ""), 401, "API key is expired or invalid.", "key.unknown"},
		{"secret key in the URL", "GET", "/api/data/posts?key=" + n.sk, "", nil, 401, "API key not found", "key.missing"},
		{"a wrong header beats the query", "GET", "/api/data/posts?key=" + n.pk, "", n.as("pk_live_nope", ""), 401, "API key is expired or invalid.", "key.unknown"},
		{"malformed JSON comes before the key", "POST", "/api/data/posts", `{"title":`, nil, 400, "Invalid JSON format", "body.malformed_json"},
		{"bare value", "POST", "/api/data/posts", `42`, n.as(n.pk, alice), 400, "Invalid JSON format", "body.malformed_json"},
		{"text after the object", "POST", "/api/data/posts", `{"title":"x"} y`, n.as(n.pk, alice), 400, "Invalid JSON format", "body.malformed_json"},
		{"same key twice", "POST", "/api/data/posts", `{"title":"a","title":"b"}`, n.as(n.pk, alice), 400, "", "body.duplicate_key"},
		{"deep JSON", "POST", "/api/data/posts", deep, n.as(n.pk, alice), 400, "", "body.too_deep"},
		{"NUL in a value", "POST", "/api/data/posts", `{"title":"a\u0000b"}`, n.as(n.pk, alice), 400, "", "body.bad_text"},
		{"NUL in a name", "POST", "/api/data/posts", `{"ti\u0000tle":"a"}`, n.as(n.pk, alice), 400, "", "body.bad_text"},
		{"number out of range", "POST", "/api/data/posts", `{"title":"a","price":1e999}`, n.as(n.pk, alice), 400, "", "body.bad_number"},
		{"oversized body", "POST", "/api/data/posts", `{"title":"` + strings.Repeat("a", 1<<20) + `"}`, n.as(n.pk, alice), 413, "Request body too large.", "body.too_large"},
		{"no body", "POST", "/api/data/posts", "", n.as(n.pk, alice), 400, "", "body.missing"},
		{"array on a single insert", "POST", "/api/data/posts", `[{"title":"x"}]`, n.as(n.pk, alice), 400, "Item at index 0 must be a valid object", "body.not_object"},
		{"empty array", "POST", "/api/data/posts", `[]`, n.as(n.pk, alice), 400, "Request body cannot be an empty array.", "body.empty_array"},
		{"wrong content type", "POST", "/api/data/posts", `<a/>`, append(n.as(n.pk, alice), "Content-Type", "text/xml"), 415, "", "body.unsupported_type"},
		{"unknown collection", "GET", "/api/data/nothing", "", n.as(n.pk, ""), 404, "Collection not found", "collection.not_found"},
		{"system collection", "GET", "/api/data/_sessions", "", n.as(n.sk, ""), 404, "Collection not found", "collection.not_found"},
		{"NUL in the collection", "GET", "/api/data/po%00sts", "", n.as(n.pk, ""), 400, "", "request.malformed_path"},
		{"encoded slash", "GET", "/api/data/posts%2f..%2fusers", "", n.as(n.pk, ""), 400, "", "request.malformed_path"},
		{"broken escape", "GET", "/api/data/po%zzsts", "", n.as(n.pk, ""), 400, "", "request.malformed_path"},
		{"users collection", "GET", "/api/data/users", "", n.as(n.sk, ""), 403, "Use /api/userAuth endpoints for users collection operations.", "collection.users_reserved"},
		{"users in another case", "GET", "/api/data/UsErS", "", n.as(n.sk, ""), 403, "", "collection.users_reserved"},
		{"users, padded", "GET", "/api/data/%20users%20", "", n.as(n.sk, ""), 403, "", "collection.users_reserved"},
		{"users, escaped", "GET", "/api/data/%75sers", "", n.as(n.sk, ""), 403, "", "collection.users_reserved"},
		{"bad id", "GET", "/api/data/posts/xyz", "", n.as(n.pk, ""), 400, "Invalid ID format.", "document.invalid_id"},
		{"missing id", "GET", "/api/data/posts/" + missing, "", n.as(n.pk, ""), 404, "Document not found.", "document.not_found"},
		{"unknown route", "GET", "/api/nothing", "", nil, 404, "Not Found", "route.not_found"},
		{"wrong method", "DELETE", "/api/data/posts", "", n.as(n.pk, ""), 405, "Method Not Allowed", "route.method_not_allowed"},

		{"write without a token", "POST", "/api/data/posts", `{"title":"x"}`, n.as(n.pk, ""), 401, "Provide a valid user Bearer token for write operations.", "token.required_for_write"},
		{"write with a garbage token", "POST", "/api/data/posts", `{"title":"x"}`, n.as(n.pk, "garbage"), 401, "Provide a valid user Bearer token for write operations.", "token.required_for_write"},
		{"read with a garbage token is not anonymous", "GET", "/api/data/posts", "", n.as(n.pk, "garbage"), 401, "Invalid or Expired Token", "token.invalid"},
		{"token without the scheme", "GET", "/api/data/posts", "", []string{"x-api-key", n.pk, "Authorization", alice}, 401, "", "token.invalid"},
		{"write where RLS is off", "POST", "/api/data/open", `{"a":1}`, n.as(n.pk, alice), 403, "Enable RLS for this collection to allow publishable-key writes.", "rls.required"},
		{"insert for somebody else", "POST", "/api/data/posts", `{"title":"x","userId":"` + bobID + `"}`, n.as(n.pk, alice), 403, "Item at index 0 must have userId equal to your user id", "rls.owner_mismatch"},
		{"insert with an owner that is no string", "POST", "/api/data/posts", `{"title":"x","userId":7}`, n.as(n.pk, alice), 403, "", "rls.owner_mismatch"},
		{"padded owner key", "POST", "/api/data/posts", `{"title":"x","\ufeffuserId":"` + bobID + `"}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"spaced owner key", "POST", "/api/data/posts", `{"title":"x"," userId":"` + bobID + `"}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"dollar key", "POST", "/api/data/posts", `{"title":"x","$where":"1"}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"nested dollar key", "POST", "/api/data/posts", `{"title":"x","other":{"$gt":1}}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"dotted key on insert", "POST", "/api/data/posts", `{"title":"x","a.b":1}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"update of a foreign document", "PATCH", "/api/data/posts/" + post, `{"title":"x"}`, n.as(n.pk, bob), 403, "You can only modify your own document.", "rls.not_owner"},
		{"delete of a foreign document", "DELETE", "/api/data/posts/" + post, "", n.as(n.pk, bob), 403, "You can only modify your own document.", "rls.not_owner"},
		{"giving a document away", "PATCH", "/api/data/posts/" + post, `{"userId":"` + bobID + `"}`, n.as(n.pk, alice), 403, "userId cannot be changed under RLS.", "rls.owner_immutable"},
		{"giving it away by a padded key", "PATCH", "/api/data/posts/" + post, `{"userId\ufeff":"` + bobID + `"}`, n.as(n.pk, alice), 400, "", "schema.invalid"},
		{"giving it away by a dotted key", "PATCH", "/api/data/posts/" + post, `{"userId.x":"` + bobID + `"}`, n.as(n.pk, alice), 403, "", "rls.owner_immutable"},
		{"update of a missing document", "PUT", "/api/data/posts/" + missing, `{"title":"x"}`, n.as(n.pk, alice), 404, "Document not found.", "document.not_found"},
		{"update with a bad id", "PUT", "/api/data/posts/zz", `{"title":"x"}`, n.as(n.pk, alice), 400, "Invalid ID format.", "document.invalid_id"},
		{"stale If-Match", "PATCH", "/api/data/posts/" + post, `{"title":"x"}`, append(n.as(n.pk, alice), "If-Match", `"ffff"`), 412, "", "document.precondition_failed"},

		{"private list without a token", "GET", "/api/data/notes", "", n.as(n.pk, ""), 401, "Provide a valid user Bearer token for private reads.", "token.required_for_read"},
		{"private count without a token", "GET", "/api/data/notes?count=true", "", n.as(n.pk, ""), 401, "", "token.required_for_read"},
		{"private document of somebody else", "GET", "/api/data/notes/" + note, "", n.as(n.pk, bob), 404, "Document not found.", "document.not_found"},
		{"private update of somebody else's", "PATCH", "/api/data/notes/" + note, `{"text":"x"}`, n.as(n.pk, bob), 404, "Document not found.", "document.not_found"},
		{"private theft of somebody else's", "PATCH", "/api/data/notes/" + note, `{"userId":"` + bobID + `"}`, n.as(n.pk, bob), 404, "Document not found.", "document.not_found"},
		{"private delete of somebody else's", "DELETE", "/api/data/notes/" + note, "", n.as(n.pk, bob), 404, "Document not found.", "document.not_found"},

		{"missing required field", "POST", "/api/data/posts", `{"price":1}`, n.as(n.pk, alice), 400, "Field 'title' is required.", "schema.invalid"},
		{"wrong type", "POST", "/api/data/posts", `{"title":5}`, n.as(n.pk, alice), 400, "Field 'title' must be a String.", "schema.invalid"},
		{"no coercion", "POST", "/api/data/posts", `{"title":"x","price":"5"}`, n.as(n.pk, alice), 400, "Field 'price' must be a Number.", "schema.invalid"},
		{"wrong array item", "POST", "/api/data/posts", `{"title":"x","tags":["a",1]}`, n.as(n.pk, alice), 400, "Field 'tags[1]' must be a String.", "schema.invalid"},
		{"wrong nested type", "POST", "/api/data/posts", `{"title":"x","meta":{"likes":"many"}}`, n.as(n.pk, alice), 400, "Field 'likes' must be a Number.", "schema.invalid"},
		{"bad reference", "POST", "/api/data/posts", `{"title":"x","author":"zz"}`, n.as(n.pk, alice), 400, "Field 'author' must be a valid reference ID (ObjectId).", "schema.invalid"},
		{"taken unique value", "POST", "/api/data/posts", `{"title":"x","slug":"hello"}`, n.as(n.pk, alice), 409, "Duplicate value violates unique constraint.", "document.duplicate"},
		{"taken id", "POST", "/api/data/posts", `{"_id":"` + post + `","title":"x"}`, n.as(n.sk, ""), 409, "", "document.exists"},
		{"malformed chosen id", "POST", "/api/data/posts", `{"_id":"5","title":"x"}`, n.as(n.sk, ""), 400, "Invalid ID format.", "document.invalid_id"},
		{"changing the id", "PATCH", "/api/data/posts/" + post, `{"_id":"` + missing + `"}`, n.as(n.sk, ""), 400, "", "schema.invalid"},

		{"number filter", "GET", "/api/data/posts?price=cheap", "", n.as(n.pk, ""), 400, `Invalid value for "price"; expected a number.`, "query.invalid"},
		{"bad limit", "GET", "/api/data/posts?limit=-1", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"bad page", "GET", "/api/data/posts?page=0", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"dollar in the query", "GET", "/api/data/posts?$where=1", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"unknown operator", "GET", "/api/data/posts?filter[price][near]=1", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"bad exists", "GET", "/api/data/posts?price_exists=maybe", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"bad regex", "GET", "/api/data/posts?title_regex=%28", "", n.as(n.pk, ""), 400, `Invalid regex pattern for "title_regex".`, "query.invalid"},
		{"long regex", "GET", "/api/data/posts?title_regex=" + strings.Repeat("a", 129), "", n.as(n.pk, ""), 400, `Regex pattern for "title_regex" exceeds 128 characters.`, "query.invalid"},
		{"regex on a number", "GET", "/api/data/posts?price_regex=1", "", n.as(n.pk, ""), 400, "", "query.invalid"},
		{"two orders", "GET", "/api/data/posts?sort=price&sort=title", "", n.as(n.pk, ""), 400, `The parameter "sort" may be sent only once.`, "query.invalid"},
		{"taken id in another's name", "POST", "/api/data/posts", `{"_id":"` + post + `","title":"x","userId":"` + bobID + `"}`, n.as(n.pk, alice), 403, "", "rls.owner_mismatch"},
		{"mixed projection", "GET", "/api/data/posts/" + post + "?fields=title,-price", "", n.as(n.pk, ""), 400, "", "query.invalid"},

		{"sign up without a body", "POST", "/api/userAuth/signup", "", n.as(n.pk, ""), 400, "Invalid input: expected object, received undefined", "account.invalid"},
		{"sign up without an e-mail", "POST", "/api/userAuth/signup", `{"password":"longenough"}`, n.as(n.pk, ""), 400, "Invalid input: expected string, received undefined", "account.invalid"},
		{"sign up with a number", "POST", "/api/userAuth/signup", `{"email":5,"password":"longenough"}`, n.as(n.pk, ""), 400, "Invalid input: expected string, received number", "account.invalid"},
		{"sign up with no address", "POST", "/api/userAuth/signup", `{"email":"nobody","password":"longenough"}`, n.as(n.pk, ""), 400, "Invalid email format.", "account.invalid"},
		{"sign up with a short password", "POST", "/api/userAuth/signup", `{"email":"c@example.com","password":"short"}`, n.as(n.pk, ""), 400, "Password must be at least 8 characters.", "account.invalid"},
		{"sign up twice", "POST", "/api/userAuth/signup", `{"email":"alice@example.com","password":"longenough"}`, n.as(n.pk, ""), 400, "User already exists with this email.", "account.exists"},
		{"sign up twice in another case", "POST", "/api/userAuth/signup", `{"email":" ALICE@Example.com ","password":"longenough"}`, n.as(n.pk, ""), 400, "User already exists with this email.", "account.exists"},
		{"wrong password", "POST", "/api/userAuth/login", `{"email":"alice@example.com","password":"wrong one"}`, n.as(n.pk, ""), 400, "Invalid email or password", "account.bad_credentials"},
		{"unknown account", "POST", "/api/userAuth/login", `{"email":"nobody@example.com","password":"wrong one"}`, n.as(n.pk, ""), 400, "Invalid email or password", "account.bad_credentials"},
		{"me without a token", "GET", "/api/userAuth/me", "", n.as(n.pk, ""), 401, "Access Denied: No Token Provided", "token.missing"},
		{"me with a bad token", "GET", "/api/userAuth/me", "", n.as(n.pk, "x.y.z"), 401, "Invalid or Expired Token", "token.invalid"},
		{"unknown profile", "GET", "/api/userAuth/public/nobody", "", n.as(n.pk, ""), 404, "User not found", "account.not_found"},
		{"refresh with nothing", "POST", "/api/userAuth/refresh-token", "", n.as(n.pk, ""), 401, "Refresh token missing", "refresh.missing"},
		{"refresh with garbage", "POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", "garbage"), 401, "Invalid refresh token format", "refresh.malformed"},
		{"schema of nothing", "GET", "/api/schemas/nothing", "", n.as(n.pk, ""), 404, "Schema/Collection not found", "collection.schema_not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := n.send(c.method, c.path, c.body, c.headers...)
			checkEnvelope(t, a)
			if a.status != c.status || a.field("reason") != c.reason || c.text != "" && a.field("error") != c.text {
				t.Fatalf("got %d %s\nwant %d %q (%s)", a.status, a.body, c.status, c.text, c.reason)
			}
		})
	}
	if got := n.send("GET", "/api/data/posts/"+post, "", n.as(n.pk, "")...).want(t, 200); got.field("userId") != aliceID || got.field("title") != "hello" {
		t.Errorf("a refused request changed the document: %s", got.body)
	}
}

// checkEnvelope holds an error answer to the one shape that every client can read.
func checkEnvelope(t *testing.T, a *answer) {
	t.Helper()
	var e struct {
		Success        *bool
		Error, Message string
		Code           int
		Reason         string
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("error body is not JSON: %s", a.body)
	}
	if e.Success == nil || *e.Success || e.Error == "" || e.Error != e.Message || e.Code != a.status || e.Reason == "" {
		t.Errorf("not the error envelope: %s", a.body)
	}
	if a.header.Get("X-Request-Id") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers are missing: %v", a.header)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
}

// TestProblemDetails: a client that asks for RFC 9457 gets it.
func TestProblemDetails(t *testing.T) {
	n := start(t, blog)
	a := n.send("GET", "/api/data/nothing", "", append(n.as(n.pk, ""), "Accept", "application/problem+json")...).want(t, 404)
	if a.header.Get("Content-Type") != "application/problem+json; charset=utf-8" || a.field("type") != "urn:sluice:collection.not_found" ||
		a.field("detail") != "Collection not found" || a.field("status") != "404" {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// TestDocuments walks one document through its life, as an app would.
func TestDocuments(t *testing.T) {
	n := start(t, blog)
	alice, aliceID := n.user("alice@example.com")
	who := n.as(n.pk, alice)

	made := n.send("POST", "/api/data/posts", `{"title":"  Hello  ","price":12.50,"big":9007199254740993,"due":"2026-01-02","nested":{}}`, who...).want(t, 201)
	id := made.field("_id")
	for path, want := range map[string]string{"title": "Hello", "userId": aliceID, "price": "12.50", "big": "9007199254740993", "tags": "[]", "due": "2026-01-02T00:00:00.000Z", "nested": "{}"} {
		if got := made.field(path); got != want {
			t.Errorf("stored %s = %s, want %s", path, got, want)
		}
	}
	got := n.send("GET", "/api/data/posts/"+id, "", n.as(n.pk, "")...).want(t, 200)
	if got.body != made.body {
		t.Errorf("GET differs from what POST answered:\n%s\n%s", got.body, made.body)
	}
	etag := got.header.Get("ETag")
	if etag == "" || etag != made.header.Get("ETag") {
		t.Errorf("ETag %q after insert's %q", etag, made.header.Get("ETag"))
	}
	n.send("GET", "/api/data/posts/"+id, "", append(n.as(n.pk, ""), "If-None-Match", etag)...).want(t, 304)
	n.send("GET", "/API/Data/posts/"+id+"/", "", n.as(n.pk, "")...).want(t, 200)
	n.send("HEAD", "/api/data/posts/"+id, "", n.as(n.pk, "")...).want(t, 200)
	n.send("GET", "/api/data/posts/"+id+"?key="+n.pk, "").want(t, 200)

	patched := n.send("PATCH", "/api/data/posts/"+id, `{"price":13,"meta.likes":5}`, append(who, "If-Match", etag)...).want(t, 200)
	if patched.field("message") != "Updated" || patched.field("data.price") != "13" || patched.field("data.meta.likes") != "5" || patched.field("data.title") != "Hello" {
		t.Errorf("PATCH answered %s", patched.body)
	}
	if patched.field("data.createdAt") != made.field("createdAt") {
		t.Error("an update changed createdAt")
	}
	n.send("PUT", "/api/data/posts/"+id, `{"price":14,"userId":"`+aliceID+`"}`, who...).want(t, 200)
	shaped := n.send("GET", "/api/data/posts/"+id+"?fields=title,meta.likes&meta=false", "", n.as(n.pk, "")...).want(t, 200)
	if shaped.body != `{"_id":"`+id+`","title":"Hello","meta":{"likes":5}}` {
		t.Errorf("fields: %s", shaped.body)
	}
	deleted := n.send("DELETE", "/api/data/posts/"+id, "", who...).want(t, 200)
	if deleted.body != `{"message":"Document deleted","id":"`+id+`"}` {
		t.Errorf("DELETE answered %s", deleted.body)
	}
	n.send("GET", "/api/data/posts/"+id, "", n.as(n.pk, "")...).want(t, 404)
}

// TestLists: filters, order, paging and count, as the contract has them.
func TestLists(t *testing.T) {
	n := start(t, blog)
	alice, _ := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	for _, body := range []string{
		`{"title":"one","price":1,"tags":["a"],"extra":"5"}`, `{"title":"two","price":2,"tags":["a","b"],"extra":5}`,
		`{"title":"three","price":3,"draft":true}`, `{"title":"four","meta":{"likes":7}}`,
	} {
		n.send("POST", "/api/data/posts", body, n.as(n.pk, alice)...).want(t, 201)
	}
	n.send("POST", "/api/data/notes", `{"text":"alice's"}`, n.as(n.pk, alice)...).want(t, 201)
	n.send("POST", "/api/data/notes", `{"text":"bob's"}`, n.as(n.pk, bob)...).want(t, 201)

	titles := func(t *testing.T, query string) string {
		t.Helper()
		a := n.send("GET", "/api/data/posts?"+query, "", n.as(n.pk, "")...).want(t, 200)
		var list struct {
			Data struct{ Items []struct{ Title string } }
		}
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range list.Data.Items {
			names = append(names, item.Title)
		}
		return strings.Join(names, " ")
	}
	for query, want := range map[string]string{
		"":                                "four three two one",
		"sort=price":                      "four one two three",
		"sort=price:desc":                 "three two one four",
		"sort=-price":                     "three two one four",
		"sort=title:asc&limit=2":          "four one",
		"limit=1&page=2":                  "three",
		"page=9":                          "",
		"price=2":                         "two",
		"price_gt=1":                      "three two",
		"price_gte=1&price_lt=3":          "two one",
		"price_ne=2":                      "four three one",
		"price_in=1,3,":                   "three one",
		"price_in=":                       "",
		"price_exists=false":              "four",
		"title=one&title=two":             "two one",
		"title_regex=^T":                  "three two",
		"tags=b":                          "two",
		"tags=a":                          "two one",
		"draft=true":                      "three",
		"meta.likes_gt=5":                 "four",
		"extra=5":                         "two one",
		"nothing=1":                       "",
		"filter[price][gte]=2":            "three two",
		"filter[title]=one":               "one",
		"sort=createdAt":                  "one two three four",
		"createdAt_gt=2020-01-01&limit=1": "four",
	} {
		if got := titles(t, query); got != want {
			t.Errorf("?%s\n got %q\nwant %q", query, got, want)
		}
	}
	a := n.send("GET", "/api/data/posts?price_gte=2&limit=1", "", n.as(n.pk, "")...).want(t, 200)
	if a.field("success") != "true" || a.field("data.total") != "2" || a.field("data.page") != "1" || a.field("data.limit") != "1" || a.field("message") != "Data fetched successfully" {
		t.Errorf("list envelope: %s", a.body)
	}
	if a = n.send("GET", "/api/data/posts?price_gte=2&limit=2", "", n.as(n.pk, "")...).want(t, 200); a.field("data.nextCursor") != "null" {
		t.Errorf("a last page that is full promises another: %s", a.body)
	}
	a = n.send("GET", "/api/data/posts?count=true&price_gte=2&limit=1", "", n.as(n.pk, "")...).want(t, 200)
	if a.body != `{"success":true,"data":{"count":2},"message":"Count fetched successfully."}` {
		t.Errorf("count: %s", a.body)
	}
	a = n.send("GET", "/api/data/notes", "", n.as(n.pk, bob)...).want(t, 200)
	if a.field("data.total") != "1" || a.field("data.items.0.text") != "bob's" {
		t.Errorf("a private list shows more than its owner's documents: %s", a.body)
	}
	a = n.send("GET", "/api/data/notes?count=true", "", n.as(n.pk, bob)...).want(t, 200)
	if a.field("data.count") != "1" {
		t.Errorf("a private count counts foreign documents: %s", a.body)
	}
	if a = n.send("GET", "/api/data/notes", "", n.as(n.sk, "")...).want(t, 200); a.field("data.total") != "2" {
		t.Errorf("a secret key sees all: %s", a.body)
	}
	if a = n.send("GET", "/api/data/posts?fields=title&meta=false&limit=1", "", n.as(n.pk, "")...).want(t, 200); strings.Contains(a.body, "createdAt") || strings.Contains(a.body, "price") {
		t.Errorf("a list ignores fields: %s", a.body)
	}
}

// TestExplain: the app's server sees how a query is found, and that a declared index is used.
func TestExplain(t *testing.T) {
	n := start(t, strings.Replace(blog, "      - {key: price, type: Number}", "      - {key: price, type: Number, index: true}", 1))
	for i := range 30 {
		n.send("POST", "/api/data/posts", fmt.Sprintf(`{"title":"t","price":%d}`, i%3), n.as(n.sk, "")...).want(t, 201)
	}
	a := n.send("GET", "/api/data/posts?price=1&limit=5&explain=true", "", n.as(n.sk, "")...).want(t, 200)
	if a.field("data.plan") != "index:price" || a.field("data.total") != "10" || a.field("data.returned") != "5" {
		t.Errorf("explain: %s", a.body)
	}
	a = n.send("GET", "/api/data/posts?title=t&explain=true", "", n.as(n.sk, "")...).want(t, 200)
	if a.field("data.plan") != "scan" || a.field("data.examined") != "30" {
		t.Errorf("explain of a scan: %s", a.body)
	}
	n.send("GET", "/api/data/posts?price=1&explain=true", "", n.as(n.pk, "")...).want(t, 403)
}

// TestAccounts: sign up, log in, who am I, what others see, refresh and log out.
func TestAccounts(t *testing.T) {
	n := start(t, blog)
	key := n.as(n.pk, "")
	header := append(key, "x-refresh-token-mode", "header")
	up := n.send("POST", "/api/userAuth/signup", `{"email":"Ann@Example.com","password":"correct horse","username":"ann","name":"Ann","role":"admin","emailVerified":true,"undeclared":1}`, header...).want(t, 201)
	if up.field("token") != up.field("accessToken") || up.field("data.refreshToken") != up.field("refreshToken") || up.field("user.name") != "Ann" || up.field("expiresIn") != "15m" {
		t.Errorf("sign up: %s", up.body)
	}
	for _, secret := range []string{"argon2", "correct horse", `"role":"admin"`, "undeclared", `"emailVerified":true`} {
		if strings.Contains(up.body, secret) {
			t.Errorf("sign up shows or accepts %s: %s", secret, up.body)
		}
	}
	if up.header.Get("Set-Cookie") != "" {
		t.Error("header mode sets a cookie")
	}
	in := n.send("POST", "/api/userAuth/login", `{"email":"ANN@example.com","password":"correct horse"}`, header...).want(t, 200)
	me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, in.field("accessToken"))...).want(t, 200)
	if me.field("email") != "ann@example.com" || strings.Contains(me.body, "password") || me.field("data.email") != "ann@example.com" {
		t.Errorf("me: %s", me.body)
	}
	profile := n.send("GET", "/api/userAuth/public/ann", "", key...).want(t, 200)
	if profile.field("username") != "ann" || strings.Contains(profile.body, "example.com") || strings.Contains(profile.body, "argon2") {
		t.Errorf("public profile: %s", profile.body)
	}

	first := in.field("refreshToken")
	next := n.send("POST", "/api/userAuth/refresh-token", "", append(key, "x-refresh-token", first)...).want(t, 200)
	second := next.field("refreshToken")
	if second == "" || second == first || next.field("accessToken") == "" {
		t.Fatalf("refresh: %s", next.body)
	}
	n.send("POST", "/api/userAuth/refresh-token", "", append(key, "x-refresh-token", second[:len(second)-4]+"0000")...).want(t, 403)
	replay := n.send("POST", "/api/userAuth/refresh-token", "", append(key, "x-refresh-token", first)...).want(t, 403)
	if replay.field("error") != "Refresh token is invalid or already used" {
		t.Errorf("replay: %s", replay.body)
	}
	n.send("POST", "/api/userAuth/refresh-token", "", append(key, "x-refresh-token", second)...).want(t, 403) // the replay ended the login

	cookie := n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, key...).want(t, 200)
	set := cookie.header.Get("Set-Cookie")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") || strings.Contains(cookie.body, "refreshToken") {
		t.Errorf("cookie mode: %q %s", set, cookie.body)
	}
	pair, _, _ := strings.Cut(set, ";")
	n.send("POST", "/api/userAuth/refresh-token", "", append(key, "Cookie", pair, "Origin", "https://evil.example")...).want(t, 403)
	again := n.send("POST", "/api/userAuth/refresh-token", "", append(key, "Cookie", pair)...).want(t, 200)
	pair, _, _ = strings.Cut(again.header.Get("Set-Cookie"), ";")
	out := n.send("POST", "/api/userAuth/logout", "", append(key, "Cookie", pair)...).want(t, 200)
	if out.field("message") != "Logged out successfully" || out.field("success") != "true" {
		t.Errorf("logout: %s", out.body)
	}
	after := n.send("POST", "/api/userAuth/refresh-token", "", append(key, "Cookie", pair)...).want(t, 403)
	if after.field("error") != "Refresh token is invalid or already used" {
		t.Errorf("refresh after logout: %s", after.body)
	}
	n.send("POST", "/api/userAuth/logout", "", append(key, "x-refresh-token", "garbage")...).want(t, 200)
}

// TestRefreshRace: of many tabs that refresh with one token at once exactly one succeeds, and since the others look like a
// thief, the login ends.
func TestRefreshRace(t *testing.T) {
	n := start(t, blog)
	n.user("ann@example.com")
	header := append(n.as(n.pk, ""), "x-refresh-token-mode", "header")
	token := n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, header...).want(t, 200).field("refreshToken")
	var tabs sync.WaitGroup
	answers := make(chan *answer, 50)
	for range cap(answers) {
		tabs.Go(func() {
			answers <- n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", token)...)
		})
	}
	tabs.Wait()
	close(answers)
	next, won := "", 0
	for a := range answers {
		switch a.status {
		case 200:
			won++
			next = a.field("refreshToken")
		case 403:
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if won != 1 {
		t.Errorf("%d refreshes of one token succeeded", won)
	}
	n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", next)...).want(t, 403)
}

// TestCORS: a page of an allowed site can read answers and errors; a page of any other cannot.
func TestCORS(t *testing.T) {
	n := start(t, strings.Replace(blog, "auth:", `allowedDomains: ["https://app.example", "*.shop.example"]`+"\nauth:", 1))
	for origin, allowed := range map[string]bool{"https://app.example": true, "https://a.shop.example": true, "https://evil.example": false, "null": false} {
		pre := n.send("OPTIONS", "/api/data/posts", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-api-key,content-type").want(t, 204)
		got := n.send("GET", "/api/data/posts", "", append(n.as(n.pk, ""), "Origin", origin)...)
		for _, a := range []*answer{pre, got} {
			want := ""
			if allowed {
				want = origin
			}
			if a.header.Get("Access-Control-Allow-Origin") != want {
				t.Errorf("%s: Allow-Origin %q (status %d)", origin, a.header.Get("Access-Control-Allow-Origin"), a.status)
			}
			if !strings.Contains(a.header.Get("Vary"), "Origin") {
				t.Errorf("%s: no Vary: Origin", origin)
			}
		}
		if allowed {
			got.want(t, http.StatusOK)
			if pre.header.Get("Access-Control-Allow-Headers") != "x-api-key,content-type" || got.header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("%s: %v %v", origin, pre.header, got.header)
			}
		} else if got.status != 403 && got.status != 400 {
			t.Errorf("%s: status %d", origin, got.status)
		}
	}
	a := n.send("GET", "/api/data/posts", "", n.as(n.pk, "")...).want(t, 403)
	if a.field("error") != "Forbidden: Origin header missing and this key is restricted to specific domains." {
		t.Error(a.body)
	}
	n.send("GET", "/api/data/posts", "", n.as(n.sk, "")...).want(t, 200)
	n.send("GET", "/api/data/posts", "", append(n.as(n.pk, ""), "Referer", "https://app.example/page?x=1")...).want(t, 200)
}

// TestSchemas: what a collection looks like, and a new one made by the app's own server.
func TestSchemas(t *testing.T) {
	n := start(t, blog)
	a := n.send("GET", "/api/schemas/posts", "", n.as(n.pk, "")...).want(t, 200)
	if a.field("collection.name") != "posts" || a.field("collection.model.0.key") != "title" || a.field("collection.rls.mode") != "public-read" || strings.Contains(a.body, `"key":""`) {
		t.Errorf("schema: %s", a.body)
	}
	made := n.send("POST", "/api/schemas", `{"name":"tasks","fields":[{"name":"title","type":"string","required":true},{"name":"code","type":"Number","unique":true}]}`, n.as(n.sk, "")...).want(t, 201)
	if made.field("message") != "Schema created successfully" || !strings.Contains(made.body, `{"name":"tasks"}`) {
		t.Errorf("create: %s", made.body)
	}
	n.send("POST", "/api/data/tasks", `{"title":"one","code":1}`, n.as(n.sk, "")...).want(t, 201)
	n.send("POST", "/api/data/tasks", `{"title":"two","code":1}`, n.as(n.sk, "")...).want(t, 409)
	n.send("POST", "/api/data/tasks", `{"code":2}`, n.as(n.sk, "")...).want(t, 400)
	n.send("POST", "/api/data/tasks", `{"title":"x"}`, n.as(n.pk, "")...).want(t, 403)
	for body, text := range map[string]string{
		`{"name":"Tasks"}`: "Collection/Schema already exists",
		`{"name":"users"}`: "Collection/Schema already exists",
		`{"name":" "}`:     "Collection Name is required",
		`{"fields":[]}`:    "Collection Name is required",
		`{"name":"a/b"}`:   "",
		`{"name":"_x"}`:    "",
		`{"name":"ok","fields":[{"name":"$a","type":"string"}]}`:                                                      "Field name must not start with '$', contain '.', or include whitespace",
		`{"name":"ok","fields":[{"name":"a.b","type":"string"}]}`:                                                     "Field name must not start with '$', contain '.', or include whitespace",
		`{"name":"ok","fields":[{"name":"a b","type":"string"}]}`:                                                     "Field name must not start with '$', contain '.', or include whitespace",
		`{"name":"ok","fields":[{"name":"","type":"string"}]}`:                                                        "Field name is required",
		`{"name":"ok","fields":[{"name":"a","type":"strong"}]}`:                                                       `Invalid option: expected one of "string"|"number"|"boolean"|"date"|"object"|"array"|"ref"`,
		`{"name":"ok","fields":[{"name":"a"}]}`:                                                                       `Invalid option: expected one of "string"|"number"|"boolean"|"date"|"object"|"array"|"ref"`,
		`{"name":"ok","fields":[{"name":"a","type":"array","unique":true}]}`:                                          "Invalid field configuration, nesting depth exceeded (max 3 levels), or unique is only supported for top-level primitive fields.",
		`{"name":"ok","fields":[{"name":"a","type":"object","fields":[{"name":"b","type":"string","unique":true}]}]}`: "Invalid field configuration, nesting depth exceeded (max 3 levels), or unique is only supported for top-level primitive fields.",
		`{"name":"ok","fields":[{"name":"a","type":"object","fields":[{"name":"b","type":"object","fields":[{"name":"c","type":"object","fields":[{"name":"d","type":"string"}]}]}]}]}`: "Invalid field configuration, nesting depth exceeded (max 3 levels), or unique is only supported for top-level primitive fields.",
		`{"name":"ok","fields":[{"name":"a","type":"ref"}]}`:                                 "Invalid field configuration, nesting depth exceeded (max 3 levels), or unique is only supported for top-level primitive fields.",
		`{"name":"ok","fields":[{"name":"a","type":"number","default":"1"}]}`:                "Default value type must match field type, and required fields cannot have defaults",
		`{"name":"ok","fields":[{"name":"a","type":"number","default":1,"required":true}]}`:  "Default value type must match field type, and required fields cannot have defaults",
		`{"name":"ok","fields":{}}`:                                                          "Invalid input: expected array, received object",
		`{"name":"ok","fields":[{"name":"a","type":"string","required":1}]}`:                 "Invalid input: expected boolean, received number",
		`{"name":"ok","fields":[{"name":"a","type":"string"},{"name":"a","type":"number"}]}`: "",
		`{"name":5}`: "Invalid input: expected string, received number",
	} {
		if a := n.send("POST", "/api/schemas", body, n.as(n.sk, "")...); a.status != 400 || text != "" && a.field("error") != text {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	n.send("POST", "/api/schemas", `{"name":"other"}`, n.as(n.pk, "")...).want(t, 403)
}

// TestBulk: many documents at once, each under the same rules as one, and all or none.
func TestBulk(t *testing.T) {
	n := start(t, blog)
	alice, aliceID := n.user("alice@example.com")
	who := n.as(n.pk, alice)
	count := func() string {
		return n.send("GET", "/api/data/posts?count=true", "", n.as(n.sk, "")...).field("data.count")
	}
	many := func(n int) string { return "[" + strings.Repeat(`{"title":"x"},`, n-1) + `{"title":"x"}]` }
	a := n.send("POST", "/api/data/posts/bulk", `[{"title":"a","slug":"a"},{"title":"b"}]`, who...).want(t, 201)
	if a.body != `{"success":true,"data":{"insertedCount":2},"message":"Bulk insert successful"}` {
		t.Errorf("bulk: %s", a.body)
	}
	n.send("POST", "/api/data/posts/bulk", many(100), who...).want(t, 201)
	if got := n.send("GET", "/api/data/posts?limit=1", "", who...).field("data.items.0.userId"); got != aliceID {
		t.Errorf("the owner was not filled in: %s", got)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"no array":        {`{"title":"x"}`, 400, "Request body must be an array of objects"},
		"not objects":     {`[1]`, 400, "Request body must be an array of objects"},
		"empty":           {`[]`, 400, "Request body cannot be empty"},
		"too many":        {many(101), 400, "Maximum 100 records allowed"},
		"bad records":     {`[{"title":"ok"},{"price":1},{"title":5}]`, 400, "Invalid records at index: 1, 2"},
		"a foreign owner": {`[{"title":"ok"},{"title":"x","userId":"aaaaaaaaaaaaaaaaaaaaaaaa"}]`, 403, "Item at index 1 must have userId equal to your user id"},
		"a taken value":   {`[{"title":"ok"},{"title":"x","slug":"a"}]`, 409, "Duplicate value violates unique constraint."},
		"twins":           {`[{"title":"ok","slug":"t"},{"title":"x","slug":"t"}]`, 409, "Duplicate value violates unique constraint."},
	} {
		before := count()
		if a := n.send("POST", "/api/data/posts/bulk", c.body, who...); a.status != c.status || a.field("error") != c.text {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if count() != before {
			t.Errorf("%s: a part was stored", name)
		}
	}
	n.send("POST", "/api/data/posts/bulk", `[{"title":"x"}]`, n.as(n.pk, "")...).want(t, 401)
	n.send("POST", "/api/data/users/bulk", `[{"title":"x"}]`, n.as(n.sk, "")...).want(t, 403)
	n.send("POST", "/api/data/open/bulk", `[{"a":1}]`, n.as(n.sk, "")...).want(t, 201)
}

// TestBatch: an order takes from the stock and writes the order, or neither.
func TestBatch(t *testing.T) {
	n := start(t, blog)
	alice, aliceID := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	post := n.send("POST", "/api/data/posts", `{"title":"p","slug":"p"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	note := n.send("POST", "/api/data/notes", `{"text":"n"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	state := func() string {
		return n.send("GET", "/api/data/posts", "", n.as(n.sk, "")...).body + n.send("GET", "/api/data/notes", "", n.as(n.sk, "")...).body
	}
	for name, c := range map[string]struct {
		body, token  string
		status       int
		text, reason string
	}{
		"no operations":        {`{}`, alice, 400, "", "batch.malformed"},
		"an array":             {`[]`, alice, 400, "", "batch.malformed"},
		"an unknown verb":      {`{"operations":[{"op":"drop","collection":"posts"}]}`, alice, 400, "", "batch.malformed"},
		"users":                {`{"operations":[{"op":"insert","collection":"Users","data":{}}]}`, alice, 403, "", "collection.users_reserved"},
		"a system collection":  {`{"operations":[{"op":"insert","collection":"_sessions","data":{}}]}`, alice, 404, "", "collection.not_found"},
		"one bad of two":       {`{"operations":[{"op":"update","collection":"notes","id":"` + note + `","data":{"text":"x"}},{"op":"insert","collection":"posts","data":{"price":1}}]}`, alice, 400, "Operation 1: Field 'title' is required.", "schema.invalid"},
		"one of another owner": {`{"operations":[{"op":"insert","collection":"posts","data":{"title":"mine"}},{"op":"delete","collection":"posts","id":"` + post + `"}]}`, bob, 403, "Operation 1: You can only modify your own document.", "rls.not_owner"},
		"a taken value":        {`{"operations":[{"op":"insert","collection":"notes","data":{"text":"x"}},{"op":"insert","collection":"posts","data":{"title":"x","slug":"p"}}]}`, alice, 409, "", "document.duplicate"},
		"one document twice":   {`{"operations":[{"op":"update","collection":"notes","id":"` + note + `","data":{"text":"x"}},{"op":"delete","collection":"notes","id":"` + note + `"}]}`, alice, 400, "", "batch.same_document"},
		"nobody":               {`{"operations":[{"op":"insert","collection":"posts","data":{"title":"x"}}]}`, "", 401, "", "token.required_for_write"},
	} {
		before := state()
		a := n.send("POST", "/api/batch", c.body, n.as(n.pk, c.token)...)
		if a.status != c.status || a.field("reason") != c.reason || c.text != "" && a.field("error") != c.text {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if state() != before {
			t.Errorf("%s: a part was stored", name)
		}
	}
	a := n.send("POST", "/api/batch", `{"operations":[{"op":"update","collection":"posts","id":"`+post+`","data":{"price":3}},{"op":"insert","collection":"posts","data":{"title":"q"}},{"op":"delete","collection":"notes","id":"`+note+`"}]}`, n.as(n.pk, alice)...).want(t, 200)
	if a.field("data.results.0.price") != "3" || a.field("data.results.1.userId") != aliceID || a.field("data.results.2.id") != note {
		t.Errorf("batch: %s", a.body)
	}
	n.send("GET", "/api/data/notes/"+note, "", n.as(n.sk, "")...).want(t, 404)
}

// TestIdempotency: a client that lost the answer sends the request again, and nothing happens twice.
func TestIdempotency(t *testing.T) {
	n := start(t, blog)
	alice, _ := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	count := func() string {
		return n.send("GET", "/api/data/posts?count=true", "", n.as(n.sk, "")...).field("data.count")
	}
	with := func(token, key string) []string { return append(n.as(n.pk, token), "Idempotency-Key", key) }
	const body = `{"title":"once"}`
	first := n.send("POST", "/api/data/posts", body, with(alice, "k1")...).want(t, 201)
	again := n.send("POST", "/api/data/posts", body, with(alice, "k1")...).want(t, 201)
	if again.body != first.body || again.header.Get("ETag") != first.header.Get("ETag") || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("the second answer differs:\n%s %v\n%s %v", first.body, first.header, again.body, again.header)
	}
	if a := n.send("POST", "/api/data/posts", `{"title":"other"}`, with(alice, "k1")...); a.status != 422 || a.field("reason") != "idempotency.other_request" {
		t.Errorf("another body under the same key: %d %s", a.status, a.body)
	}
	n.send("POST", "/api/data/posts", body, with(bob, "k1")...).want(t, 201) // a key is its caller's own
	bulk := n.send("POST", "/api/data/posts/bulk", `[{"title":"a"},{"title":"b"}]`, with(alice, "k2")...).want(t, 201)
	if a := n.send("POST", "/api/data/posts/bulk", `[{"title":"a"},{"title":"b"}]`, with(alice, "k2")...).want(t, 201); a.body != bulk.body {
		t.Errorf("bulk again: %s", a.body)
	}
	batch := `{"operations":[{"op":"insert","collection":"posts","data":{"title":"c"}}]}`
	one := n.send("POST", "/api/batch", batch, with(alice, "k3")...).want(t, 200)
	if a := n.send("POST", "/api/batch", batch, with(alice, "k3")...).want(t, 200); a.body != one.body {
		t.Errorf("batch again: %s", a.body)
	}
	n.send("POST", "/api/data/posts", `{"price":1}`, with(alice, "k4")...).want(t, 400)
	n.send("POST", "/api/data/posts", `{"title":"a refusal is not kept"}`, with(alice, "k4")...).want(t, 201)
	n.send("POST", "/api/data/posts", body, with(alice, strings.Repeat("k", 256))...).want(t, 400)
	if got := count(); got != "6" {
		t.Errorf("%s posts, want 6", got)
	}
	var twins sync.WaitGroup
	for range 20 {
		twins.Go(func() {
			if a := n.send("POST", "/api/data/posts", `{"title":"twin"}`, with(alice, "k5")...); a.status != 201 {
				t.Errorf("a twin: %d %s", a.status, a.body)
			}
		})
	}
	twins.Wait()
	if got := count(); got != "7" {
		t.Errorf("20 requests with one key made the posts %s, want 7", got)
	}
}

// TestOperators: two visitors raise a counter at once, and both count.
func TestOperators(t *testing.T) {
	n := start(t, blog)
	doc := n.send("POST", "/api/data/open", `{"views":0,"tags":["a"]}`, n.as(n.sk, "")...).want(t, 201).field("_id")
	var visitors sync.WaitGroup
	for range 4 {
		visitors.Go(func() {
			for range 50 {
				if a := n.send("PATCH", "/api/data/open/"+doc, `{"views":{"$inc":1}}`, n.as(n.sk, "")...); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	visitors.Wait()
	a := n.send("PATCH", "/api/data/open/"+doc, `{"tags":{"$push":"b"},"gone":{"$unset":1}}`, n.as(n.sk, "")...).want(t, 200)
	if a.field("data.views") != "200" || a.field("data.tags") != `["a","b"]` {
		t.Errorf("after 200 visits: %s", a.body)
	}
}

// TestCursors: following nextCursor shows every document once, in any order, while others are inserted.
func TestCursors(t *testing.T) {
	n := start(t, blog)
	alice, _ := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	for i := range 25 {
		n.send("POST", "/api/data/notes", fmt.Sprintf(`{"text":"n%02d","n":%d}`, i, i%3), n.as(n.pk, alice)...).want(t, 201)
	}
	for _, order := range []string{"", "sort=n&", "sort=-n,text&", "sort=missing&", "n_lt=2&sort=n:desc&"} {
		seen := map[string]int{}
		cursor, pages := "", 0
		for {
			a := n.send("GET", "/api/data/notes?"+order+"limit=7"+cursor, "", n.as(n.pk, alice)...).want(t, 200)
			for i := range 7 {
				if text := a.field(fmt.Sprintf("data.items.%d.text", i)); text != "" && text != "null" {
					seen[text]++
				}
			}
			if pages++; pages == 2 {
				n.send("POST", "/api/data/notes", `{"text":"late","n":9}`, n.as(n.pk, bob)...).want(t, 201)
			}
			next := a.field("data.nextCursor")
			if next == "null" || pages > 10 {
				break
			}
			cursor = "&cursor=" + next
		}
		want := 25
		if strings.HasPrefix(order, "n_lt") {
			want = 17
		}
		if len(seen) != want {
			t.Errorf("%s: %d documents in %d pages, want %d", order, len(seen), pages, want)
		}
		for text, times := range seen {
			if times != 1 {
				t.Errorf("%s: %s came %d times", order, text, times)
			}
		}
	}
	next := n.send("GET", "/api/data/notes?limit=5", "", n.as(n.pk, alice)...).want(t, 200).field("data.nextCursor")
	for name, path := range map[string]string{
		"another order":  "/api/data/notes?limit=5&sort=text&cursor=" + next,
		"another filter": "/api/data/notes?limit=5&n=1&cursor=" + next,
		"tampered":       "/api/data/notes?limit=5&cursor=" + next[:len(next)-2] + "zz",
		"made up":        "/api/data/notes?limit=5&cursor=hello",
	} {
		if a := n.send("GET", path, "", n.as(n.pk, alice)...); a.status != 400 || a.field("reason") != "query.invalid_cursor" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := n.send("GET", "/api/data/notes?limit=5&cursor="+next, "", n.as(n.pk, bob)...); a.status != 400 {
		t.Errorf("another user's cursor: %d %s", a.status, a.body)
	}
}

// TestPopulate: a reference becomes the document, as far as the caller could read that document itself.
func TestPopulate(t *testing.T) {
	n := start(t, blog+`
  - name: comments
    fields:
      - {key: text, type: String}
      - {key: post, type: Ref, ref: posts}
      - {key: note, type: Ref, ref: notes}
      - {key: by, type: Ref, ref: users}
      - {key: posts, type: Array, items: {type: Ref, ref: posts}}
      - {key: in, type: Object, fields: [{key: post, type: Ref, ref: posts}]}
      - {key: userId, type: String}
    rls: {enabled: true, mode: public-read}
`)
	alice, aliceID := n.user("alice@example.com")
	bob, _ := n.user("bob@example.com")
	post := n.send("POST", "/api/data/posts", `{"title":"P"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	note := n.send("POST", "/api/data/notes", `{"text":"N"}`, n.as(n.pk, alice)...).want(t, 201).field("_id")
	const gone = "aaaaaaaaaaaaaaaaaaaaaaaa"
	id := n.send("POST", "/api/data/comments", fmt.Sprintf(`{"text":"c","post":%q,"note":%q,"by":%q,"posts":[%q,%q],"in":{"post":%q}}`, post, note, aliceID, post, gone, post), n.as(n.pk, alice)...).want(t, 201).field("_id")
	const all = "?populate=post,note,by&expand=posts,in.post,text"
	for name, a := range map[string]*answer{
		"one":  n.send("GET", "/api/data/comments/"+id+all, "", n.as(n.pk, alice)...).want(t, 200),
		"list": n.send("GET", "/api/data/comments"+all, "", n.as(n.pk, alice)...).want(t, 200),
	} {
		prefix := ""
		if name == "list" {
			prefix = "data.items.0."
		}
		for path, want := range map[string]string{"post.title": "P", "note.text": "N", "by._id": aliceID, "posts.0.title": "P", "posts.1": "null", "in.post.title": "P", "text": "c"} {
			if got := a.field(prefix + path); got != want {
				t.Errorf("%s: %s = %q, want %q in %s", name, path, got, want, a.body)
			}
		}
		if strings.Contains(a.body, "example.com") || strings.Contains(a.body, "argon2") {
			t.Errorf("%s shows more of a user than its profile: %s", name, a.body)
		}
	}
	for who, token := range map[string]string{"another user": bob, "nobody": ""} {
		if got := n.send("GET", "/api/data/comments/"+id+"?populate=note", "", n.as(n.pk, token)...).want(t, 200).field("note"); got != note {
			t.Errorf("%s sees a private document by reference: %s", who, got)
		}
	}
	n.send("GET", "/api/data/comments?populate=nothing", "", n.as(n.pk, "")...).want(t, 400)
}
