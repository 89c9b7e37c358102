package social

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Bounds of what is asked.
const (
	answerTime   = 10 * time.Second // everything that one login asks of its provider
	dialTime     = 5 * time.Second
	answerBytes  = 1 << 20
	asking       = 64        // logins that wait for providers at once
	discoveryAge = time.Hour // a discovery document is asked for anew after that
	mostKnown    = 1024      // providers whose discovery is kept
)

// Options tune Clients. The zero value works.
type Options struct {
	Now  func() time.Time // default time.Now
	Time time.Duration    // for what one login asks of its provider, default 10s
}

// Clients ask providers.
type Clients struct {
	now     func() time.Time
	time    time.Duration
	slots   chan struct{}
	public  *http.Client // reaches public addresses by https alone
	private *http.Client

	mu    sync.Mutex // guards known
	known map[string]*discovered
}

// discovered is what is known of an issuer.
type discovered struct {
	provider *oidc.Provider
	at       time.Time
	issParam bool // it promises to say who it is in every answer: RFC 9207
	inParams bool // the secret goes into the body, since it takes no Basic authentication
}

// NewClients makes clients. They hold no connection that would have to be closed for long.
func NewClients(opt Options) *Clients {
	c := &Clients{now: opt.Now, time: opt.Time, slots: make(chan struct{}, asking), known: map[string]*discovered{}}
	if c.now == nil {
		c.now = time.Now
	}
	if c.time == 0 {
		c.time = answerTime
	}
	c.public, c.private = newClient(c.time, false), newClient(c.time, true)
	return c
}

// errBusy reports that too many logins wait for their providers.
var errBusy = errors.New("too many logins wait for their providers")

// enter bounds one login: how long it may take, and how many there are.
func (c *Clients) enter(ctx context.Context, p *Provider) (context.Context, func(), error) {
	select {
	case c.slots <- struct{}{}:
	default:
		return nil, nil, unavailable("wait", errBusy)
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, c.client(p)), c.time)
	return ctx, func() { cancel(); <-c.slots }, nil
}

func (c *Clients) client(p *Provider) *http.Client {
	if p.Private {
		return c.private
	}
	return c.public
}

// newClient makes a client that follows nobody, reads no more than it has to, and connects only where it may. Whether it may is asked of
// the address that is connected to, after the name was resolved: a name that changes its mind gains nothing.
func newClient(limit time.Duration, private bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !private && !isPublic(to.Addr()) {
			return fmt.Errorf("%s is not a public address; if the provider lives there, say private: true", to.Addr())
		}
		return nil
	}}
	transport := &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: limit,
		MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: 30 * time.Second, MaxIdleConns: 32, MaxConnsPerHost: 32,
	} // and no proxy from the environment: it would connect for us, to wherever it likes
	return &http.Client{
		Transport:     &bounded{transport, private},
		Timeout:       limit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects, and is not followed") },
	}
}

// notPublic are networks that no provider on the internet has (RFC 6890, and what carries IPv4 inside of IPv6).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("::/96"),
}

// isPublic reports whether an address is on the internet.
func isPublic(a netip.Addr) bool {
	a = a.WithZone("").Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// bounded is a transport that speaks TLS and reads only so much of an answer.
type bounded struct {
	next    http.RoundTripper
	private bool
}

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !b.private {
		return nil, fmt.Errorf("%s://%s is not https", req.URL.Scheme, req.URL.Host)
	}
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, answerBytes}
	}
	return resp, err
}

// boundedBody fails once it has given as much as it may.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is larger than %d bytes", answerBytes)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
