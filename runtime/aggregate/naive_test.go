package aggregate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The naive pipeline: decode everything, work on Go values, one stage after the other. A value that is missing is the
// type missing, so that it and null stay apart. It is written from docs/api.md and shares no code with the real one.

type missing struct{}

type object = map[string]any

func naiveRank(v any) int {
	switch v.(type) {
	case missing, nil:
		return 0
	case bool:
		return 1
	case *big.Rat:
		return 2
	case string:
		return 3
	case []any:
		return 4
	}
	return 5
}

func naiveCompare(a, b any) int {
	if x, y := naiveRank(a), naiveRank(b); x != y {
		return cmp.Compare(x, y)
	}
	switch a := a.(type) {
	case bool:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case *big.Rat:
		return a.Cmp(b.(*big.Rat))
	case string:
		return strings.Compare(a, b.(string))
	case []any:
		return slices.CompareFunc(a, b.([]any), naiveCompare)
	case object:
		return naiveCompareObjects(a, b.(object))
	}
	return 0
}

func naiveCompareObjects(a, b object) int {
	x, y := sortedKeys(a), sortedKeys(b)
	for i := range min(len(x), len(y)) {
		if c := cmp.Or(strings.Compare(x[i], y[i]), naiveCompare(a[x[i]], b[y[i]])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

func sortedKeys(o object) (keys []string) {
	for k := range o {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// everyAt is every value at a path as conditions see it.
func everyAt(v any, names []string) (out []any) {
	if len(names) == 0 {
		return []any{v}
	}
	switch v := v.(type) {
	case object:
		if child, ok := v[names[0]]; ok {
			return everyAt(child, names[1:])
		}
	case []any:
		for i, el := range v {
			if strconv.Itoa(i) == names[0] {
				out = append(out, everyAt(el, names[1:])...)
			}
			if _, ok := el.(object); ok {
				out = append(out, everyAt(el, names)...)
			}
		}
	}
	return out
}

// valueAt is the value at a path as expressions see it.
func valueAt(v any, names []string) any {
	if len(names) == 0 {
		return v
	}
	switch v := v.(type) {
	case object:
		if child, ok := v[names[0]]; ok {
			return valueAt(child, names[1:])
		}
	case []any:
		out := []any{}
		for _, el := range v {
			switch el.(type) {
			case object, []any:
				if at := valueAt(el, names); at != (any)(missing{}) {
					out = append(out, at)
				}
			}
		}
		return out
	}
	return missing{}
}

func naiveMatch(doc object, filter object) bool {
	for key, want := range filter {
		switch key {
		case "$and", "$or", "$nor":
			hits := 0
			for _, f := range want.([]any) {
				if naiveMatch(doc, f.(object)) {
					hits++
				}
			}
			if key == "$and" && hits < len(want.([]any)) || key == "$or" && hits == 0 || key == "$nor" && hits > 0 {
				return false
			}
		default:
			at := everyAt(doc, strings.Split(key, "."))
			ops, ok := want.(object)
			if !ok || len(ops) == 0 || sortedKeys(ops)[0][0] != '$' {
				ops = object{"$eq": want}
			}
			for op, operand := range ops {
				if !naiveTest(at, op, operand) {
					return false
				}
			}
		}
	}
	return true
}

func naiveTest(at []any, op string, want any) bool {
	switch op {
	case "$exists":
		return len(at) > 0 == want.(bool)
	case "$ne":
		return !naiveTest(at, "$eq", want)
	case "$nin":
		return !naiveTest(at, "$in", want)
	case "$not":
		for inner, operand := range want.(object) {
			if !naiveTest(at, inner, operand) {
				return true
			}
		}
		return false
	case "$in":
		return slices.ContainsFunc(want.([]any), func(w any) bool { return naiveTest(at, "$eq", w) })
	}
	if len(at) == 0 {
		at = []any{nil}
	}
	for _, v := range slices.Clone(at) {
		if list, ok := v.([]any); ok {
			at = append(at, list...)
		}
	}
	return slices.ContainsFunc(at, func(v any) bool {
		if naiveRank(v) != naiveRank(want) {
			return false
		}
		c := naiveCompare(v, want)
		return op == "$eq" && c == 0 || op == "$gt" && c > 0 || op == "$gte" && c >= 0 || op == "$lt" && c < 0 || op == "$lte" && c <= 0
	})
}

func naiveTruth(v any) bool {
	switch v := v.(type) {
	case missing, nil:
		return false
	case bool:
		return v
	case *big.Rat:
		return v.Sign() != 0
	}
	return true
}

func naiveExpr(e any, doc object) any {
	switch e := e.(type) {
	case string:
		if path, ok := strings.CutPrefix(e, "$"); ok {
			if path == "$ROOT" {
				return doc
			}
			return valueAt(doc, strings.Split(path, "."))
		}
	case []any:
		out := []any{}
		for _, item := range e {
			v := naiveExpr(item, doc)
			if v == (any)(missing{}) {
				v = nil
			}
			out = append(out, v)
		}
		return out
	case object:
		for key, operand := range e {
			if key[0] != '$' {
				break
			}
			args, ok := operand.([]any)
			if !ok {
				args = []any{operand}
			}
			if key == "$cond" {
				if naiveTruth(naiveExpr(args[0], doc)) {
					return naiveExpr(args[1], doc)
				}
				return naiveExpr(args[2], doc)
			}
			var values []any
			for _, a := range args {
				values = append(values, naiveExpr(a, doc))
			}
			switch key {
			case "$ifNull":
				if naiveRank(values[0]) != 0 {
					return values[0]
				}
				return values[1]
			case "$gt":
				return naiveCompare(values[0], values[1]) > 0
			case "$lt":
				return naiveCompare(values[0], values[1]) < 0
			case "$and":
				return naiveTruth(values[0]) && naiveTruth(values[1])
			case "$eq":
				return naiveCompare(values[0], values[1]) == 0
			case "$not":
				return !naiveTruth(values[0])
			case "$add", "$multiply":
				// The test only adds what $cond has shown to be numbers.
				total := new(big.Rat).Set(values[0].(*big.Rat))
				if key == "$add" {
					return total.Add(total, values[1].(*big.Rat))
				}
				return total.Mul(total, values[1].(*big.Rat))
			}
		}
		out := object{}
		for key, item := range e {
			if v := naiveExpr(item, doc); v != (any)(missing{}) {
				out[key] = v
			}
		}
		return out
	}
	return e
}

// naiveStage runs one stage over all documents.
func naiveStage(docs []object, name string, spec any) (out []object) {
	switch name {
	case "$match":
		for _, d := range docs {
			if naiveMatch(d, spec.(object)) {
				out = append(out, d)
			}
		}
	case "$limit", "$skip":
		n := min(int(spec.(*big.Rat).Num().Int64()), len(docs))
		if name == "$limit" {
			return docs[:n]
		}
		return docs[n:]
	case "$count":
		if len(docs) > 0 {
			out = append(out, object{spec.(string): big.NewRat(int64(len(docs)), 1)})
		}
	case "$sort":
		out = slices.Clone(docs)
		order := spec.([]any) // as pairs: a Go map has no order
		slices.SortStableFunc(out, func(a, b object) int {
			for _, pair := range order {
				path, way := pair.([]any)[0].(string), pair.([]any)[1].(*big.Rat)
				if c := naiveCompare(plainAt(a, path), plainAt(b, path)); c != 0 {
					return c * way.Sign()
				}
			}
			return 0
		})
	case "$unwind":
		path := strings.TrimPrefix(spec.(string), "$")
		for _, d := range docs {
			switch v := plainAt(d, path).(type) {
			case []any:
				for _, el := range v {
					out = append(out, with(d, strings.Split(path, "."), el))
				}
			case missing, nil:
			default:
				out = append(out, d)
			}
		}
	case "$addFields":
		for _, d := range docs {
			made := d
			for path, e := range spec.(object) {
				made = with(made, strings.Split(path, "."), naiveExpr(e, d))
			}
			out = append(out, made)
		}
	case "$unset":
		for _, d := range docs {
			out = append(out, without(d, strings.Split(spec.(string), ".")).(object))
		}
	case "$project":
		for _, d := range docs {
			made := object{"_id": d["_id"]}
			if _, ok := d["_id"]; !ok {
				delete(made, "_id")
			}
			for name, e := range spec.(object) {
				if one, ok := e.(*big.Rat); ok && one.Sign() > 0 {
					e = "$" + name
				}
				if v := naiveExpr(e, d); v != (any)(missing{}) {
					made[name] = v
				}
			}
			out = append(out, made)
		}
	case "$group":
		var keys []any
		members := [][]object{}
		for _, d := range docs {
			key := naiveExpr(spec.(object)["_id"], d)
			if key == (any)(missing{}) {
				key = nil
			}
			i := slices.IndexFunc(keys, func(k any) bool { return naiveCompare(k, key) == 0 })
			if i < 0 {
				i = len(keys)
				keys, members = append(keys, key), append(members, nil)
			}
			members[i] = append(members[i], d)
		}
		for i, key := range keys {
			made := object{"_id": key}
			for name, acc := range spec.(object) {
				if name != "_id" {
					made[name] = naiveAccumulate(acc.(object), members[i])
				}
			}
			out = append(out, made)
		}
	}
	return out
}

func naiveAccumulate(acc object, docs []object) any {
	for op, e := range acc {
		var values []any
		for _, d := range docs {
			values = append(values, naiveExpr(e, d))
		}
		there := slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == (any)(missing{}) })
		sum, n := new(big.Rat), int64(0)
		for _, v := range values {
			if r, ok := v.(*big.Rat); ok {
				sum.Add(sum, r)
				n++
			}
		}
		some := slices.DeleteFunc(slices.Clone(there), func(v any) bool { return v == nil })
		switch op {
		case "$sum":
			return sum
		case "$count":
			return big.NewRat(int64(len(docs)), 1)
		case "$first", "$last":
			v := values[0]
			if op == "$last" {
				v = values[len(values)-1]
			}
			if v == (any)(missing{}) {
				v = nil
			}
			return v
		case "$push":
			return append([]any{}, there...)
		case "$addToSet":
			set := []any{}
			for _, v := range there {
				if !slices.ContainsFunc(set, func(s any) bool { return naiveCompare(s, v) == 0 }) {
					set = append(set, v)
				}
			}
			return set
		case "$min", "$max":
			if len(some) == 0 {
				return nil
			}
			if op == "$min" {
				return slices.MinFunc(some, naiveCompare)
			}
			best := some[0]
			for _, v := range some {
				if naiveCompare(v, best) > 0 {
					best = v
				}
			}
			return best
		}
	}
	return nil
}

// plainAt goes through objects only.
func plainAt(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		o, ok := v.(object)
		if !ok {
			return missing{}
		}
		if v, ok = o[name]; !ok {
			return missing{}
		}
	}
	return v
}

func with(v any, names []string, value any) object {
	o, ok := v.(object)
	if !ok {
		o = object{}
	}
	made := object{}
	for k, member := range o {
		made[k] = member
	}
	child, there := o[names[0]]
	switch list, isList := child.([]any); {
	case len(names) == 1 && value == (any)(missing{}):
		delete(made, names[0])
	case len(names) == 1:
		made[names[0]] = value
	case there && isList:
		elements := []any{}
		for _, el := range list {
			elements = append(elements, withIn(el, names[1:], value))
		}
		made[names[0]] = elements
	default:
		made[names[0]] = with(child, names[1:], value)
	}
	return made
}

// withIn is with for an element of an array, which may be an array again.
func withIn(v any, names []string, value any) any {
	list, ok := v.([]any)
	if !ok {
		return with(v, names, value)
	}
	out := []any{}
	for _, el := range list {
		out = append(out, withIn(el, names, value))
	}
	return out
}

func without(v any, names []string) any {
	switch v := v.(type) {
	case object:
		made := object{}
		for k, member := range v {
			switch {
			case k != names[0]:
				made[k] = member
			case len(names) > 1:
				made[k] = without(member, names[1:])
			}
		}
		return made
	case []any:
		out := []any{}
		for _, el := range v {
			out = append(out, without(el, names))
		}
		return out
	}
	return v
}

// naiveValue decodes JSON with exact numbers.
func naiveValue(t *rapid.T, text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return exact(v)
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(string(v))
		return r
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case object:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}

// plain is a value with texts for numbers, to be compared and printed.
func plain(v any) any {
	switch v := v.(type) {
	case *big.Rat:
		return "#" + v.RatString()
	case []any:
		out := []any{}
		for _, el := range v {
			out = append(out, plain(el))
		}
		return out
	case object:
		out := object{}
		for k, m := range v {
			out[k] = plain(m)
		}
		return out
	}
	return v
}

var (
	someValues = []string{`null`, `true`, `false`, `0`, `1`, `2`, `2.0`, `0.1`, `-3`, `1e2`, `9007199254740993`, `"a"`, `"b"`, `"q\"é"`, `[]`, `[1,2]`, `["a",null]`, `{"x":1}`, `{}`, `[{"x":2},{"x":1,"y":"b"},3]`, `{"x":{"y":5}}`, `[[1],{"x":[{"y":1}]}]`}
	somePaths  = []string{"a", "b", "c", "a.x", "b.x", "a.x.y", "_id"}
)

func pick(t *rapid.T, from ...string) string { return rapid.SampledFrom(from).Draw(t, "pick") }

func anyExpr(t *rapid.T, depth int) string {
	if depth == 0 {
		return `"$` + pick(t, somePaths...) + `"`
	}
	one := func() string { return anyExpr(t, depth-1) }
	switch rapid.IntRange(0, 9).Draw(t, "expr") {
	case 0:
		return pick(t, `1`, `"s"`, `null`, `true`, `0.5`)
	case 1:
		return `{"$cond":[` + one() + `,` + one() + `,` + one() + `]}`
	case 2:
		return `{"$ifNull":[` + one() + `,` + one() + `]}`
	case 3:
		return `{"` + pick(t, "$gt", "$eq") + `":[` + one() + `,` + one() + `]}`
	case 4:
		return `[` + one() + `,` + one() + `]`
	case 5:
		return `{"k":` + one() + `,"l":` + one() + `}`
	case 6:
		return `"$$ROOT"`
	case 7: // numbers only
		path := `"$` + pick(t, "a", "b") + `"`
		number := `{"$and":[{"$gt":[` + path + `,true]},{"$lt":[` + path + `,""]}]}`
		return `{"$cond":[` + number + `,{"` + pick(t, "$add", "$multiply") + `":[` + path + `,` + pick(t, "1", "0.1", "-2.50") + `]},null]}`
	}
	return `"$` + pick(t, somePaths...) + `"`
}

func anyFilter(t *rapid.T, depth int) string {
	value := func() string { return pick(t, someValues...) }
	leaf := func() string {
		switch op := pick(t, "", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not"); op {
		case "":
			return value()
		case "$in", "$nin":
			return `{"` + op + `":[` + value() + `,` + value() + `]}`
		case "$exists":
			return `{"$exists":` + pick(t, "true", "false") + `}`
		case "$not":
			return `{"$not":{"` + pick(t, "$gt", "$eq", "$ne") + `":` + value() + `}}`
		default:
			return `{"` + op + `":` + value() + `}`
		}
	}
	if depth > 0 && rapid.IntRange(0, 3).Draw(t, "nest") == 0 {
		return `{"` + pick(t, "$and", "$or", "$nor") + `":[` + anyFilter(t, depth-1) + `,` + anyFilter(t, depth-1) + `]}`
	}
	return `{"` + pick(t, somePaths...) + `":` + leaf() + `}`
}

// anyStage returns a stage and, for the naive one, how it reads it.
func anyStage(t *rapid.T) (name, spec, naive string) {
	name = pick(t, "$match", "$match", "$limit", "$skip", "$count", "$sort", "$unwind", "$addFields", "$unset", "$project", "$group", "$group")
	switch name {
	case "$match":
		spec = anyFilter(t, 2)
	case "$limit", "$skip":
		spec = strconv.Itoa(rapid.IntRange(1, 12).Draw(t, "n"))
	case "$count":
		spec = `"n"`
	case "$sort":
		a, b := pick(t, "1", "-1"), pick(t, "1", "-1")
		return name, `{"a":` + a + `,"b.x":` + b + `}`, `[["a",` + a + `],["b.x",` + b + `]]`
	case "$unwind":
		spec = `"$` + pick(t, "a", "b", "a.x") + `"`
	case "$addFields":
		spec = `{"` + pick(t, "a", "d", "a.x", "d.e.f") + `":` + anyExpr(t, 2) + `}`
	case "$unset":
		spec = `"` + pick(t, "a", "b.x", "a.x.y", "_id") + `"`
	case "$project":
		// A bare number there means something else, and so does an object without an operator.
		computed := func(e string) string {
			if e[0] == '[' || strings.HasPrefix(e, `"$`) || strings.HasPrefix(e, `{"$`) {
				return e
			}
			return `{"$ifNull":[` + e + `,null]}`
		}
		spec = `{"a":1,"b":` + computed(anyExpr(t, 2)) + `,"e":` + computed(anyExpr(t, 1)) + `}`
	case "$group":
		spec = `{"_id":` + anyExpr(t, 1) + `,"v":{"` + pick(t, "$sum", "$min", "$max", "$first", "$last", "$push", "$addToSet") + `":` + anyExpr(t, 1) + `},"n":{"$sum":1}}`
	}
	return name, spec, spec
}

// TestAgreesWithANaivePipeline: thousands of pipelines over documents of every shape come out as the naive one says, with
// the leading conditions answered by a store and the rest by the stages.
func TestAgreesWithANaivePipeline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var docs []string
		var values []object
		for i := range rapid.IntRange(0, 15).Draw(t, "documents") {
			doc := `{"_id":"` + strconv.Itoa(i) + `"`
			for _, name := range []string{"a", "b", "c"} {
				if rapid.IntRange(0, 4).Draw(t, "has") > 0 {
					doc += `,"` + name + `":` + pick(t, someValues...)
				}
			}
			docs = append(docs, doc+"}")
			values = append(values, naiveValue(t, doc+"}").(object))
		}
		for range 5 {
			var stages []string
			want := values
			for range rapid.IntRange(1, 4).Draw(t, "stages") {
				name, spec, naive := anyStage(t)
				stages = append(stages, `{"`+name+`":`+spec+`}`)
				func() {
					defer func() {
						if p := recover(); p != nil {
							t.Fatalf("the naive pipeline broke on %s %s: %v", name, spec, p)
						}
					}()
					want = naiveStage(want, name, naiveValue(t, naive))
				}()
			}
			pipeline := "[" + strings.Join(stages, ",") + "]"
			got, err := through(t, pipeline, docs, Limits{})
			if err != nil {
				t.Fatalf("%s: %v", pipeline, err)
			}
			list := []any{}
			for _, d := range want {
				list = append(list, d)
			}
			if a, b := plain(naiveValue(t, got)), plain(list); !reflect.DeepEqual(a, b) {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				t.Fatalf("%s\nof   %s\ngot  %s\nwant %s", pipeline, bytes.Join(asBytes(docs), []byte("\n     ")), x, y)
			}
		}
	})
}

func asBytes(docs []string) (out [][]byte) {
	for _, d := range docs {
		out = append(out, []byte(d))
	}
	return out
}
