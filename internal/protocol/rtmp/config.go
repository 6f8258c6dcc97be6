package rtmp

import (
	"time"

	"weir/internal/listen"
	"weir/internal/protocol"
)

// Config is the section "rtmp".
type Config struct {
	Listen           string           `yaml:"listen" format:"listen" help:"address of RTMP; :0 takes a free port, an empty one turns it off"`
	TLS              listen.TLSConfig `yaml:"tls"`
	ChunkSize        int              `yaml:"chunk_size" min:"128" max:"16777215" help:"chunk size of what is sent, and what encoders that adopt it use; larger is cheaper"`
	HandshakeTimeout time.Duration    `yaml:"handshake_timeout" min:"1s" max:"5m" help:"absolute time for each of handshake, connect, and first publish or play"`
	IngestDelay      time.Duration    `yaml:"ingest_delay" min:"0s" max:"1s" help:"longest time that what a publisher sends may wait to be read, which saves CPU; used from 40 publishers on, and not for streams with latency: low; 0s: never"`
	IdleTimeout      time.Duration    `yaml:"idle_timeout" min:"10s" max:"10m" help:"silence after which a publisher is pinged; after as long again it is closed"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	*c = Config{
		Listen: ":1935", TLS: listen.TLSConfig{Listen: ":1936"}, ChunkSize: 65536,
		HandshakeTimeout: 10 * time.Second, IngestDelay: 50 * time.Millisecond, IdleTimeout: 30 * time.Second,
	}
}

// Protocols implements protocol.Section.
func (c *Config) Protocols() []protocol.Entry {
	return []protocol.Entry{{Name: "rtmp", New: func(env protocol.Env) (protocol.Protocol, error) { return New(env, *c) }}}
}

// Listeners implements protocol.Listening.
func (c *Config) Listeners() []protocol.Listener {
	on := []protocol.Listener{{Key: "rtmp.listen", Addr: &c.Listen}}
	if c.TLS.Enabled() {
		on = append(on, protocol.Listener{Key: "rtmp.tls.listen", Addr: &c.TLS.Listen})
	}
	return on
}
