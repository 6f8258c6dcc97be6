package pull

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"weir/internal/config"
	"weir/internal/session"
)

// EdgeConfig is the section "edge".
type EdgeConfig struct {
	Origin string   `yaml:"origin" reload:"live" secret:"true" short:"true" help:"server whose streams are played here, each fetched once while somebody plays it: rtmp://HOST, rtmps://HOST, http://HOST:8080 or https://HOST; it may have a query with a key, which all streams are fetched with; a text in the place of the group is this; an empty one makes no edge"`
	Backup []string `yaml:"backup" reload:"live" secret:"true" help:"servers with the same streams, which are taken when the origin fails"`
	Tuning
}

// DefaultEdge returns the section when nothing is configured.
func DefaultEdge() EdgeConfig { return EdgeConfig{Backup: []string{}, Tuning: defaultTuning()} }

// SetDefaults implements config.Defaulter.
func (c *EdgeConfig) SetDefaults() { *c = DefaultEdge() }

// Validate implements config.Validator.
func (c *EdgeConfig) Validate() error {
	var errs []error
	if c.Origin == "" && len(c.Backup) > 0 {
		errs = append(errs, config.Errorf(&c.Backup, "there is no edge.origin that they could stand in for"))
	}
	if err := checkOrigin(c.Origin); c.Origin != "" && err != nil {
		errs = append(errs, config.Errorf(&c.Origin, "%w", err))
	}
	if len(c.Backup) >= maxSources {
		errs = append(errs, config.Errorf(&c.Backup, "more than %d servers", maxSources-1))
	}
	for i := range c.Backup {
		if err := checkOrigin(c.Backup[i]); err != nil {
			errs = append(errs, config.Errorf(&c.Backup[i], "%w", err))
		}
	}
	return errors.Join(append(errs, c.Tuning.validate())...)
}

// checkOrigin says what is wrong with the URL of a server.
func checkOrigin(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || u.Fragment != "" || len(text) > maxURL || strings.ContainsAny(text, "{}") {
		return fmt.Errorf("%q is no URL of a server: write rtmp://HOST, rtmps://HOST, http://HOST or https://HOST", session.Redact(text))
	}
	return nil
}

// plan returns how the stream at path is pulled from the origin.
func (c *EdgeConfig) plan(path string) Plan {
	p := Plan{OnDemand: true, Tuning: c.Tuning, By: ByEdge}
	for _, o := range append([]string{c.Origin}, c.Backup...) {
		p.Sources = append(p.Sources, atOrigin(o, path))
	}
	return p
}

// atOrigin returns the URL of a stream on a server: by HTTP and WebSocket as FLV.
func atOrigin(origin, path string) string {
	base, query, has := strings.Cut(origin, "?")
	s := strings.TrimRight(base, "/") + "/" + escape(path)
	if !strings.HasPrefix(base, "rtmp") {
		s += ".flv"
	}
	if has {
		s += "?" + query
	}
	return s
}
