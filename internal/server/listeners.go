package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"

	"weir/internal/listen"
)

// listener is a listener of the server, which may be turned off.
type listener struct {
	*listen.Listener
	certs   *listen.Certificates
	at      string // the address of the configuration that it has
	cert    [2]string
	proxies []netip.Prefix
}

// listener returns the listener of a name. The first call makes it, turned off.
func (s *Server) listener(proto string) *listener {
	l := s.listeners[proto]
	if l == nil {
		l = &listener{Listener: listen.New(s.log.With(slog.String("proto", proto))), certs: listen.NewCertificates(s.log)}
		s.listeners[proto] = l
		s.trust(&s.conf) // before it accepts
	}
	return l
}

// listen opens a listener for the first time.
func (s *Server) listen(proto, addr string) (net.Listener, error) {
	m := move{proto: proto, at: addr, listener: s.listener(proto)}
	if err := m.open(nil); err != nil {
		return nil, err
	}
	m.apply(s.log)
	return m.listener.Listener, nil
}

// listenTLS opens a listener with a certificate for the first time.
func (s *Server) listenTLS(proto string, conf *listen.TLSConfig) (net.Listener, *tls.Config, error) {
	l := s.listener(proto)
	m := move{proto: proto, listener: l}
	if conf.Enabled() {
		m.at, m.cert = conf.Listen, [2]string{conf.Cert, conf.Key}
	}
	if err := m.open(nil); err != nil {
		return nil, nil, err
	}
	m.apply(s.log)
	return l.Listener, l.certs.Config(), nil
}

// trust tells the listeners which proxies tell of their clients.
func (s *Server) trust(c *Config) {
	for _, l := range c.listeners() {
		if own := s.listeners[l.Proto]; own != nil && !slices.Equal(own.proxies, l.Proxies) {
			own.proxies = l.Proxies
			own.Trust(l.Proxies)
		}
	}
}

// Addr returns where a listener ("rtmp", "rtmps", "http", "https", "admin") listens, nil if it is off.
func (s *Server) Addr(proto string) net.Addr {
	if l := s.listeners[proto]; l != nil && l.Active() {
		return l.Listener.Addr()
	}
	return nil
}

// move is a change of a listener: of its address, its certificate or both.
type move struct {
	proto    string
	listener *listener
	at       string // "": it is turned off
	cert     [2]string

	moves  bool           // to another address
	socket *listen.Socket // nil: nowhere
	loaded listen.Loaded
}

// moves prepares what differs between the listeners and those of a configuration. Nothing is changed yet; cancel closes
// what was opened.
func (s *Server) moves(c *Config) (list []*move, err error) {
	var own []*listen.Listener
	for _, l := range s.listeners {
		own = append(own, l.Listener)
	}
	for _, l := range c.listeners() {
		m := &move{proto: l.Proto, listener: s.listeners[l.Proto], at: l.Address()}
		if m.listener == nil {
			continue // its protocol opens none of this name
		}
		if l.TLS != nil && m.at != "" {
			m.cert = [2]string{l.TLS.Cert, l.TLS.Key}
		}
		if err := m.open(own); err != nil {
			cancel(list)
			return nil, fmt.Errorf("%s: %w", strings.TrimSuffix(l.Key, ".listen"), err)
		}
		list = append(list, m)
	}
	return list, nil
}

// cancel closes what moves opened.
func cancel(list []*move) {
	for _, m := range list {
		if m.socket != nil {
			_ = m.socket.Close()
		}
	}
}

// open opens the socket, if the address is another, beside own, and reads the certificate, also if only the content of
// its files may have changed.
func (m *move) open(own []*listen.Listener) (err error) {
	if m.cert != [2]string{} {
		if m.loaded, err = m.listener.certs.Load(m.cert[0], m.cert[1]); err != nil {
			return err
		}
	}
	if m.moves = m.at != m.listener.at; m.moves && m.at != "" {
		if m.socket, err = listen.Open(context.Background(), m.proto, m.at, own...); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the listener what was prepared.
func (m *move) apply(log *slog.Logger) {
	l := m.listener
	l.at, l.cert = m.at, m.cert
	if m.cert != [2]string{} {
		l.certs.Use(m.loaded)
	}
	if !m.moves {
		return
	}
	from := slog.String("proto", m.proto)
	if was := l.Listener.Addr().String(); m.socket == nil {
		log.Info("listening no longer", from, slog.String("addr", was))
	} else {
		log.Info("listening", from, slog.String("addr", m.socket.Addr().String()))
	}
	l.Use(m.socket)
}
