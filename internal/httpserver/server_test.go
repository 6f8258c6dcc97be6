package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/listen"
	"weir/internal/listen/listentest"
	"weir/internal/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must come.
const patience = 20 * time.Second

// serveTest serves one handler at /a/x without and with TLS until the test ends.
func serveTest(t *testing.T, conf Config, h http.HandlerFunc) (plain, secure string) {
	t.Helper()
	conf.Log = slog.New(slog.DiscardHandler)
	s := New(conf, []protocol.Route{{Method: http.MethodGet, Handler: func(w http.ResponseWriter, r *http.Request, _ string) { h(w, r) }}})
	var addrs []string
	for i := range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, ln.Addr().String())
		if i == 0 {
			s.Listen(ln)
			continue
		}
		cert, key := listentest.Cert(t, t.TempDir(), 1)
		tlsConf, err := listen.TLS(conf.Log, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		s.ListenTLS(ln, tlsConf)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return addrs[0], addrs[1]
}

// dialTLS opens a connection of the protocol that ends with the test.
func dialTLS(t *testing.T, addr, proto string) net.Conn {
	t.Helper()
	nc, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{proto}}}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// shared is what many answers are made of.
var shared = bytes.Repeat([]byte("0123456789abcdef"), 1<<20/16)

// asset answers as the pages' files are.
func asset(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/javascript")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(shared))
}

// http2Conn speaks as much of HTTP/2 (RFC 9113) as an attacker needs.
type http2Conn struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

// newHTTP2 opens a connection whose streams have a window of so many bytes.
func newHTTP2(t *testing.T, addr string, window uint32) *http2Conn {
	t.Helper()
	c := &http2Conn{t: t, nc: dialTLS(t, addr, "h2")}
	c.in = bufio.NewReader(c.nc)
	_, _ = io.WriteString(c.nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	c.frame(4, 0, 0, []byte{0, 4, byte(window >> 24), byte(window >> 16), byte(window >> 8), byte(window)})
	return c
}

func (c *http2Conn) frame(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	if err := c.send(kind, flags, stream, payload); err != nil {
		c.t.Fatal(err)
	}
}

func (c *http2Conn) send(kind, flags byte, stream uint32, payload []byte) error {
	b := []byte{
		byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream),
	}
	_, err := c.nc.Write(append(b, payload...))
	return err
}

// ask requests a path on a stream.
func (c *http2Conn) ask(stream uint32, path string) {
	c.t.Helper()
	c.frame(1, 4|1, stream, headers(path))
}

// headers are those of a request for a path.
func headers(path string) []byte {
	block := append([]byte{0x82, 0x87, 0x04, byte(len(path))}, path...) // GET, https
	return append(append(block, 0x01, 1), 'h')
}

// next returns the next frame.
func (c *http2Conn) next() (kind, flags byte, stream uint32, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, 0, 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c.in, payload)
	return head[3], head[4], uint32(head[5])<<24 | uint32(head[6])<<16 | uint32(head[7])<<8 | uint32(head[8]), payload, err
}

// answered waits for the headers of so many answers.
func (c *http2Conn) answered(n int) {
	c.t.Helper()
	for n > 0 {
		kind, flags, _, payload, err := c.next()
		if err != nil {
			c.t.Fatal(err)
		}
		switch {
		case kind == 1:
			n--
		case kind == 6 && flags&1 == 0:
			c.frame(6, 1, 0, payload)
		}
	}
}

// end waits for the connection's end, while it answers every sign of interest.
func (c *http2Conn) end() error {
	for {
		kind, flags, _, payload, err := c.next()
		switch {
		case err != nil:
			return err
		case kind == 6 && flags&1 == 0:
			c.frame(6, 1, 0, payload)
		}
	}
}

// memory returns what the program holds.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestHeldAnswersPinLittle: 1,200 answers of a megabyte that nobody takes cost kilobytes each, and their
// connections end in time.
func TestHeldAnswersPinLittle(t *testing.T) {
	times := DefaultTimes()
	times.Stall = 3 * time.Second
	_, addr := serveTest(t, Config{Times: times}, asset)
	const conns, each = 20, 60
	before := memory()
	var clients []*http2Conn
	begin := time.Now()
	for range conns {
		c := newHTTP2(t, addr, 0)
		for i := range each {
			c.ask(uint32(2*i+1), "/a/x")
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		c.answered(each)
	}
	held := memory() - before
	t.Logf("%d answers hold %d KB", conns*each, held>>10)
	if held > conns*each*48<<10 {
		t.Errorf("%d answers hold %d KB", conns*each, held>>10)
	}
	for i, c := range clients {
		if err := c.end(); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of a client that reads nothing is open after %v", i, time.Since(begin))
		}
	}
}

// TestStreamsOfAConnection: an HTTP/2 connection is told how many requests it may have, and those too
// many are refused.
func TestStreamsOfAConnection(t *testing.T) {
	_, addr := serveTest(t, Config{}, asset)
	c := newHTTP2(t, addr, 0)
	for i := range 65 {
		c.ask(uint32(2*i+1), "/a/x")
	}
	for {
		kind, _, stream, payload, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		const refused = 7
		if kind == 3 && stream == 129 && payload[3] == refused {
			return
		}
		if kind == 3 || kind == 7 {
			t.Fatalf("frame %d of stream %d: %x", kind, stream, payload)
		}
	}
}

// TestAnswerWithoutEnd: over HTTP/2 an answer without an end goes on for longer than any deadline, as long as it
// is taken; its handler can end it although nothing of it is.
func TestAnswerWithoutEnd(t *testing.T) {
	times := DefaultTimes()
	times.Stall, times.Answer = 200*time.Millisecond, 400*time.Millisecond
	ended := make(chan error, 1)
	_, addr := serveTest(t, Config{Times: times}, func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Time{})
		stop := time.AfterFunc(2*time.Second, func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) })
		defer stop.Stop()
		for {
			_, err := w.Write(make([]byte, 1000))
			if err = errors.Join(err, control.Flush()); err != nil {
				ended <- err
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	})
	begin := time.Now()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("https://" + addr + "/a/x")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if d := time.Since(begin); res.ProtoMajor != 2 || err == nil || n < 20*1000 || d < 2*time.Second {
		t.Errorf("HTTP/%d: %d bytes in %v, %v", res.ProtoMajor, n, d, err)
	}
	<-ended

	c := newHTTP2(t, addr, 0)
	c.ask(1, "/a/x")
	c.answered(1)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("its handler is still writing")
	}
}

// TestClientThatTakesNothing: whatever the version of HTTP, the length of the answer and where it comes from,
// a client that takes nothing of it is closed long before the time for the whole is over.
func TestClientThatTakesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 64<<20)
	times := DefaultTimes()
	times.Stall = time.Second
	ended := make(chan string, 30)
	handlers := map[string]http.HandlerFunc{
		"/a/slice": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			_, _ = w.Write(big)
		},
		"/a/unknown": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) },
		"/a/content": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(big))
		},
		"/a/file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
	}
	plain, secure := serveTest(t, Config{Times: times}, func(w http.ResponseWriter, r *http.Request) {
		handlers[r.URL.Path](w, r)
		ended <- r.URL.Path
	})
	for path := range handlers {
		for name, dial := range map[string]func() (net.Conn, error){
			"HTTP/1.1":          func() (net.Conn, error) { return net.Dial("tcp", plain) },
			"net/http's":        func() (net.Conn, error) { return net.Dial("tcp", plain) },
			"HTTP/1.1 over TLS": func() (net.Conn, error) { return dialTLS(t, secure, "http/1.1"), nil },
			"HTTP/2, no window": func() (net.Conn, error) { c := newHTTP2(t, secure, 0); c.ask(1, path); return c.nc, nil },
			"HTTP/2, all window": func() (net.Conn, error) {
				c := newHTTP2(t, secure, 1<<31-1)
				c.frame(8, 0, 0, []byte{0x7f, 0, 0, 0})
				c.ask(1, path)
				return c.nc, nil
			},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				nc, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				if more := map[bool]string{true: "Content-Length: 0\r\n"}[name == "net/http's"]; strings.HasPrefix(name, "HTTP/1") || more != "" {
					if _, err := io.WriteString(nc, "GET "+path+" HTTP/1.1\r\nHost: h\r\n"+more+"\r\n"); err != nil {
						t.Fatal(err)
					}
				}
				select {
				case <-ended:
				case <-time.After(patience):
					t.Error("it is still being answered")
				}
			})
		}
	}
}

// TestSlowAnswer: a client that takes an answer slowly gets all of it, over each version of HTTP and from
// memory and from files.
func TestSlowAnswer(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 16<<20/16)
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	times := DefaultTimes()
	times.Stall = 3 * time.Second // the kernel tells of room in steps of megabytes
	plain, secure := serveTest(t, Config{Times: times}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a/file" {
			http.ServeFile(w, r, file)
			return
		}
		http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(body))
	})
	for _, c := range []struct {
		url   string
		proto int
	}{{"http://" + plain, 1}, {"https://" + secure, 1}, {"https://" + secure, 2}} {
		for _, path := range []string{"/a/memory", "/a/file"} {
			t.Run(fmt.Sprintf("%s %d %s", c.url[:5], c.proto, path), func(t *testing.T) {
				t.Parallel()
				tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: c.proto == 2}
				defer tr.CloseIdleConnections()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Range", "bytes=5-")
				res, err := (&http.Client{Transport: tr}).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				var got bytes.Buffer
				tick := time.NewTicker(500 * time.Millisecond)
				defer tick.Stop()
				for range 14 { // for longer than Stall and what deadlines may be late
					if _, err := io.CopyN(&got, res.Body, 1<<20); err != nil {
						t.Fatalf("after %d bytes: %v", got.Len(), err)
					}
					<-tick.C
				}
				if _, err := io.Copy(&got, res.Body); err != nil {
					t.Fatal(err)
				}
				if res.ProtoMajor != c.proto || !bytes.Equal(got.Bytes(), body[5:]) {
					t.Errorf("HTTP/%d: %d bytes", res.ProtoMajor, got.Len())
				}
			})
		}
	}
}

// TestBodyThatNeverComes: a request that announces a body and does not send it is answered, and its connection
// ends.
func TestBodyThatNeverComes(t *testing.T) {
	times := DefaultTimes()
	times.Header = 300 * time.Millisecond
	plain, _ := serveTest(t, Config{Times: times}, asset)
	nc, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, "POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(nc)
	if err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 405 ")) {
		t.Errorf("%.100q, %v", b, err)
	}
}
