package runtime_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestTokenMatrix: SEC-27 and SEC-57. A token is good for its kind, its project and its place, and in every other cell of the table nobody's.
func TestTokenMatrix(t *testing.T) {
	n := start(t, blog)
	other := n.apply(strings.Replace(blog, "name: blog", "name: other", 1))
	type party struct{ key, access, refresh string }
	enter := func(key string) party {
		body := `{"email":"ann@example.com","password":"correct horse"}`
		a := n.send("POST", "/api/userAuth/signup", body, "x-api-key", key, "x-refresh-token-mode", "header").want(t, 201)
		return party{key, a.field("accessToken"), a.field("refreshToken")}
	}
	mine, theirs := enter(n.pk), enter(other.PublishableKey.Reveal())
	for range 2 {
		n.send("POST", "/api/data/open", `{}`, n.as(n.sk, "")...).want(t, 201)
	}
	cursor := n.send("GET", "/api/data/open?limit=1", "", n.as(n.pk, "")...).want(t, 200).field("data.nextCursor")
	parts := strings.Split(mine.access, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"k1"}`)) + "." + parts[1] + "."

	bearers := map[string]string{ // none of these is an access token of this project
		"another project's access token": theirs.access, "a refresh token": mine.refresh, "another project's refresh token": theirs.refresh,
		"a publishable key": n.pk, "a secret key": n.sk, "a cursor": cursor, "a code": "123456", "the admin's token": n.server.AdminToken().Reveal(),
		"SEC-26: no algorithm": unsigned, "SEC-26: no signature": parts[0] + "." + parts[1] + ".", "SEC-26: dots": strings.Repeat(".", 4000), "SEC-26: 16 KiB": strings.Repeat("a", 16<<10-1000),
		"the head of one and the rest of another": parts[0] + "." + strings.SplitN(theirs.access, ".", 2)[1],
	}
	routes := []struct{ method, path, body string }{
		{"GET", "/api/userAuth/me", ""}, {"GET", "/api/userAuth/sessions", ""}, {"DELETE", "/api/userAuth/sessions", ""},
		{"DELETE", "/api/userAuth/sessions/000000000000000000000001", ""}, {"DELETE", "/api/userAuth/me", `{"currentPassword":"correct horse"}`},
		{"PUT", "/api/userAuth/update-profile", `{"name":"x"}`}, {"PUT", "/api/userAuth/change-password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`},
		{"GET", "/api/data/posts", ""}, {"GET", "/api/data/notes", ""}, {"POST", "/api/data/posts", `{"title":"x"}`}, // SEC-28: not nobody's either
	}
	for name, bearer := range bearers {
		for _, rt := range routes {
			a := n.send(rt.method, rt.path, rt.body, n.as(n.pk, bearer)...)
			if a.status != 401 && (a.status != 431 || len(bearer) < 8000) {
				t.Errorf("%s as bearer: %s %s: %d %s", name, rt.method, rt.path, a.status, a.body)
			}
		}
	}
	for name, token := range map[string]string{
		"an access token": mine.access, "another project's access token": theirs.access, "another project's refresh token": theirs.refresh,
		"a publishable key": n.pk, "a secret key": n.sk, "a cursor": cursor, "a code": "123456", "nothing that there is": "123e4567-e89b-42d3-a456-426614174000." + strings.Repeat("0", 64),
	} {
		for _, header := range [][]string{{"x-refresh-token", token}, {"Cookie", "refreshToken-" + n.project().ID + "=" + token}} {
			if a := n.send("POST", "/api/userAuth/refresh-token", "", append([]string{"x-api-key", n.pk}, header...)...); a.status != 401 {
				t.Errorf("%s as refresh token: %d %s", name, a.status, a.body)
			}
		}
	}
	for name, key := range map[string]string{"an access token": mine.access, "a refresh token": mine.refresh, "a cursor": cursor} {
		if a := n.send("GET", "/api/data/open", "", "x-api-key", key); a.status != 401 {
			t.Errorf("%s as key: %d", name, a.status)
		}
	}
	for i, p := range []party{mine, theirs} { // each is good where it belongs, still
		n.send("GET", "/api/userAuth/me", "", n.as(p.key, p.access)...).want(t, 200)
		if a := n.send("POST", "/api/userAuth/refresh-token", "", "x-api-key", p.key, "x-refresh-token", p.refresh); a.status != 200 {
			t.Error(fmt.Sprint(i), a.status, a.body)
		}
	}
}
