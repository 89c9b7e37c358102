package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

const appOrigin = "http://localhost:5173"

var (
	reasonForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
	// internals must never reach a caller: stack traces, source files, paths, names of what is inside.
	internals = regexp.MustCompile(`goroutine|\.go:|/home/|/tmp/|/root/|panic|bbolt|wazero|fasthttp|jsondoc|runtime error|0x[0-9a-f]{6}`)
)

// checkEnvelope asserts the error envelope that every refusal has, on every route.
func checkEnvelope(t *testing.T, a *answer) {
	t.Helper()
	var e struct {
		Success *bool
		Error   string
		Message string
		Code    int
		Reason  string
	}
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%d is no envelope: %q", a.status, a.body)
	}
	if e.Success == nil || *e.Success || e.Error == "" || e.Error != e.Message || e.Code != a.status || !reasonForm.MatchString(e.Reason) {
		t.Errorf("envelope of %d: %s", a.status, a.body)
	}
	var members map[string]any
	if err := json.Unmarshal(a.body, &members); err != nil || len(members) != 5 {
		t.Errorf("envelope has other members: %s", a.body)
	}
	if found := internals.FindString(string(a.body)); found != "" {
		t.Errorf("the answer shows internals (%q): %s", found, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("Content-Type: %q", got)
	}
	if a.header.Get("X-Request-Id") == "" {
		t.Error("no x-request-id")
	}
}

func checkCORS(t *testing.T, a *answer) {
	t.Helper()
	if got := a.header.Get("Access-Control-Allow-Origin"); got != appOrigin {
		t.Errorf("Access-Control-Allow-Origin: %q: a page could not read this answer", got)
	}
	if a.header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(a.header.Get("Vary"), "Origin") {
		t.Errorf("CORS headers: %v", a.header)
	}
}

func TestBadInput(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	other := applyFile(t, n, "testdata/units.yaml")
	token, userID := signUp(t, n.URL, k.PublishableKey, "ada@example.com")
	otherToken, _ := signUp(t, n.URL, k.PublishableKey, "eve@example.com")
	bearer := "Bearer " + token
	post := send(t, "POST", n.URL+"/api/data/posts", []byte(`{"title":"mine","price":1}`), "x-api-key", k.PublishableKey, "Authorization", bearer)
	note := send(t, "POST", n.URL+"/api/data/notes", []byte(`{"text":"mine"}`), "x-api-key", k.PublishableKey, "Authorization", bearer)
	if post.status != 201 || note.status != 201 {
		t.Fatalf("%s %s", post.body, note.body)
	}
	thePost, theNote := "/api/data/posts/"+post.text(t, "_id"), "/api/data/notes/"+note.text(t, "_id")

	const posts, missing = "/api/data/posts", "000000000000000000000000"
	pk, sk := k.PublishableKey, k.SecretKey
	type row struct {
		name, method, path, body string
		status                   int
		error, reason            string   // "" is not compared
		headers                  []string // pairs; a user's insert by default
	}
	asUser := []string{"x-api-key", pk, "Authorization", bearer}
	asNobody := []string{"x-api-key", pk}
	asServer := []string{"x-api-key", sk}
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	deepArray := `{"title":"x","a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	rows := []row{
		// the key
		{"no key", "GET", posts, "", 401, "API key not found", "key.missing", nil},
		{"an empty key", "GET", posts, "", 401, "API key not found", "key.missing", []string{"x-api-key", ""}},
		{"an unknown key", "GET", posts, "", 401, "API key is expired or invalid.", "key.unknown", []string{"x-api-key", "pk_live_" + strings.Repeat("A", 43)}},
		{"a key with a space", "GET", posts, "", 401, "API key is expired or invalid.", "key.unknown", []string{"x-api-key", pk[:20] + " " + pk[20:]}},
		{"a giant key", "GET", posts, "", 401, "API key is expired or invalid.", "key.unknown", []string{"x-api-key", strings.Repeat("k", 8000)}},
		{"a key as a bearer token", "GET", posts, "", 401, "API key not found", "key.missing", []string{"Authorization", "Bearer " + pk}},
		{"a secret key in the URL", "GET", posts + "?key=" + sk, "", 401, "API key not found", "key.missing", nil},
		{"two keys", "GET", posts, "", 400, "", "request.duplicate_header", []string{"x-api-key", pk, "x-api-key", sk}},
		{"another project's key", "GET", posts, "", 404, "Collection not found", "collection.not_found", []string{"x-api-key", other.SecretKey}},
		{"another project's key and this one's token", "GET", "/api/data/units", "", 401, "Invalid or Expired Token", "token.invalid", []string{"x-api-key", other.PublishableKey, "Authorization", bearer}},

		// the token
		{"no token for a write", "POST", posts, `{"title":"x"}`, 401, "Provide a valid user Bearer token for write operations.", "token.required_for_write", asNobody},
		{"a garbage token for a write", "POST", posts, `{"title":"x"}`, 401, "Provide a valid user Bearer token for write operations.", "token.required_for_write", []string{"x-api-key", pk, "Authorization", "Bearer a.b.c"}},
		{"a garbage token for a public read", "GET", posts, "", 401, "Invalid or Expired Token", "token.invalid", []string{"x-api-key", pk, "Authorization", "Bearer a.b.c"}},
		{"a changed token", "GET", posts, "", 401, "Invalid or Expired Token", "token.invalid", []string{"x-api-key", pk, "Authorization", bearer + "x"}},
		{"an unsigned token", "GET", posts, "", 401, "Invalid or Expired Token", "token.invalid", []string{"x-api-key", pk, "Authorization", "Bearer eyJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + "."}},
		{"a token without its scheme", "GET", "/api/userAuth/me", "", 401, "", "", []string{"x-api-key", pk, "Authorization", token}},
		{"me without a token", "GET", "/api/userAuth/me", "", 401, "Access Denied: No Token Provided", "token.missing", asNobody},
		{"private read without a token", "GET", "/api/data/notes", "", 401, "Provide a valid user Bearer token for private reads.", "token.required_for_read", asNobody},

		// the JSON
		{"half an object", "POST", posts, `{"title":`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"something after the object", "POST", posts, `{"title":"x"} y`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"two objects", "POST", posts, `{"title":"x"}{"title":"y"}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"a bare string", "POST", posts, `"title"`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"null", "POST", posts, `null`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"single quotes", "POST", posts, `{'title':'x'}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"a trailing comma", "POST", posts, `{"title":"x",}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"a comment", "POST", posts, `{"title":"x"/**/}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"NaN", "POST", posts, `{"title":"x","price":NaN}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"a leading zero", "POST", posts, `{"title":"x","price":01}`, 400, "", "", nil},
		{"a byte order mark", "POST", posts, "\ufeff" + `{"title":"x"}`, 400, "Invalid JSON format", "body.malformed_json", nil},
		{"a key twice", "POST", posts, `{"title":"x","title":"y"}`, 400, "", "body.duplicate_key", nil},
		{"a key twice, escaped", "POST", posts, `{"title":"x","t\u0069tle":"y"}`, 400, "", "body.duplicate_key", nil},
		{"a key twice, inside", "POST", posts, `{"title":"x","meta":{"likes":1,"likes":2}}`, 400, "", "body.duplicate_key", nil},
		{"a deep object", "POST", posts, deep, 400, "", "body.too_deep", nil},
		{"a deep array", "POST", posts, deepArray, 400, "", "body.too_deep", nil},
		{"broken UTF-8", "POST", posts, "{\"title\":\"\xff\xfe\"}", 400, "", "body.bad_text", nil},
		{"half a surrogate pair", "POST", posts, `{"title":"\ud800"}`, 400, "", "body.bad_text", nil},
		{"a raw control character", "POST", posts, "{\"title\":\"a\x01b\"}", 400, "", "body.bad_text", nil},
		{"a giant number", "POST", posts, `{"title":"x","price":1e999999}`, 400, "", "", nil},
		{"a number of a megabyte", "POST", posts, `{"title":"x","price":` + strings.Repeat("9", 1<<20-100) + `}`, 400, "", "", nil},
		{"malformed JSON comes before a missing key", "POST", posts, `{`, 400, "Invalid JSON format", "body.malformed_json", []string{}},
		{"no body", "POST", posts, "", 400, "", "", nil},
		{"plain text", "POST", posts, `{"title":"x"}`, 400, "", "", append([]string{"Content-Type", "text/plain"}, asUser...)},
		{"XML", "POST", posts, `<title>x</title>`, 415, "", "body.unsupported_type", append([]string{"Content-Type", "application/xml"}, asUser...)},
		{"an array", "POST", posts, `[{"title":"x"}]`, 400, "", "", nil},
		{"an empty array", "POST", posts, `[]`, 400, "", "", nil},

		// the keys of a document
		{"a NUL in a key", "POST", posts, `{"title":"x","a\u0000b":1}`, 400, "", "", nil},
		{"a byte order mark in a key", "POST", posts, `{"title":"x","\ufeffuserId":"` + missing + `"}`, 400, "", "", nil},
		{"a space before a key", "POST", posts, `{"title":"x"," userId":"` + missing + `"}`, 400, "", "", nil},
		{"an operator as a key", "POST", posts, `{"title":"x","$where":"1"}`, 400, "", "", nil},
		{"an operator as a key, inside", "POST", posts, `{"title":"x","meta":{"$gt":1}}`, 400, "", "", nil},
		{"a dot in a key of an insert", "POST", posts, `{"title":"x","meta.likes":1}`, 400, "", "", nil},
		{"an empty key", "POST", posts, `{"title":"x","":1}`, 400, "", "", nil},

		// the schema
		{"a missing field", "POST", posts, `{"price":1}`, 400, "Field 'title' is required.", "schema.invalid", nil},
		{"a blank field", "POST", posts, `{"title":" \t "}`, 400, "Field 'title' is required.", "schema.invalid", nil},
		{"a null field", "POST", posts, `{"title":null}`, 400, "Field 'title' is required.", "schema.invalid", nil},
		{"a number for a string", "POST", posts, `{"title":5}`, 400, "Field 'title' must be a String.", "schema.invalid", nil},
		{"an operator object for a string", "POST", posts, `{"title":{"a":1}}`, 400, "Field 'title' must be a String.", "schema.invalid", nil},
		{"a string for a number", "POST", posts, `{"title":"x","price":"5"}`, 400, "Field 'price' must be a Number.", "schema.invalid", nil},
		{"a string for a boolean", "POST", posts, `{"title":"x","published":"true"}`, 400, "Field 'published' must be a Boolean.", "schema.invalid", nil},
		{"a string for an object", "POST", posts, `{"title":"x","meta":"a"}`, 400, "Field 'meta' must be an Object.", "schema.invalid", nil},
		{"a wrong type inside", "POST", posts, `{"title":"x","meta":{"likes":"many"}}`, 400, "Field 'likes' must be a Number.", "schema.invalid", nil},
		{"a wrong array item", "POST", posts, `{"title":"x","tags":["a",5]}`, 400, "Field 'tags[1]' must be a String.", "schema.invalid", nil},
		{"a wrong reference", "POST", posts, `{"title":"x","author":"me"}`, 400, "Field 'author' must be a valid reference ID (ObjectId).", "schema.invalid", nil},
		{"a wrong type in an update", "PATCH", thePost, `{"price":"5"}`, 400, "Field 'price' must be a Number.", "schema.invalid", nil},
		{"a required field taken away", "PATCH", thePost, `{"title":null}`, 400, "Field 'title' is required.", "schema.invalid", nil},
		{"another id in an update", "PATCH", thePost, `{"_id":"` + missing + `"}`, 400, "Field '_id' cannot be changed.", "schema.invalid", nil},
		{"a path through a scalar", "PATCH", thePost, `{"title.a":1}`, 400, "", "schema.invalid", nil},

		// the owner
		{"an insert for somebody else", "POST", posts, `{"title":"x","userId":"` + missing + `"}`, 403, "Item at index 0 must have userId equal to your user id", "rls.owner_mismatch", nil},
		{"an owner of another type", "POST", posts, `{"title":"x","userId":{"a":1}}`, 403, "Item at index 0 must have userId equal to your user id", "rls.owner_mismatch", nil},
		{"a document given away", "PATCH", thePost, `{"userId":"` + missing + `"}`, 403, "userId cannot be changed under RLS.", "rls.owner_immutable", nil},
		{"an owner taken away", "PATCH", thePost, `{"userId":null}`, 403, "userId cannot be changed under RLS.", "rls.owner_immutable", nil},
		{"an update of another's document", "PATCH", thePost, `{"title":"x"}`, 403, "You can only modify your own document.", "rls.not_owner", []string{"x-api-key", pk, "Authorization", "Bearer " + otherToken}},
		{"a delete of another's document", "DELETE", thePost, "", 403, "You can only modify your own document.", "rls.not_owner", []string{"x-api-key", pk, "Authorization", "Bearer " + otherToken}},
		{"another's private document", "GET", theNote, "", 404, "Document not found.", "document.not_found", []string{"x-api-key", pk, "Authorization", "Bearer " + otherToken}},
		{"an update of another's private document", "PATCH", theNote, `{"text":"x"}`, 404, "Document not found.", "document.not_found", []string{"x-api-key", pk, "Authorization", "Bearer " + otherToken}},
		{"a delete of another's private document", "DELETE", theNote, "", 404, "Document not found.", "document.not_found", []string{"x-api-key", pk, "Authorization", "Bearer " + otherToken}},
		{"a publishable write without access rules", "POST", "/api/data/settings", `{"name":"x"}`, 403, "Enable RLS for this collection to allow publishable-key writes.", "rls.required", nil},

		// the path
		{"an unknown collection", "GET", "/api/data/nowhere", "", 404, "Collection not found", "collection.not_found", nil},
		{"an unknown collection, written to", "POST", "/api/data/nowhere", `{"a":1}`, 404, "Collection not found", "collection.not_found", nil},
		{"accounts as documents", "GET", "/api/data/users", "", 403, "Use /api/userAuth endpoints for users collection operations.", "collection.users_reserved", nil},
		{"accounts as documents, in capitals", "GET", "/api/data/USERS", "", 403, "Use /api/userAuth endpoints for users collection operations.", "collection.users_reserved", asServer},
		{"accounts as documents, escaped", "GET", "/api/data/%75sers", "", 403, "Use /api/userAuth endpoints for users collection operations.", "collection.users_reserved", nil},
		{"the system's own collection", "GET", "/api/data/_sessions", "", 404, "Collection not found", "collection.not_found", asServer},
		{"a NUL in a name", "GET", "/api/data/po%00sts", "", 400, "", "request.malformed_path", nil},
		{"a slash in a name", "GET", "/api/data/a%2fb", "", 400, "", "request.malformed_path", nil},
		{"a walk upwards", "GET", "/api/data/%2e%2e/posts", "", 400, "", "request.malformed_path", nil},
		{"an empty segment", "GET", "/api//data/posts", "", 400, "", "request.malformed_path", nil},
		{"a long name", "GET", "/api/data/" + strings.Repeat("a", 5000), "", 404, "", "", nil},
		{"a bad id", "GET", posts + "/42", "", 400, "Invalid ID format.", "document.invalid_id", nil},
		{"a bad id for an update", "PATCH", posts + "/42", `{"title":"x"}`, 400, "Invalid ID format.", "document.invalid_id", nil},
		{"a bad id for a delete", "DELETE", posts + "/zzzzzzzzzzzzzzzzzzzzzzzz", "", 400, "Invalid ID format.", "document.invalid_id", nil},
		{"a missing id", "GET", posts + "/" + missing, "", 404, "Document not found.", "document.not_found", nil},
		{"a missing id for an update", "PUT", posts + "/" + missing, `{"title":"x"}`, 404, "Document not found.", "document.not_found", nil},
		{"a missing id for a delete", "DELETE", posts + "/" + missing, "", 404, "Document not found.", "document.not_found", nil},
		{"an unknown route", "GET", "/api/nothing", "", 404, "Not Found", "route.not_found", nil},
		{"a wrong method", "DELETE", posts, "", 405, "Method Not Allowed", "route.method_not_allowed", nil},
		{"an unknown method", "BREW", posts, "", 405, "", "route.method_not_allowed", nil},

		// the query
		{"text for a number", "GET", posts + "?price=cheap", "", 400, "", "query.invalid", nil},
		{"text for a boolean", "GET", posts + "?published=maybe", "", 400, "", "query.invalid", nil},
		{"a bad id in a filter", "GET", posts + "?author=me", "", 400, "", "query.invalid", nil},
		{"a bad exists", "GET", posts + "?price_exists=maybe", "", 400, `Invalid value for "price_exists"; expected "true" or "false".`, "query.invalid", nil},
		{"a bad pattern", "GET", posts + "?title_regex=%5B", "", 400, `Invalid regex pattern for "title_regex".`, "query.invalid", nil},
		{"a long pattern", "GET", posts + "?title_regex=" + strings.Repeat("a", 129), "", 400, `Regex pattern for "title_regex" exceeds 128 characters.`, "query.invalid", nil},
		{"a negative page", "GET", posts + "?page=-1", "", 400, "", "query.invalid", nil},
		{"a giant page", "GET", posts + "?page=99999999999999999999", "", 400, "", "query.invalid", nil},
		{"mixed fields", "GET", thePost + "?fields=title,-price", "", 400, "", "query.invalid", nil},

		// accounts
		{"a signup without a body", "POST", "/api/userAuth/signup", "", 400, "", "", asNobody},
		{"a signup without an address", "POST", "/api/userAuth/signup", `{"password":"correct horse"}`, 400, "Invalid input: expected string, received undefined", "", asNobody},
		{"a signup with a number for a password", "POST", "/api/userAuth/signup", `{"email":"a@example.com","password":12345678}`, 400, "Invalid input: expected string, received number", "", asNobody},
		{"a signup with a bad address", "POST", "/api/userAuth/signup", `{"email":"nobody","password":"correct horse"}`, 400, "Invalid email format.", "account.invalid", asNobody},
		{"a signup with line breaks in the address", "POST", "/api/userAuth/signup", `{"email":"a@example.com\r\nBcc: b@example.com","password":"correct horse"}`, 400, "Invalid email format.", "account.invalid", asNobody},
		{"a signup with a short password", "POST", "/api/userAuth/signup", `{"email":"a@example.com","password":"1234567"}`, 400, "Password must be at least 8 characters.", "account.invalid", asNobody},
		{"a signup for an address in use", "POST", "/api/userAuth/signup", `{"email":"ADA@example.com","password":"correct horse"}`, 400, "User already exists with this email.", "account.exists", asNobody},
		{"a login with an operator for a password", "POST", "/api/userAuth/login", `{"email":"ada@example.com","password":{"$ne":null}}`, 400, "", "", asNobody},
		{"a login with a wrong password", "POST", "/api/userAuth/login", `{"email":"ada@example.com","password":"wrong horse"}`, 400, "Invalid email or password", "account.bad_credentials", asNobody},
		{"a login of nobody", "POST", "/api/userAuth/login", `{"email":"nobody@example.com","password":"wrong horse"}`, 400, "Invalid email or password", "account.bad_credentials", asNobody},
		{"a login with a giant password", "POST", "/api/userAuth/login", `{"email":"ada@example.com","password":"` + strings.Repeat("x", 500_000) + `"}`, 400, "", "", asNobody},
		{"a refresh without a token", "POST", "/api/userAuth/refresh-token", "", 401, "Refresh token missing", "refresh.missing", asNobody},
		{"a refresh with garbage", "POST", "/api/userAuth/refresh-token", "", 401, "Invalid refresh token format", "refresh.malformed", []string{"x-api-key", pk, "x-refresh-token", "garbage"}},
		{"a refresh with a stranger's token", "POST", "/api/userAuth/refresh-token", "", 401, "Refresh session not found", "refresh.unknown", []string{"x-api-key", pk, "x-refresh-token", "123e4567-e89b-42d3-a456-426614174000." + strings.Repeat("0", 64)}},
		{"the profile of nobody", "GET", "/api/userAuth/public/nobody", "", 404, "User not found", "account.not_found", asNobody},
		{"accounts where they are off", "POST", "/api/userAuth/login", `{"email":"a@example.com","password":"correct horse"}`, 403, "", "auth.disabled", []string{"x-api-key", other.PublishableKey}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			headers := r.headers
			if headers == nil {
				headers = asUser
			}
			switch r.name {
			case "no key", "a secret key in the URL":
				headers = nil
			}
			a := send(t, r.method, n.URL+r.path, []byte(r.body), append([]string{"Origin", appOrigin}, headers...)...)
			if a.status != r.status {
				t.Fatalf("status %d, want %d: %.300s", a.status, r.status, a.body)
			}
			checkEnvelope(t, a)
			checkCORS(t, a)
			if got := a.text(t, "error"); r.error != "" && got != r.error {
				t.Errorf("error %q, want %q", got, r.error)
			}
			if got := a.text(t, "reason"); r.reason != "" && got != r.reason {
				t.Errorf("reason %q, want %q", got, r.reason)
			}
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	t.Run("problem details for who asks for them", func(t *testing.T) {
		a := send(t, "GET", n.URL+posts+"/42", nil, "x-api-key", pk, "Accept", "application/problem+json")
		var p struct {
			Type, Title, Detail string
			Status              int
		}
		if err := json.Unmarshal(a.body, &p); err != nil || p.Status != 400 || p.Detail != "Invalid ID format." || p.Type == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
			t.Fatalf("%v: %s", err, a.body)
		}
	})
	t.Run("nothing of this was written", func(t *testing.T) {
		for collection, want := range map[string]int{"posts": 1, "notes": 1, "settings": 0} {
			a := send(t, "GET", n.URL+"/api/data/"+collection+"?count=true", nil, "x-api-key", sk)
			if want := fmt.Sprintf(`"count":%d`, want); a.status != 200 || !strings.Contains(string(a.body), want) {
				t.Errorf("%s: want %s: %d %s", collection, want, a.status, a.body)
			}
		}
		for path, body := range map[string]*answer{thePost: post, theNote: note} {
			if a := send(t, "GET", n.URL+path, nil, "x-api-key", sk); string(a.body) != string(body.body) {
				t.Errorf("%s changed: %s -> %s", path, body.body, a.body)
			}
		}
		if a := send(t, "GET", n.URL+"/api/userAuth/me", nil, asUser...); a.status != 200 || a.text(t, "_id") != userID {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("the log holds no secret", func(t *testing.T) {
		for _, s := range []string{pk, sk, token, "correct horse", "wrong horse"} {
			if strings.Contains(n.log.String(), s) {
				t.Errorf("the log holds %.12s…", s)
			}
		}
		if strings.Contains(n.log.String(), "panic") {
			t.Errorf("a panic:\n%s", n.log)
		}
	})
}

// TestRawRequests sends what no HTTP client would.
func TestRawRequests(t *testing.T) {
	n := startNode(t, "--dir", t.TempDir())
	k := applyFile(t, n, "testdata/blog.yaml")
	addr := strings.TrimPrefix(n.URL, "http://")
	key := "x-api-key: " + k.SecretKey + "\r\n"
	for _, c := range []struct {
		name, request string
		status        int // 0: the connection may simply be closed
	}{
		{"not HTTP", "hello\r\n\r\n", 0},
		{"a TLS handshake", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0},
		{"a giant header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		{"length and chunks together", "POST /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"two lengths", "POST /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400},
		{"a negative length", "POST /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: -1\r\n\r\n{}", 400},
		{"a folded header", "GET /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "X: a\r\n b\r\n\r\n", 400},
		{"a bad escape in the path", "GET /api/data/po%zzsts HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 400},
		{"a broken escape in the path", "GET /api/data/posts%4 HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 400},
		{"a space in the path", "GET /api/data/po sts HTTP/1.1\r\nHost: a\r\n" + key + "\r\n", 400},
		// Only the beginning of the body is sent: a client that is still writing when the answer comes may miss it.
		{"a body of one byte too many", "POST /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: 1048577\r\n\r\n{", 413},
		{"a login of one byte too many", "POST /api/userAuth/login HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: 1048577\r\n\r\n{", 413},
		{"a declared giant", "POST /api/data/posts HTTP/1.1\r\nHost: a\r\n" + key + "Content-Length: 99999999999\r\n\r\n{", 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			// The node may answer and close while this is still being written.
			go func() { _, _ = io.WriteString(conn, c.request) }()
			if c.name == "a TLS handshake" {
				time.AfterFunc(200*time.Millisecond, func() { _ = conn.(*net.TCPConn).CloseWrite() })
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				if c.status != 0 {
					t.Fatalf("no answer: %v", err)
				}
				return
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode < 400 || c.status != 0 && resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, c.status, body)
			}
			checkEnvelope(t, &answer{resp.StatusCode, resp.Header, body})
		})
	}
	t.Run("a body of exactly the limit is taken", func(t *testing.T) {
		const frame = `{"title":""}`
		body := `{"title":"` + strings.Repeat("x", 1<<20-len(frame)) + `"}`
		if a := send(t, "POST", n.URL+"/api/data/posts", []byte(body), "x-api-key", k.SecretKey); a.status != 201 {
			t.Fatalf("%d bytes: %d %.200s", len(body), a.status, a.body)
		}
	})
	if a := send(t, "GET", n.URL+"/livez", nil); a.status != 200 {
		t.Fatalf("after all of this: %d %s", a.status, a.body)
	}
}
