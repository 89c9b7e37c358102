package runtime_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/runtime"
)

// cookieOf reads the cookie that an answer sets.
func (a *answer) cookieOf(t testing.TB) *http.Cookie {
	t.Helper()
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatalf("Set-Cookie %q: %v", a.header.Get("Set-Cookie"), err)
	}
	return c
}

// TestRefreshCookie: SEC-36. The cookie is out of the reach of scripts, other paths and foreign pages, and in cookie mode no body ever holds the
// token.
func TestRefreshCookie(t *testing.T) {
	n := start(t, strings.Replace(blog, "name: blog", "name: blog\nsiteUrl: https://app.example", 1), func(o *runtime.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	n.user("ann@example.com")
	login := func(headers ...string) *answer {
		return n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, append(n.as(n.pk, ""), headers...)...).want(t, 200)
	}
	in := login()
	c := in.cookieOf(t)
	if c.Name != "refreshToken-"+n.project().ID || c.Path != "/api/userAuth" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Domain != "" || c.MaxAge != 7*24*3600 {
		t.Errorf("the cookie is %s", c)
	}
	if strings.Contains(in.body, c.Value) || strings.Contains(in.body, "refreshToken") {
		t.Errorf("the body holds the token: %s", in.body)
	}
	if c := login("X-Forwarded-Proto", "https").cookieOf(t); !c.Secure {
		t.Errorf("behind a proxy that speaks TLS the cookie is %s", c)
	}
	refresh := func(token string, headers ...string) *answer {
		return n.send("POST", "/api/userAuth/refresh-token", "", append(append(n.as(n.pk, ""), "Cookie", c.Name+"="+token), headers...)...)
	}
	t.Run("whose pages may use it", func(t *testing.T) {
		token := c.Value
		for _, tc := range []struct {
			name    string
			headers []string
			status  int
		}{
			{"a foreign page", []string{"Origin", "https://evil.example"}, 403},
			{"a foreign page, as a browser tells", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
			{"a foreign page without an origin", []string{"Sec-Fetch-Site", "cross-site"}, 403},
			{"no origin at all", []string{"Origin", "null"}, 403},
			{"something else", []string{"Sec-Fetch-Site", "whatever"}, 403},
			{"another port of the project's site, told by an old browser", []string{"Origin", "https://app.example:8443"}, 403},
			{"the project's site", []string{"Origin", "https://app.example"}, 200},
			{"the project's site, as a browser tells", []string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, 200},
			{"this node's own page", []string{"Origin", n.url}, 200},
			{"a page of the same site", []string{"Origin", "http://127.0.0.1:5173", "Sec-Fetch-Site", "same-site"}, 200},
			{"no page", nil, 200},
		} {
			a := refresh(token, tc.headers...).want(t, tc.status)
			if tc.status == 200 {
				token = a.cookieOf(t).Value
				if strings.Contains(a.body, token) || strings.Contains(a.body, "refreshToken") {
					t.Errorf("%s: the body holds the token: %s", tc.name, a.body)
				}
			} else if a.field("reason") != "refresh.foreign_origin" || a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %q %s", tc.name, a.header.Get("Set-Cookie"), a.body)
			}
		}
		out := n.send("POST", "/api/userAuth/logout", "", append(n.as(n.pk, ""), "Cookie", c.Name+"="+token, "Origin", "https://evil.example")...).want(t, 200)
		if out.header.Get("Set-Cookie") != "" {
			t.Error("a foreign page takes the cookie away")
		}
		refresh(token).want(t, 200)
	})
	t.Run("a form of a foreign page, with the key in its URL", func(t *testing.T) {
		token := login().cookieOf(t).Value
		n.send("POST", "/api/userAuth/refresh-token?key="+n.pk, "", "Cookie", c.Name+"="+token, "Origin", "https://evil.example", "Content-Type", "application/x-www-form-urlencoded").want(t, 403)
		refresh(token).want(t, 200)
	})
	t.Run("another project's cookie is none of this one's", func(t *testing.T) {
		token := login().cookieOf(t).Value
		if a := n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "Cookie", "refreshToken-000000000000000000000000="+token)...).want(t, 401); a.field("reason") != "refresh.missing" {
			t.Errorf("answered %s", a.body)
		}
	})
	t.Run("the header goes before the cookie", func(t *testing.T) {
		_, header := n.logIn("ann@example.com", "correct horse")
		a := refresh("garbage", "x-refresh-token", header).want(t, 200)
		if a.field("refreshToken") == "" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q %s", a.header.Get("Set-Cookie"), a.body)
		}
	})
	t.Run("what is refused takes the cookie away", func(t *testing.T) {
		for _, token := range []string{"garbage", "123e4567-e89b-42d3-a456-426614174000." + strings.Repeat("0", 64)} {
			if c := refresh(token).cookieOf(t); c.Value != "" || c.Expires.Year() > 2010 {
				t.Errorf("%q: the cookie is %s", token, c)
			}
		}
	})
	for mode, want := range map[string]http.SameSite{"strict": http.SameSiteStrictMode, "None": http.SameSiteNoneMode, "LAX": http.SameSiteLaxMode} {
		n.apply(with("cookieSameSite: " + mode))
		if c := login().cookieOf(t); c.SameSite != want || c.Secure != (mode == "None") {
			t.Errorf("%s: the cookie is %s", mode, c)
		}
	}
}
