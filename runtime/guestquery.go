package runtime

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// Bounds of a query that a guest makes. docs/abi.md has the language.
const (
	maxGuestConditions = 64 // in all
	maxGuestChoices    = 32
	maxGuestPath       = 256
	maxGuestLimit      = 1000
	guestLimit         = 100
)

var guestQueryLimits = jsondoc.Limits{Depth: 5, Members: 64, Items: maxValues}

// parseGuestQuery reads the query of a guest's find or count; of a filter's predicate it takes where and any only. Rules are written
// in it, so it is strict: what is misspelt would be a restriction that is not there. And it looks into no arrays but where it is
// told to, since a list of owners is no owner.
func parseGuestQuery(text []byte, predicate bool) (*kv.Query, error) {
	v, err := new(jsondoc.Parser).Parse(text, guestQueryLimits)
	if err != nil {
		return nil, fmt.Errorf("the query is not valid JSON within the limits: %w", err)
	}
	if v.Kind() != jsondoc.Object {
		return nil, errors.New("the query is no object")
	}
	q := &kv.Query{Limit: guestLimit}
	conditions := 0
	for key, value := range v.Members() {
		switch name := string(key); {
		case name == "where":
			q.Where, err = guestConditions(value, &conditions)
		case name == "any":
			err = guestChoices(q, value, &conditions)
		case name == "sort" && !predicate:
			err = guestSort(q, value)
		case name == "limit" && !predicate:
			n, bad := strconv.Atoi(string(value.Raw()))
			if q.Limit = n; bad != nil || value.Kind() != jsondoc.Number || n < 1 || n > maxGuestLimit {
				err = fmt.Errorf("it must be a whole number from 1 to %d", maxGuestLimit)
			}
		default:
			err = errors.New("there is no such member")
		}
		if err != nil {
			return nil, fmt.Errorf("the query's %.80q: %w", key, err)
		}
	}
	return q, nil
}

func guestChoices(q *kv.Query, v jsondoc.Value, conditions *int) error {
	if v.Kind() != jsondoc.Array || v.Len() == 0 || v.Len() > maxGuestChoices {
		return fmt.Errorf("it must be an array of 1 to %d objects", maxGuestChoices)
	}
	choices := make(kv.Alternatives, v.Len())
	for i, item := range v.Items() {
		var err error
		if choices[i], err = guestConditions(item, conditions); err != nil {
			return fmt.Errorf("choice %d: %w", i, err)
		}
	}
	q.Any = append(q.Any, choices)
	return nil
}

func guestSort(q *kv.Query, v jsondoc.Value) error {
	path, desc := strings.CutPrefix(string(v.Text()), "-")
	if v.Kind() != jsondoc.String || !soundGuestPath(path) {
		return errors.New(`it must be a field, or "-" and a field`)
	}
	q.Sort = []kv.SortKey{{Path: path, Desc: desc}}
	return nil
}

func soundGuestPath(path string) bool { return len(path) <= maxGuestPath && soundFieldPath(path) }

// guestConditions reads {"field": scalar, "field": {"operator": operand}}. conditions counts them over the whole query.
func guestConditions(v jsondoc.Value, conditions *int) ([]kv.Predicate, error) {
	if v.Kind() != jsondoc.Object {
		return nil, errors.New("it must be an object")
	}
	list := []kv.Predicate{}
	for key, value := range v.Members() {
		path := string(key)
		if !soundGuestPath(path) {
			return nil, fmt.Errorf("%.80q is no field", path)
		}
		if value.Kind() != jsondoc.Object {
			p, err := guestCondition(path, "eq", value)
			if err != nil {
				return nil, fmt.Errorf("%.80q: %w", path, err)
			}
			list = append(list, p)
		} else if value.Len() == 0 {
			return nil, fmt.Errorf("%.80q: there is no operator", path)
		}
		if value.Kind() == jsondoc.Object {
			for op, operand := range value.Members() {
				p, err := guestCondition(path, string(op), operand)
				if err != nil {
					return nil, fmt.Errorf("%.80q: %.20q: %w", path, op, err)
				}
				list = append(list, p)
			}
		}
		if *conditions += 1 + value.Len(); *conditions > maxGuestConditions {
			return nil, fmt.Errorf("there are more than %d conditions", maxGuestConditions)
		}
	}
	return list, nil
}

func guestCondition(path, op string, operand jsondoc.Value) (kv.Predicate, error) {
	p := kv.Predicate{Path: path, Plain: true}
	switch op {
	case "eq":
		p.Op = kv.Is
	case "ne":
		p.Op = kv.Ne
	case "has":
		p.Op = kv.Has
	case "gt":
		p.Op = kv.Gt
	case "gte":
		p.Op = kv.Gte
	case "lt":
		p.Op = kv.Lt
	case "lte":
		p.Op = kv.Lte
	case "in":
		if operand.Kind() != jsondoc.Array {
			return p, errors.New("the operand must be an array")
		}
		p.Op = kv.Is
		for _, item := range operand.Items() {
			value, err := guestScalar(item)
			if err != nil {
				return p, err
			}
			p.Values = append(p.Values, value)
		}
		return p, nil
	case "exists":
		if operand.Kind() != jsondoc.Bool {
			return p, errors.New("the operand must be true or false")
		}
		p.Op, p.Values = kv.Exists, []kv.Value{kv.Bool(operand.Bool())}
		return p, nil
	default:
		return p, errors.New("there is no such operator")
	}
	value, err := guestScalar(operand)
	if k := operand.Kind(); err == nil && p.Op >= kv.Gt && p.Op <= kv.Lte && k != jsondoc.Number && k != jsondoc.String {
		err = errors.New("the operand must be a number or a string")
	}
	p.Values = []kv.Value{value}
	return p, err
}

func guestScalar(v jsondoc.Value) (kv.Value, error) {
	if k := v.Kind(); k == jsondoc.Object || k == jsondoc.Array {
		return kv.Value{}, errors.New("the operand must be a string, a number, true, false or null")
	}
	raw := v.Append(nil)
	if len(raw) > maxValueBytes {
		return kv.Value{}, fmt.Errorf("the operand has more than %d bytes", maxValueBytes)
	}
	value, ok := kv.Raw(raw)
	if !ok {
		return kv.Value{}, errors.New("the operand is no value")
	}
	return value, nil
}
