package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/project"
)

// clock is a clock that moves when it is told to.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

// startMail starts a node whose clock the test holds, and whose mail stays in the outboxes for the test to read.
func startMail(t testing.TB, file string) (*node, *clock) {
	t.Helper()
	c := newClock()
	return start(t, file, func(o *runtime.Options) { o.Now, o.HoldMail = c.now, true }), c
}

// project is the node's only project.
func (n *node) project() *project.Project { return n.server.Registry().List()[0] }

// mails reads what waits in the outbox, oldest first.
func (n *node) mails() []*deliver.Message { return n.outbox(deliver.StateDue) }

func (n *node) outbox(state string) (mails []*deliver.Message) {
	n.t.Helper()
	p := n.project()
	snap, err := p.DB.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	entries, err := deliver.List(context.Background(), snap, project.Outbox, state, 10_000)
	if err != nil {
		n.t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b *deliver.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, e := range entries {
		m, err := e.Message(p.Box)
		if err != nil {
			n.t.Fatal(err)
		}
		mails = append(mails, m)
	}
	return mails
}

var sixDigits = regexp.MustCompile(`(?m)^    ([0-9]{6})$`)

// code is the code of the last mail to an address whose subject holds about.
func (n *node) code(to, about string) string {
	n.t.Helper()
	code := ""
	for _, m := range n.mails() {
		if found := sixDigits.FindStringSubmatch(m.Text); m.To == to && strings.Contains(m.Subject, about) && found != nil {
			code = found[1]
		}
	}
	if code == "" {
		n.t.Fatalf("no mail about %q to %s in %d", about, to, len(n.mails()))
	}
	return code
}

// wrong is a code that is not the right one.
func wrong(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

// post sends a body to a route of userAuth with the publishable key.
func (n *node) post(route, body string, args ...any) *answer {
	n.t.Helper()
	return n.send("POST", "/api/userAuth/"+route, fmt.Sprintf(body, args...), n.as(n.pk, "")...)
}

const (
	verifyBody = `{"email":%q,"otp":%q}`
	resetBody  = `{"email":%q,"otp":%q,"newPassword":%q}`
	emailBody  = `{"email":%q}`
)

// TestVerifyEmail is the way of a new account: sign up, read the mail, send the code, be verified.
func TestVerifyEmail(t *testing.T) {
	n, clock := startMail(t, blog)
	token, _ := n.user("Ann@Example.com")
	me := func() string {
		return n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200).field("emailVerified")
	}
	if got := me(); got != "false" {
		t.Fatalf("verified before anything: %s", got)
	}
	code := n.code("ann@example.com", "code for blog")
	if a := n.post("verify-email", verifyBody, "ann@example.com", wrong(code)); a.status != 400 || a.field("error") != "Invalid or expired OTP" || a.field("reason") != "code.invalid" {
		t.Errorf("wrong code: %d %s", a.status, a.body)
	}
	a := n.post("verify-email", verifyBody, " ANN@example.COM ", code).want(t, 200) // SEC-49
	if a.field("message") != "Email verified successfully" || a.field("data.message") != "Email verified successfully" {
		t.Errorf("answer: %s", a.body)
	}
	if got := me(); got != "true" {
		t.Errorf("not verified after the right code: %s", got)
	}
	if a := n.post("verify-email", verifyBody, "ann@example.com", code); a.status != 400 { // SEC-14: single use
		t.Errorf("second use: %d %s", a.status, a.body)
	}
	clock.forward(2 * time.Minute)
	n.post("resend-verification-otp", emailBody, "ann@example.com").want(t, 200)
	if got := len(n.mails()); got != 1 {
		t.Errorf("a verified account was sent another code: %d mails", got)
	}
}

// TestResetPassword: a new password by mail ends every session, in the same commit, and tells the owner. SEC-30
func TestResetPassword(t *testing.T) {
	n, clock := startMail(t, blog)
	n.user("ann@example.com")
	login := func(password string) *answer {
		return n.send("POST", "/api/userAuth/login", fmt.Sprintf(`{"email":"ann@example.com","password":%q}`, password), append(n.as(n.pk, ""), "x-refresh-token-mode", "header")...)
	}
	sessions := []string{login("correct horse").want(t, 200).field("refreshToken"), login("correct horse").want(t, 200).field("refreshToken")}
	n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
	code := n.code("ann@example.com", "new password")

	if a := n.post("reset-password", resetBody, "ann@example.com", code, "short"); a.status != 400 || !strings.HasPrefix(a.field("error"), "Password must be at least 8 characters") {
		t.Errorf("short password: %d %s", a.status, a.body)
	}
	a := n.post("reset-password", resetBody, "ann@example.com", code, "battery staple").want(t, 200)
	if a.field("message") != "Password updated successfully" {
		t.Errorf("answer: %s", a.body)
	}
	if a := login("correct horse"); a.status != 400 {
		t.Errorf("the old password still works: %d", a.status)
	}
	login("battery staple").want(t, 200)
	for i, refresh := range sessions {
		if a := n.send("POST", "/api/userAuth/refresh-token", "", append(n.as(n.pk, ""), "x-refresh-token", refresh)...); a.status != 403 {
			t.Errorf("session %d outlived the reset: %d %s", i, a.status, a.body)
		}
	}
	if a := n.post("reset-password", resetBody, "ann@example.com", code, "something else"); a.status != 400 || a.field("error") != "Invalid or expired OTP" {
		t.Errorf("second use: %d %s", a.status, a.body)
	}
	last := n.mails()[len(n.mails())-1]
	if last.To != "ann@example.com" || !strings.Contains(last.Subject, "was changed") || strings.Contains(last.Text, "battery") {
		t.Errorf("the owner is not told: %+v", last)
	}
	// Whoever has read the mail has the mailbox.
	token := login("battery staple").want(t, 200).field("accessToken")
	if got := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).field("emailVerified"); got != "true" {
		t.Errorf("the address is not proved by a reset: %s", got)
	}
	clock.forward(time.Minute)
}

// TestCodeContract holds the routes about codes to the contract's texts, row by row.
func TestCodeContract(t *testing.T) {
	n, _ := startMail(t, blog)
	n.user("ann@example.com")
	long := strings.Repeat("a", 129)
	const object = "Invalid input: expected object, received "
	const str = "Invalid input: expected string, received "
	for _, c := range []struct {
		name, route, body string
		text, reason      string
	}{
		{"no body", "verify-email", ``, object + "undefined", "account.invalid"},
		{"array", "verify-email", `[]`, object + "array", "account.invalid"},
		{"no e-mail", "verify-email", `{"otp":"123456"}`, str + "undefined", "account.invalid"},
		{"e-mail of another type", "verify-email", `{"email":7,"otp":"123456"}`, str + "number", "account.invalid"},
		{"an operator for an e-mail", "verify-email", `{"email":{"$ne":""},"otp":"123456"}`, str + "object", "account.invalid"},
		{"bad e-mail", "verify-email", `{"email":"nope","otp":"123456"}`, "Invalid email format", "account.invalid"},
		{"e-mail of two lines", "verify-email", `{"email":"a@b.example\r\nBcc: c@d.example","otp":"123456"}`, "Invalid email format", "account.invalid"},
		{"no code", "verify-email", `{"email":"ann@example.com"}`, str + "undefined", "account.invalid"},
		{"code as a number", "verify-email", `{"email":"ann@example.com","otp":123456}`, str + "number", "account.invalid"},
		{"code as an object", "verify-email", `{"email":"ann@example.com","otp":{}}`, str + "object", "account.invalid"},
		{"short code", "verify-email", `{"email":"ann@example.com","otp":"12345"}`, "OTP must be 6 digits", "account.invalid"},
		{"code with letters", "verify-email", `{"email":"ann@example.com","otp":"12345a"}`, "OTP must be 6 digits", "account.invalid"},
		{"code in other digits", "verify-email", `{"email":"ann@example.com","otp":"١٢٣٤٥٦"}`, "OTP must be 6 digits", "account.invalid"},
		{"code of nobody", "verify-email", `{"email":"bob@example.com","otp":"123456"}`, "Invalid or expired OTP", "code.invalid"},

		{"no body", "resend-verification-otp", ``, object + "undefined", "account.invalid"},
		{"no e-mail", "resend-verification-otp", `{}`, str + "undefined", "account.invalid"},
		{"bad e-mail", "resend-verification-otp", `{"email":"a@"}`, "Invalid email format", "account.invalid"},

		{"no body", "request-password-reset", ``, object + "undefined", "account.invalid"},
		{"no e-mail", "request-password-reset", `{}`, str + "undefined", "account.invalid"},
		{"empty e-mail", "request-password-reset", `{"email":""}`, "Invalid email format", "account.invalid"},

		{"no body", "reset-password", ``, object + "undefined", "account.invalid"},
		{"no e-mail", "reset-password", `{"otp":"123456","newPassword":"battery staple"}`, str + "undefined", "account.invalid"},
		{"short code", "reset-password", `{"email":"ann@example.com","otp":"1","newPassword":"battery staple"}`, "OTP must be 6 digits", "account.invalid"},
		{"no password", "reset-password", `{"email":"ann@example.com","otp":"123456"}`, str + "undefined", "account.invalid"},
		{"short password", "reset-password", `{"email":"ann@example.com","otp":"123456","newPassword":"seven77"}`, "Password must be at least 8 characters", "account.invalid"},
		{"long password", "reset-password", `{"email":"ann@example.com","otp":"123456","newPassword":"` + long + `"}`, "Password is too long.", "account.invalid"},
		{"no code was asked for", "reset-password", `{"email":"ann@example.com","otp":"123456","newPassword":"battery staple"}`, "Invalid or expired OTP", "code.invalid"},
		{"nobody's code", "reset-password", `{"email":"bob@example.com","otp":"123456","newPassword":"battery staple"}`, "Invalid or expired OTP", "code.invalid"},
	} {
		t.Run(c.route+"/"+c.name, func(t *testing.T) {
			a := n.send("POST", "/api/userAuth/"+c.route, c.body, n.as(n.pk, "")...).want(t, 400)
			if a.field("error") != c.text || a.field("reason") != c.reason {
				t.Errorf("%s, want %q (%s)", a.body, c.text, c.reason)
			}
		})
	}
	for _, route := range []string{"verify-email", "resend-verification-otp", "request-password-reset", "reset-password"} {
		if a := n.send("POST", "/api/userAuth/"+route, `{}`); a.status != 401 || a.field("error") != "API key not found" {
			t.Errorf("%s without a key: %d %s", route, a.status, a.body)
		}
		if a := n.send("GET", "/api/userAuth/"+route, "", n.as(n.pk, "")...); a.status != 405 {
			t.Errorf("GET %s: %d", route, a.status)
		}
	}
	off := start(t, strings.Replace(blog, "enabled: true}", "enabled: false}", 1))
	for _, route := range []string{"verify-email", "resend-verification-otp", "request-password-reset", "reset-password"} {
		if a := off.post(route, `{}`); a.status != 403 || a.field("reason") != "auth.disabled" {
			t.Errorf("%s where accounts are off: %d %s", route, a.status, a.body)
		}
	}
}

// SEC-12: what is answered about an address does not tell whether anybody has it, verified or not, however often it is asked.
func TestCodesTellNothing(t *testing.T) {
	n, clock := startMail(t, blog)
	n.user("verified@example.com")
	n.post("verify-email", verifyBody, "verified@example.com", n.code("verified@example.com", "code")).want(t, 200)
	n.user("unverified@example.com")
	who := []string{"nobody@example.com", "verified@example.com", "unverified@example.com"}
	same := func(name, route, body string, args ...any) {
		t.Helper()
		first := ""
		for _, email := range who {
			a := n.post(route, body, append([]any{email}, args...)...)
			got := fmt.Sprint(a.status, a.body, a.header.Get("Retry-After"), a.header.Get("RateLimit-Reset"))
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s: %s is answered %s, %s is answered %s", name, who[0], first, email, got)
			}
		}
	}
	for round := range 7 {
		same(fmt.Sprint("resend ", round), "resend-verification-otp", emailBody)
		same(fmt.Sprint("resend again ", round), "resend-verification-otp", emailBody)
		same(fmt.Sprint("reset ", round), "request-password-reset", emailBody)
		same(fmt.Sprint("reset again ", round), "request-password-reset", emailBody)
		for range codeGuesses + 1 {
			same("guess", "reset-password", resetBody, "000000", "battery staple")
			same("guess", "verify-email", verifyBody, "000000")
		}
		clock.forward(61 * time.Second)
	}
	for _, m := range n.mails() {
		if m.To == "nobody@example.com" {
			t.Errorf("a mail to nobody: %+v", m)
		}
	}
}

const codeGuesses = 5

// A second resend within a minute says how long to wait, whoever the address belongs to; a minute later a new code comes.
func TestResendWaits(t *testing.T) {
	n, clock := startMail(t, blog)
	n.user("ann@example.com")
	first := n.code("ann@example.com", "code")
	clock.forward(61 * time.Second)
	n.post("resend-verification-otp", emailBody, "ann@example.com").want(t, 200)
	second := n.code("ann@example.com", "code")
	clock.forward(20 * time.Second)
	a := n.post("resend-verification-otp", emailBody, "ann@example.com").want(t, 429)
	if a.field("error") != "Please wait 40 seconds before requesting another code." || a.field("reason") != "code.wait" || a.header.Get("Retry-After") != "40" || a.header.Get("RateLimit-Reset") != "40" {
		t.Errorf("%s %v", a.body, a.header)
	}
	if len(n.mails()) != 2 {
		t.Errorf("%d mails, want 2", len(n.mails()))
	}
	if first != second { // one time in a million they are the same
		if a := n.post("verify-email", verifyBody, "ann@example.com", first); a.status != 400 {
			t.Errorf("the code before the last one works: %d %s", a.status, a.body)
		}
	}
	n.post("verify-email", verifyBody, "ann@example.com", second).want(t, 200)
}

// SEC-14: a code is good for five minutes, for one purpose, one project and one user.
func TestCodeBinds(t *testing.T) {
	n, clock := startMail(t, blog)
	n.user("ann@example.com")
	verify := n.code("ann@example.com", "code for blog")
	n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
	reset := n.code("ann@example.com", "new password")
	if verify != reset {
		if a := n.post("reset-password", resetBody, "ann@example.com", verify, "battery staple"); a.status != 400 {
			t.Errorf("a code that proves an address changes the password: %d %s", a.status, a.body)
		}
		if a := n.post("verify-email", verifyBody, "ann@example.com", reset); a.status != 400 {
			t.Errorf("a code for a password proves an address: %d %s", a.status, a.body)
		}
	}
	n.user("bob@example.com")
	bob := n.code("bob@example.com", "code for blog")
	if bob != verify {
		if a := n.post("verify-email", verifyBody, "ann@example.com", bob); a.status != 400 {
			t.Errorf("another user's code works: %d %s", a.status, a.body)
		}
	}
	other := n.apply(strings.Replace(blog, "name: blog", "name: other", 1))
	n.send("POST", "/api/userAuth/signup", `{"email":"ann@example.com","password":"correct horse"}`, n.as(other.PublishableKey.Reveal(), "")...).want(t, 201)
	if a := n.send("POST", "/api/userAuth/verify-email", fmt.Sprintf(verifyBody, "ann@example.com", verify), n.as(other.PublishableKey.Reveal(), "")...); a.status != 400 {
		t.Errorf("another project's code works: %d %s", a.status, a.body)
	}
	clock.forward(5 * time.Minute)
	if a := n.post("verify-email", verifyBody, "ann@example.com", verify); a.status != 400 || a.field("error") != "Invalid or expired OTP" {
		t.Errorf("an old code works: %d %s", a.status, a.body)
	}
	// REL-18: a clock that is set back does not bring it to life from before it was made, and locks nobody out.
	clock.forward(-24 * time.Hour)
	if a := n.post("verify-email", verifyBody, "ann@example.com", verify); a.status != 400 {
		t.Errorf("a code from the future works: %d %s", a.status, a.body)
	}
	before := len(n.mails())
	n.post("resend-verification-otp", emailBody, "ann@example.com").want(t, 200)
	if len(n.mails()) != before+1 {
		t.Error("after the clock was set back no code is sent")
	}
}

// SEC-15: five wrong tries make a code void, also for the right one; a thousand at once are no more tries than five, and a restart forgets none.
func TestGuesses(t *testing.T) {
	n, clock := startMail(t, blog)
	n.user("ann@example.com")
	code := n.code("ann@example.com", "code")
	for range 4 {
		n.post("verify-email", verifyBody, "ann@example.com", wrong(code)).want(t, 400)
	}
	n.post("verify-email", verifyBody, "ann@example.com", code).want(t, 200) // the fifth try is one

	n.user("bob@example.com")
	code = n.code("bob@example.com", "code")
	var group sync.WaitGroup
	var answers [1000]int
	for i := range answers {
		group.Go(func() {
			guess := fmt.Sprintf("%06d", i)
			if guess == code {
				guess = "999999"
			}
			answers[i] = n.post("verify-email", verifyBody, "bob@example.com", guess).status
		})
	}
	group.Wait()
	for i, status := range answers {
		if status != 400 {
			t.Errorf("guess %d: %d", i, status)
		}
	}
	if tries := n.tries("bob@example.com", "verify"); tries != 5 {
		t.Errorf("%d guesses were judged, want 5", tries)
	}
	n.post("verify-email", verifyBody, "bob@example.com", code).want(t, 400)

	clock.forward(61 * time.Second)
	n.post("resend-verification-otp", emailBody, "bob@example.com").want(t, 200)
	code = n.code("bob@example.com", "code")
	for range 5 {
		n.post("verify-email", verifyBody, "bob@example.com", wrong(code)).want(t, 400)
	}
	n.post("verify-email", verifyBody, "bob@example.com", code).want(t, 400)
}

// tries reads how often the present code of an address was tried.
func (n *node) tries(email, purpose string) int {
	n.t.Helper()
	p := n.project()
	snap, err := p.DB.Snapshot()
	if err != nil {
		n.t.Fatal(err)
	}
	defer snap.Close()
	c, _ := snap.Collection(project.Codes)
	doc, err := snap.GetUnique(c, project.IndexKey, kv.String(p.Box.HashAddress(email)))
	if err != nil {
		n.t.Fatal(err)
	}
	var book struct {
		Codes map[string]struct{ Tries int }
	}
	if err := json.Unmarshal(doc.JSON, &book); err != nil {
		n.t.Fatal(err)
	}
	return book.Codes[purpose].Tries
}

// SEC-16: of a hundred right answers at once one counts, for each purpose.
func TestCodeUsedOnce(t *testing.T) {
	n, _ := startMail(t, blog)
	n.user("ann@example.com")
	n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
	for _, c := range []struct{ route, about string }{{"verify-email", "code for blog"}, {"reset-password", "new password"}} {
		code := n.code("ann@example.com", c.about)
		var group sync.WaitGroup
		var good, bad, other atomic.Int32
		count := 100
		if c.route == "reset-password" {
			count = 30 // each that looks right at first hashes a password
		}
		for range count {
			group.Go(func() {
				switch a := n.post(c.route, resetBody, "ann@example.com", code, "battery staple"); a.status {
				case 200:
					good.Add(1)
				case 400:
					bad.Add(1)
				default:
					other.Add(1)
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
		group.Wait()
		if good.Load() != 1 {
			t.Errorf("%s: %d of %d succeeded", c.route, good.Load(), count)
		}
	}
}

// SEC-18: one address is sent a code a minute of each kind and five an hour in all, and a project a bounded number, in all flows together and
// exactly, however many ask at once.
func TestCodesAreCounted(t *testing.T) {
	t.Run("an address", func(t *testing.T) {
		n, clock := startMail(t, blog)
		n.user("ann@example.com")
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() { n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200) })
		}
		group.Wait()
		if got := len(n.mails()); got != 2 {
			t.Errorf("%d mails after a sign-up and twenty requests at once, want 2", got)
		}
		for range 20 {
			clock.forward(61 * time.Second)
			n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
			n.post("resend-verification-otp", emailBody, "ann@example.com").want(t, 200)
		}
		if got := len(n.mails()); got != 5 {
			t.Errorf("%d mails in an hour, want 5", got)
		}
		clock.forward(time.Hour)
		n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
		if got := len(n.mails()); got != 6 {
			t.Errorf("%d mails after an hour, want 6", got)
		}
	})
	t.Run("a project", func(t *testing.T) {
		n, clock := startMail(t, strings.Replace(blog, "auth: {enabled: true}", "auth: {enabled: true, codesPerHour: 7}", 1))
		for i := range 4 {
			n.user(fmt.Sprintf("user%d@example.com", i))
		}
		clock.forward(61 * time.Second)
		var group sync.WaitGroup
		for i := range 40 {
			group.Go(func() {
				n.post("request-password-reset", emailBody, fmt.Sprintf("user%d@example.com", i%4)).want(t, 200)
				n.post("request-password-reset", emailBody, fmt.Sprintf("nobody%d@example.com", i)).want(t, 200)
				n.post("resend-verification-otp", emailBody, fmt.Sprintf("user%d@example.com", i%4))
			})
		}
		group.Wait()
		if got := len(n.mails()); got != 7 {
			t.Errorf("%d mails, want 7", got)
		}
		if token, _ := n.user("late@example.com"); token == "" {
			t.Error("who signs up when no code may be sent gets no account")
		}
		if got := len(n.mails()); got != 7 {
			t.Errorf("%d mails after one more sign-up, want 7", got)
		}
		clock.forward(time.Hour)
		n.post("resend-verification-otp", emailBody, "late@example.com").want(t, 200)
		if got := len(n.mails()); got != 8 {
			t.Errorf("%d mails in the next hour, want 8", got)
		}
	})
}

// SEC-13: a sign-up with an address that has an account never names it, logs in to it or changes it; whether it is proved is told only
// where the project wants it.
func TestSignupExisting(t *testing.T) {
	const again = `{"email":"ann@example.com","password":"another one","name":"Eve"}`
	for _, c := range []struct{ name, file string }{{"refuse", blog}, {"resend", strings.Replace(blog, "auth: {enabled: true}", "auth: {enabled: true, existing: resend}", 1)}} {
		t.Run(c.name, func(t *testing.T) {
			n, clock := startMail(t, c.file)
			token, id := n.user("ann@example.com")
			before := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200).body
			check := func(a *answer, status int, text string) {
				t.Helper()
				if a.status != status || a.field("message") != text {
					t.Errorf("%d %s; want %d %q", a.status, a.body, status, text)
				}
				if strings.Contains(a.body, id) || strings.Contains(a.body, "oken") || a.header.Get("Set-Cookie") != "" {
					t.Errorf("the answer gives the account away: %s", a.body)
				}
			}
			if c.name == "resend" {
				check(n.post("signup", again), 429, "Please wait 60 seconds before requesting another code.")
				clock.forward(61 * time.Second)
				check(n.post("signup", again), 200, "User already exists but is unverified. A new verification code has been sent.")
				if len(n.mails()) != 2 {
					t.Errorf("%d mails, want 2", len(n.mails()))
				}
			} else {
				check(n.post("signup", again), 400, "User already exists with this email.")
			}
			if after := n.send("GET", "/api/userAuth/me", "", n.as(n.pk, token)...).want(t, 200).body; after != before {
				t.Errorf("the account was changed: %s, was %s", after, before)
			}
			n.post("login", `{"email":"ann@example.com","password":"correct horse"}`).want(t, 200)
			n.post("verify-email", verifyBody, "ann@example.com", n.code("ann@example.com", "code")).want(t, 200)
			check(n.post("signup", again), 400, "User already exists with this email.")
		})
	}
}

// SEC-04, SEC-88: no code, and no text of a mail on its way, is in any file of the node.
func TestCodesAreNotInFiles(t *testing.T) {
	n, _ := startMail(t, blog)
	n.user("ann@example.com")
	n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
	codes := []string{n.code("ann@example.com", "code for blog"), n.code("ann@example.com", "new password")}
	err := filepath.WalkDir(filepath.Join(n.dir, "projects"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, secret := range append(codes, "is good for 5 minutes") {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(n.dir, "node-secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("node-secret: %v, %v", info, err)
	}
}
