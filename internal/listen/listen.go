// Package listen opens TCP listeners, and makes the TLS configurations that they use.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// TCP listens on an address for a protocol, which errors name. Multipath TCP, Go's default, is turned off: what it
// falls back to lacks features of plain TCP sockets and costs more.
func TCP(ctx context.Context, proto, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening for %s on %s: the port is taken by another program, perhaps another weir: see `ss -ltnp`: %w", proto, addr, err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listening for %s on %s: ports below 1024 need the right to bind them (root, or CAP_NET_BIND_SERVICE): %w", proto, addr, err)
	case err != nil:
		return nil, fmt.Errorf("listening for %s on %s: %w", proto, addr, err)
	}
	return ln, nil
}
