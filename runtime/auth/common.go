package auth

import (
	_ "embed"
	"strings"
)

// commonPasswords are the 3,000 passwords of six characters and more that occur most in what was stolen elsewhere, one on a line, in lower
// case: from zxcvbn 4.4.2, under the license beside it.
//
//go:embed common.txt
var commonPasswords string

// isCommon reports whether a password is one of them. The text is 24 KB: it is searched in
// microseconds, beside a hash that takes milliseconds.
func isCommon(password string) bool {
	if strings.ContainsAny(password, "\n") {
		return false
	}
	line := "\n" + strings.ToLower(password) + "\n"
	return strings.Contains(commonPasswords, line) || strings.HasPrefix(commonPasswords, line[1:])
}
