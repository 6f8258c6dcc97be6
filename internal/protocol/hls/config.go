package hls

import (
	"time"

	"weir/internal/config"
	"weir/internal/hls"
	"weir/internal/protocol"
)

// Config is the protocol's line in the table of protocols. It has no section of its own.
type Config struct{}

// Protocols implements protocol.Section.
func (Config) Protocols() []protocol.Entry {
	return []protocol.Entry{{Name: "hls", New: func(env protocol.Env) (protocol.Protocol, error) {
		of := func(path string) *StreamConfig { return env.Settings(path).(*StreamConfig) } //nolint:forcetypeassert // the table's
		p := New(env, func(path string) (hls.Settings, bool) {
			c := of(path)
			return c.settings(), c.Enabled
		})
		p.cdn = func(path string) string { return of(path).CDNSecret }
		return p, nil
	}}}
}

// StreamConfig is streams[].hls.
type StreamConfig struct {
	Enabled    bool          `yaml:"enabled" reload:"new sessions" help:"play by HLS; it costs nothing until somebody asks for it"`
	LowLatency bool          `yaml:"low_latency" reload:"new sessions" help:"Low-Latency HLS: parts of segments, and playlists that are held until they are new"`
	Segment    time.Duration `yaml:"segment" reload:"new sessions" min:"500ms" max:"30s" help:"how long segments should be; they end at key frames"`
	Part       time.Duration `yaml:"part" reload:"new sessions" min:"50ms" max:"5s" help:"how long the parts of a segment are at most"`
	Window     int           `yaml:"window" reload:"new sessions" min:"3" max:"1000" help:"whole segments in a playlist"`
	Directory  string        `yaml:"directory" reload:"new sessions" help:"where segments are kept instead of in memory, which is about bitrate × segment × (2 × window + 3) for each stream watched by HLS"`
	CDNSecret  string        `yaml:"cdn_secret" reload:"new sessions" secret:"true" help:"what a CDN shows in the header X-CDN-Secret, at least 16 characters; it is one viewer then, whoever watches through it, its playlists can be kept for all, and nothing else is asked of it: it decides itself who may watch; empty is none"`
	Container  string        `yaml:"container" reload:"new sessions" enum:"fmp4,ts" help:"what segments are: fragmented MP4, or MPEG-TS for old players"`
}

// SetDefaults implements config.Defaulter.
func (c *StreamConfig) SetDefaults() {
	s := hls.Default()
	*c = StreamConfig{Enabled: true, LowLatency: s.LowLatency, Segment: s.Segment, Part: s.Part, Window: s.Window, Container: "fmp4"}
}

// Validate implements config.Validator.
func (c *StreamConfig) Validate() error {
	if c.Part > c.Segment {
		return config.Errorf(&c.Part, "%v is more than segment %v", c.Part, c.Segment)
	}
	if c.CDNSecret != "" && len(c.CDNSecret) < minCDNSecret {
		return config.Errorf(&c.CDNSecret, "a secret of fewer than %d characters can be guessed; `weir token` makes one", minCDNSecret)
	}
	return nil
}

// minCDNSecret is the least length of the secret of a CDN, in bytes.
const minCDNSecret = 16

// settings returns what the packager needs of it.
func (c *StreamConfig) settings() hls.Settings {
	s := hls.Settings{LowLatency: c.LowLatency, Segment: c.Segment, Part: c.Part, Window: c.Window, Directory: c.Directory}
	if c.Container == "ts" {
		s.Container = hls.TS
	}
	return s
}
