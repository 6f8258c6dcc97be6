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
	Origin     string   `yaml:"origin" reload:"live" secret:"true" short:"true" help:"server whose streams are played here, each fetched once while somebody plays it: rtmp://HOST, rtmps://HOST, http://HOST:8080 or https://HOST; it may have a query with a key, which all streams are fetched with; a text in the place of the group is this; an empty one makes no edge"`
	Backup     []string `yaml:"backup" reload:"live" secret:"true" help:"servers with the same streams, which are taken when the origin fails"`
	Publish    string   `yaml:"publish" reload:"live" enum:"local,forward" help:"what becomes of streams that are published here: local keeps them here; forward sends them on to the origin as well, so that its other edges have them, too; the origin decides about them as about those of any publisher"`
	PublishKey string   `yaml:"publish_key" reload:"live" secret:"true" help:"key with which streams are forwarded, sent as ?key=KEY behind their names; with an empty one the origin is sent the query that the publisher has sent here"`
	Tuning
}

// DefaultEdge returns the section when nothing is configured.
func DefaultEdge() EdgeConfig {
	return EdgeConfig{Backup: []string{}, Publish: publishLocal, Tuning: defaultTuning()}
}

const (
	publishLocal   = "local"
	publishForward = "forward"
	maxPublishKey  = 1024 // bytes
)

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
	switch isRTMP := strings.HasPrefix(c.Origin, "rtmp"); {
	case c.Publish != publishForward:
	case c.Origin == "":
		errs = append(errs, config.Errorf(&c.Publish, "there is no edge.origin to which streams could be forwarded"))
	case !isRTMP:
		errs = append(errs, config.Errorf(&c.Publish, "streams are forwarded by RTMP: write the origin as rtmp://HOST or rtmps://HOST"))
	}
	if len(c.PublishKey) > maxPublishKey || !isFieldValue(c.PublishKey) {
		errs = append(errs, config.Errorf(&c.PublishKey, "a key has at most %d bytes and no control characters", maxPublishKey))
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

// Warn implements config.Warner.
func (c *EdgeConfig) Warn() error {
	var errs []error
	if c.PublishKey != "" && c.Publish != publishForward {
		errs = append(errs, config.Errorf(&c.PublishKey, "the key is not used: streams are not sent on to the origin unless publish is forward"))
	}
	list := []*string{&c.Origin}
	for i := range c.Backup {
		list = append(list, &c.Backup[i])
	}
	for _, origin := range list {
		if u, err := url.Parse(*origin); err == nil && strings.Trim(u.Path, "/") != "" {
			errs = append(errs, config.Errorf(origin, "the path goes before those of streams: live/cam would be fetched as %s; leave it out unless the origin's streams are there", session.Redact(atOrigin(*origin, "live/cam"))))
		}
	}
	return errors.Join(errs...)
}

// checkOrigin says what is wrong with the URL of a server.
func checkOrigin(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) || u.Fragment != "" || len(text) > maxURL || strings.ContainsAny(text, "{}") {
		return fmt.Errorf("%q is no URL of a server: write rtmp://HOST, rtmps://HOST, http://HOST, https://HOST, ws://HOST or wss://HOST", session.Redact(text))
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

// Forward returns where the stream at path is sent on to when it is published here, as package push has it: the URL of the
// application, and the name there with its query, in which {query} stands for that of the publisher. ok is false if it is not
// sent on.
func (c *EdgeConfig) Forward(path string) (app, name string, ok bool) {
	if c.Publish != publishForward || c.Origin == "" {
		return "", "", false
	}
	query := "{query}"
	if c.PublishKey != "" {
		query = "key=" + strings.ReplaceAll(url.QueryEscape(c.PublishKey), "+", "%20") // in RTMP a + is one
	}
	base, _, _ := strings.Cut(c.Origin, "?") // the query is for playing
	first, rest, _ := strings.Cut(path, "/")
	return strings.TrimRight(base, "/") + "/" + escape(first), escape(rest) + "?" + query, true
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
