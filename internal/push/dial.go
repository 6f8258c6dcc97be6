package push

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/amf"
	"weir/internal/hops"
	"weir/rtmp"
)

const (
	connectTime  = 5 * time.Second // for the name and the TCP connection
	tlsTime      = 5 * time.Second
	publishTime  = 10 * time.Second // for connect, and for publish
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
	// moved is where the server asks its publishers to go, by a request to reconnect; nil: nowhere.
	moved atomic.Pointer[string]
	// ended is a status that ends the stream although its level is not error; nil: none.
	ended atomic.Pointer[rtmp.StatusError]
	// told has an element once one of these is set.
	told chan struct{}
}

// dial connects to the server at a and publishes. It follows where servers send it on to. published
// is set once the server has been asked to publish.
func (t *target) dial(ctx context.Context, a *Address, published *bool) (*link, error) {
	to := *a
	for range maxRedirects + 1 {
		l, err := t.attempt(ctx, &to, published)
		if err == nil {
			return l, nil
		}
		next, ok := redirection(err)
		if !ok {
			return nil, err
		}
		if to.URL, err = follow(to.URL, next); err != nil {
			return nil, err
		}
	}
	return nil, errRedirects
}

// attempt is one connection.
func (t *target) attempt(ctx context.Context, a *Address, published *bool) (*link, error) {
	l := &link{told: make(chan struct{}, 1)}
	opts := rtmp.DialOptions{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return t.connect(ctx, network, address, a)
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
	*published = true
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
	conf := &tls.Config{RootCAs: t.m.opt.Roots, MinVersion: tls.VersionTLS12}
	want, _ := t.pin()
	if want == nil {
		conf.InsecureSkipVerify = t.insecure //nolint:gosec // only on request
		return conf
	}
	conf.InsecureSkipVerify = true //nolint:gosec // the certificate itself is known
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if is := sha256.Sum256(s.PeerCertificates[0].Raw); !slices.Equal(is[:], want) {
			return errPin
		}
		return nil
	}
	return conf
}

// connect opens the TCP connection: to all addresses of the name, IPv6 and IPv4 at once if the first
// of them does not answer. It refuses to reach the stream itself.
func (t *target) connect(ctx context.Context, network, address string, a *Address) (net.Conn, error) {
	open := t.m.opt.Dial
	if open == nil {
		open = (&net.Dialer{Timeout: connectTime, Resolver: t.m.opt.Resolver, Control: bound}).DialContext
	}
	nc, err := open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if t.itself(nc.RemoteAddr(), a) {
		_ = nc.Close()
		return nil, errLoop
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nc, nil
	}
	return &patientConn{TCPConn: tcp}, nil
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

// patientConn is a TCP connection whose writes last as long as some of what is written is taken
// every stallTime, however slow the network is.
type patientConn struct {
	*net.TCPConn
	hurried atomic.Bool
}

// stallStep is how often a write looks whether some of what is written was taken.
const stallStep = stallTime / 10

// SetWriteDeadline notes a deadline that is to be kept: the connection is being closed.
func (c *patientConn) SetWriteDeadline(at time.Time) error {
	hurried := !at.IsZero() && time.Until(at) < stallTime/2
	c.hurried.Store(hurried)
	if !hurried {
		at = time.Now().Add(stallStep)
	}
	return c.TCPConn.SetWriteDeadline(at)
}

// Write implements net.Conn.
func (c *patientConn) Write(b []byte) (n int, err error) {
	for taken := time.Now(); ; {
		var m int
		m, err = c.TCPConn.Write(b[n:])
		if n += m; m > 0 {
			taken = time.Now()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.hurried.Load() || time.Since(taken) >= stallTime {
			return n, err
		}
		if err = c.TCPConn.SetWriteDeadline(time.Now().Add(stallStep)); err != nil {
			return n, err
		}
	}
}
