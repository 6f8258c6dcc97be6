package rtmp

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
)

// pairTCP returns both ends of a TCP connection.
func pairTCP(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	if far, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	if near, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return near, far
}

// TestWhatComesIsAcknowledgedAtOnce: the kernel must not wait with its acknowledgement for something
// to send along, neither after a write of ours nor below TLS.
func TestWhatComesIsAcknowledgedAtOnce(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(nc net.Conn) net.Conn { return nc },
		"tls":   func(nc net.Conn) net.Conn { return plainTLS{nc} },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pairTCP(t)
			c := &Conn{nc: wrap(near)}
			c.init(publishBuffer)
			// A write soon after a read is what makes the kernel wait.
			if _, err := far.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if _, err := near.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if _, err := near.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if atOnce(t, near) {
				t.Fatal("the kernel does not wait even without us: the test shows nothing")
			}
			if err := c.writeEncoded([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if !atOnce(t, near) {
				t.Error("the kernel waits with its acknowledgement after a write")
			}
		})
	}
}

// plainTLS has a connection under it, as a tls.Conn has.
type plainTLS struct{ net.Conn }

var _ interface{ NetConn() net.Conn } = (*tls.Conn)(nil)

func (p plainTLS) NetConn() net.Conn { return p.Conn }

// atOnce asks the kernel whether it acknowledges at once.
func atOnce(t *testing.T, nc net.Conn) bool {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var value int
	if cerr := raw.Control(func(fd uintptr) {
		value, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return value == 1
}

// TestQuickAckCostsNoAllocation: it follows each write.
func TestQuickAckCostsNoAllocation(t *testing.T) {
	near, _ := pairTCP(t)
	q := newQuickAck(near)
	if n := testing.AllocsPerRun(100, q.again); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if client, _ := net.Pipe(); newQuickAck(client).raw != nil {
		t.Error("a pipe has no socket")
	}
}
