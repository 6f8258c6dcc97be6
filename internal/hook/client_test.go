package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t testing.TB, conf ClientConfig) *Client {
	t.Helper()
	c, err := NewClient(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func target(t testing.TB, s string) Target {
	t.Helper()
	at, err := ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func post(t testing.TB, to, body string) *Call {
	return &Call{Target: target(t, to), Method: http.MethodPost, Body: []byte(body), Header: http.Header{}}
}

func TestCall(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Host+" "+user+":"+password+" "+r.Header.Get("User-Agent")[:4])
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(append([]byte("got "), body...))
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	c := newClient(t, ClientConfig{Timeout: 10 * time.Second})
	r, err := c.Do(t.Context(), post(t, "http://me:pw@"+host+"/a/b?x=%2F&y", "hello"))
	if err != nil || r.Status != 418 || string(r.Body) != "got hello" || r.Header.Get("X-Seen") != "POST /a/b?x=%2F&y "+host+" me:pw weir" {
		t.Errorf("%+v, %v", r, err)
	}
	get := &Call{Target: target(t, s.URL+"/a?x=1"), Method: http.MethodGet, Query: "app=live", Body: []byte("not sent"), Alone: true}
	r, err = c.Do(t.Context(), get)
	if err != nil || string(r.Body) != "got " || r.Header.Get("X-Seen") != "GET /a?x=1?app=live 127.0.0.1 : weir" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCallOnSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "hook") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "hook.sock")
	ln, err := net.Listen("unix", socket) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test
		_, _ = io.WriteString(w, r.Host+r.RequestURI)
	})}}
	s.Start()
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c := newClient(t, ClientConfig{})
	r, err := c.Do(t.Context(), post(t, "unix:"+socket+":/auth?x=1", ""))
	if err != nil || string(r.Body) != "localhost/auth?x=1" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = c.Do(t.Context(), post(t, "unix:"+socket+"x:/auth?x=SECRET", ""))
	if err == nil || !strings.HasPrefix(err.Error(), "unix:"+socket+"x: ") || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
}

func TestCallByTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	_, err := newClient(t, ClientConfig{}).Do(t.Context(), post(t, s.URL+"/SECRET", ""))
	if err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("an unknown certificate: %v", err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := newClient(t, ClientConfig{CA: file}).Do(t.Context(), post(t, s.URL, ""))
	if err != nil || string(r.Body) != "HTTP/1.1" {
		t.Errorf("%+v, %v", r, err)
	}
	for name, text := range map[string]string{"none.pem": "", "other.pem": "hello"} {
		file := filepath.Join(t.TempDir(), name)
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewClient(ClientConfig{CA: file}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestCallFails(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/other", http.StatusFound)
		case "/other":
			t.Error("a redirect was followed")
		case "/64KiB":
			_, _ = w.Write(make([]byte, 64<<10))
		case "/64KiB+1":
			_, _ = w.Write(make([]byte, 64<<10+1))
		case "/gzip":
			w.Header().Set("X-Accepts", r.Header.Get("Accept-Encoding"))
		case "/hang":
			<-hang
		}
	}))
	defer s.Close()
	defer close(hang)
	c := newClient(t, ClientConfig{})
	if r, err := c.Do(t.Context(), post(t, s.URL+"/redirect", "")); err != nil || r.Status != http.StatusFound || r.Header.Get("Location") != "/other" {
		t.Errorf("a redirect: %+v, %v", r, err)
	}
	if r, err := c.Do(t.Context(), post(t, s.URL+"/64KiB", "")); err != nil || len(r.Body) != 64<<10 {
		t.Errorf("64 KiB: %v", err)
	}
	if _, err := c.Do(t.Context(), post(t, s.URL+"/64KiB+1", "")); !errors.Is(err, ErrAnswerTooLarge) {
		t.Errorf("more: %v", err)
	}
	if r, err := c.Do(t.Context(), post(t, s.URL+"/gzip", "")); err != nil || r.Header.Get("X-Accepts") != "" {
		t.Errorf("compression: %+v, %v", r, err)
	}
	began := time.Now()
	_, err := newClient(t, ClientConfig{Timeout: 50 * time.Millisecond}).Do(t.Context(), post(t, s.URL+"/hang?key=SECRET", ""))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second || err.Error() != s.URL+": no answer in time: context deadline exceeded" {
		t.Errorf("no answer: %v", err)
	}
	_, err = c.Do(t.Context(), post(t, "http://u:SECRET@"+freeport.Addr(t)+"/SECRET?key=SECRET", ""))
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestC238_ServicesThatMisbehave: a redirect is not followed, silence and an answer without end cost no more than the time and the
// bytes that a call has, a certificate of nobody is refused, and nothing is left of any of them.
func TestC238_ServicesThatMisbehave(t *testing.T) {
	written := make(chan int, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		case "/other":
			t.Error("a redirect was followed")
		case "/endless":
			n, err := 0, error(nil)
			for block := make([]byte, 64<<10); err == nil && n < 1<<30; {
				_, err = w.Write(block)
				n += len(block)
			}
			written <- n
		default:
			<-r.Context().Done()
		}
	})
	open, sealed := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	sealed.Config.ErrorLog = quiet
	sealed.StartTLS()
	before := runtime.NumGoroutine()
	c := newClient(t, ClientConfig{Timeout: 500 * time.Millisecond})
	if r, err := c.Do(t.Context(), post(t, open.URL+"/redirect", "")); err != nil || r.Status != http.StatusTemporaryRedirect {
		t.Errorf("a redirect: %+v, %v", r, err)
	}
	for range 10 {
		if _, err := c.Do(t.Context(), post(t, open.URL+"/endless", "")); !errors.Is(err, ErrAnswerTooLarge) {
			t.Errorf("an answer without end: %v", err)
		}
		if n := <-written; n > 32<<20 { // what the buffers of the kernel take
			t.Errorf("%d bytes of an answer without end were taken", n)
		}
	}
	if _, err := c.Do(t.Context(), post(t, open.URL+"/hang", "")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
	if _, err := c.Do(t.Context(), post(t, sealed.URL+"/", "")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	c.Close()
	open.CloseClientConnections()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Errorf("%d goroutines are left", runtime.NumGoroutine()-before)
			break
		}
	}
	open.Close()
	sealed.Close()
}

// TestO08_DeadConnection: a service that closed a kept connection, without our having noticed, gets the
// next call on a new one.
func TestO08_DeadConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	var accepted, answered atomic.Int32
	closed := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			// One answer, which promises to keep the connection; the next request is read and not answered.
			r, err := http.ReadRequest(bufio.NewReader(nc))
			if err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				answered.Add(1)
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
			}
			_ = nc.Close()
			closed <- struct{}{}
		}
	}()
	c := newClient(t, ClientConfig{Timeout: 10 * time.Second})
	for range 20 {
		if _, err := c.Do(t.Context(), post(t, "http://"+ln.Addr().String(), "event")); err != nil {
			t.Fatal(err)
		}
		<-closed
	}
	_ = ln.Close()
	<-done
	if answered.Load() != 20 {
		t.Errorf("%d calls arrived on %d connections", answered.Load(), accepted.Load())
	}
}

// TestKeepsConnections: calls one after the other share a connection, and those that are Alone do not.
func TestKeepsConnections(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := newClient(t, ClientConfig{})
	for range 5 {
		if _, err := c.Do(t.Context(), post(t, s.URL, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 5 calls", n)
	}
	for range 5 {
		call := post(t, s.URL, "x")
		call.Alone = true
		if _, err := c.Do(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n < 5 {
		t.Errorf("%d connections for 5 calls that each want their own", n)
	}
}

// recordCall returns the bytes of a call on the wire.
func recordCall(t *testing.T, call *Call) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	go func() {
		nc, err := ln.Accept()
		_ = ln.Close()
		if err != nil {
			got <- err.Error()
			return
		}
		defer func() { _ = nc.Close() }()
		var raw bytes.Buffer
		r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(nc, &raw)))
		if err != nil {
			got <- err.Error()
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		got <- raw.String()
	}()
	path := "/auth"
	if call.Fill != nil {
		path = "/hls/[server_id]/[service_id]/[app]/[stream]/[ts_url][param]"
	}
	call.Target = target(t, "http://"+ln.Addr().String()+path)
	c := newClient(t, ClientConfig{Timeout: 10 * time.Second})
	if _, err := c.Do(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(ln.Addr().String(), "hook.test:8000", "User-Agent: "+c.agent, "User-Agent: weir").Replace(<-got)
}
