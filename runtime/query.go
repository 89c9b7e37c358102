package runtime

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// Bounds of a query string.
const (
	maxLimit      = 100
	maxSkip       = 100_000 // documents that paging may skip over
	maxPredicates = 32
	maxValues     = 100 // alternatives of one predicate
	maxPattern    = 128 // characters of a regular expression
	maxSortKeys   = 8
	maxValueBytes = 1024
)

// listQuery is a parsed query string: what kv is asked, and what is made of the answer.
type listQuery struct {
	kv.Query
	page     int
	cursor   string // as the caller sent it
	count    bool
	explain  bool
	shape    shape
	populate population
}

func (q *listQuery) reset() {
	*q = listQuery{Query: kv.Query{Where: q.Where[:0], Sort: q.Sort[:0]}}
}

func (q *listQuery) where(p kv.Predicate) { q.Where = append(q.Where, p) }

// badParameter names the parameter that is wrong and says what it takes.
func badParameter(name, wants string) error {
	return errQueryInvalid.saying("Invalid value for %q; expected %s.", name, wants)
}

// parseShape reads the parameters of a single document: fields, meta and populate.
func (q *listQuery) parseShape(args *fasthttp.Args, c *project.Collection) error {
	q.shape = shape{withID: true, withMeta: true}
	if name := repeatedControl(args); name != "" {
		return errQueryInvalid.saying("The parameter %q may be sent only once.", name)
	}
	for key, value := range args.All() {
		if err := q.parseShapeParameter(string(key), string(value), c); err != nil {
			return err
		}
	}
	return nil
}

func (q *listQuery) parseShapeParameter(name, value string, c *project.Collection) error {
	switch name {
	case "fields":
		return q.shape.parseFields(value)
	case "meta":
		switch value {
		case "true":
			q.shape.withMeta = true
		case "false":
			q.shape.withMeta = false
		default:
			return badParameter("meta", "true or false")
		}
	case "populate", "expand":
		return q.parsePopulate(value, c)
	}
	return nil
}

// parse reads the query string of a list: api.md section "Filters" of the documentation lists what it takes.
func (q *listQuery) parse(args *fasthttp.Args, c *project.Collection) error {
	q.shape = shape{withID: true, withMeta: true}
	q.Limit, q.page, q.Total = maxLimit, 1, true
	if name := repeatedControl(args); name != "" {
		return errQueryInvalid.saying("The parameter %q may be sent only once.", name)
	}
	counting := string(args.Peek("count")) == "true"
	for key, value := range args.All() {
		if len(value) > maxValueBytes {
			return badParameter(string(key), "at most 1024 bytes")
		}
		if counting && (string(key) == "limit" || string(key) == "page") {
			continue // a count has no pages
		}
		if err := q.parseParameter(string(key), string(value), c); err != nil {
			return err
		}
		if len(q.Where) > maxPredicates {
			return errQueryInvalid.saying("A query may hold at most %d conditions.", maxPredicates)
		}
	}
	if q.cursor != "" { // it says where to go on; the page number does not count
		return nil
	}
	q.Skip = (q.page - 1) * q.Limit
	if q.Skip > maxSkip {
		return badParameter("page", "a page within the first 100000 documents")
	}
	return nil
}

// repeatedControl names a parameter that steers the list and was sent twice, so that two readers could take different
// ones, or "".
func repeatedControl(args *fasthttp.Args) string {
	seen := 0
	for key := range args.All() {
		bit := 0
		switch string(key) {
		case "limit":
			bit = 1
		case "page":
			bit = 2
		case "sort":
			bit = 4
		case "cursor":
			bit = 8
		case "count":
			bit = 16
		case "fields":
			bit = 32
		case "meta":
			bit = 64
		case "key":
			bit = 128
		case "explain":
			bit = 256
		}
		if seen&bit != 0 {
			return string(key)
		}
		seen |= bit
	}
	return ""
}

func (q *listQuery) parseParameter(name, value string, c *project.Collection) (err error) {
	switch name {
	case "key": // the publishable key of a link
		return nil
	case "limit":
		if q.Limit, err = positive(name, value); err == nil {
			q.Limit = min(q.Limit, maxLimit)
		}
		return err
	case "page":
		q.page, err = positive(name, value)
		return err
	case "count":
		switch value {
		case "true", "false":
		case "none":
			q.Total = false
		default:
			return badParameter(name, "true, false or none")
		}
		q.count = value == "true"
		return nil
	case "explain":
		if value != "true" && value != "false" {
			return badParameter(name, "true or false")
		}
		q.explain = value == "true"
		return nil
	case "sort":
		return q.parseSort(value)
	case "cursor":
		q.cursor = value
		return nil
	case "fields", "meta", "populate", "expand":
		return q.parseShapeParameter(name, value, c)
	}
	path, op, err := splitCondition(name, c)
	if err != nil {
		return err
	}
	return q.parseCondition(name, path, op, value, c)
}

func positive(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > 1<<30 {
		return 0, badParameter(name, "a whole number of at least 1")
	}
	return n, nil
}

// parseSort reads `a`, `-a`, `a:asc`, `a:desc`, `a:1`, `a:-1`, separated by commas.
func (q *listQuery) parseSort(list string) error {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		path, order, ordered := strings.Cut(item, ":")
		key := kv.SortKey{Path: path}
		if bare, minus := strings.CutPrefix(path, "-"); minus {
			key.Path, key.Desc = bare, true
		}
		switch {
		case item == "":
			continue
		case ordered && (order == "desc" || order == "-1"):
			key.Desc = true
		case ordered && order != "asc" && order != "1", !soundFieldPath(key.Path), len(q.Sort) == maxSortKeys:
			return badParameter("sort", `at most 8 fields such as "price:desc,title"`)
		}
		q.Sort = append(q.Sort, key)
	}
	return nil
}

// soundFieldPath refuses paths that no document can have.
func soundFieldPath(path string) bool {
	return path != "" && path[0] != '.' && path[len(path)-1] != '.' && !strings.Contains(path, "..") && !strings.ContainsAny(path, "$[]\x00")
}

var suffixes = []struct {
	suffix string
	op     kv.Compare
}{
	{"_gte", kv.Gte}, {"_gt", kv.Gt}, {"_lte", kv.Lte}, {"_lt", kv.Lt}, {"_ne", kv.Ne},
	{"_in", kv.In}, {"_exists", kv.Exists}, {"_regex", kv.Regex},
}

// splitCondition takes a parameter name apart: `price_gte` and `filter[price][gte]` are the same. A declared field
// whose own name ends like an operator is meant as the field.
func splitCondition(name string, c *project.Collection) (path string, op kv.Compare, err error) {
	if inner, ok := strings.CutPrefix(name, "filter["); ok {
		path, rest, closed := strings.Cut(inner, "]")
		if !closed {
			return "", 0, errQueryInvalid.saying("Unknown query parameter %q.", name)
		}
		if rest == "" {
			name = path
		} else {
			word, ok := strings.CutPrefix(rest, "[")
			word, closed = strings.CutSuffix(word, "]")
			if !ok || !closed {
				return "", 0, errQueryInvalid.saying("Unknown query parameter %q.", name)
			}
			i := slices.IndexFunc(suffixes, func(s struct {
				suffix string
				op     kv.Compare
			}) bool {
				return s.suffix[1:] == word
			})
			if i < 0 && word != "eq" {
				return "", 0, errQueryInvalid.saying("Unknown operator %q in %q.", word, name)
			}
			op = kv.Eq
			if i >= 0 {
				op = suffixes[i].op
			}
			if !soundFieldPath(path) {
				return "", 0, errQueryInvalid.saying("Unknown query parameter %q.", name)
			}
			return path, op, nil
		}
	}
	path, op = name, kv.Eq
	if c.Field(name) == nil {
		for _, s := range suffixes {
			if bare, ok := strings.CutSuffix(name, s.suffix); ok && bare != "" {
				path, op = bare, s.op
				break
			}
		}
	}
	if !soundFieldPath(path) {
		return "", 0, errQueryInvalid.saying("Unknown query parameter %q.", name)
	}
	return path, op, nil
}

// parseCondition adds one condition. name is the parameter as the caller wrote it, for messages.
func (q *listQuery) parseCondition(name, path string, op kv.Compare, text string, c *project.Collection) error {
	p := kv.Predicate{Path: path, Op: op}
	switch op {
	case kv.Exists:
		if text != "true" && text != "false" {
			return badParameter(name, `"true" or "false"`)
		}
		p.Values = []kv.Value{kv.Bool(text == "true")}
	case kv.Regex:
		if t := c.TypeAt(path); t == project.TypeNumber || t == project.TypeBoolean {
			return errQueryInvalid.saying("A regex cannot be matched against %q: it is a %s.", path, t)
		}
		if len([]rune(text)) > maxPattern {
			return errQueryInvalid.saying("Regex pattern for %q exceeds 128 characters.", name)
		}
		pattern, err := regexp.Compile("(?i)" + text)
		if err != nil {
			return errQueryInvalid.saying("Invalid regex pattern for %q.", name)
		}
		p.Pattern = pattern
	case kv.In:
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			values, err := castValue(name, path, item, c)
			if err != nil {
				return err
			}
			p.Values = append(p.Values, values...)
		}
	default:
		values, err := castValue(name, path, text, c)
		if err != nil {
			return err
		}
		p.Values = values
	}
	if op == kv.Eq || op == kv.In { // a repeated parameter means either
		for i := range q.Where {
			if w := &q.Where[i]; w.Path == path && w.Op == op {
				w.Values = append(w.Values, p.Values...)
				p.Values = nil
				return tooManyValues(name, w.Values)
			}
		}
	}
	q.where(p)
	return tooManyValues(name, p.Values)
}

func tooManyValues(name string, values []kv.Value) error {
	if len(values) > maxValues {
		return badParameter(name, "at most 100 values")
	}
	return nil
}

// castValue turns a literal into the values that it may stand for: the one of the field's declared type, or, for a field
// that is not declared, every type that the text could be.
func castValue(name, path, text string, c *project.Collection) ([]kv.Value, error) {
	switch t := c.TypeAt(path); t {
	case project.TypeNumber:
		if v, ok := kv.Number(plainNumber(text)); ok {
			return []kv.Value{v}, nil
		}
		return nil, badParameter(name, "a number")
	case project.TypeBoolean:
		switch strings.ToLower(text) {
		case "true", "1", "yes":
			return []kv.Value{kv.Bool(true)}, nil
		case "false", "0", "no":
			return []kv.Value{kv.Bool(false)}, nil
		}
		return nil, badParameter(name, "true or false")
	case project.TypeDate:
		if date, ok := project.ParseDate(text); ok {
			return []kv.Value{kv.String(date)}, nil
		}
		return nil, badParameter(name, "a date")
	case project.TypeRef:
		if id, ok := kv.ParseDocID(text); ok {
			return []kv.Value{kv.String(id.String())}, nil
		}
		return nil, badParameter(name, "an id of 24 hex digits")
	case project.TypeString:
		return []kv.Value{kv.String(text)}, nil
	}
	values := []kv.Value{kv.String(text)}
	switch text {
	case "true", "false":
		values = append(values, kv.Bool(text == "true"))
	case "null":
		values = append(values, kv.Null())
	}
	if v, ok := kv.Number(text); ok {
		values = append(values, v)
	} else if date, ok := project.ParsePlainDate(text); ok && date != text {
		values = append(values, kv.String(date))
	}
	return values, nil
}

// plainNumber brings a number as people write it (+5, 05, .5, 5.) into JSON's form. What is no number stays none.
func plainNumber(text string) string {
	text = strings.TrimPrefix(strings.TrimSpace(text), "+")
	text, minus := strings.CutPrefix(text, "-")
	mantissa, power, scaled := strings.Cut(text, "e")
	front, back, _ := strings.Cut(mantissa, ".")
	if front == "" && back == "" {
		return text
	}
	if front = strings.TrimLeft(front, "0"); front == "" || front[0] < '0' || front[0] > '9' {
		front = "0" + front
	}
	if back != "" {
		front += "." + back
	}
	if scaled {
		front += "e" + power
	}
	if minus {
		front = "-" + front
	}
	return front
}
