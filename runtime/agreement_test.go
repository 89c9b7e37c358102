package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// Two projects hold the same documents, one without and one with indexes on everything. Random query strings must find in
// both what a naive reading of docs/api.md finds: each parameter is cast by hand, each document decoded and looked at.
const agreeProject = `
name: NAME
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]
  - name: things
    fields:
      - {key: s, type: StringINDEX}
      - {key: n, type: NumberINDEX}
      - {key: b, type: BooleanINDEX}
      - {key: d, type: DateINDEX}
      - {key: r, type: Ref, ref: thingsINDEX}
      - {key: tags, type: Array, items: {type: String}INDEX}
      - {key: nums, type: Array, items: {type: Number}INDEX}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}]}
      - {key: rows, type: Array, items: {type: Object, fields: [{key: k, type: String}, {key: no, type: Number}]}}
MORE
`

const agreeIndexes = `    indexes: [[b, n], [s, d], [meta.likes], [rows.k, rows.no], [n, s, d], [createdAt, b]]`

// agreeFile is the project's file under a name, with what stands behind each field and behind all of them.
func agreeFile(name, index, more string) string {
	return strings.NewReplacer("NAME", name, "INDEX", index, "MORE", more).Replace(agreeProject)
}

// agreement is one run of it.
type agreement struct {
	*testNode
	rng  *rand.Rand
	pair [2]*tenant
	docs []map[string]any // in the order of their ids
}

func agreeID(i int) string { return fmt.Sprintf("66%022x", i*7+1) }

// declaredAt is the type that a path has in agreeProject; "" for what is not declared.
func declaredAt(path string) string {
	return map[string]string{"s": "String", "n": "Number", "b": "Boolean", "d": "Date", "createdAt": "Date", "r": "Ref", "_id": "Ref", "tags": "String", "tags.0": "String", "nums": "Number",
		"meta.likes": "Number", "rows.k": "String", "rows.no": "Number", "rows.1.no": "Number"}[path]
}

var agreePaths = []string{"s", "n", "b", "d", "r", "_id", "tags", "nums", "meta.likes", "rows.k", "rows.no", "createdAt", "x", "x.y", "tags.0", "rows.1.no"}

func (a *agreement) one(list ...string) string { return list[a.rng.IntN(len(list))] }

// document makes one as the node would store it.
func (a *agreement) document(i int) string {
	made := time.Date(2026, 1, 1+a.rng.IntN(20), 0, 0, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z")
	out := `{"_id":"` + agreeID(i) + `"`
	add := func(name, value string) {
		if a.rng.IntN(4) > 0 {
			out += `,"` + name + `":` + value
		}
	}
	add("s", a.one(`"a"`, `"b"`, `"B"`, `"ab"`, `""`, `"a,b"`, `"true"`, `"é"`, `null`))
	add("n", a.one(`0`, `1`, `1.0`, `2`, `-3`, `2.5`, `1e2`, `9007199254740993`, `null`))
	add("b", a.one(`true`, `false`, `null`))
	add("d", a.one(`"2026-01-01T00:00:00.000Z"`, `"2026-01-02T00:00:00.000Z"`, `"2026-02-01T10:30:00.000Z"`, `null`))
	add("r", a.one(`"`+agreeID(a.rng.IntN(30))+`"`, `null`))
	add("tags", a.one(`[]`, `["a"]`, `["a","b"]`, `["b","é",null]`))
	add("nums", a.one(`[]`, `[1]`, `[1,10]`, `[2.5,null]`))
	add("meta", a.one(`{}`, `{"likes":1}`, `{"likes":2}`, `{"likes":null}`))
	add("rows", a.one(`[]`, `[{"k":"a","no":1},{"k":"b","no":2}]`, `[{"k":"b"}]`, `[{"no":2},null]`))
	add("x", a.one(`1`, `"1"`, `true`, `"true"`, `null`, `"2026-01-01"`, `"2026-01-01T00:00:00.000Z"`, `[1,"a"]`, `{"y":1}`, `[{"y":"a"},{"y":2}]`, `"a"`))
	return out + `,"createdAt":"` + made + `","updatedAt":"` + made + `"}`
}

// clause is one parameter: how it is sent, and what a document must fulfil.
type clause struct{ path, op, text string }

// parameter makes a clause that is valid for its field.
func (a *agreement) clause() clause {
	path := a.one(agreePaths...)
	literal := func() string {
		switch declaredAt(path) {
		case "Number":
			return a.one("0", "1", "1.0", "2", "-3", "2.5", "100", "+1", "05", ".5", "9007199254740993")
		case "Boolean":
			return a.one("true", "false", "1", "0", "yes", "no")
		case "Date":
			return a.one("2026-01-01", "2026-01-02T00:00:00Z", "2026-01-10", "2026-02-01T11:30:00+01:00", "Jan 2, 2026", "1/5/2026")
		case "Ref":
			return a.one(agreeID(a.rng.IntN(30)), strings.ToUpper(agreeID(a.rng.IntN(30))))
		case "String":
			return a.one("a", "b", "ab", "true", "1", "é")
		}
		return a.one("1", "a", "true", "null", "2026-01-01", "2")
	}
	op := a.one("", "", "ne", "gt", "gte", "lt", "lte", "in", "exists", "regex")
	switch op {
	case "in":
		list := make([]string, a.rng.IntN(4))
		for i := range list {
			for list[i] = literal(); strings.Contains(list[i], ","); list[i] = literal() { // it would be two
			}
		}
		return clause{path, op, strings.Join(list, ",")}
	case "exists":
		return clause{path, op, a.one("true", "false")}
	case "regex":
		if t := declaredAt(path); t == "Number" || t == "Boolean" {
			return clause{path, "", literal()}
		}
		return clause{path, op, a.one("^a", "B", "é", "01", "^$", "a|b", "T00")}
	}
	return clause{path, op, literal()}
}

// send is the clause as a parameter.
func (c clause) send(bracketed bool) string {
	name := c.path
	switch {
	case bracketed && c.op == "":
		name = "filter[" + c.path + "]"
	case bracketed:
		name = "filter[" + c.path + "][" + c.op + "]"
	case c.op != "":
		name += "_" + c.op
	}
	return url.QueryEscape(name) + "=" + url.QueryEscape(c.text)
}

// values are what a literal may stand for, cast by hand.
func (c clause) values(text string) []any {
	number := func() any {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil
		}
		if f == 9007199254740993 {
			return json.Number("9007199254740993")
		}
		return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
	}
	dates := map[string]string{"2026-01-01": "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00Z": "2026-01-02T00:00:00.000Z", "2026-01-10": "2026-01-10T00:00:00.000Z",
		"2026-02-01T11:30:00+01:00": "2026-02-01T10:30:00.000Z", "Jan 2, 2026": "2026-01-02T00:00:00.000Z", "1/5/2026": "2026-01-05T00:00:00.000Z"}
	switch declaredAt(c.path) {
	case "Number":
		return []any{number()}
	case "Boolean":
		return []any{text == "true" || text == "1" || text == "yes"}
	case "Date":
		return []any{dates[text]}
	case "Ref":
		return []any{strings.ToLower(text)}
	case "String":
		return []any{text}
	}
	out := []any{text}
	switch text {
	case "true":
		out = append(out, true)
	case "null":
		out = append(out, nil)
	case "1", "2":
		out = append(out, json.Number(text))
	case "2026-01-01":
		out = append(out, dates[text])
	}
	return out
}

func agreeRank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case json.Number:
		return 2
	case string:
		return 3
	case []any:
		return 4
	}
	return 5
}

func agreeCompare(a, b any) int {
	if x, y := agreeRank(a), agreeRank(b); x != y {
		return x - y
	}
	switch a := a.(type) {
	case bool:
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case json.Number:
		x, _ := strconv.ParseFloat(string(a), 64)
		y, _ := strconv.ParseFloat(string(b.(json.Number)), 64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		if p, err := strconv.ParseInt(string(a), 10, 64); err == nil { // whole numbers that share a float64
			if q, err := strconv.ParseInt(string(b.(json.Number)), 10, 64); err == nil {
				return int(max(-1, min(1, p-q)))
			}
		}
		return 0
	case string:
		return strings.Compare(a, b.(string))
	case []any:
		return slices.CompareFunc(a, b.([]any), agreeCompare)
	case map[string]any: // of x alone, which has one member
		return agreeCompare(a["y"], b.(map[string]any)["y"])
	}
	return 0
}

// agreeAt is every value at a path.
func agreeAt(v any, names []string) (out []any) {
	if len(names) == 0 {
		return []any{v}
	}
	switch v := v.(type) {
	case map[string]any:
		if child, ok := v[names[0]]; ok {
			return agreeAt(child, names[1:])
		}
	case []any:
		for i, el := range v {
			if strconv.Itoa(i) == names[0] {
				out = append(out, agreeAt(el, names[1:])...)
			}
			if _, ok := el.(map[string]any); ok {
				out = append(out, agreeAt(el, names)...)
			}
		}
	}
	return out
}

// holds reads a document by hand. alternatives are the literals of repeated parameters.
func (c clause) holds(doc map[string]any, alternatives []string) bool {
	at := agreeAt(doc, strings.Split(c.path, "."))
	if c.op == "exists" {
		return len(at) > 0 == (c.text == "true")
	}
	missing := len(at) == 0
	for _, v := range slices.Clone(at) {
		if list, ok := v.([]any); ok {
			at = append(at, list...)
		}
	}
	var wants []any
	for _, text := range alternatives {
		wants = append(wants, c.values(text)...)
	}
	test := func(v, want any) bool {
		order := agreeCompare(v, want)
		switch c.op {
		case "gt":
			return order > 0
		case "gte":
			return order >= 0
		case "lt":
			return order < 0
		case "lte":
			return order <= 0
		}
		return order == 0
	}
	hit := false
	for _, v := range at {
		if c.op == "regex" {
			s, ok := v.(string)
			hit = hit || ok && regexp.MustCompile("(?i)"+c.text).MatchString(s)
			continue
		}
		for _, want := range wants {
			hit = hit || agreeRank(v) == agreeRank(want) && test(v, want)
		}
	}
	if missing && slices.Contains(wants, nil) && c.op != "gt" && c.op != "lt" && c.op != "regex" {
		hit = true
	}
	return hit != (c.op == "ne")
}

// question is a query string and what it should find.
func (a *agreement) question() (query string, want []string) {
	var clauses []clause
	var parts []string
	for range a.rng.IntN(4) {
		c := a.clause()
		clauses = append(clauses, c)
		parts = append(parts, c.send(a.rng.IntN(3) == 0))
	}
	if len(clauses) > 0 && a.rng.IntN(4) == 0 { // one of them once more, with another value
		for range 20 {
			if c := a.clause(); c.path == clauses[0].path {
				clauses = append(clauses, c)
				parts = append(parts, c.send(false))
				break
			}
		}
	}
	var keys []kv.SortKey
	var sort []string
	for range a.rng.IntN(3) {
		key := kv.SortKey{Path: a.one("s", "n", "b", "d", "meta.likes", "x", "createdAt", "_id", "tags"), Desc: a.rng.IntN(2) == 0}
		keys = append(keys, key)
		text := key.Path
		if key.Desc {
			text = a.one("-"+key.Path, key.Path+":desc", key.Path+":-1")
		}
		sort = append(sort, text)
	}
	if len(sort) > 0 {
		parts = append(parts, "sort="+strings.Join(sort, ","))
	}
	var hits []map[string]any
	for _, doc := range a.docs {
		all := true
		for _, c := range clauses {
			var alternatives []string
			switch c.op {
			case "", "in": // repeated, they mean either
				for _, other := range clauses {
					if other.path != c.path || other.op != c.op {
						continue
					}
					if c.op == "" {
						alternatives = append(alternatives, other.text)
						continue
					}
					for item := range strings.SplitSeq(other.text, ",") {
						if item = strings.TrimSpace(item); item != "" {
							alternatives = append(alternatives, item)
						}
					}
				}
			default:
				alternatives = []string{c.text}
			}
			all = all && c.holds(doc, alternatives)
		}
		if all {
			hits = append(hits, doc)
		}
	}
	desc := len(keys) == 0 || keys[len(keys)-1].Desc
	slices.SortFunc(hits, func(x, y map[string]any) int {
		for _, k := range keys {
			if c := agreeCompare(agreePlain(x, k.Path), agreePlain(y, k.Path)); c != 0 {
				if k.Desc {
					return -c
				}
				return c
			}
			if k.Path == "_id" {
				break
			}
		}
		c := strings.Compare(x["_id"].(string), y["_id"].(string))
		if desc {
			return -c
		}
		return c
	})
	for _, doc := range hits {
		want = append(want, doc["_id"].(string))
	}
	return strings.Join(parts, "&"), want
}

// agreePlain goes through objects only, as an order does.
func agreePlain(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		o, _ := v.(map[string]any)
		v = o[name]
	}
	return v
}

// page is one page of one project.
func (a *agreement) page(p *tenant, query string) (ids []string, total int, next string) {
	a.t.Helper()
	status, body := a.do("GET", "/api/data/things?"+query, "", "x-api-key", p.pk)
	var list struct {
		Data struct {
			Items []struct {
				ID string `json:"_id"`
			}
			Total      int
			NextCursor *string
		}
	}
	if err := json.Unmarshal(body, &list); status != 200 || err != nil {
		a.t.Fatalf("?%s: %d %s", query, status, body)
	}
	for _, item := range list.Data.Items {
		ids = append(ids, item.ID)
	}
	if list.Data.NextCursor != nil {
		next = *list.Data.NextCursor
	}
	return ids, list.Data.Total, next
}

// TestListsAgreeWithANaiveFilter. SLUICE_SEED repeats a run.
func TestListsAgreeWithANaiveFilter(t *testing.T) {
	seed := rand.Uint64()
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("SLUICE_SEED=%d", seed)
	a := &agreement{testNode: newTestNode(t), rng: rand.New(rand.NewPCG(seed, 3))}
	a.pair = [2]*tenant{a.apply(agreeFile("plain", "", "")), a.apply(agreeFile("indexed", ", index: true", agreeIndexes))}
	var list []stock
	for i := range 120 {
		text := a.document(i)
		list = append(list, stock{"things", agreeID(i), text})
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		a.docs = append(a.docs, doc)
	}
	a.pair[0].put(list...)
	a.pair[1].put(list...)
	found, plans := 0, map[string]bool{}
	for range 1200 {
		query, want := a.question()
		found += len(want)
		for _, p := range a.pair {
			ids, total, _ := a.page(p, query)
			if shown := want[:min(len(want), 100)]; !slices.Equal(ids, shown) || total != len(want) {
				t.Fatalf("?%s\ngot  %d %v\nwant %d %v", query, total, ids, len(want), shown)
			}
			status, body := a.do("GET", "/api/data/things?count=true&"+query, "", "x-api-key", p.pk)
			if status != 200 || !bytes.Contains(body, fmt.Appendf(nil, `{"count":%d}`, len(want))) {
				t.Fatalf("?%s counts %d %s, want %d", query, status, body, len(want))
			}
			if a.rng.IntN(4) > 0 {
				continue
			}
			var paged []string
			size := 1 + len(want)/3
			limited := fmt.Sprintf("limit=%d&%s", min(size, 100), query)
			for cursor := ""; len(paged) <= len(want); {
				ids, _, next := a.page(p, limited+cursor)
				paged = append(paged, ids...)
				if next == "" {
					break
				}
				cursor = "&cursor=" + next
			}
			if !slices.Equal(paged, want) {
				t.Fatalf("?%s page by page\ngot  %v\nwant %v", limited, paged, want)
			}
			_, body = a.do("GET", "/api/data/things?explain=true&"+query, "", "x-api-key", p.sk)
			if _, plan, ok := strings.Cut(string(body), `"plan":"`); ok {
				plan, _, _ = strings.Cut(plan, `"`)
				plans[plan] = true
			}
		}
	}
	if found < 1200 || len(plans) < 8 {
		t.Errorf("%d documents found by %d plans: too little is tested", found, len(plans))
	}
}
