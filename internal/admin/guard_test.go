package admin

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"weir/internal/session"
	"weir/internal/stream"
)

// testHandler returns an admin listener's handler that knows no stream.
func testHandler(t *testing.T, change func(*Config)) http.Handler {
	t.Helper()
	conf := Config{
		Hub:      stream.New(stream.Options{Settings: func(string) stream.Settings { return stream.Default() }}),
		Sessions: session.New(session.Limits{}, session.Observer{}),
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		Ready:    func() bool { return true },
	}
	if change != nil {
		change(&conf)
	}
	return New(conf)
}

// ask returns the status and the body of an answer.
func ask(h http.Handler, path, host string, header ...string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestHostOfAdmin: a page whose name was made to resolve to our address reads nothing.
func TestHostOfAdmin(t *testing.T) {
	h := testHandler(t, func(c *Config) { c.Hosts = []string{"weir.example.org"} })
	for host, want := range map[string]int{
		"127.0.0.1:8088": 200, "localhost:8088": 200, "LOCALHOST.": 200, "[::1]:8088": 200, "::1": 200, "10.1.2.3": 200,
		"weir.example.org": 200, "Weir.Example.org:8088": 200, "a.localhost": 200, "": 200,
		"evil.example": 421, "evil.example:8088": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"x.weir.example.org": 421, "notlocalhost": 421,
	} {
		for _, path := range []string{"/api/v1/sessions", "/api/v1/streams", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/nothing"} {
			status, body := ask(h, path, host)
			if path == "/nothing" && want == 200 {
				continue
			}
			if status != want || want == 421 && !strings.Contains(body, "admin.hosts") {
				t.Errorf("%s as %q: %d %.80q, want %d", path, host, status, body, want)
			}
		}
		if status, _ := ask(h, "/health/ready", host); status != 200 {
			t.Errorf("health as %q: %d", host, status)
		}
	}
}

// TestOriginOfAdmin: pages of other origins read nothing, whatever they ask for and how.
func TestOriginOfAdmin(t *testing.T) {
	h := testHandler(t, nil)
	for _, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"no browser", nil, 200},
		{"its own page", []string{"Origin", "http://127.0.0.1:8088", "Sec-Fetch-Site", "same-origin"}, 200},
		{"typed by the user", []string{"Sec-Fetch-Site", "none"}, 200},
		{"another page", []string{"Origin", "https://evil.example"}, 403},
		{"another port", []string{"Origin", "http://127.0.0.1:8080"}, 403},
		{"a file", []string{"Origin", "null"}, 403},
		{"another page's picture", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister site's", []string{"Sec-Fetch-Site", "same-site"}, 403},
	} {
		if status, body := ask(h, "/metrics", "127.0.0.1:8088", c.header...); status != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, status, body, c.want)
		}
	}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

// TestBodyThatIsTooLarge: what says of itself that it is larger than anything that is taken is refused before it is read,
// whatever it is for.
func TestBodyThatIsTooLarge(t *testing.T) {
	h := testHandler(t, nil)
	for size, want := range map[int64]int{1 << 20: 200, 1<<20 + 1: 413, 1 << 40: 413} {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/sessions", unread{t})
		r.Host, r.ContentLength = "localhost", size
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || (want == 413) != strings.Contains(w.Body.String(), "more than 1048576 bytes") {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		}
	}
}

// TestCmdlineHidesValues: keys given by --set are not shown.
func TestCmdlineHidesValues(t *testing.T) {
	w := httptest.NewRecorder()
	cmdline([]string{"weir", "serve", "--set", "streams.0.publish.keys=hunter2", "--set=admin.token=hunter2", "-c", "weir.yml"})(w, nil)
	const want = "weir\x00serve\x00--set\x00streams.0.publish.keys=***\x00--set=***\x00-c\x00weir.yml"
	if got := w.Body.String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if status, _ := ask(testHandler(t, nil), "/debug/pprof/cmdline", "localhost"); status != 200 {
		t.Error(status)
	}
}

// TestC233_Token: only the header Authorization carries the token, and whoever has it not is answered the same to the byte,
// however near he is: what is compared are hashes, in constant time.
func TestC233_Token(t *testing.T) {
	const token = "s3cret-of-the-operator"
	h := testHandler(t, func(c *Config) { c.Token = token })
	answer := func(path string, header ...string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Host = "localhost"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, fmt.Sprintf("%v %s", w.Header(), w.Body)
	}
	for _, scheme := range []string{"Bearer ", "bearer "} {
		if status, text := answer("/api/v1/streams", "Authorization", scheme+token); status != http.StatusOK {
			t.Fatal(status, text)
		}
	}
	status, want := answer("/api/v1/streams")
	if status != http.StatusUnauthorized || !strings.Contains(want, "unauthorized") || !strings.Contains(want, "Bearer") {
		t.Fatal(status, want)
	}
	for _, c := range [][]string{
		{"/api/v1/streams", "Authorization", "Bearer wrong"},
		{"/api/v1/streams", "Authorization", "Bearer " + token[:len(token)-1]},
		{"/api/v1/streams", "Authorization", "Bearer " + token + "x"},
		{"/api/v1/streams", "Authorization", "Bearer "},
		{"/api/v1/streams", "Authorization", "Bearer " + strings.Repeat("x", 4096)},
		{"/api/v1/streams", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+token))},
		{"/api/v1/streams", "Authorization", token},
		{"/api/v1/streams", "Cookie", "token=" + token},
		{"/api/v1/streams?token=" + token},
		{"/api/v1/streams?access_token=" + token},
		{"/api/v1/streams?key=" + token},
		{"/api/v1/nothing"},
		{"/metrics?token=" + token},
		{"/debug/pprof/heap"},
	} {
		if status, got := answer(c[0], c[1:]...); status != http.StatusUnauthorized || got != want {
			t.Errorf("%.80q: %d %s, want what is answered without a token: %s", c, status, got, want)
		}
	}
	if status, _ := answer("/health/live"); status != http.StatusOK {
		t.Error(status)
	}
}

// TestC234_ForeignWrites: a page of another origin changes nothing, by whatever verb.
func TestC234_ForeignWrites(t *testing.T) {
	r := newRig(t, whole)
	publisher := r.publish("live/a", "rtmp")
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/config/reload", ""},
		{http.MethodPost, "/keys", `{"role":"play","match":"live/*"}`},
		{http.MethodPost, "/hooks/billing/deliveries/01A/replay", ""},
		{http.MethodPatch, "/config", "{}"},
		{http.MethodDelete, "/streams/live/a", ""},
		{http.MethodDelete, "/sessions/" + publisher.ID, ""},
		{http.MethodDelete, "/keys/cam1", ""},
	} {
		for _, header := range [][]string{
			{"Origin", "https://evil.example", "Content-Type", "text/plain"},
			{"Origin", "https://evil.example", "Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"},
			{"Origin", "null"},
			{"Sec-Fetch-Site", "cross-site"},
			{"Sec-Fetch-Site", "same-site"},
		} {
			if a := r.ask(c.method, apiPrefix+c.path, c.body, header...); a.status != http.StatusForbidden || a.code() != "foreign_origin" {
				t.Errorf("%s %s %q: %d %s", c.method, c.path, header, a.status, a.body)
			}
		}
		if a := r.ask(http.MethodOptions, apiPrefix+c.path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", c.method); a.status < 400 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s is offered to other origins: %d %v", c.method, c.path, a.status, a.header)
		}
	}
	if r.conf.Hub.Get("live/a") == nil || r.conf.Sessions.Len() != 1 || strings.Contains(r.log.String(), "changed through the API") {
		t.Errorf("something was changed: %s", r.log)
	}
}

// endless is a body without an end, which counts what is taken of it.
type endless struct{ n atomic.Int64 }

// Read implements io.Reader.
func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.n.Add(int64(len(b)))
	return len(b), nil
}

// TestC234_BadJSON: too much is refused before it is read, and so is what readers take differently, wherever there is a body.
func TestC234_BadJSON(t *testing.T) {
	r := newRig(t, whole)
	deep := strings.Repeat(`{"log":[`, 500) + strings.Repeat("]}", 500)
	for _, c := range []struct{ method, path, twice string }{
		{http.MethodPatch, "/config", `{"limits":{"streams":1,"streams":2}}`},
		{http.MethodPost, "/keys", `{"role":"play","match":"live/*","role":"publish"}`},
	} {
		for _, body := range []string{c.twice, deep, strings.Repeat("[", 10_000)} {
			if a := r.ask(c.method, apiPrefix+c.path, body); a.status != http.StatusBadRequest || a.code() != "bad_request" {
				t.Errorf("%s %s %.60s: %d %s", c.method, c.path, body, a.status, a.body)
			}
		}
	}
	for _, c := range []struct{ method, path string }{
		{http.MethodPatch, "/config"},
		{http.MethodPost, "/keys"},
		{http.MethodPost, "/config/reload"},
		{http.MethodPost, "/hooks/billing/deliveries/01A/replay"},
		{http.MethodDelete, "/keys/cam1"},
	} {
		body := &endless{}
		req, err := http.NewRequest(c.method, r.web.URL+apiPrefix+c.path, io.LimitReader(body, 100<<20))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 100 << 20
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(c, err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge || body.n.Load() > 32<<20 {
			t.Errorf("%s %s with 100 MiB: %s, and %d bytes were sent", c.method, c.path, res.Status, body.n.Load())
		}
	}
	for _, c := range []struct{ method, path string }{{http.MethodPatch, "/config"}, {http.MethodPost, "/keys"}} {
		body := &endless{} // of no length that is told before
		req, err := http.NewRequest(c.method, r.web.URL+apiPrefix+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultTransport.RoundTrip(req)
		status := "the connection is cut"
		if err == nil { // the answer may come too late for a client that still sends
			status = res.Status
			_ = res.Body.Close()
		}
		if err == nil && res.StatusCode != http.StatusRequestEntityTooLarge || body.n.Load() > 32<<20 {
			t.Errorf("%s %s without an end: %s, and %d bytes were sent", c.method, c.path, status, body.n.Load())
		}
	}
	if strings.Contains(r.log.String(), "changed through the API") {
		t.Errorf("something was changed: %s", r.log)
	}
}
