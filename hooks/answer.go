package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// answer turns the guest's result into a decision. What it returns is copied out of the guest's memory.
func (in *instance) answer(q *question, e *Event, result uint64) (Decision, error) {
	switch result {
	case resultYes:
		return Decision{Allow: true}, nil
	case resultNo:
		if in.failed != nil {
			if err := in.exception(); err != nil {
				return Decision{}, err
			}
		}
		return Decision{Status: q.status, Module: in.module.name}, nil
	}
	d, err := in.readAnswer(q, e, result)
	if err != nil {
		return Decision{}, &ABIError{Module: in.module.name, Why: q.function + ": " + err.Error()}
	}
	if !d.Allow {
		d.Module = in.module.name
		if d.Status == 0 {
			d.Status = q.status
		}
	}
	return d, nil
}

func (in *instance) readAnswer(q *question, e *Event, result uint64) (Decision, error) {
	no, ptr, size := splitResult(result)
	if limit := in.module.bundle.limits.AnswerBytes; int64(size) > limit {
		return Decision{}, fmt.Errorf("the answer has %d bytes, at most %d are allowed", size, limit)
	}
	text, ok := in.memory.Read(ptr, size)
	if !ok {
		return Decision{}, fmt.Errorf("the answer is said to be %d bytes at %d, which is outside of the guest's memory", size, ptr)
	}
	if no {
		return parseReason(text)
	}
	d, err := Decision{Allow: true}, error(nil)
	switch q.event {
	case EventBeforeInsert, EventBeforeUpdate, EventBeforeSignup:
		d.Document, err = parseDocument(text)
	case EventFilter:
		d.Filters, err = parseFilter(text)
	case EventClaims:
		d.Claims, err = parseClaims(text)
	case EventPolicy:
		if e.Op == OpRead {
			d.Allowed, err = parseAllowed(text, len(e.Documents))
			break
		}
		fallthrough
	default:
		err = fmt.Errorf("%s has no value to give on %s", q.event, e.Op)
	}
	return d, err
}

// parseReason reads the text of a no: {"code":…,"message":…,"status":…}. Members of other names are ignored.
func parseReason(text []byte) (Decision, error) {
	if len(text) > maxReasonBytes { // not even looked at: that is the host's time
		return Decision{}, fmt.Errorf("reason: has %d bytes, at most %d are allowed", len(text), maxReasonBytes)
	}
	var d Decision
	err := eachMember(text, func(key, value []byte) error {
		switch string(key) {
		case "code":
			code, err := text2string(value)
			if err != nil {
				return err
			}
			if !validCode(code) {
				return fmt.Errorf("is %.80q, it must match [a-z0-9_.]{1,%d}", code, maxCodeBytes)
			}
			d.Code = code
		case "message":
			message, err := text2string(value)
			if err != nil {
				return err
			}
			if len(message) > maxMessageBytes {
				return fmt.Errorf("has %d bytes, at most %d are allowed", len(message), maxMessageBytes)
			}
			d.Message = message
		case "status":
			status, err := strconv.Atoi(string(value))
			if err != nil || status < minStatus || status > maxStatus {
				return fmt.Errorf("is %.20s, it must be a whole number from %d to %d", value, minStatus, maxStatus)
			}
			d.Status = status
		}
		return nil
	})
	if err != nil {
		return Decision{}, fmt.Errorf("reason: %w", err)
	}
	if d.Code == "" {
		return Decision{}, fmt.Errorf("reason: code: is missing")
	}
	return d, nil
}

// parseDocument checks that text is one JSON object and returns a copy of it, without the white space around it. What
// the object holds is judged by whoever stores it.
func parseDocument(text []byte) ([]byte, error) {
	text = trimSpace(text)
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, fmt.Errorf("document: is not JSON")
	}
	if text[0] != '{' {
		return nil, fmt.Errorf("document: is not a JSON object")
	}
	return bytes.Clone(text), nil
}

// parseAllowed reads a read policy's value: {"allow":[true,false,…]} with exactly n items.
func parseAllowed(text []byte, n int) ([]bool, error) {
	var allowed []bool
	err := eachMember(text, func(key, value []byte) error {
		if string(key) != "allow" {
			return nil
		}
		if value[0] != '[' {
			return fmt.Errorf("is not an array")
		}
		allowed = make([]bool, 0, n)
		for rest := trimSpace(value[1:]); rest[0] != ']'; {
			end := skipValue(rest)
			switch item := string(trimSpace(rest[:end])); item {
			case "true", "false":
				allowed = append(allowed, item == "true")
			default:
				return fmt.Errorf("holds %.20s, only true and false are allowed", item)
			}
			if len(allowed) > n {
				break
			}
			rest = trimSpace(rest[end:])
			if rest[0] == ',' {
				rest = trimSpace(rest[1:])
			}
		}
		if len(allowed) != n {
			return fmt.Errorf("does not have one item for each of the %d documents", n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	if allowed == nil {
		return nil, fmt.Errorf("value: allow: is missing")
	}
	return allowed, nil
}

// parseFilter reads a filter's value: {"where":{…},"any":[{…},…]}, one of them or both. What they hold is judged by whoever runs
// the query; here a misspelled name is found, which would leave out a restriction.
func parseFilter(text []byte) ([][]byte, error) {
	if len(text) > maxFilterBytes {
		return nil, fmt.Errorf("predicate: has %d bytes, at most %d are allowed", len(text), maxFilterBytes)
	}
	restricts := false
	err := eachMember(text, func(key, value []byte) error {
		open := byte('{')
		switch string(key) {
		case "where":
		case "any":
			open = '['
		default:
			return fmt.Errorf("is neither where nor any")
		}
		restricts = true
		if value[0] != open {
			return fmt.Errorf("does not begin with %c", open)
		}
		return nil
	})
	if err == nil && !restricts {
		err = fmt.Errorf("has neither where nor any")
	}
	if err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	return [][]byte{bytes.Clone(trimSpace(text))}, nil
}

// parseClaims reads the value of claims, an object for a token.
func parseClaims(text []byte) ([]byte, error) {
	if len(text) > maxClaimsBytes {
		return nil, fmt.Errorf("claims: have %d bytes, at most %d are allowed", len(text), maxClaimsBytes)
	}
	if err := eachMember(text, func(_, _ []byte) error { return nil }); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return bytes.Clone(trimSpace(text)), nil
}

// eachMember walks the members of text, which must be one JSON object in UTF-8 without two top-level members of one
// name. value is the member's text without white space around it. It is stricter than encoding/json, whose names match
// in any case and whose last duplicate wins: a verdict must not depend on who reads it.
func eachMember(text []byte, member func(key, value []byte) error) error {
	if !utf8.Valid(text) || !json.Valid(text) {
		return fmt.Errorf("is not JSON")
	}
	rest := trimSpace(text)
	if rest[0] != '{' {
		return fmt.Errorf("is not a JSON object")
	}
	seen := make(map[string]bool)
	rest = trimSpace(rest[1:])
	for rest[0] != '}' {
		end := skipValue(rest)
		key, err := text2string(rest[:end])
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("has two members named %.80q", key)
		}
		seen[key] = true
		rest = trimSpace(trimSpace(rest[end:])[1:]) // past the colon
		end = skipValue(rest)
		if err := member([]byte(key), rest[:end]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		rest = trimSpace(rest[end:])
		if rest[0] == ',' {
			rest = trimSpace(rest[1:])
		}
	}
	return nil
}

// skipValue returns the length of the JSON value at the start of valid text.
func skipValue(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // a bare number or word ended by what holds it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

func trimSpace(text []byte) []byte {
	return bytes.Trim(text, " \t\r\n")
}

func text2string(value []byte) (string, error) {
	if value[0] != '"' {
		return "", fmt.Errorf("is not a string")
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return "", fmt.Errorf("is not a string: %w", err)
	}
	return s, nil
}

func validCode(code string) bool {
	if len(code) == 0 || len(code) > maxCodeBytes {
		return false
	}
	for _, c := range []byte(code) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' {
			return false
		}
	}
	return true
}
