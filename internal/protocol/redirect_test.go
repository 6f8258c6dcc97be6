package protocol

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

// TestRedirect follows redirects behind a proxy that serves us below a path.
func TestRedirect(t *testing.T) {
	for _, c := range []struct{ from, to, location, leads string }{
		{"/live/cam?key=x", "cam/", "./cam/?key=x", "/tv/live/cam/?key=x"},
		{"/live/cam.m3u8?key=a%26b", "cam/index.m3u8", "./cam/index.m3u8?key=a%26b", "/tv/live/cam/index.m3u8?key=a%26b"},
		{"/live/a:b", "a:b/", "./a:b/", "/tv/live/a:b/"},
		{"/live/http:", "http:/", "./http:/", "/tv/live/http:/"},
		{"/live/a%20b%3F", "a b?/", "./a%20b%3F/", "/tv/live/a%20b%3F/"},
	} {
		w := httptest.NewRecorder()
		Redirect(w, httptest.NewRequest("GET", c.from, nil), c.to)
		location := w.Header().Get("Location")
		if w.Code != 302 || location != c.location {
			t.Errorf("%s: %d to %q, want %q", c.from, w.Code, location, c.location)
		}
		at, err := url.Parse("https://proxy.example/tv" + c.from)
		if err != nil {
			t.Fatal(err)
		}
		to, err := at.Parse(location)
		if err != nil || to.Host != "proxy.example" || to.RequestURI() != c.leads {
			t.Errorf("%s leads to %v (%v), want %s", c.from, to, err, c.leads)
		}
	}
}
