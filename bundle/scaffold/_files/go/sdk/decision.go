package sluice

import (
	"strconv"
	"unicode/utf8"
)

// Decision is a guest's answer. The zero Decision says no without a reason, so that a forgotten answer refuses.
type Decision struct {
	yes     bool
	code    string
	message string
	status  int
	value   []byte // JSON text that goes with a yes
}

// Allow says yes. A hook leaves the document as it is.
func Allow() Decision { return Decision{yes: true} }

// Deny says no with a reason for the caller. code is stable and for programs: at most 64 bytes of a to z, 0 to 9, dot and
// underscore, as in "posts.price_too_high". message is for people and says what to do; over 500 bytes it is cut.
func Deny(code, message string) Decision {
	return Decision{code: code, message: message}
}

// Reject is Deny under the name that suits a hook.
func Reject(code, message string) Decision { return Deny(code, message) }

// WithStatus sets the HTTP status of a no, 400 to 499. Without it a policy answers 403 and a hook 422.
func (d Decision) WithStatus(status int) Decision {
	d.status = status
	return d
}

// Replace, from a hook before an insert, an update or a signup, says yes with another document.
func Replace(document Object) Decision {
	return Decision{yes: true, value: document.text}
}

// Restrict, from a policy on Filter, says yes to what a query finds, and hides the rest. A query without conditions hides nothing.
func Restrict(q Query) Decision {
	if len(q.where)+len(q.any) == 0 {
		return Allow()
	}
	return Decision{yes: true, value: Query{where: q.where, any: q.any}.Object().text}
}

// Grant, from a hook on claims, says yes and gives the user's access token further claims: an object of at most 2 KiB.
func Grant(claims Object) Decision { return Decision{yes: true, value: claims.text} }

// AllowEach, from a policy on Read, says for each of the event's documents whether the caller may see it.
func AllowEach(e *Event, may func(document Object) bool) Decision {
	text := []byte(`{"allow":[`)
	first := true
	for document := range e.Documents() {
		if !first {
			text = append(text, ',')
		}
		first = false
		text = strconv.AppendBool(text, may(document))
	}
	return Decision{yes: true, value: append(text, ']', '}')}
}

const maxMessageBytes = 500

// text returns what goes to the host beside the yes or no; nil for nothing.
func (d *Decision) text() []byte {
	if d.yes {
		return d.value
	}
	if d.code == "" {
		return nil
	}
	text := make([]byte, 0, len(d.code)+len(d.message)+64)
	text = append(text, `{"code":`...)
	text = appendQuoted(text, d.code)
	text = append(text, `,"message":`...)
	text = appendQuoted(text, cut(d.message))
	if d.status != 0 {
		text = append(text, `,"status":`...)
		text = strconv.AppendInt(text, int64(d.status), 10)
	}
	return append(text, '}')
}

// cut shortens a message to what the host takes, between two characters.
func cut(message string) string {
	if len(message) <= maxMessageBytes {
		return message
	}
	end := maxMessageBytes
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end]
}

// Allows reports whether the decision is a yes; for tests of a policy or a hook.
func (d Decision) Allows() bool { return d.yes }

// Code returns the code of a no, or "".
func (d Decision) Code() string { return d.code }

// Document returns the document, predicate or claims that a yes brings along; the missing Object if there is none.
func (d Decision) Document() Object { return ParseObject(d.value) }
