package listen

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaryHeader is a header of version 2: command 1 is PROXY and 0 LOCAL.
func binaryHeader(command, family byte, body []byte) string {
	b := append([]byte(signature), 0x20|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(append(b, body...))
}

// addresses is the body of a header of version 2 from one address to another.
func addresses(from, to string, extra int) []byte {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	body := append(a.Addr().AsSlice(), b.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(body, a.Port()), b.Port())
	if extra > 0 { // one element that means nothing to us
		body = binary.BigEndian.AppendUint16(append(body, 0xee), uint16(extra-3))
		body = append(body, make([]byte, extra-3)...)
	}
	return body
}

// TestO20_ProxyProtocol has the client's address from trusted proxies alone, and leaves every byte behind the header.
func TestO20_ProxyProtocol(t *testing.T) {
	v4, v6 := "192.0.2.7:4711", "[2001:db8::7]:4711"
	for _, c := range []struct {
		name, header string
		trusted      string
		want         string // "": closed; "self": the peer's own address
		rest         string // besides "hello"
	}{
		{"version 1", "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1935\r\n", "127.0.0.0/8", v4, ""},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 ::1 4711 1935\r\n", "127.0.0.0/8", v6, ""},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.0/8", "self", ""},
		{"version 1, unknown with addresses", "PROXY UNKNOWN ffff:f::1 ffff:f::1 65535 65535\r\n", "127.0.0.0/8", "self", ""},
		{"version 2", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 0)), "127.0.0.0/8", v4, ""},
		{"version 2, IPv6", binaryHeader(1, 0x21, addresses(v6, "[::1]:1", 0)), "127.0.0.0/8", v6, ""},
		{"version 2, mapped", binaryHeader(1, 0x21, addresses("[::ffff:192.0.2.7]:4711", "[::1]:1", 0)), "127.0.0.0/8", v4, ""},
		{"version 2 with more", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 84)), "127.0.0.0/8", v4, ""},
		{"version 2, as long as may be", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 4096-12)), "127.0.0.0/8", v4, ""},
		{"version 2, local", binaryHeader(0, 0, nil), "127.0.0.0/8", "self", ""},
		{"version 2, local with more", binaryHeader(0, 0x11, addresses(v4, "127.0.0.1:1", 0)), "127.0.0.0/8", "self", ""},
		{"version 2, a unix socket", binaryHeader(1, 0x31, make([]byte, 216)), "127.0.0.0/8", "self", ""},
		{"not trusted, version 1", "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1935\r\n", "10.0.0.0/8", "self", "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1935\r\n"},
		{"not trusted, version 2", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 0)), "", "self", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 0))},
		{"none", "GET / HTTP/1.1\r\n\r\n", "127.0.0.0/8", "", ""},
		{"none, RTMP", "\x03" + strings.Repeat("\x00", 40), "127.0.0.0/8", "", ""},
		{"version 1, too long", "PROXY TCP4 " + strings.Repeat("1", 200), "127.0.0.0/8", "", ""},
		{"version 1, no addresses", "PROXY TCP4 192.0.2.7\r\n", "127.0.0.0/8", "", ""},
		{"version 2, too long", binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 4097-12)), "127.0.0.0/8", "", ""},
		{"version 2, too short", binaryHeader(1, 0x11, make([]byte, 11)), "127.0.0.0/8", "", ""},
		{"version 3", strings.Replace(binaryHeader(1, 0x11, addresses(v4, "127.0.0.1:1", 0)), "\x21", "\x31", 1), "127.0.0.0/8", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			l := New(slog.New(slog.NewTextHandler(&log, nil)))
			l.Use(open(t, "127.0.0.1:0"))
			var proxies []netip.Prefix
			if c.trusted != "" {
				proxies = append(proxies, netip.MustParsePrefix(c.trusted))
			}
			l.Trust(proxies)
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_ = client.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(client, c.header+"hello"); err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if n, err := client.Read(make([]byte, 1)); err == nil || n > 0 {
					t.Error("it is still open")
				}
				_ = l.Close()
				if !strings.Contains(log.String(), "connection of a trusted proxy has no valid header of the PROXY protocol: closed") || !strings.Contains(log.String(), "remote="+client.LocalAddr().String()) {
					t.Errorf("the log has %q", log.String())
				}
				return
			}
			defer l.Close()
			nc, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if want := strings.Replace(c.want, "self", client.LocalAddr().String(), 1); nc.RemoteAddr().String() != want {
				t.Errorf("from %s, want %s", nc.RemoteAddr(), want)
			}
			if via := Via(nc); (c.want != "self") != (len(via) == 1 && via[0].String() == "127.0.0.1") {
				t.Errorf("via %v", via)
			}
			_ = client.(*net.TCPConn).CloseWrite()
			if b, err := io.ReadAll(nc); string(b) != c.rest+"hello" || err != nil {
				t.Errorf("behind the header: %q, %v", b, err)
			}
			raw := nc
			if p, ok := nc.(*Proxied); ok {
				raw = p.Socket()
			}
			if _, ok := raw.(*net.TCPConn); !ok {
				t.Errorf("%T is no bare socket", raw)
			}
		})
	}
}

// A proxy that sends its header slowly or never delays no other connection, and Close waits for nobody.
func TestProxyThatSaysNothing(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler))
	l.Use(open(t, "127.0.0.1:0"))
	l.Trust([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	var silent []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	good, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for _, part := range strings.SplitAfter("PROXY TCP4 192.0.2.7 127.0.0.1 4711 1935\r\n", " ") {
			_, _ = io.WriteString(good, part)
		}
	})
	nc, err := l.Accept()
	if err != nil || nc.RemoteAddr().String() != "192.0.2.7:4711" {
		t.Fatal(nc, err)
	}
	_ = nc.Close()
	begin := time.Now()
	_ = l.Close()
	if d := time.Since(begin); d > headerTime/2 {
		t.Errorf("Close took %v", d)
	}
	for _, c := range silent {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("still open")
		}
	}
}
