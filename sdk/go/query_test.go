package sluice

import (
	"slices"
	"strings"
	"testing"
)

func TestQueriesAreWhatTheContractSays(t *testing.T) {
	for want, q := range map[string]Query{
		`{}`:                     Where(),
		`{"where":{"a":"x\"y"}}`: Where(Eq("a", `x"y`)),
		`{"where":{"a.b":1,"c":{"gt":5,"lte":9},"d":{"in":["a","b"]},"e":{"exists":false}},"sort":"-t","limit":20}`: Where(
			Eq("a.b", 1), Gt("c", 5), In("d", "a", "b"), Lte("c", int64(9)), Exists("e", false)).Sort("-t").Limit(20),
		`{"any":[{"public":true},{"u":"1"}]}`:                  AnyOf(All(Eq("public", true)), All(Eq("u", "1"))),
		`{"where":{"a":{"ne":0.5}},"any":[{"b":{"has":"x"}}]}`: Where(Ne("a", 0.5)).Or(All(Has("b", "x"))),
		`{"where":{"a":{"eq":1,"lt":2,"gte":0}}}`:              Where(Eq("a", 1), Lt("a", 2), Gte("a", 0)),
	} {
		if got := string(q.Object().Raw()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	base := AnyOf(All(Eq("a", 1)))
	first, second := base.Or(All(Eq("b", 1))), base.Or(All(Eq("c", 1)))
	if strings.Contains(string(first.Object().Raw()), `"c"`) || !strings.Contains(string(second.Object().Raw()), `"c"`) {
		t.Error("two queries made from one share their alternatives")
	}
}

func TestPoliciesReadWhatTheStubHas(t *testing.T) {
	long := `{"_id":"long","text":"` + strings.Repeat("x", 3*readRoom) + `"}`
	var asked []string
	Stub(func(function, collection, question string) string {
		asked = append(asked, function+" "+collection+" "+question)
		switch {
		case function == "config":
			return `{"site":"demo"}`
		case question == "long":
			return long
		case function == "find":
			return `[{"a":1},{"a":2}]`
		case function == "count":
			return "7"
		}
		return ""
	})
	defer Stub(nil)
	if got := Get("c", "long"); string(got.Raw()) != long {
		t.Errorf("a document that is larger than the first room: %d bytes", len(got.Raw()))
	}
	if Get("c", "none").Exists() || Count("c", Where()) != 7 {
		t.Error("a document that does not exist, or a count")
	}
	var found []int64
	for document := range Find("c", Where(Eq("b", true))) {
		n, _ := document.Int("a")
		found = append(found, n)
	}
	if site, _ := Config().String("site"); site != "demo" || !slices.Equal(found, []int64{1, 2}) {
		t.Errorf("site %q, found %v", site, found)
	}
	if want := `find c {"where":{"b":true}}`; !slices.Contains(asked, want) {
		t.Errorf("asked %q, without %q", asked, want)
	}
	Stub(nil)
	if Get("c", "long").Exists() || Count("c", Where()) != 0 || len(Config().Raw()) != 2 {
		t.Error("without a stub there is something to read")
	}
}

func TestAnswersOfFiltersAndClaims(t *testing.T) {
	if d := Restrict(Where(Eq("a", 1)).Sort("a").Limit(3)); string(d.text()) != `{"where":{"a":1}}` || !d.Allows() {
		t.Errorf("%s", d.text())
	}
	if d := Restrict(Where()); d.text() != nil || !d.Allows() {
		t.Errorf("a query without conditions: %s", d.text())
	}
	if d := Grant(NewObject().SetString("role", "editor").Object()); string(d.text()) != `{"role":"editor"}` || !d.Allows() {
		t.Errorf("%s", d.text())
	}
}
