package runtime_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// oidcProvider is a provider of OpenID Connect: discovery, keys, authorize, token and userinfo, with PKCE and codes that work once. Its fields
// are what it says, and how it lies.
type oidcProvider struct {
	*httptest.Server
	t   *testing.T
	now func() time.Time
	key *rsa.PrivateKey

	mu    sync.Mutex
	codes map[string]url.Values // what authorize was asked, by code
	asked int                   // requests of any kind

	claims    map[string]any                                // of the next token
	lie       func(claims map[string]any)                   // changes them last
	header    string                                        // of the token, default RS256 with the key's id
	sign      func(signed string) []byte                    // default: with key
	token     func(http.ResponseWriter) bool                // answers in place of the token endpoint if it returns true
	discovery func(doc map[string]any)                      // changes the discovery document
	answer    func(http.ResponseWriter, *http.Request) bool // answers anything in place of the provider if it returns true
	userinfo  map[string]any
}

const (
	oidcClient = "the-client"
	oidcSecret = "the secret/with: things"
)

func newOIDCProvider(t *testing.T, now func() time.Time) *oidcProvider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &oidcProvider{t: t, now: now, key: key, codes: map[string]url.Values{}}
	p.claims = map[string]any{"sub": "subject-1", "email": "Ada@Example.com", "email_verified": true, "name": "Ada Lovelace", "preferred_username": "ada"}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *oidcProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.answer != nil && p.answer(w, r) {
		return
	}
	reply := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"}}
		if p.discovery != nil {
			p.discovery(doc)
		}
		reply(doc)
	case "/keys":
		n := base64.RawURLEncoding.EncodeToString(p.key.N.Bytes())
		reply(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1", "n": n, "e": "AQAB"}}})
	case "/authorize":
		q := r.URL.Query()
		raw := make([]byte, 16)
		_, _ = rand.Read(raw)
		code := base64.RawURLEncoding.EncodeToString(raw)
		p.codes[code] = q
		back := url.Values{"code": {code}, "state": {q.Get("state")}}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	case "/token":
		if p.token != nil && p.token(w) {
			return
		}
		id, secret, ok := r.BasicAuth()
		asked, known := p.codes[r.PostFormValue("code")]
		delete(p.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		challenge := base64.RawURLEncoding.EncodeToString(sum[:])
		if !ok || id != url.QueryEscape(oidcClient) || secret != url.QueryEscape(oidcSecret) || !known || asked.Get("code_challenge") != challenge ||
			asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			w.WriteHeader(http.StatusBadRequest)
			reply(map[string]any{"error": "invalid_grant"})
			return
		}
		reply(map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": p.idToken(asked.Get("nonce"))})
	case "/userinfo":
		reply(p.userinfo)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (p *oidcProvider) idToken(nonce string) string {
	claims := map[string]any{"iss": p.URL, "aud": oidcClient, "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix(), "nonce": nonce}
	for k, v := range p.claims {
		claims[k] = v
	}
	if p.lie != nil {
		p.lie(claims)
	}
	header := p.header
	if header == "" {
		header = `{"alg":"RS256","kid":"k1","typ":"JWT"}`
	}
	body, _ := json.Marshal(claims)
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(body)
	var signature []byte
	if p.sign != nil {
		signature = p.sign(signed)
	} else {
		signature = rs256(p.key, signed)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func rs256(key *rsa.PrivateKey, signed string) []byte {
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

// browser follows redirects by hand and keeps cookies as a browser does.
type browser struct {
	t       *testing.T
	cookies map[string]string
}

func newBrowser(t *testing.T) *browser { return &browser{t, map[string]string{}} }

// get fetches one page and returns it with where it sends the browser.
func (b *browser) get(address string, headers ...string) (*answer, *url.URL) {
	b.t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var body strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		body.Write(buf[:n])
		if err != nil {
			break
		}
	}
	for _, c := range res.Cookies() {
		if c.Value == "" || c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now()) {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
	}
	to, _ := url.Parse(res.Header.Get("Location"))
	return &answer{res.StatusCode, res.Header, body.String()}, to
}

// socialBlog is the project with providers: the issuer's as "house", and a GitHub.
func socialBlog(issuer, github string) string {
	providers := fmt.Sprintf("\n    - {name: house, clientId: %s, clientSecret: 'env:SLUICE_SECRET_HOUSE', issuer: '%s', private: true}", oidcClient, issuer)
	if github != "" {
		providers += fmt.Sprintf("\n    - {name: github, clientId: %s, clientSecret: 'env:SLUICE_SECRET_HOUSE', private: true, authUrl: '%s/login/oauth/authorize', tokenUrl: '%s/login/oauth/access_token', apiUrl: '%s/api'}", oidcClient, github, github, github)
	}
	file := strings.Replace(blog, "auth: {enabled: true}", "siteUrl: https://app.example/\nauth:\n  enabled: true\n  providers:"+providers, 1)
	return strings.Replace(file, "- {key: role, type: String}", "- {key: role, type: String}\n      - {key: githubId, type: String}", 1)
}
