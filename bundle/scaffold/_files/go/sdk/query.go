package sluice

import "strconv"

// Query asks for documents: all whose members are as the conditions have it. Queries are values; their methods return changed
// copies.
type Query struct {
	where []Condition
	any   [][]Condition
	sort  string
	limit int
}

// Where finds the documents for which all conditions hold; all documents if there is none.
func Where(conditions ...Condition) Query { return Query{where: conditions} }

// AnyOf finds the documents for which one of several groups of conditions holds as a whole. Beside it, Where's conditions hold for
// all: Where(…).Or(…) has both.
func AnyOf(groups ...[]Condition) Query { return Query{any: groups} }

// All groups conditions for AnyOf.
func All(conditions ...Condition) []Condition { return conditions }

// Or adds groups of conditions of which one must hold, too.
func (q Query) Or(groups ...[]Condition) Query {
	q.any = append(q.any[:len(q.any):len(q.any)], groups...)
	return q
}

// Sort orders what is found by a member; one with a minus before its name downwards. It has no meaning in a filter.
func (q Query) Sort(by string) Query {
	q.sort = by
	return q
}

// Limit bounds how many documents are found. It has no meaning in a filter.
func (q Query) Limit(most int) Query {
	q.limit = most
	return q
}

// Scalar is what a member can be compared with.
type Scalar interface {
	~string | ~bool | ~int | ~int64 | ~float64
}

// Condition is what a Query asks of one member. Fields within objects are named with dots.
type Condition struct {
	field, op string
	value     []byte // JSON text
}

// Eq holds for members equal to value.
func Eq[T Scalar](field string, value T) Condition { return Condition{field, "eq", scalar(value)} }

// Ne holds for members that are not equal to value, and for missing ones.
func Ne[T Scalar](field string, value T) Condition { return Condition{field, "ne", scalar(value)} }

// Gt holds for members greater than value.
func Gt[T Scalar](field string, value T) Condition { return Condition{field, "gt", scalar(value)} }

// Gte holds for members greater than value or equal to it.
func Gte[T Scalar](field string, value T) Condition { return Condition{field, "gte", scalar(value)} }

// Lt holds for members less than value.
func Lt[T Scalar](field string, value T) Condition { return Condition{field, "lt", scalar(value)} }

// Lte holds for members less than value or equal to it.
func Lte[T Scalar](field string, value T) Condition { return Condition{field, "lte", scalar(value)} }

// In holds for members equal to one of the values.
func In[T Scalar](field string, values ...T) Condition {
	text := []byte{'['}
	for i, value := range values {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, scalar(value)...)
	}
	return Condition{field, "in", append(text, ']')}
}

// Has holds for members that are an array with such an item.
func Has[T Scalar](field string, item T) Condition { return Condition{field, "has", scalar(item)} }

// Exists holds for documents that have the member, or for those that do not.
func Exists(field string, exists bool) Condition { return Condition{field, "exists", scalar(exists)} }

func scalar[T Scalar](value T) []byte {
	switch v := any(value).(type) {
	case string:
		return appendQuoted(nil, v)
	case bool:
		return strconv.AppendBool(nil, v)
	case int:
		return strconv.AppendInt(nil, int64(v), 10)
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case float64:
		return strconv.AppendFloat(nil, v, 'g', -1, 64)
	}
	panic("sluice: a condition's value must be of a plain type, not of one that is named after it")
}

// Object returns the query as the host reads it, see docs/abi.md.
func (q Query) Object() Object {
	b := NewObject()
	if len(q.where) > 0 {
		b.SetRaw("where", appendConditions(nil, q.where))
	}
	if len(q.any) > 0 {
		text := []byte{'['}
		for i, group := range q.any {
			if i > 0 {
				text = append(text, ',')
			}
			text = appendConditions(text, group)
		}
		b.SetRaw("any", append(text, ']'))
	}
	if q.sort != "" {
		b.SetString("sort", q.sort)
	}
	if q.limit > 0 {
		b.SetInt("limit", int64(q.limit))
	}
	return b.Object()
}

// appendConditions writes conditions as one object. Those on one field are joined; an equality that stands alone is written
// as the plain value.
func appendConditions(dst []byte, conditions []Condition) []byte {
	dst = append(dst, '{')
	first := true
	for i := range conditions {
		field := conditions[i].field
		if named(conditions[:i], field) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, field), ':')
		rest := conditions[i+1:]
		if conditions[i].op == "eq" && !named(rest, field) {
			dst = append(dst, conditions[i].value...)
			continue
		}
		dst = appendOperator(append(dst, '{'), &conditions[i])
		for j := range rest {
			if rest[j].field == field {
				dst = appendOperator(append(dst, ','), &rest[j])
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendOperator(dst []byte, c *Condition) []byte {
	return append(append(appendQuoted(dst, c.op), ':'), c.value...)
}

func named(conditions []Condition, field string) bool {
	for i := range conditions {
		if conditions[i].field == field {
			return true
		}
	}
	return false
}
