package runtime

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// FuzzRefreshCookie: whatever comes as cookie, header or origin is refused with an answer of ours, ends no login, and never brings a handler down.
func FuzzRefreshCookie(f *testing.F) {
	n := newBenchNodeOf(f, benchProject+"limits: {refreshesPerMinute: 300000000}\n")
	n.signUp(f, "ann@example.com")
	key := n.keys.PublishableKey.Reveal()
	login := func() string {
		if status := n.do("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, "X-Api-Key", key, "X-Refresh-Token-Mode", "header"); status != 200 {
			f.Fatalf("log in: %d %s", status, n.ctx.Response.Body())
		}
		raw, _ := jsondoc.Lookup(n.ctx.Response.Body(), "refreshToken")
		return string(jsondoc.Unquote(nil, raw))
	}
	good := login()
	name := "refreshToken-" + n.keys.ID
	f.Add(name+"="+good[:len(good)-1]+"x", "", "", "")
	f.Add(name+"="+good, "", "https://evil.example", "cross-site")
	f.Add(name+"=a; "+name+"=b", "", "null", "")
	f.Add("", good[:40], "", "same-origin")
	f.Add(name+`="`+good+`"`, "", "http://[::1", "none")
	f.Add(";;==,"+name, ".", "", "")
	f.Fuzz(func(t *testing.T, cookie, header, origin, site string) {
		headers := []string{"X-Api-Key", key}
		for _, h := range [][2]string{{"Cookie", cookie}, {"X-Refresh-Token", header}, {"Origin", origin}, {"Sec-Fetch-Site", site}} {
			if h[1] != "" {
				headers = append(headers, h[0], h[1])
			}
		}
		status := n.do("POST", "/api/userAuth/refresh-token", "", headers...)
		if status != 401 && status != 403 && status != 400 && (status != 200 || !strings.Contains(cookie+header, good)) {
			t.Fatalf("%d %s", status, n.ctx.Response.Body())
		}
		if status == 200 {
			good = login() // it was the seed that is good
		}
		if status := n.do("POST", "/api/userAuth/logout", "", headers...); status != 200 && status != 400 {
			t.Fatalf("logout: %d %s", status, n.ctx.Response.Body())
		}
	})
}

// FuzzBearer: whatever comes as Authorization is nobody's, on every route that is about the caller, and costs at most what a token may be long.
func FuzzBearer(f *testing.F) {
	n := newBenchNode(f)
	token := n.signUp(f, "ann@example.com")
	f.Add("Bearer " + token[:len(token)-1])
	f.Add("bearer  " + token + ".")
	f.Add("Bearer a.b.c")
	f.Add("Basic " + token)
	f.Add("Bearer ..")
	f.Add(token)
	routes := [][2]string{{"GET", "me"}, {"GET", "sessions"}, {"DELETE", "sessions"}, {"DELETE", "sessions/000000000000000000000001"}, {"DELETE", "me"}, {"PUT", "update-profile"}, {"PUT", "change-password"}}
	f.Fuzz(func(t *testing.T, authorization string) {
		if strings.Contains(authorization, token) {
			return
		}
		for _, rt := range routes {
			body := ""
			if rt[0] == "PUT" {
				body = `{"currentPassword":"correct horse","newPassword":"battery staple"}`
			}
			headers := []string{"X-Api-Key", n.keys.PublishableKey.Reveal()}
			if authorization != "" {
				headers = append(headers, "Authorization", authorization)
			}
			if status := n.do(rt[0], "/api/userAuth/"+rt[1], body, headers...); status != 401 && status != 400 {
				t.Fatalf("%s %s: %d %s", rt[0], rt[1], status, n.ctx.Response.Body())
			}
		}
	})
}
