package project

import (
	"slices"
	"strings"
)

// VerificationFlags are the names under which a schema may declare that an address is verified. The first one that is declared
// counts.
func VerificationFlags() []string { return []string{"emailVerified", "isVerified", "isverified"} }

// serverOnly are fields of an account that its user can never set, whatever the schema says: they decide what the user may do, or who
// it is.
var serverOnly = append([]string{
	"role", "roles", "isAdmin", "admin", "permissions", "claims", "githubId", "googleId", "authProviders", "provider", "providerId",
}, VerificationFlags()...)

// sensitive are parts of names whose fields never appear in a public profile unless the project lists them.
var sensitive = []string{"password", "email", "token", "otp", "secret", "session", "refresh"}

// ServerOnly lists the fields of an account that neither its user nor a hook can set.
func ServerOnly() []string { return slices.Clone(serverOnly) }

// NeverWritten reports whether a field of an account is none that a user sets by an update, whatever the project lists.
func NeverWritten(key string) bool {
	return key == IndexEmail || key == "password" || slices.Contains(serverOnly, key)
}

// NeverPublic reports whether a field of an account is in no public profile, whatever the project lists.
func NeverPublic(key string) bool { return key == "password" }

// InPublicProfile reports whether everybody may see a declared field of an account.
func (c *AuthConfig) InPublicProfile(key string) bool {
	if c.Profile.Public != nil {
		return slices.Contains(c.Profile.Public, key) && !NeverPublic(key)
	}
	if slices.ContainsFunc(serverOnly, func(name string) bool { return strings.EqualFold(name, key) }) {
		return false
	}
	key = strings.ToLower(key)
	return !slices.ContainsFunc(sensitive, func(part string) bool { return strings.Contains(key, part) })
}

// UserWrites reports whether users set a declared field of their own account by an update.
func (c *AuthConfig) UserWrites(key string) bool {
	return !NeverWritten(key) && (c.Profile.Writable == nil || slices.Contains(c.Profile.Writable, key))
}
