package push

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"weir/amf"
	"weir/internal/hops"
	"weir/internal/reach"
	"weir/rtmp"
)

const (
	connectTime  = 5 * time.Second // for the name and the TCP connection
	tlsTime      = 5 * time.Second
	publishTime  = 10 * time.Second // for connect, and for publish
	drainTime    = 15 * time.Second // for what is still to be sent when the stream has ended
	endTime      = 3 * time.Second  // for it when the target is to end at once
	stallTime    = 15 * time.Second // a server that takes nothing for this long is given up
	maxRedirects = 3
	chunkSize    = 4096
	// flashVer is what OBS calls itself: some servers decide by it.
	flashVer = "FMLE/3.0 (compatible; FMSc/1.0)"
)

// link is a server that has accepted the stream.
type link struct {
	client *rtmp.Client
	pub    *rtmp.PublishStream
	conn   *patientConn
	at     *Address // which may not be that of the configuration: servers send their publishers on
	// moved is where the server asks its publishers to go, by a request to reconnect; nil: nowhere.
	moved atomic.Pointer[string]
	// ended is a status that ends the stream although its level is not error; nil: none.
	ended atomic.Pointer[rtmp.StatusError]
	// told has an element once one of these is set.
	told chan struct{}
}

// dial connects to the server at a and publishes. It follows where servers send it on to. asked
// is set to when the server was asked to publish.
func (t *target) dial(ctx context.Context, a *Address, asked *time.Time) (*link, error) {
	for range maxRedirects + 1 {
		t.goesTo(a)
		if t.fetchedFrom(a.Host, netip.Addr{}) {
			return nil, errBack // a server of another kind in between would not tell
		}
		l, err := t.attempt(ctx, a, asked)
		if err == nil {
			return l, nil
		}
		next, ok := redirection(err)
		if !ok {
			return nil, err
		}
		to, err := follow(a.URL, next)
		if err != nil {
			return nil, err
		}
		a = a.movedTo(to)
	}
	return nil, errRedirects
}

// goesTo notes where the stream goes.
func (t *target) goesTo(a *Address) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.address = a
}

// fetchedFrom reports whether the stream is fetched from a host or an address.
func (t *target) fetchedFrom(host string, addr netip.Addr) bool {
	return t.m.opt.Pulled != nil && t.m.opt.Pulled(t.path, host, addr)
}

// attempt is one connection.
func (t *target) attempt(ctx context.Context, a *Address, asked *time.Time) (*link, error) {
	l := &link{at: a, told: make(chan struct{}, 1)}
	opts := rtmp.DialOptions{
		Dial: func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			l.conn, err = t.connect(ctx, network, address, a)
			return l.conn, err
		},
		Name: a.Name, TLSConfig: t.tls(), TLSTimeout: tlsTime, Timeout: connectTime + publishTime, WriteTimeout: stallTime,
		ChunkSize: chunkSize, FlashVer: flashVer, SwfURL: a.tcURL(), OnStatus: l.status,
	}
	if strings.HasPrefix(a.URL, "rtmps:") {
		opts.Timeout += tlsTime
	}
	if t.Caps == "on" {
		opts.Caps = rtmp.AnyCodec()
		opts.Caps.CapsEx |= rtmp.CapReconnect
	}
	if a.service == custom { // services get what OBS sends, and nothing else
		list := append(slices.Clone(t.hops()), hops.Entry(t.m.opt.Server, t.path))
		opts.Properties = amf.Object{{Key: hops.Property, Value: hops.Join(list)}}
	}
	var err error
	if l.client, err = rtmp.Dial(ctx, a.URL, opts); err != nil {
		return nil, err
	}
	*asked = time.Now()
	bounded, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	if l.pub, err = l.client.Publish(bounded); err != nil {
		_ = l.client.Close()
		return nil, err
	}
	return l, nil
}

// hops returns the servers that the stream's publisher came through.
func (t *target) hops() []string {
	p, _ := t.stream.Publisher()
	return p.Hops
}

// status takes a status that comes while the stream is sent.
func (l *link) status(st *rtmp.StatusError) {
	switch st.Code {
	case rtmp.CodeConnectReconnectRequest:
		to, _ := st.Properties.GetString("tcUrl")
		l.moved.Store(&to)
	case codeInternalKill, rtmp.CodePublishBadName, rtmp.CodePublishFailed, rtmp.CodePublishRejected, rtmp.CodePublishDenied:
		l.ended.Store(st)
	default:
		return
	}
	select {
	case l.told <- struct{}{}:
	default:
	}
}

// redirection returns where a server sends us on to instead of accepting the stream (ex.code 302).
func redirection(err error) (to string, ok bool) {
	st, ok := errors.AsType[*rtmp.StatusError](err)
	if !ok {
		return "", false
	}
	v, _ := st.Properties.Get("ex")
	ex, ok := amf.Properties(v)
	if !ok {
		return "", false
	}
	if code, _ := ex.GetNumber("code"); code != 302 {
		return "", false
	}
	to, _ = ex.GetString("redirect")
	return to, to != ""
}

// follow returns the URL of an application to which the server at from sends its publishers. It has
// from's scheme.
func follow(from, to string) (string, error) {
	scheme, rest, _ := strings.Cut(from, "://")
	if strings.HasPrefix(to, "/") { // on the same server
		authority, _, _ := strings.Cut(rest, "/")
		return scheme + "://" + authority + strings.TrimSuffix(to, "/"), nil
	}
	toScheme, authority, path, err := split(to)
	if err != nil || toScheme != scheme {
		return "", errDowngrade
	}
	if path == "" {
		_, path, _ = strings.Cut(rest, "/")
	}
	return scheme + "://" + authority + "/" + strings.TrimSuffix(path, "/"), nil
}

// tls returns how the target's server is verified.
func (t *target) tls() *tls.Config {
	conf := &tls.Config{RootCAs: t.m.opt.Roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.insecure} //nolint:gosec // only on request
	pin, _ := reach.ParseFingerprint(t.Pin)                                                                   // it has been checked
	pin.Pin(conf)
	return conf
}

// connect opens the TCP connection: to all addresses of the name, IPv6 and IPv4 at once if the first
// of them does not answer. It refuses to reach the stream itself.
func (t *target) connect(ctx context.Context, network, address string, a *Address) (*patientConn, error) {
	open := t.m.opt.Dial
	if open == nil {
		open = (&net.Dialer{Timeout: connectTime, Resolver: t.m.opt.Resolver, Control: t.control}).DialContext
	}
	nc, err := open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &patientConn{Conn: nc}
	switch {
	case t.itself(nc.RemoteAddr(), a):
		err = errLoop
	case t.fetchedFrom("", c.remote()):
		err = errBack
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

// remote returns the address of the server; none if it has none of IP.
func (c *patientConn) remote() netip.Addr {
	if to, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return to.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// control is for each connection before it is made.
func (t *target) control(network, address string, c syscall.RawConn) error {
	if err := t.guard.Control(network, address, c); err != nil {
		return err
	}
	return bound(c)
}

// itself reports whether what was reached is this server and the stream there is this one.
func (t *target) itself(remote net.Addr, a *Address) bool {
	to, ok := remote.(*net.TCPAddr)
	if !ok || t.m.opt.Own == nil || !t.m.opt.Own(to.Port) || !local(to.AddrPort().Addr()) {
		return false
	}
	_, _, app, err := split(a.URL)
	if err != nil {
		return false
	}
	u, err := rtmp.ParsePath(app, a.tcURL(), a.Name)
	return err == nil && u.Path == t.path
}

// local reports whether an address is this machine's.
func local(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if ip.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap().WithZone("") == ip
	})
}
