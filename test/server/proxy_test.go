package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/pires/go-proxyproto"

	"weir/internal/admit"
	"weir/internal/demo"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// balanced dials as a load balancer does for a client: with a header of the PROXY protocol of a version, 0 for none.
func balanced(version byte, client string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil || version == 0 {
			return c, err
		}
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 4711))
		to := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.200:1"))
		if from.IP.To4() == nil {
			to = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::200]:1"))
		}
		_, err = proxyproto.HeaderProxyFromAddrs(version, from, to).WriteTo(c)
		return c, err
	}
}

// TestO20_OneAddressEverywhere: whatever tells the client's address, it is the same in the session, for who decides, in
// the log, in the API and for the limit of an address; from those who are not trusted it is nowhere.
func TestO20_OneAddressEverywhere(t *testing.T) {
	all := netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		name    string
		version byte
		header  string // "Name: ADDRESS" of HTTP
		trusted bool
		client  string
	}{
		{"PROXY version 1", 1, "", true, "192.0.2.7"},
		{"PROXY version 2", 2, "", true, "192.0.2.7"},
		{"PROXY version 2, IPv6", 2, "", true, "2001:db8::7"},
		{"X-Forwarded-For", 0, "X-Forwarded-For: ADDRESS, 127.0.0.3", true, "192.0.2.7"},
		{"Forwarded", 0, `Forwarded: for="ADDRESS";proto=https`, true, "192.0.2.7"},
		{"X-Real-IP", 0, "X-Real-IP: ADDRESS", true, "2001:db8::7"},
		{"PROXY, then X-Forwarded-For", 2, "X-Forwarded-For: ADDRESS, 127.0.0.3", true, "192.0.2.7"},
		{"X-Forwarded-For of nobody we know", 0, "X-Forwarded-For: ADDRESS", false, "192.0.2.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			r := start(t, func(conf *server.Config) {
				if c.trusted {
					conf.HTTP.TrustedProxies = []netip.Prefix{all}
				}
				if c.version > 0 {
					conf.HTTP.ProxyProtocol, conf.RTMP.ProxyProtocol = []netip.Prefix{all}, []netip.Prefix{all}
				}
				conf.Limits.ConnectionsPerIP = 2
			}, func(o *server.Options) {
				o.Admit = func(_ context.Context, r *admit.Request) (*session.Terms, error) {
					mu.Lock()
					defer mu.Unlock()
					asked = append(asked, fmt.Sprint(r.Remote.Addr(), " via ", len(r.Via)))
					return nil, nil
				}
			})
			want := c.client
			if !c.trusted {
				want = "127.0.0.1"
			}
			through := c.client // what the balancer says
			if c.header != "" {
				through = "127.0.0.9"
			}
			publish := func(path string) (io.Closer, error) {
				dial := balanced(c.version, c.client)
				conn, err := rtmp.Dial(t.Context(), r.url(path), rtmp.DialOptions{Dial: dial})
				if err != nil {
					return nil, err
				}
				if _, err := conn.Publish(t.Context()); err != nil {
					conn.Close()
					return nil, err
				}
				return closer(func() { conn.Close() }), nil
			}
			view := func() (int, func()) {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.httpURL("live/a.flv"), nil)
				if err != nil {
					t.Fatal(err)
				}
				if name, value, ok := strings.Cut(c.header, ": "); ok {
					req.Header.Set(name, strings.Replace(value, "ADDRESS", bracketed(name, c.client), 1))
				}
				res, err := (&http.Transport{DialContext: balanced(c.version, through)}).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				return res.StatusCode, func() { _ = res.Body.Close() }
			}
			local, err := r.InProcess().PublishLocal(t.Context(), "live/a")
			if err != nil {
				t.Fatal(err)
			}
			defer local.Close()
			ctx, stop := context.WithCancel(t.Context())
			var publishing sync.WaitGroup
			defer publishing.Wait()
			defer stop()
			publishing.Go(func() { _ = demo.Publish(ctx, local.Write) })
			limited := want != "127.0.0.1"
			if c.version > 0 && c.header == "" {
				p, err := publish("live/b")
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				for _, s := range r.sessions.List() {
					if s.Protocol == "rtmp" && s.Remote.String() != netip.AddrPortFrom(netip.MustParseAddr(want), 4711).String() {
						t.Errorf("an RTMP session is from %v", s.Remote)
					}
				}
			} else {
				status, end := view()
				defer end()
				if status != http.StatusOK {
					t.Fatal(status)
				}
			}
			status, end := view()
			defer end()
			if status != http.StatusOK {
				t.Fatal(status)
			}
			third, end3 := view()
			defer end3()
			if (third == http.StatusServiceUnavailable) != limited {
				t.Errorf("a third session of %s: status %d", want, third)
			}
			n := 0
			for _, s := range r.sessions.List() {
				if s.Protocol == "in-process" {
					continue
				}
				if n++; s.Remote.Addr().String() != want {
					t.Errorf("a session is from %v, want %s", s.Remote, want)
				}
			}
			if n < 2 {
				t.Errorf("%d sessions", n)
			}
			mu.Lock()
			for _, a := range asked {
				if !strings.HasPrefix(a, want+" via ") {
					t.Errorf("asked about %s, want %s", a, want)
				}
			}
			if len(asked) < 2 {
				t.Errorf("asked %d times", len(asked))
			}
			mu.Unlock()
			res, err := http.Get(r.adminURL("/api/v1/sessions"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || strings.Count(string(body), want) < 2 || want != c.client && strings.Contains(string(body), c.client) {
				t.Errorf("the API has %s, %v", body, err)
			}
			if log := r.log.String(); !strings.Contains(log, want) || want != c.client && strings.Contains(log, c.client) {
				t.Errorf("the log has no %s, or %s", want, c.client)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

// closer is a function to be deferred.
type closer func()

// Close implements io.Closer.
func (c closer) Close() error {
	c()
	return nil
}

// bracketed is an address as a header field has it.
func bracketed(name, addr string) string {
	if name == "Forwarded" && strings.Contains(addr, ":") {
		return "[" + addr + "]"
	}
	return addr
}
