package kv_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// The naive query: decode everything, compare Go values.

func valuesAt(v any, path []string) (out []any) {
	if len(path) == 0 {
		return []any{v}
	}
	switch v := v.(type) {
	case map[string]any:
		if child, ok := v[path[0]]; ok {
			out = valuesAt(child, path[1:])
		}
	case []any:
		for i, el := range v {
			if n, err := strconv.Atoi(path[0]); err == nil && n == i {
				out = append(out, valuesAt(el, path[1:])...)
			}
			if _, ok := el.(map[string]any); ok {
				out = append(out, valuesAt(el, path)...)
			}
		}
	}
	return out
}

func rank(v any) int {
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

func compareAny(a, b any) int {
	if ra, rb := rank(a), rank(b); ra != rb {
		return cmp.Compare(ra, rb)
	}
	switch a := a.(type) {
	case bool:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case json.Number:
		return kvtest.Number(a).Cmp(kvtest.Number(b.(json.Number)))
	case string:
		return strings.Compare(a, b.(string))
	case []any:
		return slices.CompareFunc(a, b.([]any), compareAny)
	case map[string]any:
		b := b.(map[string]any)
		x, y := slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))
		for i := range min(len(x), len(y)) { // as lists of members
			if order := cmp.Or(strings.Compare(x[i], y[i]), compareAny(a[x[i]], b[y[i]])); order != 0 {
				return order
			}
		}
		return cmp.Compare(len(x), len(y))
	}
	return 0
}

// plainAt is the value at a path through objects only.
func plainAt(doc any, path string) []any {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := doc.(map[string]any)
		v, ok := object[name]
		if !ok {
			return nil
		}
		doc = v
	}
	return []any{doc}
}

func naiveMatch(doc any, p kv.Predicate) bool {
	at := valuesAt(doc, strings.Split(p.Path, "."))
	if p.Plain || p.Op == kv.Has {
		at = plainAt(doc, p.Path)
	}
	if p.Op == kv.Exists {
		return (len(at) > 0) == (string(p.Values[0].JSON()) == "true")
	}
	if len(at) == 0 {
		at = []any{nil}
	}
	if p.Op == kv.Has {
		at, _ = at[0].([]any)
	}
	for _, v := range slices.Clone(at) {
		if list, ok := v.([]any); ok && p.Op != kv.Is && p.Op != kv.Has && !p.Plain {
			at = append(at, list...)
		}
	}
	hit := false
	for _, v := range at {
		if s, ok := v.(string); p.Op == kv.Regex && ok && p.Pattern.MatchString(s) {
			hit = true
		}
		for _, alt := range p.Values {
			want := kvtest.Decode(alt.JSON())
			if rank(v) != rank(want) {
				continue
			}
			order := compareAny(v, want)
			switch p.Op {
			case kv.Eq, kv.In, kv.Ne, kv.Is, kv.Has:
				hit = hit || order == 0
			case kv.Gt:
				hit = hit || order > 0
			case kv.Gte:
				hit = hit || order >= 0
			case kv.Lt:
				hit = hit || order < 0
			case kv.Lte:
				hit = hit || order <= 0
			}
		}
	}
	return hit != (p.Op == kv.Ne)
}

type stored struct {
	id  kv.DocID
	doc any
}

// inOrder compares two documents by the order that a query asks for.
func inOrder(q *kv.Query) func(a, b stored) int {
	desc := len(q.Sort) == 0 || q.Sort[len(q.Sort)-1].Desc
	return func(a, b stored) int {
		for _, k := range q.Sort {
			order := compareAny(kvtest.Lookup(a.doc, k.Path), kvtest.Lookup(b.doc, k.Path))
			if k.Desc {
				order = -order
			}
			if order != 0 || k.Path == "_id" { // the id decides, also between two states of one document
				return order
			}
		}
		if desc {
			a, b = b, a
		}
		return bytes.Compare(a.id[:], b.id[:])
	}
}

func naive(docs []stored, q *kv.Query) []kv.DocID {
	var hits []stored
	for _, d := range docs {
		all := func(preds []kv.Predicate) bool {
			return !slices.ContainsFunc(preds, func(p kv.Predicate) bool { return !naiveMatch(d.doc, p) })
		}
		if all(q.Where) && !slices.ContainsFunc(q.Any, func(choice kv.Alternatives) bool { return !slices.ContainsFunc(choice, all) }) {
			hits = append(hits, d)
		}
	}
	slices.SortFunc(hits, inOrder(q))
	var ids []kv.DocID
	for _, d := range hits {
		ids = append(ids, d.id)
	}
	return ids
}

var texts = []string{`null`, `true`, `false`, `0`, `1`, `2`, `2.0`, `7`, `"a"`, `"b"`, `"ab"`, `"q\"uote"`, `[]`, `[1,2]`, `["a"]`, `[[1]]`, `{"x":1}`, `[{"x":2},{"x":1}]`, `{"x":[1,"a"]}`,
	// Keys that are cut, and more entries than an index takes.
	`"` + strings.Repeat("l", 300) + `"`, `"` + strings.Repeat("l", 301) + `"`, `[` + strings.Repeat(`"l",`, 3) + `"` + strings.Repeat("l", 300) + `"]`, manyNumbers(70), manyNumbers(20)}

func manyNumbers(n int) string {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	text, _ := json.Marshal(list)
	return string(text)
}

var indexNames = []string{"a", "b", "a.x", "b.x", "a,b", "b,a", "a,a.x", "b.x,a,c", "a.0", "a,b,c", "c,a"}

func randomDoc(t *rapid.T, id kv.DocID) string {
	out := `{"_id":"` + id.String() + `"`
	for _, f := range []string{"a", "b", "u", "c"} {
		if rapid.IntRange(0, 4).Draw(t, "has") > 0 {
			out += `,"` + f + `":` + rapid.SampledFrom(texts).Draw(t, f)
		}
	}
	return out + "}"
}

func randomQuery(t *rapid.T) *kv.Query {
	q := &kv.Query{Limit: rapid.IntRange(1, 6).Draw(t, "limit"), Skip: max(0, rapid.IntRange(-3, 3).Draw(t, "skip")), Total: rapid.Bool().Draw(t, "total")}
	q.Where = randomPredicates(t, 3)
	for range max(0, rapid.IntRange(-2, 2).Draw(t, "any")) {
		var choice kv.Alternatives
		for range rapid.IntRange(0, 3).Draw(t, "choices") {
			choice = append(choice, randomPredicates(t, 2))
		}
		q.Any = append(q.Any, choice)
	}
	for range rapid.IntRange(0, 2).Draw(t, "sorts") {
		path := rapid.SampledFrom([]string{"a", "b", "c", "a.x", "_id"}).Draw(t, "path")
		q.Sort = append(q.Sort, kv.SortKey{Path: path, Desc: rapid.Bool().Draw(t, "desc")})
	}
	return q
}

func randomPredicates(t *rapid.T, most int) (preds []kv.Predicate) {
	paths := []string{"a", "b", "c", "u", "a.x", "b.x", "a.0", "b.0.x", "_id"}
	for range rapid.IntRange(0, most).Draw(t, "predicates") {
		p := kv.Predicate{Path: rapid.SampledFrom(paths).Draw(t, "path"), Op: kv.Compare(rapid.IntRange(1, 11).Draw(t, "op")), Plain: rapid.Bool().Draw(t, "plain")}
		for range rapid.IntRange(1, 2).Draw(t, "values") {
			v, _ := kv.Raw([]byte(rapid.SampledFrom(texts).Draw(t, "value")))
			if p.Path == "_id" && rapid.Bool().Draw(t, "id") {
				v = kv.String(kvtest.ID(rapid.IntRange(0, 25).Draw(t, "n")).String())
			}
			p.Values = append(p.Values, v)
		}
		switch p.Op {
		case kv.Exists:
			p.Values = []kv.Value{kv.Bool(rapid.Bool().Draw(t, "exists"))}
		case kv.Regex:
			p.Pattern = regexp.MustCompile(rapid.SampledFrom([]string{"^a", "b$", `"`, "0[0-3]$"}).Draw(t, "pattern"))
		}
		preds = append(preds, p)
	}
	return preds
}

func TestFindAgreesWithANaiveFilter(t *testing.T) {
	db := kvtest.Open(t)
	db.Bolt().NoSync = true
	rapid.Check(t, func(t *rapid.T) {
		var docs []stored
		definition := kvtest.Collection("posts", "u")
		db.SetTestPlan(nil)
		if indexes := rapid.SliceOfNDistinct(rapid.SampledFrom(indexNames), 0, 4, rapid.ID).Draw(t, "indexes"); len(indexes) > 0 {
			definition = kvtest.Ordered(definition, indexes...)
		}
		batch := kvtest.Batch(definition, kv.Op{Kind: kv.OpAdd, Name: "checks", Delta: 1})
		clear := kvtest.Batch(kv.Op{Kind: kv.OpDropCollection, Name: "posts"})
		if _, err := db.Apply([]*kv.Batch{clear, batch}); err != nil {
			t.Fatal(err)
		}
		for i := range rapid.IntRange(0, 25).Draw(t, "documents") {
			id := kvtest.ID(i)
			text := randomDoc(t, id)
			r, err := db.Apply([]*kv.Batch{kvtest.Batch(kvtest.Put("posts", id, text))})
			if err != nil {
				t.Fatal(err)
			}
			if r[0].Err != nil {
				continue // u was taken
			}
			docs = append(docs, stored{id, kvtest.Decode([]byte(text))})
		}
		s, err := db.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, _ := s.Collection("posts")
		for range 10 {
			q := randomQuery(t)
			comparePlans(t, db, s, c, docs, q)
		}
	})
}

func compareQuery(t rapid.TB, s *kv.Snapshot, c *kv.Collection, docs []stored, q *kv.Query) {
	all := naive(docs, q)
	page, err := s.Find(context.Background(), c, q)
	if err != nil {
		t.Fatal(err)
	}
	want := all[min(q.Skip, len(all)):]
	want = want[:min(q.Limit, len(want))]
	if got := idsOf(page.Docs); !slices.Equal(got, want) {
		t.Fatalf("%+v by %s:\ngot  %v\nwant %v", q, page.Plan, got, want)
	}
	if q.Total && page.Total != int64(len(all)) || !q.Total && page.Total != -1 {
		t.Fatalf("%+v: total %d of %d", q, page.Total, len(all))
	}
	if n, err := s.Count(context.Background(), c, q); err != nil || n != len(all) {
		t.Fatalf("%+v: count %d of %d, %v", q.Where, n, len(all), err)
	}
	// The same page by page.
	paged := *q
	paged.Skip = 0
	var got []kv.DocID
	for {
		page, err := s.Find(context.Background(), c, &paged)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, idsOf(page.Docs)...)
		if q.Total && page.Total != int64(len(all)) {
			t.Fatalf("%+v: total %d of %d on a later page", q, page.Total, len(all))
		}
		if page.Next == nil || len(got) > len(all) {
			break
		}
		paged.After = page.Next
	}
	if !slices.Equal(got, all) {
		t.Fatalf("%+v page by page:\ngot  %v\nwant %v", q, got, all)
	}
}

func idsOf(docs []kv.Document) (ids []kv.DocID) {
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestPlans(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Collection("users", "email"))
	var ops []kv.Op
	for i := range 3000 {
		ops = append(ops, kvtest.Put("users", kvtest.ID(i), fmt.Sprintf(`{"_id":"%s","email":"e%d","n":%d}`, kvtest.ID(i), i, i%10)))
	}
	kvtest.Commit(t, db, ops...)
	eq := func(path string, v kv.Value) []kv.Predicate {
		return []kv.Predicate{{Path: path, Op: kv.Eq, Values: []kv.Value{v}}}
	}
	for _, tt := range []struct {
		name     string
		q        kv.Query
		plan     string
		examined int
		found    int
	}{
		{"an id is looked up", kv.Query{Where: eq("_id", kv.String(strings.ToUpper(kvtest.ID(171).String())))}, "id", 1, 1},
		{"what is no id is not looked for", kv.Query{Where: eq("_id", kv.String("x"))}, "id", 0, 0},
		{"a unique key is looked up", kv.Query{Where: eq("email", kv.String("e5"))}, "unique:email", 1, 1},
		{"null is not in an index", kv.Query{Where: eq("email", kv.Null())}, "scan", 3000, 0},
		{"the newest come without a search", kv.Query{Limit: 20}, "scan", 21, 20},
		{"a filtered page stops when full", kv.Query{Where: eq("n", number("9")), Limit: 5}, "scan", 41, 5},
		{"a total of everything is known", kv.Query{Limit: 1, Total: true}, "scan", 2, 1},
		{"a range of ids bounds the scan", kv.Query{Where: []kv.Predicate{{Path: "_id", Op: kv.Lt, Values: []kv.Value{kv.String(kvtest.ID(10).String())}}}}, "scan", 10, 10},
		{"a sort looks at everything", kv.Query{Sort: []kv.SortKey{{Path: "n"}}, Limit: 5}, "scan+sort", 3000, 5},
		{"a sort by id does not", kv.Query{Sort: []kv.SortKey{{Path: "_id"}}, Limit: 5}, "scan", 6, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := view(t, db)
			c, _ := s.Collection("users")
			page, err := s.Find(context.Background(), c, &tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if page.Plan != tt.plan || page.Examined != tt.examined || len(page.Docs) != tt.found {
				t.Errorf("got %s, %d examined, %d found", page.Plan, page.Examined, len(page.Docs))
			}
		})
	}
	s := view(t, db)
	c, _ := s.Collection("users")
	t.Run("a query beyond its budget says what would help", func(t *testing.T) {
		_, err := s.Find(context.Background(), c, &kv.Query{Where: eq("m", number("1")), Sort: []kv.SortKey{{Path: "n"}}, Budget: 100})
		var e *kv.BudgetError
		if !errors.As(err, &e) || e.Examined != 100 || !slices.Equal(e.Fields, []string{"m", "n"}) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Count(context.Background(), c, &kv.Query{Where: eq("n", number("1")), Budget: 100}); !errors.As(err, &e) {
			t.Errorf("count: got %v", err)
		}
	})
	t.Run("a cancelled query stops", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.Find(ctx, c, &kv.Query{Where: eq("m", number("1"))}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a position of another order is refused", func(t *testing.T) {
		if _, err := s.Find(context.Background(), c, &kv.Query{After: []byte("x")}); err == nil {
			t.Error("no error")
		}
	})
}

// A list of "mine, or public" costs what it shows: whoever may see 10 of 3,000
// documents does not wait for the other 2,990.
func TestAlternativesAreMergedFromTheirIndexes(t *testing.T) {
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("notes"), "owner", "public", "owner,n", "public,n"))
	var ops []kv.Op
	for i := range 3000 {
		id := kvtest.ID(i)
		ops = append(ops, kvtest.Put("notes", id, fmt.Sprintf(`{"_id":"%s","owner":"u%d","public":%t,"n":%d}`, id, i%500, i%1000 == 7, i)))
	}
	kvtest.Commit(t, db, ops...)
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, _ := s.Collection("notes")
	is := func(path string, v kv.Value) []kv.Predicate {
		return []kv.Predicate{{Path: path, Op: kv.Is, Values: []kv.Value{v}}}
	}
	visible := []kv.Alternatives{{is("owner", kv.String("u7")), is("public", kv.Bool(true))}}
	for _, tt := range []struct {
		name     string
		q        kv.Query
		plan     string
		examined int
	}{
		{"newest first", kv.Query{Any: visible, Limit: 3}, "index:owner|public", 4},
		{"by a field that the indexes end in", kv.Query{Any: visible, Limit: 3, Sort: []kv.SortKey{{Path: "n", Desc: true}}}, "index:owner,n|public,n", 4},
		{"by another field", kv.Query{Any: visible, Limit: 3, Sort: []kv.SortKey{{Path: "owner"}}}, "index:owner|public+sort", 6},
		{"no choice at all", kv.Query{Any: []kv.Alternatives{{}}}, "scan", 3000},
	} {
		page, err := s.Find(context.Background(), c, &tt.q)
		if err != nil || page.Plan != tt.plan || page.Examined != tt.examined {
			t.Errorf("%s: %+v, %v, want plan %s and %d examined", tt.name, page, err, tt.plan, tt.examined)
		}
	}
}
