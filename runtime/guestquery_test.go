package runtime

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv"
)

// A rule that is misspelt must be an error: what is not understood would be a restriction that is not there.
func TestGuestQueries(t *testing.T) {
	for _, c := range []struct {
		text      string
		predicate bool
		ok        bool
	}{
		{`{}`, false, true},
		{`{"where":{"teamId":"x","price":{"gt":5,"lte":9},"tag":{"in":["a","b"]},"gone":{"exists":false}},"any":[{"public":true},{"meta.owner":"u"}],"sort":"-createdAt","limit":20}`, false, true},
		{`{"where":{"a":null,"b":{"ne":1},"c":{"has":"x"},"d":{"eq":true},"e":{"gte":"m","lt":"n"}}}`, true, true},
		{`{"any":[{}]}`, true, true},
		{`{"sort":"a"}`, true, false},
		{`{"limit":1}`, true, false},
		{`{"wher":{}}`, false, false},
		{`{"where":{"a":1},"where":{}}`, false, false},
		{`{"where":{"a":1,"a":2}}`, false, false},
		{`{"where":[]}`, false, false},
		{`{"where":{"a":[1]}}`, false, false},
		{`{"where":{"a":{}}}`, false, false},
		{`{"where":{"a":{"equals":1}}}`, false, false},
		{`{"where":{"a":{"eq":{"b":1}}}}`, false, false},
		{`{"where":{"a":{"in":1}}}`, false, false},
		{`{"where":{"a":{"in":[[1]]}}}`, false, false},
		{`{"where":{"a":{"gt":true}}}`, false, false},
		{`{"where":{"a":{"exists":1}}}`, false, false},
		{`{"where":{"":1}}`, false, false},
		{`{"where":{"a..b":1}}`, false, false},
		{`{"where":{"$where":1}}`, false, false},
		{`{"any":[]}`, false, false},
		{`{"any":{}}`, false, false},
		{`{"any":[1]}`, false, false},
		{`{"sort":"-"}`, false, false},
		{`{"sort":1}`, false, false},
		{`{"limit":0}`, false, false},
		{`{"limit":1001}`, false, false},
		{`{"limit":1.5}`, false, false},
		{`{"limit":"5"}`, false, false},
		{`[]`, false, false},
		{``, false, false},
		{`{"where":{"a":"` + strings.Repeat("x", maxValueBytes) + `"}}`, false, false},
		{`{"where":{"` + strings.Repeat("x", maxGuestPath+1) + `":1}}`, false, false},
		{`{"any":[` + strings.Repeat(`{"a":1},`, maxGuestChoices) + `{"a":1}]}`, false, false},
		{`{"any":[` + strings.TrimSuffix(strings.Repeat(`{"a":1,"b":1,"c":1},`, 22), ",") + `]}`, false, false},
		{`{"where":{"a":{"in":[` + strings.Repeat("1,", maxValues) + `1]}}}`, false, false},
	} {
		q, err := parseGuestQuery([]byte(c.text), c.predicate)
		if (err == nil) != c.ok {
			t.Errorf("%.100s: %v", c.text, err)
		}
		if err == nil {
			checkGuestQuery(t, q)
		}
	}
}

// checkGuestQuery holds a parsed query to what every one keeps: it looks into no arrays but by `has`, and within the bounds.
func checkGuestQuery(t *testing.T, q *kv.Query) {
	t.Helper()
	n := 0
	check := func(list []kv.Predicate) {
		for _, p := range list {
			if n++; !p.Plain || p.Path == "" || len(p.Values) > maxValues || p.Op == kv.Eq || p.Op == kv.In || p.Op == kv.Regex {
				t.Errorf("predicate %+v", p)
			}
		}
	}
	check(q.Where)
	for _, choices := range q.Any {
		if len(choices) == 0 {
			t.Error("no choice at all")
		}
		for _, list := range choices {
			check(list)
		}
	}
	if n > maxGuestConditions || q.Limit < 1 || q.Limit > maxGuestLimit || len(q.Any) > 1 {
		t.Errorf("beyond the bounds: %d conditions, %+v", n, q)
	}
}

func FuzzGuestQuery(f *testing.F) {
	f.Add([]byte(`{"where":{"teamId":"x","price":{"gt":5,"lte":9}},"any":[{"a":true},{"b":{"in":[1,"2",null]}}],"sort":"-c","limit":20}`), false)
	f.Add([]byte(`{"where":{"a":{"has":1},"b.c":{"exists":true}}}`), true)
	f.Fuzz(func(t *testing.T, text []byte, predicate bool) {
		q, err := parseGuestQuery(text, predicate)
		if err != nil {
			return
		}
		checkGuestQuery(t, q)
		if predicate && (q.Sort != nil || q.Limit != guestLimit) {
			t.Error("a predicate sorts or limits")
		}
	})
}
