package social

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"golang.org/x/oauth2"
)

// GitHub's endpoints: docs.github.com, "Authorizing OAuth apps".
const (
	GitHubAuthURL  = "https://github.com/login/oauth/authorize"
	GitHubTokenURL = "https://github.com/login/oauth/access_token"
	GitHubAPIURL   = "https://api.github.com"
)

func (p *Provider) githubConfig(l *Login) *oauth2.Config {
	scopes := []string{"read:user", "user:email"}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: l.RedirectURL, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL, TokenURL: p.TokenURL, AuthStyle: oauth2.AuthStyleInParams}}
}

func (p *Provider) startGitHub(l *Login) string {
	return p.githubConfig(l).AuthCodeURL(l.State, oauth2.S256ChallengeOption(l.Verifier))
}

func (p *Provider) identifyGitHub(ctx context.Context, l *Login, a *Answer) (*Identity, error) {
	token, err := p.githubConfig(l).Exchange(ctx, a.Code, oauth2.VerifierOption(l.Verifier))
	if err != nil {
		return nil, githubExchangeError(err)
	}
	client, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	ask := func(path string, into any) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.APIURL+path, nil)
		if err != nil {
			return unavailable("ask "+path, err)
		}
		req.Header.Set("Accept", "application/vnd.github+json")
		req.Header.Set("User-Agent", "sluice") // GitHub refuses those that have none
		req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		token.SetAuthHeader(req)
		resp, err := client.Do(req)
		if err != nil {
			return unavailable("ask "+path, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return unavailable("ask "+path, fmt.Errorf("status %d", resp.StatusCode))
		}
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return unavailable("read "+path, err)
		}
		return nil
	}
	var user struct {
		ID     int64  `json:"id"`
		Login  string `json:"login"`
		Name   string `json:"name"`
		Avatar string `json:"avatar_url"`
	}
	if err := ask("/user", &user); err != nil {
		return nil, err
	}
	if user.ID <= 0 {
		return nil, refusal("no user id")
	}
	// The address in a profile is whatever its owner wrote there; only this list says what was verified.
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := ask("/user/emails", &addresses); err != nil {
		return nil, err
	}
	who := &Identity{Subject: strconv.FormatInt(user.ID, 10), Username: user.Login, Name: user.Name, Picture: user.Avatar}
	for _, address := range addresses {
		if address.Primary {
			who.Email, who.Verified = address.Email, address.Verified
		}
	}
	return who, nil
}

// githubExchangeError knows that GitHub says by status 200 that it does not take a code.
func githubExchangeError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode != "" {
		return refusal("exchange of the code: %s", refused.ErrorCode)
	}
	return exchangeError(err)
}
