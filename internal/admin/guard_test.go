package admin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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

// TestTokenOfAdmin: with a token nothing but health is answered without it.
func TestTokenOfAdmin(t *testing.T) {
	h := testHandler(t, func(c *Config) { c.Token = "s3cret" })
	for auth, want := range map[string]int{"": 401, "Bearer wrong": 401, "Bearer s3cret": 200, "bearer s3cret": 200} {
		if status, _ := ask(h, "/api/v1/streams", "localhost", "Authorization", auth); status != want {
			t.Errorf("%q: %d, want %d", auth, status, want)
		}
	}
	if status, _ := ask(h, "/health/live", "localhost"); status != 200 {
		t.Error(status)
	}
}
