package runtime_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// startSocial is a node with a provider of OpenID Connect.
func startSocial(t *testing.T, change ...func(*runtime.Options)) (*node, *oidcProvider, *clock) {
	t.Helper()
	c := newClock()
	p := newOIDCProvider(t, c.now)
	change = append(change, func(o *runtime.Options) {
		o.Now = c.now
		o.Getenv = func(name string) string { return map[string]string{"SLUICE_SECRET_HOUSE": oidcSecret}[name] }
	})
	return start(t, socialBlog(p.URL, ""), change...), p, c
}

// toProvider goes from start to the provider, and returns where that sends the browser.
func (b *browser) toProvider(n *node, provider string) *url.URL {
	b.t.Helper()
	a, to := b.get(n.url + "/api/userAuth/social/" + provider + "/start?key=" + n.pk)
	a.want(b.t, http.StatusFound)
	a, back := b.get(to.String())
	a.want(b.t, http.StatusFound)
	return back
}

// logIn goes all the way and returns where the browser ends: at the app's own page.
func (b *browser) logIn(n *node, provider string) *url.URL {
	b.t.Helper()
	a, home := b.get(b.toProvider(n, provider).String())
	a.want(b.t, http.StatusFound)
	if home.Scheme+"://"+home.Host+home.Path != "https://app.example/auth/callback" {
		b.t.Fatalf("the browser is sent to %s", home)
	}
	return home
}

// tokens are the access token and the code of the app's page.
func tokens(t *testing.T, home *url.URL) (token, code string) {
	t.Helper()
	fragment, err := url.ParseQuery(home.EscapedFragment())
	if err != nil {
		t.Fatal(err)
	}
	token, code = fragment.Get("token"), home.Query().Get("rtCode")
	if token == "" || code == "" {
		t.Fatalf("no token and code in %s", home)
	}
	return token, code
}

func (n *node) exchange(code, token string) *answer {
	return n.post("social/exchange", `{"rtCode":%q,"token":%q}`, code, token)
}

// The whole way: start, provider, callback, the app's page, exchange, refresh; a new account the first time, the same one after that.
func TestSocialLogin(t *testing.T) {
	n, p, c := startSocial(t)
	b := newBrowser(t)
	home := b.logIn(n, "house")
	token, code := tokens(t, home)
	if home.Query().Get("provider") != "house" || len(b.cookies) != 0 {
		t.Errorf("%s, cookies left: %v", home, b.cookies)
	}
	me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200)
	if me.field("email") != "ada@example.com" || me.field("username") != "ada" || me.field("name") != "Ada Lovelace" || me.field("emailVerified") != "true" {
		t.Errorf("the new account is %s", me.body)
	}
	a := n.exchange(code, token).want(t, 200)
	if a.field("success") != "true" || a.field("message") != "Refresh token exchanged successfully" {
		t.Errorf("%s", a.body)
	}
	fresh := n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", a.field("data.refreshToken"))...).want(t, 200)
	n.send("GET", "/api/userAuth/me", "", n.as(n.pk, fresh.field("accessToken"))...).want(t, 200)

	t.Run("the token of the address is good for minutes", func(t *testing.T) {
		c.forward(6 * time.Minute)
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 401)
	})
	t.Run("a second time it is the same account", func(t *testing.T) {
		p.claims["email"], p.claims["email_verified"] = "other@example.com", false // the subject decides
		token, _ := tokens(t, newBrowser(t).logIn(n, "house"))
		if again := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200); again.field("_id") != me.field("_id") || again.field("email") != "ada@example.com" {
			t.Errorf("%s", again.body)
		}
	})
	t.Run("its password is known to nobody", func(t *testing.T) {
		n.post("login", `{"email":"ada@example.com","password":"correct horse"}`).want(t, 400)
	})
	t.Run("no password hash, token or provider id is public", func(t *testing.T) {
		a := n.send("GET", "/api/userAuth/public/ada", "", n.as(n.pk, "")...).want(t, 200)
		if strings.Contains(a.body, "subject-1") || strings.Contains(a.body, "argon2") || strings.Contains(a.body, "example.com") {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("an account that was deleted is not the next one's", func(t *testing.T) {
		p.claims["email"], p.claims["email_verified"] = "ada@example.com", true
		token, _ := tokens(t, newBrowser(t).logIn(n, "house"))
		n.send("DELETE", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200)
		token, _ = tokens(t, newBrowser(t).logIn(n, "house"))
		if again := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200); again.field("_id") == me.field("_id") {
			t.Error("it is the account that was deleted")
		}
	})
}

// What the provider is asked: PKCE with S256, a nonce, a state of its own each time, and the address of this node.
func TestSocialStart(t *testing.T) {
	n, p, _ := startSocial(t)
	b := newBrowser(t)
	start := n.url + "/api/userAuth/social/house/start?key=" + n.pk
	a, to := b.get(start)
	a.want(t, 302)
	q := to.Query()
	if !strings.HasPrefix(to.String(), p.URL+"/authorize?") || q.Get("response_type") != "code" || q.Get("client_id") != oidcClient || q.Get("scope") != "openid email profile" ||
		q.Get("redirect_uri") != n.url+"/api/userAuth/social/house/callback" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || len(q.Get("nonce")) != 43 {
		t.Errorf("%s", to)
	}
	cookie := a.header.Get("Set-Cookie")
	for _, part := range []string{"; HttpOnly", "; SameSite=Lax", "; path=/api/userAuth/social", "; max-age=600"} {
		if !strings.Contains(strings.ToLower(cookie), strings.ToLower(part)) {
			t.Errorf("the cookie is %q, without %q", cookie, part)
		}
	}
	if strings.Contains(cookie, q.Get("nonce")) || strings.Contains(a.header.Get("Cache-Control"), "private, no-cache") || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", a.header)
	}
	_, again := b.get(start)
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if again.Query().Get(name) == q.Get(name) {
			t.Errorf("%s is the same twice", name)
		}
	}
	for _, c := range []struct {
		path   string
		status int
		reason string
		text   string
	}{
		{"github/start", 422, "social.incomplete", "github social auth is disabled or incomplete for this project."},
		{"google/start", 422, "social.incomplete", "google social auth is disabled or incomplete for this project."},
		{"nobody/start", 404, "social.unknown_provider", "Unsupported social auth provider"},
		{"house/callback", 400, "social.missing", "Missing code or state"},
		{"house/callback?code=x", 400, "social.missing", "Missing code or state"},
		{"house/callback?state=x", 400, "social.missing", "Missing code or state"},
		{"house/callback?code=x&state=x", 400, "social.state", "Invalid or expired OAuth state"},
		{"house/callback?code=x&state=_control." + strings.Repeat("A", 43), 400, "social.state", "Invalid or expired OAuth state"},
	} {
		a := n.send("GET", "/api/userAuth/social/"+c.path, "", n.as(n.pk, "")...).want(t, c.status)
		if a.field("reason") != c.reason || a.field("error") != c.text {
			t.Errorf("%s: %s", c.path, a.body)
		}
	}
	n.send("GET", "/api/userAuth/social/house/start", "").want(t, 401)
}

// The cookie is Secure where the browser speaks TLS, and a node that is known under another name sends the browser there first.
func TestSocialStartBehindAProxy(t *testing.T) {
	n, _, _ := startSocial(t, behindProxy, func(o *runtime.Options) { o.PublicURL = "https://api.example" })
	start := "/api/userAuth/social/house/start?key=" + n.pk
	b := newBrowser(t)
	a, to := b.get(n.url+start, "X-Forwarded-Proto", "https")
	a.want(t, 302)
	if to.String() != "https://api.example/api/userAuth/social/house/start?key="+n.pk+"&moved=1" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%s %v", to, a.header)
	}
	a, to = b.get(n.url+start+"&moved=1", "X-Forwarded-Proto", "https")
	a.want(t, 302)
	if to.Query().Get("redirect_uri") != "https://api.example/api/userAuth/social/house/callback" || !strings.Contains(strings.ToLower(a.header.Get("Set-Cookie")), "; secure") {
		t.Errorf("%s %v", to, a.header)
	}
}

// SEC-91: state bound to the browser, used once, for a while, at its provider.
func TestSocialState(t *testing.T) {
	n, _, c := startSocial(t)
	refused := func(a *answer, _ *url.URL) {
		t.Helper()
		if a.want(t, 400); a.field("reason") != "social.state" {
			t.Errorf("%s", a.body)
		}
	}
	t.Run("another browser", func(t *testing.T) {
		back := newBrowser(t).toProvider(n, "house")
		refused(newBrowser(t).get(back.String()))
	})
	t.Run("another browser with a login of its own", func(t *testing.T) {
		attacker, victim := newBrowser(t), newBrowser(t)
		back := attacker.toProvider(n, "house")
		victim.toProvider(n, "house")
		refused(victim.get(back.String()))
	})
	t.Run("another login's cookie under this one's name", func(t *testing.T) {
		b, other := newBrowser(t), newBrowser(t)
		back := b.toProvider(n, "house")
		other.toProvider(n, "house")
		for name := range b.cookies {
			for _, value := range other.cookies {
				b.cookies[name] = value
			}
		}
		refused(b.get(back.String()))
	})
	t.Run("replayed", func(t *testing.T) {
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		cookies := map[string]string{}
		for k, v := range b.cookies {
			cookies[k] = v
		}
		b.get(back.String())
		b.cookies = cookies // a thief has both
		refused(b.get(back.String()))
	})
	t.Run("replayed at once", func(t *testing.T) {
		b := newBrowser(t)
		back := b.toProvider(n, "house").String()
		var good int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			copied := newBrowser(t)
			for k, v := range b.cookies {
				copied.cookies[k] = v
			}
			all.Go(func() {
				if a, to := copied.get(back); a.status == 302 && to.Query().Get("rtCode") != "" {
					mu.Lock()
					good++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Errorf("%d of 8 logins with one state succeeded, want 1", good)
		}
	})
	t.Run("too late", func(t *testing.T) {
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		c.forward(10*time.Minute + time.Second)
		refused(b.get(back.String()))
	})
	t.Run("at another provider", func(t *testing.T) {
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		refused(b.get(strings.Replace(back.String(), "/house/", "/github/", 1)))
	})
	t.Run("an altered cookie", func(t *testing.T) {
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		for name, value := range b.cookies {
			b.cookies[name] = value[:len(value)-4] + "AAAA"
		}
		refused(b.get(back.String()))
	})
}

// SEC-91: a code is exchanged once, within a minute, together with the token it was made with.
func TestSocialExchange(t *testing.T) {
	n, p, c := startSocial(t)
	invalid := func(t *testing.T, a *answer) {
		t.Helper()
		if a.want(t, 400); a.field("error") != "Invalid or expired refresh token exchange code" {
			t.Errorf("%s", a.body)
		}
	}
	login := func() (token, code string) { return tokens(t, newBrowser(t).logIn(n, "house")) }
	token, code := login()
	n.exchange(code, token).want(t, 200)
	invalid(t, n.exchange(code, token))
	t.Run("the token of another login spends the code", func(t *testing.T) {
		token, code := login()
		other, _ := login()
		invalid(t, n.exchange(code, other))
		invalid(t, n.exchange(code, token))
	})
	t.Run("too late", func(t *testing.T) {
		token, code := login()
		c.forward(time.Minute)
		invalid(t, n.exchange(code, token))
	})
	t.Run("at once", func(t *testing.T) {
		token, code := login()
		var good int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if n.exchange(code, token).status == 200 {
					mu.Lock()
					good++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Errorf("%d of 10 exchanges succeeded", good)
		}
	})
	t.Run("SEC-57 in another project", func(t *testing.T) {
		token, code := login()
		done := n.apply(strings.Replace(socialBlog(p.URL, ""), "name: blog", "name: other", 1))
		other := *n
		other.pk = done.PublishableKey.Reveal()
		invalid(t, other.exchange(code, token))
	})
	t.Run("nothing is given", func(t *testing.T) {
		for _, body := range []string{`{}`, `{"rtCode":"x"}`, `{"token":"x"}`, `{"rtCode":1,"token":{}}`, `[]`, ""} {
			if a := n.send("POST", "/api/userAuth/social/exchange", body, n.as(n.pk, "")...).want(t, 400); a.field("error") != "rtCode and token are required" {
				t.Errorf("%s: %s", body, a.body)
			}
		}
	})
}

// SEC-91, CVE-2024-38351, CVE-2026-44166: an account that somebody made with another's address and did not prove is the owner's from the moment
// the owner comes, and nothing of it is left to who made it.
func TestSocialPreHijack(t *testing.T) {
	n, _, _ := startSocial(t)
	attack := n.send("POST", "/api/userAuth/signup", `{"email":"ada@example.com","password":"attacker horse"}`, append(n.as(n.pk, ""), "x-refresh-token-mode", "header")...).want(t, 201)
	token, code := tokens(t, newBrowser(t).logIn(n, "house"))
	me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200)
	if me.field("_id") != attack.field("userId") || me.field("emailVerified") != "true" {
		t.Errorf("%s", me.body)
	}
	n.post("login", `{"email":"ada@example.com","password":"attacker horse"}`).want(t, 400)
	n.send("GET", "/api/userAuth/me", "", n.as(n.pk, attack.field("accessToken"))...).want(t, 401)
	n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", attack.field("refreshToken"))...).want(t, 403)
	n.exchange(code, token).want(t, 200)
	t.Run("and it is so once", func(t *testing.T) {
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200)
		newBrowser(t).logIn(n, "house")
		n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200) // the first login goes on
	})
}

// An account that has proved its address keeps its password and its logins when a provider is linked to it.
func TestSocialLinksToVerifiedAccount(t *testing.T) {
	n, _, _ := startSocial(t)
	own, id := n.user("ada@example.com")
	n.post("verify-email", verifyBody, "ada@example.com", n.code("ada@example.com", "Your code for blog")).want(t, 200)
	token, _ := tokens(t, newBrowser(t).logIn(n, "house"))
	if me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200); me.field("_id") != id {
		t.Errorf("%s", me.body)
	}
	n.send("GET", "/api/userAuth/me", "", n.as(n.pk, own)...).want(t, 200)
	n.post("login", `{"email":"ada@example.com","password":"correct horse"}`).want(t, 200)
}

// A provider's answer is taken apart as if by an attacker: SEC-91, and OpenID Connect Core 3.1.3.7.
func TestSocialHostileProvider(t *testing.T) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		reason string
		lie    func(p *oidcProvider)
	}{
		{"another nonce", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["nonce"] = strings.Repeat("A", 43) } }},
		{"no nonce", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { delete(c, "nonce") } }},
		{"another audience", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["aud"] = "another-client" } }},
		{"several audiences, given to nobody", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["aud"] = []string{oidcClient, "another"} } }},
		{"given to another", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["azp"] = "another" } }},
		{"another issuer in the token", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["iss"] = "https://evil.example" } }},
		{"expired", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["exp"] = p.now().Add(-time.Minute).Unix() } }},
		{"from the future", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { c["iat"] = p.now().Add(time.Hour).Unix() } }},
		{"no subject", "social.refused", func(p *oidcProvider) { p.lie = func(c map[string]any) { delete(c, "sub") } }},
		{"alg none", "social.refused", func(p *oidcProvider) { p.header, p.sign = `{"alg":"none"}`, func(string) []byte { return nil } }},
		{"HMAC with the client's secret", "social.refused", func(p *oidcProvider) {
			p.header, p.sign = `{"alg":"HS256"}`, func(s string) []byte {
				m := hmac.New(sha256.New, []byte(oidcSecret))
				m.Write([]byte(s))
				return m.Sum(nil)
			}
		}},
		{"another's key", "social.refused", func(p *oidcProvider) { p.sign = func(s string) []byte { return rs256(stranger, s) } }},
		{"a key of its own in the header", "social.refused", func(p *oidcProvider) {
			p.header = `{"alg":"RS256","kid":"k2","jwk":{"kty":"RSA","n":"` + strings.Repeat("A", 342) + `","e":"AQAB"}}`
			p.sign = func(s string) []byte { return rs256(stranger, s) }
		}},
		{"no signature", "social.refused", func(p *oidcProvider) { p.sign = func(string) []byte { return nil } }},
		{"an expired code", "social.refused", func(p *oidcProvider) {
			p.token = func(w http.ResponseWriter) bool {
				w.WriteHeader(400)
				fmt.Fprint(w, `{"error":"invalid_grant"}`)
				return true
			}
		}},
		{"no id_token", "social.refused", func(p *oidcProvider) {
			p.token = func(w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"access_token":"x","token_type":"Bearer"}`)
				return true
			}
		}},
		{"a token endpoint that is broken", "social.unavailable", func(p *oidcProvider) { p.token = func(w http.ResponseWriter) bool { w.WriteHeader(500); return true } }},
		{"huge keys", "social.refused", func(p *oidcProvider) {
			p.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/keys" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"keys":[],"x":"`)
				for range 4 << 10 {
					if _, err := w.Write([]byte(strings.Repeat("x", 1024))); err != nil {
						return true
					}
				}
				fmt.Fprint(w, `"}`)
				return true
			}
		}},
		{"a redirect", "social.unavailable", func(p *oidcProvider) {
			p.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
				}
				return r.URL.Path == "/token"
			}
		}},
		{"an address that is not verified", "social.unverified_email", func(p *oidcProvider) { p.claims["email_verified"] = false }},
		{"verified is a word", "social.unverified_email", func(p *oidcProvider) { p.claims["email_verified"] = "yes" }},
		{"verified is a number", "social.unverified_email", func(p *oidcProvider) { p.claims["email_verified"] = 1 }},
		{"verified is not said", "social.unverified_email", func(p *oidcProvider) { delete(p.claims, "email_verified") }},
		{"no address", "social.unverified_email", func(p *oidcProvider) { delete(p.claims, "email"); p.userinfo = map[string]any{"sub": "subject-1"} }},
		{"an address that is none", "social.unverified_email", func(p *oidcProvider) { p.claims["email"] = "ada@example.com\r\nBcc: x@y.example" }},
		{"userinfo about another", "social.refused", func(p *oidcProvider) {
			delete(p.claims, "email")
			p.userinfo = map[string]any{"sub": "subject-2", "email": "ada@example.com", "email_verified": true}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, p, _ := startSocial(t)
			c.lie(p)
			home := newBrowser(t).logIn(n, "house")
			if home.Query().Get("error") != c.reason || home.Query().Get("error_description") == "" || home.Query().Has("rtCode") || home.Fragment != "" {
				t.Errorf("the app is told %s, want %s", home, c.reason)
			}
			n.post("login", `{"email":"ada@example.com","password":"correct horse"}`).want(t, 400)
			if a := n.post("signup", `{"email":"ada@example.com","password":"correct horse"}`); a.status != 201 {
				t.Errorf("an account was made: %s", a.body)
			}
		})
	}
}

// RFC 9207: an answer of another issuer, whose code must not be sent to this one.
func TestSocialMixUp(t *testing.T) {
	n, p, _ := startSocial(t)
	p.discovery = func(doc map[string]any) { doc["authorization_response_iss_parameter_supported"] = true }
	for _, c := range []struct{ iss, want string }{{"https://evil.example", "social.refused"}, {"", "social.refused"}, {p.URL, ""}} {
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		q := back.Query()
		if c.iss != "" {
			q.Set("iss", c.iss)
		}
		back.RawQuery = q.Encode()
		p.mu.Lock()
		p.token = func(http.ResponseWriter) bool {
			if c.want != "" {
				t.Errorf("the code of issuer %q was sent to %s", c.iss, p.URL)
			}
			return false
		}
		p.mu.Unlock()
		a, home := b.get(back.String())
		a.want(t, 302)
		if home.Query().Get("error") != c.want {
			t.Errorf("iss %q: %s", c.iss, home)
		}
	}
	t.Run("a discovery document that names another issuer", func(t *testing.T) {
		n, p, _ := startSocial(t)
		p.discovery = func(doc map[string]any) { doc["issuer"] = "https://evil.example" }
		n.send("GET", "/api/userAuth/social/house/start?key="+n.pk, "").want(t, 502)
	})
}

func TestSocialProviderIsDown(t *testing.T) {
	n, p, _ := startSocial(t)
	b := newBrowser(t)
	back := b.toProvider(n, "house")
	p.Close()
	a, home := b.get(back.String())
	a.want(t, 302)
	if home.Query().Get("error") != "social.unavailable" || strings.Contains(home.String(), "127.0.0.1") {
		t.Errorf("%s", home)
	}
	t.Run("before anything is known of it", func(t *testing.T) {
		n, p, _ := startSocial(t)
		p.Close()
		if a := n.send("GET", "/api/userAuth/social/house/start?key="+n.pk, "").want(t, 502); strings.Contains(a.body, "127.0.0.1") || a.field("reason") != "social.unavailable" {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("the user says no there", func(t *testing.T) {
		n, _, _ := startSocial(t)
		b := newBrowser(t)
		back := b.toProvider(n, "house")
		a, home := b.get(strings.Split(back.String(), "?")[0] + "?error=access_denied&state=" + back.Query().Get("state"))
		a.want(t, 302)
		if home.Query().Get("error") != "social.denied" {
			t.Errorf("%s", home)
		}
	})
}

// The address may come from userinfo, verified as a text, and the secret may be sent in the body.
func TestSocialOtherWays(t *testing.T) {
	n, p, _ := startSocial(t)
	delete(p.claims, "email")
	p.userinfo = map[string]any{"sub": "subject-1", "email": "ada@example.com", "email_verified": "true"}
	tokens(t, newBrowser(t).logIn(n, "house"))
}

// A name that somebody has already is given a tail instead of failing.
func TestSocialTakenUsername(t *testing.T) {
	c := newClock()
	p := newOIDCProvider(t, c.now)
	file := strings.Replace(socialBlog(p.URL, ""), "- {key: username, type: String}", "- {key: username, type: String, unique: true, required: true}", 1)
	n := start(t, file, func(o *runtime.Options) {
		o.Now, o.Getenv = c.now, func(string) string { return oidcSecret }
	})
	n.post("signup", `{"email":"first@example.com","password":"correct horse","username":"ada"}`).want(t, 201)
	token, _ := tokens(t, newBrowser(t).logIn(n, "house"))
	if name := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200).field("username"); !strings.HasPrefix(name, "ada-") {
		t.Errorf("the name is %q", name)
	}
}

// A schema that wants what no provider knows says so to the app.
func TestSocialSchemaRefuses(t *testing.T) {
	c := newClock()
	p := newOIDCProvider(t, c.now)
	file := strings.Replace(socialBlog(p.URL, ""), "- {key: role, type: String}", "- {key: role, type: String}\n      - {key: birthday, type: Date, required: true}", 1)
	n := start(t, file, func(o *runtime.Options) {
		o.Now, o.Getenv = c.now, func(string) string { return oidcSecret }
	})
	if home := newBrowser(t).logIn(n, "house"); home.Query().Get("error") != "schema.invalid" || !strings.Contains(home.Query().Get("error_description"), "birthday") {
		t.Errorf("%s", home)
	}
}

// fakeGitHub answers as GitHub does, mistakes by status 200 included.
func fakeGitHub(t *testing.T, emails *string) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	verifiers := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/login/oauth/authorize":
			q := r.URL.Query()
			code := fmt.Sprint("code", len(verifiers))
			verifiers[code] = q.Get("code_challenge")
			http.Redirect(w, r, q.Get("redirect_uri")+"?code="+code+"&state="+url.QueryEscape(q.Get("state")), http.StatusFound)
		case "/login/oauth/access_token":
			if _, ok := verifiers[r.PostFormValue("code")]; !ok || r.PostFormValue("client_secret") != oidcSecret || r.PostFormValue("code_verifier") == "" {
				fmt.Fprint(w, `{"error":"bad_verification_code"}`)
				return
			}
			delete(verifiers, r.PostFormValue("code"))
			fmt.Fprint(w, `{"access_token":"gho_x","token_type":"bearer","scope":"read:user,user:email"}`)
		case "/api/user", "/api/user/emails":
			if r.Header.Get("Authorization") != "Bearer gho_x" || r.Header.Get("User-Agent") == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if r.URL.Path == "/api/user" {
				fmt.Fprint(w, `{"id":583231,"login":"octocat","name":"The Octocat","email":"profile@example.com","avatar_url":"https://a.example/1"}`)
				return
			}
			fmt.Fprint(w, *emails)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestSocialGitHub(t *testing.T) {
	c := newClock()
	emails := `[{"email":"old@example.com","primary":false,"verified":true},{"email":"Cat@Example.com","primary":true,"verified":true}]`
	hub := fakeGitHub(t, &emails)
	p := newOIDCProvider(t, c.now)
	n := start(t, socialBlog(p.URL, hub.URL), func(o *runtime.Options) {
		o.Now, o.Getenv = c.now, func(string) string { return oidcSecret }
	})
	token, code := tokens(t, newBrowser(t).logIn(n, "github"))
	n.exchange(code, token).want(t, 200)
	me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200)
	if me.field("email") != "cat@example.com" || me.field("username") != "octocat" || me.field("githubId") != "583231" {
		t.Errorf("%s", me.body)
	}
	if a := n.send("GET", "/api/userAuth/public/octocat", "", n.as(n.pk, "")...).want(t, 200); strings.Contains(a.body, "583231") {
		t.Errorf("the provider's id is public: %s", a.body)
	}
	t.Run("another provider with the same verified address is the same account", func(t *testing.T) {
		p.claims["email"] = "cat@example.com"
		token, _ := tokens(t, newBrowser(t).logIn(n, "house"))
		if again := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200); again.field("_id") != me.field("_id") {
			t.Errorf("%s", again.body)
		}
	})
	t.Run("the address of the profile proves nothing", func(t *testing.T) {
		emails = `[{"email":"eve@example.com","primary":true,"verified":false}]`
		n.apply(strings.Replace(socialBlog(p.URL, hub.URL), "name: blog", "name: second", 1))
		second := *n
		for _, pr := range n.server.Registry().List() {
			if pr.Name() == "second" {
				second.pk = n.apply(strings.Replace(socialBlog(p.URL, hub.URL), "name: blog", "name: third", 1)).PublishableKey.Reveal()
			}
		}
		if home := newBrowser(t).logIn(&second, "github"); home.Query().Get("error") != "social.unverified_email" {
			t.Errorf("%s", home)
		}
	})
	t.Run("a user cannot write the provider's id", func(t *testing.T) {
		n.send("PUT", "/api/userAuth/update-profile", `{"githubId":"1"}`, n.as(n.pk, token)...)
		if me := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200); me.field("githubId") != "583231" {
			t.Errorf("SEC-46: %s", me.body)
		}
	})
}

// Secrets come from where the node's operator put them, and from nowhere else.
func TestSocialSecrets(t *testing.T) {
	c := newClock()
	p := newOIDCProvider(t, c.now)
	file := strings.Replace(socialBlog(p.URL, ""), "env:SLUICE_SECRET_HOUSE", "file:house", 1)
	n := start(t, file, func(o *runtime.Options) { o.Now = c.now })
	start := "/api/userAuth/social/house/start?key=" + n.pk
	n.send("GET", start, "").want(t, 422)
	path := filepath.Join(n.dir, "secrets", "house")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(oidcSecret+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := n.send("GET", start, "").want(t, 422); strings.Contains(a.body, n.dir) { // SEC-89: others can read it
		t.Errorf("%s", a.body)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	tokens(t, newBrowser(t).logIn(n, "house"))
}

// SEC-88, SEC-04: neither codes, tokens, states nor the client's secret are in the project's file or in the log.
func TestSocialLeavesNoSecrets(t *testing.T) {
	var log lockedLog
	n, _, _ := startSocial(t, func(o *runtime.Options) {
		o.Logger, o.AccessLog = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), &log
	})
	b := newBrowser(t)
	back := b.toProvider(n, "house")
	_, home := b.get(back.String())
	token, code := tokens(t, home)
	refresh := n.exchange(code, token).want(t, 200).field("data.refreshToken")
	n.stop()
	raw, err := os.ReadFile(filepath.Join(n.dir, "projects", n.projectID(t), "data.db"))
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{"code": code, "token": token, "refresh token": refresh, "state": back.Query().Get("state"), "provider's code": back.Query().Get("code"), "client secret": oidcSecret} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the %s is in the project's file", what)
		}
		if strings.Contains(log.String(), secret) {
			t.Errorf("the %s is in the log", what)
		}
	}
}

// projectID is the id of the node's first project.
func (n *node) projectID(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.dir, "projects"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "_control" {
			return e.Name()
		}
	}
	t.Fatal("no project")
	return ""
}

// lockedLog collects what a server logs while the test goes on.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
