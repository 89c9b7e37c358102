package kv_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// numbers are in ascending order; those of one line are equal. An integer of 64
// bits is exact when it is written as one; anything else counts as its nearest
// float64.
var numbers = [][]string{
	{`-1.7976931348623157e308`},
	{`-1e308`},
	{`-18446744073709551616`, `-18446744073709551617`},
	{`-18446744073709551615`},
	{`-9223372036854775809`},
	{`-9223372036854775808`},
	{`-9223372036854775807`},
	{`-9007199254740993`},
	{`-9007199254740992`, `-9007199254740992.0`, `-9007199254740993.0`},
	{`-9007199254740991`},
	{`-1000000000000000`, `-1e15`, `-1E+15`},
	{`-1.5`},
	{`-1`, `-1.0`, `-10e-1`},
	{`-0.1`},
	{`-1e-300`},
	{`-5e-324`},
	{`0`, `-0`, `0.0`, `-0.0`, `0e10`, `-0e-5`, `1e-400`},
	{`5e-324`, `4.9e-324`},
	{`2.2250738585072014e-308`},
	{`0.1`, `1e-1`, `0.10`},
	{`0.1000000000000001`},
	{`0.3`},
	{`0.30000000000000004`},
	{`1`, `1.0`, `1e0`, `10e-1`, `1E0`},
	{`1.0000000000000002`},
	{`2`},
	{`10`, `1e1`},
	{`100`},
	{`999999999999999`},
	{`1000000000000000`, `1e15`},
	{`9007199254740991`},
	{`9007199254740992`, `9007199254740992.0`, `9007199254740993.0`, `9.007199254740993e15`},
	{`9007199254740993`},
	{`9007199254740994`},
	{`9223372036854775807`},
	{`9223372036854775808`, `9.223372036854775808e18`},
	{`18446744073709551614`},
	{`18446744073709551615`},
	{`18446744073709551616`, `18446744073709551617`, `1.8446744073709552e19`},
	{`100000000000000000000`, `1e20`},
	{`1e308`},
	{`1.7976931348623157e308`},
}

// TestNumbers: each spelling of a number is kept to the last digit, and finds,
// bounds and sorts as the value it stands for, with and without an index.
func TestNumbers(t *testing.T) {
	for _, text := range []string{`1e400`, `-1e400`, `NaN`, `Infinity`, `-Infinity`, `+1`, `.5`, `5.`, `01`, `-`, `0x10`, `1_000`, `1e`, `--1`, ``, `"1"`} {
		if v, ok := kv.Number(text); ok {
			t.Errorf("%s is the number %s", text, v.JSON())
		}
	}
	db := kvtest.Open(t)
	kvtest.Commit(t, db, kvtest.Ordered(kvtest.Collection("numbers"), "n"))
	var ops []kv.Op
	var place []int // by document: its line
	for line, spellings := range numbers {
		for _, text := range spellings {
			id := kvtest.ID(len(place))
			ops = append(ops, kvtest.Put("numbers", id, fmt.Sprintf(`{"_id":"%s","n":%s}`, id, text)))
			place = append(place, line)
		}
	}
	kvtest.Commit(t, db, ops...)
	s := view(t, db)
	c, _ := s.Collection("numbers")
	for i, op := range ops {
		if d, err := s.Get(c, op.ID); err != nil || !bytes.Equal(d.JSON, op.Value) {
			t.Errorf("%s is read as %s, %v", op.Value, d.JSON, err)
		}
		for k := range ops {
			a, b := kvtest.Lookup(kvtest.Decode(op.Value), "n"), kvtest.Lookup(kvtest.Decode(ops[k].Value), "n")
			got := bytes.Compare(kv.AppendKey(nil, fmt.Append(nil, a)), kv.AppendKey(nil, fmt.Append(nil, b)))
			if want := cmp.Compare(place[i], place[k]); got != want || compareAny(a, b) != want {
				t.Errorf("%s and %s: keys compare %d, want %d", a, b, got, want)
			}
		}
	}
	for plan := range 2 { // the index, then a scan
		db.SetTestPlan(func(n int) int { return min(plan, n-1) })
		for line, spellings := range numbers {
			for _, text := range spellings {
				for op, holds := range map[kv.Compare]func(place int) bool{
					kv.Eq:  func(place int) bool { return place == line },
					kv.Ne:  func(place int) bool { return place != line },
					kv.Gt:  func(place int) bool { return place > line },
					kv.Gte: func(place int) bool { return place >= line },
					kv.Lt:  func(place int) bool { return place < line },
					kv.Lte: func(place int) bool { return place <= line },
				} {
					v, ok := kv.Number(text)
					if !ok {
						t.Fatalf("%s is no number", text)
					}
					var want []kv.DocID
					for i := range place {
						if holds(place[i]) {
							want = append(want, kvtest.ID(i))
						}
					}
					page := find(t, s, c, &kv.Query{Where: []kv.Predicate{is("n", op, v)}, Sort: []kv.SortKey{{Path: "n"}}, Limit: 1000})
					if got := idsOf(page.Docs); !slices.Equal(got, want) {
						t.Errorf("%d %s by %s: got %v, want %v", op, text, page.Plan, got, want)
					}
				}
			}
		}
	}
}
