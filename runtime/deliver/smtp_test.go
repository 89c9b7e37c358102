package deliver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// parcel is a mail as a test sends it.
func parcel(change ...func(*Parcel)) *Parcel {
	p := &Parcel{ID: "65f0c0ffee65f0c0ffee0001", MessageID: "65f0c0ffee65f0c0ffee0001.01020304@blog.example", Created: time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC),
		Message: &Message{From: "Blog <no-reply@blog.example>", ReplyTo: "team@blog.example", To: "ann@example.com", Subject: "Grüße: your code", Text: "the code is 012345\n.\nend\n", HTML: "<p>012345</p>"}}
	for _, c := range change {
		c(p)
	}
	return p
}

func (s *mailServer) carrier(t *testing.T, change ...func(*SMTPOptions)) *SMTP {
	t.Helper()
	opt := SMTPOptions{Host: "localhost", Port: s.port, Roots: s.roots, Timeout: 10 * time.Second, Name: "node.example"}
	if s.secure {
		opt.TLS = TLSImplicit
	}
	if s.login != "" {
		opt.User, opt.Password = "relay", s.login
	}
	for _, c := range change {
		c(&opt)
	}
	c, err := NewSMTP(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A mail arrives whole, over TLS and as the user who logged in, with the headers that make it one that can be recognised and is not answered by
// machines.
func TestSMTPCarries(t *testing.T) {
	for name, secure := range map[string]bool{"STARTTLS": false, "implicit TLS": true} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "secret", secure)
			if err := s.carrier(t).Carry(context.Background(), parcel()); err != nil {
				t.Fatal(err)
			}
			got := s.got()
			if len(got) != 1 {
				t.Fatalf("%d mails", len(got))
			}
			m := got[0]
			if !m.tls || m.user != "relay" || m.from != "no-reply@blog.example" || m.to != "ann@example.com" {
				t.Errorf("%+v", m)
			}
			read, err := mail.ReadMessage(strings.NewReader(m.text))
			if err != nil {
				t.Fatal(err)
			}
			subject, _ := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
			for header, want := range map[string]string{"Message-Id": "<65f0c0ffee65f0c0ffee0001.01020304@blog.example>", "From": `"Blog" <no-reply@blog.example>`, "To": "<ann@example.com>",
				"Reply-To": "<team@blog.example>", "Auto-Submitted": "auto-generated", "Mime-Version": "1.0"} {
				if got := read.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if date, err := read.Header.Date(); err != nil || !date.Equal(parcel().Created) {
				t.Errorf("date %v, %v", date, err)
			}
			body, _ := io.ReadAll(read.Body)
			if subject != "Grüße: your code" || !strings.Contains(string(body), "the code is 012345") || !strings.Contains(string(body), "\r\n.\r\nend") || !strings.Contains(string(body), "<p>012345</p>") {
				t.Errorf("%q\n%s", subject, body)
			}
		})
	}
}

// What stands in the way of a mail is told apart: what will never work is a Rejection, everything else is tried again. Nothing, and no
// password, is ever sent in the clear unless that was asked for.
func TestSMTPRefusals(t *testing.T) {
	answer := func(code int) func(string) error {
		return func(string) error { return &smtp.SMTPError{Code: code, Message: "because"} }
	}
	for _, c := range []struct {
		name   string
		refuse func(string) error
		change func(*SMTPOptions)
		never  bool // a Rejection
		ok     bool
	}{
		{name: "the recipient is not known", refuse: answer(550), never: true},
		{name: "the mailbox is full for good", refuse: answer(552), never: true},
		{name: "greylisting", refuse: answer(451)},
		{name: "too busy", refuse: answer(421)},
		{name: "a wrong password", change: func(o *SMTPOptions) { o.Password = "wrong" }},
		{name: "no password", change: func(o *SMTPOptions) { o.User, o.Password = "", "" }},
		{name: "a certificate that nobody vouches for", change: func(o *SMTPOptions) { o.Roots = nil }},
		{name: "a certificate for another name", change: func(o *SMTPOptions) { o.Host = "127.0.0.2" }},
		{name: "nobody listens", change: func(o *SMTPOptions) { o.Port = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := listen(t, "secret", false)
			s.setRefuse(c.refuse)
			var opts []func(*SMTPOptions)
			if c.change != nil {
				opts = append(opts, c.change)
			}
			err := s.carrier(t, opts...).Carry(context.Background(), parcel())
			var never *Rejection
			if err == nil || errors.As(err, &never) != c.never {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error holds the password: %v", err)
			}
			if n := len(s.got()); n != 0 {
				t.Errorf("%d mails arrived", n)
			}
		})
	}
	t.Run("a server without TLS gets nothing unless that is allowed", func(t *testing.T) {
		s := listen(t, "", false)
		plain := &mailServer{}
		plain.start(t, "127.0.0.1:0") // no TLSConfig: it offers no STARTTLS
		s.port = plain.port
		if err := s.carrier(t).Carry(context.Background(), parcel()); err == nil || len(plain.got()) != 0 {
			t.Errorf("%v, %d mails", err, len(plain.got()))
		}
		allowed := s.carrier(t, func(o *SMTPOptions) { o.TLS = TLSNone })
		if err := allowed.Carry(context.Background(), parcel()); err != nil || len(plain.got()) != 1 {
			t.Errorf("%v, %d mails", err, len(plain.got()))
		}
	})
	for name, opt := range map[string]SMTPOptions{
		"a password in the clear":   {Host: "localhost", TLS: TLSNone, User: "relay", Password: "secret"},
		"a user without a password": {Host: "localhost", User: "relay"},
		"another word for TLS":      {Host: "localhost", TLS: "maybe"},
		"no host":                   {},
	} {
		if _, err := NewSMTP(opt); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Once the server has taken a mail it is carried, whatever happens on the way out: or it would go again.
func TestSMTPTakenIsCarried(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close() // right behind the 250: RSET and QUIT meet nobody
		lines, inData := bufio.NewScanner(conn), false
		fmt.Fprint(conn, "220 relay ESMTP\r\n")
		for lines.Scan() {
			switch line := lines.Text(); {
			case inData && line == ".":
				fmt.Fprint(conn, "250 taken\r\n")
				return
			case inData:
			case line == "DATA":
				inData = true
				fmt.Fprint(conn, "354 go on\r\n")
			default:
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	c, err := NewSMTP(SMTPOptions{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: TLSNone, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Carry(context.Background(), parcel()); err != nil {
		t.Errorf("a mail that was taken counts as not sent: %v", err)
	}
}

// No part of a mail can bring headers of its own in, whatever a caller or a template puts there.
func TestHeadersCannotBeInjected(t *testing.T) {
	const evil = "\r\nBcc: evil@example.com\r\n\r\nbody"
	for name, change := range map[string]func(*Parcel){
		"from":             func(p *Parcel) { p.From = "no-reply@blog.example" + evil },
		"the name in from": func(p *Parcel) { p.From = "Blog" + evil + " <no-reply@blog.example>" },
		"to":               func(p *Parcel) { p.To = "ann@example.com" + evil },
		"reply-to":         func(p *Parcel) { p.ReplyTo = "team@blog.example" + evil },
		"subject":          func(p *Parcel) { p.Subject = "Hi" + evil },
		"subject, bare LF": func(p *Parcel) { p.Subject = "Hi\nBcc: evil@example.com" },
		"subject, bare CR": func(p *Parcel) { p.Subject = "Hi\rBcc: evil@example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			p := parcel(change)
			dir := t.TempDir()
			files, err := NewFiles(dir, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := files.Carry(context.Background(), p); err != nil {
				var never *Rejection
				if !errors.As(err, &never) {
					t.Errorf("%v", err)
				}
				return
			}
			kept, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
			if len(kept) != 1 {
				t.Fatalf("%d files", len(kept))
			}
			raw, err := os.ReadFile(kept[0])
			if err != nil {
				t.Fatal(err)
			}
			read, err := mail.ReadMessage(strings.NewReader(string(raw)))
			if err != nil {
				t.Fatal(err)
			}
			if read.Header.Get("Bcc") != "" {
				t.Errorf("a header came in:\n%s", raw)
			}
		})
	}
}

// Without a mail server each mail is one file that only the node's user can read; one that goes again is still one.
func TestFilesCarry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	var log strings.Builder
	files, err := NewFiles(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := files.Carry(context.Background(), parcel()); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "20261128T090000Z-65f0c0ffee65f0c0ffee0001.eml" {
		t.Fatalf("%v, %v", entries, err)
	}
	info, _ := entries[0].Info()
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	raw, _ := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if read, err := mail.ReadMessage(strings.NewReader(string(raw))); err != nil || read.Header.Get("To") != "<ann@example.com>" {
		t.Errorf("%v\n%s", err, raw)
	}
	if strings.Contains(log.String(), "012345") || strings.Count(log.String(), "no mail server is configured") != 1 || strings.Count(log.String(), "kept as a file") != 2 {
		t.Errorf("log:\n%s", log.String())
	}
}
