package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/metrics"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// configured returns the defaults with an entry for live/*, and sets laid over.
func configured(t *testing.T, sets ...string) Config {
	t.Helper()
	conf := Default()
	all := []string{"http.listen=127.0.0.1:0", "admin.listen=", "streams.0.match=live/*"}
	keys, err := config.Keys(&conf.Protocols)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys { // whatever protocols there are
		if section, ok := strings.CutSuffix(k.Path, ".listen"); ok && !strings.Contains(section, ".") {
			all = append(all, k.Path+"=127.0.0.1:0")
		}
	}
	all = append(all, sets...)
	if _, err := config.Load(&conf, config.Source{Sets: all}); err != nil {
		t.Fatal(err)
	}
	return conf
}

// probe is how a test sees that a key's value is in force in a running server.
type probe struct {
	set  string // the value that the change gives the key
	see  func(t *testing.T, s *Server) any
	want any // what see returns once it is in force, and not before
}

// ofStream sees something of the running stream live/a.
func ofStream(see func(set stream.Settings) any) func(*testing.T, *Server) any {
	return func(_ *testing.T, s *Server) any { return see(s.hub.Get("live/a").Settings()) }
}

// ofEntry sees something of the entry that applies to live/a, for keys that are read there when they are used.
func ofEntry(see func(c *StreamConfig) any) func(*testing.T, *Server) any {
	return func(_ *testing.T, s *Server) any { return see(s.streamConfig("live/a")) }
}

// ofConfig sees something of the configuration, for keys that are read there when they are used.
func ofConfig(see func(c *Config) any) func(*testing.T, *Server) any {
	return func(_ *testing.T, s *Server) any { return see(&s.current.Load().conf) }
}

// admits sees whether a peer without a key is let in.
func admits(role session.Role) func(*testing.T, *Server) any {
	return func(_ *testing.T, s *Server) any {
		_, err := s.gate.Admit(context.Background(), &admit.Request{Role: role, Path: "live/a", Remote: netip.MustParseAddrPort("192.0.2.1:1")})
		return session.ReasonOf(err)
	}
}

// room sees how many sessions of one address can be opened, three at most.
func room(promoted bool) func(*testing.T, *Server) any {
	return func(t *testing.T, s *Server) any {
		n := 0
		for ; n < 3; n++ {
			x, err := s.sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1")})
			if err != nil {
				break
			}
			if promoted {
				x.Promote(session.Play, "live/a")
			}
			t.Cleanup(func() { x.CloseWith(session.ErrKicked) })
			defer x.CloseWith(session.ErrKicked)
		}
		return n
	}
}

// playersFit sees how many players of one address there may be, three at most.
func playersFit(t *testing.T, s *Server) any {
	n := 0
	for ; n < 3; n++ {
		x, err := s.sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:1")})
		if err != nil {
			t.Fatal(err)
		}
		defer x.CloseWith(session.ErrKicked)
		if x.Watch(session.Play, "live/a") != nil {
			break
		}
	}
	return n
}

// lasts sees the longest duration of a session that is let in.
func lasts(role session.Role) func(*testing.T, *Server) any {
	return func(t *testing.T, s *Server) any {
		g, err := s.admit(t.Context(), &admit.Request{Role: role, Path: "live/a", Remote: netip.MustParseAddrPort("192.0.2.1:1")})
		if err != nil {
			t.Fatal(err)
		}
		if g.Terms == nil {
			return time.Duration(0)
		}
		return g.Terms.Duration
	}
}

// besides is what is configured, before and after a change, for the probes that need it. FOLDER stands for one of the test.
var besides = map[string][]string{
	"streams[].record[].upload": {"s3=" + storage("x", ""), "state=FOLDER"},
	"edge.backup":               {"edge.origin=rtmp://127.0.0.1:1"},
	"edge.publish":              {"edge.origin=rtmp://127.0.0.1:1"},
	"streams[].publish.auth":    {signingKey("a")},
	"streams[].play.auth":       {signingKey("a")},
	"auth.signed.keys[].id":     {signingKey("b"), "streams.0.publish.auth=[signed]"},
	"auth.signed.keys[].secret": {signingKey("b"), "streams.0.publish.auth=[signed]"},
}

var probes = map[string]probe{
	"log.level":                 {"debug", func(_ *testing.T, s *Server) any { return s.opt.Level.Level() }, slog.LevelDebug},
	"delivery.min_delay":        {"20ms", func(_ *testing.T, s *Server) any { least, _ := s.engine.Delays(); return least }, 20 * time.Millisecond},
	"delivery.max_delay":        {"20ms", func(_ *testing.T, s *Server) any { _, most := s.engine.Delays(); return most }, 20 * time.Millisecond},
	"limits.connections":        {"1", room(true), 1},
	"limits.connections_per_ip": {"2", room(true), 2},
	"limits.pending_per_ip":     {"1", room(false), 1},
	"limits.players":            {"1", playersFit, 1},
	"limits.players_per_ip":     {"2", playersFit, 2},
	"limits.sessions_per_user": {"1", func(t *testing.T, s *Server) any {
		n := 0
		for range 2 {
			x, err := s.sessions.Open(session.Info{Protocol: "test"})
			if err != nil {
				t.Fatal(err)
			}
			defer x.CloseWith(session.ErrKicked)
			if _, err := x.BindGrant(session.Grant{Key: 1}, session.Play, "live/a"); err == nil {
				n++
			}
		}
		return n
	}, 1},
	"limits.egress_bitrate": {"1Mbps", func(t *testing.T, s *Server) any {
		now := time.Now()
		s.sessions.Measure(now)
		s.sessions.Sent("test", 1<<20)
		s.sessions.Measure(now.Add(time.Second))
		return playersFit(t, s)
	}, 0},
	"metrics.per_stream": {"true", func(_ *testing.T, s *Server) any { return s.perStream(func(metrics.Stream) {}) }, true},
	"limits.streams": {"1", func(_ *testing.T, s *Server) any {
		p, err := s.hub.Publish("live/b", stream.Info{})
		if err == nil {
			p.Close(session.ErrKicked)
		}
		return errors.Is(err, stream.ErrTooManyStreams)
	}, true},
	"limits.stream_bitrate": {"1Mbps", func(_ *testing.T, s *Server) any { return s.env("test").Bitrate() }, int64(1e6)},
	"limits.memory":         {"64GiB", func(*testing.T, *Server) any { return debug.SetMemoryLimit(-1) }, int64(64 << 30)},

	"auth.on_removed_key":  {"keep", ofConfig(func(c *Config) any { return c.Auth.OnRemovedKey }), "keep"},
	"drain":                {"1s", func(_ *testing.T, s *Server) any { return s.current.Load().conf.Drain }, time.Second},
	"reload":               {"watch", ofConfig(func(c *Config) any { return c.Reload }), "watch"},
	"http.cors":            {"[https://a.example]", func(_ *testing.T, s *Server) any { return s.current.Load().policy.CORS }, []string{"https://a.example"}},
	"http.index":           {"true", ofConfig(func(c *Config) any { return c.HTTP.Index }), true},
	"http.trusted_proxies": {"[192.0.2.0/24]", func(_ *testing.T, s *Server) any { return len(s.current.Load().policy.TrustedProxies) }, 1},
	"http.proxy_header":    {"x-real-ip", func(_ *testing.T, s *Server) any { return s.current.Load().policy.ProxyHeader }, "x-real-ip"},
	"http.proxy_protocol":  {"[192.0.2.0/24]", func(_ *testing.T, s *Server) any { return len(s.listeners["http"].proxies) }, 1},
	"admin.token":          {"hunter2", ofConfig(func(c *Config) any { return c.Admin.Token }), "hunter2"},
	"admin.hosts":          {"[weir.example.org]", ofConfig(func(c *Config) any { return c.Admin.Hosts }), []string{"weir.example.org"}},

	"streams[].match": {"other/*", ofEntry(func(c *StreamConfig) any { return c.Match }), "**"},

	"streams[].publish.allow":            {"[]", admits(session.Publish), session.Address},
	"streams[].publish.auth":             {"[signed]", admits(session.Publish), session.BadKey},
	"streams[].publish.on_conflict":      {"reject", ofStream(func(s stream.Settings) any { return s.Reject }), true},
	"streams[].publish.grace":            {"1s", ofStream(func(s stream.Settings) any { return s.Grace }), time.Second},
	"streams[].publish.grace_after_stop": {"1s", ofStream(func(s stream.Settings) any { return s.GraceAfterStop }), time.Second},

	"streams[].publish.max_duration": {"2h", lasts(session.Publish), 2 * time.Hour},
	"streams[].play.max_duration":    {"1h", lasts(session.Play), time.Hour},

	"streams[].play.allow":       {"[]", admits(session.Play), session.Address},
	"streams[].play.auth":        {"[signed]", admits(session.Play), session.BadKey},
	"streams[].play.max_players": {"3", ofStream(func(s stream.Settings) any { return s.MaxPlayers }), 3},
	"streams[].play.wait":        {"1s", func(_ *testing.T, s *Server) any { return s.door("test").Wait("live/a") }, time.Second},
	"streams[].play.start":       {"key", ofEntry(func(c *StreamConfig) any { return c.Play.Start }), "key"},

	"streams[].latency":               {"low", ofStream(func(s stream.Settings) any { return s.Low }), true},
	"streams[].repair":                {"true", ofEntry(func(c *StreamConfig) any { return c.Repair }), true},
	"streams[].gop_cache.gops":        {"2", ofStream(func(s stream.Settings) any { return s.Cache.GOPs }), 2},
	"streams[].gop_cache.max_bytes":   {"1MiB", ofStream(func(s stream.Settings) any { return s.Cache.Bytes }), int64(1 << 20)},
	"streams[].gop_cache.max_frames":  {"10", ofStream(func(s stream.Settings) any { return s.Cache.Frames }), 10},
	"streams[].gop_cache.max_time":    {"1s", ofStream(func(s stream.Settings) any { return s.Cache.Time }), time.Second},
	"streams[].slow_player.max_lag":   {"1s", ofStream(func(s stream.Settings) any { return s.MaxLag }), time.Second},
	"streams[].slow_player.max_stall": {"1s", ofEntry(func(c *StreamConfig) any { return c.slow().MaxStall }), time.Second},
	"streams[].slow_player.then":      {"close", ofEntry(func(c *StreamConfig) any { return c.slow().Close }), true},
}

// signingKey configures a key to sign links with.
func signingKey(id string) string {
	return "auth.signed.keys=[{id: " + id + ", secret: secret-of-" + id + "-0123456789}]"
}

// followed sees whether a link is followed that was signed with the key a.
func followed(_ *testing.T, s *Server) any {
	key := admit.SigningKey{ID: "a", Secret: "secret-of-a-0123456789"}
	query := key.Sign(&admit.Signed{Role: session.Publish, Path: "live/a", Expires: time.Now().Add(time.Hour)})
	g, err := s.gate.Admit(context.Background(), &admit.Request{Role: session.Publish, Path: "live/a", RawQuery: query, Remote: netip.MustParseAddrPort("192.0.2.1:1")})
	return err == nil && g.Terms != nil
}

// granted sees what the key "a" admits to.
func granted(role session.Role, see func(t *session.Terms) any) func(*testing.T, *Server) any {
	return func(_ *testing.T, s *Server) any {
		g, _ := s.gate.Admit(context.Background(), &admit.Request{Role: role, Path: "live/a", RawQuery: "key=a", Remote: netip.MustParseAddrPort("192.0.2.1:1")})
		if g.Terms == nil {
			return nil
		}
		return see(g.Terms)
	}
}

// probesOfKeys are those of the keys of lists of keys.
func probesOfKeys() map[string]probe {
	all := map[string]probe{}
	for path, role := range map[string]session.Role{"streams[].publish.keys[].": session.Publish, "streams[].play.keys[].": session.Play} {
		all[path+"key"] = probe{"[a]", admits(role), session.BadKey}
		all[path+"hash"] = probe{"[{hash: '" + admit.HashKey("a") + "'}]", admits(role), session.BadKey}
		all[path+"user"] = probe{"[{key: b, user: u}]", admits(role), session.BadKey}
		for key, p := range map[string]probe{
			"id":      {"x", granted(role, func(t *session.Terms) any { return t.KeyID }), "x"},
			"label":   {"x", granted(role, func(t *session.Terms) any { return t.Label }), "x"},
			"path":    {"live/x", granted(role, func(t *session.Terms) any { return t.Path }), "live/x"},
			"expires": {"2300-01-01", granted(role, func(t *session.Terms) any { return t.Until.Year() }), 2300},
		} {
			p.set = "[{key: a, " + key + ": " + p.set + "}]"
			all[path+key] = p
		}
	}
	for _, key := range []string{"id", "secret"} {
		all["auth.signed.keys[]."+key] = probe{strings.TrimPrefix(signingKey("a"), "auth.signed.keys="), followed, true}
	}
	signed := func(see func(c *admit.SignedConfig) any) func(*testing.T, *Server) any {
		return func(_ *testing.T, s *Server) any { return see(&s.current.Load().conf.Auth.Signed) }
	}
	const url, expression = "https://cdn.example.com:443", "$uri$arg_expires$secret"
	all["auth.signed.scheme"] = probe{"ome", signed(func(c *admit.SignedConfig) any { return c.Scheme }), "ome"}
	all["auth.signed.role"] = probe{"publish", signed(func(c *admit.SignedConfig) any { return c.Role }), "publish"}
	all["auth.signed.urls"] = probe{"['" + url + "']", signed(func(c *admit.SignedConfig) any { return strings.Join(c.URLs, " ") }), url}
	all["auth.signed.expression"] = probe{expression, signed(func(c *admit.SignedConfig) any { return c.Expression }), expression}
	return all
}

// settingOf returns where the value of a probe is set. What lies in a list below a stream's entry, or
// elsewhere, is set with the whole list.
func settingOf(path string) string {
	if rest, ok := strings.CutPrefix(path, "streams[]."); ok {
		path = "streams.0." + rest
	}
	path, _, _ = strings.Cut(path, "[]")
	return path
}

// ofProtocol are the keys of protocols: those in streams they read there when they use them, and those of their own
// sections their folders' tests have.
func ofProtocol(path string) bool {
	rest, ok := strings.CutPrefix(path, "streams[].")
	part := any(new(StreamProtocols))
	if !ok {
		rest, part = path, new(Protocols)
	}
	keys, err := config.Keys(part)
	if err != nil {
		panic(err)
	}
	for _, k := range keys {
		if k.Path == rest {
			return true
		}
	}
	return false
}

// TestEveryKeySaysWhenItsChangeApplies: a key whose tag was forgotten would be told to be live.
func TestEveryKeySaysWhenItsChangeApplies(t *testing.T) {
	defaults := Default()
	bare, err := config.Undated(&defaults)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range bare {
		t.Errorf("%s does not say when its change applies: give it the tag reload (live, new sessions, listener or restart)", path)
	}
	keys, err := config.Keys(&defaults)
	if err != nil {
		t.Fatal(err)
	}
	when := map[string]config.When{}
	for _, k := range keys {
		when[k.Path] = k.When
	}
	for _, path := range []string{
		"streams[].publish.keys[].key", "streams[].play.auth", "streams[].publish.allow", "streams[].play.max_duration",
		"auth.signed.keys[].secret", "auth.hook.url",
	} {
		if got, ok := when[path]; !ok || got != config.NewSessions {
			t.Errorf("%s says %v: it does nothing to sessions that there are", path, got)
		}
	}
}

// TestEachKeyIsAppliedOrTakesARestart walks all keys: those that do not say that they take a restart hold in a
// running server once a change of them was applied, and not before.
func TestEachKeyIsAppliedOrTakesARestart(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	defaults := Default()
	keys, err := config.Keys(&defaults)
	if err != nil {
		t.Fatal(err)
	}
	live := map[string]bool{}
	probes := maps.Clone(probes)
	maps.Copy(probes, probesOfKeys())
	maps.Copy(probes, probesOfPull())
	maps.Copy(probes, probesOfPush())
	maps.Copy(probes, probesOfRecord())
	maps.Copy(probes, probesOfStorage(t))
	besides := maps.Clone(besides)
	ofHook, besidesHook := probesOfHook(t)
	maps.Copy(probes, ofHook)
	maps.Copy(besides, besidesHook)
	for _, k := range keys {
		// A hook whose entry changes is replaced as a whole, see TestHooksAreReplaced.
		if k.When == config.Restart || k.When == config.Listener || k.Path == "streams" || ofProtocol(k.Path) || k.Path == "hooks" || strings.HasPrefix(k.Path, "hooks[]") {
			continue
		}
		live[k.Path] = true
		p, ok := probes[k.Path]
		if !ok {
			t.Errorf("%s is neither applied by Change.Apply, as a row of probes would show, nor has it the tag reload:\"restart\"", k.Path)
			continue
		}
		t.Run(k.Path, func(t *testing.T) {
			var beside []string
			for _, x := range besides[k.Path] {
				beside = append(beside, strings.ReplaceAll(x, "FOLDER", t.TempDir()))
			}
			s, err := New(configured(t, beside...), Options{Level: new(slog.LevelVar)})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.hub.Publish("live/a", stream.Info{}); err != nil {
				t.Fatal(err)
			}
			change, err := s.Prepare(configured(t, append(beside, settingOf(k.Path)+"="+p.set)...))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.see(t, s); cmp.Equal(got, p.want) {
				t.Fatalf("%v is in force before Apply", got)
			}
			change.Apply()
			if got := p.see(t, s); !cmp.Equal(got, p.want) {
				t.Errorf("after Apply: %v, want %v", got, p.want)
			}
			if r := change.Waiting; r != nil {
				t.Errorf("takes a restart: %v", r)
			}
		})
	}
	for path := range probes {
		if !live[path] {
			t.Errorf("probes has %s, which is no key, or takes a restart", path)
		}
	}
}

// The logs that players read get what Apply changed too.
func TestApplyReachesRunningMuxers(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	live, err := s.hub.Play("live/a")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.mux.Open(live, noFormat{})
	if err != nil {
		t.Fatal(err)
	}
	change, err := s.Prepare(configured(t, "streams.0.slow_player.then=close", "streams.0.slow_player.max_stall=2s"))
	if err != nil {
		t.Fatal(err)
	}
	change.Apply()
	n := 0
	for o := range s.mux.Options() {
		if n++; !o.Slow.Close || o.Slow.MaxStall != 2*time.Second {
			t.Errorf("a log has %+v", o.Slow)
		}
	}
	if n != 1 {
		t.Errorf("%d logs", n)
	}
	m.Release()
	live.Leave()
}

// noFormat is a variant whose encoder writes nothing.
type noFormat struct{}

// Format implements mux.Variant.
func (noFormat) Format() string { return "none" }

// NewEncoder implements mux.Variant.
func (noFormat) NewEncoder() mux.Encoder { return noFormat{} }

// Append implements mux.Encoder.
func (noFormat) Append(*stream.Entry, mux.Output) {}

// End implements mux.Encoder.
func (noFormat) End(mux.Output) []byte { return nil }

func TestPrepare(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bad := configured(t)
	bad.Streams[0].Match = "live//x"
	if _, err := s.Prepare(bad); err == nil || !strings.Contains(err.Error(), `streams.0.match: the pattern "live//x" has an empty segment`) {
		t.Errorf("a pattern that is none: %v", err)
	}
	// What takes a restart is told each time, and is not in force.
	for range 2 {
		change, err := s.Prepare(configured(t, "delivery.workers=7", "limits.streams=7"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"delivery.workers"}, change.Waiting); diff != "" {
			t.Error(diff)
		}
		change.Apply()
		if now := s.current.Load().conf; now.Delivery.Workers != 0 || now.Limits.Streams != 7 {
			t.Errorf("in force: %d, %d", now.Delivery.Workers, now.Limits.Streams)
		}
	}
	// A memory limit that is taken away is none.
	for _, c := range []struct {
		set  string
		want int64
	}{{"1GiB", 1 << 30}, {"0", math.MaxInt64}} {
		change, err := s.Prepare(configured(t, "limits.memory="+c.set))
		if err != nil {
			t.Fatal(err)
		}
		change.Apply()
		if got := debug.SetMemoryLimit(-1); got != c.want {
			t.Errorf("limits.memory %s: %d", c.set, got)
		}
	}
}
