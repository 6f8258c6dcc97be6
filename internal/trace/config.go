package trace

import (
	"errors"
	"net/url"

	"weir/internal/config"
)

// Config is the section "tracing" of the configuration.
type Config struct {
	URL           string `yaml:"url" secret:"true" help:"collector of OpenTelemetry traces by OTLP over HTTP, such as http://localhost:4318/v1/traces: each session is a trace; empty sends none"`
	Authorization string `yaml:"authorization" secret:"true" help:"header field Authorization of what is sent there, such as Bearer …; empty for none"`
	Percent       int    `yaml:"percent" min:"0" max:"100" help:"how many of a hundred sessions are traced"`
}

// DefaultConfig sends no traces.
func DefaultConfig() Config { return Config{Percent: 100} }

// Validate implements config.Validator. Its errors do not show the URL, which may hold a secret.
func (c *Config) Validate() error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return config.Errorf(&c.URL, "%w", errURL)
	}
	return nil
}

var errURL = errors.New("this is no address of a collector: write one such as http://localhost:4318/v1/traces")
