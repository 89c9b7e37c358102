package project

import "strings"

// TypeAt returns the declared type of the values that a dotted path reaches, or "" when it is not declared. An Array
// stands for its elements, since a query on an array asks for membership; `_id` is a Ref, the two times are Dates.
func (c *Collection) TypeAt(path string) Type {
	switch path {
	case idMember:
		return TypeRef
	case createdAt, updatedAt:
		return TypeDate
	}
	if f := c.FieldAt(path); f != nil {
		return f.Type
	}
	return ""
}

// FieldAt returns the declared field that a dotted path reaches, or nil. An Array stands for its elements, also with a
// position in the path (`tags.0`).
func (c *Collection) FieldAt(path string) *Field {
	fields := c.Fields
	for {
		name, rest, nested := strings.Cut(path, ".")
		f := fieldNamed(fields, name)
		if f == nil {
			return nil
		}
		for f.Type == TypeArray {
			if f.Items == nil {
				return nil
			}
			f = f.Items
			if head, tail, more := strings.Cut(rest, "."); nested && isIndex(head) {
				rest, nested = tail, more
			}
		}
		if !nested {
			return f
		}
		fields, path = f.Fields, rest
	}
}

func fieldNamed(fields []Field, key string) *Field {
	for i := range fields {
		if fields[i].Key == key {
			return &fields[i]
		}
	}
	return nil
}

func isIndex(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// ParseDate reads a date as a Date field takes it and returns it as documents hold it.
func ParseDate(text string) (string, bool) {
	d, ok := parseDate([]byte(text))
	if !ok {
		d, ok = parseSpokenDate([]byte(text))
	}
	if !ok {
		return "", false
	}
	return string(d.append(nil)), true
}

// ParsePlainDate is ParseDate for a text that may mean something else: only forms that nobody writes by chance are dates.
func ParsePlainDate(text string) (string, bool) {
	d, ok := parseDate([]byte(text))
	if !ok {
		return "", false
	}
	return string(d.append(nil)), true
}
