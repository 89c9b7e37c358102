package project

import (
	"net/url"
	"strings"
)

// The formats of a String field.
const (
	formatEmail = "email" // local@domain.tld
	formatURL   = "url"   // absolute, http or https
	formatColor = "color" // #rrggbb
	formatSlug  = "slug"  // lower-case words joined by single hyphens
)

func formats() []string { return []string{formatEmail, formatURL, formatColor, formatSlug} }

// hasFormat reports whether text has the format. An unknown one, which Validate refuses, fits nothing.
func hasFormat(format string, text []byte) bool {
	switch format {
	case formatEmail:
		return isEmail(text)
	case formatURL:
		return isURL(text)
	case formatColor:
		return isColor(text)
	case formatSlug:
		return isSlug(text)
	}
	return false
}

// isEmail is stricter than RFC 5321 on purpose: no quoted local parts, no address literals, a domain with a dot. That is
// what people have and what mail providers accept.
func isEmail(text []byte) bool {
	at := -1
	for i, c := range text {
		if c == '@' {
			if at >= 0 {
				return false
			}
			at = i
		}
	}
	if at < 1 || at > 64 || len(text) > 254 {
		return false
	}
	last := byte('.')
	for _, c := range text[:at] {
		if c == '.' && last == '.' || c < 0x80 && !isAlnum(c) && !strings.ContainsRune(".!#$%&'*+/=?^_`{|}~-", rune(c)) {
			return false
		}
		last = c
	}
	return last != '.' && isDomain(text[at+1:])
}

// isDomain: at least two labels of letters, digits and inner hyphens, the last one of two letters or more.
func isDomain(text []byte) bool {
	labels, start, letters := 0, 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '.' {
			switch c := text[i]; {
			case c >= 0x80 || c|0x20 >= 'a' && c|0x20 <= 'z':
				letters++
			case c != '-' && !isAlnum(c):
				return false
			}
			continue
		}
		n := i - start
		if n == 0 || n > 63 || text[start] == '-' || text[i-1] == '-' {
			return false
		}
		if labels++; i == len(text) {
			return labels >= 2 && letters >= 2
		}
		start, letters = i+1, 0
	}
	return false
}

func isURL(text []byte) bool {
	if len(text) > 2048 {
		return false
	}
	for _, c := range text {
		if c <= ' ' || c == 0x7F || c == '\\' || c == '"' || c == '<' || c == '>' {
			return false
		}
	}
	u, err := url.Parse(string(text))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func isColor(text []byte) bool {
	if len(text) != 7 || text[0] != '#' {
		return false
	}
	for _, c := range text[1:] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

func isSlug(text []byte) bool {
	last := byte('-')
	for _, c := range text {
		if c == '-' && last == '-' || c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
		last = c
	}
	return last != '-'
}

func isAlnum(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }
