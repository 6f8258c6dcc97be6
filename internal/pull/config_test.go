package pull

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"weir/internal/admit"
	"weir/internal/session"
)

func requestFor(path string) *admit.Request { return &admit.Request{Role: session.Play, Path: path} }

// TestSources: which URLs can be sources; what is said of others has no secret.
func TestSources(t *testing.T) {
	for text, want := range map[string]string{
		"rtmp://origin/live/x":                        "",
		"rtmps://user:pw@origin:443/{app}/{name}?k=1": "",
		"https://origin/{path}.m3u8?{query}":          "",
		"ws://[::1]:8080/live/x.flv":                  "",
		"https://origin/{path}?a=hunter2&{query}":     "",
		"rtmp://origin/{path}{query}":                 "has {query} in the path, where everybody would be shown the keys in it: write ?{query}",
		"rtmp://origin/{query}/x?key=hunter2&{query}": "has {query} in the path",
		"":                                    "no URL of a stream",
		"live/x":                              "no URL of a stream",
		"rtmp://origin":                       "no URL of a stream",
		"rtmp:///live/x":                      "no URL of a stream",
		"file:///etc/passwd":                  "no URL of a stream",
		"udp://origin/live/x?key=hunter2":     "no URL of a stream",
		"rtmp://{app}.example/live/x":         "the host of a source cannot depend on the stream",
		"rtmp://origin/{vhost}/x?key=hunter2": "there are {app}, {name}, {path}, {query}",
		"http://origin:x/live":                "is no URL",
		"rtmp://origin/" + strings.Repeat("x", maxURL): "no URL of a stream",
		"http://origin/live/x\n?key=hunter2":           "is no URL",
		"http://origin/live/%zz?key=hunter2":           "is no URL",
	} {
		err := CheckSource(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error has the key: %v", text, err)
		}
	}
}

// TestExpand: what stands for a stream is written as it is in a URL, and cannot leave its place.
func TestExpand(t *testing.T) {
	for _, c := range []struct{ source, path, query, want string }{
		{"rtmp://o/{app}/{name}", "live/x", "", "rtmp://o/live/x"},
		{"rtmp://o/x/{path}", "live/a/b", "", "rtmp://o/x/live/a/b"},
		{"rtmp://o/{app}/{name}", "live/a/b", "", "rtmp://o/live/a/b"},
		{"http://o/{app}/{name}.flv?{query}", "live/a?b#c d/é", "key=a b&x=#1\"", "http://o/live/a%3Fb%23c%20d/%C3%A9.flv?key=a%20b&x=%231%22"},
		{"http://o/{path}.flv", "live/a?b#c d", "", "http://o/live/a%3Fb%23c%20d.flv"},
		{"http://o/{app}", "a b/c", "", "http://o/a%20b"},
		{"http://o/{name}", "live/{query}", "q", "http://o/%7Bquery%7D"},
	} {
		if got := expand(c.source, c.path, c.query); got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.source, c.path, got, c.want)
		}
	}
	for _, c := range []struct{ origin, want string }{
		{"rtmp://o", "rtmp://o/live/x%20y"},
		{"rtmps://o:443/?key=k", "rtmps://o:443/live/x%20y?key=k"},
		{"http://o:8080", "http://o:8080/live/x%20y.flv"},
		{"https://o/below/", "https://o/below/live/x%20y.flv"},
	} {
		if got := atOrigin(c.origin, "live/x y"); got != c.want {
			t.Errorf("%s: %s, want %s", c.origin, got, c.want)
		}
	}
}

// TestValidate: what cannot work is refused, with the key.
func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"nothing":      {func(*Config) {}, ""},
		"a URL":        {func(c *Config) { c.URL = "rtmp://o/live/x" }, ""},
		"both":         {func(c *Config) { c.URL, c.Sources = "rtmp://o/a/b", []string{"rtmp://o/a/b"} }, "write this URL into it"},
		"a bad one":    {func(c *Config) { c.Sources = []string{"rtmp://o/a/b", "gopher://o/a/b"} }, "no URL of a stream"},
		"sixteen":      {func(c *Config) { c.Sources = many(16) }, ""},
		"seventeen":    {func(c *Config) { c.Sources = many(17) }, "more than 16"},
		"a header":     {func(c *Config) { c.Headers = []string{"Authorization: Bearer x"} }, ""},
		"32 headers":   {func(c *Config) { c.Headers = slices.Repeat([]string{"A: b"}, 32) }, ""},
		"33 headers":   {func(c *Config) { c.Headers = slices.Repeat([]string{"A: b"}, 33) }, "more than 32 header fields"},
		"a long one":   {func(c *Config) { c.Headers = []string{"A: " + strings.Repeat("b", 4096-3)} }, ""},
		"a longer":     {func(c *Config) { c.Headers = []string{"A: " + strings.Repeat("b", 4096-2)} }, "Name: value"},
		"a long URL":   {func(c *Config) { c.URL = "rtmp://o/a/" + strings.Repeat("b", 4096-11) }, ""},
		"a longer one": {func(c *Config) { c.URL = "rtmp://o/a/" + strings.Repeat("b", 4096-10) }, "no URL of a stream"},
		"no header":    {func(c *Config) { c.Headers = []string{"hunter2"} }, "Name: value"},
		"two lines":    {func(c *Config) { c.Headers = []string{"A: b\r\nC: d"} }, "Name: value"},
		"the host":     {func(c *Config) { c.Headers = []string{"host: x"} }, "Name: value"},
		"agent lines":  {func(c *Config) { c.UserAgent = "a\nb" }, "control characters"},
	} {
		conf := DefaultConfig()
		c.change(&conf)
		err := conf.Validate()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for origin, good := range map[string]bool{
		"rtmp://origin.example": true, "http://origin:8080/below?key=k": true, "origin.example": false, "file:///x": false, "rtmp://": false, "rtmp://o/{app}": false,
	} {
		c := DefaultEdge()
		c.Origin = origin
		if err := c.Validate(); (err == nil) != good {
			t.Errorf("%s: %v", origin, err)
		}
	}
	c := DefaultEdge()
	c.Backup = []string{"rtmp://b"}
	if c.Validate() == nil {
		t.Error("a backup without an origin passes")
	}
	for n, good := range map[int]bool{15: true, 16: false} { // with the origin they are as many as may be
		c := DefaultEdge()
		c.Origin, c.Backup = "rtmp://o", slices.Repeat([]string{"rtmp://b"}, n)
		if err := c.Validate(); (err == nil) != good || err != nil && !strings.Contains(err.Error(), "more than 15 servers") {
			t.Errorf("%d backups: %v", n, err)
		}
	}
	tuning := Tuning{UserAgent: "Weir", Headers: []string{"authorization:Bearer x", "X-A: 1", "X-A: 2"}}
	h := tuning.header()
	if h.Get("User-Agent") != "Weir" || h.Get("Authorization") != "Bearer x" || len(h.Values("X-A")) != 2 || len(h) != 3 {
		t.Error(http.Header(h))
	}
}

func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "rtmp://o/a/b"
	}
	return list
}
