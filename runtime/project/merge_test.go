package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/kv/jsondoc"
)

const mergeBefore = head + `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1,"createdAt":"2020-01-01T00:00:00.000Z","updatedAt":"2020-01-01T00:00:00.000Z"}`

func TestMerge(t *testing.T) {
	cases := []struct{ name, patch, want string }{
		{"nothing but the time", `{}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
		{"a member keeps its place", `{"a":"x"}`, `,"a":"x","meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
		{"new members come last, in the order sent", `{"z":1,"y":{"k": 2}}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1,"z":1,"y":{"k":2}`},
		{"an object is replaced, not merged", `{"meta":{}}`, `,"a":1,"meta":{},"list":[1,2],"nil":null,"q\"":1`},
		{"null is a value", `{"a":null}`, `,"a":null,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
		{"a dotted key sets a nested member", `{"meta.views":5}`, `,"a":1,"meta":{"views":5,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
		{"several into one object", `{"meta.deep.y":2,"meta.views":5,"meta.new":[]}`, `,"a":1,"meta":{"views":5,"deep":{"x":1,"y":2},"new":[]},"list":[1,2],"nil":null,"q\"":1`},
		{"missing objects are made", `{"n.m.o":1,"n.p":2}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1,"n":{"m":{"o":1},"p":2}`},
		{"an element of an array", `{"list.1":{"x":1}}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,{"x":1}],"nil":null,"q\"":1`},
		{"elements behind the last one", `{"list.3":4,"list.2":3}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2,3,4],"nil":null,"q\"":1`},
		{"an operator on an element", `{"list.0":{"$inc":5},"list.1":{"$unset":1}}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[6,null],"nil":null,"q\"":1`},
		{"a name with an escape is found", `{"q\"":2}`, `,"a":1,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":2`},
		{"the server's members are dropped", `{"createdAt":1,"updatedAt":2,"__v":3,"createdAt.x":1,"a":2}`, `,"a":2,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
		{"the same _id is ignored", `{"_id":"` + strings.ToUpper(testID) + `","a":2}`, `,"a":2,"meta":{"views":4,"deep":{"x":1}},"list":[1,2],"nil":null,"q\"":1`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			out, err := Merge([]byte("kept"), []byte(mergeBefore), value(t, tc.patch), Stamp{ID: testID, Updated: testNow})
			want := "kept" + head + tc.want + `,"createdAt":"2020-01-01T00:00:00.000Z","updatedAt":"` + testNow + `"}`
			if err != nil || string(out) != want {
				t.Errorf("got  %s, %v\nwant %s", out, err, want)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	cases := []struct{ name, patch, field, message string }{
		{"another _id", `{"_id":"65f0c0ffee65f0c0ffee0009"}`, "_id", "Field '_id' cannot be changed."},
		{"an _id that is no text", `{"_id":null}`, "_id", "Field '_id' cannot be changed."},
		{"a path into _id", `{"_id.x":1}`, "_id", "Field '_id' cannot be changed."},
		{"a path through a number", `{"a.b":1}`, "a.b", "Field 'a.b' cannot be set: 'a' is not an object."},
		{"a path through null", `{"nil.b":1}`, "nil.b", "Field 'nil.b' cannot be set: 'nil' is not an object."},
		{"a position beyond the end", `{"list.3":1}`, "list.3", "Field 'list.3' cannot be set: 'list' is an Array with positions from 0 to 1."},
		{"a position that leaves a gap", `{"list.2":1,"list.4":1}`, "list.4", "Field 'list.4' cannot be set: 'list' is an Array with positions from 0 to 2."},
		{"a name in an array", `{"list.x":1}`, "list.x", "Field 'list.x' cannot be set: 'list' is an Array with positions from 0 to 1."},
		{"a position in other digits", `{"list.01":1}`, "list.01", "Field 'list.01' cannot be set: 'list' is an Array with positions from 0 to 1."},
		{"a path through an element", `{"list.0.x":1}`, "list.0.x", "Field 'list.0.x' cannot be set: 'list.0' is not an object."},
		{"a deep path through a number", `{"meta.views.x.y":1}`, "meta.views.x", "Field 'meta.views.x' cannot be set: 'meta.views' is not an object."},
		{"an object and a member of it", `{"meta":{},"meta.views":1}`, "meta.views", "Field 'meta.views' is set twice, once by another key that contains it."},
		{"a member and the object around it", `{"meta.views":1,"meta":{}}`, "meta", "Field 'meta' is set twice, once by another key that contains it."},
		{"the same in depth", `{"n.m.o":1,"n.m":1}`, "n.m", "Field 'n.m' is set twice, once by another key that contains it."},
		{"an empty part", `{"meta..x":1}`, "meta..x", "Field name 'meta..x' is not allowed: it has a part that is empty or not allowed."},
		{"a leading dot", `{".x":1}`, ".x", "Field name '.x' is not allowed: it has a part that is empty or not allowed."},
		{"a trailing dot", `{"x.":1}`, "x.", "Field name 'x.' is not allowed: it has a part that is empty or not allowed."},
		{"an operator in a part", `{"meta.$inc":1}`, "meta.$inc", "Field name 'meta.$inc' is not allowed: it has a part that is empty or not allowed."},
		{"an operator", `{"$set":{"a":1}}`, "$set", "Field name '$set' is not allowed: it starts with '$'."},
		{"a dotted name in a value", `{"x":{"a.b":1}}`, "a.b", "Field name 'a.b' is not allowed: it contains '.'."},
		{"a hidden name", `{"user\u200bId":"me"}`, "user\u200bId", `Field name 'user\u200bId' is not allowed: it holds an invisible character.`},
		{"a path without end", `{"` + strings.Repeat("a.", 40) + `a":1}`, strings.Repeat("a.", 40) + "a", "Field name '" + strings.Repeat("a.", 40) + "a' is not allowed: it is nested too deep."},
		{"no object", `[]`, "", "A document must be a JSON object."},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			out, err := Merge([]byte("kept"), []byte(mergeBefore), value(t, tc.patch), testStamp())
			var serr *SchemaError
			if !errors.As(err, &serr) || serr.Message != tc.message || serr.Field != tc.field {
				t.Errorf("got %#v, want %q (%q)", err, tc.message, tc.field)
			}
			if string(out) != "kept" {
				t.Errorf("dst is %q", out)
			}
		})
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":2},"_id":"x"}`), []byte(`{"b.c":3,"b.d.e":4,"a":null}`))
	f.Add([]byte(`{"q\"":{"\\":1}}`), []byte(`{"q\".\\":2}`))
	f.Add([]byte(`{}`), []byte(`{"a.b":1,"a":2}`))
	f.Add([]byte(`{"a":[1]}`), []byte(`{"a.0":1}`))
	f.Add([]byte(`{"a":[{"b":[]}]}`), []byte(`{"a.2":1,"a.1.x":{},"a.0.b.0":2}`))
	f.Fuzz(func(t *testing.T, body, patch []byte) {
		p, err := new(jsondoc.Parser).Parse(patch, jsondoc.Limits{})
		if err != nil {
			return
		}
		_, _ = Merge(nil, body, p, testStamp()) // any bytes as the image before: no panic
		if bytes.IndexByte(patch, '$') >= 0 {
			return // operators have a table of their own
		}
		b, err := new(jsondoc.Parser).Parse(body, jsondoc.Limits{})
		if err != nil {
			return
		}
		before, err := Candidate(nil, b, testStamp())
		if err != nil {
			return
		}
		out, err := Merge(nil, before, p, testStamp())
		if err != nil {
			return
		}
		if v, err := new(jsondoc.Parser).Parse(out, jsondoc.Limits{Depth: 64}); err != nil || !v.IsCanonical() {
			t.Fatalf("%s: %v", out, err)
		}
		if !bytes.HasPrefix(out, []byte(head)) || !bytes.HasSuffix(out, []byte(tail)) {
			t.Fatalf("the server's members are wrong: %s", out)
		}
		if got, want := plainJSON(t, out), model(plainJSON(t, before), plainJSON(t, patch)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s with %s\ngot  %s\nwant %v", before, patch, out, want)
		}
	})
}

func plainJSON(t *testing.T, src []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return v
}

// model is the obvious way to merge. A key that has to wait for an element before its own is tried again.
func model(doc, patch map[string]any) map[string]any {
	for waiting := true; waiting; {
		waiting = false
		for key, v := range patch {
			parts := strings.Split(key, ".")
			if isReserved([]byte(parts[0])) {
				continue
			}
			if _, ok := modelSet(doc, parts, v); !ok {
				waiting = true
			}
		}
	}
	return doc
}

func modelSet(at any, parts []string, v any) (any, bool) {
	if len(parts) == 0 {
		return v, true
	}
	list, ok := at.([]any)
	if !ok {
		o, _ := at.(map[string]any)
		if o == nil {
			o = map[string]any{}
		}
		next, ok := modelSet(o[parts[0]], parts[1:], v)
		o[parts[0]] = next
		return o, ok
	}
	i, err := strconv.Atoi(parts[0])
	if err != nil || i > len(list) {
		return list, false
	}
	if i == len(list) {
		list = append(list, nil)
	}
	list[i], ok = modelSet(list[i], parts[1:], v)
	return list, ok
}
