package runtime

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/letter"
	"github.com/sluice-edge/sluice/runtime/project"
)

// mail is one that leaves with a commit.
type mail struct {
	to       string            // a normalised address
	template string            // name of a template, or "" and letter says what is in it
	vars     map[string]string // of the template, beside those that every mail has; see mailVars
	letter   *letter.Letter
	until    time.Time // zero, or when it is no use any more
	decoy    bool      // costs what a mail costs and is never sent
	id       kv.DocID  // zero: a new one
	random   [4]byte   // of the Message-ID; zero: new ones
}

// enqueueMail adds a mail to the request's batch: it leaves if and only if the batch commits, and the caller waits for
// nothing but that commit. Call it within a commit, after beginBatch.
func (r *request) enqueueMail(m *mail) error {
	l := m.letter
	if l == nil {
		t := r.state.Letter(m.template)
		if t == nil {
			return fmt.Errorf("runtime: there is no mail template %q", m.template)
		}
		var err error
		if l, err = t.Write(m.vars); err != nil {
			return fmt.Errorf("runtime: mail template %q: %w", m.template, err)
		}
	}
	cfg := &r.state.Config.Mail
	opt, id := deliver.EnqueueOptions{Kind: m.template, Until: m.until, Decoy: m.decoy, Random: m.random}, m.id
	if id == (kv.DocID{}) {
		id = r.project.DB.NewID(r.start)
		if _, err := rand.Read(opt.Random[:]); err != nil {
			return err
		}
	}
	r.mailed = r.mailed || !m.decoy
	return deliver.Enqueue(&r.batch, project.Outbox, id, r.start, &deliver.Message{
		From: cfg.Sender(r.server.opt.MailFrom), ReplyTo: cfg.ReplyTo, To: m.to,
		Subject: l.Subject, Text: l.Text, HTML: l.HTML,
	}, opt, r.project.Box)
}

// mailVars are the variables of every mail that the server sends about an account: project, siteUrl, email and name.
// user is the account's document, or nil.
func (r *request) mailVars(email string, user []byte) map[string]string {
	vars := map[string]string{"project": r.state.Config.Name, "siteUrl": r.state.Config.SiteURL, "email": email}
	for _, key := range [...]string{fieldName, fieldUsername} {
		if raw, ok := jsondoc.Lookup(user, key); ok && jsondoc.KindOf(raw) == jsondoc.String {
			if name := string(jsondoc.Unquote(nil, raw)); name != "" && len(name) <= letter.MaxValue {
				vars["name"] = name
				break
			}
		}
	}
	return vars
}

// tellPasswordChanged adds a mail to the request's batch that tells a user of a new password: if it was not the user who set it, this
// is how that comes to light.
func (r *request) tellPasswordChanged(user []byte) error {
	raw, ok := jsondoc.Lookup(user, fieldEmail)
	if !ok || jsondoc.KindOf(raw) != jsondoc.String {
		return nil
	}
	email := string(jsondoc.Unquote(nil, raw))
	return r.enqueueMail(&mail{to: email, template: letter.PasswordChanged, vars: r.mailVars(email, user)})
}
