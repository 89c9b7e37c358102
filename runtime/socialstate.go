package runtime

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/runtime/project"
	"github.com/sluice-edge/sluice/runtime/social"
)

// A login elsewhere is on its way for minutes, through other people's pages. What the node has to know when the browser comes back goes with
// the browser, sealed in a cookie, so that starting logins costs the node nothing to keep. The state, which the provider sends
// back, names the project and the cookie: another browser, another provider, or another node has none that fits (RFC 9700
// section 4.7). It is used once: see burnState.

const (
	socialPath     = "/api/userAuth/social"
	socialLifetime = 10 * time.Minute
	sealedFor      = "social login" // what the cookie is sealed for
	stateSecret    = 32             // random bytes in a state
	maxState       = 128
	maxCookie      = 2048
)

// socialLogin is what the cookie holds.
type socialLogin struct {
	Provider string `json:"provider"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE, RFC 7636
	Redirect string `json:"redirect"` // where the provider was told to send the browser back to
	Expires  int64  `json:"expires"`  // Unix milliseconds
}

func randomText(n int) (string, error) {
	raw := make([]byte, n)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// newSocialLogin begins a login at a provider.
func (r *request) newSocialLogin(provider string) (*socialLogin, error) {
	l := &socialLogin{Provider: provider, Redirect: r.server.baseURL() + socialPath + "/" + provider + "/callback", Expires: r.start.Add(socialLifetime).UnixMilli()}
	for _, text := range [...]*string{&l.State, &l.Nonce, &l.Verifier} {
		var err error
		if *text, err = randomText(stateSecret); err != nil {
			return nil, err
		}
	}
	l.State = r.project.ID + "." + l.State
	return l, nil
}

// asked is the login as the provider is to know it.
func (l *socialLogin) asked() *social.Login {
	return &social.Login{State: l.State, Nonce: l.Nonce, Verifier: l.Verifier, RedirectURL: l.Redirect}
}

// parseState finds the project that a state names.
func parseState(state []byte) (projectID string, ok bool) {
	id, secret, found := strings.Cut(string(state[:min(len(state), maxState)]), ".")
	if !found || id == "" || len(state) > maxState {
		return "", false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	return id, err == nil && len(raw) == stateSecret
}

// stateCookie is the name of the cookie that belongs to a state, so that several logins can be on their way at once.
func stateCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return "social-" + hex.EncodeToString(sum[:6])
}

// sealLogin makes the cookie's value; openLogin takes it apart.
func (r *request) sealLogin(l *socialLogin) (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	sealed, err := r.project.Box.Seal(text, sealedFor)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openLogin returns the login that a cookie holds, if it is the one of this state, at this provider, and still on its way.
func (r *request) openLogin(cookie []byte, state, provider string) (*socialLogin, bool) {
	if len(cookie) == 0 || len(cookie) > maxCookie {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(string(cookie))
	if err != nil {
		return nil, false
	}
	text, err := r.project.Box.Open(sealed, sealedFor)
	if err != nil {
		return nil, false
	}
	l := new(socialLogin)
	if err := json.Unmarshal(text, l); err != nil {
		return nil, false
	}
	expires := time.UnixMilli(l.Expires)
	same := subtle.ConstantTimeCompare([]byte(l.State), []byte(state)) == 1
	return l, same && l.Provider == provider && r.start.Before(expires) && expires.Sub(r.start) <= socialLifetime
}

// setStateCookie hands the sealed login to the browser; an empty one takes it away. SameSite=Lax lets it come back with the provider's
// redirect, which is a navigation, and with nothing else that another site can bring about.
func (r *request) setStateCookie(state, value string) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(stateCookie(state))
	c.SetValue(value)
	c.SetPath(socialPath)
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	c.SetSecure(r.secure())
	if value == "" {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(int(socialLifetime / time.Second))
	}
	r.http.Response.Header.SetCookie(c)
}

// provider is a declared provider with its secret, ready to be asked.
func (r *request) provider(p *project.Provider) (*social.Provider, error) {
	secret, err := r.server.secret(p.ClientSecret)
	if err != nil {
		return nil, err
	}
	out := &social.Provider{Name: p.Name, ClientID: p.ClientID, ClientSecret: secret, Scopes: p.Scopes, Private: p.Private, Issuer: p.Issuer,
		AuthURL: p.AuthURL, TokenURL: p.TokenURL, APIURL: p.APIURL}
	if p.Name == project.ProviderGitHub && p.AuthURL == "" {
		out.AuthURL, out.TokenURL, out.APIURL = social.GitHubAuthURL, social.GitHubTokenURL, social.GitHubAPIURL
	}
	return out, nil
}

// secretsDir is where the secrets lie that projects name as file:NAME.
const secretsDir = "secrets"

// secret reads what a reference points to: see project.SecretEnv and project.SecretFile. Whoever writes a project's file can point at nothing
// else. It is read each time, so that it can be exchanged.
func (s *Server) secret(ref string) (string, error) {
	if name, ok := strings.CutPrefix(ref, "env:"); ok {
		if s.opt.Getenv != nil {
			if text := strings.TrimSpace(s.opt.Getenv(name)); text != "" {
				return text, nil
			}
		}
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	name := strings.TrimPrefix(ref, project.SecretFile)
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is no file of %s", name, secretsDir)
	}
	path := filepath.Join(s.opt.Dir, secretsDir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no file %s", path)
	}
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by other users (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if text := strings.TrimSpace(string(raw)); text != "" {
		return text, nil
	}
	return "", fmt.Errorf("%s is empty", path)
}
