// Package social asks others who somebody is: GitHub, and every provider that speaks OpenID Connect, Google among them. An
// answer of theirs becomes an [Identity], or an error that says what was wrong with it.
//
// It speaks OAuth 2.0 (RFC 6749) with PKCE (RFC 7636) and OpenID Connect Core 1.0 by discovery, as RFC 9700 advises:
// the code is bound to a verifier, the token to a nonce, the answer to its issuer (RFC 9207). It knows no accounts, no browser
// and no project. Providers are strangers: what they are asked has a time limit, what they answer a size, they are not followed
// anywhere else, and not into a private network unless the project's file says that they live there.
//
// Clients are used by any number of goroutines.
package social
