package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// listener opens listeners and logs where they really are.
type listener struct{ log *slog.Logger }

// open listens on a TCP address. Multipath TCP, Go's default, is turned off: what it
// falls back to lacks features of plain TCP sockets and costs more.
func (l *listener) open(proto, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening for %s on %s: the port is taken by another program, perhaps another weir: see `ss -ltnp`: %w", proto, addr, err)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("listening for %s on %s: ports below 1024 need the right to bind them (root, or CAP_NET_BIND_SERVICE): %w", proto, addr, err)
	case err != nil:
		return nil, fmt.Errorf("listening for %s on %s: %w", proto, addr, err)
	}
	l.log.Info("listening", slog.String("proto", proto), slog.String("addr", ln.Addr().String()))
	return ln, nil
}

// certEvery is how often a certificate's files are looked at.
const certEvery = 10 * time.Second

// certificate is a key pair that is read again when its files change.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // guards below
	pair    *tls.Certificate
	modTime time.Time
	looked  time.Time
}

// loadTLS makes the TLS configuration of a certificate and its key.
func loadTLS(log *slog.Logger) func(cert, key string) (*tls.Config, error) {
	return func(cert, key string) (*tls.Config, error) {
		c := &certificate{cert: cert, key: key, log: log}
		if err := c.load(time.Now()); err != nil {
			return nil, err
		}
		return &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: c.get,
			// Records are filled whenever there is enough to send: a live stream has no use
			// for small first ones.
			DynamicRecordSizingDisabled: true,
		}, nil
	}
}

func (c *certificate) load(now time.Time) error {
	c.looked = now
	st, err := os.Stat(c.cert)
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	if c.pair != nil && st.ModTime().Equal(c.modTime) {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("TLS certificate %s with key %s: %w", c.cert, c.key, err)
	}
	c.pair, c.modTime = &pair, st.ModTime()
	return nil
}

// get returns the certificate for any name, or none: cameras send no name or an address.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= certEvery {
		if err := c.load(now); err != nil {
			c.log.Error("certificate cannot be read again: going on with the last one", slog.Any("err", err))
		}
	}
	return c.pair, nil
}
