package runtime

import (
	"net"
	"syscall"
)

// setCork holds what is written to a connection back until the cork is drawn, or a packet is full: the head of an answer and
// the file behind it then leave together, and wake the client once.
func setCork(c net.Conn, held bool) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	value := 0
	if held {
		value = 1
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, value) })
}
