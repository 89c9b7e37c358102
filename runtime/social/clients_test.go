package social

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// SEC-76: addresses that a provider on the internet does not have.
func TestIsPublic(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255",
		"192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "100::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
	} {
		if isPublic(netip.MustParseAddr(s)) {
			t.Errorf("%s counts as public", s)
		}
	}
	for _, s := range []string{"8.8.8.8", "140.82.121.4", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888", "2a00:1450::1", "::ffff:8.8.8.8"} {
		if !isPublic(netip.MustParseAddr(s)) {
			t.Errorf("%s does not count as public", s)
		}
	}
}

func ask(c *Clients, p *Provider) error {
	_, err := c.Start(context.Background(), p, &Login{State: "s", Nonce: "n", Verifier: strings.Repeat("v", 43), RedirectURL: "https://node.example"})
	return err
}

// A provider is reached by https at a public address, unless the project's file says that it is private. What is connected to decides, and
// not what a name looks like, so that a name that resolves to another address the second time gains nothing.
func TestWhereProvidersMayBe(t *testing.T) {
	reached := false
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer tls.Close()
	c := NewClients(Options{})
	port := tls.URL[strings.LastIndexByte(tls.URL, ':'):]
	for _, issuer := range []string{tls.URL, "https://localhost" + port, "https://[::ffff:127.0.0.1]" + port, "https://2130706433" + port, "https://0x7f.1" + port} {
		if err := ask(c, &Provider{Issuer: issuer}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	plain := httptest.NewServer(tls.Config.Handler)
	defer plain.Close()
	if err := ask(c, &Provider{Issuer: plain.URL}); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "not https") {
		t.Errorf("without TLS: %v", err)
	}
	if reached {
		t.Error("a private address was reached")
	}
	if _ = ask(c, &Provider{Issuer: plain.URL, Private: true}); !reached {
		t.Error("a private provider was not reached")
	}
}

func TestProvidersAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	p := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer p.Close()
	if err := ask(NewClients(Options{}), &Provider{Issuer: p.URL, Private: true}); !errors.Is(err, ErrUnavailable) || reached {
		t.Errorf("%v, reached %t", err, reached)
	}
}

// A provider that never ends its answer costs a login its time, and the node no more than what it is ready to read.
func TestSlowAndHugeProviders(t *testing.T) {
	stop := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{"))
		w.(http.Flusher).Flush()
		<-stop
	}))
	defer slow.Close()
	defer close(stop)
	began := time.Now()
	if err := ask(NewClients(Options{Time: 100 * time.Millisecond}), &Provider{Issuer: slow.URL, Private: true}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %s", took)
	}
	sent := 0
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			n, err := w.Write([]byte(strings.Repeat(" ", 1<<20)))
			if sent += n; err != nil {
				return
			}
		}
	}))
	defer huge.Close()
	if err := ask(NewClients(Options{}), &Provider{Issuer: huge.URL, Private: true}); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
}

// No more logins wait for providers than there is room for; the others are told at once.
func TestBoundedLogins(t *testing.T) {
	stop, arrived := make(chan struct{}), make(chan struct{}, asking)
	p := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-stop }))
	defer p.Close()
	c := NewClients(Options{})
	done := make(chan error, asking)
	for range asking {
		go func() { done <- ask(c, &Provider{Issuer: p.URL, Private: true}) }()
	}
	for len(c.slots) < asking {
		<-arrived
	}
	if err := ask(c, &Provider{Issuer: p.URL, Private: true}); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	close(stop)
	for range asking {
		<-done
	}
	if len(c.slots) != 0 {
		t.Errorf("%d slots are still taken", len(c.slots))
	}
}

// Discovery is asked for once in a while, not for every login.
func TestDiscoveryIsKept(t *testing.T) {
	asked := 0
	var p *httptest.Server
	p = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"issuer":"` + p.URL + `","authorization_endpoint":"` + p.URL + `/a","token_endpoint":"` + p.URL + `/t","jwks_uri":"` + p.URL + `/k"}`))
	}))
	defer p.Close()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := NewClients(Options{Now: func() time.Time { return now }})
	for i, want := range []int{1, 1, 2, 3} {
		if err := ask(c, &Provider{Issuer: p.URL, Private: true}); err != nil {
			t.Fatal(err)
		}
		if asked != want {
			t.Errorf("login %d: asked %d times, want %d", i, asked, want)
		}
		switch i {
		case 1:
			now = now.Add(time.Hour)
		case 2:
			now = now.Add(-48 * time.Hour) // a clock that was set back
		}
	}
}
