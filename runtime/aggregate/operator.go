package aggregate

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// operandError says why an operator cannot work on what it got; the operator's name goes before.
type operandError struct{ why string }

func (e *operandError) Error() string { return e.why }

func cannot(why string) error { return &operandError{why} }

// takes says how many operands the operator wants.
func (o *operator) takes() string {
	count := func(n int) string {
		if n == 1 {
			return "1 operand"
		}
		return strconv.Itoa(n) + " operands"
	}
	switch {
	case o.most == many:
		return "at least " + count(o.least)
	case o.least != o.most:
		return strconv.Itoa(o.least) + " to " + count(o.most)
	}
	return count(o.least)
}

const many = math.MaxInt

// operators are the functions that expressions may call. With a missing value or null where a number, a text or a time is
// wanted they give null.
var operators = map[string]operator{
	"$add":      {1, many, fold(number.plus)},
	"$multiply": {1, many, fold(number.times)},
	"$subtract": {2, 2, fold(number.minus)},
	"$divide":   {2, 2, divide(number.over)},
	"$mod":      {2, 2, divide(number.modulo)},
	"$abs":      {1, 1, numeric(absolute)},
	"$ceil":     {1, 1, numeric(func(n number) (number, bool) { return n.round(up, 0) })},
	"$floor":    {1, 1, numeric(func(n number) (number, bool) { return n.round(down, 0) })},
	"$trunc":    {1, 2, rounded(towardsZero)},
	"$round":    {1, 2, rounded(halfEven)},

	"$eq":  {2, 2, ordered(func(c int) bool { return c == 0 })},
	"$ne":  {2, 2, ordered(func(c int) bool { return c != 0 })},
	"$gt":  {2, 2, ordered(func(c int) bool { return c > 0 })},
	"$gte": {2, 2, ordered(func(c int) bool { return c >= 0 })},
	"$lt":  {2, 2, ordered(func(c int) bool { return c < 0 })},
	"$lte": {2, 2, ordered(func(c int) bool { return c <= 0 })},
	"$cmp": {2, 2, func(args [][]byte) ([]byte, error) {
		return strconv.AppendInt(nil, int64(compare(args[0], args[1])), 10), nil
	}},
	"$not": {1, 1, func(args [][]byte) ([]byte, error) { return boolean(!truth(args[0])), nil }},
	"$in":  {2, 2, among},

	"$ifNull":      {2, many, ifNull},
	"$size":        {1, 1, size},
	"$arrayElemAt": {2, 2, elementAt},

	"$concat":   {1, many, concat},
	"$toLower":  {1, 1, text(bytes.ToLower)},
	"$toUpper":  {1, 1, text(bytes.ToUpper)},
	"$substrCP": {3, 3, substring},
	"$strLenCP": {1, 1, length},

	"$year":       {1, 1, moment(func(t time.Time) int { return t.Year() })},
	"$month":      {1, 1, moment(func(t time.Time) int { return int(t.Month()) })},
	"$dayOfMonth": {1, 1, moment(time.Time.Day)},
	"$dayOfWeek":  {1, 1, moment(func(t time.Time) int { return int(t.Weekday()) + 1 })},
	"$hour":       {1, 1, moment(time.Time.Hour)},
	"$minute":     {1, 1, moment(time.Time.Minute)},
	"$second":     {1, 1, moment(time.Time.Second)},
}

// compare orders two values as kv does; a missing one counts as null.
func compare(a, b []byte) int { return bytes.Compare(keyOf(a), keyOf(b)) }

func keyOf(raw []byte) []byte {
	if raw == nil {
		raw = null
	}
	return kv.AppendKey(nil, raw)
}

func ordered(holds func(int) bool) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) { return boolean(holds(compare(args[0], args[1]))), nil }
}

// anyAbsent reports whether an operand is missing or null.
func anyAbsent(args [][]byte) bool {
	for _, raw := range args {
		if absent(raw) {
			return true
		}
	}
	return false
}

var errRange = cannot("leaves the range of numbers.")

// operandNumber reads an operand as a number.
func operandNumber(raw []byte) (number, error) {
	if jsondoc.KindOf(raw) != jsondoc.Number {
		return number{}, cannot("needs numbers.")
	}
	return parseNumber(raw), nil
}

func result(n number, ok bool) ([]byte, error) {
	if !ok {
		return nil, errRange
	}
	return n.append(nil), nil
}

// fold is an operator of numbers from left to right.
func fold(step func(a, b number) (number, bool)) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) {
		if anyAbsent(args) {
			return null, nil
		}
		total, err := operandNumber(args[0])
		for _, raw := range args[1:] {
			if err != nil {
				break
			}
			var n number
			if n, err = operandNumber(raw); err != nil {
				break
			}
			var ok bool
			if total, ok = step(total, n); !ok {
				err = errRange
			}
		}
		if err != nil {
			return nil, err
		}
		return total.append(nil), nil
	}
}

func divide(step func(a, b number) (number, bool)) func([][]byte) ([]byte, error) {
	apply := fold(step)
	return func(args [][]byte) ([]byte, error) {
		if jsondoc.KindOf(args[1]) == jsondoc.Number && parseNumber(args[1]).zero() {
			return nil, cannot("cannot divide by zero.")
		}
		return apply(args)
	}
}

func numeric(of func(number) (number, bool)) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) {
		if absent(args[0]) {
			return null, nil
		}
		n, err := operandNumber(args[0])
		if err != nil {
			return nil, err
		}
		return result(of(n))
	}
}

func absolute(n number) (number, bool) {
	if n.approx && n.float < 0 || !n.approx && n.big().Sign() < 0 {
		n = n.negative()
	}
	return n, true
}

func rounded(how rounding) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) {
		places := 0
		if len(args) == 2 {
			n, err := operandNumber(args[1])
			if err != nil || n.approx || n.wide != nil || n.scale != 0 || n.small < 0 || n.small > maxScale {
				return nil, cannot("needs a number of places from 0 to 30.")
			}
			places = int(n.small)
		}
		return numeric(func(n number) (number, bool) { return n.round(how, places) })(args[:1])
	}
}

// among is [value, list].
func among(args [][]byte) ([]byte, error) {
	if jsondoc.KindOf(args[1]) != jsondoc.Array {
		return nil, cannot("needs a list to look in.")
	}
	key, found := keyOf(args[0]), false
	jsondoc.Elements(args[1], func(el []byte) bool {
		found = bytes.Equal(kv.AppendKey(nil, el), key)
		return !found
	})
	return boolean(found), nil
}

// ifNull is the first operand that is there, or the last one.
func ifNull(args [][]byte) ([]byte, error) {
	for _, raw := range args[:len(args)-1] {
		if !absent(raw) {
			return raw, nil
		}
	}
	return args[len(args)-1], nil
}

func size(args [][]byte) ([]byte, error) {
	if jsondoc.KindOf(args[0]) != jsondoc.Array {
		return nil, cannot("needs a list.")
	}
	n := 0
	jsondoc.Elements(args[0], func([]byte) bool { n++; return true })
	return strconv.AppendInt(nil, int64(n), 10), nil
}

// elementAt is the element at a position, from the end when it is negative; nothing when there is none.
func elementAt(args [][]byte) ([]byte, error) {
	if anyAbsent(args) {
		return null, nil
	}
	n, err := operandNumber(args[1])
	if jsondoc.KindOf(args[0]) != jsondoc.Array || err != nil || n.approx || n.wide != nil || n.scale != 0 {
		return nil, cannot("needs a list and a whole number.")
	}
	var list [][]byte
	jsondoc.Elements(args[0], func(el []byte) bool { list = append(list, el); return true })
	at := n.small
	if at < 0 {
		at += int64(len(list))
	}
	if at < 0 || at >= int64(len(list)) {
		return nil, nil
	}
	return list[at], nil
}

// operandText reads an operand as text.
func operandText(raw []byte) ([]byte, error) {
	if jsondoc.KindOf(raw) != jsondoc.String {
		return nil, cannot("needs text.")
	}
	return jsondoc.Unquote(nil, raw), nil
}

func concat(args [][]byte) ([]byte, error) {
	if anyAbsent(args) {
		return null, nil
	}
	var out []byte
	for _, raw := range args {
		part, err := operandText(raw)
		if err != nil {
			return nil, err
		}
		if out = append(out, part...); len(out) > maxValue {
			return nil, errValue
		}
	}
	return jsondoc.AppendString(nil, out), nil
}

func text(of func([]byte) []byte) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) {
		if absent(args[0]) {
			return null, nil
		}
		part, err := operandText(args[0])
		if err != nil {
			return nil, err
		}
		return jsondoc.AppendString(nil, of(part)), nil
	}
}

// substring is [text, first character, how many].
func substring(args [][]byte) ([]byte, error) {
	if anyAbsent(args) {
		return null, nil
	}
	part, err := operandText(args[0])
	if err != nil {
		return nil, err
	}
	var bounds [2]int64
	for i, raw := range args[1:] {
		n, err := operandNumber(raw)
		if err != nil || n.approx || n.wide != nil || n.scale != 0 || n.small < 0 {
			return nil, cannot("needs a text and two whole numbers that are not negative.")
		}
		bounds[i] = n.small
	}
	skip := func(count int64) int { // bytes of so many characters
		at := 0
		for ; count > 0 && at < len(part); count-- {
			_, width := utf8.DecodeRune(part[at:])
			at += width
		}
		return at
	}
	part = part[skip(bounds[0]):]
	return jsondoc.AppendString(nil, part[:skip(bounds[1])]), nil
}

func length(args [][]byte) ([]byte, error) {
	part, err := operandText(args[0])
	if err != nil {
		return nil, err
	}
	return strconv.AppendInt(nil, int64(utf8.RuneCount(part)), 10), nil
}

// moment reads a part of a time as documents hold it, in UTC.
func moment(of func(time.Time) int) func([][]byte) ([]byte, error) {
	return func(args [][]byte) ([]byte, error) {
		if absent(args[0]) {
			return null, nil
		}
		part, err := operandText(args[0])
		if err != nil {
			return nil, cannot("needs a time.")
		}
		t, err := time.Parse(time.RFC3339, string(part))
		if err != nil {
			return nil, cannot("needs a time such as 2026-11-23T14:25:03.123Z.")
		}
		return strconv.AppendInt(nil, int64(of(t.UTC())), 10), nil
	}
}
