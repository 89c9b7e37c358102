// Package auth holds the rules by which Sluice knows who is calling: API keys, passwords, access tokens, refresh tokens
// and the shape of e-mail addresses, user names and passwords. It is rules over bytes and a clock.
//
// It never speaks HTTP, never reads or writes a store, never logs, and never reads the clock or the machine's randomness
// on its own: the caller passes "now" and an io.Reader.
//
// Nouns: a key names a project and a [Role]; a [Secret] is text that must not reach a log; a [Hasher] turns passwords into
// PHC strings; [Tokens] issues and verifies one project's access tokens; a refresh token is an id and a secret half, of
// which only the hash is kept.
//
// All functions and all methods may be called concurrently. Byte slices passed in are borrowed for the call and never
// kept; strings and slices returned belong to the caller, and the strings inside [Claims] are shared and immutable.
package auth
