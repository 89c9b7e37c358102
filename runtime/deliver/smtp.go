package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Ways to secure the connection to a mail server.
const (
	TLSStart    = "starttls" // begin in the clear and go no further without TLS (RFC 3207); the default
	TLSImplicit = "implicit" // TLS from the first byte (RFC 8314)
	TLSNone     = "none"     // in the clear; no password is ever sent this way
)

// SMTPOptions name a mail server.
type SMTPOptions struct {
	Host     string
	Port     int    // default 587, with TLSImplicit 465, with TLSNone 25
	TLS      string // default TLSStart
	User     string // "": no login
	Password string
	Name     string         // that the node gives itself in HELO; default the machine's
	Roots    *x509.CertPool // default the system's
	Timeout  time.Duration  // for each step with the server; default 30s
}

// SMTP is the carrier to a mail server. Each mail has a connection of its own: nothing that a server does to one mail touches another.
type SMTP struct {
	opt  SMTPOptions
	port int
}

// NewSMTP checks the options. It connects to nothing yet.
func NewSMTP(opt SMTPOptions) (*SMTP, error) {
	s := &SMTP{opt: opt, port: opt.Port}
	def := 0
	switch opt.TLS {
	case "", TLSStart:
		s.opt.TLS, def = TLSStart, 587
	case TLSImplicit:
		def = 465
	case TLSNone:
		def = 25
		if opt.User != "" {
			return nil, errors.New("a mail server without TLS cannot be logged in to: the password would travel in the clear")
		}
	default:
		return nil, fmt.Errorf("TLS with a mail server is %s, %s or %s, not %q", TLSStart, TLSImplicit, TLSNone, opt.TLS)
	}
	if s.port == 0 {
		s.port = def
	}
	if s.opt.Timeout == 0 {
		s.opt.Timeout = 30 * time.Second
	}
	if (opt.User == "") != (opt.Password == "") {
		return nil, errors.New("a mail server is logged in to with a user and a password; only one of them is given")
	}
	_, err := s.client(context.Background())
	return s, err
}

// client makes the client of one mail. The connection ends with ctx.
func (s *SMTP) client(ctx context.Context) (*gomail.Client, error) {
	tlsConfig := &tls.Config{ServerName: s.opt.Host, RootCAs: s.opt.Roots, MinVersion: tls.VersionTLS12}
	dial := func(dialCtx context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		var err error
		if s.opt.TLS == TLSImplicit {
			conn, err = (&tls.Dialer{Config: tlsConfig}).DialContext(dialCtx, network, address)
		} else {
			conn, err = new(net.Dialer).DialContext(dialCtx, network, address)
		}
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.opt.Timeout), gomail.WithTLSConfig(tlsConfig), gomail.WithDialContextFunc(dial),
	}
	switch s.opt.TLS {
	case TLSStart:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLSImplicit:
		options = append(options, gomail.WithSSL())
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.opt.Name != "" {
		options = append(options, gomail.WithHELO(s.opt.Name))
	}
	if s.opt.User != "" {
		auth := gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover)
		if s.opt.TLS == TLSImplicit { // the library does not see that our own dialer has secured the connection, and would find no way
			auth = gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin)
		}
		options = append(options, auth, gomail.WithUsername(s.opt.User), gomail.WithPassword(s.opt.Password))
	}
	return gomail.NewClient(s.opt.Host, options...)
}

// Carry hands the mail to the server. What the server refuses with a code of 500 and above, once it let us in, is a
// [*Rejection]; that it does not let us in may be put right by whoever runs the node, so that is of the moment.
func (s *SMTP) Carry(ctx context.Context, p *Parcel) error {
	m, err := compose(p)
	if err != nil {
		return &Rejection{err.Error()}
	}
	ctx, cancel := context.WithCancel(ctx) // ends the connection at the latest when we return
	defer cancel()
	c, err := s.client(ctx)
	if err != nil {
		return err
	}
	if err := c.DialWithContext(ctx); err != nil {
		return fmt.Errorf("connect to %s: %w", net.JoinHostPort(s.opt.Host, fmt.Sprint(s.port)), err)
	}
	err = c.Send(m)
	if m.IsDelivered() { // whatever went wrong after the server took it
		_ = c.Close()
		return nil
	}
	_ = c.Close()
	if err == nil {
		return errors.New("the mail server did not say that it took the mail")
	}
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() >= 500 && !ofTheNode(refused.ErrorCode()) {
		return &Rejection{err.Error()}
	}
	return err
}

// ofTheNode reports whether a refusal is about how the node logged in (RFC 4954), rather than about the mail.
func ofTheNode(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }
