package decide

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a Metrics.
type counter struct {
	mu  sync.Mutex
	all map[string]int
	// failed is how many questions the service failed to answer.
	failed int
}

func (c *counter) Failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
}

func (c *counter) Decided(result string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	c.all[result]++
}

func (c *counter) check(t *testing.T, want map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !reflect.DeepEqual(c.all, want) {
		t.Errorf("results %v, want %v", c.all, want)
	}
}

// rig is a client with what it is seen to do.
type rig struct {
	*Client
	counter
	log bytes.Buffer
}

func newRig(t testing.TB, url string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{}
	conf := DefaultConfig()
	conf.URL, conf.Timeout = url, 10*time.Second
	if change != nil {
		change(&conf)
	}
	r.Client = New(Options{
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Metrics: &r.counter, Server: hook.Server{ID: "a1", Name: "edge-1"},
		MayRename: func(from, to string) bool { return strings.HasPrefix(to, "live/") },
	})
	t.Cleanup(r.Close)
	use(t, r.Client, conf)
	return r
}

func use(t testing.TB, c *Client, conf Config) {
	t.Helper()
	p, err := NewPlan(conf)
	if err != nil {
		t.Fatal(err)
	}
	c.Use(p)
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func publisher(query string) *admit.Request {
	return &admit.Request{
		Role: session.Publish, Protocol: "rtmp", Session: "s1", Remote: netip.MustParseAddrPort("203.0.113.7:51234"),
		Path: "live/asked", RawQuery: query,
	}
}

func player(query string) *admit.Request {
	r := publisher(query)
	r.Role, r.Protocol = session.Play, "http-flv"
	return r
}

func TestDecide(t *testing.T) {
	var body atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body.Store(string(b))
		_, _ = io.WriteString(w, `{"user":"u42","path":"live/alice","recheck":"60s","limits":{"bitrate":"8Mbps"},"labels":{"plan":"pro"}}`)
	})
	c := newRig(t, url, nil)
	terms, err := c.Decide(t.Context(), publisher("token=x"))
	want := &session.Terms{By: "hook", KeyID: "sha256:1e1169b0b2f5a795", User: "u42", Path: "live/alice", Recheck: time.Minute, Bitrate: 8e6, Labels: map[string]string{"plan": "pro"}}
	if err != nil || !reflect.DeepEqual(terms, want) {
		t.Errorf("%+v, %v", terms, err)
	}
	var q struct {
		Version             int
		ID, Action          string
		DeadlineMS          int `json:"deadline_ms"`
		Session, Credential map[string]any
	}
	if err := json.Unmarshal([]byte(body.Load().(string)), &q); err != nil || q.Version != 1 || len(q.ID) < 20 || q.Action != "publish" || q.DeadlineMS != 10000 || q.Session["id"] != "s1" {
		t.Errorf("%s, %v", body.Load(), err)
	}
	inside := publisher("")
	inside.InProcess = true
	if terms, err := c.Decide(t.Context(), inside); terms != nil || err != nil {
		t.Error("a peer within the program was asked about")
	}
	c.check(t, map[string]int{Allowed: 1})
}

func TestRefusals(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var q struct {
			Stream struct{ Query map[string][]string }
		}
		_ = json.Unmarshal(b, &q)
		var status int
		_, _ = fmt.Sscan(q.Stream.Query["status"][0], &status)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, q.Stream.Query["body"][0])
	})
	for _, c := range []struct {
		query  string
		reason session.Reason
		peer   string
		err    string
		retry  time.Duration
		login  bool
	}{
		{"status=200&body={\"allow\":false}", session.Denied, "Not allowed.", "the decision hook said no", 0, false},
		{"status=200&body={\"allow\":false,\"reason\":\"not paid\"}", session.Denied, "not paid", "the decision hook said no: not paid", 0, false},
		{"status=403&body={\"reason\":\"blocked\"}", session.Denied, "blocked", "the decision hook said no (status 403): blocked", 0, false},
		{"status=401&body=", session.BadKey, "The key is missing or wrong.", "the decision hook said no (status 401)", 0, true},
		{"status=404&body=", session.NotFound, "Nobody is publishing this stream.", "", 0, false},
		{"status=410&body=", session.NotFound, "", "", 0, false},
		{"status=409&body=", session.Conflict, "", "", 0, false},
		{"status=429&body=", session.Throttled, "Too many requests: wait before trying again.", "", 7 * time.Second, false},
		{"status=429&body={\"reason\":\"one a minute\"}", session.Throttled, "one a minute", "", 7 * time.Second, false},
		{"status=500&body=", session.Hook, "Access cannot be checked right now: try again later.", "the decision hook: " + url + ": status 500", 5 * time.Second, false},
		{"status=200&body={\"path\":\"other/x\"}", session.Hook, "", `renamed the stream to "other/x", which the entry`, 0, false},
		{"status=200&body={\"until\":1000}", session.Expired, "", "", 0, false},
	} {
		rig := newRig(t, url, nil)
		terms, err := rig.Decide(t.Context(), publisher(c.query))
		r, ok := errors.AsType[*session.Refusal](err)
		if terms != nil || !ok || r.Reason != c.reason || r.RetryAfter != c.retry || r.Login != c.login || !strings.Contains(r.Error(), c.err) || c.peer != "" && session.PeerText(err) != c.peer {
			t.Errorf("%s: %+v, %+v", c.query, terms, r)
		}
	}
	never := newRig(t, url, func(c *Config) { c.Rename = "never" })
	if _, err := never.Decide(t.Context(), publisher("status=200&body={\"path\":\"live/x\"}")); session.ReasonOf(err) != session.Hook || !strings.Contains(err.Error(), "rename is never") {
		t.Error(err)
	}
	anywhere := newRig(t, url, func(c *Config) { c.Rename = "any" })
	if terms, err := anywhere.Decide(t.Context(), publisher("status=200&body={\"path\":\"other/x\"}")); err != nil || terms.Path != "other/x" {
		t.Errorf("%+v, %v", terms, err)
	}
	again := publisher("status=403&body=")
	again.Recheck = true
	if _, err := newRig(t, url, nil).Decide(t.Context(), again); session.ReasonOf(err) != session.Revoked {
		t.Errorf("a session that runs: %v", err)
	}
}

// TestNamesThatMayBeKeys: those of publishers, where the service is asked about them and may rename them.
func TestNamesThatMayBeKeys(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   bool
	}{
		"as it is":        {func(*Config) {}, true},
		"any":             {func(c *Config) { c.Rename = "any" }, true},
		"never":           {func(c *Config) { c.Rename = "never" }, false},
		"srs":             {func(c *Config) { c.Format = "srs" }, false},
		"about players":   {func(c *Config) { c.URL, c.PlayURL = "", c.URL }, false},
		"nobody is asked": {func(c *Config) { c.URL = "" }, false},
	} {
		r := newRig(t, "http://127.0.0.1:9/", c.change)
		if got := r.NamesAreSecret(session.Publish); got != c.want || r.NamesAreSecret(session.Play) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

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

func TestTooMuchShown(t *testing.T) {
	calls := 0
	url := serve(t, func(http.ResponseWriter, *http.Request) { calls++ })
	c := newRig(t, url, nil)
	if _, err := c.Decide(t.Context(), publisher(strings.Repeat("x", 8<<10))); err != nil {
		t.Error(err)
	}
	long := publisher(strings.Repeat("x", 8<<10+1))
	token := publisher("")
	token.Credential = admit.Credential{Kind: "bearer", Token: strings.Repeat("x", 4<<10+1)}
	for _, r := range []*admit.Request{long, token} {
		if _, err := c.Decide(t.Context(), r); session.ReasonOf(err) != session.TooLarge {
			t.Error(err)
		}
	}
	token.Credential.Token = token.Credential.Token[1:]
	if _, err := c.Decide(t.Context(), token); err != nil || calls != 2 {
		t.Error(calls, err)
	}
}

// TestRoles: each role has its own address, and a role without one passes.
func TestRoles(t *testing.T) {
	var seen []string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.URL.Path) })
	c := newRig(t, url+"/both", func(c *Config) { c.PublishURL = url + "/publish" })
	_, err1 := c.Decide(t.Context(), publisher(""))
	_, err2 := c.Decide(t.Context(), player(""))
	if err1 != nil || err2 != nil || !reflect.DeepEqual(seen, []string{"/publish", "/both"}) {
		t.Error(seen, err1, err2)
	}
	only := newRig(t, "", func(c *Config) { c.PublishURL = url + "/publish" })
	if terms, err := only.Decide(t.Context(), player("")); terms != nil || err != nil || len(seen) != 2 {
		t.Error(terms, err, seen)
	}
	if terms, err := only.Decide(t.Context(), publisher("")); terms == nil || err != nil || len(seen) != 3 {
		t.Error(terms, err, seen)
	}
	// A role that nobody is asked about is not asked about again either.
	update := newRig(t, "", func(c *Config) { c.PublishURL, c.UpdateURL = url+"/publish", url+"/update" })
	for _, r := range []*admit.Request{player(""), publisher("")} {
		r.Recheck = true
		if _, err := update.Decide(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 4 || seen[3] != "/update" {
		t.Error(seen)
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

// TestPolicies: what holds while the service fails.
func TestPolicies(t *testing.T) {
	var fail atomic.Bool
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch {
		case fail.Load():
			w.WriteHeader(http.StatusInternalServerError)
		case strings.Contains(string(b), "deny"):
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = io.WriteString(w, `{"user":"bob"}`)
		}
	})
	moved := publisher("token=a")
	moved.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	nobody := player("")
	nobody.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	for _, c := range []struct {
		policy string
		r      *admit.Request
		user   string
		reason session.Reason
	}{
		{"deny", publisher("token=a"), "", session.Hook},
		{"allow", publisher("token=a"), "", session.Internal},
		{"allow", publisher("token=deny"), "", session.Internal},
		{"last", publisher("token=a"), "bob", session.Internal},
		{"last", moved, "bob", session.Internal}, // the same encoder in another network
		{"last", publisher("token=deny"), "", session.Denied},
		{"last", publisher("token=new"), "", session.Hook},
		{"last", player(""), "bob", session.Internal},
		{"last", nobody, "", session.Hook}, // an address may be what the service went by
	} {
		fail.Store(false)
		rig := newRig(t, url, func(conf *Config) { conf.OnError = c.policy })
		for _, r := range []*admit.Request{publisher("token=a"), publisher("token=deny"), player("")} {
			_, _ = rig.Decide(t.Context(), r)
		}
		fail.Store(true)
		terms, err := rig.Decide(t.Context(), c.r)
		if c.reason != session.Internal {
			if session.ReasonOf(err) != c.reason {
				t.Errorf("%s, %s %s: %+v, %v", c.policy, c.r.Role, c.r.RawQuery, terms, err)
			}
			continue
		}
		if err != nil || terms == nil || terms.By != "hook" || terms.User != c.user {
			t.Errorf("%s, %s %s: %+v, %v", c.policy, c.r.Role, c.r.RawQuery, terms, err)
		}
		if s := rig.log.String(); strings.Contains(s, "token=") || c.policy == "allow" && !strings.Contains(s, "without an answer") {
			t.Errorf("logged %s", s)
		}
	}
}

// TestRecheckSurvivesFailure: a service that fails says nothing of a session that runs, whatever the policy; the door lets
// the session go on.
func TestRecheckSurvivesFailure(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for _, policy := range []string{"deny", "allow", "last"} {
		c := newRig(t, url, func(conf *Config) { conf.OnError = policy })
		r := publisher("token=a")
		r.Recheck = true
		for range 10 { // five calls, then the breaker
			if terms, err := c.Decide(t.Context(), r); terms != nil || session.ReasonOf(err) != session.Hook {
				t.Errorf("%s: %+v, %v", policy, terms, err)
			}
		}
		c.check(t, map[string]int{Failed: 5, Skipped: 5})
	}
}

// TestBreaker: after five failures nobody waits for the service.
func TestBreaker(t *testing.T) {
	var calls atomic.Int32
	hang := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		<-hang
	})
	defer close(hang)
	c := newRig(t, url, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	for i := range 5 {
		began := time.Now()
		if _, err := c.Decide(t.Context(), publisher(fmt.Sprint("token=", i))); session.ReasonOf(err) != session.Hook || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < 100*time.Millisecond {
			t.Error(err)
		}
	}
	c.Client.mu.Lock()
	if !c.breaker.open() {
		t.Error("it is not seen to fail")
	}
	c.Client.mu.Unlock()
	for i := range 100 {
		if _, err := c.Decide(t.Context(), publisher(fmt.Sprint("token=", i))); session.ReasonOf(err) != session.Hook || !errors.Is(err, errKeepsFailing) && calls.Load() == 5 {
			t.Error(err)
		}
	}
	if n := calls.Load(); n > 5+2 { // one probe, two on a slow machine
		t.Errorf("%d calls", n)
	}
	if !strings.Contains(c.log.String(), "keeps failing") || strings.Contains(c.log.String(), "token=") {
		t.Error(c.log.String())
	}
}

func TestBreakerClock(t *testing.T) {
	var b breaker
	now := time.Unix(1e9, 0)
	fail := func(n int) (changed int) {
		for range n {
			if b.report(false, now) {
				changed++
			}
		}
		return changed
	}
	if fail(4) != 0 || b.open() || !b.allow(now) || b.report(true, now) {
		t.Error("four failures open it")
	}
	if fail(4) != 0 || fail(1) != 1 || !b.open() || fail(3) != 0 {
		t.Error("five in a row do not open it, once")
	}
	if b.allow(now) || b.allow(now.Add(time.Second-1)) {
		t.Error("asked within a second")
	}
	now = now.Add(time.Second)
	if !b.allow(now) || b.allow(now) || b.allow(now.Add(time.Second-1)) || !b.allow(now.Add(time.Second)) {
		t.Error("not one question a second")
	}
	if !b.report(true, now) || b.open() || !b.allow(now) || !b.allow(now) {
		t.Error("it stays open")
	}
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
	for i := range maxRemembered {
		m.put(key(i), &v[0], now.Add(time.Hour))
	}
	m.put(key(0), &v[2], now.Add(time.Hour))
	if m.get(key(1), now) != &v[0] { // asked for: key 2 is the oldest now
		t.Error("gave way too early")
	}
	m.put(key(maxRemembered), &v[1], now.Add(time.Hour))
	if len(m.entries) != maxRemembered || m.recent.Len() != maxRemembered || m.get(key(0), now) != &v[2] || m.get(key(1), now) == nil || m.get(key(2), now) != nil || m.get(key(3), now) == nil {
		t.Error("the wrong one gave way")
	}
}

// TestSingleFlight: peers that show the same share a question; one that leaves takes it from nobody, and
// the last one ends it.
func TestSingleFlight(t *testing.T) {
	arrived, left := make(chan struct{}, 100), make(chan struct{}, 100)
	answer := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-answer:
		case <-r.Context().Done():
			left <- struct{}{}
		}
	})
	c := newRig(t, url, nil)
	first, leave := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	results := make(chan error, 10)
	var wg sync.WaitGroup
	ask := func(ctx context.Context) {
		wg.Go(func() {
			_, err := c.Decide(ctx, player("token=a"))
			results <- err
		})
	}
	waiting := func(n int) {
		t.Helper()
		k := keysOf(player("token=a"), false).flight
		for deadline := time.Now().Add(10 * time.Second); ; {
			c.Client.mu.Lock()
			f := c.flights[seat{k, c.plan.Load()}]
			ok := f != nil && f.waiting == n || f == nil && n == 0
			c.Client.mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %d peers wait", n)
			}
			<-time.After(time.Millisecond)
		}
	}
	ask(first)
	<-arrived
	for range 4 {
		ask(t.Context())
	}
	waiting(5)
	leave(gone)
	if err := <-results; !errors.Is(err, gone) {
		t.Error(err)
	}
	waiting(4)
	answer <- struct{}{}
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(arrived) != 0 {
		t.Error("asked more than once")
	}
	last, leave := context.WithCancelCause(t.Context())
	ask(last)
	<-arrived
	leave(gone)
	if err := <-results; !errors.Is(err, gone) {
		t.Error(err)
	}
	<-left // the service is not kept busy for nobody
	waiting(0)
	wg.Wait()
	c.check(t, map[string]int{Allowed: 4})
}

// TestCloseAndUse: a new configuration lets questions under way end; Close does not.
func TestCloseAndUse(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
	})
	c := newRig(t, url, nil)
	results := make(chan error)
	ask := func() {
		_, err := c.Decide(t.Context(), publisher("token=a"))
		results <- err
	}
	var wg sync.WaitGroup
	wg.Go(ask)
	<-arrived
	use(t, c.Client, DefaultConfig())
	if terms, err := c.Decide(t.Context(), publisher("token=b")); terms != nil || err != nil {
		t.Error("asked by no address", terms, err)
	}
	answer <- struct{}{}
	if err := <-results; err != nil {
		t.Error(err)
	}
	conf := DefaultConfig()
	conf.URL = url
	use(t, c.Client, conf)
	wg.Go(ask)
	<-arrived
	// Under another configuration the same question is put to the service of that one.
	other := conf
	other.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"user":"new"}`) })
	use(t, c.Client, other)
	if terms, err := c.Decide(t.Context(), publisher("token=a")); err != nil || terms.User != "new" {
		t.Errorf("asked the service of the configuration before: %+v, %v", terms, err)
	}
	c.Close()
	if err := <-results; session.ReasonOf(err) != session.Shutdown {
		t.Error(err)
	}
	wg.Wait()
}

// TestServiceOfBefore: what the service of a configuration before still says holds for nobody who asks under the next, and
// that it fails is not the next one's fault.
func TestServiceOfBefore(t *testing.T) {
	arrived, release, fail := make(chan struct{}), make(chan struct{}), make(chan struct{})
	before := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		arrived <- struct{}{}
		if strings.Contains(string(b), "fails") {
			<-fail
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		<-release
		_, _ = io.WriteString(w, `{"user":"before","cache":"1h"}`)
	})
	c := newRig(t, before, nil)
	var failing, wg sync.WaitGroup
	for i := range 5 {
		failing.Go(func() { _, _ = c.Decide(t.Context(), player(fmt.Sprint("token=fails", i))) })
	}
	wg.Go(func() {
		if terms, err := c.Decide(t.Context(), player("")); err != nil || terms.User != "before" {
			t.Errorf("%+v, %v", terms, err)
		}
	})
	for range 6 {
		<-arrived
	}
	conf := DefaultConfig()
	conf.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"user":"next"}`) })
	use(t, c.Client, conf)
	close(release)
	wg.Wait()
	close(fail) // five in a row
	failing.Wait()
	if terms, err := c.Decide(t.Context(), player("")); err != nil || terms.User != "next" {
		t.Errorf("%+v, %v", terms, err)
	}
}

// TestNotTheServicesFault: a session is not ended where its service ends those that it does not answer about, if it was not asked.
func TestNotTheServicesFault(t *testing.T) {
	c := newRig(t, "http://127.0.0.1:9/", func(c *Config) { c.Format, c.Recheck = "nginx-rtmp", time.Minute })
	r := publisher("")
	r.Recheck = true
	for err, want := range map[error]session.Reason{errBusy: session.Hook, context.DeadlineExceeded: session.Revoked} {
		if _, got := c.instead(c.plan.Load(), r, keysOf(r, true), err); session.ReasonOf(got) != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// TestWaveOfPlayers: 1,000 players at once and a service that takes 50 ms. At most 64 questions are under way, and
// one for each credential.
func TestWaveOfPlayers(t *testing.T) {
	var now, most atomic.Int32
	var mu sync.Mutex
	asked := map[string]int{}
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		var q struct {
			Stream struct{ Query map[string][]string }
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		mu.Lock()
		asked[q.Stream.Query["token"][0]]++
		mu.Unlock()
		<-time.After(50 * time.Millisecond)
	})
	for _, credentials := range []int{1000, 100} {
		c := newRig(t, url, nil)
		clear(asked)
		most.Store(0)
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				if terms, err := c.Decide(t.Context(), player(fmt.Sprint("token=", i%credentials))); err != nil || terms == nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		t.Logf("1,000 players with %d credentials: all let in after %v, %d questions at once", credentials, took.Round(time.Millisecond), most.Load())
		if most.Load() > 64 || len(asked) != credentials || took > 10*time.Second {
			t.Errorf("%d at once, %d credentials, %v", most.Load(), len(asked), took)
		}
		for token, n := range asked {
			if n != 1 {
				t.Errorf("%s was asked about %d times", token, n)
			}
		}
	}
}

// TestO14_HangingHook: a service that never answers delays no other one.
func TestO14_HangingHook(t *testing.T) {
	hang := make(chan struct{})
	slow := newRig(t, serve(t, func(http.ResponseWriter, *http.Request) { <-hang }), nil)
	defer close(hang)
	quick := newRig(t, serve(t, func(http.ResponseWriter, *http.Request) {}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range 500 {
		wg.Go(func() { _, _ = slow.Decide(ctx, player(fmt.Sprint("token=", i))) })
	}
	times := make([]time.Duration, 0, 500)
	for i := range cap(times) {
		began := time.Now()
		if _, err := quick.Decide(t.Context(), player(fmt.Sprint("token=", i))); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	p99 := percentile(times, 99)
	t.Logf("beside a hook that hangs: p50 %v, p99 %v", percentile(times, 50), p99)
	if p99 > 50*time.Millisecond {
		t.Errorf("p99 is %v", p99)
	}
}

// hanging is a service that never answers questions which hold a text, and answers the others at once. full is closed once most
// of the former are under way, which busy counts.
func hanging(t *testing.T, text string, most int32) (url string, busy *atomic.Int32, full chan struct{}) {
	t.Helper()
	hang := make(chan struct{})
	busy, full = new(atomic.Int32), make(chan struct{})
	url = serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(b), text) {
			return
		}
		if busy.Add(1) == most {
			close(full)
		}
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	return url, busy, full
}

// crowded has n players at addresses wait for answers until the test ends.
func crowded(t *testing.T, c *rig, n int, from func(i int) netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		r := player(fmt.Sprint("token=", i))
		r.Remote = from(i)
		wg.Go(func() { _, _ = c.Decide(ctx, r) })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// TestPublishersGoFirst: players that fill all turns of a slow service keep no publisher waiting.
func TestPublishersGoFirst(t *testing.T) {
	url, _, full := hanging(t, `"action":"play"`, maxPlayCalls)
	c := newRig(t, url, nil)
	crowded(t, c, 200, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 1)
	})
	<-full
	if _, err := c.Decide(t.Context(), publisher("token=a")); err != nil {
		t.Error(err)
	}
}

// TestOneAddressLeavesPlaces: the players of one address are asked about with half of the questions that may be under way.
func TestOneAddressLeavesPlaces(t *testing.T) {
	url, busy, full := hanging(t, "203.0.113.7", maxOfAddress)
	c := newRig(t, url, nil)
	crowded(t, c, 100, func(int) netip.AddrPort { return netip.MustParseAddrPort("203.0.113.7:1") })
	<-full
	other := player("token=other")
	other.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	if _, err := c.Decide(t.Context(), other); err != nil {
		t.Error("a player at another address:", err)
	}
	if n := busy.Load(); n != maxOfAddress {
		t.Errorf("%d questions about one address are under way", n)
	}
}

// TestWaitIsNotTheServicesFault: a question that waited for its turn has the whole time for its answer, and so does not open
// the breaker.
func TestWaitIsNotTheServicesFault(t *testing.T) {
	const timeout = 2 * time.Second
	release := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), "early") {
			<-release
			return
		}
		time.Sleep(timeout * 6 / 10) // less than the service has, more than is left of it for who waited
	})
	c := newRig(t, url, func(c *Config) { c.Timeout = timeout })
	var wg sync.WaitGroup
	for i := range maxOfAddress {
		wg.Go(func() { _, _ = c.Decide(t.Context(), player(fmt.Sprint("token=early", i))) })
	}
	for range 10 {
		wg.Go(func() {
			if _, err := c.Decide(t.Context(), player(fmt.Sprint("token=late", rand.Int()))); err != nil {
				t.Error(err)
			}
		})
	}
	time.AfterFunc(timeout*6/10, func() { close(release) })
	wg.Wait()
}

// TestSigned: questions are signed with both secrets, and OvenMediaEngine's as it does.
func TestSigned(t *testing.T) {
	var header atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Clone())
		_, _ = io.WriteString(w, `{"allowed":true}`)
	})
	const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	c := newRig(t, url, func(c *Config) { c.Secret, c.OldSecret = secret, "whsec_"+strings.Repeat("B", 32) })
	if _, err := c.Decide(t.Context(), publisher("")); err != nil {
		t.Fatal(err)
	}
	h := header.Load().(http.Header)
	if parts := strings.Fields(h.Get("webhook-signature")); len(parts) != 2 || parts[0] == parts[1] || h.Get("webhook-id") == "" || h.Get("webhook-timestamp") == "" {
		t.Error(h)
	}
	c = newRig(t, url, func(c *Config) { c.Format, c.Secret = "ome", "any text" })
	if _, err := c.Decide(t.Context(), publisher("")); err != nil {
		t.Fatal(err)
	}
	if h := header.Load().(http.Header); len(h.Get("X-OME-Signature")) != 27 || h.Get("webhook-signature") != "" {
		t.Error(h)
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
