package rtmp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// first sends bytes to a new server and returns its answer and the session's end.
func first(t *testing.T, b []byte) (string, error) {
	t.Helper()
	p := serve(t, &Server{Handler: &fakeHandler{}})
	p.background(func() { p.try(b) })
	answer, _ := io.ReadAll(p.nc)
	return string(answer), <-p.end
}

func TestWhatIsNotRTMP(t *testing.T) {
	hello := func(version byte) []byte { return append([]byte{version}, make([]byte, 1536)...) }
	for _, tt := range []struct {
		name   string
		input  []byte
		want   error
		answer string
	}{
		{"C-008 encrypted", hello(6), ErrEncrypted, ""},
		{"C-009 version 0", hello(0), ErrVersion, ""},
		{"C-009 version 255", hello(255), ErrVersion, ""},
		{"C-009 version 2", hello(2), ErrVersion, ""},
		{"C-010 HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), ErrHTTP, "HTTP/1.1 400 Bad Request\r\n"},
		{"C-010 HTTP post", []byte("POST /open/1 HTTP/1.1\r\n\r\n"), ErrHTTP, "HTTP/1.1 400 Bad Request\r\n"},
		{"C-011 TLS", []byte("\x16\x03\x01\x02\x00"), ErrTLSOnPlain, ""},
		{"C-021 PROXY v1", []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), ErrProxyHeader, ""},
		{"C-021 PROXY v2", []byte("\r\n\r\n\x00\r\nQUIT\n"), ErrProxyHeader, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				answer, err := first(t, tt.input)
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v", err)
				}
				if _, ok := errors.AsType[*HandshakeError](err); !ok {
					t.Errorf("%T", err)
				}
				if !strings.HasPrefix(answer, tt.answer) || tt.answer == "" && answer != "" {
					t.Errorf("answer %q", answer)
				}
				if d := time.Since(began); d > time.Second {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestC013_HealthChecks(t *testing.T) {
	ln := listen(t)
	var mu sync.Mutex
	var events []Event
	causes := serveListener(t, ln, &Server{Handler: &fakeHandler{}, Observe: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}})
	for i := range 1000 {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 { // C-014
			_ = nc.(*net.TCPConn).SetLinger(0)
		}
		_ = nc.Close()
	}
	for range 1000 {
		if err := <-causes; !errors.Is(err, ErrProbe) {
			t.Fatal(err)
		}
	}
	if len(events) != 0 {
		t.Error(events)
	}
}

// listen opens a port of its own.
func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serveListener serves until the test ends; the causes of the sessions' ends come out of
// the channel.
func serveListener(t testing.TB, ln net.Listener, srv *Server) <-chan error {
	causes := make(chan error, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := srv.serve(ctx, ln, func(nc net.Conn) { causes <- srv.ServeConn(ctx, nc) })
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return causes
}

func TestHandshakeDeadlinesAreAbsolute(t *testing.T) {
	hello := append([]byte{3}, make([]byte, 1536)...)
	for _, tt := range []struct {
		name  string
		feed  func(nc net.Conn)
		stage Stage
		after time.Duration
	}{
		{"C-015 nothing", func(net.Conn) {}, StageC0C1, 10 * time.Second},
		{"C-016 a byte every 9 s", func(nc net.Conn) {
			for _, b := range hello[:3] {
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(9 * time.Second)
			}
		}, StageC0C1, 10 * time.Second},
		{"C-017 a byte is missing", func(nc net.Conn) { _, _ = nc.Write(hello[:1536]) }, StageC0C1, 10 * time.Second},
		{"C-020 S0S1S2 are not read", func(nc net.Conn) { _, _ = nc.Write(hello) }, StageC0C1, 10 * time.Second},
		{"C2 is missing", func(nc net.Conn) {
			_, _ = nc.Write(hello)
			_, _ = io.ReadFull(nc, make([]byte, 3073))
		}, StageC2, 10 * time.Second},
		{"connect is missing", func(nc net.Conn) {
			_, _ = nc.Write(hello)
			_, _ = io.ReadFull(nc, make([]byte, 3073))
			_, _ = nc.Write(hello[1:])
		}, StageConnect, 10 * time.Second},
		{"C-111 connect then nothing", func(nc net.Conn) {
			_, _ = nc.Write(hello)
			_, _ = io.ReadFull(nc, make([]byte, 3073))
			_, _ = nc.Write(append(hello[1:], unhexString(blockCN)...))
			_, _ = io.Copy(io.Discard, nc)
		}, StageCommand, 10 * time.Second},
		{"C-111 connect then pings", func(nc net.Conn) {
			_, _ = nc.Write(hello)
			_, _ = io.ReadFull(nc, make([]byte, 3073))
			_, _ = nc.Write(append(hello[1:], unhexString(blockCN)...))
			go func() { _, _ = io.Copy(io.Discard, nc) }()
			for range 20 {
				if _, err := nc.Write(unhexString(blockPING)); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}, StageCommand, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p := serve(t, &Server{Handler: &fakeHandler{}})
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { tt.feed(p.nc) })
				err := <-p.end
				timeout, ok := errors.AsType[*TimeoutError](err)
				if !ok || timeout.Stage != tt.stage {
					t.Errorf("ended with %v, want stage %q", err, tt.stage)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("ended after %v, want %v", took, tt.after)
				}
				_ = p.nc.Close()
			})
		})
	}
}

// failingListener fails to accept for a while.
type failingListener struct {
	net.Listener
	fail int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.fail--; l.fail >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// pipeListener hands out one end of a pipe.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func TestC249_AcceptFailsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipes := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		var events []Event
		causes := serveListener(t, &failingListener{Listener: pipes, fail: 12}, &Server{
			Handler: &fakeHandler{}, Observe: func(e Event) { events = append(events, e) },
		})
		began := time.Now()
		client, server := net.Pipe()
		pipes.conns <- server
		// 5 ms, and twice as long each time, up to a second.
		if d := time.Since(began); d != (5+10+20+40+80+160+320+640+4*1000)*time.Millisecond {
			t.Errorf("accepted after %v", d)
		}
		_ = client.Close()
		if err := <-causes; !errors.Is(err, ErrProbe) {
			t.Error(err)
		}
		if len(events) != 12 || events[0].Kind != EventAccept || !errors.Is(events[0].Err, syscall.EMFILE) {
			t.Error(events)
		}
	})
}

func TestServeReturnsTheListenersError(t *testing.T) {
	ln := listen(t)
	_ = ln.Close()
	if err := (&Server{Handler: &fakeHandler{}}).Serve(t.Context(), ln); err == nil {
		t.Error("no error")
	}
}

func TestServeEndsItsSessions(t *testing.T) {
	ln := listen(t)
	h := &fakeHandler{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{Handler: h}).Serve(ctx, ln) }()
	c, err := Dial(t.Context(), "rtmp://"+ln.Addr().String()+"/live/cam", DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.waitFor(t, "unpublish live/cam: server")
	<-p.Done()
	if !errors.Is(p.Err(), ErrClosedByPeer) {
		t.Error(p.Err())
	}
	_ = p.Close()
}

func TestC251_APanicEndsItsSessionOnly(t *testing.T) {
	for _, where := range []string{"connect", "publish", "message", "close"} {
		t.Run(where, func(t *testing.T) {
			var mu sync.Mutex
			var events []Event
			h := &fakeHandler{}
			boom := func(at string) {
				if at == where {
					panic("boom")
				}
			}
			h.onConnect = func(*ServerSession, *ConnectRequest) error { boom("connect"); return nil }
			h.onPublish = func(*ServerSession, *PublishRequest) error { boom("publish"); return nil }
			h.onMessage = func(*Message) error { boom("message"); return nil }
			srv := &Server{Handler: h, Observe: func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			}}
			if where == "close" {
				srv.Handler = panickyClose{h}
			}
			other := serve(t, srv).handshake()
			p := serve(t, srv).handshake()
			p.background(func() { p.try(unhexString(blockCN + blockCS + blockPUB + blockVSH + blockDEL)) })
			p.closed("panic")
			mu.Lock()
			defer mu.Unlock()
			if len(events) != 1 || events[0].Kind != EventPanic || !strings.Contains(events[0].Err.Error(), "boom") ||
				!strings.Contains(string(events[0].Stack), "_test.go") {
				t.Errorf("%d events, first %v: %s", len(events), events[0].Err, events[0].Stack)
			}
			if where == "message" && !slices.Contains(h.said(), "unpublish live/cam: panic") {
				t.Errorf("not unpublished: %q", h.said())
			}
			h.onConnect = nil
			other.send(blockCN).expect("_result")
		})
	}
}

// panickyClose panics when a publication is closed.
type panickyClose struct{ *fakeHandler }

func (h panickyClose) Publish(ctx context.Context, s *ServerSession, r *PublishRequest) (Publication, error) {
	p, err := h.fakeHandler.Publish(ctx, s, r)
	return panickyPublication{p}, err
}

type panickyPublication struct{ Publication }

func (panickyPublication) Close(error) { panic("boom") }

// certificate is a self-signed one for 127.0.0.1.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestC012_PlainOnTheTLSPort(t *testing.T) {
	ln := listen(t)
	causes := serveListener(t, ln, &Server{
		Handler: &fakeHandler{}, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t)}},
	})
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(append([]byte{3}, make([]byte, 1536)...)); err != nil {
		t.Fatal(err)
	}
	err = <-causes
	if _, ok := errors.AsType[tls.RecordHeaderError](err); !ok {
		t.Error(err)
	}
}

func TestC023_TLS(t *testing.T) {
	ln := listen(t)
	h := &fakeHandler{}
	causes := serveListener(t, ln, &Server{
		Handler: h, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t)}},
	})
	url := "rtmps://" + ln.Addr().String() + "/live/cam"
	for _, name := range []string{"", "unknown.example"} {
		c, err := Dial(t.Context(), url, DialOptions{TLSConfig: &tls.Config{ServerName: name, InsecureSkipVerify: true}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.WriteMessage(&Message{Type: TypeVideo, Payload: make([]byte, 100_000)}); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-causes; !errors.Is(err, ErrClosedByPeer) {
			t.Error(err)
		}
	}
	if n := len(h.received()); n != 2 {
		t.Errorf("%d messages", n)
	}
	_, err := Dial(t.Context(), url, DialOptions{TLSConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}})
	if err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if _, ok := errors.AsType[*HandshakeError](<-causes); !ok {
		t.Error("no handshake error")
	}
}
