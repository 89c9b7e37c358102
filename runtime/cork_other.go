//go:build !linux

package runtime

import "net"

// setCork is for what Linux alone can do.
func setCork(net.Conn, bool) {}
