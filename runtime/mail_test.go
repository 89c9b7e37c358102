package runtime_test

import (
	"context"
	"errors"
	"fmt"
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
	settled := make(chan struct{})
	n := start(t, mailing, func(o *runtime.Options) {
		o.Carrier = carrier(func(p *deliver.Parcel) error {
			select {
			case err := <-down:
				close(settled)
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
	<-settled
	var a *answer
	for range 10_000 { // what became of the mail is written down a moment after the carrier has said so
		if a = admin("GET", "").want(t, 200); a.field("dead") == "1" {
			break
		}
	}
	if a.field("due") != "0" || a.field("failed") != "1" || a.field("deadLetters.0.id") != id || a.field("deadLetters.0.to") != "ann@example.com" ||
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
