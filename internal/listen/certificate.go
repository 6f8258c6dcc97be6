package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certEvery is how often a certificate's files are checked for changes.
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

// TLS returns a TLS configuration with a certificate and its key, which are read again when their files change.
func TLS(log *slog.Logger, cert, key string) (*tls.Config, error) {
	c := NewCertificates(log)
	next, err := c.Load(cert, key)
	if err != nil {
		return nil, err
	}
	c.Use(next)
	return c.Config(), nil
}

// Certificates is the certificate of a listener, which can be exchanged while it is served. Connections that have it
// keep it.
type Certificates struct {
	log     *slog.Logger
	current atomic.Pointer[certificate]
}

// NewCertificates returns one without a certificate: until Use handshakes fail.
func NewCertificates(log *slog.Logger) *Certificates { return &Certificates{log: log} }

// Loaded is a certificate that has been read and fits its key, for Use.
type Loaded struct{ *certificate }

// Load reads a certificate and its key.
func (c *Certificates) Load(cert, key string) (Loaded, error) {
	next := &certificate{cert: cert, key: key, log: c.log}
	return Loaded{next}, next.load(time.Now())
}

// Use makes new connections use a certificate, which is read again when its files change.
func (c *Certificates) Use(l Loaded) { c.current.Store(l.certificate) }

// Config returns the TLS configuration of the connections.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: c.get,
		// A live stream gains nothing from small first records.
		DynamicRecordSizingDisabled: true,
	}
}

func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := c.current.Load()
	if now == nil {
		return nil, errors.New("there is no certificate")
	}
	return now.get(hello)
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
	pair.PrivateKey = gate(pair.PrivateKey)
	c.pair, c.modTime = &pair, st.ModTime()
	return nil
}

// get returns the certificate whatever name the client asks for: cameras send an address or nothing.
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
