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
		return New(env, func(path string) (hls.Settings, bool) {
			c := env.Settings(path).(*StreamConfig) //nolint:forcetypeassert // the table's
			return c.settings(), c.Enabled
		}), nil
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
	return nil
}

// settings returns what the packager needs of it.
func (c *StreamConfig) settings() hls.Settings {
	s := hls.Settings{LowLatency: c.LowLatency, Segment: c.Segment, Part: c.Part, Window: c.Window, Directory: c.Directory}
	if c.Container == "ts" {
		s.Container = hls.TS
	}
	return s
}
