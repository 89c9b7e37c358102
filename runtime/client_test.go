package runtime

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// asked is a request from a peer, with header lines.
func asked(s *Server, peer string, headers ...string) *request {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 1234}, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		ctx.Request.Header.Add(headers[i], headers[i+1])
	}
	return &request{server: s, http: ctx}
}

func behind(networks ...string) *Server {
	s := new(Server)
	for _, n := range networks {
		s.opt.TrustedProxies = append(s.opt.TrustedProxies, netip.MustParsePrefix(n))
	}
	return s
}

// SEC-82: X-Forwarded-For counts from proxies that the operator named, and then the rightmost hop that is not one of them.
func TestClientAddr(t *testing.T) {
	proxies := behind("10.0.0.0/8", "::1/128", "2001:db8:1::/48")
	for _, c := range []struct {
		name string
		s    *Server
		peer string
		xff  []string // lines
		want string
	}{
		{"nobody is trusted", behind(), "127.0.0.1", []string{"198.51.100.7"}, "127.0.0.1"},
		{"a stranger's header is not believed", proxies, "192.0.2.1", []string{"198.51.100.7"}, "192.0.2.1"},
		{"a proxy without the header speaks for itself", proxies, "10.0.0.1", nil, "10.0.0.1"},
		{"the client of a proxy", proxies, "10.0.0.1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"what the client made up is to the left", proxies, "10.0.0.1", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"a chain of proxies", proxies, "10.0.0.1", []string{"1.1.1.1, 198.51.100.7, 10.2.3.4,10.0.0.9"}, "198.51.100.7"},
		{"a later line is further right", proxies, "10.0.0.1", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"a line of proxies only leads to the line before", proxies, "10.0.0.1", []string{"1.1.1.1, 198.51.100.7", "10.2.3.4"}, "198.51.100.7"},
		{"proxies all the way", proxies, "10.0.0.1", []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		{"what is no address ends the list", proxies, "10.0.0.1", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		{"what is no address, behind a proxy", proxies, "10.0.0.1", []string{"198.51.100.7, oops, 10.2.3.4"}, "10.2.3.4"},
		{"an empty element ends it too", proxies, "10.0.0.1", []string{"198.51.100.7,"}, "10.0.0.1"},
		{"an empty header", proxies, "10.0.0.1", []string{""}, "10.0.0.1"},
		{"with a port", proxies, "10.0.0.1", []string{"198.51.100.7:443"}, "198.51.100.7"},
		{"IPv6", proxies, "::1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets with a port", proxies, "::1", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"IPv6 in brackets", proxies, "2001:db8:1::5", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv4 in IPv6 is IPv4", proxies, "::ffff:10.0.0.1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"no zones", proxies, "10.0.0.1", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"no bracket without its other one", proxies, "10.0.0.1", []string{"[2001:db8::7"}, "10.0.0.1"},
		{"no port that is none", proxies, "10.0.0.1", []string{"198.51.100.7:http"}, "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			for _, line := range c.xff {
				headers = append(headers, fasthttp.HeaderXForwardedFor, line)
			}
			r := asked(c.s, c.peer, headers...)
			if got := r.clientAddr().String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// SEC-82: a cookie is Secure where the client speaks TLS, and only a trusted proxy can say so.
func TestSecure(t *testing.T) {
	s := behind("10.0.0.0/8")
	for _, c := range []struct {
		name, peer string
		lines      []string
		want       bool
	}{
		{"plain", "10.0.0.1", nil, false},
		{"a proxy says https", "10.0.0.1", []string{"https"}, true},
		{"in any case", "10.0.0.1", []string{" HTTPS "}, true},
		{"a proxy says http", "10.0.0.1", []string{"http"}, false},
		{"the last word counts", "10.0.0.1", []string{"https, http"}, false},
		{"of the last line", "10.0.0.1", []string{"http", "https"}, true},
		{"a stranger says https", "192.0.2.1", []string{"https"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var headers []string
			for _, line := range c.lines {
				headers = append(headers, fasthttp.HeaderXForwardedProto, line)
			}
			if got := asked(s, c.peer, headers...).secure(); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	same := func(a, b string) bool { return network(netip.MustParseAddr(a)) == network(netip.MustParseAddr(b)) }
	if !same("2001:db8::1", "2001:db8::ffff:0:0:2") {
		t.Error("one /64 is not one client")
	}
	if same("2001:db8:0:1::1", "2001:db8:0:2::1") {
		t.Error("two /64s are one client")
	}
	if same("192.0.2.1", "192.0.2.2") {
		t.Error("two IPv4 addresses are one client")
	}
}

func TestClientAddrAllocatesNothing(t *testing.T) {
	r := asked(behind("10.0.0.0/8"), "10.0.0.1", fasthttp.HeaderXForwardedFor, "1.1.1.1, 2001:db8::7, 10.0.0.2")
	if n := testing.AllocsPerRun(100, func() { r.from = netip.Addr{}; r.clientAddr() }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

// Whatever the header says: the answer is the peer, or an address that stands in it, and a peer that is not trusted is always
// itself. Adding to the left of what a trusted proxy wrote changes nothing.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"198.51.100.7", "1.1.1.1, 10.0.0.2", "[2001:db8::7]:443", ",,", "[::1", "a:b:c", "1.2.3.4:99999", "::ffff:1.2.3.4"} {
		f.Add([]byte(s))
	}
	s := behind("10.0.0.0/8")
	peer := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, header []byte) {
		got := s.forwardedFor(peer, [][]byte{header})
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%q is read as %s", header, got)
		}
		if got != peer {
			found := false
			for _, item := range strings.Split(string(header), ",") {
				hop, ok := parseHop([]byte(strings.Trim(item, " \t\n\v\f\r\u0085\u00a0")))
				found = found || ok && hop == got
			}
			if !found {
				t.Fatalf("%s is not in %q", got, header)
			}
		}
		if !s.trusts(got) {
			longer := append([]byte("203.0.113.9, "), header...)
			if more := s.forwardedFor(peer, [][]byte{longer}); more != got {
				t.Fatalf("%q in front of %q makes %s of %s", "203.0.113.9", header, more, got)
			}
		}
		if bytes.IndexByte(header, ',') < 0 && got != peer {
			if again, ok := parseHop([]byte(got.String())); !ok || again != got {
				t.Fatalf("%s does not read back", got)
			}
		}
	})
}
