package auth

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// InputError reports an account field that a caller must correct. Message is the API contract's text, safe to show.
type InputError struct {
	Field   string // "email", "password" or "username"
	Message string
}

// Error returns the message.
func (e *InputError) Error() string { return e.Message }

const (
	maxEmail      = 100 // code points, by the contract
	maxEmailBytes = 254 // by RFC 5321
	maxLocalBytes = 64  // by RFC 5321

	// DefaultMinPassword and LowestMinPassword are, in code points, the shortest password of a project that says nothing
	// and the least that a project may ask for.
	DefaultMinPassword = 8
	LowestMinPassword  = 6
	// MaxPassword is the longest password in code points. All of it is hashed: nothing is cut.
	MaxPassword = 128

	minUsername = 3
	maxUsername = 50
)

// NormalizeEmail returns the one form of an address that every flow stores and looks up: trimmed, lower case, NFC, and
// with the domain as IDNA ASCII. What cannot be an address, or could pass for another one (control, zero-width and
// bidirectional characters), is an [*InputError].
func NormalizeEmail(address string) (string, error) {
	invalid := &InputError{Field: "email", Message: "Invalid email format."}
	if !utf8.ValidString(address) {
		return "", invalid
	}
	address = strings.TrimSpace(address)
	if address == "" {
		return "", &InputError{Field: "email", Message: "Email is required."}
	}
	if utf8.RuneCountInString(address) > maxEmail {
		return "", &InputError{Field: "email", Message: "Email is too long."}
	}
	local, domain, ok := strings.Cut(address, "@")
	if !ok || strings.Contains(domain, "@") {
		return "", invalid
	}
	// Lower case first: it may take a letter apart (İ becomes i and a dot), and NFC then gives the one spelling.
	local = norm.NFC.String(strings.ToLower(local))
	if !validLocal(local) {
		return "", invalid
	}
	domain, err := idna.Lookup.ToASCII(domain)
	if err != nil || !validDomain(domain) {
		return "", invalid
	}
	address = local + "@" + domain
	if len(address) > maxEmailBytes || utf8.RuneCountInString(address) > maxEmail {
		return "", &InputError{Field: "email", Message: "Email is too long."}
	}
	return address, nil
}

// validLocal accepts RFC 5322 atoms joined by dots, with letters and digits of any script, and no quoted form.
func validLocal(local string) bool {
	if local == "" || len(local) > maxLocalBytes || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	for _, r := range local {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		case r < utf8.RuneSelf:
			if !strings.ContainsRune(".!#$%&'*+/=?^_`{|}~-", r) {
				return false
			}
		case !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			return false
		case unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r):
			return false // drawn as nothing
		}
	}
	return true
}

// validDomain accepts a lower-case ASCII host name of at least two labels whose last one is not a number.
func validDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	if len(labels) < 2 || len(domain) > 253 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return len(last) >= 2 && strings.Trim(last, "0123456789") != ""
}

// ValidatePassword judges a new password by its length in code points; min 0 means [DefaultMinPassword], and less than
// [LowestMinPassword] is raised to it. Any character is allowed, spaces included. One of the 3,000 that are used most is what a guesser
// tries first, in any case of its letters, and is refused.
func ValidatePassword(password string, min int) error {
	if min == 0 {
		min = DefaultMinPassword
	}
	min = max(min, LowestMinPassword)
	n := utf8.RuneCountInString(password)
	switch {
	case n < min:
		return &InputError{Field: "password", Message: fmt.Sprintf("Password must be at least %d characters.", min)}
	case n > MaxPassword:
		return &InputError{Field: "password", Message: "Password is too long."}
	case isCommon(password):
		return &InputError{Field: "password", Message: "Password is too common. Choose one that others do not use."}
	}
	return nil
}

// ValidateUsername judges a user name: 3 to 50 code points after trimming, none of them invisible.
func ValidateUsername(name string) error {
	n := utf8.RuneCountInString(strings.TrimSpace(name))
	switch {
	case n < minUsername:
		return &InputError{Field: "username", Message: "Username must be at least 3 characters."}
	case n > maxUsername:
		return &InputError{Field: "username", Message: "Username must be between 3 and 50 characters."}
	}
	if !utf8.ValidString(name) {
		return &InputError{Field: "username", Message: "Username must not contain invisible characters."}
	}
	for _, r := range name {
		if invisible(r) {
			return &InputError{Field: "username", Message: "Username must not contain invisible characters."}
		}
	}
	return nil
}

// invisible reports characters with which one name can pass for another: controls, zero-width, bidirectional marks.
func invisible(r rune) bool {
	return unicode.Is(unicode.C, r) || unicode.In(r, unicode.Zl, unicode.Zp) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
