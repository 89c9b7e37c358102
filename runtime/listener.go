package runtime

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a lingering close.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 64 << 20
)

// boundedListener accepts connections up to a limit, and such that can be closed without losing the last answer. One
// connection too many is told so in the form of every other error, and closed.
type boundedListener struct {
	net.Listener
	limit int64
	open  atomic.Int64
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &lingerConn{Conn: c, open: &l.open}, nil
		}
		l.open.Add(-1)
		go turnAway(c)
	}
}

// turnAway answers a connection that is one too many before it has asked anything.
func turnAway(c net.Conn) {
	body := appendEnvelope(nil, errConnections)
	_ = c.SetDeadline(time.Now().Add(lingerTime))
	_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", typeJSON, len(body), body)
	last := &lingerConn{Conn: c}
	linger(last)
	_ = last.Close()
}

// lingerConn is a connection whose Close, after linger, first reads what the client is still sending. A socket closed with
// bytes unread is reset, and the reset overtakes the answer: a client that uploads too much would see a broken
// connection instead of the 413 (RFC 9112 section 9.6).
type lingerConn struct {
	net.Conn
	lingers atomic.Bool
	corked  bool // belongs to the goroutine that answers
	once    sync.Once
	open    *atomic.Int64 // connections of the listener; nil when this one was never counted
}

// linger makes the coming Close take its time.
func linger(c net.Conn) {
	if l := lingering(c); l != nil {
		l.lingers.Store(true)
	}
}

// lingerNot takes linger back: the client has nothing left to say.
func lingerNot(c net.Conn) {
	if l := lingering(c); l != nil {
		l.lingers.Store(false)
	}
}

// lingering finds the connection that can linger, under TLS too; nil if there is none.
func lingering(c net.Conn) *lingerConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	l, _ := c.(*lingerConn)
	return l
}

// cork holds the answer back until the file that it ends with was sent as well.
func cork(c net.Conn) {
	if l, ok := c.(*lingerConn); ok {
		l.corked = true
		setCork(l.Conn, true)
	}
}

// ReadFrom lets the kernel send a file by itself: without it the bytes would take the way through this process.
func (c *lingerConn) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		n, err := to.ReadFrom(r)
		if c.corked {
			c.corked = false
			setCork(c.Conn, false)
		}
		return n, err
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

func (c *lingerConn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.lingers.Swap(false) {
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
	if c.open != nil {
		c.once.Do(func() { c.open.Add(-1) })
	}
	return c.Conn.Close()
}
