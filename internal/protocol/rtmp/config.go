package rtmp

import (
	"net/netip"
	"time"

	"weir/internal/listen"
	"weir/internal/protocol"
)

// Config is the section "rtmp".
type Config struct {
	Listen           string           `yaml:"listen" reload:"listener" format:"listen" help:"address of RTMP; :0 takes a free port, an empty one turns it off"`
	TLS              listen.TLSConfig `yaml:"tls" reload:"listener"`
	ProxyProtocol    []netip.Prefix   `yaml:"proxy_protocol" reload:"new sessions" help:"addresses of load balancers whose connections begin with a header of the PROXY protocol, version 1 or 2, which tells the client's address; from them a connection without it is closed"`
	ChunkSize        int              `yaml:"chunk_size" reload:"new sessions" min:"128" max:"16777215" help:"chunk size of what is sent, and what encoders that adopt it use; larger is cheaper"`
	HandshakeTimeout time.Duration    `yaml:"handshake_timeout" reload:"new sessions" min:"1s" max:"5m" help:"absolute time for each of handshake, connect, and first publish or play"`
	IngestDelay      time.Duration    `yaml:"ingest_delay" min:"0s" max:"1s" help:"longest time that what a publisher sends may wait to be read, which saves CPU; used from 40 publishers on, and not for streams with latency: low; 0s: never"`
	IdleTimeout      time.Duration    `yaml:"idle_timeout" reload:"new sessions" min:"10s" max:"10m" help:"silence after which a publisher is pinged; after as long again it is closed"`
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
	return []protocol.Listener{
		{Proto: "rtmp", Key: "rtmp.listen", Addr: &c.Listen, Proxies: c.ProxyProtocol},
		{Proto: "rtmps", Key: "rtmp.tls.listen", Addr: &c.TLS.Listen, TLS: &c.TLS, Proxies: c.ProxyProtocol},
	}
}

// Change implements protocol.Changeable.
func (c *Config) Change(running []protocol.Protocol) {
	for _, p := range running {
		p.(*Protocol).change(c) //nolint:forcetypeassert // Protocols made it
	}
}
