package fetch

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/hops"
	"weir/internal/session"
)

// film is a short FLV file of sound.
func film() []byte {
	b := flv.AppendFileHeader(nil, false, true)
	for i := range 10 {
		b = flv.AppendTag(b, flv.TagAudio, uint32(i*26), nil, []byte{0x2f, 0xff, 0xfb, 0x90, byte(i)})
	}
	return b
}

// frames reads a source to its end.
func frames(src Source) (n int, err error) {
	defer src.Close()
	for {
		f, err := src.ReadFrame()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if f.Type == av.Media {
			n++
		}
	}
}

// TestC436_Redirects: five are followed, a circle is not, nor is one to another scheme; the next time it begins with the
// URL that was given.
func TestC436_Redirects(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	token := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path)
		var n int
		switch {
		case r.URL.Path == "/film.flv":
			_, _ = w.Write(film())
		case r.URL.Path == "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case r.URL.Path == "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case r.URL.Path == "/expires":
			token++
			http.Redirect(w, r, fmt.Sprint("/token/", token), http.StatusFound)
		case r.URL.Path == fmt.Sprint("/token/", token):
			_, _ = w.Write(film())
		default:
			if k, _ := fmt.Sscanf(r.URL.Path, "/more/%d", &n); k != 1 {
				http.Error(w, "expired", http.StatusForbidden)
				return
			}
			to := "/film.flv"
			if n > 1 {
				to = fmt.Sprint("/more/", n-1)
			}
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	defer s.Close()
	for path, want := range map[string]string{
		"/more/5": "", "/more/6": "the server redirects more than 5 times", "/circle": "the server redirects more than 5 times",
		"/file": "the server redirects to file://, not to http:// or https://", "/expires": "", "/token/9": "the server answers 403 Forbidden: expired",
	} {
		src, err := Open(t.Context(), s.URL+path, Access{})
		if err == nil {
			var n int
			if n, err = frames(src); n != 10 {
				t.Errorf("%s: %d frames", path, n)
			}
		}
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	for range 3 {
		src, err := Open(t.Context(), s.URL+"/expires", Access{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := frames(src); n != 10 || err != nil {
			t.Error(n, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(slices.DeleteFunc(slices.Clone(asked), func(p string) bool { return p != "/circle" })); n != 6 {
		t.Errorf("a circle was followed %d times", n)
	}
}

// TestC436_Addresses: each address is decided about before it is connected to, also that of a redirect, and also of RTMP and WebSocket.
func TestC436_Addresses(t *testing.T) {
	no := session.Because(session.Address, errors.New("not there"))
	var mu sync.Mutex
	var asked []string
	var forbidden string
	control := func(_, address string, _ syscall.RawConn) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, address)
		if address == forbidden || strings.HasPrefix(address, "169.254.") {
			return no
		}
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data?key=hunter2", http.StatusFound)
	}))
	defer s.Close()
	begin := time.Now()
	_, err := Open(t.Context(), s.URL+"/live/x.flv?key=hunter2", Access{Control: control})
	if session.ReasonOf(err) != session.Address || strings.Contains(err.Error(), "hunter2") || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	host := s.Listener.Addr().String()
	if !slices.Equal(asked, []string{host, "169.254.169.254:80"}) {
		t.Errorf("%q", asked)
	}
	forbidden = host
	for _, scheme := range []string{"rtmp", "rtmps", "http", "https", "ws", "wss"} {
		if _, err := Open(t.Context(), scheme+"://"+host+"/live/x", Access{Control: control}); session.ReasonOf(err) != session.Address {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// TestC436_Credentials: what the operator gave goes to the host of the URL, and to no other.
func TestC436_Credentials(t *testing.T) {
	type seen struct{ auth, secret, agent, via, referer, cookie string }
	var mu sync.Mutex
	got := map[string]seen{}
	note := func(name string, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		h := r.Header
		got[name+r.URL.Path] = seen{h.Get("Authorization"), h.Get("X-Secret"), h.Get("User-Agent"), h.Get("Via"), h.Get("Referer"), h.Get("Cookie")}
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("other", r)
		_, _ = w.Write(film())
	}))
	defer other.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("first", r)
		switch r.URL.Path {
		case "/away":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/film", http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/film", http.StatusFound)
		default:
			_, _ = w.Write(film())
		}
	}))
	defer first.Close()
	list := []string{hops.Entry("me", "live/x")}
	a := Access{Header: http.Header{"X-Secret": {"hunter2"}, "User-Agent": {"Weir"}}, Hops: list}
	for _, path := range []string{"/away", "/here"} {
		src, err := Open(t.Context(), strings.Replace(first.URL, "://", "://carol:pass@", 1)+path+"?key=hunter2", a)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := frames(src); n != 10 || err != nil {
			t.Error(n, err)
		}
	}
	const basic = "Basic Y2Fyb2w6cGFzcw=="
	via := hops.Via(list)
	for name, want := range map[string]seen{
		"first/away": {basic, "hunter2", "Weir", via, "", ""},
		"other/film": {"", "", "Weir", via, "", ""},
		"first/here": {basic, "hunter2", "Weir", via, "", ""},
		"first/film": {basic, "hunter2", "Weir", via, "", ""},
	} {
		if got[name] != want {
			t.Errorf("%s: %+v, want %+v", name, got[name], want)
		}
	}
}

// TestC436_Compression: an answer that is compressed is read, whether that was asked for or not, as far as it is known how.
func TestC436_Compression(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		encoding := strings.TrimPrefix(r.URL.Path, "/")
		w.Header().Set("Content-Encoding", encoding)
		if encoding == "br" || encoding == "liar" {
			w.Header().Set("Content-Encoding", strings.Replace(encoding, "liar", "x-gzip", 1))
			_, _ = w.Write(film())
			return
		}
		z := gzip.NewWriter(w)
		_, _ = z.Write(film())
		_ = z.Close()
	}))
	defer s.Close()
	for encoding, want := range map[string]string{
		"gzip": "", "x-gzip": "", "br": `the answer is compressed with "br", which was not asked for`, "liar": "is said to be compressed with gzip, and is not",
	} {
		src, err := Open(t.Context(), s.URL+"/"+encoding, Access{})
		if err == nil {
			var n int
			if n, err = frames(src); n != 10 {
				t.Errorf("%s: %d frames", encoding, n)
			}
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", encoding, err, want)
		}
	}
}

// TestReasons: why a source cannot be had is said in a word.
func TestReasons(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			w.Header().Set("Content-Type", "text/plain")
			if r.URL.Path == "/page/" {
				w.Header().Set("Content-Type", "text/html")
			}
			if r.URL.Path == "/gzip" {
				w.Header().Set("Content-Encoding", "x-gzip")
			}
			_, _ = io.WriteString(w, map[string]string{
				"/page/": "<html>", "/text": strings.Repeat("text ", 2000), "/nothing": "", "/gzip": strings.Repeat("text", 9), "/list": "#EXTM3U\n#EXTINF:nothing\n", "/variants": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nftp://x\n",
				"/ftp": string(list("ftp://x/y", "ftp://x/y", "ftp://x/y")), "/segment": string(list("text", "text", "text")),
			}[r.URL.Path])
			return
		}
		w.WriteHeader(status)
	}))
	for path, want := range map[string]session.Reason{
		"/401": session.Denied, "/403": session.Denied, "/404": session.NotFound, "/410": session.NotFound, "/429": session.Limit, "/503": session.Limit,
		"/508": session.Loop, "/500": session.Unreachable, "/502": session.Unreachable, "/400": session.Denied, "/406": session.Denied, "/408": session.Timeout, "/504": session.Timeout,
		"/300": session.Redirected, "/302": session.Redirected, "/204": session.ProtocolError, "/page/": session.Unsupported, "/text": session.Unsupported, "/nothing": session.EOF, "/gzip": session.ProtocolError,
		"/list": session.ProtocolError, "/variants": session.ProtocolError, "/ftp": session.ProtocolError, "/segment": session.ProtocolError,
	} {
		src, err := Open(t.Context(), s.URL+path, Access{})
		if err == nil {
			_, err = frames(src)
		}
		if session.ReasonOf(err) != want {
			t.Errorf("%s: %v (%v), want %v", path, err, session.ReasonOf(err), want)
		}
	}
	if _, err := Open(t.Context(), s.URL+"/page/", Access{}); err == nil || !strings.Contains(err.Error(), "web page") {
		t.Error(err)
	}
	s.Close()
	if _, err := Open(t.Context(), s.URL+"/404", Access{}); session.ReasonOf(err) != session.Unreachable {
		t.Errorf("%v (%v)", err, session.ReasonOf(err))
	}
}

// TestC436_Silence: a server that answers and then sends nothing has failed after the timeout, with a word for it.
func TestC436_Silence(t *testing.T) {
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/film" {
			_, _ = w.Write(film()[:60])
			_ = http.NewResponseController(w).Flush()
		}
		<-done
	}))
	defer s.Close()
	defer close(done)
	const limit = 300 * time.Millisecond
	for path, want := range map[string]session.Reason{"/nothing": session.Timeout, "/film": session.Idle} {
		begin := time.Now()
		src, err := Open(t.Context(), s.URL+path, Access{Timeout: limit})
		if err == nil {
			_, err = frames(src)
		}
		if took := time.Since(begin); session.ReasonOf(err) != want || took < limit || took > limit+2*time.Second {
			t.Errorf("%s: %v (%v) after %v", path, err, session.ReasonOf(err), took)
		}
	}
}

// TestCookiesAreBounded: a server cannot have more kept than so many cookies of so many bytes.
func TestCookiesAreBounded(t *testing.T) {
	u, _ := url.Parse("http://127.0.0.1/")
	jar := Access{}.client(u).Jar
	for i := range 1000 {
		jar.SetCookies(u, []*http.Cookie{{Name: fmt.Sprint("c", i), Value: "x"}, {Name: "large", Value: strings.Repeat("x", 5000)}})
	}
	jar.SetCookies(u, []*http.Cookie{{Name: "c1", Value: "y"}})
	kept := jar.Cookies(u)
	if len(kept) != maxCookies || !slices.ContainsFunc(kept, func(c *http.Cookie) bool { return c.Name == "c1" && c.Value == "y" }) {
		t.Errorf("%d are kept", len(kept))
	}
}

// TestCookiesOfEachPath: a server that gives each segment a cookie of its own does not push out the one that it asks for each time.
func TestCookiesOfEachPath(t *testing.T) {
	base, _ := url.Parse("http://127.0.0.1/")
	jar := Access{}.client(base).Jar
	jar.SetCookies(base, []*http.Cookie{{Name: "session", Value: "s", Path: "/"}})
	for i := range 1000 {
		u, _ := url.Parse(fmt.Sprintf("http://127.0.0.1/seg-%d", i))
		jar.SetCookies(u, []*http.Cookie{{Name: "one", Value: fmt.Sprint(i), Path: u.Path}})
		if kept := jar.Cookies(u); len(kept) != 2 || kept[0].Value != fmt.Sprint(i) || kept[1].Value != "s" {
			t.Fatalf("segment %d: %v", i, kept)
		}
	}
	first, _ := url.Parse("http://127.0.0.1/seg-0")
	if kept := jar.Cookies(first); len(kept) != 1 {
		t.Errorf("the first segment's is kept: %v", kept)
	}
}

// TestC436_EndlessHeaders: header fields without end are not read, and neither are informational answers without end.
func TestC436_EndlessHeaders(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, c := range map[string]struct{ head, again string }{
		"fields":  {"HTTP/1.1 200 OK\r\n", "X-Field: " + strings.Repeat("x", 1000) + "\r\n"},
		"a field": {"HTTP/1.1 200 OK\r\nX-Field: ", strings.Repeat("x", 1000)},
		"a line":  {"HTTP/1.1 200 ", strings.Repeat("x", 1000)},
		"answers": {"", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"},
	} {
		sent := make(chan int, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			nc, err := ln.Accept()
			if err != nil {
				sent <- 0
				return
			}
			defer nc.Close()
			_, _ = nc.Read(make([]byte, 4096))
			_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
			n, err := io.WriteString(nc, c.head)
			for err == nil && n < 64<<20 {
				var m int
				m, err = io.WriteString(nc, c.again)
				n += m
			}
			sent <- n
		})
		begin := time.Now()
		_, err := Open(t.Context(), "http://"+ln.Addr().String()+"/x.flv", Access{Timeout: 5 * time.Second})
		if err == nil || time.Since(begin) > 3*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
		if n := <-sent; n > 16<<20 { // what is beyond 64 KiB waits in the buffers of the connection
			t.Errorf("%s: %d bytes were taken", name, n)
		}
		wg.Wait()
	}
}

// TestErrorsShowNoSecret: a server that says what it was asked for does not get a key into the log.
func TestErrorsShowNoSecret(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := "there is no " + r.URL.String()
		if r.URL.Path == "/long" {
			text = strings.Repeat("x ", 95) + "k=" + r.URL.Query().Get("key") // which is cut within the key
		}
		http.Error(w, text, http.StatusNotFound)
	}))
	defer s.Close()
	for path, says := range map[string]string{"/x": "the server answers 404 Not Found: there is no /x?key=***", "/long": "x x"} {
		_, err := Open(t.Context(), s.URL+path+"?key=s3cret-and-long", Access{})
		if err == nil || strings.Contains(err.Error(), "s3c") || !strings.Contains(err.Error(), says) || session.ReasonOf(err) != session.NotFound {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestRefusedWebSockets: a server of WebSockets that says no and keeps the connection is left at once, however often it is tried.
func TestRefusedWebSockets(t *testing.T) {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ConnState = func(c net.Conn, to http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if to == http.StateNew {
			open[c] = true
		} else if to == http.StateClosed {
			delete(open, c)
		}
	}
	s.Start()
	defer s.Close()
	for range 5 {
		if _, err := Open(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/x", Access{}); session.ReasonOf(err) != session.NotFound {
			t.Fatal(err)
		}
	}
	n := 0
	for range 200 {
		mu.Lock()
		n = len(open)
		mu.Unlock()
		if n == 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Errorf("%d connections are open", n)
}

// TestLostAndEnded: a stream whose connection breaks is told from one that ended.
func TestLostAndEnded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	serve := func(end string) {
		wg.Go(func() {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			_, _ = nc.Read(make([]byte, 4096))
			b := film()
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%s", len(b), b, end)
		})
	}
	for end, lost := range map[string]bool{"0\r\n\r\n": false, "": true, "1": true} {
		serve(end)
		src, err := Open(context.Background(), "http://"+ln.Addr().String()+"/x", Access{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = src.ReadFrame()
		}
		_ = src.Close()
		if !errors.Is(err, io.EOF) || errors.Is(err, ErrLost) != lost {
			t.Errorf("%q: %v", end, err)
		}
	}
}

// TestInsecure: a server with a certificate of its own is read only on request, a playlist and a transport stream as well.
func TestInsecure(t *testing.T) {
	list, err := tapes()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".m3u8") {
			_, _ = io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n0.ts\n#EXT-X-ENDLIST\n")
			return
		}
		_, _ = io.WriteString(w, list[0][0])
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	s.StartTLS()
	defer s.Close()
	for _, path := range []string{"/x.m3u8", "/x.ts"} {
		if _, err := Open(t.Context(), s.URL+path, Access{}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", path, err)
		}
		src, err := Open(t.Context(), s.URL+path, Access{Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := frames(src); n != pictures || err != nil {
			t.Errorf("%s: %d pictures, %v", path, n, err)
		}
	}
}

// TestCredentialsStayOnTLS: what belongs to a host that is reached by TLS is not sent to it without.
func TestCredentialsStayOnTLS(t *testing.T) {
	for _, c := range []struct {
		origin, to string
		own        bool
	}{
		{"https://u:p@h.example/x", "https://h.example/y", true},
		{"https://u:p@h.example/x", "http://h.example/y", false},
		{"http://u:p@h.example/x", "http://h.example/y", true},
		{"http://u:p@h.example/x", "https://h.example/y", true},
		{"wss://u:p@h.example/x", "https://h.example/y", true},
		{"https://u:p@h.example/x", "https://h.example:444/y", false},
		{"https://u:p@h.example/x", "https://other.example/y", false},
	} {
		u, err := url.Parse(c.origin)
		if err != nil {
			t.Fatal(err)
		}
		var got http.Header
		a := Access{Header: http.Header{"X-Secret": {"hunter2"}, "User-Agent": {"Weir"}, "Host": {"evil.example"}}, Hops: []string{"me.1"}}
		rt := a.client(u).Transport.(*transport)
		rt.RoundTripper = seeing(func(r *http.Request) { got = r.Header })
		req, err := http.NewRequest(http.MethodGet, c.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !c.own { // http.Client makes one of a URL that inherits the user
			req.SetBasicAuth("u", "p")
		}
		before := req.Header.Get("Authorization")
		if _, err := rt.RoundTrip(req); !errors.Is(err, errSeen) {
			t.Fatal(err)
		}
		if (got.Get("X-Secret") == "hunter2") != c.own || (got.Get("Authorization") == "Basic dTpw") != c.own || got.Get("User-Agent") != "Weir" || got.Get("Via") != "1.1 weir-me.1" || got.Get("Host") != "" {
			t.Errorf("from %s to %s: %v", c.origin, c.to, got)
		}
		if req.Header.Get("Authorization") != before {
			t.Error("the request itself is changed")
		}
	}
}

var errSeen = errors.New("seen")

// seeing is an http.RoundTripper that looks at requests.
type seeing func(r *http.Request)

// RoundTrip implements http.RoundTripper.
func (s seeing) RoundTrip(r *http.Request) (*http.Response, error) {
	s(r)
	return nil, errSeen
}

// TestLargestCookie: one of 4096 bytes with its host is kept, and one larger is not.
func TestLargestCookie(t *testing.T) {
	u, _ := url.Parse("http://h.example/")
	for size, kept := range map[int]bool{4096 - len("h.example") - 1: true, 4096 - len("h.example"): false} {
		jar := Access{}.client(u).Jar
		jar.SetCookies(u, []*http.Cookie{{Name: "c", Value: strings.Repeat("x", size)}})
		if got := len(jar.Cookies(u)) == 1; got != kept {
			t.Errorf("a cookie of %d bytes: %v", size, got)
		}
	}
}

// TestMediaIsWaitedFor: other data does not make a source that sends no media a good one, and time in which nobody reads does not count.
func TestMediaIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &dripping{every: time.Second, closed: make(chan struct{})}
		p := newPatient(s, 5*time.Second)
		read := func(n int, media bool) {
			t.Helper()
			s.media = media
			for range n {
				if _, err := p.ReadFrame(); err != nil {
					t.Fatal(err)
				}
			}
		}
		read(20, true)
		read(3, false)
		time.Sleep(time.Hour)
		read(1, true)
		read(3, false)
		begin := time.Now()
		var err error
		for n := 0; n < 20 && err == nil; n++ {
			_, err = p.ReadFrame()
		}
		if session.ReasonOf(err) != session.Idle || time.Since(begin) > 2*time.Second || !strings.Contains(err.Error(), "no frame has come for 5s") {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// dripping is a source that sends a frame every now and then.
type dripping struct {
	Source
	every  time.Duration
	media  bool
	closed chan struct{}
	once   sync.Once
}

// ReadFrame implements Source.
func (d *dripping) ReadFrame() (*av.Frame, error) {
	select {
	case <-time.After(d.every):
	case <-d.closed:
		return nil, errors.New("closed")
	}
	if d.media {
		return &av.Frame{}, nil
	}
	return &av.Frame{Type: av.Script}, nil
}

// Close implements Source.
func (d *dripping) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// TestLargestFrame: of FLV by HTTP and WebSocket a frame that is larger than is of use is refused, before it has come.
func TestLargestFrame(t *testing.T) {
	const most = 1 << 20
	for n, want := range map[int]session.Reason{most: session.EOF, most + tagHead: session.TooLarge} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			tag := flv.AppendTag(film(), flv.TagAudio, 300, nil, append([]byte{0x2f}, make([]byte, n)...))
			if want == session.TooLarge {
				tag = tag[:len(tag)-n/2]
			}
			_, _ = w.Write(tag)
			_ = http.NewResponseController(w).Flush()
		}))
		src, err := Open(t.Context(), s.URL+"/x.flv", Access{MaxFrame: most})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := frames(src); session.ReasonOf(err) != want || got < 10 {
			t.Errorf("%d bytes: %d frames, %v", n, got, err)
		}
		s.Close()
	}
}

// TestPin: a certificate that nobody vouches for is accepted by its fingerprint, and no other is, whatever else is accepted.
func TestPin(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(film()) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	own := sha256.Sum256(s.Certificate().Raw)
	other := sha256.Sum256(nil)
	for name, c := range map[string]struct {
		pin      []byte
		insecure bool
		want     string
	}{
		"its own":               {own[:], false, ""},
		"another":               {other[:], false, "the server's certificate is not the one whose fingerprint is in pin"},
		"another, insecure too": {other[:], true, "the server's certificate is not the one whose fingerprint is in pin"},
		"none":                  {nil, false, "vouches for the certificate of 127.0.0.1: if it is your own server, pin it"},
	} {
		src, err := Open(t.Context(), s.URL+"/x.flv", Access{Pin: c.pin, Insecure: c.insecure, Trust: "pin it"})
		if err == nil {
			_ = src.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || session.ReasonOf(err) != session.Handshake) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
