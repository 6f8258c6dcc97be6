//go:build !linux

package peer

import (
	"net"

	"weir/internal/session"
)

// Network returns nil: only Linux tells about a connection.
func Network(net.Conn) func() (session.Network, bool) { return nil }
