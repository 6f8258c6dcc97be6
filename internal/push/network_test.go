package push

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/session"
)

// TestC433_TLS: a server whose certificate or TLS is wrong is refused with a sentence that says what is, and is
// never reached without TLS; one whose fingerprint is known is taken.
func TestC433_TLS(t *testing.T) {
	const host = "h.example"
	good, roots := authority(t, nil, host)
	expired, old := authority(t, func(c *x509.Certificate) { c.NotAfter = time.Unix(1000, 0) }, host)
	elsewhere, others := authority(t, nil, "other.example", "more.example")
	sum := sha256.Sum256(good.Certificate[0])
	fingerprint := strings.ToUpper(hex.EncodeToString(sum[:]))
	colons := "sha256 Fingerprint="
	for i := 0; i < len(fingerprint); i += 2 {
		colons += fingerprint[i:i+2] + ":"
	}
	colons = strings.TrimSuffix(colons, ":")
	serve := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	for _, c := range []struct {
		name  string
		tls   *tls.Config
		roots *x509.CertPool
		pin   string
		state State
		says  string
	}{
		{"good", serve(good), roots, "", Live, ""},
		{"SNI required", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName != host {
				return nil, errors.New("no name")
			}
			return &good, nil
		}}, roots, "", Live, ""},
		{"expired", serve(expired), old, "", Refused, "the certificate of h.example has expired or is not valid yet"},
		{"wrong name", serve(elsewhere), others, "", Refused, "the server's certificate is for other.example, more.example and not for h.example: look at the host of the URL"},
		{"self-signed", serve(good), x509.NewCertPool(), "", Refused, "nobody that this machine trusts vouches for the certificate of h.example: if it is your own server, write the certificate's fingerprint as pin"},
		{"self-signed with pin", serve(good), x509.NewCertPool(), fingerprint, Live, ""},
		{"expired with pin as openssl prints it", serve(good), x509.NewCertPool(), colons, Live, ""},
		{"another pin", serve(elsewhere), others, fingerprint, Refused, "is not the one whose fingerprint is in pin"},
		{"TLS 1.1 alone", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, roots, "", Refused, "h.example refuses the TLS connection: tls: protocol version not supported"},
		{"no TLS", nil, roots, "", Retrying, "h.example closes the connection within the TLS handshake: look at the port, and at whether it speaks TLS there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDouble(t)
			d.tls = c.tls
			addr := d.listen()
			conf := to("it", "rtmps://"+host+"/live", "cam")
			if conf.Pin = c.pin; conf.Validate() != nil {
				t.Fatal(conf.Validate())
			}
			w := newWorld(t, func(o *Options) {
				o.Roots = c.roots
				o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if address != host+":443" {
						t.Errorf("%s is dialed", address)
					}
					return new(net.Dialer).DialContext(ctx, network, addr)
				}
			}, conf)
			s := w.publish("live/cam", "p1")
			s.frame()
			st := w.until("judged", func(st Status) bool { return st.State == Live || st.Error != "" })
			if st.State != c.state || !strings.Contains(st.Error, c.says) {
				t.Errorf("%v: %s", st.State, st.Error)
			}
			if c.state == Refused {
				for _, v := range d.list() {
					if v.name() != "" {
						t.Error("the key was sent")
					}
				}
			}
			s.pub.Close(session.ErrKicked)
		})
	}
}

// names is a DNS server that answers with the addresses of a name, or that there is none.
type names struct {
	conn net.PacketConn

	mu    sync.Mutex // guards below
	addrs []netip.Addr
	mute  bool
	held  []func() // answers that are held back while it is mute
}

func newNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn}
	var wg sync.WaitGroup
	wg.Go(n.serve)
	t.Cleanup(func() {
		n.set(false) // the resolver leaves no goroutine behind once it is answered
		conn.Close()
		wg.Wait()
	})
	return n
}

// resolver asks it alone.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

// set changes the answer.
func (n *names) set(mute bool, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mute, n.addrs = mute, nil
	for _, a := range addrs {
		n.addrs = append(n.addrs, netip.MustParseAddr(a))
	}
	if !mute {
		for _, f := range n.held {
			f()
		}
		n.held = nil
	}
}

func (n *names) serve() {
	b := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(b)
		if err != nil {
			return
		}
		q := append([]byte{}, b[:size]...)
		answer := func() { _, _ = n.conn.WriteTo(n.answer(q), from) }
		n.mu.Lock()
		if n.mute {
			n.held = append(n.held, answer)
		} else {
			answer()
		}
		n.mu.Unlock()
	}
}

// answer makes the answer to a question for addresses (RFC 1035 §4).
func (n *names) answer(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	typ := binary.BigEndian.Uint16(q[end-4:])
	var records []byte
	count := 0
	for _, a := range n.addrs {
		if want := uint16(1); a.Is4() == (typ == want) {
			records = append(records, 0xc0, 12)
			records = binary.BigEndian.AppendUint16(records, typ)
			records = append(records, 0, 1, 0, 0, 0, 0, 0, byte(len(a.AsSlice())))
			records = append(records, a.AsSlice()...)
			count++
		}
	}
	head := append([]byte{}, q[:2]...)
	flags := uint16(0x8180)
	if len(n.addrs) == 0 {
		flags |= 3 // no such name
	}
	head = binary.BigEndian.AppendUint16(head, flags)
	head = append(head, 0, 1, 0, byte(count), 0, 0, 0, 0)
	return append(append(head, q[12:end]...), records...)
}

// TestC432_Names: a name that is not known at first is looked up anew; so is one whose address changes; one that is
// not answered costs 5 s and leaves nothing behind.
func TestC432_Names(t *testing.T) {
	n := newNames(t)
	d := newDouble(t)
	_, port, _ := net.SplitHostPort(d.listen())
	w := newWorld(t, func(o *Options) { o.Resolver = n.resolver() }, to("it", "rtmp://push.test:"+port+"/live", "cam"))
	s := w.publish("live/cam", "p1")
	s.frame()
	st := w.until("failed", in(Retrying))
	if st.Reason != session.Unreachable || st.Error != "the name push.test is not known: look at the host of the URL" {
		t.Errorf("%v: %s", st.Reason, st.Error)
	}
	n.set(false, "127.0.0.1")
	st = w.until("live", in(Live))

	// The next session finds the new address.
	moved := newDouble(t)
	ln, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if nc, err := ln.Accept(); err == nil {
			moved.accept(nc, "")
		}
	})
	defer wg.Wait()
	defer ln.Close()
	n.set(false, "127.0.0.2")
	_ = d.list()[0].conn.Close()
	w.until("lost", func(st Status) bool { return st.State != Live })
	s.n = 25
	s.frame()
	w.until("live again", func(st Status) bool { return st.State == Live && st.Sessions == 2 })
	if len(moved.list()) != 1 {
		t.Error("the old address was used")
	}

	n.set(true)
	_ = moved.list()[0].conn.Close()
	w.until("lost", func(st Status) bool { return st.State != Live })
	s.n = 50
	s.frame()
	begun := time.Now()
	st = w.until("failed", func(st Status) bool { return st.State == Retrying && st.Reason == session.Timeout })
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("%v: %s", took, st.Error)
	}
	s.pub.Close(session.ErrKicked)
}

// TestC432_DeadIPv6: while an IPv6 address does not answer, the IPv4 address of the name is tried after 300 ms.
func TestC432_DeadIPv6(t *testing.T) {
	n := newNames(t)
	d := newDouble(t)
	_, port, _ := net.SplitHostPort(d.listen())
	hole(t, "[::1]:"+port)
	n.set(false, "::1", "127.0.0.1")
	w := newWorld(t, func(o *Options) { o.Resolver = n.resolver() }, to("it", "rtmp://push.test:"+port+"/live", "cam"))
	begun := time.Now()
	s := w.publish("live/cam", "p1")
	s.frame()
	w.until("live", in(Live))
	// A second for the stream's tracks to be settled is not waited for: both have come.
	if took := time.Since(begun); took < 250*time.Millisecond || took > 1500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	s.pub.Close(session.ErrKicked)
}

// hole makes an address of TCP that does not answer: its queue of connections is full.
func hole(t *testing.T, addr string) {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}); err != nil {
		t.Skip("there is no IPv6 here:", err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		nc, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
	t.Fatal("the queue of connections is not full")
}

// TestPatientWrites: a write that is taken little by little goes on for as long as it takes, and one that is not
// taken at all ends.
func TestPatientWrites(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c := &patientConn{Conn: nc}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil { // it is hurried
		t.Fatal(err)
	}
	if n, err := c.Write(make([]byte, 64<<20)); err == nil || n == 64<<20 {
		t.Errorf("%d bytes were written", n)
	}
	if err := c.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			<-time.After(time.Millisecond)
			if _, err := peer.Read(b); err != nil {
				return
			}
		}
	})
	defer wg.Wait()
	if _, err := c.Write(make([]byte, 16<<20)); err != nil {
		t.Errorf("a write that is taken failed: %v", err)
	}
	_ = c.Close()
}
