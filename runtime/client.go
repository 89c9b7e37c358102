package runtime

import (
	"bytes"
	"net"
	"net/netip"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// Who a request comes from: the peer of the connection, or, where that is a proxy that the operator named, whom the proxy
// says it speaks for. Nobody else is believed (SEC-82).

// clientAddr is the address of whoever sent the request, without a zone, IPv4 in its own form; the invalid Addr where the
// connection has none.
func (r *request) clientAddr() netip.Addr {
	if !r.from.IsValid() {
		r.from = peerAddr(r.http)
		if r.server.trusts(r.from) {
			r.from = r.server.forwardedFor(r.from, r.http.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor))
		}
	}
	return r.from
}

// secure reports whether the client speaks TLS, with this node or with the proxy before it.
func (r *request) secure() bool {
	if r.http.IsTLS() {
		return true
	}
	if !r.server.trusts(peerAddr(r.http)) {
		return false
	}
	lines := r.http.Request.Header.PeekAll(fasthttp.HeaderXForwardedProto)
	if len(lines) == 0 {
		return false
	}
	last := lines[len(lines)-1]
	return bytes.EqualFold(bytes.TrimSpace(last[bytes.LastIndexByte(last, ',')+1:]), []byte("https"))
}

// peerAddr is the other end of the connection.
func peerAddr(http *fasthttp.RequestCtx) netip.Addr {
	peer, ok := http.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(peer.IP)
	return addr.Unmap()
}

// trusts reports whether the operator named this address as a proxy of theirs.
func (s *Server) trusts(addr netip.Addr) bool {
	for _, p := range s.opt.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor reads X-Forwarded-For lines, each a list of addresses, from the right: every proxy adds the peer it saw at
// the end, so that only what trusted ones added is true. The first address that is not a trusted proxy's is the client. Where the list
// ends, or stops making sense, it is the last one that was still vouched for.
func (s *Server) forwardedFor(peer netip.Addr, lines [][]byte) netip.Addr {
	client := peer
	for i := len(lines) - 1; i >= 0; i-- {
		for list := lines[i]; ; {
			cut := bytes.LastIndexByte(list, ',')
			hop, ok := parseHop(bytes.TrimSpace(list[cut+1:]))
			if !ok {
				return client
			}
			client = hop
			if !s.trusts(hop) {
				return client
			}
			if cut < 0 {
				break
			}
			list = list[:cut]
		}
	}
	return client
}

// parseHop reads one address of the list, which some proxies write with a port: 192.0.2.1, 192.0.2.1:1234, 2001:db8::1,
// [2001:db8::1] or [2001:db8::1]:1234.
func parseHop(b []byte) (netip.Addr, bool) {
	switch {
	case len(b) == 0 || len(b) > len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"):
		return netip.Addr{}, false
	case b[0] == '[':
		end := bytes.IndexByte(b, ']')
		if end < 0 || !isPort(b[end+1:]) {
			return netip.Addr{}, false
		}
		b = b[1:end]
	case bytes.Count(b, []byte(":")) == 1:
		colon := bytes.IndexByte(b, ':')
		if !isPort(b[colon:]) {
			return netip.Addr{}, false
		}
		b = b[:colon]
	}
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b))) // b outlives the call, and an Addr without zone keeps no text
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort reports whether b is nothing, or a colon and digits.
func isPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ':' || len(b) < 2 || len(b) > 6 {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// network is what is counted as one client: an IPv4 address, or the /64 of an IPv6 address, which is what one line is
// given and inside which it may choose as it likes.
func network(addr netip.Addr) [16]byte {
	n := addr.As16()
	if addr.Is6() {
		clear(n[8:])
	}
	return n
}
