package jsondoc

import (
	"bytes"
	"unicode/utf8"
)

// The functions below read canonical text without a tape. They trust it to be canonical only for the meaning of their
// answer: each step checks its bounds, so that any bytes at all are safe.

// Lookup returns the text of the value at a dotted path, going through objects only; ok is false if there is none. Of
// the names in path none can hold a dot. raw is a part of doc.
func Lookup(doc []byte, path string) (raw []byte, ok bool) {
	i := 0
	for {
		name, rest, more := cutPath(path)
		i = findMember(doc, i, name)
		if i < 0 {
			return nil, false
		}
		if !more {
			end := skipValue(doc, i)
			return doc[i:end:end], end > i
		}
		path = rest
	}
}

// Each yields the text of every value at a dotted path until yield returns false. It is Lookup, but an array on the way
// is searched element by element (elements that are objects), and a path segment of digits also picks that element of an
// array. An array at the end is yielded whole. Each raw is a part of doc.
func Each(doc []byte, path string, yield func(raw []byte) bool) {
	each(doc, 0, path, yield)
}

func each(doc []byte, i int, path string, yield func(raw []byte) bool) bool {
	for {
		if i >= len(doc) {
			return true
		}
		name, rest, more := cutPath(path)
		if doc[i] == '[' {
			return eachElement(doc, i, path, yield)
		}
		if i = findMember(doc, i, name); i < 0 {
			return true
		}
		if !more {
			end := skipValue(doc, i)
			return end <= i || yield(doc[i:end:end])
		}
		path = rest
	}
}

func eachElement(doc []byte, i int, path string, yield func(raw []byte) bool) bool {
	name, rest, more := cutPath(path)
	wanted := position(name)
	i++
	for n := 0; i < len(doc) && doc[i] != ']'; n++ {
		end := skipValue(doc, i)
		if end <= i {
			return true
		}
		if n == wanted {
			if !more {
				if !yield(doc[i:end:end]) {
					return false
				}
			} else if !each(doc[:end], i, rest, yield) {
				return false
			}
		}
		if doc[i] == '{' && !each(doc[:end], i, path, yield) {
			return false
		}
		if i = end; i < len(doc) && doc[i] == ',' {
			i++
		}
	}
	return true
}

// Elements yields the text of each element of an array's text until yield returns false; nothing if arr is no array.
func Elements(arr []byte, yield func(raw []byte) bool) {
	if len(arr) == 0 || arr[0] != '[' {
		return
	}
	for i := 1; i < len(arr) && arr[i] != ']'; {
		end := skipValue(arr, i)
		if end <= i || !yield(arr[i:end:end]) {
			return
		}
		if i = end; i < len(arr) && arr[i] == ',' {
			i++
		}
	}
}

// Fields yields name and value of each member of an object's text until yield returns false; nothing if obj is no
// object. Both are texts as stored: the name has its quotes (and escapes: see Unquote).
func Fields(obj []byte, yield func(name, raw []byte) bool) {
	if len(obj) == 0 || obj[0] != '{' {
		return
	}
	for i := 1; i < len(obj) && obj[i] == '"'; {
		colon := skipString(obj, i)
		if colon >= len(obj) || obj[colon] != ':' {
			return
		}
		end := skipValue(obj, colon+1)
		if end <= colon+1 || !yield(obj[i:colon:colon], obj[colon+1:end:end]) {
			return
		}
		if i = end; i < len(obj) && obj[i] == ',' {
			i++
		}
	}
}

// KindOf returns the kind of a value's text by its first byte.
func KindOf(raw []byte) Kind {
	if len(raw) == 0 {
		return Missing
	}
	switch c := raw[0]; {
	case c == '"':
		return String
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-' || isDigit(c):
		return Number
	}
	return Missing
}

// Unquote appends the decoded text of a string's text to dst; nothing if raw is no string. dst may not overlap raw.
func Unquote(dst, raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return dst
	}
	raw = raw[1:]
	if raw[len(raw)-1] == '"' {
		raw = raw[:len(raw)-1]
	}
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...)
		}
		dst = append(dst, raw[:i]...)
		r, size, _ := escape(raw[i:])
		if r < 0 {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
		raw = raw[i+size:]
	}
}

// cutPath splits a path at its first dot.
func cutPath(path string) (name, rest string, more bool) {
	for i := 0; i < len(path); i++ {
		if path[i] == '.' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// position returns the array index that a path segment of digits names, -1 if it is none.
func position(name string) int {
	if len(name) == 0 || len(name) > 9 {
		return -1
	}
	n := 0
	for i := 0; i < len(name); i++ {
		if !isDigit(name[i]) {
			return -1
		}
		n = n*10 + int(name[i]-'0')
	}
	return n
}

// findMember returns the offset of the value of the first member called name of the object at i, -1 if there is none.
func findMember(doc []byte, i int, name string) int {
	if i >= len(doc) || doc[i] != '{' {
		return -1
	}
	for i++; i < len(doc) && doc[i] == '"'; {
		colon := skipString(doc, i)
		if colon >= len(doc) || doc[colon] != ':' {
			return -1
		}
		if nameIs(doc[i+1:colon-1], name) {
			return colon + 1
		}
		end := skipValue(doc, colon+1)
		if end >= len(doc) || doc[end] != ',' {
			return -1
		}
		i = end + 1
	}
	return -1
}

// nameIs reports whether the inside of a string's text decodes to name.
func nameIs(text []byte, name string) bool {
	if len(text) == len(name) {
		// Equal bytes without a backslash are equal names; with one, text decodes to fewer bytes than it has.
		return string(text) == name && bytes.IndexByte(text, '\\') < 0
	}
	if len(text) < len(name) || bytes.IndexByte(text, '\\') < 0 {
		return false
	}
	var buf [utf8.UTFMax]byte
	for len(text) > 0 {
		if text[0] != '\\' {
			if len(name) == 0 || name[0] != text[0] {
				return false
			}
			text, name = text[1:], name[1:]
			continue
		}
		r, size, _ := escape(text)
		if r < 0 {
			return false
		}
		n := utf8.EncodeRune(buf[:], r)
		if len(name) < n || name[:n] != string(buf[:n]) {
			return false
		}
		text, name = text[size:], name[n:]
	}
	return len(name) == 0
}

// skipValue returns the offset behind the value at i: at most len(doc), at least i.
func skipValue(doc []byte, i int) int {
	if i >= len(doc) {
		return len(doc)
	}
	switch doc[i] {
	case '"':
		return skipString(doc, i)
	case '{', '[':
		return skipContainer(doc, i)
	}
	for i < len(doc) && doc[i] != ',' && doc[i] != '}' && doc[i] != ']' {
		i++
	}
	return i
}

// skipString returns the offset behind the string whose opening quote is at i, len(doc) if it never ends.
func skipString(doc []byte, i int) int {
	i++
	for from := i; ; {
		n := bytes.IndexByte(doc[i:], '"')
		if n < 0 {
			return len(doc)
		}
		i += n + 1
		back := i - 2
		for back >= from && doc[back] == '\\' {
			back--
		}
		if (i-2-back)&1 == 0 {
			return i
		}
		from = i
	}
}

// skipContainer returns the offset behind the object or array at i. Kinds of brackets need not be told apart: canonical
// text is balanced.
func skipContainer(doc []byte, i int) int {
	depth := 0
	for i < len(doc) {
		switch doc[i] {
		case '"':
			i = skipString(doc, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(doc)
}
