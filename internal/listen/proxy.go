package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// headerTime is how long a proxy may take to send its header.
	headerTime = 5 * time.Second
	// maxWaiting bounds the connections of a listener whose header is awaited. Only proxies that are trusted can
	// make them.
	maxWaiting = 4096
	// maxHeader bounds what follows the fixed part of a header of version 2, and with it what a proxy adds for
	// itself.
	maxHeader = 4096
	// maxLine bounds a header of version 1.
	maxLine = 107
)

// Proxied is a TCP connection that came through a proxy, which has told by the PROXY protocol whose it is.
type Proxied struct {
	*net.TCPConn
	from *net.TCPAddr
}

// RemoteAddr implements net.Conn: it returns the client's address.
func (p *Proxied) RemoteAddr() net.Addr { return p.from }

// Socket returns the connection to the proxy itself.
func (p *Proxied) Socket() *net.TCPConn { return p.TCPConn }

// Via returns the proxy through which a connection came, none if it came directly.
func Via(nc net.Conn) []netip.Addr {
	p, ok := nc.(*Proxied)
	if !ok {
		return nil
	}
	proxy, ok := p.TCPConn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	return []netip.Addr{proxy.AddrPort().Addr().Unmap()}
}

// take passes on a connection of the socket, once the header of a trusted proxy has come.
func (l *Listener) take(c *net.TCPConn) {
	if !l.trusts(c.RemoteAddr()) {
		l.deliver(c, nil)
		return
	}
	if !l.await(c) {
		_ = c.Close()
		return
	}
	l.wg.Go(func() {
		whole, err := unwrap(c)
		l.mu.Lock()
		delete(l.waiting, c)
		l.mu.Unlock()
		if err != nil {
			select {
			case <-l.over:
			default:
				l.log.Warn("connection of a trusted proxy has no valid header of the PROXY protocol: closed",
					slog.String("remote", c.RemoteAddr().String()), slog.Any("err", err))
			}
			_ = c.Close()
			return
		}
		l.deliver(whole, nil)
	})
}

// await notes a connection whose header is to be read. It reports false if that must not be.
func (l *Listener) await(c *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.waiting) >= maxWaiting {
		return false
	}
	l.waiting[c] = struct{}{}
	return true
}

// trusts reports whether connections from an address begin with a header.
func (l *Listener) trusts(remote net.Addr) bool {
	proxies := l.proxies.Load()
	if proxies == nil || len(*proxies) == 0 {
		return false
	}
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return false
	}
	a, _ := netip.AddrFromSlice(tcp.IP)
	a = a.Unmap()
	return slices.ContainsFunc(*proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// unwrap reads the header of a connection, and not a byte more: the sockets themselves are read and sent to
// afterwards.
func unwrap(c *net.TCPConn) (net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(headerTime)); err != nil {
		return nil, err
	}
	from, err := readHeader(c)
	if err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if from == nil {
		return c, nil
	}
	return &Proxied{c, from}, nil
}

// signature begins a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// errNoHeader is that of a connection that begins with something else.
var errNoHeader = errors.New("it begins with something else")

// readHeader returns the client's address, nil if the proxy speaks for itself.
func readHeader(r io.Reader) (*net.TCPAddr, error) {
	b := make([]byte, len(signature), 64)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	var err error
	switch {
	case string(b) == signature:
		b, err = readBinary(r, b)
	case bytes.HasPrefix(b, []byte("PROXY ")):
		b, err = readLine(r, b)
	default:
		err = errNoHeader
	}
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(bytes.NewReader(b), len(b))
	h, err := proxyproto.Read(in)
	if err != nil {
		return nil, err
	}
	from, _, ok := h.TCPAddrs()
	if h.Command.IsLocal() || !ok || from.Port == 0 && from.IP.IsUnspecified() {
		return nil, nil
	}
	return from, nil
}

// readBinary reads the rest of a header of version 2.
func readBinary(r io.Reader, b []byte) ([]byte, error) {
	b = append(b, 0, 0, 0, 0)
	if _, err := io.ReadFull(r, b[len(signature):]); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	n := int(binary.BigEndian.Uint16(b[len(b)-2:]))
	if n > maxHeader {
		return nil, fmt.Errorf("it has %d bytes, allowed: at most %d", n, maxHeader)
	}
	head := len(b)
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(r, b[head:]); err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	return b, nil
}

// readLine reads the rest of a header of version 1, byte by byte: its length is not known before its end.
func readLine(r io.Reader, b []byte) ([]byte, error) {
	for b[len(b)-1] != '\n' {
		if len(b) == maxLine {
			return nil, fmt.Errorf("its line is longer than %d bytes", maxLine)
		}
		b = append(b, 0)
		if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
			return nil, fmt.Errorf("reading it: %w", err)
		}
	}
	return b, nil
}
