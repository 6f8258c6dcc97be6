package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/internal/admit"
	"weir/internal/archive/s3"
	"weir/internal/config"
	"weir/internal/fanout"
	"weir/internal/hook/decide"
	"weir/internal/hook/deliver"
	"weir/internal/listen"
	"weir/internal/peer"
	"weir/internal/pull"
	"weir/internal/push"
	"weir/internal/record"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/internal/trace"
)

// Config is the whole configuration. Default returns a usable one; the zero value is not.
type Config struct {
	State  string    `yaml:"state" reload:"restart" help:"folder in which the server and its tools keep what they must remember, such as changes of the configuration by the API and the keys of weir key; it is made if it is missing, for its user alone; empty is none"`
	Reload string    `yaml:"reload" reload:"live" enum:"signal,watch" help:"when a changed file is read again: signal waits for SIGHUP or the API, watch applies it within two seconds too"`
	Log    LogConfig `yaml:"log" help:"What is logged, to standard error."`
	Protocols
	HTTP     HTTPConfig       `yaml:"http" help:"Playback by HTTP and WebSocket."`
	Admin    AdminConfig      `yaml:"admin" help:"The API, metrics, health and pprof."`
	Metrics  MetricsConfig    `yaml:"metrics" help:"What the admin listener shows at /metrics."`
	Tracing  trace.Config     `yaml:"tracing" reload:"restart" help:"Traces of sessions, for collectors of OpenTelemetry."`
	Delivery DeliveryConfig   `yaml:"delivery" help:"How frames are sent to players."`
	Limits   LimitsConfig     `yaml:"limits" help:"Bounds on everything that peers can make grow."`
	Hooks    []deliver.Config `yaml:"hooks" reload:"live" help:"Who is told of what happens: HTTP services and commands."`
	// Drain is how long a server that is told to stop waits for its sessions to end by themselves.
	Drain   time.Duration   `yaml:"drain" reload:"live" max:"1h" help:"when the server is told to stop: how long it goes on for those who are there, and lets nobody else in, before it ends them; 0s ends them at once"`
	Edge    pull.EdgeConfig `yaml:"edge" help:"Makes this server an edge of another one, the origin; see docs/restream.md."`
	S3      []s3.Config     `yaml:"s3" reload:"live" help:"Storage that recordings are uploaded to, by streams[].record[].upload."`
	Auth    AuthConfig      `yaml:"auth" help:"What streams[].publish.auth and streams[].play.auth may ask, besides keys."`
	Streams []StreamConfig  `yaml:"streams" reload:"live" help:"Settings by stream path; the first entry that matches applies."`
}

// Check implements config.Checker: it refuses an entry of streams that no stream ever gets.
func (c *Config) Check() error {
	errs := append(c.checkUploads(), c.checkSlates()...)
	before := newCovering()
	for i := range c.Streams {
		match := &c.Streams[i].Match
		if err := peer.CheckMatch(*match); err != nil {
			errs = append(errs, config.Errorf(match, "%q matches no stream: %w", *match, err))
		} else if j, found := before.of(*match); found {
			earlier := &c.Streams[j].Match
			errs = append(errs, config.Errorf(match, "%q never applies: %v, %q, comes first and matches all of it; put this entry before that one", *match, config.Place(earlier), *earlier))
		}
		before.add(*match)
	}
	return errors.Join(errs...)
}

// Warn implements config.Warner.
func (c *Config) Warn() error {
	entries := make([]push.Entry, len(c.Streams))
	for i := range c.Streams {
		entries[i] = push.Entry{Match: c.Streams[i].Match, Targets: c.Streams[i].Push}
	}
	return errors.Join(append(push.Warn(entries), c.warnUnasked()...)...)
}

// checkUploads refuses recordings that go to storage which is not configured, and uploads that would be forgotten at each restart.
func (c *Config) checkUploads() (errs []error) {
	if err := s3.CheckEntries(c.S3); err != nil {
		errs = append(errs, err)
	}
	for i := range c.Streams {
		for k := range c.Streams[i].Record {
			to := &c.Streams[i].Record[k].Upload
			if *to != "" && !slices.ContainsFunc(c.S3, func(e s3.Config) bool { return e.Name == *to }) {
				errs = append(errs, config.Errorf(to, "there is no entry of s3 that is called %q", *to))
			} else if *to != "" && c.State == "" {
				errs = append(errs, config.Errorf(to, "uploads need a folder in which the server remembers what it has sent: set state, such as /var/lib/weir"))
			}
		}
	}
	return errs
}

// checkSlates refuses slates that are files which cannot be used, each file once.
func (c *Config) checkSlates() (errs []error) {
	wrong := map[string]error{}
	for i := range c.Streams {
		for k := range c.Streams[i].Push {
			slate := &c.Streams[i].Push[k].Slate
			err, known := wrong[*slate]
			if !known {
				err = push.CheckSlate(*slate)
				wrong[*slate] = err
			}
			if err != nil {
				errs = append(errs, config.Errorf(slate, "%w", err))
			}
		}
	}
	return errs
}

// AuthConfig is the section "auth": what the entries of streams may ask about who publishes and plays.
type AuthConfig struct {
	OnRemovedKey string `yaml:"on_removed_key" reload:"live" enum:"end,keep" help:"what becomes of the sessions that a key has admitted when it is taken out of the configuration (streams[].publish.keys, streams[].play.keys, auth.signed.keys): they end as revoked, as those of weir key revoke do, or are kept"`

	Signed admit.SignedConfig `yaml:"signed" reload:"new sessions"`
	JWT    admit.JWTConfig    `yaml:"jwt" reload:"restart"`
	Hook   decide.Config      `yaml:"hook" reload:"new sessions" help:"A service that is asked who may publish and play; see docs/hooks.md."`
}

// SetDefaults implements config.Defaulter.
func (c *AuthConfig) SetDefaults() { c.OnRemovedKey = "end" }

// configured reports whether a link of the chain can decide about a role, and if not which key is to be set.
func (c *AuthConfig) configured(link string, role session.Role) (key string, ok bool) {
	switch link {
	case admit.BySigned:
		if !c.Signed.Admits(role) {
			return "auth.signed.role", false
		}
		return "auth.signed.keys", len(c.Signed.Keys) > 0
	case admit.ByJWT:
		return "auth.jwt.jwks or auth.jwt.secret", c.JWT.Enabled()
	case admit.ByHook:
		return "auth.hook.url or auth.hook." + role.String() + "_url", c.Hook.Asks(role)
	}
	return "", true
}

// checkAuth refuses entries of streams that ask what is not configured.
func (c *Config) checkAuth() (errs []error) {
	for i := range c.Streams {
		for _, r := range []struct {
			role session.Role
			*admit.Rule
		}{{session.Publish, &c.Streams[i].Publish.Rule}, {session.Play, &c.Streams[i].Play.Rule}} {
			for j, link := range r.Auth {
				if key, ok := c.Auth.configured(link, r.role); !ok {
					errs = append(errs, config.Errorf(&r.Auth[j], "%s admits nobody until %s is set", link, key))
				}
			}
		}
	}
	return errs
}

// LogConfig is the section "log".
type LogConfig struct {
	Level  string `yaml:"level" reload:"live" enum:"debug,info,warn,error" help:"least level that is logged; at info viewers have a summary each minute, at debug a line each"`
	Format string `yaml:"format" reload:"restart" enum:"auto,text,json" help:"auto is text on a terminal and json elsewhere; durations are texts such as 10.8s in both"`
}

// SlogLevel returns the level as log/slog has it.
func (c *LogConfig) SlogLevel() slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Level)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// HTTPConfig is the section "http": playback by HTTP and WebSocket.
type HTTPConfig struct {
	Listen         string           `yaml:"listen" reload:"listener" format:"listen" help:"address of playback by HTTP and WebSocket; :0 takes a free port, an empty one turns it off"`
	TLS            listen.TLSConfig `yaml:"tls" reload:"listener"`
	CORS           []string         `yaml:"cors" reload:"new sessions" help:"origins whose pages may play; * is all"`
	Index          bool             `yaml:"index" reload:"new sessions" help:"show at / to everybody the live streams that everybody may watch, but none about which a key, a link, a token, a service or a program decides"`
	TrustedProxies []netip.Prefix   `yaml:"trusted_proxies" reload:"new sessions" help:"addresses of reverse proxies whose header tells the viewer's address"`
	ProxyHeader    string           `yaml:"proxy_header" reload:"new sessions" enum:"auto,x-forwarded-for,forwarded,x-real-ip" help:"header in which trusted proxies tell the viewer's address; auto takes the first of these that a request has: name the one that your proxy sets if it passes on others that viewers may have made up"`
	ProxyProtocol  []netip.Prefix   `yaml:"proxy_protocol" reload:"new sessions" help:"addresses of load balancers whose connections begin with a header of the PROXY protocol, version 1 or 2, which tells the viewer's address; from them a connection without it is closed"`
}

// AdminConfig is the section "admin".
type AdminConfig struct {
	Listen string   `yaml:"listen" reload:"listener" format:"listen" help:"address of the API, metrics, health and pprof; an empty one turns it off"`
	Token  string   `yaml:"token" reload:"new sessions" secret:"true" help:"bearer token that requests must carry; required on any address but loopback"`
	Hosts  []string `yaml:"hosts" reload:"new sessions" help:"host names under which the admin listener may be asked, besides localhost and any address; give the name that your reverse proxy or DNS has for it"`
}

// Validate implements config.Validator: an admin listener that others can reach needs a token.
func (c *AdminConfig) Validate() error {
	for i, h := range c.Hosts {
		if h == "" || len(h) > 253 || strings.ContainsAny(h, ":/@*, \t") {
			return config.Errorf(&c.Hosts[i], "%q is no host name: write a name alone, such as weir.example.org, without scheme, port or path", h)
		}
	}
	if c.Listen == "" || c.Token != "" {
		return nil
	}
	host, _, _ := net.SplitHostPort(c.Listen)
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return config.Errorf(&c.Listen, "%s can be reached from elsewhere: set admin.token (weir token makes one), or listen on 127.0.0.1", c.Listen)
}

// MetricsConfig is the section "metrics".
type MetricsConfig struct {
	PerStream bool `yaml:"per_stream" reload:"live" help:"series of each stream: bitrate, frame rate, key-frame interval, size, players, faults; of at most 1,000 streams, and of the others together as other; they show the names of streams"`
}

// DeliveryConfig is the section "delivery".
type DeliveryConfig struct {
	Workers  int           `yaml:"workers" reload:"restart" min:"0" max:"1024" help:"workers that send to players; 0 is one per CPU"`
	MinDelay time.Duration `yaml:"min_delay" reload:"live" max:"2s" help:"rest between two rounds of sending at least"`
	MaxDelay time.Duration `yaml:"max_delay" reload:"live" max:"2s" help:"rest that a busy worker takes at most so that each send carries more; 0s sends every frame at once"`
	Portable bool          `yaml:"portable" reload:"restart" help:"send by one goroutine per player, as on systems without non-blocking sends; for tests and comparison"`
}

// Validate implements config.Validator.
func (c *DeliveryConfig) Validate() error {
	if c.MinDelay > c.MaxDelay {
		return config.Errorf(&c.MinDelay, "%v is more than max_delay %v", c.MinDelay, c.MaxDelay)
	}
	return nil
}

// LimitsConfig is the section "limits".
type LimitsConfig struct {
	Connections      int   `yaml:"connections" reload:"new sessions" min:"0" help:"sessions of all protocols, of which players leave one in twenty to publishers, and as many open connections of HTTP and HTTPS that do not play; 0 is no limit"`
	ConnectionsPerIP int   `yaml:"connections_per_ip" reload:"new sessions" min:"0" help:"sessions of one address, and as many open connections of HTTP and HTTPS that do not play; loopback is exempt, and http.trusted_proxies by connection: their clients count by session; 0 is no limit"`
	PendingPerIP     int   `yaml:"pending_per_ip" reload:"new sessions" min:"0" help:"sessions of one address that neither publish nor play so far, and as many idle connections of HTTP and HTTPS, of which the one that has been idle for longest is closed; exempt as above; 0 is no limit"`
	Players          int   `yaml:"players" reload:"new sessions" min:"0" help:"sessions that play or wait for a stream, of all protocols; 0 is no limit"`
	PlayersPerIP     int   `yaml:"players_per_ip" reload:"new sessions" min:"0" help:"the same of one address, so that none takes the places of all; loopback and http.trusted_proxies are exempt; raise it for many viewers behind one address; 0 is no limit"`
	SessionsPerUser  int   `yaml:"sessions_per_user" reload:"new sessions" min:"0" help:"sessions of one user, or of one key where no user is known, so mind keys that many share; a publisher that takes its own stream over counts once; 0 is no limit"`
	EgressBitrate    int64 `yaml:"egress_bitrate" reload:"new sessions" unit:"bitrate" help:"while more than this was sent to all peers over the last 2s, no player is added; 0 is no limit"`
	Streams          int   `yaml:"streams" reload:"new sessions" min:"0" help:"streams that have a publisher or wait for its return, of which the latter give way to a publisher that comes; names that have only players are bounded by the same number on their own; 0 is no limit"`
	StreamBitrate    int64 `yaml:"stream_bitrate" reload:"live" unit:"bitrate" help:"a publisher that sends more over 5s is closed; 0 is no limit"`
	Memory           int64 `yaml:"memory" reload:"live" unit:"bytes" help:"soft limit of the Go heap, beyond which garbage is collected harder; 0 is none"`
}

// StreamConfig is one entry of the section "streams".
type StreamConfig struct {
	Match   string          `yaml:"match" reload:"live" help:"which stream paths: * is one segment, ** any number; the first entry that matches applies alone"`
	Publish PublishConfig   `yaml:"publish"`
	Play    PlayConfig      `yaml:"play"`
	Latency string          `yaml:"latency" reload:"live" enum:"normal,low" help:"low is served at once, never gathered to save CPU"`
	Cache   CacheConfig     `yaml:"gop_cache"`
	Slow    SlowConfig      `yaml:"slow_player"`
	Push    []push.Config   `yaml:"push" reload:"live" help:"other servers that the streams are also sent to, by RTMP or RTMPS; each is a URL, or a group; see docs/restream.md"`
	Repair  bool            `yaml:"repair" reload:"new sessions" help:"send FLV and RTMP players whole pictures where the publisher splits them into several messages; false passes on the publisher's bytes untouched"`
	Pull    pull.Config     `yaml:"pull" help:"Fetches the streams from another server; see docs/restream.md."`
	Record  []record.Config `yaml:"record" reload:"live" help:"recordings of the stream, each in files of its own; see docs/record.md"`
	StreamProtocols
}

// PublishConfig is streams[].publish.
type PublishConfig struct {
	admit.Rule
	OnConflict     string        `yaml:"on_conflict" reload:"new sessions" enum:"takeover,reject" help:"what a second publisher does: take over at its first key frame, or be refused"`
	Grace          time.Duration `yaml:"grace" reload:"live" max:"1h" help:"how long players wait for the publisher's return after its connection broke, before the stream ends"`
	MaxDuration    time.Duration `yaml:"max_duration" reload:"new sessions" max:"8760h" help:"how long a publisher's session may last, before it ends as expired; 0s is no limit"`
	GraceAfterStop time.Duration `yaml:"grace_after_stop" reload:"live" max:"1h" help:"how long players wait for the publisher's return after it stopped properly, before the stream ends; 0s ends it at once"`
}

// PlayConfig is streams[].play.
type PlayConfig struct {
	admit.Rule
	MaxPlayers  int           `yaml:"max_players" reload:"new sessions" min:"0" help:"players of one stream; 0 is no limit"`
	MaxDuration time.Duration `yaml:"max_duration" reload:"new sessions" max:"8760h" help:"how long a player's session may last, before it ends as expired; 0s is no limit"`
	Wait        time.Duration `yaml:"wait" reload:"new sessions" max:"1h" help:"how long a player waits for a stream that nobody publishes"`
	Start       string        `yaml:"start" reload:"new sessions" enum:"live,burst,key" help:"where a player begins: live shows a picture at once and plays without delay, burst sends the newest group of pictures in one piece, key waits for the next key frame; a player may ask for another with ?start="`
}

// CacheConfig is streams[].gop_cache.
type CacheConfig struct {
	GOPs      int           `yaml:"gops" reload:"live" min:"0" max:"16" help:"newest groups of pictures that a new player gets at once; 0 makes it wait for the next key frame"`
	MaxBytes  int64         `yaml:"max_bytes" reload:"live" unit:"bytes" max:"1GiB" help:"size past which they are dropped"`
	MaxFrames int           `yaml:"max_frames" reload:"live" min:"1" max:"100000" help:"frames past which they are dropped"`
	MaxTime   time.Duration `yaml:"max_time" reload:"live" max:"10m" help:"time past which they are dropped"`
}

// SlowConfig is streams[].slow_player.
type SlowConfig struct {
	MaxLag   time.Duration `yaml:"max_lag" reload:"live" min:"500ms" max:"10m" help:"age of what a player has not been sent past which it is too slow"`
	MaxStall time.Duration `yaml:"max_stall" reload:"live" min:"1s" max:"10m" help:"a player that takes nothing for this long is closed"`
	Then     string        `yaml:"then" reload:"live" enum:"skip,close" help:"what happens to a player that is too slow: skip to a newer key frame, or be closed"`
}

// Default returns the configuration that serves when nothing is configured.
func Default() Config {
	c := Config{
		Log:      LogConfig{Level: "info", Format: "auto"},
		Reload:   "signal",
		HTTP:     HTTPConfig{Listen: ":8080", TLS: listen.TLSConfig{Listen: ":8443"}, CORS: []string{"*"}, ProxyHeader: "auto"},
		Admin:    AdminConfig{Listen: "127.0.0.1:8088"},
		Tracing:  trace.DefaultConfig(),
		Delivery: DeliveryConfig{MaxDelay: 50 * time.Millisecond},
		Limits:   LimitsConfig{Connections: 20000, PendingPerIP: 200, PlayersPerIP: 1000, Streams: 10000, StreamBitrate: 100e6},
	}
	config.SetDefaults(&c.Protocols)
	config.SetDefaults(&c.Auth)
	config.SetDefaults(&c.Edge)
	return c
}

// DefaultStream returns the settings of a stream that no entry matches, and those
// that each entry begins with.
func DefaultStream() StreamConfig {
	s := stream.Default()
	c := StreamConfig{
		Match:   "**",
		Publish: PublishConfig{Rule: admit.DefaultRule(), OnConflict: "takeover", Grace: s.Grace, GraceAfterStop: s.GraceAfterStop},
		Play:    PlayConfig{Rule: admit.DefaultRule(), Wait: 10 * time.Second, Start: "live"},
		Latency: "normal",
		Record:  []record.Config{},
		Cache: CacheConfig{
			GOPs: s.Cache.GOPs, MaxBytes: s.Cache.Bytes, MaxFrames: s.Cache.Frames, MaxTime: s.Cache.Time,
		},
		Slow: SlowConfig{MaxLag: s.MaxLag, MaxStall: 30 * time.Second, Then: "skip"},
		Pull: pull.DefaultConfig(),
		Push: []push.Config{},
	}
	config.SetDefaults(&c.StreamProtocols)
	return c
}

// Validate implements config.Validator.
func (c *StreamConfig) Validate() error {
	if err := admit.CheckPattern(c.Match); err != nil {
		return config.Errorf(&c.Match, "the pattern %q %w", c.Match, err)
	}
	if c.Pull.Enabled() && !c.Pull.OnDemand && strings.Contains(c.Match, "*") {
		return config.Errorf(&c.Pull.OnDemand, "which streams of %q are to be fetched always? Give each an entry of its own, whose match is its path, or leave on_demand true", c.Match)
	}
	return errors.Join(push.Check(c.Push), record.CheckEntries(c.Record))
}

// SetDefaults implements config.Defaulter.
func (c *StreamConfig) SetDefaults() { *c = DefaultStream() }

// settings returns what the hub needs of it.
func (c *StreamConfig) settings() stream.Settings {
	return stream.Settings{
		Reject: c.Publish.OnConflict == "reject",
		Grace:  c.Publish.Grace, GraceAfterStop: c.Publish.GraceAfterStop,
		Cache: stream.Cache{
			GOPs: c.Cache.GOPs, Bytes: c.Cache.MaxBytes, Frames: c.Cache.MaxFrames, Time: c.Cache.MaxTime,
		},
		MaxLag:     c.Slow.MaxLag,
		MaxPlayers: c.Play.MaxPlayers,
		Low:        c.Latency == "low",
	}
}

// slow returns what the delivery engine needs of it.
func (c *StreamConfig) slow() fanout.SlowPolicy {
	return fanout.SlowPolicy{MaxLag: c.Slow.MaxLag, MaxStall: c.Slow.MaxStall, Close: c.Slow.Then == "close"}
}
