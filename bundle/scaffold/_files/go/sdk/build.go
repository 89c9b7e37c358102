package sluice

import (
	"math"
	"strconv"
)

// Builder makes a new object, usually from an old one: members keep their place and text unless they are set or
// removed, new ones come last. Its methods return it, so that calls can be chained.
type Builder struct {
	base  Object
	edits []edit
}

// edit is the last word on one member.
type edit struct {
	name    string
	value   []byte // JSON text; nil: remove the member
	written bool   // it replaced a member of base
}

// Edit begins with the members of o. A missing o begins with none. The builder borrows o.
func Edit(o Object) *Builder { return &Builder{base: o} }

// NewObject begins with no members.
func NewObject() *Builder { return new(Builder) }

// SetString sets a member to a string. Bytes that are not UTF-8 become U+FFFD.
func (b *Builder) SetString(name, value string) *Builder {
	return b.set(name, appendQuoted(nil, value))
}

// SetNumber sets a member to a number; to null if JSON cannot write it (an infinity, not a number).
func (b *Builder) SetNumber(name string, value float64) *Builder {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return b.SetNull(name)
	}
	return b.set(name, strconv.AppendFloat(nil, value, 'g', -1, 64))
}

// SetInt sets a member to a whole number.
func (b *Builder) SetInt(name string, value int64) *Builder {
	return b.set(name, strconv.AppendInt(nil, value, 10))
}

// SetBool sets a member to true or false.
func (b *Builder) SetBool(name string, value bool) *Builder {
	if value {
		return b.set(name, []byte("true"))
	}
	return b.set(name, []byte("false"))
}

// SetNull sets a member to null.
func (b *Builder) SetNull(name string) *Builder { return b.set(name, []byte("null")) }

// SetObject sets a member to an object; to null if it is missing.
func (b *Builder) SetObject(name string, value Object) *Builder {
	if !value.Exists() {
		return b.SetNull(name)
	}
	return b.set(name, value.text)
}

// SetRaw sets a member to JSON text, which the caller answers for. The builder borrows it.
func (b *Builder) SetRaw(name string, value []byte) *Builder {
	if len(value) == 0 {
		return b.SetNull(name)
	}
	return b.set(name, value)
}

// Remove leaves a member out.
func (b *Builder) Remove(name string) *Builder { return b.set(name, nil) }

func (b *Builder) set(name string, value []byte) *Builder {
	if e := b.find(name); e != nil {
		e.value = value
		return b
	}
	b.edits = append(b.edits, edit{name: name, value: value})
	return b
}

func (b *Builder) find(name string) *edit {
	for i := range b.edits {
		if b.edits[i].name == name {
			return &b.edits[i]
		}
	}
	return nil
}

// Object returns what was built, in memory of its own. The builder may be used on.
func (b *Builder) Object() Object {
	size := len(b.base.text) + 2
	for i := range b.edits {
		b.edits[i].written = false
		size += len(b.edits[i].name) + len(b.edits[i].value) + 8
	}
	out := append(make([]byte, 0, size), '{')
	for c := enter(b.base.text, '{'); ; {
		name, value, ok := c.member()
		if !ok {
			break
		}
		for i := range b.edits {
			if sameName(name, b.edits[i].name) {
				value = b.edits[i].value
				b.edits[i].written = true
				break
			}
		}
		if value != nil {
			out = separate(out)
			out = append(append(append(out, name...), ':'), value...)
		}
	}
	for i := range b.edits {
		if e := &b.edits[i]; !e.written && e.value != nil {
			out = separate(out)
			out = append(append(appendQuoted(out, e.name), ':'), e.value...)
		}
	}
	return Object{append(out, '}')}
}

// separate writes a comma unless the object that out begins with has no member yet.
func separate(out []byte) []byte {
	if len(out) > 1 {
		return append(out, ',')
	}
	return out
}
