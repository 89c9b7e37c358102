package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/runtime"
	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/project"
)

// mailing is blog with mail of its own.
const mailing = blog + `
mail:
  from: "Blog <no-reply@blog.example>"
  replyTo: team@blog.example
  perDay: 20
  welcome: true
  templates:
    - {name: invite, subject: "{{.who}} invites you", text: "Dear {{.name}},\ncome: {{.count}} {{.sure}}\n", html: "<p>Dear {{.name}}</p>"}
    - {name: verify, subject: "Prove it, {{.name}}", text: "    {{.code}}\n"}
`

// sendMail posts a mail with the secret key.
func (n *node) sendMail(body string, headers ...string) *answer {
	n.t.Helper()
	return n.send("POST", "/api/mail/send", body, append(n.as(n.sk, ""), headers...)...)
}

func TestSendMail(t *testing.T) {
	n, _ := startMail(t, mailing)
	last := func() *deliver.Message {
		t.Helper()
		mails := n.mails()
		if len(mails) == 0 {
			t.Fatal("no mail")
		}
		return mails[len(mails)-1]
	}
	const from, reply = "Blog <no-reply@blog.example>", "team@blog.example"
	for _, c := range []struct {
		name, body string
		want       deliver.Message
	}{
		{"words of one's own", `{"to":"Ann@Example.com","subject":"Hi","text":"there","html":"<b>there</b>"}`,
			deliver.Message{To: "ann@example.com", Subject: "Hi", Text: "there", HTML: "<b>there</b>"}},
		{"HTML alone", `{"to":"ann@example.com","subject":"Grüße","html":"<b>there</b>"}`,
			deliver.Message{To: "ann@example.com", Subject: "Grüße", HTML: "<b>there</b>"}},
		{"a template by name", `{"to":"ann@example.com","templateName":"invite","variables":{"who":"Bob\r\nBcc: x@y.example","name":"<Ann>","count":3,"sure":true,"none":null}}`,
			deliver.Message{To: "ann@example.com", Subject: "Bob  Bcc: x@y.example invites you", Text: "Dear <Ann>,\ncome: 3 true\n", HTML: "<p>Dear &lt;Ann&gt;</p>"}},
		{"a template by id", `{"to":"ann@example.com","templateId":"` + project.TemplateID("invite") + `","subject":"Mine","variables":{"name":"Ann"}}`,
			deliver.Message{To: "ann@example.com", Subject: "Mine", Text: "Dear Ann,\ncome:  \n", HTML: "<p>Dear Ann</p>"}},
	} {
		a := n.sendMail(c.body).want(t, 200)
		c.want.From, c.want.ReplyTo = from, reply
		if got := last(); *got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", c.name, *got, c.want)
		}
		if a.field("success") != "true" || len(a.field("id")) != 24 || a.field("data.id") != a.field("id") {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
}

// TestSendMailRefusals: each row is a mail that is wrong, and what its sender is told.
func TestSendMailRefusals(t *testing.T) {
	n, _ := startMail(t, mailing)
	const either = "Provide either (subject + html/text) or a templateId/templateName."
	long := strings.Repeat("a", 9000)
	for _, c := range []struct {
		name, body   string
		text, reason string
	}{
		{"no body", ``, "Invalid input: expected object, received undefined", "account.invalid"},
		{"no recipient", `{"subject":"s","text":"t"}`, "Invalid input: expected string, received undefined", "account.invalid"},
		{"several recipients", `{"to":["a@b.example"],"subject":"s","text":"t"}`, "Invalid input: expected string, received array", "account.invalid"},
		{"bad recipient", `{"to":"nobody","subject":"s","text":"t"}`, "Invalid recipient email format", "mail.recipient"},
		{"a recipient of two lines", `{"to":"a@b.example\r\nBcc: c@d.example","subject":"s","text":"t"}`, "Invalid recipient email format", "mail.recipient"},
		{"a recipient with a name", `{"to":"Ann <a@b.example>","subject":"s","text":"t"}`, "Invalid recipient email format", "mail.recipient"},
		{"nothing to say", `{"to":"a@b.example"}`, either, "mail.content"},
		{"a subject alone", `{"to":"a@b.example","subject":"s"}`, either, "mail.content"},
		{"words without a subject", `{"to":"a@b.example","text":"t"}`, either, "mail.content"},
		{"words and a template", `{"to":"a@b.example","subject":"s","text":"t","templateName":"invite"}`, either, "mail.content"},
		{"two templates", `{"to":"a@b.example","templateId":"` + project.TemplateID("invite") + `","templateName":"invite"}`, either, "mail.content"},
		{"a bad template id", `{"to":"a@b.example","templateId":"invite"}`, "Invalid template id", "mail.template_id"},
		{"an unknown template id", `{"to":"a@b.example","templateId":"65f0c0ffee65f0c0ffee0001"}`, "Template not found.", "mail.no_template"},
		{"an unknown template", `{"to":"a@b.example","templateName":"nothing"}`, "Template not found.", "mail.no_template"},
		{"a subject of two lines", `{"to":"a@b.example","subject":"s\nBcc: c@d.example","text":"t"}`, "", "mail.invalid"},
		{"a long subject", `{"to":"a@b.example","subject":"` + long[:201] + `","text":"t"}`, "", "mail.invalid"},
		{"variables in a list", `{"to":"a@b.example","templateName":"invite","variables":[]}`, "", "mail.invalid"},
		{"a variable that is an object", `{"to":"a@b.example","templateName":"invite","variables":{"name":{}}}`, "", "mail.invalid"},
		{"a huge variable", `{"to":"a@b.example","templateName":"invite","variables":{"name":"` + long + `"}}`, "", "mail.invalid"},
	} {
		a := n.sendMail(c.body).want(t, 400)
		if a.field("reason") != c.reason || c.text != "" && a.field("error") != c.text {
			t.Errorf("%s: %s", c.name, a.body)
		}
	}
	// SEC-02: a publishable key sends nothing, whatever it sends.
	for _, body := range []string{`{"to":"a@b.example","subject":"s","text":"t"}`, `{}`} {
		a := n.send("POST", "/api/mail/send", body, n.as(n.pk, "")...).want(t, 403)
		if a.field("error") != "Forbidden. This action requires a Secret Key (sk_live_...)." {
			t.Error(a.body)
		}
	}
	if len(n.mails()) != 0 {
		t.Errorf("%d mails came of refusals", len(n.mails()))
	}
}

// A project sends so many mails a day, exactly, however many are sent at once; a repeated request with the same Idempotency-Key is one.
func TestSendMailQuota(t *testing.T) {
	n, clock := startMail(t, mailing)
	body := func(i int) string { return fmt.Sprintf(`{"to":"user%d@example.com","subject":"s","text":"t"}`, i) }
	first := n.sendMail(body(0), "Idempotency-Key", "one").want(t, 200)
	again := n.sendMail(body(0), "Idempotency-Key", "one").want(t, 200)
	if first.body != again.body || again.header.Get("Idempotent-Replayed") != "true" || len(n.mails()) != 1 {
		t.Errorf("%s and %s, %d mails", first.body, again.body, len(n.mails()))
	}
	n.sendMail(body(1), "Idempotency-Key", "one").want(t, 422)
	var group sync.WaitGroup
	var refused sync.Map
	for i := range 40 {
		group.Go(func() {
			if a := n.sendMail(body(i)); a.status != 200 {
				refused.Store(i, a)
			}
		})
	}
	group.Wait()
	if got := len(n.mails()); got != 20 {
		t.Errorf("%d mails, want 20", got)
	}
	refused.Range(func(_, v any) bool {
		a := v.(*answer)
		if a.status != 429 || a.field("reason") != "mail.quota" || a.header.Get("Retry-After") != "86400" || a.header.Get("RateLimit-Limit") != "20" || a.header.Get("RateLimit-Remaining") != "0" {
			t.Errorf("%d %s %v", a.status, a.body, a.header)
		}
		return true
	})
	n.user("ann@example.com") // codes are counted apart
	if got := len(n.mails()); got != 21 {
		t.Errorf("%d mails after a sign-up, want 21", got)
	}
	clock.forward(24 * time.Hour)
	n.sendMail(body(0)).want(t, 200)
}

// A project's own template stands in for the built-in one, and a verified user is welcomed if the project wants that.
func TestOwnTemplates(t *testing.T) {
	n, _ := startMail(t, mailing)
	n.send("POST", "/api/userAuth/signup", `{"email":"ann@example.com","password":"correct horse","name":"Ann"}`, n.as(n.pk, "")...).want(t, 201)
	code := n.code("ann@example.com", "Prove it, Ann")
	n.post("verify-email", verifyBody, "ann@example.com", code).want(t, 200)
	mails := n.mails()
	if last := mails[len(mails)-1]; !strings.Contains(last.Subject, "Welcome to blog") || last.From != "Blog <no-reply@blog.example>" {
		t.Errorf("%+v", last)
	}
}

// The operator sees what waits and what was given up, and can send it again; what mails say is shown to nobody.
func TestMailAdmin(t *testing.T) {
	down := make(chan error, 1)
	down <- &deliver.Rejection{Why: "550 no such user"}
	carried := make(chan *deliver.Parcel, 1)
	var log safeLog
	n := start(t, mailing, func(o *runtime.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.Carrier = carrier(func(p *deliver.Parcel) error {
			select {
			case err := <-down:
				return err
			default:
				carried <- p
				return nil
			}
		})
	})
	admin := func(method, path string) *answer {
		return n.sendTo(n.server.AdminURL(), method, "/admin/v1/projects/blog/mail"+path, "", "Authorization", "Bearer "+n.server.AdminToken().Reveal())
	}
	id := n.sendMail(`{"to":"ann@example.com","subject":"Hi","text":"a secret 012345"}`).want(t, 200).field("id")
	log.wait("mail given up") // which is said once it is written down
	a := admin("GET", "").want(t, 200)
	if a.field("dead") != "1" || a.field("due") != "0" || a.field("failed") != "1" || a.field("deadLetters.0.id") != id || a.field("deadLetters.0.to") != "ann@example.com" ||
		a.field("deadLetters.0.error") != "550 no such user" || a.field("deadLetters.0.subject") != "Hi" || strings.Contains(a.body, "012345") {
		t.Errorf("%s", a.body)
	}
	if a.field("templates.0.name") != "invite" || a.field("templates.0.id") != project.TemplateID("invite") {
		t.Errorf("templates: %s", a.body)
	}
	page := n.sendTo(n.server.AdminURL(), "GET", "/metrics", "", "Authorization", "Bearer "+n.server.AdminToken().Reveal()).want(t, 200).body
	for _, want := range []string{"sluice_mail_dead_letters{", "sluice_mail_failed_total{", "sluice_mail_waiting{", "sluice_mail_sent_total{"} {
		if !strings.Contains(page, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for path, status := range map[string]int{"/retry?id=xyz": 400, "/retry?id=65f0c0ffee65f0c0ffee0001": 404} {
		admin("POST", path).want(t, status)
	}
	if a := admin("POST", "/retry?id="+id).want(t, 200); a.field("retried") != "1" {
		t.Errorf("%s", a.body)
	}
	if p := <-carried; p.ID != id || p.Text != "a secret 012345" {
		t.Errorf("%+v", p)
	}
	if a := admin("POST", "/retry").want(t, 200); a.field("retried") != "0" {
		t.Errorf("%s", a.body)
	}
}

type carrier func(*deliver.Parcel) error

func (c carrier) Carry(_ context.Context, p *deliver.Parcel) error { return c(p) }

// A mail server that hangs delays nobody: whoever signs up is answered while the mail waits.
func TestMailDelaysNobody(t *testing.T) {
	hang := make(chan struct{})
	n := start(t, blog, func(o *runtime.Options) {
		o.Carrier = carrier(func(*deliver.Parcel) error {
			<-hang
			return errors.New("hung up")
		})
	})
	t.Cleanup(func() { close(hang) })
	for i := range 10 {
		n.user(fmt.Sprintf("user%d@example.com", i))
		n.post("request-password-reset", emailBody, fmt.Sprintf("user%d@example.com", i)).want(t, 200)
	}
	if got := len(n.mails()); got != 20 {
		t.Errorf("%d mails wait, want 20", got)
	}
}

// Whoever changes a password is told by mail, in the same commit: nobody is told of a change that was refused.
func TestPasswordChangeIsTold(t *testing.T) {
	n, _ := startMail(t, blog)
	token, _ := n.user("ann@example.com")
	put := func(current string) *answer {
		return n.send("PUT", "/api/userAuth/change-password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":"battery staple"}`, current), n.as(n.pk, token)...)
	}
	put("wrong horse").want(t, 400)
	if got := len(n.mails()); got != 1 {
		t.Errorf("%d mails after a refused change, want the code of the sign-up alone", got)
	}
	put("correct horse").want(t, 200)
	mails := n.mails()
	if last := mails[len(mails)-1]; len(mails) != 2 || last.To != "ann@example.com" || !strings.Contains(last.Subject, "password for blog was changed") {
		t.Errorf("%d mails, the last %+v", len(mails), last)
	}
}

// SEC-88: neither a code nor the words of a mail nor a password is ever in the log, whatever goes wrong.
func TestMailIsNotLogged(t *testing.T) {
	var log safeLog
	n := start(t, mailing, func(o *runtime.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Carrier = carrier(func(p *deliver.Parcel) error {
			if p.To == "never@example.com" {
				return &deliver.Rejection{Why: "550 no"}
			}
			return errors.New("451 later")
		})
	})
	n.user("ann@example.com")
	n.post("request-password-reset", emailBody, "ann@example.com").want(t, 200)
	n.sendMail(`{"to":"never@example.com","subject":"canary","text":"canary words"}`).want(t, 200)
	var secrets []string
	for _, m := range n.mails() {
		if found := sixDigits.FindStringSubmatch(m.Text); found != nil {
			secrets = append(secrets, found[1])
		}
	}
	if len(secrets) != 2 {
		t.Fatalf("%d codes", len(secrets))
	}
	for _, code := range secrets {
		n.post("reset-password", resetBody, "ann@example.com", code, "battery staple")
		n.post("verify-email", verifyBody, "ann@example.com", code)
	}
	log.wait("mail not delivered yet")
	log.wait("mail given up")
	for _, secret := range append(secrets, "canary", "battery") {
		if regexp.MustCompile(`\b` + secret + `\b`).MatchString(log.text()) {
			t.Errorf("the log holds %q:\n%s", secret, log.text())
		}
	}
}

// safeLog is a log that is read while it is written.
type safeLog struct {
	mu      sync.Mutex
	b       strings.Builder
	written chan struct{} // closed by the next line
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.b.Write(p)
}

func (l *safeLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wait returns once the log says so. What never comes ends the test by its time limit.
func (l *safeLog) wait(about string) {
	for {
		l.mu.Lock()
		if strings.Contains(l.b.String(), about) {
			l.mu.Unlock()
			return
		}
		if l.written == nil {
			l.written = make(chan struct{})
		}
		next := l.written
		l.mu.Unlock()
		<-next
	}
}

// SEC-89: a secret that others can read, or that is none, keeps the node from starting and says what to do; a lost one is made anew, and then
// codes that were sent are void and mails that waited are given up, and nothing else is.
func TestNodeSecret(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node-secret")
	open := func() (*runtime.Server, error) {
		return runtime.Open(context.Background(), runtime.Options{Dir: dir, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	}
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"others can read it", string(first), 0o640, "chmod 600"},
		{"it is cut short", string(first[:20]), 0o600, "does not hold a node's secret"},
		{"it is empty", "", 0o600, "does not hold a node's secret"},
	} {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(c.content), c.mode), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		if s, err := open(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
			if err == nil {
				_ = s.Close()
			}
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if s, err = open(); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(path)
	if err := errors.Join(err, s.Close()); err != nil || string(again) == string(first) || len(again) != len(first) {
		t.Errorf("a lost secret: %q, %v", again, err)
	}
}

// A node that holds mail back sends nothing, also not by a retry; the next start without that sends what waited.
func TestHoldMail(t *testing.T) {
	carried := make(chan string, 1)
	options := func(hold bool) func(o *runtime.Options) {
		return func(o *runtime.Options) {
			o.HoldMail = hold
			o.Carrier = carrier(func(p *deliver.Parcel) error {
				carried <- p.To
				return nil
			})
		}
	}
	held := start(t, blog, options(true))
	held.user("ann@example.com")
	if got := len(held.mails()); got != 1 || len(carried) != 0 {
		t.Fatalf("%d mails wait, %d were sent", got, len(carried))
	}
	held.restart(options(false))
	if to := <-carried; to != "ann@example.com" {
		t.Errorf("sent to %s", to)
	}
}
