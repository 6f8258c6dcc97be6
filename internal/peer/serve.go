package peer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Serve accepts connections of ln and handles each on a goroutine until ctx ends, then
// waits for them. When accepting fails for lack of descriptors it logs so, pauses and goes on. It
// closes ln, and returns the error of the listener unless ctx has ended.
func (d *Door) Serve(ctx context.Context, ln net.Listener, handle func(net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	pause := time.Duration(0)
	for {
		c, err := ln.Accept()
		if err == nil {
			pause = 0
			wg.Go(func() { handle(c) })
			continue
		}
		var t interface{ Temporary() bool }
		if ctx.Err() != nil {
			return nil
		}
		if !errors.As(err, &t) || !t.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		d.Log.Warn("accepting connections failed: pausing", slog.Any("err", err), slog.Duration("dur", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// AddrPort returns a TCP address, and the zero value for any other.
func AddrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
