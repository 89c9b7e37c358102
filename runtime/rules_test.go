package runtime_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// rulebook is a project with every rule that a schema can hold.
const rulebook = `
name: rulebook
auth: {enabled: true}
limits: {databaseBytes: 20000}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}]
  - name: rules
    fields:
      - {key: title, type: String, required: true}
      - {key: code, type: String, unique: true}
      - {key: rank, type: Number, unique: true}
      - {key: kind, type: String, default: plain}
      - {key: size, type: Number, default: 1}
      - {key: since, type: Date, default: "2026-01-01"}
      - {key: tags, type: Array, items: {type: String}}
      - {key: mail, type: String, format: email}
      - {key: site, type: String, format: url}
      - {key: tint, type: String, format: color}
      - {key: slug, type: String, format: slug}
      - {key: done, type: Boolean}
      - {key: due, type: Date}
      - {key: owner, type: Ref, ref: rules}
      - {key: free, type: Object}
      - {key: address, type: Object, fields: [{key: street, type: String, required: true}, {key: tags, type: Array}, {key: geo, type: Object, fields: [{key: lat, type: Number}]}]}
      - {key: rows, type: Array, items: {type: Object, fields: [{key: no, type: Number, required: true}, {key: at, type: Date}]}}
  - name: strict
    strict: true
    fields: [{key: a, type: Number}, {key: in, type: Object, fields: [{key: b, type: Number}]}]
`

// TestRules: what a schema makes of an insert, and the words of each refusal.
func TestRules(t *testing.T) {
	n := start(t, rulebook)
	sk := n.as(n.sk, "")
	for _, c := range []struct{ body, field, want string }{
		{`{"title":" a "}`, "title", "a"}, {`{"title":"a"}`, "kind", "plain"}, {`{"title":"a","kind":null}`, "kind", "plain"}, {`{"title":"a","kind":""}`, "kind", ""}, {`{"title":"a"}`, "size", "1"},
		{`{"title":"a"}`, "since", "2026-01-01T00:00:00.000Z"}, {`{"title":"a"}`, "tags", "[]"}, {`{"title":"a","tags":null}`, "tags", "null"}, {`{"title":"a","tags":[" x "]}`, "tags", `["x"]`},
		{`{"title":"a","done":null,"due":null,"owner":null,"free":null}`, "done", "null"}, {`{"title":"a","free":{}}`, "free", "{}"}, {`{"title":"a","free":{"x":{"y":[]}}}`, "free.x", `{"y":[]}`},
		{`{"title":"a","due":"2026-11-23"}`, "due", "2026-11-23T00:00:00.000Z"}, {`{"title":"a","due":"2026-11-23T14:25:03.1239+01:00"}`, "due", "2026-11-23T13:25:03.123Z"}, {`{"title":"a","due":"Mon, 23 Nov 2026 14:25:03 GMT"}`, "due", "2026-11-23T14:25:03.000Z"},
		{`{"title":"a","due":"Mon Nov 23 2026 14:25:03 GMT+0100 (Central European Standard Time)"}`, "due", "2026-11-23T13:25:03.000Z"}, {`{"title":"a","due":"November 23, 2026 2:25 PM"}`, "due", "2026-11-23T14:25:00.000Z"}, {`{"title":"a","due":"11/23/2026"}`, "due", "2026-11-23T00:00:00.000Z"}, {`{"title":"a","due":"2026"}`, "due", "2026-01-01T00:00:00.000Z"},
		{`{"title":"a","owner":"AAAAAAAAAAAAAAAAAAAAAAAA"}`, "owner", strings.Repeat("a", 24)}, {`{"title":"a","address":{"street":"x"}}`, "address", `{"street":"x","tags":[]}`}, {`{"title":"a","rows":[{"no":1,"at":"2026-01-01"}]}`, "rows.0.at", "2026-01-01T00:00:00.000Z"},
		{`{"title":"a","other":{"deep":[1,{"x":null}]}}`, "other.deep.1", `{"x":null}`}, {`{"title":"a","__v":7}`, "__v", "null"}, {`{"title":"a","createdAt":"2001-01-01T00:00:00.000Z","since":"2001-01-01"}`, "since", "2001-01-01T00:00:00.000Z"},
		{`{"title":"a","mail":"a@b.co","site":"https://x.example/y?z","tint":"#aBcDeF","slug":"a-b-2"}`, "slug", "a-b-2"}, {`{"title":"a","_id":"BBBBBBBBBBBBBBBBBBBBBBBB"}`, "_id", strings.Repeat("b", 24)},
	} {
		a := n.send("POST", "/api/data/rules", c.body, sk...)
		if a.status != 201 || a.field(c.field) != c.want {
			t.Errorf("%s: %d %s = %q, want %q", c.body, a.status, c.field, a.field(c.field), c.want)
			continue
		}
		if strings.HasPrefix(a.field("createdAt"), "2001") {
			t.Errorf("%s: a client chose createdAt: %s", c.body, a.body)
		}
		n.send("DELETE", "/api/data/rules/"+a.field("_id"), "", sk...).want(t, 200)
	}
	for _, c := range [][2]string{
		{`{}`, "Field 'title' is required."}, {`{"title":null}`, "Field 'title' is required."}, {`{"title":""}`, "Field 'title' is required."}, {`{"title":" \t"}`, "Field 'title' is required."}, {`{"title":1}`, "Field 'title' must be a String."},
		{`{"title":"a","size":"1"}`, "Field 'size' must be a Number."}, {`{"title":"a","done":"true"}`, "Field 'done' must be a Boolean."}, {`{"title":"a","done":1}`, "Field 'done' must be a Boolean."},
		{`{"title":"a","due":"soon"}`, "Field 'due' must be a valid Date."}, {`{"title":"a","due":1700000000000}`, "Field 'due' must be a valid Date."}, {`{"title":"a","due":true}`, "Field 'due' must be a valid Date."}, {`{"title":"a","due":"2026-02-30"}`, "Field 'due' must be a valid Date."}, {`{"title":"a","due":""}`, "Field 'due' must be a valid Date."},
		{`{"title":"a","owner":"x"}`, "Field 'owner' must be a valid reference ID (ObjectId)."}, {`{"title":"a","owner":{"_id":"x"}}`, "Field 'owner' must be a valid reference ID (ObjectId)."},
		{`{"title":"a","free":[]}`, "Field 'free' must be an Object."}, {`{"title":"a","free":"x"}`, "Field 'free' must be an Object."}, {`{"title":"a","tags":"x"}`, "Field 'tags' must be an Array."}, {`{"title":"a","tags":{"0":"x"}}`, "Field 'tags' must be an Array."},
		{`{"title":"a","tags":["x",1]}`, "Field 'tags[1]' must be a String."}, {`{"title":"a","address":{}}`, "Field 'street' is required."}, {`{"title":"a","address":{"street":"x","geo":{"lat":"1"}}}`, "Field 'lat' must be a Number."}, {`{"title":"a","rows":[{"no":1},{}]}`, "Field 'no' is required."}, {`{"title":"a","rows":[1]}`, "Field 'rows[0]' must be an Object."},
		{`{"title":"a","mail":"nobody"}`, "Field 'mail' must be a valid email (e.g., user@example.com)."}, {`{"title":"a","site":"ftp://x.example"}`, "Field 'site' must match format 'url'."}, {`{"title":"a","tint":"red"}`, "Field 'tint' must match format 'color'."}, {`{"title":"a","slug":"A b"}`, "Field 'slug' must match format 'slug'."},
		{`{"size":"x","title":5}`, "Field 'title' must be a String."}, // the schema's order, not the body's
	} {
		for _, w := range [][2]string{{"/api/data/rules", c[0]}, {"/api/data/rules/bulk", "[" + c[0] + "]"}, {"/api/batch", `{"operations":[{"op":"insert","collection":"rules","data":` + c[0] + `}]}`}} {
			want := c[1]
			switch {
			case strings.HasSuffix(w[0], "bulk"):
				want = "Invalid records at index: 0"
			case strings.HasSuffix(w[0], "batch"):
				want = "Operation 0: " + want
			}
			a := n.send("POST", w[0], w[1], sk...)
			if a.status != 400 || a.field("error") != want && !(strings.HasSuffix(w[0], "bulk") && a.field("error") == c[1]) {
				t.Errorf("%s %s: %d %s, want %q", w[0], w[1], a.status, a.body, want)
			}
		}
	}
	if a := n.send("GET", "/api/data/rules?count=true", "", sk...); a.field("data.count") != "0" {
		t.Errorf("something refused was stored: %s", a.body)
	}

	// strict: what is not declared is refused, also inside declared Objects and by a path.
	id := n.send("POST", "/api/data/strict", `{"a":1,"in":{"b":2}}`, sk...).want(t, 201).field("_id")
	for _, body := range []string{`{"c":1}`, `{"in":{"c":1}}`} {
		if a := n.send("POST", "/api/data/strict", body, sk...); a.status != 400 || a.field("error") != "Field 'c' is not declared." {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, body := range []string{`{"c":1}`, `{"in.c":1}`, `{"c":{"$inc":1}}`} {
		n.send("PATCH", "/api/data/strict/"+id, body, sk...).want(t, 400)
	}
	n.send("PATCH", "/api/data/strict/"+id, `{"in.b":3}`, sk...).want(t, 200)

	// The quota counts what is stored, in every way of storing, and what is deleted is free again.
	big := `{"title":"` + strings.Repeat("x", 12000) + `"}`
	first := n.send("POST", "/api/data/rules", big, sk...).want(t, 201).field("_id")
	for _, w := range [][3]string{{"POST", "/api/data/rules", big}, {"POST", "/api/data/rules/bulk", "[" + big + "]"}, {"PATCH", "/api/data/rules/" + first, `{"more":"` + strings.Repeat("y", 12000) + `"}`}, {"POST", "/api/batch", `{"operations":[{"op":"insert","collection":"rules","data":` + big + `}]}`}} {
		if a := n.send(w[0], w[1], w[2], sk...); a.status != 403 || a.field("error") != "Database limit exceeded." || a.field("reason") != "quota.database" {
			t.Errorf("%s %s: %d %.300s", w[0], w[1], a.status, a.body)
		}
	}
	n.send("DELETE", "/api/data/rules/"+first, "", sk...).want(t, 200)
	n.send("POST", "/api/data/rules", big, sk...).want(t, 201)
}

// TestUpdates: an update is judged as strictly as an insert, whichever way it says what to change.
func TestUpdates(t *testing.T) {
	n := start(t, rulebook)
	sk := n.as(n.sk, "")
	n.send("POST", "/api/data/rules", `{"title":"other","code":"taken","rank":1}`, sk...).want(t, 201)
	id := n.send("POST", "/api/data/rules", `{"title":"t","code":"mine","rank":2,"tags":["a"],"free":{"n":1},"rows":[{"no":1},{"no":2}],"big":9223372036854775807,"list":[1,"1",1.0]}`, sk...).want(t, 201).field("_id")
	path := "/api/data/rules/" + id
	for _, c := range []struct{ body, field, want string }{
		{`{"title":" new "}`, "title", "new"}, {`{}`, "title", "new"}, {`{"kind":null}`, "kind", "plain"}, {`{"due":"Nov 23, 2026"}`, "due", "2026-11-23T00:00:00.000Z"}, {`{"code":null}`, "code", "null"}, {`{"code":"mine"}`, "code", "mine"}, {`{"createdAt":"2001-01-01","__v":5}`, "__v", "null"}, {`{"_id":"` + id + `"}`, "_id", id},
		{`{"free.n":2}`, "free.n", "2"}, {`{"free.a.b":1}`, "free.a.b", "1"}, {`{"address.street":" s "}`, "address.street", "s"}, {`{"address":{"street":"x"}}`, "address.tags", "[]"},
		{`{"free.n":{"$inc":2.5}}`, "free.n", "4.5"}, {`{"count":{"$inc":-1}}`, "count", "-1"}, {`{"size":{"$inc":0.1}}`, "size", "1.1"}, {`{"size":{"$max":10},"free.n":{"$min":-2},"kind":"x"}`, "size", "10"}, {`{"size":{"$min":99}}`, "size", "10"},
		{`{"tags":{"$push":" b "}}`, "tags", `["a","b"]`}, {`{"tags":{"$push":{"$each":["c","a"]}}}`, "tags", `["a","b","c","a"]`}, {`{"tags":{"$pull":"a"}}`, "tags", `["b","c"]`}, {`{"list":{"$pull":1}}`, "list", `["1"]`}, {`{"free.list":{"$push":{"x":1}}}`, "free.list", `[{"x":1}]`}, {`{"rows":{"$push":{"no":3,"at":"2026-01-01"}}}`, "rows.2.at", "2026-01-01T00:00:00.000Z"},
		{`{"rows.0.at":"2026-05-05"}`, "rows.0.at", "2026-05-05T00:00:00.000Z"}, {`{"rows.1.no":{"$inc":3}}`, "rows.1.no", "5"}, {`{"tags.0":" z "}`, "tags", `["z","c"]`}, {`{"rows.3.no":4}`, "rows.3", `{"no":4}`},
		{`{"due":{"$max":"2027-01-01"}}`, "due", "2027-01-01T00:00:00.000Z"}, {`{"free.n":{"$unset":true},"list":{"$unset":1}}`, "list", "null"}, {`{"tags":{"$unset":1}}`, "tags", "[]"}, {`{"kind":{"$unset":1}}`, "kind", "plain"}, {`{"rank":{"$inc":5}}`, "rank", "7"},
	} {
		a := n.send("PATCH", path, c.body, sk...)
		if a.status != 200 || a.field("data."+c.field) != c.want {
			t.Errorf("%s: %d %s = %q, want %q in %s", c.body, a.status, c.field, a.field("data."+c.field), c.want, a.body)
		}
	}
	before := n.send("GET", path, "", sk...).want(t, 200).body
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{`{"title":null}`, 400, "Field 'title' is required."}, {`{"title":" "}`, 400, "Field 'title' is required."}, {`{"title":{"$unset":1}}`, 400, "Field 'title' is required."}, {`{"title":5}`, 400, "Field 'title' must be a String."}, {`{"title":{"$inc":1}}`, 400, "Field 'title' cannot be incremented: it is not a Number."},
		{`{"size":"5"}`, 400, "Field 'size' must be a Number."}, {`{"address":{}}`, 400, "Field 'street' is required."}, {`{"address.street":5}`, 400, "Field 'street' must be a String."}, {`{"address.street":{"$unset":1}}`, 400, "Field 'street' is required."}, {`{"address.geo.lat":"x"}`, 400, "Field 'lat' must be a Number."},
		{`{"tags":{"$push":1}}`, 400, "Field 'tags[0]' must be a String."}, {`{"tags":{"$push":{"$each":["a",1]}}}`, 400, "Field 'tags[1]' must be a String."}, {`{"rows":{"$push":{}}}`, 400, "Field 'no' is required."}, {`{"tags.0":5}`, 400, "Field 'tags[0]' must be a String."}, {`{"rows.0.no":"x"}`, 400, "Field 'no' must be a Number."}, {`{"rows.9.no":1}`, 400, ""}, {`{"rows.x":1}`, 400, ""}, {`{"tags.0":{"$unset":1},"tags.7":"x"}`, 400, ""},
		{`{"size":{"$push":1}}`, 400, "Field 'size' is not an Array."}, {`{"size":{"$pull":1}}`, 400, "Field 'size' is not an Array."},
		{`{"big":{"$inc":1}}`, 400, "Field 'big' would grow beyond what a whole number can hold."}, {`{"size":{"$inc":1e308},"x":{"$inc":1}}`, 200, ""}, {`{"size":{"$inc":"1"}}`, 400, "Field 'size' can be incremented by a number only."}, {`{"size":{"$inc":1,"$min":2}}`, 400, ""}, {`{"size":{"$mul":2}}`, 400, ""}, {`{"size":{"$inc":1,"x":2}}`, 400, ""},
		{`{"$inc":{"size":1}}`, 400, ""}, {`{"free":{"n":{"$inc":1}}}`, 400, ""}, {`{"free":1,"free.n":1}`, 400, ""}, {`{"free.n.x":1}`, 200, ""}, {`{"title.x":1}`, 400, ""}, {`{"free..n":1}`, 400, ""}, {`{"free.$n":1}`, 400, ""}, {`{"_id":"aaaaaaaaaaaaaaaaaaaaaaaa"}`, 400, "Field '_id' cannot be changed."}, {`{"_id.x":1}`, 400, ""},
		{`{"code":"taken"}`, 409, "Duplicate value violates unique constraint."}, {`{"rank":{"$min":1}}`, 409, "Duplicate value violates unique constraint."},
	} {
		a := n.send("PATCH", path, c.body, sk...)
		if a.status != c.status || c.text != "" && a.field("error") != c.text {
			t.Errorf("%s: %d %s, want %d %q", c.body, a.status, a.body, c.status, c.text)
		}
		if now := n.send("GET", path, "", sk...).body; a.status != 200 && now != before {
			t.Errorf("%s was refused and changed the document", c.body)
		} else {
			before = now
		}
	}
	// Optional unique fields may be missing or null in many documents.
	for _, body := range []string{`{"title":"a"}`, `{"title":"b"}`, `{"title":"c","code":null}`, `{"title":"d","code":null}`} {
		n.send("POST", "/api/data/rules", body, sk...).want(t, 201)
	}
	// Of many that want one value at once, one gets it, by whichever verb.
	var all sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 24 {
		made := n.send("POST", "/api/data/rules", fmt.Sprintf(`{"title":"r%d"}`, i), sk...).want(t, 201).field("_id")
		all.Go(func() {
			a := n.send("PATCH", "/api/data/rules/"+made, `{"code":"one"}`, sk...)
			if i%2 == 0 {
				a = n.send("POST", "/api/data/rules", `{"title":"x","code":"one"}`, sk...)
			}
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case 200, 201:
				won++
			case 409:
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if a := n.send("GET", "/api/data/rules?code=one&count=true", "", sk...); a.field("data.count") != "1" {
		t.Errorf("%d won, %s", won, a.body)
	}
}
