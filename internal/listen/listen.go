// Package listen opens TCP listeners that can be moved while they are served, makes the TLS configurations that they
// use, and reads the headers of the PROXY protocol.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Open listens on an address for a protocol, which errors name. Multipath TCP, Go's default, is turned off: what it
// falls back to lacks features of plain TCP sockets and costs more.
//
// beside are the listeners of this program: one of them may hold the port of the new address, such as :1935 where
// 127.0.0.1:1935 is wanted, until it is given another socket.
func Open(ctx context.Context, proto, addr string, beside ...*Listener) (*Socket, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		ln, err = openBeside(ctx, lc, addr, beside, err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening for %s on %s: the port is taken by another program, perhaps another weir: see `ss -ltnp`: %w", proto, addr, err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listening for %s on %s: ports below 1024 need the right to bind them (root, or CAP_NET_BIND_SERVICE): %w", proto, addr, err)
	case err != nil:
		return nil, fmt.Errorf("listening for %s on %s: %w", proto, addr, err)
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		_ = ln.Close()
		return nil, fmt.Errorf("listening for %s on %s: %T is no TCP listener", proto, addr, ln)
	}
	return &Socket{ln: tcp}, nil
}
