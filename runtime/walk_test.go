package runtime_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestCursorsWhileOthersWrite: whatever others insert, delete and change between two pages, a walk shows each document that
// was there throughout exactly once, in any order, with and without an index for it.
func TestCursorsWhileOthersWrite(t *testing.T) {
	n := start(t, shop)
	sk := n.as(n.sk, "")
	const many = 30
	for _, order := range []string{"", "sort=_id", "sort=n", "sort=-n", "sort=ok,n", "sort=-ok,-n", "sort=name", "sort=-name,n", "sort=loose", "sort=-loose", "sort=meta.likes", "sort=-meta.likes,_id", "sort=nothing", "sort=createdAt", "n_gte=0&sort=n", "ok=true&sort=-n", "tags=t&sort=name:desc"} {
		for i := range many {
			body := fmt.Sprintf(`{"_id":"66000000000000000000%04x","n":%d,"ok":%v,"tags":["t"],"name":"n%d","loose":%s,"meta":{"likes":%d},"keep":%v}`,
				i*16, i%4, i%2 == 0, i%3, []string{"null", "1", `"x"`, "[1]"}[i%4], i%2, i%5 != 4)
			n.send("POST", "/api/data/things", body, sk...).want(t, 201)
		}
		seen, cursor := map[string]int{}, ""
		for page := 0; page < 30; page++ {
			a := n.send("GET", "/api/data/things?limit=4&"+order+cursor, "", sk...).want(t, 200)
			for i := range 4 {
				if id := a.field(fmt.Sprintf("data.items.%d._id", i)); len(id) == 24 {
					seen[id]++
				}
			}
			next := a.field("data.nextCursor")
			if cursor != "" && (a.field("data.page") != "null" || a.field("data.cursor") != strings.TrimPrefix(cursor, "&cursor=")) {
				t.Errorf("%s: a page by cursor answers %s", order, a.body)
			}
			if next == "null" {
				break
			}
			cursor = "&cursor=" + next
			// One that is not kept goes, one is changed where no order looks, and new ones come everywhere.
			n.send("DELETE", fmt.Sprintf("/api/data/things/66000000000000000000%04x", (page*5+4)%many*16), "", sk...)
			n.send("PATCH", fmt.Sprintf("/api/data/things/66000000000000000000%04x", page%4*16), `{"touched":{"$inc":1}}`, sk...).want(t, 200)
			n.send("POST", "/api/data/things", fmt.Sprintf(`{"n":%d,"ok":true,"tags":["t"],"name":"n%d"}`, page%5, page%4), sk...).want(t, 201)
		}
		for i := range many {
			id := fmt.Sprintf("66000000000000000000%04x", i*16)
			want := 1
			if strings.HasPrefix(order, "ok=true") && i%2 == 1 {
				want = 0
			}
			if i%5 != 4 && seen[id] != want {
				t.Errorf("?%s shows %s %d times, want %d", order, id, seen[id], want)
			}
		}
		for id, times := range seen {
			if times > 1 {
				t.Errorf("?%s shows %s %d times", order, id, times)
			}
		}
		for a := n.send("GET", "/api/data/things?fields=_id", "", sk...); a.field("data.total") != "0"; a = n.send("GET", "/api/data/things?fields=_id", "", sk...) {
			for i := range 100 {
				if id := a.field(fmt.Sprintf("data.items.%d._id", i)); len(id) == 24 {
					n.send("DELETE", "/api/data/things/"+id, "", sk...).want(t, 200)
				}
			}
		}
	}
}

// TestForeignCursors: a cursor opens the list that it was made for, for whoever sees the same list, and no other.
func TestForeignCursors(t *testing.T) {
	n := startShop(t)
	other := start(t, shop)
	for _, id := range []string{thingA, thingB, thingC} {
		other.send("POST", "/api/data/things", `{"_id":"`+id+`"}`, other.as(other.sk, "")...).want(t, 201)
	}
	next := n.send("GET", "/api/data/things?n_gte=-5&sort=-n&limit=1", "", n.as(n.pk, "")...).want(t, 200).field("data.nextCursor")
	for _, q := range []string{"n_gte=-5&sort=-n&limit=1", "sort=-n&n_gte=-5&limit=2", "limit=3&n_gte=-5&sort=-n&fields=name&meta=false&page=7", "n_gte=-5&sort=-n&populate=ref&key=" + n.pk} {
		n.send("GET", "/api/data/things?"+q+"&cursor="+next, "", n.as(n.pk, "")...).want(t, 200)
	}
	for _, path := range []string{"things?sort=-n", "things?n_gte=-5", "things?n_gte=-5&sort=n", "things?n_gte=-4&sort=-n", "things?n_gte=-5&sort=-n&ok=true", "things?n_gt=-5&sort=-n", "things?", "things?n_gte=-5&n_gte=-5&sort=-n"} {
		if a := n.send("GET", "/api/data/"+path+"&cursor="+next, "", n.as(n.pk, "")...); a.status != 400 || a.field("reason") != "query.invalid_cursor" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	raw := []byte(next)
	for i := range raw {
		changed := append([]byte(nil), raw...)
		if changed[i]++; changed[i] == '{' || changed[i] == ':' || changed[i] == '[' || changed[i] == '`' || changed[i] == '.' {
			changed[i] = 'A'
		}
		if string(changed) == next {
			continue
		}
		a := n.send("GET", "/api/data/things?n_gte=-5&sort=-n&cursor="+string(changed), "", n.as(n.pk, "")...)
		// The last character holds bits that stand for nothing: there the same cursor is written in another way.
		if a.status != 400 && i < len(raw)-1 {
			t.Errorf("a cursor changed at %d: %d %s", i, a.status, a.body)
		}
	}
	for _, bad := range []string{next[:len(next)-4], next + "AAAA", "eyJzb3J0VmFsdWUiOjEsIl9pZCI6IngifQ", "A", strings.Repeat("A", 1000)} {
		n.send("GET", "/api/data/things?n_gte=-5&sort=-n&cursor="+bad, "", n.as(n.pk, "")...).want(t, 400)
	}
	n.send("GET", "/api/data/things?n_gte=-5&sort=-n&cursor="+next, "", n.as(n.sk, "")...).want(t, 400)
	other.send("GET", "/api/data/things?n_gte=-5&sort=-n&cursor="+next, "", other.as(other.pk, "")...).want(t, 400)
}

// TestPopulateInDepth: references anywhere in a document, several paths at once, in lists and one by one.
func TestPopulateInDepth(t *testing.T) {
	n := start(t, `
name: refs
auth: {enabled: true}
limits: {fieldLevels: 4}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}, {key: username, type: String}]
  - name: parts
    fields: [{key: name, type: String}, {key: next, type: Ref, ref: parts}]
  - name: wholes
    fields:
      - {key: one, type: Ref, ref: parts}
      - {key: many, type: Array, items: {type: Ref, ref: parts}}
      - {key: rows, type: Array, items: {type: Object, fields: [{key: part, type: Ref, ref: parts}, {key: parts, type: Array, items: {type: Ref, ref: parts}}]}}
      - {key: in, type: Object, fields: [{key: part, type: Ref, ref: parts}]}
      - {key: text, type: String}
      - {key: list, type: Array}
`)
	sk := n.as(n.sk, "")
	b := n.send("POST", "/api/data/parts", `{"name":"b"}`, sk...).want(t, 201).field("_id")
	a := n.send("POST", "/api/data/parts", `{"name":"a","next":"`+b+`"}`, sk...).want(t, 201).field("_id")
	gone := strings.Repeat("e", 24)
	body := strings.NewReplacer("A", `"`+a+`"`, "B", `"`+b+`"`, "G", `"`+gone+`"`).Replace(`{"one":A,"many":[A,G,B,A],"rows":[{"part":B,"parts":[A,G]},{"part":null},{"parts":[]}],"in":{"part":G},"text":"x","list":[1]}`)
	id := n.send("POST", "/api/data/wholes", body, sk...).want(t, 201).field("_id")
	n.send("POST", "/api/data/wholes", `{"one":null}`, sk...).want(t, 201)
	for _, c := range []struct{ query, field, want string }{
		{"populate=one", "one.name", "a"}, {"expand=one", "one.next", b}, {"populate=one,many&expand=in.part", "many.2.name", "b"}, {"populate=many", "many.1", "null"}, {"populate=many", "many.3.name", "a"}, {"populate=many", "one", a},
		{"populate=rows.part", "rows.0.part.name", "b"}, {"populate=rows.part", "rows.1.part", "null"}, {"populate=rows.parts", "rows.0.parts.0.name", "a"}, {"populate=rows.parts", "rows.0.parts.1", "null"}, {"populate=rows.parts", "rows.2.parts", "[]"},
		{"populate=in.part", "in.part", "null"}, {"populate=text", "text", "x"}, {"populate=list,in", "in.part", gone}, {"populate=_id,createdAt", "one", a}, {"populate=%20one%20,,many", "one.name", "a"}, {"populate=", "one", a},
		{"populate=one&fields=one", "one.name", "a"}, {"populate=one&fields=text", "one", "null"}, {"populate=one&meta=false", "one.name", "a"}, {"populate=one&populate=many&populate=one", "many.0.name", "a"},
	} {
		for _, at := range []struct{ path, prefix string }{{"/api/data/wholes/" + id, ""}, {"/api/data/wholes?sort=_id&limit=1", "data.items.0."}} {
			sep := "?"
			if strings.Contains(at.path, "?") {
				sep = "&"
			}
			got := n.send("GET", at.path+sep+c.query, "", n.as(n.pk, "")...).want(t, 200)
			if got.field(at.prefix+c.field) != c.want {
				t.Errorf("%s?%s: %s = %q, want %q", at.path, c.query, c.field, got.field(at.prefix+c.field), c.want)
			}
		}
	}
	for _, q := range []string{"populate=nothing", "populate=one.next", "populate=one,nothing", "expand=rows.nothing", "populate=list.x", "populate=text.x", "populate=$one", "populate=."} {
		for _, path := range []string{"/api/data/wholes/" + id, "/api/data/wholes"} {
			if got := n.send("GET", path+"?"+q, "", n.as(n.pk, "")...); got.status != 400 || got.field("reason") != "query.populate" {
				t.Errorf("%s?%s: %d %s", path, q, got.status, got.body)
			}
		}
	}
}

// Whoever does not show the total need not wait for it.
func TestListWithoutATotal(t *testing.T) {
	n := start(t, blog)
	n.seed("open", 30, func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) })
	first := n.send("GET", "/api/data/open?count=none&limit=20&n_gte=5", "", n.as(n.pk, "")...)
	if !strings.Contains(first.body, `"total":null`) || strings.Count(first.body, `"n":`) != 20 || first.field("data.page") != "1" {
		t.Fatalf("%d %s", first.status, first.body)
	}
	second := n.send("GET", "/api/data/open?count=none&limit=20&n_gte=5&cursor="+first.field("data.nextCursor"), "", n.as(n.pk, "")...)
	if !strings.Contains(second.body, `"total":null`) || strings.Count(second.body, `"n":`) != 5 || !strings.Contains(second.body, `"nextCursor":null`) {
		t.Errorf("%d %s", second.status, second.body)
	}
	if out := n.send("GET", "/api/data/open?count=some", "", n.as(n.pk, "")...); out.status != 400 || !strings.Contains(out.body, "true, false or none") {
		t.Errorf("%d %s", out.status, out.body)
	}
}

// A query that would look at too much is refused with the index that would help, and answered once there is one.
func TestExpensiveQueryNamesItsIndex(t *testing.T) {
	const file = "name: p\nlimits: {examinedDocuments: 1000}\ncollections:\n  - {name: things, fields: [{key: n, type: Number%s}]}\n"
	n := start(t, fmt.Sprintf(file, ""))
	n.seed("things", 1200, func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) })
	ask := func(query string) *answer { return n.send("GET", "/api/data/things?"+query, "", n.as(n.sk, "")...) }
	for _, query := range []string{"n=7", "n=7&count=true", "sort=n"} {
		if out := ask(query); out.status != 400 || out.field("reason") != "query.too_expensive" || !strings.Contains(out.field("message"), "add the index [n]") {
			t.Errorf("%s: %d %s", query, out.status, out.body)
		}
	}
	if out := n.send("POST", "/api/data/things/aggregate", `{"pipeline":[{"$count":"all"}]}`, n.as(n.sk, "")...); out.status != 400 || out.field("reason") != "query.too_expensive" {
		t.Errorf("an aggregation: %d %s", out.status, out.body)
	}
	n.apply(fmt.Sprintf(file, ", index: true"))
	until(t, "built", func() bool { return ask("n=7").status == 200 })
	for _, query := range []string{"n=7", "n=7&count=true", "sort=n"} {
		if out := ask(query); out.status != 200 {
			t.Errorf("%s with an index: %d %s", query, out.status, out.body)
		}
	}
}
