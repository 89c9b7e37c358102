package runtime

import (
	"bytes"
	"context"
	"encoding/base64"
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

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// Two projects with the same rules. The full one holds documents of many owners, its twin only what is left when those
// of other owners are taken out of the private collections. Nothing that one user reads may tell which of the two it is
// talking to: not a document, not a count, a cursor, an error text or a header.
//
// Both are written straight into their files, with the same ids and times and in the same number of commits, so that
// revisions, and with them ETags, are the same too. What has to be masked:
//
//   - x-request-id and Date: a number of the request and the second of the answer, not of anything stored.
//   - weak ETags: they are made from the bytes of the answer, which are compared themselves, MACs included.
//   - the first 16 bytes of a cursor: its MAC, under a key that each project draws by chance. The bytes behind it, which
//     are the position, and the length must be the same.
//
// A live project's revisions count all of its commits, so an ETag tells how much was written between two of one's own
// writes, though not what. That is the price of one commit sequence, and outside of this test.
const twinProject = `
name: %s
auth: {enabled: true}
collections:
  - name: users
    fields: [{key: email, type: String, required: true}, {key: password, type: String, required: true}, {key: nick, type: String}]
  - name: notes
    fields:
      - {key: text, type: String}
      - {key: n, type: Number, index: true}
      - {key: flag, type: Boolean}
      - {key: due, type: Date}
      - {key: tags, type: Array, items: {type: String}}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}]}
      - {key: slug, type: String, unique: true}
      - {key: note, type: Ref, ref: notes}
      - {key: card, type: Ref, ref: cards}
      - {key: by, type: Ref, ref: users}
      - {key: many, type: Array, items: {type: Ref, ref: cards}}
      - {key: userId, type: String}
    rls: {enabled: true, mode: private}
  - name: cards
    fields:
      - {key: text, type: String}
      - {key: n, type: Number}
      - {key: flag, type: Boolean}
      - {key: due, type: Date}
      - {key: tags, type: Array, items: {type: String}}
      - {key: meta, type: Object, fields: [{key: likes, type: Number}]}
      - {key: slug, type: String}
      - {key: note, type: Ref, ref: notes}
      - {key: card, type: Ref, ref: cards}
      - {key: by, type: Ref, ref: users}
      - {key: many, type: Array, items: {type: Ref, ref: cards}}
    rls: {enabled: true, mode: private, ownerField: author}
`

var twinOwners = map[string]string{"notes": "userId", "cards": "author"}

// Ids of the users. Their tokens are issued by the test, and they never log in.
const (
	twinAlice = "64e000000000000000000001"
	twinBob   = "64e000000000000000000002"
)

// twins is the pair, and what queries are made of.
type twins struct {
	*testNode
	rng        *rand.Rand
	full, twin *tenant
	token      [2]string
	own        map[string][]string // collection → ids of alice's documents
	foreign    map[string][]string
	requests   int
	shown      int // documents in answers: a test in which nothing is found tests nothing
	paged      int
	refused    int
}

// hideByFilter leaves what is private to filters instead: the same documents must then be as unnoticeable.
func (w *twins) hideByFilter() {
	own := func(field string) []byte { return filterGuest(`{"where":{"` + field + `":"` + twinAlice + `"}}`) }
	manifest := hooks.Manifest{
		Modules:  []hooks.Module{{Name: "notes", File: "notes.wasm"}, {Name: "cards", File: "cards.wasm"}},
		Bindings: []hooks.Binding{{Module: "notes", Event: hooks.EventFilter, Collections: []string{"notes"}}, {Module: "cards", Event: hooks.EventFilter, Collections: []string{"cards"}}},
	}
	for _, p := range []*tenant{w.full, w.twin} {
		if _, err := w.server.registry.Deploy(context.Background(), p.Project, manifest, map[string][]byte{"notes.wasm": own("userId"), "cards.wasm": own("author")}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// newTwins fills both projects. odd says whether foreign documents have owner fields that are nobody's id, one of which
// might be taken for alice's.
func newTwins(t *testing.T, seed uint64, odd, custom bool) *twins {
	n := newTestNode(t)
	file := twinProject
	if custom {
		file = strings.NewReplacer("mode: private, ownerField", "mode: custom, ownerField", "mode: private}", "mode: custom, ownerField: userId}").Replace(file)
	}
	w := &twins{testNode: n, rng: rand.New(rand.NewPCG(seed, 1)), full: n.apply(fmt.Sprintf(file, "full")), twin: n.apply(fmt.Sprintf(file, "twin")),
		own: map[string][]string{}, foreign: map[string][]string{}}
	if custom {
		w.hideByFilter()
	}
	for i, p := range []*tenant{w.full, w.twin} {
		token, err := p.State().Tokens.Issue(auth.Claims{UserID: twinAlice}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.token[i] = "Bearer " + token.Reveal()
		p.put(stock{"users", twinAlice, `{"_id":"` + twinAlice + `","email":"alice@example.com","password":"x","nick":"alice"}`},
			stock{"users", twinBob, `{"_id":"` + twinBob + `","email":"bob@example.com","password":"x","nick":"bob"}`})
	}
	const mine, theirs = 60, 240
	for _, collection := range []string{"notes", "cards"} {
		for i := range mine + theirs { // all ids first: documents refer to one another
			id := fmt.Sprintf("64f%d%018d%02d", len(w.own)+len(collection), w.rng.Uint64N(1e17), i%100)[:24]
			if i%5 == 0 {
				w.own[collection] = append(w.own[collection], id)
			} else {
				w.foreign[collection] = append(w.foreign[collection], id)
			}
		}
	}
	for _, collection := range []string{"notes", "cards"} {
		field := twinOwners[collection]
		for i, id := range w.own[collection] {
			doc := stock{collection, id, w.document(id, field, `"`+twinAlice+`"`, "mine", i)}
			batch := []stock{doc}
			for k, other := range w.foreign[collection][i*4 : i*4+4] {
				batch = append(batch, stock{collection, other, w.document(other, field, w.foreignOwner(odd, k), "canary", i*4+k)})
			}
			w.rng.Shuffle(len(batch), func(a, b int) { batch[a], batch[b] = batch[b], batch[a] })
			w.full.put(batch...)
			w.twin.put(doc)
		}
	}
	return w
}

// foreignOwner is the owner field of a document that is not alice's.
func (w *twins) foreignOwner(odd bool, k int) string {
	if !odd || k == 0 {
		return `"` + twinBob + `"`
	}
	list := []string{"", "null", `""`, "0", "true", "{}", "[]", `"` + twinAlice[:23] + `"`, `"` + twinAlice + ` "`, `" ` + twinAlice + `"`, `"` + strings.ToUpper(twinAlice) + `"`, `"` + twinAlice + "\ufeff" + `"`,
		`{"_id":"` + twinAlice + `"}`, `{"` + twinAlice + `":1}`, `["` + twinAlice + `"]`, `["` + twinBob + `","` + twinAlice + `"]`, `[["` + twinAlice + `"]]`, `[{"_id":"` + twinAlice + `"}]`}
	return list[w.rng.IntN(len(list))]
}

// document makes a document of mixed types: what a field is declared as does not bind what was stored before.
func (w *twins) document(id, ownerField, owner, word string, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"_id":"%s","text":"%s %d %s"`, id, word, i, w.pick(words))
	member := func(chance int, key, value string) {
		if w.rng.IntN(10) < chance {
			fmt.Fprintf(&b, `,"%s":%s`, key, value)
		}
	}
	member(8, "n", w.pick([]string{"0", "1", "1.0", "2", "-3", "1e3", "9007199254740993", "null", strconv.Itoa(i)}))
	member(6, "flag", w.pick([]string{"true", "false", "null"}))
	member(6, "due", w.pick([]string{`"2026-01-01T00:00:00.000Z"`, `"2026-02-01T00:00:00.000Z"`, "null"}))
	member(6, "tags", w.pick([]string{`[]`, `["a"]`, `["a","b"]`, `["` + word + `"]`}))
	member(6, "meta", fmt.Sprintf(`{"likes":%d}`, w.rng.IntN(4)))
	member(7, "slug", fmt.Sprintf(`"%s-%d"`, word, i))
	member(5, "note", `"`+w.anyID("notes")+`"`)
	member(5, "card", `"`+w.anyID("cards")+`"`)
	member(5, "by", `"`+w.pick([]string{twinAlice, twinBob, missingID})+`"`)
	member(5, "many", `["`+w.anyID("cards")+`","`+w.anyID("cards")+`"]`)
	member(5, "x", w.pick([]string{"1", `"1"`, "true", "null", `"` + word + `"`, `{"y":1}`, `[1,"1"]`}))
	if owner != "" {
		fmt.Fprintf(&b, `,"%s":%s`, ownerField, owner)
	}
	fmt.Fprintf(&b, `,"createdAt":"2026-01-%02dT00:00:00.000Z","updatedAt":"2026-03-%02dT00:00:00.000Z"}`, 1+w.rng.IntN(28), 1+w.rng.IntN(28))
	return b.String()
}

const missingID = "64ffffffffffffffffffffff"

var words = []string{"red", "green", "blue", "Red", "grün", "", "mine", "canary"}

func (w *twins) pick(list []string) string { return list[w.rng.IntN(len(list))] }

// anyID is the id of a document of alice's, of somebody else's or of none.
func (w *twins) anyID(collection string) string {
	switch w.rng.IntN(5) {
	case 0:
		return missingID
	case 1, 2:
		return w.pick(w.own[collection])
	}
	return w.pick(w.foreign[collection])
}

var twinPaths = []string{"text", "n", "flag", "due", "tags", "meta.likes", "meta", "slug", "note", "card", "by", "many", "x", "x.y", "userId", "author", "_id", "createdAt", "updatedAt", "nothing", "tags.0", "many.0"}

// value is the value of a filter, as likely as not one that only foreign documents hold.
func (w *twins) value(collection, path string) string {
	switch path {
	case "userId", "author":
		return w.pick([]string{twinAlice, twinBob, "", "null", "0", strings.ToUpper(twinAlice), "true"})
	case "_id":
		return w.anyID(collection)
	case "note", "card", "many", "many.0":
		return w.anyID(map[string]string{"note": "notes"}[path] + map[string]string{"card": "cards", "many": "cards", "many.0": "cards"}[path])
	case "by":
		return w.pick([]string{twinAlice, twinBob})
	case "slug":
		return w.pick([]string{"mine-", "canary-"}) + strconv.Itoa(w.rng.IntN(60))
	case "due", "createdAt", "updatedAt":
		return w.pick([]string{"2026-01-01", "2026-02-01T00:00:00.000Z", "2026-03-15", "2026-01-14", "now"})
	case "flag":
		return w.pick([]string{"true", "false", "yes", "no", "true", "false", "maybe"})
	case "text":
		return w.pick([]string{"mine 3 red", "canary 7 blue", "", "mine", "zzz"})
	}
	if path == "n" || path == "meta.likes" {
		return w.pick([]string{"0", "1", "2", "-3", "1000", "9007199254740993", "50", "few"})
	}
	return w.pick([]string{"0", "1", "2", "a", "b", "canary", "mine", "true", "null", "many words"})
}

var patterns = []string{"canary", "mine", "^c", "^m", "red$", ".", "", "(a|b)+", "[0-9]{2}", "canary (1|2)|mine 3", "MINE", ` \d+ `, "^.{10,}$", "(", "a{1001}", strings.Repeat("x", 129)}

// query makes a random query string.
func (w *twins) query(collection string) string {
	var q []string
	add := func(key, value string) { q = append(q, key+"="+url.QueryEscape(value)) }
	for range w.rng.IntN(4) {
		path := w.pick(twinPaths)
		op := w.pick([]string{"", "", "gt", "gte", "lt", "lte", "ne", "in", "exists", "regex"})
		value := w.value(collection, path)
		switch op {
		case "in":
			value += "," + w.value(collection, path) + "," + w.value(collection, path)
		case "exists":
			value = w.pick([]string{"true", "false", "true", "false", "true", "false", "1"})
		case "regex":
			value = w.pick(patterns)
		}
		switch {
		case op == "" && w.rng.IntN(4) == 0:
			add("filter["+path+"]", value)
		case op == "":
			add(path, value)
		case w.rng.IntN(3) == 0:
			add("filter["+path+"]["+op+"]", value)
		default:
			add(path+"_"+op, value)
		}
	}
	if w.rng.IntN(2) == 0 {
		var keys []string
		for range 1 + w.rng.IntN(3) {
			keys = append(keys, w.pick([]string{"", "-"})+w.pick(twinPaths)+w.pick([]string{"", "", ":asc", ":desc", ":1", ":-1"}))
		}
		add("sort", strings.Join(keys, ","))
	}
	if w.rng.IntN(2) == 0 {
		add("limit", w.pick([]string{"1", "2", "3", "4", "5", "7", "10", "20", "50", "100", "1000", "0"}))
	}
	if w.rng.IntN(5) == 0 {
		add("page", w.pick([]string{"1", "1", "2", "2", "3", "9", "1000", "99999999"}))
	}
	if w.rng.IntN(6) == 0 {
		add("count", w.pick([]string{"true", "true", "true", "false", "1"}))
	}
	if w.rng.IntN(20) == 0 {
		add(w.pick([]string{"$where", "n_near", "filter[n][near]", "filter[", "cursor", "..", "n[]"}), "1")
	}
	return strings.Join(append(q, w.shape()), "&")
}

// shape is the part of a query that says how documents are shown.
func (w *twins) shape() string {
	var q []string
	if w.rng.IntN(4) == 0 {
		q = append(q, "fields="+url.QueryEscape(w.pick([]string{"text", "text,n", "-text", "-_id", "meta.likes", "userId,author", "note", "-many,-by", "-userId,-author", "nothing", "text,-n", "$x"})))
	}
	if w.rng.IntN(6) == 0 {
		q = append(q, "meta="+w.pick([]string{"true", "false", "true", "false", "maybe"}))
	}
	if w.rng.IntN(3) == 0 {
		q = append(q, w.pick([]string{"populate", "expand"})+"="+w.pick([]string{"note", "card", "by", "many", "note,card", "card,many,by", "text", "many,note", "by,note", "nothing"}))
	}
	return strings.Join(q, "&")
}

// ask puts one request to both and holds the answers against each other. Each is given its own cursor, "" for none. It
// returns the next cursors.
func (w *twins) ask(method, path string, cursor [2]string, headers ...string) (next [2]string, same bool) {
	var answers [2][]byte
	for i, p := range []*tenant{w.full, w.twin} {
		at := path
		if cursor[i] != "" {
			at += "&cursor=" + cursor[i]
		}
		status, body := w.do(method, at, "", append([]string{"x-api-key", p.pk, "Authorization", w.token[i]}, headers...)...)
		w.requests++
		if i == 0 {
			w.shown += bytes.Count(body, []byte(`"text":"mine`))
		}
		if bytes.Contains(body, []byte("canary ")) {
			w.t.Errorf("%s %s shows a foreign document: %s", method, path, around(body[bytes.Index(body, []byte("canary ")):], nil))
		}
		if status >= 400 {
			w.refused++
		}
		if status >= 500 {
			w.t.Errorf("%s %s: %d %s", method, path, status, body)
		}
		raw, _ := jsondoc.Lookup(body, "data.nextCursor")
		next[i] = string(jsondoc.Unquote(nil, raw))
		answer := append(dateAndNumber.ReplaceAll(w.ctx.Response.Header.Header(), nil), body...)
		for _, c := range []string{next[i], cursor[i]} {
			if c != "" {
				answer = bytes.ReplaceAll(answer, []byte(c), []byte(maskedCursor(c)))
			}
		}
		answers[i] = answer
	}
	if !bytes.Equal(answers[0], answers[1]) {
		w.t.Errorf("%s %s (with a cursor: %v)\nfull: %s\ntwin: %s", method, path, cursor[0] != "", around(answers[0], answers[1]), around(answers[1], answers[0]))
		return next, false
	}
	return next, true
}

var dateAndNumber = regexp.MustCompile(`(?m)^(X-Request-Id: |Date: |E[tT]ag: W/).*\r\n`)

// around is the part of an answer where it begins to differ from the other.
func around(a, b []byte) []byte {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return a[max(0, i-200):min(len(a), i+300)]
}

// maskedCursor is a cursor without its MAC.
func maskedCursor(c string) string {
	raw, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil || len(raw) < cursorMAC {
		return c
	}
	return fmt.Sprintf("cursor of %d bytes at %x", len(raw), raw[cursorMAC:])
}

// TestNonInterference asks both twins thousands of random questions. SLUICE_SEED repeats a run.
func TestNonInterference(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SLUICE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name        string
		odd, custom bool
	}{
		{"documents of another user cannot be noticed", false, false},
		{"documents whose owner is nobody's id cannot be noticed", true, false},
		{"documents that a filter hides cannot be noticed", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("SLUICE_SEED=%d", seed)
			w := newTwins(t, seed, c.odd, c.custom)
			began := time.Now()
			const questions, tolerated = 4000, 5
			for asked, wrong := 0, 0; asked < questions && wrong < tolerated; asked++ {
				if !w.question() {
					wrong++
				}
			}
			t.Logf("%d requests in %s, %d of them refused; %d documents shown, %d further pages", w.requests, time.Since(began).Round(time.Millisecond), w.refused, w.shown, w.paged)
			if !t.Failed() && (w.shown < 10_000 || w.paged < 200 || w.refused > w.requests*3/4) {
				t.Error("too little was shown to have tested anything")
			}
		})
	}
}

// question asks one thing of both: a list and the pages behind it, or one document.
func (w *twins) question() bool {
	collection := w.pick([]string{"notes", "cards"})
	base := "/api/data/" + collection
	method := "GET"
	if w.rng.IntN(20) == 0 {
		method = "HEAD"
	}
	if w.rng.IntN(3) == 0 {
		id := w.pick([]string{w.anyID("notes"), w.anyID("cards"), "xyz", missingID, strings.ToUpper(missingID)})
		var headers []string
		if w.rng.IntN(6) == 0 {
			headers = []string{"If-None-Match", w.pick([]string{"*", `"5"`, `W/"20"`})}
		}
		_, same := w.ask(method, base+"/"+id+"?"+w.shape(), [2]string{}, headers...)
		return same
	}
	path := base + "?" + w.query(collection)
	next, same := w.ask(method, path, [2]string{})
	for pages := 0; same && pages < 3 && !slices.Contains(next[:], ""); pages++ {
		w.paged++
		next, same = w.ask("GET", path, next)
	}
	return same
}

// TestNonInterferenceOfSize: that others own more than one query may look at must not show either. It would also mean
// that an app stops working for everybody once it has enough users.
func TestNonInterferenceOfSize(t *testing.T) {
	n := newTestNode(t)
	p := n.apply(fmt.Sprintf(twinProject, "large"))
	token, err := p.State().Tokens.Issue(auth.Claims{UserID: twinAlice}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.put(stock{"notes", twinAlice, `{"_id":"` + twinAlice + `","text":"mine","userId":"` + twinAlice + `"}`})
	ask := func(query string) string {
		status, body := n.do("GET", "/api/data/notes"+query, "", "x-api-key", p.pk, "Authorization", "Bearer "+token.Reveal())
		return fmt.Sprint(status, " ", string(body))
	}
	questions := []string{"", "?limit=1", "?count=true", "?sort=text", "?n=1", "?text_regex=m", "?userId=" + twinBob, "/" + twinAlice, "/" + missingID}
	var before []string
	for _, q := range questions {
		before = append(before, ask(q))
	}
	for from := 0; from <= kv.DefaultBudget; from += kv.MaxBatchOps {
		list := make([]stock, 0, kv.MaxBatchOps)
		for i := range kv.MaxBatchOps {
			id := fmt.Sprintf("64b0000000000000%08x", from+i)
			list = append(list, stock{"notes", id, `{"_id":"` + id + `","userId":"` + twinBob + `"}`})
		}
		p.put(list...)
	}
	for i, q := range questions {
		now := maskedAnswer(ask(q))
		if was := maskedAnswer(before[i]); was != now {
			t.Errorf("%s\nalone:    %s\ntogether: %s", q, was, now)
		}
	}
}

// maskedAnswer is an answer without the MAC of its cursor.
func maskedAnswer(a string) string {
	_, c, ok := strings.Cut(a, `"nextCursor":"`)
	if !ok {
		return a
	}
	c, _, _ = strings.Cut(c, `"`)
	return strings.ReplaceAll(a, c, maskedCursor(c))
}
