package runtime_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// TestRotateSigningKey: after a rotation old tokens are good until the overlap ends, and not a second longer.
func TestRotateSigningKey(t *testing.T) {
	n, clock := startAt(t, blog)
	n.user("ann@example.com")
	old, refresh := n.logIn("ann@example.com", "correct horse")
	kid := func(token string) string {
		head, _, _ := strings.Cut(token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(head)
		if err != nil {
			t.Fatal(err)
		}
		a := answer{body: string(raw)}
		return a.field("kid")
	}
	for i := range 3 {
		n.send("POST", "/api/data/open", `{"i":`+string(rune('0'+i))+`}`, n.as(n.sk, "")...).want(t, 201)
	}
	next := n.send("GET", "/api/data/open?limit=1", "", n.as(n.pk, "")...).want(t, 200).field("data.nextCursor")
	rotate := func(body string) *answer {
		return n.operator("POST", "/admin/v1/projects/blog/keys/jwt/rotate", body)
	}

	t.Run("SEC-29: with an overlap nobody notices", func(t *testing.T) {
		a := rotate(`{"overlapSeconds":120}`).want(t, 201)
		if a.field("keys.0.kid") != "k2" || a.field("keys.0.signs") != "true" || a.field("keys.1.kid") != "k1" || a.field("keys.1.until") != "2026-11-28T09:02:00Z" {
			t.Errorf("answered %s", a.body)
		}
		n.me(old).want(t, 200)
		fresh, _ := n.logIn("ann@example.com", "correct horse")
		if kid(old) != "k1" || kid(fresh) != "k2" {
			t.Errorf("signed with %s and then %s", kid(old), kid(fresh))
		}
		n.send("GET", "/api/data/open?limit=1&cursor="+next, "", n.as(n.pk, "")...).want(t, 200)
		clock.forward(119 * time.Second)
		n.me(old).want(t, 200)
		n.restart(func(o *runtime.Options) { o.Now = clock.now })
		n.me(old).want(t, 200)
	})
	t.Run("SEC-29: when it has ended they are refused", func(t *testing.T) {
		n.me(old).want(t, 200) // verified tokens are remembered
		clock.forward(time.Second)
		n.me(old).want(t, 401)
		a := n.refresh(refresh).want(t, 200)
		old, refresh = a.field("accessToken"), a.field("refreshToken")
		n.me(old).want(t, 200)
		n.restart(func(o *runtime.Options) { o.Now = clock.now })
		n.me(old).want(t, 200)
	})
	t.Run("a second rotation gives the first key no more time", func(t *testing.T) {
		rotate(`{"overlapSeconds":60}`).want(t, 201)
		a := rotate(`{"overlapSeconds":600}`).want(t, 201)
		if a.field("keys.0.kid") != "k4" || a.field("keys.1.kid") != "k3" || a.field("keys.2.kid") != "k2" || a.field("keys.2.until") != "2026-11-28T09:03:00Z" || a.field("keys.3") != "" {
			t.Errorf("answered %s", a.body)
		}
		clock.forward(time.Minute)
		n.me(old).want(t, 401)
		a = n.refresh(refresh).want(t, 200)
		old, refresh = a.field("accessToken"), a.field("refreshToken")
	})
	t.Run("without an overlap nothing that the old key signed is good", func(t *testing.T) {
		n.me(old).want(t, 200)
		a := rotate(`{"overlapSeconds":0}`).want(t, 201)
		if a.field("keys.0.kid") != "k5" || a.field("keys.1") != "" {
			t.Errorf("answered %s", a.body)
		}
		n.me(old).want(t, 401)
		n.send("GET", "/api/data/open?limit=1&cursor="+next, "", n.as(n.pk, "")...).want(t, 400)
		n.me(n.token(refresh)).want(t, 200)
	})
	t.Run("the default is the life of a token", func(t *testing.T) {
		a := rotate("").want(t, 201)
		if a.field("keys.1.until") != "2026-11-28T09:18:00Z" {
			t.Errorf("answered %s", a.body)
		}
		clock.forward(15 * time.Minute)
		if a := n.operator("GET", "/admin/v1/projects/blog/keys/jwt", "").want(t, 200); a.field("keys.0.kid") != "k6" || a.field("keys.1") != "" {
			t.Errorf("answered %s", a.body)
		}
	})
	for _, body := range []string{`{"overlapSeconds":-1}`, `{"overlapSeconds":86401}`, `{"overlap":1}`, `{"overlapSeconds":"1"}`, `[]`, `{`} {
		if a := rotate(body); a.status != 400 || a.field("reason") != "key.bad_overlap" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	n.operator("POST", "/admin/v1/projects/nothing/keys/jwt/rotate", "").want(t, 404)
	if got := n.audited(""); strings.Count(got, "jwt.rotated") != 5 {
		t.Errorf("the audit log has %q", got)
	}
}

// TestAuditLog: the operator reads what has happened, page by page, and nothing secret is in it.
func TestAuditLog(t *testing.T) {
	n, clock := startAt(t, blog)
	ann, annID := n.user("ann@example.com")
	_, refresh := n.logIn("ann@example.com", "correct horse")
	login := func(email string, status int) {
		n.send("POST", "/api/userAuth/login", `{"email":"`+email+`","password":"wrong horse battery"}`, n.as(n.pk, "")...).want(t, status)
	}
	for range 4 { // fewer than make a guesser wait
		login("ann@example.com", 400)
	}
	for range 3 {
		login("nobody@example.com", 400)
	}
	n.send("PUT", "/api/userAuth/update-profile", `{"name":"Ann"}`, n.as(n.pk, ann)...).want(t, 200)
	n.logOut(refresh)
	read := func(query string) *answer {
		return n.operator("GET", "/admin/v1/projects/blog/audit"+query, "")
	}
	kinds := func(a *answer) string {
		var list []string
		for i := 0; a.field("entries."+itoa(i)) != ""; i++ {
			list = append(list, a.field("entries."+itoa(i)+".kind"))
		}
		return strings.Join(list, " ")
	}
	all := read("").want(t, 200)
	if got := kinds(all); got != "signup login profile.updated logout login.failed login.failed" || all.field("more") != "false" {
		t.Errorf("the log has %q", got)
	}
	if all.field("entries.0.userId") != annID || all.field("entries.0.ip") != "127.0.0.1" || all.field("entries.0.by") != "publishable" || len(all.field("entries.0.requestId")) != 24 || len(all.field("entries.1.sessionId")) != 24 {
		t.Errorf("an entry is %s", all.field("entries.0"))
	}
	t.Run("failures are told together", func(t *testing.T) {
		if all.field("entries.4.count") != "4" || all.field("entries.4.userId") != annID || all.field("entries.5.count") != "3" || all.field("entries.5.userId") != "null" {
			t.Errorf("the log has %s", all.body)
		}
		login("ann@example.com", 400)
		again := read("").want(t, 200)
		if again.field("entries.4.count") != "5" || again.field("entries.6") != "" {
			t.Errorf("the log has %s", again.body)
		}
		clock.forward(time.Hour)
		login("ann@example.com", 400)
		if again := read("").want(t, 200); again.field("entries.6.count") != "1" || again.field("entries.4.count") != "5" {
			t.Errorf("in the next hour the log has %s", again.body)
		}
	})
	t.Run("pages", func(t *testing.T) {
		last := read("?limit=2").want(t, 200)
		if kinds(last) != "login.failed login.failed" || last.field("more") != "true" {
			t.Errorf("the newest are %s", last.body)
		}
		back := read("?limit=2&before="+last.field("entries.0._id")).want(t, 200)
		if kinds(back) != "logout login.failed" {
			t.Errorf("before these are %s", back.body)
		}
		on := read("?limit=3&after="+all.field("entries.0._id")).want(t, 200)
		if kinds(on) != "login profile.updated logout" || on.field("more") != "true" {
			t.Errorf("after the first are %s", on.body)
		}
		if got := kinds(read("?kind=login&user="+annID).want(t, 200)); got != "login" {
			t.Errorf("logins are %q", got)
		}
		if got := kinds(read("?user=000000000000000000000001").want(t, 200)); got != "" {
			t.Errorf("nobody's are %q", got)
		}
		for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?before=x", "?after=1"} {
			read(query).want(t, 400)
		}
		n.operator("GET", "/admin/v1/projects/nothing/audit", "").want(t, 404)
	})
	t.Run("SEC-88: nothing secret, and no address, is in it or on disk", func(t *testing.T) {
		body := read("?limit=1000").want(t, 200).body
		for _, secret := range []string{"ann@example.com", "nobody@example.com", "correct horse", "wrong horse", refresh, strings.Split(refresh, ".")[1], ann} {
			if strings.Contains(body, secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		n.stop()
		raw, err := os.ReadFile(filepath.Join(n.dir, "projects", n.project().ID, "data.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"correct horse", "wrong horse", refresh, strings.Split(refresh, ".")[1], ann} { // SEC-04
			if strings.Contains(string(raw), secret) {
				t.Errorf("the file holds %q", secret)
			}
		}
	})
}

func itoa(i int) string { return string(rune('0' + i)) }

// TestHideClients: a project may keep neither addresses nor user agents.
func TestHideClients(t *testing.T) {
	n := start(t, with("hideClients: true"))
	ann, _ := n.user("ann@example.com")
	n.send("POST", "/api/userAuth/login", `{"email":"ann@example.com","password":"wrong horse"}`, n.as(n.pk, "")...).want(t, 400)
	for _, body := range []string{
		n.send("GET", "/api/userAuth/sessions", "", n.as(n.pk, ann)...).want(t, 200).body,
		n.operator("GET", "/admin/v1/projects/blog/audit", "").want(t, 200).body,
	} {
		if strings.Contains(body, "127.0.0.1") || strings.Contains(body, "Go-http-client") {
			t.Errorf("kept: %s", body)
		}
	}
}
