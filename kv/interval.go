package kv

import (
	"bytes"
	"slices"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// interval is a range of keys of one field: low <= key < high. A point is
// that of one value.
type interval struct {
	low, high []byte
	point     bool
}

// intervals returns the keys of the values that a predicate accepts, ascending
// and disjoint; whole is false when they hold others too, since a key was cut.
// ok is false for a predicate that is no comparison of order or equality.
func (p *pred) intervals() (list []interval, whole, ok bool) {
	switch p.Op {
	case Eq, In, Is, Has, Gt, Gte, Lt, Lte:
	default:
		return nil, false, false
	}
	whole = true
	for i := range p.alts {
		key := p.alts[i].key
		cut := len(key) > maxOrderedKey
		if cut {
			key, whole = key[:maxOrderedKey], false
		}
		iv := interval{low: key, high: prefixEnd(key)}
		first, end := tagsOf(p.alts[i].kind)
		switch p.Op {
		case Eq, In, Is, Has:
			iv.point = true
		case Gt:
			if !cut {
				iv.low = iv.high
			}
			iv.high = []byte{end}
		case Gte:
			iv.high = []byte{end}
		case Lt:
			if !cut {
				iv.high = iv.low
			}
			iv.low = []byte{first}
		case Lte:
			iv.low = []byte{first}
		}
		if bytes.Compare(iv.low, iv.high) < 0 {
			list = append(list, iv)
		}
	}
	return union(list), whole, true
}

// tagsOf returns the tags of a kind's keys: first <= tag < end.
func tagsOf(kind jsondoc.Kind) (first, end byte) {
	switch kind {
	case jsondoc.Bool:
		return tagFalse, tagTrue + 1
	case jsondoc.Number:
		return tagNumber, tagNumber + 1
	case jsondoc.String:
		return tagString, tagString + 1
	case jsondoc.Array:
		return tagArray, tagArray + 1
	case jsondoc.Object:
		return tagObject, tagObject + 1
	}
	return tagNull, tagNull + 1
}

// union sorts intervals and joins those that overlap.
func union(list []interval) []interval {
	if len(list) < 2 {
		return list
	}
	slices.SortFunc(list, func(a, b interval) int { return bytes.Compare(a.low, b.low) })
	out := list[:1]
	for _, iv := range list[1:] {
		last := &out[len(out)-1]
		if bytes.Compare(iv.low, last.high) >= 0 {
			out = append(out, iv)
			continue
		}
		last.point = last.point && iv.point // then they are equal
		if bytes.Compare(iv.high, last.high) > 0 {
			last.high = iv.high
		}
	}
	return out
}

// intersect returns what two unions have in common.
func intersect(a, b []interval) (out []interval) {
	for len(a) > 0 && len(b) > 0 {
		iv := interval{low: a[0].low, high: a[0].high, point: a[0].point || b[0].point}
		if bytes.Compare(b[0].low, iv.low) > 0 {
			iv.low = b[0].low
		}
		if bytes.Compare(b[0].high, iv.high) < 0 {
			iv.high = b[0].high
		}
		if bytes.Compare(iv.low, iv.high) < 0 {
			out = append(out, iv)
		}
		if bytes.Compare(a[0].high, b[0].high) < 0 {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func allPoints(list []interval) bool {
	return !slices.ContainsFunc(list, func(iv interval) bool { return !iv.point })
}
