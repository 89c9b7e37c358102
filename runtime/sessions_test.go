package runtime_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/project"
)

// startAt starts a node whose clock the test holds.
func startAt(t testing.TB, file string) (*node, *clock) {
	t.Helper()
	c := newClock()
	return start(t, file, func(o *runtime.Options) { o.Now = c.now }), c
}

// with is the blog with more under auth.
func with(auth string) string {
	return strings.Replace(blog, "auth: {enabled: true}", "auth: {enabled: true, "+auth+"}", 1)
}

// me asks who a token is.
func (n *node) me(token string) *answer {
	n.t.Helper()
	return n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...)
}

// logOut ends the session of a refresh token.
func (n *node) logOut(refresh string) {
	n.t.Helper()
	n.send("POST", "/api/userAuth/logout", "", append(n.as(n.pk, ""), "x-refresh-token", refresh)...).want(n.t, 200)
}

// TestSessionList: users see where they are logged in, end one of these logins, or all, or all others, and never another user's.
func TestSessionList(t *testing.T) {
	n, clock := startAt(t, blog)
	n.user("ann@example.com")
	bob, _ := n.user("bob@example.com")
	clock.forward(time.Second)
	in := n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, append(n.as(n.pk, ""), "x-refresh-token-mode", "header", "User-Agent", "Phone\u202e/1.0")...).want(t, 200)
	phone, phoneRefresh := in.field("accessToken"), in.field("refreshToken")
	clock.forward(time.Second)
	_, laptopRefresh := n.logIn("ann@example.com", "correct horse")
	list := func(token string) *answer {
		return n.send("GET", "/api/userAuth/sessions", "", n.as(n.pk, token)...)
	}
	drop := func(path, token string) *answer {
		return n.send("DELETE", "/api/userAuth/sessions"+path, "", n.as(n.pk, token)...)
	}
	clock.forward(time.Minute)
	laptop := n.refresh(laptopRefresh).want(t, 200).field("accessToken")

	a := list(laptop).want(t, 200)
	var got struct {
		Sessions []struct {
			ID, Created, LastUsed, Expires, UserAgent, IP string
			Current                                       bool
		}
		Data json.RawMessage
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Sessions) != 3 || len(got.Data) == 0 {
		t.Fatalf("listed %s, %v", a.body, err)
	}
	if s := got.Sessions[0]; !s.Current || s.Created != "2026-11-28T09:00:02.000Z" || s.LastUsed != "2026-11-28T09:01:02.000Z" || s.Expires != "2026-12-05T09:01:02.000Z" || s.IP != "127.0.0.1" {
		t.Errorf("the present session is %+v", s)
	}
	if s := got.Sessions[1]; s.Current || s.UserAgent != "Phone/1.0" {
		t.Errorf("the other session is %+v", s)
	}
	for _, secret := range []string{"hash", "seed", strings.Split(phoneRefresh, ".")[0]} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the list shows %q: %s", secret, a.body)
		}
	}

	t.Run("the contract's refusals", func(t *testing.T) {
		for name, c := range map[string]struct {
			a      *answer
			status int
			text   string
		}{
			"list without a token":       {list(""), 401, "Access Denied: No Token Provided"},
			"list with a bad token":      {list("x.y.z"), 401, "Invalid or Expired Token"},
			"end one without a token":    {drop("/"+got.Sessions[1].ID, ""), 401, "Access Denied: No Token Provided"},
			"end all without a token":    {drop("", ""), 401, "Access Denied: No Token Provided"},
			"an id that is none":         {drop("/nonsense", laptop), 404, "Session not found"},
			"an unknown id":              {drop("/000000000000000000000001", laptop), 404, "Session not found"},
			"SEC-57: somebody else's id": {drop("/"+got.Sessions[1].ID, bob), 404, "Session not found"},
		} {
			if c.a.status != c.status || c.a.field("error") != c.text {
				t.Errorf("%s: %d %s", name, c.a.status, c.a.body)
			}
		}
	})
	t.Run("one", func(t *testing.T) {
		drop("/"+got.Sessions[1].ID, laptop).want(t, 200)
		n.refresh(phoneRefresh).want(t, 403)
		n.me(phone).want(t, 200) // its last access token runs out by itself
		n.send("DELETE", "/api/userAuth/sessions", "", n.as(n.pk, phone)...).want(t, 401)
		drop("/"+got.Sessions[1].ID, laptop).want(t, 404)
		if a := list(laptop); strings.Contains(a.body, got.Sessions[1].ID) {
			t.Errorf("still listed: %s", a.body)
		}
	})
	t.Run("all others", func(t *testing.T) {
		tablet, tabletRefresh := n.logIn("ann@example.com", "correct horse")
		if a := drop("?keepCurrent=true", laptop).want(t, 200); a.field("ended") != "2" {
			t.Errorf("answered %s", a.body)
		}
		n.me(tablet).want(t, 401)
		n.refresh(tabletRefresh).want(t, 403)
		n.me(laptop).want(t, 200)
		n.me(bob).want(t, 200)
	})
	t.Run("all", func(t *testing.T) {
		drop("", laptop).want(t, 200)
		n.me(laptop).want(t, 401)
		n.logIn("ann@example.com", "correct horse")
	})
}

// TestStrictSessions: the end of a session ends its access token at once where the project wants that, and one that a thief has used
// everywhere.
func TestStrictSessions(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprint(strict), func(t *testing.T) {
			n, clock := startAt(t, with(fmt.Sprintf("strictSessions: %v", strict)))
			n.user("ann@example.com")
			want := map[bool]int{false: 200, true: 401}[strict]
			out, refresh := n.logIn("ann@example.com", "correct horse")
			n.logOut(refresh)
			n.me(out).want(t, want)
			n.restart(func(o *runtime.Options) { o.Now = clock.now })
			n.me(out).want(t, want)

			stolen, spent := n.logIn("ann@example.com", "correct horse")
			next := n.refresh(spent).want(t, 200)
			n.refresh(spent).want(t, 403)
			for _, token := range []string{stolen, next.field("accessToken")} { // SEC-32: what came of the race, too
				n.me(token).want(t, 401)
			}
			n.restart(func(o *runtime.Options) { o.Now = clock.now })
			n.me(stolen).want(t, 401)
		})
	}
}

// TestRefreshReplay: a spent token ends its login however long ago it was spent; a made-up one ends nothing.
func TestRefreshReplay(t *testing.T) {
	n := start(t, blog)
	_, annID := n.user("ann@example.com")
	_, token := n.logIn("ann@example.com", "correct horse")
	first := token
	for range 70 {
		token = n.refresh(token).want(t, 200).field("refreshToken")
	}
	t.Run("SEC-33: the right id with a wrong secret is a mismatch, and nothing ends", func(t *testing.T) {
		id, _, _ := strings.Cut(token, ".")
		for _, secret := range []string{strings.Repeat("0", 64), token[len(token)-64:len(token)-1] + map[bool]string{true: "1", false: "0"}[token[len(token)-1] == '0']} {
			if a := n.refresh(id+"."+secret).want(t, 403); a.field("error") != "Refresh token mismatch" || a.field("reason") != "refresh.mismatch" {
				t.Errorf("answered %s", a.body)
			}
		}
		token = n.refresh(token).want(t, 200).field("refreshToken")
	})
	t.Run("SEC-32: the first of 71 tokens ends the login", func(t *testing.T) {
		if a := n.refresh(first).want(t, 403); a.field("error") != "Refresh token is invalid or already used" {
			t.Errorf("answered %s", a.body)
		}
		n.refresh(token).want(t, 403)
	})
	if got := n.audited(annID); got != "signup login refresh.replayed" {
		t.Errorf("the audit log has %q", got)
	}
}

// TestRefreshGrace: within the grace all tabs get the same next token, also one whose answer was lost; after it they are thieves.
func TestRefreshGrace(t *testing.T) {
	n, clock := startAt(t, with("refreshGrace: 10"))
	n.user("ann@example.com")
	_, spent := n.logIn("ann@example.com", "correct horse")
	t.Run("SEC-31: 100 tabs refresh one token", func(t *testing.T) {
		var tabs sync.WaitGroup
		answers := make(chan *answer, 100)
		for range cap(answers) {
			tabs.Go(func() { answers <- n.refresh(spent) })
		}
		tabs.Wait()
		close(answers)
		next := map[string]int{}
		for a := range answers {
			next[a.want(t, 200).field("refreshToken")]++
		}
		if len(next) != 1 {
			t.Fatalf("the tabs got %d different tokens", len(next))
		}
	})
	t.Run("SEC-34: an answer that was lost is given again, also by another process", func(t *testing.T) {
		next := n.refresh(spent).want(t, 200).field("refreshToken")
		clock.forward(10 * time.Second)
		n.restart(func(o *runtime.Options) { o.Now = clock.now })
		if again := n.refresh(spent).want(t, 200).field("refreshToken"); again != next {
			t.Errorf("got %s, then %s", next, again)
		}
		spent = next
	})
	t.Run("the one before is no good once the next was used", func(t *testing.T) {
		_, first := n.logIn("ann@example.com", "correct horse")
		second := n.refresh(first).want(t, 200).field("refreshToken")
		third := n.refresh(second).want(t, 200).field("refreshToken")
		n.refresh(first).want(t, 403)
		n.refresh(third).want(t, 403)
	})
	t.Run("SEC-32: after the grace it ends the login", func(t *testing.T) {
		next := n.refresh(spent).want(t, 200).field("refreshToken")
		clock.forward(10*time.Second + time.Millisecond)
		n.refresh(spent).want(t, 403)
		n.refresh(next).want(t, 403)
	})
}

// TestSessionEnds: a login ends after 7 days without a refresh and after 30 days in any case.
func TestSessionEnds(t *testing.T) {
	n, clock := startAt(t, blog)
	n.user("ann@example.com")
	t.Run("SEC-35: idle for 7 days", func(t *testing.T) {
		_, token := n.logIn("ann@example.com", "correct horse")
		clock.forward(7*24*time.Hour - time.Second)
		token = n.refresh(token).want(t, 200).field("refreshToken")
		clock.forward(7*24*time.Hour + time.Second)
		n.refresh(token).want(t, 403)
	})
	t.Run("SEC-35: 30 days in any case", func(t *testing.T) {
		_, token := n.logIn("ann@example.com", "correct horse")
		var last *answer
		for range 29 {
			clock.forward(24 * time.Hour)
			last = n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", token)...).want(t, 200)
			token = last.field("refreshToken")
		}
		clock.forward(24*time.Hour + time.Second)
		n.refresh(token).want(t, 403)
	})
	t.Run("SEC-35: logout, twice, also by a spent token", func(t *testing.T) {
		_, first := n.logIn("ann@example.com", "correct horse")
		second := n.refresh(first).want(t, 200).field("refreshToken")
		n.logOut(first)
		n.logOut(first)
		n.logOut(second)
		n.refresh(second).want(t, 403)
	})
	t.Run("what has ended is swept away", func(t *testing.T) {
		clock.forward(8 * 24 * time.Hour)
		if _, err := n.server.Registry().Sweep(context.Background(), n.project()); err != nil {
			t.Fatal(err)
		}
		if got := n.count(project.Sessions); got != 0 {
			t.Errorf("%d sessions are left", got)
		}
	})
}

// count is the number of documents of a collection.
func (n *node) count(collection string) int64 {
	n.t.Helper()
	snap, err := n.project().DB.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	c, ok := snap.Collection(collection)
	if !ok {
		n.t.Fatalf("no collection %s", collection)
	}
	st, err := snap.State(c)
	if err != nil {
		n.t.Fatal(err)
	}
	return st.Documents
}

// TestSessionBound: one account cannot fill the disk with logins; the oldest makes room.
func TestSessionBound(t *testing.T) {
	n := start(t, blog)
	_, first := "", ""
	token, id := n.user("ann@example.com")
	p := n.project()
	_, first = n.logIn("ann@example.com", "correct horse")
	batch := &kv.Batch{ID: kv.BatchID{1}, Time: time.Now().UnixMilli()}
	for i := range 98 {
		doc := fmt.Sprintf(`{"_id":%q,"tokenId":"t%d","userId":%q,"expires":%d}`, fmt.Sprintf("%024x", 1<<40+i), i, id, time.Now().Add(time.Hour).UnixMilli())
		docID, _ := kv.ParseDocID(fmt.Sprintf("%024x", 1<<40+i))
		batch.Ops = append(batch.Ops, kv.Op{Kind: kv.OpPut, Collection: project.Sessions, ID: docID, Value: []byte(doc)})
	}
	if _, err := p.DB.Commit(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	n.logIn("ann@example.com", "correct horse")
	if got := n.count(project.Sessions); got != 100 {
		t.Errorf("there are %d sessions", got)
	}
	n.refresh(first).want(t, 200)
	n.me(token).want(t, 200)
}

// TestDeleteMe: the account goes with its sessions and codes, and no token of it is good any more; what the user owns stays.
func TestDeleteMe(t *testing.T) {
	n, clock := startAt(t, blog)
	old, id := n.user("ann@example.com")
	post := n.send("POST", "/api/data/posts", `{"title":"mine"}`, n.as(n.pk, old)...).want(t, 201).field("_id")
	token, refresh := n.logIn("ann@example.com", "correct horse")
	clock.forward(5*time.Minute + time.Second)
	del := func(token, body string) *answer {
		return n.send("DELETE", "/api/userAuth/me", body, n.as(n.pk, token)...)
	}
	for _, c := range []struct {
		name, token, body string
		status            int
		text              string
	}{
		{"no token", "", "", 401, "Access Denied: No Token Provided"},
		{"a bad token", "x.y.z", "", 401, "Access Denied: Invalid or expired token"},
		{"an old login and no password", token, "", 403, "Send currentPassword, or log in again: this login is too old for that."},
		{"an empty password", token, `{"currentPassword":""}`, 403, "Send currentPassword, or log in again: this login is too old for that."},
		{"the wrong password", token, `{"currentPassword":"wrong horse"}`, 400, "Invalid current password"},
		{"a number", token, `{"currentPassword":1}`, 400, "Invalid input: expected string, received number"},
	} {
		if a := del(c.token, c.body); a.status != c.status || a.field("error") != c.text {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	n.me(token).want(t, 200)
	del(token, `{"currentPassword":"correct horse"}`).want(t, 200)
	t.Run("SEC-30: nothing of it logs in any more", func(t *testing.T) {
		n.me(token).want(t, 401)
		n.send("GET", "/api/data/posts", "", n.as(n.pk, old)...).want(t, 401)
		n.refresh(refresh).want(t, 401)
		n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, n.as(n.pk, "")...).want(t, 400)
		n.restart(func(o *runtime.Options) { o.Now = clock.now })
		n.me(token).want(t, 401)
	})
	if n.count(project.Users) != 0 || n.count(project.Sessions) != 0 {
		t.Errorf("%d users and %d sessions are left", n.count(project.Users), n.count(project.Sessions))
	}
	n.send("GET", "/api/data/posts/"+post, "", n.as(n.pk, "")...).want(t, 200)
	if got := n.audited(id); got != "signup login account.deleted password.failed" {
		t.Errorf("the audit log has %q", got)
	}
	t.Run("a login of just now is enough, and the address is free again", func(t *testing.T) {
		again, newID := n.user("ann@example.com")
		if newID == id {
			t.Error("the new account has the old id")
		}
		del(again, "").want(t, 200)
	})
	t.Run("the record goes once the last token has run out", func(t *testing.T) {
		clock.forward(time.Hour)
		if _, err := n.server.Registry().Sweep(context.Background(), n.project()); err != nil {
			t.Fatal(err)
		}
		if got := n.count(project.Accounts); got != 0 {
			t.Errorf("%d records are left", got)
		}
		n.me(token).want(t, 401) // it has run out
	})
}

// TestPasswordRace: a login that is under way while the password is changed leaves no session behind.
func TestPasswordRace(t *testing.T) {
	n := start(t, blog)
	token, _ := n.user("ann@example.com")
	for round := range 5 {
		now, next := fmt.Sprintf("correct horse %d", round), fmt.Sprintf("correct horse %d", round+1)
		if round == 0 {
			now = "correct horse"
		}
		token, _ = n.logIn("ann@example.com", now)
		var race sync.WaitGroup
		var refreshes [4]string
		for i := range refreshes {
			race.Go(func() {
				a := n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":"ann@example.com","password":%q}`, now), append(n.as(n.pk, ""), "x-refresh-token-mode", "header")...)
				if a.status == http.StatusOK {
					refreshes[i] = a.field("refreshToken")
				} else {
					a.want(t, 400)
				}
			})
		}
		race.Go(func() {
			n.send("PUT", "/api/userAuth/change-password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":%q}`, now, next), n.as(n.pk, token)...).want(t, 200)
		})
		race.Wait()
		for _, refresh := range refreshes {
			if refresh != "" {
				n.refresh(refresh).want(t, 403)
			}
		}
	}
}

// TestOldSessions: a login of a file of an older version goes on, and its collections get what they lack.
func TestOldSessions(t *testing.T) {
	n := start(t, blog)
	_, id := n.user("ann@example.com")
	commit := func(ops ...kv.Op) {
		t.Helper()
		b := &kv.Batch{Time: time.Now().UnixMilli(), Ops: ops}
		if _, err := rand.Read(b.ID[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := n.project().DB.Commit(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	old := []byte(`{"indexes":[{"name":"tokenId","fields":["tokenId"],"unique":true},{"name":"expires","fields":["expires"]}]}`)
	commit(kv.Op{Kind: kv.OpCollection, Name: project.Sessions, Value: old}, kv.Op{Kind: kv.OpDropCollection, Name: project.Accounts}, kv.Op{Kind: kv.OpDropCollection, Name: project.Audit})
	const name = "123e4567-e89b-42d3-a456-426614174000"
	good, spent := name+"."+strings.Repeat("a", 64), name+"."+strings.Repeat("b", 64)
	sum := func(token string) string { h := auth.HashRefresh(token); return hex.EncodeToString(h[:]) }
	docID, _ := kv.ParseDocID("0000000000000000000000aa")
	commit(kv.Op{Kind: kv.OpPut, Collection: project.Sessions, ID: docID, Value: fmt.Appendf(nil,
		`{"_id":"0000000000000000000000aa","tokenId":%q,"userId":%q,"hash":%q,"expires":%d,"revoked":false,"used":[%q]}`,
		name, id, sum(good), time.Now().Add(time.Hour).UnixMilli(), sum(spent))})

	n.restart()
	n.refresh(spent).want(t, 403)
	a := n.refresh(good).want(t, 200)
	if list := n.send("GET", "/api/userAuth/sessions", "", n.as(n.pk, a.field("accessToken"))...).want(t, 200); list.field("sessions.1.id") != "0000000000000000000000aa" || list.field("sessions.1.current") != "true" {
		t.Errorf("listed %s", list.body)
	}
	n.refresh(good).want(t, 403) // it has no tag, so that it is taken for a made-up one
	next := n.refresh(a.field("refreshToken")).want(t, 200)
	n.refresh(a.field("refreshToken")).want(t, 403)
	n.refresh(next.field("refreshToken")).want(t, 403)
	if got := n.audited(id); got != "refresh.replayed" {
		t.Errorf("the audit log has %q", got)
	}
}

// TestDisabledAccount: SEC-30. From the moment that the operator disables an account nothing of it is good, also after a restart; enabled again
// it may log in, and what was ended stays so.
func TestDisabledAccount(t *testing.T) {
	n, clock := startAt(t, blog)
	ann, id := n.user("ann@example.com")
	_, refresh := n.logIn("ann@example.com", "correct horse")
	set := func(id, verb string) *answer {
		return n.operator("POST", "/admin/v1/projects/blog/users/"+id+"/"+verb, "")
	}
	if a := set(id, "disable").want(t, 200); a.field("disabled") != "true" || a.field("sessionsEnded") != "2" {
		t.Errorf("answered %s", a.body)
	}
	refused := func() {
		t.Helper()
		n.me(ann).want(t, 401)
		n.send("POST", "/api/data/posts", `{"title":"x"}`, n.as(n.pk, ann)...).want(t, 401)
		n.refresh(refresh).want(t, 403)
		if a := n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"correct horse"}`, n.as(n.pk, "")...).want(t, 403); a.field("reason") != "account.disabled" {
			t.Errorf("answered %s", a.body)
		}
		n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"wrong horse"}`, n.as(n.pk, "")...).want(t, 400) // who does not know the password learns nothing
	}
	refused()
	n.restart(func(o *runtime.Options) { o.Now = clock.now })
	refused()
	set(id, "enable").want(t, 200)
	n.me(ann).want(t, 401)
	n.refresh(refresh).want(t, 403)
	fresh, _ := n.logIn("ann@example.com", "correct horse")
	n.me(fresh).want(t, 200)
	set("000000000000000000000001", "disable").want(t, 404)
	set("nonsense", "enable").want(t, 404)
	if got := n.audited(id); !strings.Contains(got, "account.disabled") || !strings.Contains(got, "account.enabled") {
		t.Errorf("the audit log has %q", got)
	}
}

// TestUnseenSession: a login that commits just before a new password does, so that the change has not seen its session, ends by the epoch all the
// same. The session is put back as such a login would have left it.
func TestUnseenSession(t *testing.T) {
	n := start(t, blog)
	ann, _ := n.user("ann@example.com")
	unseen, refresh := n.logIn("ann@example.com", "correct horse")
	p := n.project()
	name, _, _ := strings.Cut(refresh, ".")
	snap, err := p.DB.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := snap.Collection(project.Sessions)
	doc, err := snap.GetUnique(c, project.IndexToken, kv.String(name))
	if err != nil {
		t.Fatal(err)
	}
	id, left := doc.ID, string(doc.JSON)
	snap.Close()
	n.send("PUT", "/api/userAuth/change-password", `{"currentPassword":"correct horse","newPassword":"battery staple"}`, n.as(n.pk, ann)...).want(t, 200)
	b := &kv.Batch{ID: kv.BatchID{7}, Time: time.Now().UnixMilli(), Ops: []kv.Op{{Kind: kv.OpPut, Collection: project.Sessions, ID: id, Value: []byte(left)}}}
	if _, err := p.DB.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	n.me(unseen).want(t, 401)
	if a := n.refresh(refresh).want(t, 403); a.field("reason") != "refresh.used" {
		t.Errorf("answered %s", a.body)
	}
}
