package social

import (
	"context"
	"errors"
	"fmt"
)

// Provider says whom to ask, and as whom.
type Provider struct {
	Name         string // as in the address of its routes: github, google, or any other
	ClientID     string
	ClientSecret string
	Scopes       []string // beside those that are needed
	Private      bool     // it may be in a private network, and be spoken to without TLS

	Issuer string // of an OpenID Connect provider; empty for GitHub

	// GitHub's endpoints, or those of a GitHub Enterprise Server.
	AuthURL, TokenURL, APIURL string
}

// Identity is who a provider says somebody is.
type Identity struct {
	Subject  string // the provider's own name for the account, which never changes and is never given to another
	Email    string // empty if the provider does not say
	Verified bool   // the provider has seen that the address is theirs
	Username string // what they call themselves; "" if unknown
	Name     string
	Picture  string // URL
}

// Login is one login on its way. What is in it stays with the browser and the node.
type Login struct {
	State       string
	Nonce       string
	Verifier    string // of PKCE
	RedirectURL string // where the provider sends the browser back to
}

// Answer is what the provider has sent the browser back with.
type Answer struct {
	Code   string
	Issuer string // iss, RFC 9207; "" if it was not there
}

// Errors of an answer. What else goes wrong is the provider's, or the network's.
var (
	ErrUnavailable = errors.New("social: the provider does not answer as it should")
	ErrRefused     = errors.New("social: the provider's answer is not to be trusted")
)

// refusal is ErrRefused with the reason, for the log.
func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// unavailable is ErrUnavailable with the reason, for the log.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, doing, err)
}

// Start returns the address at the provider to which the browser is sent.
func (c *Clients) Start(ctx context.Context, p *Provider, l *Login) (string, error) {
	ctx, done, err := c.enter(ctx, p)
	if err != nil {
		return "", err
	}
	defer done()
	if p.Issuer == "" {
		return p.startGitHub(l), nil
	}
	return c.startOIDC(ctx, p, l)
}

// Identify finds out who has logged in.
func (c *Clients) Identify(ctx context.Context, p *Provider, l *Login, a *Answer) (*Identity, error) {
	ctx, done, err := c.enter(ctx, p)
	if err != nil {
		return nil, err
	}
	defer done()
	var who *Identity
	if p.Issuer == "" {
		who, err = p.identifyGitHub(ctx, l, a)
	} else {
		who, err = c.identifyOIDC(ctx, p, l, a)
	}
	if err == nil && who.Subject == "" {
		return nil, refusal("no subject")
	}
	return who, err
}
