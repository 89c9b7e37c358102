package runtime_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// shop is a project with a field of every type, nested and untyped ones, and indexes on some.
const shop = `
name: shop
auth: {enabled: true}
limits: {fieldLevels: 4}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}, {key: username, type: String}]
  - name: things
    fields:
      - {key: name, type: String, index: true}
      - {key: n, type: Number, index: true}
      - {key: ok, type: Boolean}
      - {key: at, type: Date}
      - {key: ref, type: Ref, ref: things}
      - {key: tags, type: Array, items: {type: String}}
      - {key: nums, type: Array, items: {type: Number}}
      - {key: any, type: Array}
      - {key: free, type: Object}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}, {key: deep, type: Object, fields: [{key: at, type: Date}]}]}
      - {key: rows, type: Array, items: {type: Object, fields: [{key: street, type: String}, {key: no, type: Number}]}}
      - {key: page, type: Number}
      - {key: size_in, type: Number}
    indexes: [[ok, n]]
  - name: closed
    fields: [{key: text, type: String}, {key: n, type: Number}, {key: userId, type: String}]
    rls: {enabled: true, mode: private}
`

const (
	thingA = "65000000000000000000000a"
	thingB = "65000000000000000000000b"
	thingC = "65000000000000000000000c"
	thingD = "65000000000000000000000d"
)

// startShop starts a node with four things, named by the last digit of their ids.
func startShop(t *testing.T) *node {
	n := start(t, shop)
	for _, body := range []string{
		`{"_id":"` + thingA + `","name":"Apple","n":1,"ok":true,"at":"2026-01-01T10:00:00Z","tags":["red","round"],"nums":[1,5],"any":[1,"x",null],"free":{"a":1},"meta":{"likes":3,"deep":{"at":"2026-01-05"}},"rows":[{"street":"High","no":1},{"street":"Low","no":2}],"loose":5,"page":1,"size_in":1}`,
		`{"_id":"` + thingB + `","name":"banana","n":2.5,"ok":false,"at":"2026-02-01","ref":"` + thingA + `","tags":["yellow"],"nums":[10],"meta":{"likes":0},"rows":[],"loose":"5","page":2,"size_in":2}`,
		`{"_id":"` + thingC + `","name":"Cherry","n":-3,"tags":["red"],"loose":null,"mixed":{"x":1},"null":null}`,
		`{"_id":"` + thingD + `","n":null,"name":"a,b","loose":true,"mixed":"2026-01-01","when":"2026-01-01T00:00:00.000Z"}`,
	} {
		n.send("POST", "/api/data/things", body, n.as(n.sk, "")...).want(t, 201)
	}
	return n
}

// found lists what a list answers, by the last digits of the ids.
func (a *answer) found(t testing.TB) string {
	t.Helper()
	var list struct {
		Data struct {
			Items []struct {
				ID string `json:"_id"`
			}
		}
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	out := ""
	for _, item := range list.Data.Items {
		out += item.ID[len(item.ID)-1:]
	}
	return out
}

// TestFilters: each parameter of a list finds what the contract says. Without a sort the newest, d, comes first.
func TestFilters(t *testing.T) {
	n := startShop(t)
	for _, c := range [][2]string{
		// Equality, by type.
		{"name=Apple", "a"}, {"name=apple", ""}, {"n=1", "a"}, {"n=1.0", "a"}, {"n=%2B2.5", "b"}, {"n=02.50", "b"}, {"n=-3", "c"}, {"n=-3e0", "c"},
		{"ok=true", "a"}, {"ok=0", "b"}, {"ok=no", "b"}, {"ref=" + thingA, "b"}, {"ref=" + strings.ToUpper(thingA), "b"}, {"_id=" + thingC, "c"}, {"_id=" + strings.ToUpper(thingC), "c"},
		{"at=2026-01-01T10:00Z", "a"}, {"at=2026-01-01T11:00:00%2B01:00", "a"}, {"at=Thu, 01 Jan 2026 10:00:00 GMT", "a"}, {"at=Jan 1, 2026 10:00", "a"}, {"at=2/1/2026", "b"},
		// Repeated parameters mean either.
		{"name=Apple&name=Cherry", "ca"}, {"filter[name]=Apple&name=Cherry", "ca"}, {"n_in=1&n_in=2.5", "ba"},
		// Suffixes, and several on one field.
		{"n_gt=1", "b"}, {"n_gte=1", "ba"}, {"n_lt=1", "c"}, {"n_lte=1", "ca"}, {"n_gt=-5&n_lt=2", "ca"}, {"n_gt=0&n_gt=1", "b"}, {"n_lt=2&n_lt=0", "c"},
		{"n=1&n_gt=0", "a"}, {"n_gt=0&n=1", "a"}, {"n_gt=1&n=1", ""}, {"at_gte=2026-01-02", "b"}, {"at_lt=2026-01-02", "a"}, {"name_gt=Apple&name_lt=a", "c"},
		{"createdAt_gt=2020", "dcba"}, {"updatedAt_lt=2020", ""}, {"_id_gt=" + thingB, "dc"}, {"_id_in=" + thingA + "," + thingD, "da"},
		// Not equal: what is missing or null is not equal to a value.
		{"n_ne=1", "dcb"}, {"name_ne=Apple", "dcb"}, {"tags_ne=red", "db"}, {"ok_ne=true", "dcb"}, {"n_ne=1&n_ne=2.5", "dc"}, {"loose_ne=null", "dba"}, {"gone_ne=x", "dcba"}, {"gone_ne=null", ""},
		// One of.
		{"n_in=1,2.5", "ba"}, {"n_in=%201%20,,", "a"}, {"n_in=", ""}, {"name_in=Apple,Cherry", "ca"}, {"tags_in=yellow,round", "ba"}, {"name_in=a,b", ""}, {"name=a,b", "d"},
		// Present or not: null is present.
		{"n_exists=true", "dcba"}, {"ok_exists=false", "dc"}, {"loose_exists=true", "dcba"}, {"meta.likes_exists=true", "ba"}, {"null_exists=true", "c"}, {"at_exists=true&at_exists=false", ""},
		// Patterns.
		{"name_regex=^A", "da"}, {"name_regex=AN", "b"}, {"tags_regex=^y", "b"}, {"name_regex=a&name_regex=p", "a"}, {"at_regex=^2026-02", "b"}, {"loose_regex=5", "b"},
		// Arrays by an element, by position, and within objects.
		{"tags=red", "ca"}, {"tags=red&tags=yellow", "cba"}, {"nums=5", "a"}, {"nums_gt=5", "b"}, {"nums_gte=1&nums_lte=1", "a"}, {"tags.0=red", "ca"}, {"tags.1=round", "a"}, {"any=x", "a"}, {"any=1", "a"}, {"any=null", "a"},
		{"rows.street=Low", "a"}, {"rows.no_gt=1", "a"}, {"rows.0.no=1", "a"}, {"rows.0.no=2", ""}, {"rows.street_exists=false", "dcb"},
		// Paths.
		{"meta.likes=3", "a"}, {"meta.likes_lt=3", "b"}, {"meta.deep.at=2026-01-05", "a"}, {"free.a=1", "a"}, {"mixed.x=1", "c"},
		// Fields that nobody declared: a literal is whatever it could be.
		{"loose=5", "ba"}, {"loose=true", "d"}, {"loose=null", "c"}, {"mixed=2026-01-01", "d"}, {"when=2026-01-01", "d"}, {"when_gte=2026-01-01", "d"}, {"loose_in=5,true", "dba"}, {"loose_gt=4", "ba"},
		{"nothing=1", ""}, {"nothing_exists=false", "dcba"}, {"nothing_lt=5", ""},
		// The bracketed form, and fields that are called like a parameter or end like an operator.
		{"filter[n][gt]=1", "b"}, {"filter[n][eq]=1", "a"}, {"filter[n]=1", "a"}, {"filter[n][in]=1,2.5", "ba"}, {"filter[name][regex]=^c", "c"}, {"filter[meta.likes][gte]=1", "a"}, {"filter[ok][exists]=true", "ba"}, {"filter[n][ne]=1", "dcb"},
		{"filter[page]=2", "b"}, {"filter[page][lt]=2", "a"}, {"size_in=2", "b"}, {"size_in_in=1,2", "ba"}, {"filter[size_in][gt]=1", "b"},
		// Orders: missing and null first, then by type and value; what is equal by id, in the direction of the last key.
		{"sort=n", "dcab"}, {"sort=-n", "bacd"}, {"sort=n:asc", "dcab"}, {"sort=n:desc", "bacd"}, {"sort=n:-1", "bacd"}, {"sort=n:1", "dcab"}, {"sort=name", "acdb"}, {"sort=ok,-n", "cdba"},
		{"sort=nothing", "abcd"}, {"sort=-nothing", "dcba"}, {"sort=_id", "abcd"}, {"sort=-_id", "dcba"}, {"sort=createdAt", "abcd"}, {"sort=loose", "cdab"}, {"sort=meta.likes", "cdba"}, {"sort=%20n%20,", "dcab"}, {"sort=", "dcba"},
		{"sort=-ok,n", "abdc"},
		// Pages.
		{"limit=2", "dc"}, {"limit=2&page=2", "ba"}, {"limit=2&page=3", ""}, {"limit=1000", "dcba"}, {"limit=3&sort=n&page=2", "b"},
		{"key=" + n.pk, "dcba"},
	} {
		path := "/api/data/things?" + strings.NewReplacer(" ", "%20").Replace(c[0])
		if got := n.send("GET", path, "", n.as(n.pk, "")...).want(t, 200).found(t); got != c[1] {
			t.Errorf("?%s finds %q, want %q", c[0], got, c[1])
		}
		if strings.Contains(c[0], "limit") || strings.Contains(c[0], "sort=") {
			continue
		}
		counted := n.send("GET", path+"&count=true&limit=x&page=-1", "", n.as(n.pk, "")...).want(t, 200)
		if want := fmt.Sprintf(`{"success":true,"data":{"count":%d},"message":"Count fetched successfully."}`, len(c[1])); counted.body != want {
			t.Errorf("?%s counts %s, want %s", c[0], counted.body, want)
		}
	}
}

// TestBadQueries: what cannot be meant is refused, and the answer names the parameter.
func TestBadQueries(t *testing.T) {
	n := startShop(t)
	const number, date, flag, id = "a number", "a date", "true or false", "an id of 24 hex digits"
	value := func(name, wants string) string { return fmt.Sprintf("Invalid value for %q; expected %s.", name, wants) }
	for _, c := range [][2]string{
		{"n=x", value("n", number)}, {"n=", value("n", number)}, {"n=1x", value("n", number)}, {"n=NaN", value("n", number)}, {"n=Infinity", value("n", number)}, {"n=0x10", value("n", number)}, {"n=1e999", value("n", number)}, {"n=.", value("n", number)}, {"n=--1", value("n", number)},
		{"n_gt=x", value("n_gt", number)}, {"n_in=1,x", value("n_in", number)}, {"n_ne=x", value("n_ne", number)}, {"filter[n][gte]=x", value("filter[n][gte]", number)}, {"nums=x", value("nums", number)}, {"meta.likes_lt=x", value("meta.likes_lt", number)}, {"rows.no=x", value("rows.no", number)},
		{"ok=maybe", value("ok", flag)}, {"at=yesterday", value("at", date)}, {"at_gt=2026-02-30", value("at_gt", date)}, {"createdAt=x", value("createdAt", date)}, {"ref=5", value("ref", id)}, {"_id=5", value("_id", id)}, {"_id_in=" + thingA + ",5", value("_id_in", id)},
		{"n_exists=yes", `Invalid value for "n_exists"; expected "true" or "false".`}, {"n_exists=", `Invalid value for "n_exists"; expected "true" or "false".`},
		{"name_regex=(", `Invalid regex pattern for "name_regex".`}, {"name_regex=a)|(b", `Invalid regex pattern for "name_regex".`}, {"name_regex=(?=a)", `Invalid regex pattern for "name_regex".`}, {"filter[name][regex]=%5B", `Invalid regex pattern for "filter[name][regex]".`},
		{"name_regex=" + strings.Repeat("a", 129), `Regex pattern for "name_regex" exceeds 128 characters.`}, {"n_regex=1", `A regex cannot be matched against "n": it is a Number.`}, {"ok_regex=1", ""},
		{"limit=0", ""}, {"limit=-1", ""}, {"limit=x", ""}, {"limit=1.5", ""}, {"page=0", ""}, {"page=-1", ""}, {"page=x", ""}, {"page=100000", value("page", "a page within the first 100000 documents")}, {"limit=1&limit=2", `The parameter "limit" may be sent only once.`},
		{"page=1&page=1", ""}, {"cursor=a&cursor=b", ""}, {"count=true&count=false", ""}, {"fields=a&fields=b", ""}, {"meta=true&meta=false", ""}, {"sort=a&sort=b", ""},
		{"count=yes", ""}, {"meta=no", ""}, {"sort=a:up", ""}, {"sort=$a", ""}, {"sort=a..b", ""}, {"sort=a,b,c,d,e,f,g,h,i", ""}, {"fields=a,-b", ""}, {"fields=$a", ""}, {"fields=%2Ba", ""}, {"fields=a..b", ""},
		{"$where=1", ""}, {"$or=1", ""}, {"a.$gt=1", ""}, {"a[b]=1", ""}, {"a[]=1", ""}, {"filter[a][near]=1", ""}, {"filter[a", ""}, {"filter[]=1", ""}, {"filter[a][gt][x]=1", ""}, {"filter[$a]=1", ""}, {"=1", ""}, {".a=1", ""}, {"a.=1", ""},
		{"populate=nothing", ""}, {"expand=nothing.x", ""}, {"name=" + strings.Repeat("a", 1025), value("name", "at most 1024 bytes")}, {"n_in=" + strings.Repeat("1,", 101), ""}, {strings.Repeat("n_gt=1&", 33), ""},
		{"cursor=x", ""},
	} {
		a := n.send("GET", "/api/data/things?"+c[0], "", n.as(n.pk, "")...)
		checkEnvelope(t, a)
		if a.status != 400 || !strings.HasPrefix(a.field("reason"), "query.") || c[1] != "" && a.field("error") != c[1] {
			t.Errorf("?%.80s: %d %s, want %q", c[0], a.status, a.body, c[1])
		}
	}
	// Errors of a filter are the same when it is counted; those of a page are none.
	n.send("GET", "/api/data/things?count=true&n=x", "", n.as(n.pk, "")...).want(t, 400)
	n.send("GET", "/api/data/things?explain=true", "", n.as(n.pk, "")...).want(t, 403)
}

// TestProjection: which members a document and a list show.
func TestProjection(t *testing.T) {
	n := startShop(t)
	const meta = `,"createdAt":T,"updatedAt":T`
	for _, c := range [][2]string{
		{"fields=name", `{"_id":"` + thingA + `","name":"Apple"}`},
		{"fields=name,n&meta=true", `{"_id":"` + thingA + `","name":"Apple","n":1}`},
		{"fields=name,createdAt", `{"_id":"` + thingA + `","name":"Apple","createdAt":T}`},
		{"fields=name,createdAt&meta=false", `{"_id":"` + thingA + `","name":"Apple"}`},
		{"fields=name,-_id", `{"name":"Apple"}`},
		{"fields=_id", `{"_id":"` + thingA + `"}`},
		{"fields=meta.likes,rows.no", `{"_id":"` + thingA + `","meta":{"likes":3},"rows":[{"no":1},{"no":2}]}`},
		{"fields=meta,meta.likes", `{"_id":"` + thingA + `","meta":{"likes":3,"deep":{"at":"2026-01-05T00:00:00.000Z"}}}`},
		{"fields=name.x,any.y", `{"_id":"` + thingA + `","any":[]}`},
		{"fields=nothing", `{"_id":"` + thingA + `"}`},
		{"fields=-n,-ok,-at,-tags,-nums,-any,-free,-meta,-rows,-page,-size_in", `{"_id":"` + thingA + `","name":"Apple","loose":5` + meta + `}`},
		{"fields=-_id,-n,-ok,-at,-tags,-nums,-any,-free,-meta.deep,-rows.street,-page,-size_in,-loose&meta=false", `{"name":"Apple","meta":{"likes":3},"rows":[{"no":1},{"no":2}]}`},
		{"fields=-createdAt,-n,-ok,-at,-tags,-nums,-any,-free,-meta,-rows,-page,-size_in,-loose", `{"_id":"` + thingA + `","name":"Apple","updatedAt":T}`},
	} {
		one := n.send("GET", "/api/data/things/"+thingA+"?"+c[0], "", n.as(n.pk, "")...).want(t, 200)
		list := n.send("GET", "/api/data/things?n=1&"+c[0], "", n.as(n.pk, "")...).want(t, 200)
		want := withoutTimes(c[1])
		for _, at := range []string{one.body, list.body[strings.Index(list.body, "[{")+1 : strings.Index(list.body, `],"total"`)]} {
			if got := withoutTimes(at); got != want {
				t.Errorf("?%s shows %s, want %s", c[0], got, want)
			}
		}
	}
	for _, path := range []string{"/api/data/things/" + thingA, "/api/data/things"} {
		for _, q := range []string{"fields=name,-n", "fields=-n,name,-_id", "meta=1", "fields=name&fields=n", "populate=nothing"} {
			if a := n.send("GET", path+"?"+q, "", n.as(n.pk, "")...); a.status != 400 {
				t.Errorf("%s?%s: %d %s", path, q, a.status, a.body)
			}
		}
	}
}

// withoutTimes puts T for the times that the node wrote.
func withoutTimes(body string) string {
	for _, name := range []string{"createdAt", "updatedAt"} {
		if before, rest, ok := strings.Cut(body, `"`+name+`":"`); ok {
			_, after, _ := strings.Cut(rest, `"`)
			body = before + `"` + name + `":T` + after
		}
	}
	return body
}
