package social

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// discover returns what is known of a provider's issuer, asked for anew now and then.
func (c *Clients) discover(ctx context.Context, p *Provider) (*discovered, error) {
	key := p.Issuer
	if p.Private {
		key = "private " + key // known by a client that reaches more
	}
	c.mu.Lock()
	d := c.known[key]
	c.mu.Unlock()
	if age := time.Duration(0); d != nil {
		if age = c.now().Sub(d.at); age >= 0 && age < discoveryAge {
			return d, nil
		}
	}
	provider, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		var mismatch *oidc.IssuerMismatchError
		if errors.As(err, &mismatch) {
			return nil, refusal("%v", err)
		}
		return nil, unavailable("discover "+p.Issuer, err)
	}
	d = &discovered{provider: provider, at: c.now()}
	var more struct {
		IssParam bool     `json:"authorization_response_iss_parameter_supported"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, unavailable("read the discovery document of "+p.Issuer, err)
	}
	d.issParam = more.IssParam
	d.inParams = len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= mostKnown {
		clear(c.known)
	}
	c.known[key] = d
	return d, nil
}

func (d *discovered) config(p *Provider, l *Login) *oauth2.Config {
	scopes := []string{oidc.ScopeOpenID, "email", "profile"}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	// Said and not tried out: a second try would send the code twice.
	endpoint := d.provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if d.inParams {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: endpoint, RedirectURL: l.RedirectURL, Scopes: scopes}
}

func (c *Clients) startOIDC(ctx context.Context, p *Provider, l *Login) (string, error) {
	d, err := c.discover(ctx, p)
	if err != nil {
		return "", err
	}
	if to := d.provider.Endpoint().AuthURL; !strings.HasPrefix(to, "https://") && !p.Private {
		return "", refusal("authorization_endpoint %q is not https", to)
	}
	return d.config(p, l).AuthCodeURL(l.State, oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier)), nil
}

// idClaims are the claims that matter. email_verified is a string at some providers.
type idClaims struct {
	Nonce         string   `json:"nonce"`
	AZP           string   `json:"azp"`
	Email         string   `json:"email"`
	EmailVerified flexible `json:"email_verified"`
	Username      string   `json:"preferred_username"`
	Name          string   `json:"name"`
	Picture       string   `json:"picture"`
}

// flexible is true for true and "true", and for nothing else.
type flexible bool

func (f *flexible) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true" || string(b) == `"true"`
	return nil
}

func (c *Clients) identifyOIDC(ctx context.Context, p *Provider, l *Login, a *Answer) (*Identity, error) {
	d, err := c.discover(ctx, p)
	if err != nil {
		return nil, err
	}
	// RFC 9207: an answer that names another issuer was meant for a login there, and its code must not be sent here.
	if a.Issuer != "" && a.Issuer != p.Issuer || a.Issuer == "" && d.issParam {
		return nil, refusal("the answer is from issuer %q, not %q", a.Issuer, p.Issuer)
	}
	token, err := d.config(p, l).Exchange(ctx, a.Code, oauth2.VerifierOption(l.Verifier))
	if err != nil {
		return nil, exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, refusal("no id_token")
	}
	id, err := d.provider.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: c.now}).Verify(ctx, raw)
	if err != nil {
		if ctx.Err() != nil {
			return nil, unavailable("fetch keys", err)
		}
		return nil, refusal("id_token: %v", err)
	}
	var claims idClaims
	if err := id.Claims(&claims); err != nil {
		return nil, refusal("claims: %v", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(l.Nonce)) != 1 {
		return nil, refusal("another nonce")
	}
	// OpenID Connect Core 3.1.3.7: a token for several must say to whom it was given.
	if len(id.Audience) > 1 && claims.AZP == "" || claims.AZP != "" && claims.AZP != p.ClientID {
		return nil, refusal("a token that was given to %q", claims.AZP)
	}
	if id.IssuedAt.After(c.now().Add(5 * time.Minute)) {
		return nil, refusal("issued in the future")
	}
	if claims.Email == "" && d.provider.UserInfoEndpoint() != "" {
		if err := moreClaims(ctx, d.provider, token, id.Subject, &claims); err != nil {
			return nil, err
		}
	}
	return &Identity{Subject: id.Subject, Email: claims.Email, Verified: bool(claims.EmailVerified), Username: claims.Username, Name: claims.Name, Picture: claims.Picture}, nil
}

// moreClaims asks the userinfo endpoint for what the token does not say. It must speak of the same subject (OpenID Connect Core 5.3.2).
func moreClaims(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, subject string, claims *idClaims) error {
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return unavailable("ask userinfo", err)
	}
	if info.Subject != subject {
		return refusal("userinfo is about another subject")
	}
	if err := info.Claims(claims); err != nil {
		return refusal("userinfo: %v", err)
	}
	return nil
}

// exchangeError tells a code that the provider does not take from a provider that does not work.
func exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode >= 400 && refused.Response.StatusCode < 500 {
		return refusal("exchange of the code: %d %s", refused.Response.StatusCode, refused.ErrorCode) // never the body: it may hold secrets
	}
	if errors.As(err, &refused) {
		return unavailable("exchange the code", errors.New("an unexpected answer"))
	}
	return unavailable("exchange the code", err)
}
