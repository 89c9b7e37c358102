package runtime

import (
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Bounds of a lingering close.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// lingerListener accepts connections that can be closed without losing the last answer.
type lingerListener struct{ net.Listener }

func (l lingerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lingerConn{Conn: c}, nil
}

// lingerConn is a connection whose Close, after linger, first reads what the client is still sending. A socket closed with
// bytes unread is reset, and the reset overtakes the answer: a client that uploads too much would see a broken
// connection instead of the 413 (RFC 9112 section 9.6).
type lingerConn struct {
	net.Conn
	lingers atomic.Bool
}

// linger makes the coming Close take its time.
func linger(c net.Conn) {
	if l, ok := c.(*lingerConn); ok {
		l.lingers.Store(true)
	}
}

func (c *lingerConn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.lingers.Swap(false) {
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
	return c.Conn.Close()
}
