package project

import (
	"bytes"
	"math"
	"strconv"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// operator is what an update does to a field besides replacing it. It is written under the field, alone:
// {"views":{"$inc":1}}. Since an update commits only on the document that it was made from, each is atomic.
type operator uint8

const (
	opSet   operator = iota
	opInc            // add a number; a missing field counts as 0
	opMin            // keep the lesser of the stored and the given value
	opMax            // keep the greater
	opPush           // append to an array, made when missing; {"$each":[…]} appends several
	opPull           // remove every element equal to the given value
	opUnset          // remove the field
)

var operators = map[string]operator{"$inc": opInc, "$min": opMin, "$max": opMax, "$push": opPush, "$pull": opPull, "$unset": opUnset}

// parseOperator reads the value of an update's member: an operator with its operand, or a value to be stored.
func parseOperator(key []byte, v jsondoc.Value) (operator, jsondoc.Value, *SchemaError) {
	if v.Kind() != jsondoc.Object || v.Len() == 0 {
		return opSet, v, nil
	}
	for name, operand := range v.Members() { // the first member tells
		op, known := operators[string(name)]
		switch {
		case len(name) == 0 || name[0] != '$':
			return opSet, v, nil
		case !known:
			return opSet, v, updateError(string(key), "has an unknown operator. Use $inc, $min, $max, $push, $pull or $unset.")
		case v.Len() > 1:
			return opSet, v, updateError(string(key), "has an operator beside other members.")
		case op == opInc && operand.Kind() != jsondoc.Number:
			return opSet, v, updateError(string(key), "can be incremented by a number only.")
		case op == opPush && operand.Kind() == jsondoc.Object && operand.Get("$each").Exists():
			if each := operand.Get("$each"); operand.Len() == 1 && each.Kind() == jsondoc.Array {
				return opPushEach, each, nil
			}
			return opSet, v, updateError(string(key), "needs an array under $each, and nothing beside it.")
		}
		return op, operand, nil
	}
	return opSet, v, nil
}

// opPushEach is opPush of every element of its operand.
const opPushEach = opUnset + 1

func updateError(field, what string) *SchemaError {
	return &SchemaError{Field: field, Message: "Field '" + field + "' " + what}
}

// carryOut appends what the operator makes of the stored value raw (nil: there is none); keep is false when the member
// is to be left out.
func (op operator) carryOut(dst, raw []byte, operand jsondoc.Value, field string) (out []byte, keep bool, err *SchemaError) {
	absent := raw == nil || raw[0] == 'n'
	switch op {
	case opUnset:
		return dst, false, nil
	case opInc:
		if absent {
			return operand.Append(dst), true, nil
		}
		out, err := appendSum(dst, raw, operand.Raw(), field)
		return out, true, err
	case opMin, opMax:
		if absent {
			return operand.Append(dst), true, nil
		}
		given := operand.Append(nil)
		order := bytes.Compare(kv.AppendKey(nil, given), kv.AppendKey(nil, raw))
		if op == opMin && order < 0 || op == opMax && order > 0 {
			return append(dst, given...), true, nil
		}
		return append(dst, raw...), true, nil
	}
	if !absent && raw[0] != '[' {
		return dst, true, updateError(field, "is not an Array.")
	}
	if op == opPull {
		if absent {
			return append(dst, raw...), raw != nil, nil
		}
		return appendWithout(dst, raw, operand), true, nil
	}
	return appendPushed(dst, raw, absent, op, operand), true, nil
}

// appendSum appends the sum of two numbers: exact for integers of 64 bits, by float64 otherwise.
func appendSum(dst, a, b []byte, field string) ([]byte, *SchemaError) {
	if jsondoc.KindOf(a) != jsondoc.Number {
		return dst, updateError(field, "cannot be incremented: it is not a Number.")
	}
	x, errX := strconv.ParseInt(string(a), 10, 64)
	y, errY := strconv.ParseInt(string(b), 10, 64)
	if errX == nil && errY == nil {
		if sum := x + y; (sum > x) == (y > 0) {
			return strconv.AppendInt(dst, sum, 10), nil
		}
		return dst, updateError(field, "would grow beyond what a whole number can hold.")
	}
	f, errF := strconv.ParseFloat(string(a), 64)
	g, errG := strconv.ParseFloat(string(b), 64)
	sum := f + g
	if errF != nil || errG != nil || math.IsInf(sum, 0) {
		return dst, updateError(field, "would grow beyond what a number can hold.")
	}
	if abs := math.Abs(sum); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, sum, 'e', -1, 64), nil
	}
	return strconv.AppendFloat(dst, sum, 'f', -1, 64), nil
}

// appendPushed appends the stored array with the operand behind its elements.
func appendPushed(dst, raw []byte, absent bool, op operator, operand jsondoc.Value) []byte {
	if absent {
		raw = []byte("[]")
	}
	dst = append(dst, raw[:len(raw)-1]...)
	empty := len(raw) == len("[]")
	one := func(v jsondoc.Value) {
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = v.Append(dst)
	}
	if op == opPushEach {
		for _, item := range operand.Items() {
			one(item)
		}
	} else {
		one(operand)
	}
	return append(dst, ']')
}

// appendWithout appends the stored array without the elements equal to the operand. Numbers are equal by value, anything
// else by its text.
func appendWithout(dst, raw []byte, operand jsondoc.Value) []byte {
	given := operand.Append(nil)
	key := kv.AppendKey(nil, given)
	dst = append(dst, '[')
	empty := true
	jsondoc.Elements(raw, func(item []byte) bool {
		if bytes.Equal(item, given) || operand.Kind() == jsondoc.Number && bytes.Equal(kv.AppendKey(nil, item), key) {
			return true
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		dst = append(dst, item...)
		return true
	})
	return append(dst, ']')
}
