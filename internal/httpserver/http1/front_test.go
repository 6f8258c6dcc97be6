package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// both serves h on a listener by a Front with net/http behind it, which marks its answers. Both end with the test.
func both(t testing.TB, h http.Handler, change func(*Config)) (addr string, f *Front) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conf := Config{Handler: h, FirstTime: patience, IdleTime: patience, WriteTime: patience, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&conf)
	}
	f = New(ln, conf)
	srv := &http.Server{ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("By", "net/http")
		h.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(f) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f.Shutdown(ctx)
		if err := srv.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return ln.Addr().String(), f
}

// dial returns a connection that ends with the test.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// echo answers with what a request is.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Host, r.Header.Get("X"))
})

// TestWhoAnswers: requests in the form that every client sends are answered here, all others by
// net/http.
func TestWhoAnswers(t *testing.T) {
	const get = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
	long := strings.Repeat("x", 4096-len("GET /a HTTP/1.1\r\nHost: h\r\nL: \r\n\r\n"))
	for name, c := range map[string]struct {
		send   []string // in pieces
		here   bool
		status int
		answer string
	}{
		"get":               {[]string{get}, true, 200, "GET /a?b=c h "},
		"options":           {[]string{"OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n"}, true, 200, "OPTIONS /a h "},
		"header":            {[]string{"GET /a HTTP/1.1\r\nhost: h\r\nx:  y \r\n\r\n"}, true, 200, "GET /a h y"},
		"escaped path":      {[]string{"GET /a%20b HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"}, true, 200, "GET /a%20b [::1]:80 "},
		"post":              {[]string{"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"}, false, 200, "POST /a h "},
		"body":              {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"}, false, 200, "GET /a h "},
		"body length 0":     {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"}, false, 200, "GET /a h "},
		"chunked body":      {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, false, 200, "GET /a h "},
		"unknown encoding":  {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n"}, false, 501, "Unsupported transfer encoding"},
		"expectation":       {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n"}, false, 417, ""},
		"http/1.0":          {[]string{"GET /a HTTP/1.0\r\n\r\n"}, false, 200, "GET /a  "},
		"whole url":         {[]string{"GET http://o/a HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 200, "GET http://o/a o "},
		"no host":           {[]string{"GET /a HTTP/1.1\r\nX: y\r\n\r\n"}, false, 400, "400 Bad Request"},
		"no fields":         {[]string{"GET /a HTTP/1.1\r\n\r\n"}, false, 400, "400 Bad Request"},
		"two hosts":         {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n"}, false, 400, "400 Bad Request"},
		"odd host":          {[]string{"GET /a HTTP/1.1\r\nHost: h/i\r\n\r\n"}, false, 400, "400 Bad Request"},
		"bare lf":           {[]string{"GET /a HTTP/1.1\nHost: h\n\n"}, false, 200, "GET /a h "},
		"hidden request":    {[]string{"GET /a HTTP/1.1\r\nHost: h\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 200, "GET /a h "},
		"folded line":       {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n"}, false, 200, "GET /a h y z"},
		"space in name":     {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n"}, false, 400, "400 Bad Request"},
		"control character": {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n"}, false, 400, "400 Bad Request"},
		"nul in target":     {[]string{"GET /a\x00 HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 400, "400 Bad Request"},
		"bad escape":        {[]string{"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 400, "400 Bad Request"},
		"space in target":   {[]string{"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 400, "400 Bad Request"},
		"lower case":        {[]string{"get /a HTTP/1.1\r\nHost: h\r\n\r\n"}, false, 200, "get /a h "},
		"rubbish":           {[]string{"\x16\x03\x01\x02\x00\x01\r\n\r\n"}, false, 400, "400 Bad Request"},
		"in pieces":         {[]string{"GET /a HT", "TP/1.1\r\nHost: h\r\n\r\n"}, false, 200, "GET /a h "},
		"empty line first":  {[]string{"\r\n" + get}, false, 400, "400 Bad Request"},
		"4096 bytes":        {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nL: " + long + "\r\n\r\n"}, true, 200, "GET /a h "},
		"4097 bytes":        {[]string{"GET /a HTTP/1.1\r\nHost: h\r\nL: " + long + "x\r\n\r\n"}, false, 200, "GET /a h "},
		"two at once":       {[]string{get + get}, false, 200, "GET /a?b=c h "},
	} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", fresh ", fresh), func(t *testing.T) {
				addr, _ := both(t, echo, nil)
				nc := dial(t, addr)
				in := bufio.NewReader(nc)
				if !fresh {
					say(t, nc, get)
					hear(t, in, true, 200, "GET /a?b=c h ")
				}
				for i, s := range c.send {
					if i > 0 {
						<-time.After(20 * time.Millisecond)
					}
					say(t, nc, s)
				}
				hear(t, in, c.here, c.status, c.answer)
			})
		}
	}
}

func say(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// hear reads an answer, whose body begins so.
func hear(t testing.TB, in *bufio.Reader, here bool, status int, begin string) {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Date") != "" && res.Header.Get("By") == ""; got != here && res.StatusCode == http.StatusOK {
		t.Errorf("answered here: %v", got)
	}
	if res.StatusCode != status || !strings.HasPrefix(string(body), begin) {
		t.Errorf("%s, %q, want %d, %q", res.Status, body, status, begin)
	}
}

// TestLeftForGood: a connection that became net/http's stays so, and loses nothing that was sent.
func TestLeftForGood(t *testing.T) {
	addr, _ := both(t, echo, nil)
	c := dial(t, addr)
	in := bufio.NewReader(c)
	const a, b = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /b HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n"
	say(t, c, a)
	hear(t, in, true, 200, "GET /a")
	say(t, c, a+b+a)
	hear(t, in, false, 200, "GET /a h ")
	hear(t, in, false, 200, "GET /b h 1")
	hear(t, in, false, 200, "GET /a h ")
	say(t, c, a)
	hear(t, in, false, 200, "GET /a h ")
}

// TestFieldsChange: what is remembered of the last request does not leak into the next one.
func TestFieldsChange(t *testing.T) {
	addr, _ := both(t, echo, nil)
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for i := range 20 {
		h, x := fmt.Sprintf("h%d", i/3), strings.Repeat("x", i%4)
		say(t, c, fmt.Sprintf("GET /%d?q=%d HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n", i, i, h, x))
		hear(t, in, true, 200, fmt.Sprintf("GET /%d?q=%d %s %s", i, i, h, x))
	}
}

// TestPrepare: what Prepare changed once is so in all requests of the same header fields.
func TestPrepare(t *testing.T) {
	var prepared atomic.Int32
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr)
	}), func(c *Config) {
		c.Prepare = func(r *http.Request) *http.Request {
			prepared.Add(1)
			r.RemoteAddr = r.Header.Get("X") + r.RemoteAddr[:9]
			return r
		}
	})
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for _, x := range []string{"a", "a", "b"} {
		say(t, c, "GET / HTTP/1.1\r\nHost: h\r\nX: "+x+"\r\n\r\n")
		hear(t, in, true, 200, x+"127.0.0.1")
	}
	if n := prepared.Load(); n != 2 {
		t.Errorf("prepared %d times", n)
	}
}

// TestAnswers: what handlers do has the same result as with net/http.
func TestAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 20000), 0o600); err != nil {
		t.Fatal(err)
	}
	handlers := map[string]http.HandlerFunc{
		"/nothing": func(http.ResponseWriter, *http.Request) {},
		"/small":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "small"); fmt.Fprint(w, "er") },
		"/html":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"/typed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "x/y")
			w.Header().Add("Vary", "A")
			w.Header().Add("Vary", "B")
			fmt.Fprint(w, "<html>")
		},
		"/long": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "300000")
			for range 3 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 100000))
			}
		},
		"/unknown": func(w http.ResponseWriter, _ *http.Request) {
			for range 300 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
			}
		},
		"/status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418); w.WriteHeader(200) },
		"/error":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTooManyRequests) },
		"/unchanged": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
			if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Error(err)
			}
		},
		"/empty":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"/redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/small", http.StatusFound) },
		"/toomuch": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = w.Write([]byte("ab"))
			if _, err := w.Write([]byte("c")); r.Method == http.MethodGet && !errors.Is(err, http.ErrContentLength) {
				t.Error(err)
			}
		},
		"/toolittle": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("ab"))
		},
		"/none of what was said": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9") },
		"/panic":                 func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"/splitting":             func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "a\r\nY: b") },
		"/close": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "x")
		},
		"/file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
		"/copied": func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if n, err := io.Copy(w, f); n != 200000 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		},
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handlers[r.URL.Path](w, r) })
	here, _ := both(t, h, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	for path := range handlers {
		for _, method := range []string{"GET", "HEAD"} {
			for _, more := range []string{"", "Range: bytes=5-9\r\n", "Connection: close\r\n"} {
				request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, strings.ReplaceAll(path, " ", "%20"), more)
				want := answerTo(t, ln.Addr().String(), request)
				if got := answerTo(t, here, request); !cmp.Equal(want, got) {
					t.Errorf("%s: %s", request, cmp.Diff(want, got))
				}
			}
		}
	}
}

// answer is what a client sees.
type answer struct {
	Status string
	Header http.Header
	Body   string
	Err    bool // reading failed
	Again  bool // the connection answers a second request
}

// answerTo returns the answer to a request on a connection of its own. What servers may do in one way
// or another is left out: how they say the length, and the date.
func answerTo(t *testing.T, addr, request string) (a answer) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	in := bufio.NewReader(c)
	say(t, c, request)
	as := &http.Request{Method: strings.Fields(request)[0]}
	res, err := http.ReadResponse(in, as)
	if err != nil {
		return answer{Err: true}
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	a = answer{Status: res.Status, Header: res.Header, Body: string(body), Err: err != nil}
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("date %q", res.Header.Get("Date"))
	}
	for _, name := range []string{"Date", "Content-Length", "Connection"} {
		a.Header.Del(name)
	}
	if as.Method == http.MethodHead {
		a.Header.Del("Content-Type") // which is guessed from a body
	}
	if strings.Contains(request, "/unknown") || strings.Contains(request, "/copied") {
		return a // net/http sends chunks, and goes on
	}
	if _, err := io.WriteString(c, "GET /small HTTP/1.1\r\nHost: h\r\n\r\n"); err == nil {
		res, err := http.ReadResponse(in, nil)
		if a.Again = err == nil; a.Again {
			_ = res.Body.Close()
		}
	}
	return a
}
