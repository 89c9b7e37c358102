package deliver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server on a port of its own.
type mailServer struct {
	server *smtp.Server
	port   int
	ln     net.Listener
	roots  *x509.CertPool
	config *tls.Config
	secure bool // TLS from the first byte
	login  string

	mu    sync.Mutex
	mails []received
	// refuse judges a recipient; nil lets everybody in.
	refuse func(to string) error
}

type received struct {
	from, to, text string
	user           string // who logged in
	tls            bool
}

// listen starts a server. login is the password of the user "relay", or "" when it lets everybody in.
func listen(t *testing.T, login string, secure bool) *mailServer {
	t.Helper()
	s := &mailServer{login: login, secure: secure}
	s.config, s.roots = certificate(t)
	s.start(t, "127.0.0.1:0")
	return s
}

func (s *mailServer) start(t *testing.T, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	s.port, _ = strconv.Atoi(port)
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{server: s, conn: c}, nil }))
	s.server.Domain, s.server.TLSConfig, s.server.EnableSMTPUTF8 = "localhost", s.config, true
	s.server.ReadTimeout, s.server.WriteTimeout = 10*time.Second, 10*time.Second
	s.server.ErrorLog = quiet{}
	if s.secure {
		ln = tls.NewListener(ln, s.config)
	}
	server := s.server
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (s *mailServer) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mails...)
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   received
	user   string
}

func (m *mailSession) AuthMechanisms() []string {
	if m.server.login == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (m *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "relay" || password != m.server.login {
			return smtp.ErrAuthFailed
		}
		m.user = user
		return nil
	}), nil
}

func (m *mailSession) Reset()        { m.mail = received{} }
func (m *mailSession) Logout() error { return nil }

func (m *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if m.server.login != "" && m.user == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"} // RFC 4954
	}
	m.mail.from = from
	return nil
}

func (m *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.server.mu.Lock()
	refuse := m.server.refuse
	m.server.mu.Unlock()
	if refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	m.mail.to = to
	return nil
}

func (m *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.mail.text, m.mail.user = string(raw), m.user
	_, m.mail.tls = m.conn.TLSConnectionState()
	m.server.mu.Lock()
	m.server.mails = append(m.server.mails, m.mail)
	m.server.mu.Unlock()
	return nil
}

func (s *mailServer) setRefuse(f func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// certificate makes a certificate for 127.0.0.1 and localhost, and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err2 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	cert, err3 := x509.ParseCertificate(der)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
