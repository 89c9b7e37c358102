package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// teams is a project whose guests judge reads, read documents, and have a say in accounts. What they do is in testdata/guest.
const teams = `
name: guarded
auth: {enabled: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true}
      - {key: password, type: String, required: true}
      - {key: name, type: String}
      - {key: plan, type: String}
      - {key: role, type: String}
      - {key: emailVerified, type: Boolean}
  - name: members
    fields: [{key: teamId, type: String}, {key: userId, type: String, index: true}]
  - name: pairs
    fields: []
  - name: teamposts
    rls: {enabled: true, mode: custom}
    fields: [{key: teamId, type: String}, {key: text, type: String}, {key: by, type: String}, {key: membership, type: String}, {key: n, type: Number}]
  - name: mail
    rls: {enabled: true, mode: custom, ownerField: userId}
    fields: [{key: userId, type: String}, {key: shared, type: Boolean}, {key: n, type: Number}]
  - name: vault
    rls: {enabled: true, mode: custom, ownerField: userId}
    fields: [{key: userId, type: String}, {key: shared, type: Boolean}, {key: broken, type: Boolean}, {key: text, type: String}, {key: a, type: Number}, {key: n, type: Number, index: true}]
  - name: both
    rls: {enabled: true, mode: private}
    fields: [{key: userId, type: String}, {key: shared, type: Boolean}, {key: n, type: Number}]
  - name: staff
    rls: {enabled: true, mode: custom}
    fields: [{key: text, type: String}]
  - name: links
    fields: [{key: mail, type: Ref, ref: mail}, {key: vault, type: Ref, ref: vault}, {key: both, type: Ref, ref: both}]
`

var teamsManifest = hooks.Manifest{
	Modules: []hooks.Module{{Name: "guest", File: "guest.wasm"}},
	Bindings: []hooks.Binding{
		{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"insert", "update", "delete", "read"}, Collections: []string{"teamposts"}},
		{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"insert", "read"}, Collections: []string{"staff"}},
		{Module: "guest", Event: hooks.EventPolicy, Operations: []string{"read", "update"}, Collections: []string{"vault"}},
		{Module: "guest", Event: hooks.EventFilter, Collections: []string{"mail", "both"}},
		{Module: "guest", Event: hooks.EventBeforeSignup},
		{Module: "guest", Event: hooks.EventClaims},
	},
	Grants: hooks.Grants{Read: []string{"members", "users"}},
}

func startTeams(t *testing.T) *node {
	t.Helper()
	code, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, teams)
	p, err := n.server.Registry().Find("guarded")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.server.Registry().Deploy(context.Background(), p, teamsManifest, map[string][]byte{"guest.wasm": code}); err != nil {
		t.Fatal(err)
	}
	return n
}

// put stores a document by the secret key and returns its id.
func (n *node) put(collection, doc string) string {
	n.t.Helper()
	return n.send("POST", "/api/data/"+collection, doc, n.as(n.sk, "")...).want(n.t, 201).field("_id")
}

// numbers are the members n of a list's documents.
func (a *answer) numbers() string {
	var page struct {
		Data struct {
			Items []struct{ N json.Number }
		}
	}
	_ = json.Unmarshal([]byte(a.body), &page)
	var list []string
	for _, doc := range page.Data.Items {
		list = append(list, doc.N.String())
	}
	return strings.Join(list, " ")
}

// TestReadsByGuests: filters and read policies decide what is found, shown, counted and populated, and what is hidden leaves no trace.
func TestReadsByGuests(t *testing.T) {
	n := startTeams(t)
	alice, aliceID := n.user("alice@example.com")
	bob, bobID := n.user("bob@example.com")
	ids := map[string]string{}
	for i := range 40 { // alice's are those that 4 divides, 0 and 20 are for all
		owner := bobID
		if i%4 == 0 {
			owner = aliceID
		}
		for _, collection := range []string{"mail", "vault", "both"} {
			ids[fmt.Sprint(collection, i)] = n.put(collection, fmt.Sprintf(`{"userId":%q,"shared":%t,"n":%d}`, owner, i%20 == 0, i))
		}
	}
	for _, c := range []struct {
		name, path, token string
		status            int
		want              string // numbers of a list, else the field named before the colon
	}{
		{"a filter joins the list", "/api/data/mail?sort=n", alice, 200, "0 4 8 12 16 20 24 28 32 36"},
		{"and another's", "/api/data/mail?sort=n&limit=3", bob, 200, "0 1 2"},
		{"its total tells nothing", "/api/data/mail?limit=1", alice, 200, "data.total:10"},
		{"its count neither", "/api/data/mail?count=true", alice, 200, "data.count:10"},
		{"it joins what is asked for", "/api/data/mail?count=true&n_gte=30", alice, 200, "data.count:2"},
		{"a filter's no is a refusal", "/api/data/mail", "", 403, "reason:policy.log.in"},
		{"of a count, too", "/api/data/mail?count=true", "", 403, "reason:policy.log.in"},
		{"one that may be found", "/api/data/mail/" + ids["mail4"], alice, 200, "n:4"},
		{"one that may not", "/api/data/mail/" + ids["mail5"], alice, 404, "reason:document.not_found"},
		{"one where the filter says no", "/api/data/mail/" + ids["mail0"], "", 404, "reason:document.not_found"},
		{"a read policy sifts the list", "/api/data/vault?sort=n", alice, 200, "0 4 8 12 16 20 24 28 32 36"},
		{"pages are full", "/api/data/vault?sort=n&limit=3", alice, 200, "0 4 8"},
		{"and so are further ones", "/api/data/vault?sort=n&limit=3&page=2", alice, 200, "12 16 20"},
		{"the last one is what is left", "/api/data/vault?sort=n&limit=4&page=3", alice, 200, "32 36"},
		{"the total is known when all was seen", "/api/data/vault?sort=n", alice, 200, "data.total:10"},
		{"and unknown when not", "/api/data/vault?sort=n&limit=3", alice, 200, "data.total:null"},
		{"newest first", "/api/data/vault?limit=2", alice, 200, "36 32"},
		{"the count is of what may be seen", "/api/data/vault?count=true", alice, 200, "data.count:10"},
		{"with conditions", "/api/data/vault?count=true&n_lt=9", alice, 200, "data.count:3"},
		{"nobody sees what is for all", "/api/data/vault?sort=n", "", 200, "0 20"},
		{"one", "/api/data/vault/" + ids["vault4"], alice, 200, "n:4"},
		{"not another's", "/api/data/vault/" + ids["vault5"], alice, 404, "reason:document.not_found"},
		{"a rule and a filter must agree", "/api/data/both?sort=n", bob, 200, strings.TrimSpace(strings.ReplaceAll(" 1 2 3 5 6 7 9 10 11 13 14 15 17 18 19 21 22 23 25 26 27 29 30 31 33 34 35 37 38 39", "  ", " "))},
		{"one that is for all but another's", "/api/data/both/" + ids["both20"], bob, 404, "reason:document.not_found"},
		{"the secret key sees everything", "/api/data/vault?limit=1", "sk", 200, "data.total:40"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := n.as(n.pk, c.token)
			if c.token == "sk" {
				who = n.as(n.sk, "")
			}
			a := n.send("GET", c.path, "", who...).want(t, c.status)
			if field, want, named := strings.Cut(c.want, ":"); named && a.field(field) != want || !named && a.numbers() != c.want {
				t.Errorf("want %s: %s", c.want, a.body)
			}
		})
	}
	t.Run("aggregations are of what a filter lets be found, and refused where a policy would have to see each document", func(t *testing.T) {
		const pipeline = `{"pipeline":[{"$count":"n"}]}`
		if a := n.send("POST", "/api/data/mail/aggregate", pipeline, n.as(n.pk, alice)...).want(t, 200); a.field("data.0.n") != "10" {
			t.Errorf("%s", a.body)
		}
		if a := n.send("POST", "/api/data/vault/aggregate", pipeline, n.as(n.pk, alice)...).want(t, 403); a.field("reason") != "policy.not_countable" {
			t.Errorf("%s", a.body)
		}
		if a := n.send("POST", "/api/data/vault/aggregate", pipeline, n.as(n.sk, "")...).want(t, 200); a.field("data.0.n") != "40" {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("cursors walk what may be seen", func(t *testing.T) {
		for _, collection := range []string{"mail", "vault"} {
			for _, limit := range []int{1, 2, 3, 5, 9, 10, 11} {
				var seen []string
				path, pages := fmt.Sprintf("/api/data/%s?sort=n&limit=%d", collection, limit), 0
				for next := ""; ; pages++ {
					at := path
					if next != "" {
						at += "&cursor=" + next
					}
					a := n.send("GET", at, "", n.as(n.pk, alice)...).want(t, 200)
					seen = append(seen, strings.Fields(a.numbers())...)
					if next = a.field("data.nextCursor"); next == "null" {
						break
					}
					if got := len(strings.Fields(a.numbers())); got != limit {
						t.Errorf("%s: a page of %d with another behind it has %d", collection, limit, got)
					}
					if b := n.send("GET", path+"&cursor="+next, "", n.as(n.pk, bob)...); b.status != 400 {
						t.Errorf("%s: another's cursor: %d %s", collection, b.status, b.body)
					}
				}
				if got := strings.Join(seen, " "); got != "0 4 8 12 16 20 24 28 32 36" || pages != (10+limit-1)/limit-1 {
					t.Errorf("%s in pages of %d: %s, %d further pages", collection, limit, got, pages)
				}
			}
		}
	})
	t.Run("populate shows what could be read", func(t *testing.T) {
		link := func(i int) string {
			return n.put("links", fmt.Sprintf(`{"mail":%q,"vault":%q,"both":%q}`, ids[fmt.Sprint("mail", i)], ids[fmt.Sprint("vault", i)], ids[fmt.Sprint("both", i)]))
		}
		missing := strings.Repeat("0", 24)
		mine, bobs := link(4), link(5)
		lost := n.put("links", fmt.Sprintf(`{"mail":%q,"vault":%q,"both":%q}`, missing, missing, missing))
		for _, c := range []struct{ id, mail, vault, both string }{
			{mine, `"n":4`, `"n":4`, `"n":4`},
			{bobs, ids["mail5"], ids["vault5"], ids["both5"]},
			{lost, missing, missing, missing},
		} {
			for _, path := range []string{"/api/data/links/" + c.id + "?populate=mail,vault,both", "/api/data/links?_id=" + c.id + "&populate=mail,vault,both"} {
				a := n.send("GET", path, "", n.as(n.pk, alice)...).want(t, 200)
				at := ""
				if strings.Contains(path, "?_id") {
					at = "data.items.0."
				}
				for field, want := range map[string]string{"mail": c.mail, "vault": c.vault, "both": c.both} {
					if got := a.field(at + field); !strings.Contains(got, want) || strings.HasPrefix(want, `"`) != strings.HasPrefix(got, "{") {
						t.Errorf("%s: %s is %s, want %s", path, field, got, want)
					}
				}
			}
		}
	})
	t.Run("what may not be read cannot be probed by a write", func(t *testing.T) {
		missing := n.send("PATCH", "/api/data/vault/"+strings.Repeat("0", 24), `{"n":1}`, n.as(n.pk, alice)...).want(t, 404)
		for _, c := range []struct{ id, body, header string }{
			{ids["vault5"], `{"a":101}`, ""}, {ids["vault5"], `{"n":"no number"}`, ""}, {ids["vault5"], `{"n":1}`, `"0"`},
		} {
			a := n.send("PATCH", "/api/data/vault/"+c.id, c.body, append(n.as(n.pk, alice), "If-Match", c.header)...)
			if a.status != 404 || a.body != missing.body {
				t.Errorf("%+v: %d %s", c, a.status, a.body)
			}
		}
		if got := n.newest("guarded"); got["hides"] != "document.precondition_failed" {
			t.Errorf("the log does not say why: %v", got)
		}
	})
	t.Run("a policy that breaks shows nothing", func(t *testing.T) {
		broken := n.put("vault", fmt.Sprintf(`{"userId":%q,"broken":true,"n":99}`, aliceID))
		for _, path := range []string{"/api/data/vault", "/api/data/vault?count=true", "/api/data/vault/" + broken} {
			if a := n.send("GET", path, "", n.as(n.pk, alice)...).want(t, 403); a.field("reason") != "policy.error" || strings.Contains(a.body, `"n"`) {
				t.Errorf("%s: %s", path, a.body)
			}
		}
		if got := n.newest("guarded"); got["module"] != "guest" || got["cause"] == nil || got["budget"] == nil {
			t.Errorf("the log does not say why: %v", got)
		}
	})
	t.Run("explain tells what a filter joined and a policy sifted", func(t *testing.T) {
		a := n.send("GET", "/api/data/mail", "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", aliceID)...).want(t, 200)
		if got := a.checks("data."); !strings.Contains(got, "claims passed, ") || !strings.HasSuffix(got, "access passed, query passed, filter passed, scope passed, find passed") || !strings.Contains(a.body, `"filters":[{"any":[{"userId":`) {
			t.Errorf("%s\n%s", got, a.body)
		}
		a = n.send("GET", "/api/data/mail/"+ids["mail5"], "", append(n.as(n.sk, ""), "x-sluice-explain", "1", "x-sluice-explain-as", aliceID)...).want(t, 200)
		if a.field("data.status") != "404" || a.field("data.decidedBy.check") != "filter" {
			t.Errorf("%s", a.body)
		}
	})
}

// TestLargePagesAreJudged: a page that does not fit into an event is judged in parts.
func TestLargePagesAreJudged(t *testing.T) {
	n := startTeams(t)
	_, aliceID := n.user("alice@example.com")
	for i := range 12 {
		n.put("vault", fmt.Sprintf(`{"userId":%q,"shared":%t,"n":%d,"text":%q}`, aliceID, i%3 == 0, i, strings.Repeat("x", 60<<10)))
	}
	if a := n.send("GET", "/api/data/vault?sort=n", "", n.as(n.pk, "")...).want(t, 200); a.numbers() != "0 3 6 9" {
		t.Errorf("got %s", a.numbers())
	}
}

// TestGuestsReadDocuments: what a guest may look up for its verdict, and what not.
func TestGuestsReadDocuments(t *testing.T) {
	n := startTeams(t)
	alice, aliceID := n.user("alice@example.com")
	membership := n.put("members", fmt.Sprintf(`{"teamId":"a","userId":%q}`, aliceID))
	for _, c := range []struct {
		doc    string
		status int
		reason string
	}{
		{`{"teamId":"a"}`, 201, ""},
		{`{"teamId":"b"}`, 403, "policy.not.a_member"},
		{`{"teamId":"a","by":"find"}`, 201, ""},
		{`{"teamId":"b","by":"find"}`, 403, "policy.not.a_member"},
		{`{"by":"id","membership":"` + membership + `"}`, 201, ""},
		{`{"by":"id","membership":"` + strings.Repeat("0", 24) + `"}`, 403, "policy.not.a_member"},
		{`{"by":"id","membership":"no id"}`, 403, "policy.not.a_member"},
		{`{"by":"users"}`, 201, ""},
		{`{"by":"passwords"}`, 403, "policy.error"},
		{`{"by":"ungranted"}`, 403, "policy.error"},
	} {
		if a := n.send("POST", "/api/data/teamposts", c.doc, n.as(n.pk, alice)...); a.status != c.status || c.reason != "" && a.field("reason") != c.reason {
			t.Errorf("%s: %d %s", c.doc, a.status, a.body)
		}
	}
}

// TestMembershipRace: a guest looks up who is a member of a team, and the write that it allows is stored only if that is still so.
// Alice's membership comes and goes while she posts. Commits are numbered, so every post shows when it was stored: between a coming
// of the membership and its going.
func TestMembershipRace(t *testing.T) {
	for _, by := range []string{"count", "find", "id"} {
		t.Run(by, func(t *testing.T) { membershipRace(t, by) })
	}
}

func membershipRace(t *testing.T, by string) {
	const rounds = 150
	n := startTeams(t)
	alice, aliceID := n.user("alice@example.com")
	const membership = "64d000000000000000000001"
	join := fmt.Sprintf(`{"_id":%q,"teamId":"a","userId":%q}`, membership, aliceID)
	rev := func(a *answer) uint64 {
		v, err := strconv.ParseUint(strings.Trim(a.header.Get("ETag"), `"`), 16, 64)
		if err != nil {
			t.Errorf("no revision: %d %s", a.status, a.body)
		}
		return v
	}
	var done atomic.Bool
	var writers sync.WaitGroup
	var mu sync.Mutex
	var stored []uint64 // revisions of alice's posts
	refused := 0
	for range 3 {
		writers.Go(func() {
			for !done.Load() {
				a := n.send("POST", "/api/data/teamposts", fmt.Sprintf(`{"teamId":"a","by":%q,"membership":%q}`, by, membership), n.as(n.pk, alice)...)
				mu.Lock()
				switch {
				case a.status == 201:
					stored = append(stored, rev(a))
				case a.status == 403 && a.field("reason") == "policy.not.a_member":
					refused++
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
				mu.Unlock()
			}
		})
	}
	type stay struct{ from, to uint64 }
	var stays []stay
	p, err := n.server.Registry().Find("guarded")
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		a := n.send("POST", "/api/data/members", join, n.as(n.sk, "")...).want(t, 201)
		from := rev(a)
		n.send("DELETE", "/api/data/members/"+membership, "", n.as(n.sk, "")...).want(t, 200)
		stays = append(stays, stay{from, going(t, p, membership, from)})
	}
	done.Store(true)
	writers.Wait()
	wrong := 0
	for _, post := range stored {
		ok := false
		for _, s := range stays {
			if s.from < post && post < s.to {
				ok = true
			}
		}
		if !ok {
			wrong++
		}
	}
	t.Logf("%d posts stored, %d refused, %d stored without a membership", len(stored), refused, wrong)
	if wrong > 0 {
		t.Errorf("%d posts were stored by somebody whose membership had gone", wrong)
	}
	if len(stored) == 0 || refused == 0 {
		t.Error("only one side of the race was met, so nothing was tested")
	}
}

// TestSignupsByGuests: what a project's own code may do to a new account, and what never.
func TestSignupsByGuests(t *testing.T) {
	n := startTeams(t)
	for i, c := range []struct {
		name   string
		status int
		reason string
		plan   string
	}{
		{"free", 201, "", "free"},
		{"reject", 422, "signup.not.here", ""},
		{"trap beforeSignup", 422, "signup.error", ""},
		{"trap claims", 403, "claims.error", ""},
		{"blocked", 403, "claims.blocked", ""},
		{"admin", 422, "signup.error", ""},
		{"verified", 422, "signup.error", ""},
		{"other", 422, "signup.error", ""},
	} {
		email := fmt.Sprintf("user%d@example.com", i)
		a := n.send("POST", "/api/userAuth/signup", fmt.Sprintf(`{"email":%q,"password":"correct horse","name":%q}`, email, c.name), n.as(n.pk, "")...)
		if a.status != c.status || c.reason != "" && a.field("reason") != c.reason || c.plan != "" && (a.field("user.plan") != c.plan || strings.Contains(a.body, "undeclared")) {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		in := n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":%q,"password":"correct horse"}`, email), n.as(n.pk, "")...)
		if stored := in.status == 200; stored != (c.status == 201) {
			t.Errorf("%s: signed up with %d, then logged in with %d", c.name, a.status, in.status)
		}
	}
}

// TestClaims: what a project's own code puts into a token comes back to its policies, and is asked again at each issue.
func TestClaims(t *testing.T) {
	n := startTeams(t)
	account := func(name string) (token, refresh, id string) {
		a := n.send("POST", "/api/userAuth/signup", fmt.Sprintf(`{"email":"%s@example.com","password":"correct horse","name":%q}`, name, name), append(n.as(n.pk, ""), "x-refresh-token-mode", "header")...).want(t, 201)
		return a.field("accessToken"), a.field("refreshToken"), a.field("userId")
	}
	post := func(token string) *answer {
		return n.send("POST", "/api/data/staff", `{"text":"x"}`, n.as(n.pk, token)...)
	}
	staff, refresh, id := account("staff")
	guest, _, _ := account("guest")
	post(staff).want(t, 201)
	if a := post(guest).want(t, 403); a.field("reason") != "policy.staff.only" {
		t.Errorf("%s", a.body)
	}
	lines := n.operator("GET", "/admin/v1/projects/guarded/logs", "").want(t, 200)
	if lines.field("lines.0.text") != "somebody else: guest" || lines.field("lines.0.level") != "warn" || lines.field("lines.0.module") != "guest" || len(lines.field("lines.0.requestId")) != 24 {
		t.Errorf("the guest's line: %s", lines.body)
	}
	a := n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", refresh)...).want(t, 200)
	post(a.field("accessToken")).want(t, 201)
	refresh = a.field("refreshToken")

	p, err := n.server.Registry().Find("guarded")
	if err != nil {
		t.Fatal(err)
	}
	change(t, p, id, `"plan":"staff"`, `"plan":"guest"`)
	a = n.send("POST", "/api/userAuth/login", `{"email":"staff@example.com","password":"correct horse"}`, n.as(n.pk, "")...).want(t, 200)
	post(a.field("accessToken")).want(t, 403)
	change(t, p, id, `"name":"staff"`, `"name":"blocked"`)
	for _, a := range []*answer{
		n.send("POST", "/api/userAuth/login", `{"email":"staff@example.com","password":"correct horse"}`, n.as(n.pk, "")...),
		n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", refresh)...),
	} {
		if a.status != 403 || a.field("reason") != "claims.blocked" || a.field("message") != "This account is blocked." {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if got := n.newest("guarded"); got["module"] != "guest" || got["reason"] != "claims.blocked" || got["collection"] != "users" {
		t.Errorf("the log does not say why: %v", got)
	}
	change(t, p, id, `"name":"blocked"`, `"name":"staff"`)
	n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", refresh)...).want(t, 200) // the refused attempt did not spend it
}
