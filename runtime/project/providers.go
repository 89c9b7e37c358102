package project

import (
	"net/url"
	"slices"
	"strings"
)

// Provider is somebody who says who a user is: GitHub, Google, or any provider of OpenID Connect.
type Provider struct {
	Name         string   `json:"name"`              // in the address of its routes: github, google, or any other
	ClientID     string   `json:"clientId"`          // that the provider gave the app
	ClientSecret string   `json:"clientSecret"`      // where the node finds the secret, never the secret: see SecretEnv and SecretFile
	Issuer       string   `json:"issuer,omitempty"`  // of OpenID Connect, as the provider writes it; Google's if the name is google
	Scopes       []string `json:"scopes,omitempty"`  // to ask for beside those that are needed
	Private      bool     `json:"private,omitempty"` // it is in a private network, and may be spoken to without TLS

	AuthURL  string `json:"authUrl,omitempty"` // of github, if it is an Enterprise Server; all three
	TokenURL string `json:"tokenUrl,omitempty"`
	APIURL   string `json:"apiUrl,omitempty"`
}

// Providers that are known by name.
const (
	ProviderGitHub = "github"
	ProviderGoogle = "google"

	googleIssuer = "https://accounts.google.com"
)

// Where a secret of a project is. The file of a project goes through hands that need not know it.
const (
	SecretEnv  = "env:SLUICE_SECRET_" // followed by the rest of a variable's name in the node's environment
	SecretFile = "file:"              // followed by the name of a file in the directory secrets of the node's data directory
)

const maxProviders = 32

// Provider returns the declared provider of that name, or nil.
func (c *AuthConfig) Provider(name string) *Provider {
	for i := range c.Providers {
		if c.Providers[i].Name == name {
			return &c.Providers[i]
		}
	}
	return nil
}

func (p *Provider) normalize() {
	p.Name = strings.ToLower(strings.TrimSpace(p.Name))
	if p.Name == ProviderGoogle && p.Issuer == "" {
		p.Issuer = googleIssuer
	}
}

// providers judges how users may log in elsewhere.
func (v *validator) providers(c *Config) {
	if len(c.Auth.Providers) == 0 {
		return
	}
	if !c.Auth.Enabled {
		v.addf("auth.providers", "needs auth.enabled: true")
	}
	if c.SiteURL == "" {
		v.addf("siteUrl", "is required with auth.providers: users come back to /auth/callback there")
	}
	if len(c.Auth.Providers) > maxProviders {
		v.addf("auth.providers", "are more than %d", maxProviders)
		return
	}
	for i := range c.Auth.Providers {
		p := c.Auth.Providers[i]
		p.normalize()
		at := index("auth.providers", i)
		if !isProviderName(p.Name) {
			v.addf(at+".name", "%q must be 1 to 32 lower-case letters, digits or '-', and start with a letter", p.Name)
		} else if slices.ContainsFunc(c.Auth.Providers[:i], func(other Provider) bool { other.normalize(); return other.Name == p.Name }) {
			v.addf(at+".name", "%q is declared twice", p.Name)
		}
		if p.ClientID == "" {
			v.addf(at+".clientId", "is required")
		}
		v.secret(at+".clientSecret", p.ClientSecret)
		v.provider(at, &p)
	}
}

func (v *validator) secret(at, ref string) {
	name, isEnv := strings.CutPrefix(ref, SecretEnv)
	if !isEnv {
		var isFile bool
		if name, isFile = strings.CutPrefix(ref, SecretFile); !isFile {
			v.addf(at, "must say where the secret is, and not what it is: %sNAME or %sNAME", SecretEnv, SecretFile)
			return
		}
	}
	if name == "" || len(name) > maxNameLength || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" || name[0] == '.' {
		v.addf(at, "%q is no name of a variable or file", name)
	}
}

// provider judges a provider's addresses.
func (v *validator) provider(at string, p *Provider) {
	if p.Name == ProviderGitHub {
		if p.Issuer != "" {
			v.addf(at+".issuer", "github does not speak OpenID Connect")
		}
		urls := [...]struct{ name, url string }{{"authUrl", p.AuthURL}, {"tokenUrl", p.TokenURL}, {"apiUrl", p.APIURL}}
		any := p.AuthURL != "" || p.TokenURL != "" || p.APIURL != ""
		for _, u := range urls {
			if any && !isProviderURL(u.url, p.Private) {
				v.addf(at+"."+u.name, "%q must be an https address; of authUrl, tokenUrl and apiUrl declare all or none", u.url)
			}
		}
		return
	}
	if p.AuthURL != "" || p.TokenURL != "" || p.APIURL != "" {
		v.addf(at, "only github has authUrl, tokenUrl and apiUrl; others are asked for theirs at the issuer")
	}
	if !isProviderURL(p.Issuer, p.Private) {
		v.addf(at+".issuer", "%q must be an https address without query, such as https://id.example", p.Issuer)
	}
}

func isProviderURL(s string, private bool) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || private && u.Scheme == "http"
}

func isProviderName(s string) bool {
	if s == "" || len(s) > 32 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
