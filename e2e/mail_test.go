package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// relay is a mail server on a port of its own, to which only the user "relay" with the password "post office" may hand mails, over TLS.
type relay struct {
	addr string
	ca   string // PEM file
	take func(m *letterIn)

	mu sync.Mutex
}

// letterIn is a mail that has arrived; while take runs the sender does not know it yet.
type letterIn struct {
	to        string
	messageID string
	text      string
}

func startRelay(t *testing.T, take func(*letterIn)) *relay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err2 := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	r := &relay{ca: filepath.Join(t.TempDir(), "ca.pem"), take: take}
	err3 := os.WriteFile(r.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	ln, err4 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &relaySession{relay: r}, nil }))
	server.Domain = "relay.example"
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.ErrorLog = silent{}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	return r
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

type relaySession struct {
	relay *relay
	user  string
	to    string
}

func (s *relaySession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *relaySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "relay" || password != "post office" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}
func (s *relaySession) Reset()        { s.to = "" }
func (s *relaySession) Logout() error { return nil }
func (s *relaySession) Mail(string, *smtp.MailOptions) error {
	if s.user == "" {
		return &smtp.SMTPError{Code: 530, Message: "log in first"}
	}
	return nil
}
func (s *relaySession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}
func (s *relaySession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	s.relay.mu.Lock()
	take := s.relay.take
	s.relay.mu.Unlock()
	take(&letterIn{to: s.to, messageID: m.Header.Get("Message-Id"), text: string(body)})
	return nil
}

// flags are those of a node that sends by the relay.
func (r *relay) flags(t *testing.T) []string {
	t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("post office\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--smtp-host", "127.0.0.1", "--smtp-port", port, "--smtp-ca-file", r.ca, "--smtp-user", "relay", "--smtp-password-file", password,
		"--mail-from", "Blog <no-reply@blog.example>"}
}

var codeLine = regexp.MustCompile(`(?m)^    ([0-9]{6})\r?$`)

const accountsFile = `
name: blog
auth: {enabled: true}
collections:
  - name: users
    fields:
      - {key: email, type: String, required: true, unique: true}
      - {key: password, type: String, required: true}
      - {key: emailVerified, type: Boolean}
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMailSurvivesKill: a node that is killed while it sends, or before it could, sends after its restart, and what goes twice has one
// Message-ID. Nothing that was acknowledged is lost. (REL-33)
func TestMailSurvivesKill(t *testing.T) {
	arrived, answer := make(chan *letterIn), make(chan struct{})
	r := startRelay(t, func(m *letterIn) {
		arrived <- m
		<-answer
	})
	dir := t.TempDir()
	args := append(r.flags(t), "--dir", dir)
	n := startNode(t, args...)
	k := applyFile(t, n, writeFile(t, "sluice.yaml", accountsFile))
	const users = 5
	for i := range users {
		signUp(t, n.URL, k.PublishableKey, fmt.Sprintf("user%d@example.com", i))
	}
	first := <-arrived // the relay has it, and the node does not know
	_ = n.kill()
	close(answer)

	n = startNode(t, args...)
	mails := map[string]*letterIn{}
	for len(mails) < users {
		select {
		case m := <-arrived:
			if m.to == first.to && m.messageID != first.messageID {
				t.Errorf("the same mail came as %s and %s", first.messageID, m.messageID)
			}
			mails[m.to] = m
		case <-time.After(60 * time.Second):
			t.Fatalf("only %d of %d mails came after the restart", len(mails), users)
		}
	}
	if mails[first.to] == nil {
		t.Errorf("the mail that was being sent is lost: %v", mails)
	}
	for to, m := range mails {
		found := codeLine.FindStringSubmatch(m.text)
		if found == nil {
			t.Fatalf("no code in %s", m.text)
		}
		a := send(t, "POST", n.URL+"/api/userAuth/verify-email", fmt.Appendf(nil, `{"email":%q,"otp":%q}`, to, found[1]), "x-api-key", k.PublishableKey)
		if a.status != 200 {
			t.Errorf("%s: %d %s", to, a.status, a.body)
		}
	}
	if strings.Contains(n.log.String(), "post office") {
		t.Error("the log holds the relay's password")
	}
}

// TestGuessesSurviveKill: kill -9 gives nobody another five guesses, and a code that was used stays used. Without a mail server the mails
// lie in the directory. (REL-34)
func TestGuessesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, "--dir", dir)
	k := applyFile(t, n, writeFile(t, "sluice.yaml", accountsFile))
	verify := func(email, code string) int {
		return send(t, "POST", n.URL+"/api/userAuth/verify-email", fmt.Appendf(nil, `{"email":%q,"otp":%q}`, email, code), "x-api-key", k.PublishableKey).status
	}
	signUp(t, n.URL, k.PublishableKey, "ann@example.com")
	signUp(t, n.URL, k.PublishableKey, "bob@example.com")
	ann, bob := keptCode(t, dir, "ann@example.com"), keptCode(t, dir, "bob@example.com")
	wrong := "000000"
	if ann == wrong {
		wrong = "000001"
	}
	for i := range 5 {
		if status := verify("ann@example.com", wrong); status != 400 {
			t.Fatalf("a wrong guess: %d", status)
		}
		if i == 0 {
			if status := verify("bob@example.com", bob); status != 200 {
				t.Fatalf("the right code: %d", status)
			}
		}
		_ = n.kill()
		n = startNode(t, "--dir", dir)
	}
	if status := verify("ann@example.com", ann); status != 400 {
		t.Errorf("after five wrong guesses, with a kill after each, the right code is answered %d", status)
	}
	if status := verify("bob@example.com", bob); status != 400 {
		t.Errorf("a used code is answered %d after the kills", status)
	}
}

// keptCode waits for the mail to an address that a node without a mail server keeps, and returns its code.
func keptCode(t *testing.T, dir, to string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		kept, _ := filepath.Glob(filepath.Join(dir, "outbox", "*.eml"))
		for _, name := range kept {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if found := codeLine.FindSubmatch(raw); found != nil && strings.Contains(string(raw), "<"+to+">") {
				return string(found[1])
			}
		}
	}
	t.Fatalf("no mail to %s in %s after 30 s", to, dir)
	return ""
}

// TestMailCommands: what was given up is listed with its cause and sent again when the cause is gone.
func TestMailCommands(t *testing.T) {
	var mu sync.Mutex
	var got []string
	arrived := make(chan struct{}, 10)
	r := startRelay(t, func(m *letterIn) {
		mu.Lock()
		got = append(got, m.to)
		mu.Unlock()
		arrived <- struct{}{}
	})
	n := startNode(t, append(r.flags(t), "--dir", t.TempDir())...)
	file := writeFile(t, "sluice.yaml", accountsFile+`
mail:
  templates:
    - {name: invite, subject: "Come, {{name}}", textFile: invite.txt}
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "invite.txt"), []byte("Dear {{name}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := applyFile(t, n, file)
	a := send(t, "POST", n.URL+"/api/mail/send", []byte(`{"to":"ann@example.com","templateName":"invite","variables":{"name":"Ann"}}`), "x-api-key", k.SecretKey)
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	<-arrived
	stdout, stderr, code := sluice(t, "mail", "list", "--project", "blog", "--dir", n.Dir)
	if code != 0 || !strings.Contains(stdout, "waiting") || !strings.Contains(stdout, "invite") || !strings.Contains(stdout, "passwordChanged") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code = sluice(t, "mail", "list", "--project", "blog", "--dir", n.Dir, "--json"); code != 0 || !strings.Contains(stdout, `"deadLetters":[`) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code = sluice(t, "mail", "retry", "--project", "blog", "--dir", n.Dir); code != 0 || !strings.Contains(stdout, "nothing to send again") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code = sluice(t, "mail", "retry", "--project", "blog", "--dir", n.Dir, "65f0c0ffee65f0c0ffee0001"); code != 1 || !strings.Contains(stderr, "no such mail") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a password file that others can read": {[]string{"--smtp-host", "localhost", "--mail-from", "a@b.example", "--smtp-user", "u", "--smtp-password-file", "/etc/passwd"}, "chmod 600"},
		"no sender":                            {[]string{"--smtp-host", "localhost"}, "--mail-from"},
		"a bad sender":                         {[]string{"--mail-from", "nobody"}, "--mail-from"},
		"a user in the clear":                  {[]string{"--smtp-host", "localhost", "--mail-from", "a@b.example", "--smtp-tls", "none", "--smtp-user", "u"}, "password"},
		"another word for TLS":                 {[]string{"--smtp-host", "localhost", "--mail-from", "a@b.example", "--smtp-tls", "perhaps"}, "starttls"},
		"flags without a host":                 {[]string{"--smtp-user", "u"}, "--smtp-host"},
		"no certificates":                      {[]string{"--smtp-host", "localhost", "--mail-from", "a@b.example", "--smtp-ca-file", "/dev/null"}, "certificate"},
	} {
		if _, stderr, code := sluice(t, append([]string{"serve", "--dir", t.TempDir()}, c.args...)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
}
