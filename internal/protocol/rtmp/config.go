package rtmp

import (
	"errors"
	"time"

	"weir/internal/config"
)

// Config is the section "rtmp".
type Config struct {
	Listen           string          `yaml:"listen" help:"address of RTMP; :0 takes a free port, an empty one turns it off"`
	TLS              TLSConfig       `yaml:"tls"`
	ChunkSize        int             `yaml:"chunk_size" min:"128" max:"16777215" help:"chunk size of what is sent, and what encoders that adopt it use; larger is cheaper"`
	HandshakeTimeout config.Duration `yaml:"handshake_timeout" min:"1s" max:"5m" help:"absolute time for each of handshake, connect, and first publish or play"`
	IngestDelay      config.Duration `yaml:"ingest_delay" min:"0s" max:"1s" help:"longest time that what a publisher sends may wait to be read, which saves CPU; used from 40 publishers on, and not for streams with latency: low; 0s: never"`
	IdleTimeout      config.Duration `yaml:"idle_timeout" min:"10s" max:"10m" help:"silence after which a publisher is pinged; after as long again it is closed"`
}

// TLSConfig is rtmp.tls.
type TLSConfig struct {
	Listen string `yaml:"listen" help:"address of RTMPS; it opens when cert and key are set"`
	Cert   string `yaml:"cert" help:"file with the certificate chain (PEM); read again when it changes"`
	Key    string `yaml:"key" help:"file with the private key (PEM)"`
}

// DefaultConfig returns the section's defaults.
func DefaultConfig() Config {
	return Config{
		Listen: ":1935", TLS: TLSConfig{Listen: ":1936"}, ChunkSize: 65536,
		HandshakeTimeout: config.Duration(10 * time.Second), IngestDelay: config.Duration(50 * time.Millisecond), IdleTimeout: config.Duration(30 * time.Second),
	}
}

// Validate implements config.Validator.
func (c *Config) Validate() error {
	return errors.Join(config.CheckListen("listen", c.Listen), config.CheckListen("tls.listen", c.TLS.Listen))
}

// Validate implements config.Validator.
func (c *TLSConfig) Validate() error {
	return config.CheckKeyPair(c.Cert, c.Key)
}
