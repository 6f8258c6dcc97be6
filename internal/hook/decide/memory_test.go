package decide

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// TestQuestionsThatDiffer: peers that show something else, or come in another way, do not go by one another's answers.
func TestQuestionsThatDiffer(t *testing.T) {
	one := keysOf(player("token=a"), false)
	for name, change := range map[string]func(*admit.Request){
		"role":       func(r *admit.Request) { r.Role = session.Publish },
		"protocol":   func(r *admit.Request) { r.Protocol = "hls" },
		"path":       func(r *admit.Request) { r.Path = "live/other" },
		"query":      func(r *admit.Request) { r.RawQuery = "token=b" },
		"user":       func(r *admit.Request) { r.Credential.User = "ann" },
		"page":       func(r *admit.Request) { r.PageURL = "https://example.com/" },
		"address":    func(r *admit.Request) { r.Remote = netip.MustParseAddrPort("203.0.113.8:51234") },
		"user agent": func(r *admit.Request) { r.UserAgent = "curl" },
		"TLS":        func(r *admit.Request) { r.TLS = true },
		"proxy":      func(r *admit.Request) { r.Via = []netip.Addr{netip.MustParseAddr("10.0.0.2")} },
	} {
		r := player("token=a")
		change(r)
		if k := keysOf(r, false); k.exact == one.exact || k.flight == one.flight {
			t.Errorf("%s makes no difference", name)
		}
	}
	same := player("token=a")
	same.Remote, same.Session, same.Online, same.Players = netip.MustParseAddrPort("203.0.113.7:1"), "s2", true, 5
	if keysOf(same, false) != one {
		t.Error("the same question twice")
	}
	moved := player("token=a")
	moved.Remote, moved.UserAgent = netip.MustParseAddrPort("198.51.100.1:1"), "curl"
	if keysOf(moved, false).credential != one.credential {
		t.Error("a credential is another one in another network")
	}
}

// TestCache: an answer holds for as long as it says, and only for what it was given for.
func TestCache(t *testing.T) {
	var calls atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		b, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(b), "nocache"):
		case strings.Contains(string(b), "later"):
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		case strings.Contains(string(b), "deny"):
			_, _ = io.WriteString(w, `{"allow":false,"cache":"30s"}`)
		default:
			_, _ = io.WriteString(w, `{"cache":"30s"}`)
		}
	})
	c := newRig(t, url, nil)
	n := int32(0)
	expect := func(what string, r *admit.Request, more int32) {
		t.Helper()
		_, _ = c.Decide(t.Context(), r)
		if n += more; calls.Load() != n {
			t.Errorf("%s: %d calls, want %d", what, calls.Load(), n)
			n = calls.Load()
		}
	}
	expect("first", player("token=a"), 1)
	expect("again", player("token=a"), 0)
	expect("another token from the same address", player("token=b"), 1)
	expect("no token from the same address", player(""), 1)
	other := player("token=a")
	other.Remote = netip.MustParseAddrPort("203.0.113.8:51234")
	expect("another address", other, 1)
	port := player("token=a")
	port.Remote, port.Session = netip.MustParseAddrPort("203.0.113.7:1"), "s2"
	expect("another port", port, 0)
	expect("a publisher", publisher("token=a"), 1)
	path := player("token=a")
	path.Path = "live/other"
	expect("another stream", path, 1)
	login := player("token=a")
	login.Credential = admit.Credential{Kind: "basic", User: "u", Secret: "p"}
	expect("with a password", login, 1)
	expect("with a password again", login, 0)
	again := player("token=a")
	again.Recheck = true
	expect("a session that runs", again, 1)
	expect("a denial", player("token=deny"), 1)
	expect("a denial again", player("token=deny"), 0)
	expect("to come later", player("token=later"), 1)
	expect("too early", player("token=later"), 0)
	expect("no cache", player("token=nocache"), 1)
	expect("no cache again", player("token=nocache"), 1)
	page := player("token=nocache")
	page.Session = ""
	expect("a page", page, 1)
	expect("a page again", page, 0)
	if _, err := c.Decide(t.Context(), player("token=deny")); session.ReasonOf(err) != session.Denied {
		t.Error(err)
	}
	conf := DefaultConfig()
	conf.URL = url
	use(t, c.Client, conf)
	expect("another configuration", player("token=a"), 1)
	use(t, c.Client, conf)
	expect("the same configuration", player("token=a"), 0)
}

func TestMemory(t *testing.T) {
	var m memory
	now := time.Unix(1e9, 0)
	key := func(i int) (d digest) {
		d[0], d[1], d[2] = byte(i), byte(i>>8), byte(i>>16)
		return d
	}
	v := make([]verdict, 3)
	m.put(key(1), &v[1], now.Add(time.Second))
	if m.get(key(1), now.Add(time.Second-1)) != &v[1] || m.get(key(2), now) != nil {
		t.Error("not remembered")
	}
	if m.get(key(1), now.Add(time.Second)) != nil || len(m.entries) != 0 || m.recent.Len() != 0 {
		t.Error("not forgotten")
	}
	for i := range 50_000 {
		m.put(key(i), &v[0], now.Add(time.Hour))
	}
	m.put(key(0), &v[2], now.Add(time.Hour))
	if m.get(key(1), now) != &v[0] { // asked for: key 2 is the oldest now
		t.Error("gave way too early")
	}
	m.put(key(50_000), &v[1], now.Add(time.Hour))
	if len(m.entries) != 50_000 || m.recent.Len() != 50_000 || m.get(key(0), now) != &v[2] || m.get(key(1), now) == nil || m.get(key(2), now) != nil || m.get(key(3), now) == nil {
		t.Error("the wrong one gave way")
	}
}

func BenchmarkDecideCached(b *testing.B) {
	c := newRig(b, serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"cache":"1h"}`) }), nil)
	r := player("token=a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decide(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHolds(t *testing.T) {
	in, out := &verdict{terms: &session.Terms{}}, &verdict{refusal: &session.Refusal{}}
	said := &verdict{terms: &session.Terms{}, cache: time.Hour}
	none, with, again := player(""), player(""), player("")
	none.Session, again.Recheck = "", true
	for _, c := range []struct {
		v    *verdict
		r    *admit.Request
		want time.Duration
	}{
		{in, with, 0},
		{out, with, 0},
		{said, with, time.Hour},
		{said, again, 0},
		{in, again, 0},
		{in, none, 30 * time.Second},
		{out, none, 5 * time.Second},
		{said, none, time.Hour},
	} {
		if got := c.v.holds(c.r); got != c.want {
			t.Errorf("%+v %q: %v, want %v", c.v, c.r.Session, got, c.want)
		}
	}
}

// TestIDsOfOthers: an answer that stands for another peer than the one that was asked about, because the service is down or because it
// was said a while ago, does not hand on the id under which that one was asked about.
func TestIDsOfOthers(t *testing.T) {
	viewer := func(from, offer string) *admit.Request {
		r := player("token=x")
		r.Session, r.Offer, r.Remote = "", offer, netip.MustParseAddrPort(from)
		return r
	}
	var down atomic.Bool
	client := newRig(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	}), func(c *Config) { c.OnError = "last" })
	named := func(r *admit.Request, want string) {
		t.Helper()
		if terms, err := client.Decide(t.Context(), r); err != nil || terms.Session != want {
			t.Errorf("%+v, %v; want the id %q", terms, err, want)
		}
	}
	named(viewer("192.0.2.1:1", "first"), "first")
	down.Store(true)
	named(viewer("192.0.2.2:1", "second"), "")

	r := viewer("192.0.2.3:1", "third")
	for age, want := range map[time.Duration]string{0: "of that one", sessionlessAllowed + time.Second: ""} {
		client.Client.mu.Lock()
		client.fresh.put(keysOf(r, false).exact, &verdict{terms: &session.Terms{By: By, Session: "of that one"}, at: time.Now().Add(-age)}, time.Now().Add(time.Hour))
		client.Client.mu.Unlock()
		named(r, want)
	}
}
