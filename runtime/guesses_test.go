package runtime_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
)

// guessing is a node behind a proxy, with a clock, and the account ada@example.com, made from 198.51.100.1.
func guessing(t *testing.T, file string) (*node, *clock) {
	t.Helper()
	c := newClock()
	n := start(t, file, behindProxy, func(o *runtime.Options) { o.Now = c.now })
	n.send("POST", "/api/userAuth/signup", `{"email":"ada@example.com","password":"correct horse"}`, n.from("198.51.100.1")...).want(t, 201)
	return n, c
}

// tryLogin tries a password from an address.
func (n *node) tryLogin(email, password, address string) *answer {
	n.t.Helper()
	return n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password), n.from(address)...)
}

// retryAfter is the wait that an answer asks for.
func retryAfter(t *testing.T, a *answer) time.Duration {
	t.Helper()
	s, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || s < 1 {
		t.Fatalf("Retry-After %q", a.header.Get("Retry-After"))
	}
	return time.Duration(s) * time.Second
}

// SEC-17: an account that is guessed at from many addresses answers ten wrong passwords, then makes each next one wait twice as long, up to a
// quarter of an hour; whether there is such an account makes no difference.
func TestGuessingAtAnAccount(t *testing.T) {
	n, c := guessing(t, blog)
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		address := 0
		guess := func() *answer {
			address++ // a botnet: no address twice
			return n.tryLogin(email, "wrong horse", fmt.Sprintf("203.0.%d.%d", address/250, address%250))
		}
		for range 10 {
			guess().want(t, 400)
		}
		var waited []time.Duration
		for range 12 {
			a := guess().want(t, 429)
			if a.field("reason") != "rate.login" || a.field("error") != "Too many failed logins. Please try again later." ||
				a.header.Get("RateLimit-Limit") != "10" || a.header.Get("RateLimit-Remaining") != "0" || a.header.Get("RateLimit-Policy") != "10;w=900" {
				t.Fatalf("%v %s", a.header, a.body)
			}
			waited = append(waited, retryAfter(t, a))
			c.forward(retryAfter(t, a))
			guess().want(t, 400)
		}
		want := "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 15m0s 15m0s]"
		if fmt.Sprint(waited) != want {
			t.Errorf("%s: waited %v, want %s", email, waited, want)
		}
		// The owner comes from a network from which ada has logged in before: strangers cannot keep her out.
		if email == "ada@example.com" {
			n.tryLogin(email, "correct horse", "198.51.100.1").want(t, 200)
			n.tryLogin(email, "correct horse", "198.51.100.77").want(t, 429)
		}
		c.forward(15 * time.Minute) // and from anywhere else after a quarter of an hour
		if email == "ada@example.com" {
			n.tryLogin(email, "correct horse", "198.51.100.77").want(t, 200)
			for range 10 { // a login forgets what was wrong
				guess().want(t, 400)
			}
		}
	}
}

// SEC-17: one address that tries many accounts has to wait as well, for all of them; an IPv6 network is one address. It is forgiven
// one wrong password in half a minute, since many people may share it.
func TestGuessingFromAnAddress(t *testing.T) {
	n, c := guessing(t, blog)
	for i := range 10 {
		n.tryLogin(fmt.Sprintf("user%d@example.com", i), "wrong horse", fmt.Sprintf("2001:db8::%d", i)).want(t, 400)
	}
	a := n.tryLogin("user11@example.com", "wrong horse", "2001:db8::ffff").want(t, 429)
	n.tryLogin("ada@example.com", "correct horse", "2001:db8::1").want(t, 429)
	n.tryLogin("ada@example.com", "correct horse", "2001:db8:0:1::1").want(t, 200)
	c.forward(retryAfter(t, a))
	n.tryLogin("ada@example.com", "correct horse", "2001:db8::1").want(t, 200)
	n.tryLogin("user11@example.com", "wrong horse", "2001:db8::1").want(t, 400) // the eleventh: two seconds
	n.tryLogin("user12@example.com", "wrong horse", "2001:db8::1").want(t, 429)
	c.forward(5 * time.Minute)
	for i := range 9 {
		n.tryLogin(fmt.Sprintf("user%d@example.com", 20+i), "wrong horse", "2001:db8::1").want(t, 400)
	}
}

// SEC-17, REL-34: neither an orderly restart nor a crash gives anybody new guesses.
func TestGuessesSurviveRestart(t *testing.T) {
	n, c := guessing(t, blog)
	again := func() { n.restart(behindProxy, func(o *runtime.Options) { o.Now = c.now }) }
	for i := range 10 {
		n.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i)).want(t, 400)
		if i == 4 {
			again()
		}
	}
	again()
	n.tryLogin("ada@example.com", "correct horse", "203.0.113.99").want(t, 429)
	c.forward(time.Second)
	n.tryLogin("ada@example.com", "correct horse", "203.0.113.99").want(t, 200)
}

// SEC-17: dozens of guesses that are on their way at once are ten guesses: of the others nobody learns whether they were right.
func TestParallelGuesses(t *testing.T) {
	n, _ := guessing(t, blog)
	var wrong, refused, right atomic.Int64
	var all sync.WaitGroup
	for i := range 36 {
		all.Go(func() {
			password := "wrong horse"
			if i%6 == 5 {
				password = "correct horse"
			}
			switch a := n.tryLogin("ada@example.com", password, fmt.Sprintf("203.0.113.%d", i)); a.status {
			case http.StatusBadRequest:
				wrong.Add(1)
			case http.StatusOK:
				right.Add(1)
			case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusConflict:
				refused.Add(1)
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	// A right one forgets the wrong ones before it, so each may be followed by ten more.
	if most := 10 * (right.Load() + 1); wrong.Load() > most {
		t.Errorf("%d wrong passwords were judged with %d right ones between them", wrong.Load(), right.Load())
	}
	n2, _ := guessing(t, blog)
	wrong.Store(0)
	for i := range 40 {
		all.Go(func() {
			if n2.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i)).status == http.StatusBadRequest {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() > 10 {
		t.Errorf("%d of 40 guesses at once were judged, at most 10 may be", wrong.Load())
	}
}

// REL-18: a clock that is set back locks nobody out for longer than the longest wait.
func TestGuessesAndTheClock(t *testing.T) {
	n, c := guessing(t, blog)
	for i := range 14 {
		n.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i))
	}
	n.tryLogin("ada@example.com", "correct horse", "203.0.113.99").want(t, 429)
	c.forward(-10 * 365 * 24 * time.Hour)
	n.tryLogin("ada@example.com", "correct horse", "203.0.113.99").want(t, 200)
}

// Whoever proves by mail to own the address may log in at once, whatever was guessed before.
func TestResetForgetsGuesses(t *testing.T) {
	n, c := guessing(t, blog)
	for i := range 10 {
		n.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i)).want(t, 400)
	}
	n.tryLogin("ada@example.com", "correct horse", "192.0.2.9").want(t, 429)
	c.forward(500 * time.Millisecond)
	n.send("POST", "/api/userAuth/request-password-reset", `{"email":"ada@example.com"}`, n.from("192.0.2.9")...).want(t, 200)
	n.send("POST", "/api/userAuth/reset-password", fmt.Sprintf(`{"email":"ada@example.com","otp":%q,"newPassword":"another horse"}`, n.code("ada@example.com", "new password")), n.from("192.0.2.9")...).want(t, 200)
	n.tryLogin("ada@example.com", "another horse", "192.0.2.9").want(t, 200)
}

// A stolen access token does not help to guess the password.
func TestGuessingByChangePassword(t *testing.T) {
	n, _ := guessing(t, blog)
	token := n.tryLogin("ada@example.com", "correct horse", "198.51.100.1").want(t, 200).field("accessToken")
	change := func(current string) *answer {
		return n.send("PUT", "/api/userAuth/change-password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":"another horse"}`, current),
			append(n.from("192.0.2.9"), "Authorization", "Bearer "+token)...)
	}
	for range 10 {
		change("wrong horse").want(t, 400)
	}
	change("wrong horse").want(t, 429)
	change("correct horse").want(t, 429)
}

func TestLoginFailuresLimit(t *testing.T) {
	n, _ := guessing(t, strings.Replace(blog, "name: blog\n", "name: blog\nlimits: {loginFailures: 2}\n", 1))
	for i, want := range []int{400, 400, 429} {
		n.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i)).want(t, want)
	}
}

func TestRefreshLimits(t *testing.T) {
	n, c := guessing(t, strings.Replace(blog, "name: blog\n", "name: blog\nlimits: {refreshesPerMinute: 2}\n", 1))
	refresh := func(token, address string) *answer {
		return n.send("POST", "/api/userAuth/refresh-token", "", append(n.from(address), "x-refresh-token", token)...)
	}
	login := func() string {
		return n.send("POST", "/api/userAuth/login", `{"email":"ada@example.com","password":"correct horse"}`, append(n.from("198.51.100.1"), "x-refresh-token-mode", "header")...).want(t, 200).field("refreshToken")
	}
	token := login()
	for i := range 2 {
		token = refresh(token, fmt.Sprintf("203.0.113.%d", i)).want(t, 200).field("refreshToken")
	}
	a := refresh(token, "203.0.113.9").want(t, 429)
	if a.field("error") != "Too many refresh attempts for this token" || a.field("reason") != "rate.refresh_session" || rate(a) != "2;w=60 2 0 60 30" {
		t.Errorf("%q %s", rate(a), a.body)
	}
	other := login()
	for i := range 2 {
		other = refresh(other, fmt.Sprintf("203.0.113.%d", 20+i)).want(t, 200).field("refreshToken")
	}
	if a := refresh(login(), "203.0.113.30").want(t, 429); a.field("error") != "Too many refresh attempts for this user" || a.header.Get("RateLimit-Limit") != "4" {
		t.Errorf("%v %s", a.header, a.body)
	}
	for range 6 {
		refresh("11111111-1111-4111-8111-111111111111."+strings.Repeat("0", 64), "192.0.2.200").want(t, 401)
	}
	if a := refresh("no matter", "192.0.2.200").want(t, 429); a.field("error") != "Too many refresh attempts from this IP" {
		t.Errorf("%s", a.body)
	}
	c.forward(30 * time.Second)
	refresh(token, "203.0.113.9").want(t, 200) // the token was not spent by being refused
}

// An operator who has put a proxy before the node and not said so finds out from the log, once.
func TestUntrustedProxyIsTold(t *testing.T) {
	var log lockedLog
	n := start(t, strings.Replace(blog, "name: blog\n", "name: blog\nlimits: {loginFailures: 1}\n", 1), func(o *runtime.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	for i, want := range []int{400, 429, 429} {
		n.tryLogin("ada@example.com", "wrong horse", fmt.Sprintf("203.0.113.%d", i)).want(t, want)
	}
	if told := strings.Count(log.String(), "--trusted-proxies"); told != 1 {
		t.Errorf("told %d times:\n%s", told, log.String())
	}
}
