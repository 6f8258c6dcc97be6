package server

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"weir/internal/config"
	"weir/internal/hook/deliver"
	"weir/internal/protocol"
)

// Validate implements config.Validator: it refuses two listeners on one port, hooks that cannot be told apart, and
// entries of streams that ask what is not configured.
func (c *Config) Validate() error {
	return errors.Join(append(c.checkAuth(), c.checkListeners(), deliver.Check(c.Hooks))...)
}

// checkListeners refuses two listeners on one port. It reports both keys, so that both places are told.
func (c *Config) checkListeners() error {
	all := c.listeners()
	var errs []error
	for i, b := range all {
		for _, a := range all[:i] {
			if !collide(a.Address(), b.Address()) {
				continue
			}
			errs = append(errs,
				config.Errorf(a.Addr, "%s is taken twice: %s has %s too; give each a port of its own", *a.Addr, b.Key, *b.Addr),
				config.Errorf(b.Addr, "%s is taken twice: %s has %s too; give each a port of its own", *b.Addr, a.Key, *a.Addr))
		}
	}
	return errors.Join(errs...)
}

// listeners returns all listeners, also those that are turned off.
func (c *Config) listeners() []protocol.Listener {
	var all []protocol.Listener
	for _, f := range c.folders() {
		if p, ok := f.Section.(protocol.Listening); ok {
			all = append(all, p.Listeners()...)
		}
	}
	return append(all,
		protocol.Listener{Proto: "http", Key: "http.listen", Addr: &c.HTTP.Listen, Proxies: c.HTTP.ProxyProtocol},
		protocol.Listener{Proto: "https", Key: "http.tls.listen", Addr: &c.HTTP.TLS.Listen, TLS: &c.HTTP.TLS, Proxies: c.HTTP.ProxyProtocol},
		protocol.Listener{Proto: "admin", Key: "admin.listen", Addr: &c.Admin.Listen})
}

// collide reports whether only one of two addresses can be listened on.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil { // an empty one listens nowhere
		return false
	}
	n, err := strconv.Atoi(portA)
	m, errM := strconv.Atoi(portB)
	if err != nil || errM != nil || n != m || n == 0 { // each gets a free port of its own
		return false
	}
	return everywhere(hostA) || everywhere(hostB) || canonical(hostA) == canonical(hostB)
}

// everywhere reports whether a host stands for all addresses; in Go 0.0.0.0 and :: both do.
func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// canonical returns one form of an address however it is written.
func canonical(host string) string {
	if host == "localhost" {
		return "127.0.0.1" // as Go listens on it
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
