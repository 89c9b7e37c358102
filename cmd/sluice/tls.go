package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

// tlsFlags are those of serve that say how the public listener speaks TLS.
func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tls-cert", Usage: "PEM file with the certificate chain for the public listener; read anew when it changes, or at SIGHUP", Sources: cli.EnvVars("SLUICE_TLS_CERT")},
		&cli.StringFlag{Name: "tls-key", Usage: "PEM file with its private key", Sources: cli.EnvVars("SLUICE_TLS_KEY")},
		&cli.StringFlag{Name: "domain", Usage: "host names, separated by commas, for which to get certificates by ACME, and renew them; makes --addr :443 by default", Sources: cli.EnvVars("SLUICE_DOMAIN")},
		&cli.StringFlag{Name: "acme-email", Usage: "where the authority writes to when a certificate is about to end", Sources: cli.EnvVars("SLUICE_ACME_EMAIL")},
		&cli.StringFlag{Name: "acme-directory", Value: acme.LetsEncryptURL, Usage: "the authority's directory URL", Sources: cli.EnvVars("SLUICE_ACME_DIRECTORY")},
		&cli.StringFlag{Name: "acme-ca", Usage: "PEM file with the root that signs the authority's own certificate, for one of your own", Sources: cli.EnvVars("SLUICE_ACME_CA")},
		&cli.StringFlag{Name: "http-addr", Value: ":80", Usage: `with --domain: listener that answers the authority and sends everybody else to https; "off" for none`, Sources: cli.EnvVars("SLUICE_HTTP_ADDR")},
	}
}

// secured is how the public listener speaks TLS; nil where it does not.
type secured struct {
	config   *tls.Config
	redirect string       // address of the listener for plain HTTP, "" for none
	answers  http.Handler // on it
	watch    func(context.Context)
}

// readTLS reads the flags. Certificates from files must be good now: a node that comes up without is found out too late.
func readTLS(c *cli.Command, log *slog.Logger) (*secured, error) {
	cert, key, domain := c.String("tls-cert"), c.String("tls-key"), c.String("domain")
	switch {
	case domain != "" && (cert != "" || key != ""):
		return nil, errors.New("--domain gets certificates by itself: leave out --tls-cert and --tls-key")
	case domain != "":
		return readACME(c, domain, log)
	case cert == "" && key == "":
		return nil, nil
	case cert == "" || key == "":
		return nil, errors.New("--tls-cert and --tls-key need each other")
	}
	pair := &filePair{cert: cert, key: key, log: log}
	if err := pair.load(); err != nil {
		return nil, err
	}
	return &secured{config: tlsConfig(pair.get), watch: pair.watch}, nil
}

// tlsConfig is TLS 1.2 or better with what Go chooses, which is kept up with what is known to be safe.
func tlsConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, NextProtos: append([]string{"http/1.1"}, protocols...)}
}

// filePair is a certificate in files that somebody else renews.
type filePair struct {
	cert, key string
	log       *slog.Logger
	now       atomic.Pointer[loadedPair]
}

type loadedPair struct {
	certificate tls.Certificate
	seen        [2]time.Time // when the files were last changed
}

// watchEvery is how often the files are looked at for a change.
const watchEvery = time.Minute

func (p *filePair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &p.now.Load().certificate, nil
}

func (p *filePair) changed() (seen [2]time.Time, err error) {
	for i, path := range []string{p.cert, p.key} {
		info, err := os.Stat(path)
		if err != nil {
			return seen, err
		}
		seen[i] = info.ModTime()
	}
	return seen, nil
}

// load reads both files. What is in use stays if they are not good.
func (p *filePair) load() error {
	seen, err := p.changed()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", p.cert, p.key, err)
	}
	p.now.Store(&loadedPair{pair, seen})
	return nil
}

// watch reads the files anew when they change, and at SIGHUP, until ctx ends.
func (p *filePair) watch(ctx context.Context) {
	hangUp, stop := hangUps()
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
		case <-tick.C:
			if seen, err := p.changed(); err == nil && seen == p.now.Load().seen {
				continue
			}
		}
		if err := p.load(); err != nil {
			p.log.ErrorContext(ctx, "certificate not read; the one before stays in use", "error", err)
			continue
		}
		p.log.InfoContext(ctx, "certificate read", "file", p.cert, "until", p.now.Load().certificate.Leaf.NotAfter)
	}
}

// readACME prepares certificates that the node gets by itself (RFC 8555), by tls-alpn-01 on the public listener or http-01
// on the one for plain HTTP.
func readACME(c *cli.Command, list string, log *slog.Logger) (*secured, error) {
	var domains []string
	for name := range strings.SplitSeq(list, ",") {
		ascii, err := idna.Lookup.ToASCII(strings.TrimSpace(name))
		if err != nil || !strings.Contains(ascii, ".") || net.ParseIP(ascii) != nil {
			return nil, fmt.Errorf("--domain: %q is no host name such as api.example.com", name)
		}
		domains = append(domains, ascii)
	}
	client := &acme.Client{DirectoryURL: c.String("acme-directory"), UserAgent: "sluice"}
	if path := c.String("acme-ca"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--acme-ca: %s holds no certificate", path)
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		client.HTTPClient = &http.Client{Transport: transport, Timeout: time.Minute}
	}
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Client: client, Email: c.String("acme-email"),
		HostPolicy: autocert.HostWhitelist(domains...),
		Cache:      autocert.DirCache(filepath.Join(c.String("dir"), "acme")),
	}
	var told atomic.Int64 // when an error was last logged, Unix seconds: clients try again and again
	get := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		certificate, err := manager.GetCertificate(hello)
		if now := time.Now().Unix(); err != nil && slices.Contains(domains, strings.ToLower(hello.ServerName)) {
			if last := told.Load(); now-last >= 10 && told.CompareAndSwap(last, now) {
				log.Error("no certificate", "domain", hello.ServerName, "error", err)
			}
		}
		return certificate, err
	}
	s := &secured{config: tlsConfig(get, acme.ALPNProto)}
	if addr := c.String("http-addr"); addr != "off" {
		s.redirect, s.answers = addr, withoutPort(manager.HTTPHandler(toHTTPS(domains)))
	}
	return s, nil
}

// withoutPort takes the port off the name that is asked for: what lies in front may have another than ours.
func withoutPort(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = name
		}
		h.ServeHTTP(w, r)
	})
}

// toHTTPS sends whoever asks for one of our names to https. Other names are not repeated to anybody.
func toHTTPS(domains []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower(r.Host)
		if !slices.Contains(domains, host) {
			http.Error(w, "unknown host", http.StatusMisdirectedRequest)
			return
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

// run does what TLS needs beside the listener, until ctx ends. It returns at once if it cannot.
func (s *secured) run(ctx context.Context, log *slog.Logger) (stop func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	if s.watch != nil {
		go s.watch(ctx)
	}
	if s.redirect == "" {
		return cancel, nil
	}
	listener, err := net.Listen("tcp", s.redirect)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("--http-addr: %w", err)
	}
	server := &http.Server{Handler: s.answers, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the listener for plain HTTP ended", "error", err)
		}
	}()
	return func() {
		cancel()
		_ = server.Close()
	}, nil
}
