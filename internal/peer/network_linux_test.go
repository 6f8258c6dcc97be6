package peer

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"weir/internal/intake"
)

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if theirs, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

// TestNetwork: the kernel's figures come through every layer that a connection may have, and none once it is closed.
func TestNetwork(t *testing.T) {
	conf := &tls.Config{}
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(nc net.Conn) net.Conn { return nc },
		"intake": func(nc net.Conn) net.Conn {
			c, _ := intake.Wrap(nc, nil)
			return c
		},
		"TLS":          func(nc net.Conn) net.Conn { return WrapTLS(nc, conf, false) },
		"portable TLS": func(nc net.Conn) net.Conn { return WrapTLS(nc, conf, true) },
		"waiting TLS": func(nc net.Conn) net.Conn {
			c, _ := intake.Wrap(nc, nil)
			return NewWaitingTLS(c, conf, false)
		},
	} {
		ours, theirs := pair(t)
		f := Network(wrap(ours))
		if f == nil {
			t.Errorf("%s: no figures", name)
			continue
		}
		if _, err := ours.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(theirs, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		n, ok := f()
		if !ok || n.RTT <= 0 || n.RTT.Seconds() > 10 || n.Retransmits > 100 || n.Unsent != 0 {
			t.Errorf("%s: %+v, %v", name, n, ok)
		}
		ours.Close()
		if n, ok := f(); ok {
			t.Errorf("%s once it is closed: %+v", name, n)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Network(a) != nil {
		t.Error("a pipe has figures")
	}
}
