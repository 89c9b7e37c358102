package deliver

import (
	"net/mail"

	gomail "github.com/wneessen/go-mail"
)

// CheckAddress judges an address, with or without a name, as a From or a To. It is what a carrier will be able to write.
func CheckAddress(address string) error {
	_, err := mail.ParseAddress(address)
	return err
}

// compose makes the mail as it goes over the wire (RFC 5322). The same parcel makes the same Message-ID and date, however often.
func compose(p *Parcel) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(p.From); err != nil {
		return nil, err
	}
	if err := m.To(p.To); err != nil {
		return nil, err
	}
	if p.ReplyTo != "" {
		if err := m.ReplyTo(p.ReplyTo); err != nil {
			return nil, err
		}
	}
	m.Subject(p.Subject)
	m.SetMessageIDWithValue(p.MessageID)
	m.SetDateWithValue(p.Created)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answering machine shall answer
	switch {
	case p.Text == "":
		m.SetBodyString(gomail.TypeTextHTML, p.HTML)
	default:
		m.SetBodyString(gomail.TypeTextPlain, p.Text)
		if p.HTML != "" {
			m.AddAlternativeString(gomail.TypeTextHTML, p.HTML)
		}
	}
	return m, nil
}
