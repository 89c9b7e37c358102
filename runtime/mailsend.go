package runtime

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/letter"
	"github.com/sluice-edge/sluice/runtime/project"
)

var (
	errMailRecipient  = reason(400, "mail.recipient", "Invalid recipient email format")
	errMailContent    = reason(400, "mail.content", "Provide either (subject + html/text) or a templateId/templateName.")
	errMailTemplateID = reason(400, "mail.template_id", "Invalid template id")
	errMailTemplate   = reason(400, "mail.no_template", "Template not found.")
	errMailInvalid    = reason(400, "mail.invalid", "The mail is not valid.")
	errMailQuota      = reason(429, "mail.quota", "The project has sent all the mails that it may send in a day.")
)

const mailDay = 24 * time.Hour

// sendMail answers POST /api/mail/send: one mail to one address, in the project's own words or by a template. It is answered once the
// mail is in the outbox on disk.
func sendMail(r *request) error {
	if r.role != auth.RoleSecret {
		return errKeySecretRequired
	}
	m, err := r.readMail()
	if err != nil {
		return err
	}
	if err := r.readIdempotencyKey(); err != nil {
		return err
	}
	r.once.status, r.once.render = fasthttp.StatusOK, func(dst []byte) []byte {
		fields := appendMember(nil, "success", []byte("true"))
		fields = appendMember(fields, "message", []byte(`"Mail accepted for delivery."`))
		fields = appendMember(fields, "id", jsondoc.AppendString(nil, m.id.String()))
		dst = append(append(dst, '{'), fields[1:]...)
		dst = append(append(dst, `,"data":{`...), fields[1:]...)
		return append(dst, '}', '}')
	}
	quota := meter{name: "mails", limit: int64(r.state.Config.Mail.PerDay), window: mailDay}
	err = r.commitCodes(func() (*kv.Batch, error) {
		defer r.closeSnapshot()
		if err := r.holdState(); err != nil {
			return nil, err
		}
		if err := r.findReplay(); err != nil {
			return nil, err
		}
		if err := r.beginBatch(); err != nil {
			return nil, err
		}
		left, wait, err := r.use(quota)
		if err != nil {
			return nil, err
		}
		if !left {
			e := errMailQuota.saying("The project has sent the %d mails that it may send in a day (mail.perDay).", quota.limit)
			e.RetryAfter = wait
			return nil, e
		}
		if err := r.enqueueMail(m); err != nil {
			return nil, err
		}
		r.addAnswer()
		return &r.batch, nil
	})
	var before *replay
	switch {
	case errors.As(err, &before):
		r.http.Response.Header.Set("Idempotent-Replayed", "true")
		return r.answerRaw(before.status, before.body)
	case err != nil:
		return r.limitedTo(err, errMailQuota, int(quota.limit), mailDay)
	}
	return r.done(r.once.render(r.answer(r.once.status)))
}

// readMail reads and judges the mail that a body describes.
func (r *request) readMail() (*mail, error) {
	to, err := r.text("to", true)
	if err != nil {
		return nil, err
	}
	m := new(mail)
	if m.to, err = auth.NormalizeEmail(to); err != nil {
		return nil, errMailRecipient
	}
	var parts [5]string
	for i, name := range [...]string{"subject", "html", "text", "templateId", "templateName"} {
		if parts[i], err = r.text(name, false); err != nil {
			return nil, err
		}
	}
	subject, html, text, id, name := parts[0], parts[1], parts[2], parts[3], parts[4]
	vars, err := r.mailVariables()
	if err != nil {
		return nil, err
	}
	switch {
	case id == "" && name == "":
		if strings.TrimSpace(subject) == "" || html == "" && text == "" {
			return nil, errMailContent
		}
		m.letter = &letter.Letter{Subject: subject, Text: text, HTML: html}
	case html != "" || text != "" || id != "" && name != "":
		return nil, errMailContent
	default:
		if m.template, err = r.mailTemplate(id, name); err != nil {
			return nil, err
		}
		if m.letter, err = r.state.Letter(m.template).Write(vars); err != nil {
			return nil, errMailInvalid.saying("The mail cannot be made: %v.", err)
		}
		if subject != "" {
			m.letter.Subject = subject
		}
	}
	l := m.letter
	switch {
	case strings.ContainsFunc(l.Subject, unicode.IsControl):
		return nil, errMailInvalid.saying("The subject must be one line without control characters.")
	case utf8.RuneCountInString(l.Subject) > letter.MaxSubject:
		return nil, errMailInvalid.saying("The subject is longer than %d characters.", letter.MaxSubject)
	case len(l.Text) > letter.MaxWritten || len(l.HTML) > letter.MaxWritten:
		return nil, errMailInvalid.saying("The mail is larger than %d bytes.", letter.MaxWritten)
	}
	m.id = r.project.DB.NewID(r.start)
	_, err = rand.Read(m.random[:])
	return m, err
}

// mailTemplate finds a template by its id or its name, and returns the name.
func (r *request) mailTemplate(id, name string) (string, error) {
	if id != "" {
		if _, ok := kv.ParseDocID(id); !ok {
			return "", errMailTemplateID
		}
		name = r.state.LetterNamed(strings.ToLower(id))
	}
	if r.state.Letter(name) == nil {
		return "", errMailTemplate
	}
	return name, nil
}

// mailVariables reads the variables of a template: strings, numbers and booleans by name.
func (r *request) mailVariables() (map[string]string, error) {
	v := r.body.Get("variables")
	switch v.Kind() {
	case jsondoc.Missing, jsondoc.Null:
		return nil, nil
	case jsondoc.Object:
	default:
		return nil, errMailInvalid.saying("variables must be an object.")
	}
	if v.Len() > letter.MaxVariables {
		return nil, errMailInvalid.saying("There are more than %d variables.", letter.MaxVariables)
	}
	vars := make(map[string]string, v.Len())
	for key, value := range v.Members() {
		name := string(key)
		if len(name) > letter.MaxName {
			return nil, errMailInvalid.saying("The name of a variable is longer than %d bytes.", letter.MaxName)
		}
		var text string
		switch value.Kind() {
		case jsondoc.String:
			text = string(value.Text())
		case jsondoc.Number, jsondoc.Bool:
			text = string(value.Raw())
		case jsondoc.Null:
		default:
			return nil, errMailInvalid.saying("The variable %q must be a string, a number or a boolean.", name)
		}
		if len(text) > letter.MaxValue {
			return nil, errMailInvalid.saying("The variable %q is longer than %d bytes.", name, letter.MaxValue)
		}
		vars[name] = text
	}
	return vars, nil
}

// limitedTo sets the headers of a refusal because of a limit; of any other error it sets none.
func (r *request) limitedTo(err error, limit *Error, n int, window time.Duration) error {
	var e *Error
	if errors.As(err, &e) && e.Reason == limit.Reason {
		r.tellRate(&rateNote{project.RatePolicy(n, int(window/time.Second)), n, 0, e.RetryAfter})
	}
	return err
}
