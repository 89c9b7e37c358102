package project

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

// A counter that two visitors raise, a list that two users add to: the operators do on the server what a client could
// only do by reading first.
func TestOperators(t *testing.T) {
	const before = `{"_id":"aaaaaaaaaaaaaaaaaaaaaaaa","n":5,"f":1.5,"big":9223372036854775807,"s":"b","list":[1,"a",1.0,{"x":1}],"null":null,"in":{"n":1},"only":{"n":1},"createdAt":"c","updatedAt":"u"}`
	for _, c := range []struct{ patch, member, want string }{
		{`{"n":{"$inc":2}}`, "n", "7"},
		{`{"n":{"$inc":-7}}`, "n", "-2"},
		{`{"n":{"$inc":0}}`, "n", "5"},
		{`{"n":{"$inc":0.5}}`, "n", "5.5"},
		{`{"f":{"$inc":1.5}}`, "f", "3"},
		{`{"new":{"$inc":3}}`, "new", "3"},
		{`{"null":{"$inc":3}}`, "null", "3"},
		{`{"in.n":{"$inc":3}}`, "in.n", "4"},
		{`{"in.m":{"$inc":3}}`, "in.m", "3"},
		{`{"s":{"$inc":1}}`, "", "Field 's' cannot be incremented: it is not a Number."},
		{`{"big":{"$inc":1}}`, "", "Field 'big' would grow beyond what a whole number can hold."},
		{`{"n":{"$inc":"1"}}`, "", "Field 'n' can be incremented by a number only."},
		{`{"n":{"$min":3}}`, "n", "3"},
		{`{"n":{"$min":8}}`, "n", "5"},
		{`{"n":{"$max":8}}`, "n", "8"},
		{`{"s":{"$max":"c"}}`, "s", `"c"`},
		{`{"new":{"$max":8}}`, "new", "8"},
		{`{"list":{"$push":2}}`, "list", `[1,"a",1.0,{"x":1},2]`},
		{`{"list":{"$push":{"$each":[2,3]}}}`, "list", `[1,"a",1.0,{"x":1},2,3]`},
		{`{"new":{"$push":2}}`, "new", `[2]`},
		{`{"null":{"$push":{"$each":[]}}}`, "null", `[]`},
		{`{"n":{"$push":2}}`, "", "Field 'n' is not an Array."},
		{`{"list":{"$push":{"$each":2}}}`, "", "Field 'list' needs an array under $each, and nothing beside it."},
		{`{"list":{"$push":{"$where":2}}}`, "", "$where"},
		{`{"list":{"$pull":1}}`, "list", `["a",{"x":1}]`},
		{`{"list":{"$pull":{"x":1}}}`, "list", `[1,"a",1.0]`},
		{`{"new":{"$pull":1}}`, "new", ""},
		{`{"n":{"$unset":1}}`, "n", ""},
		{`{"new":{"$unset":1}}`, "new", ""},
		{`{"in.n":{"$unset":1}}`, "in", "{}"},
		{`{"only":{"$unset":true},"n":1}`, "only", ""},
		{`{"n":{"$inc":1,"$max":2}}`, "", "Field 'n' has an operator beside other members."},
		{`{"n":{"$rename":"m"}}`, "", "Field 'n' has an unknown operator."},
		{`{"_id":{"$unset":1}}`, "", "Field '_id' cannot be changed."},
	} {
		var p jsondoc.Parser
		patch, err := p.Parse([]byte(c.patch), jsondoc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := Merge(nil, []byte(before), patch, Stamp{Updated: "now"})
		if c.member == "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.patch, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.patch, err)
			continue
		}
		raw, _ := jsondoc.Lookup(out, c.member)
		if string(raw) != c.want {
			t.Errorf("%s: %s = %s, want %s", c.patch, c.member, raw, c.want)
		}
		var again jsondoc.Parser
		if _, err := again.Parse(out, jsondoc.Limits{}); err != nil {
			t.Errorf("%s makes %s: %v", c.patch, out, err)
		}
	}
}
