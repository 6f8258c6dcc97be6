package pull

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"weir/internal/config"
	"weir/internal/reach"
	"weir/internal/session"
)

// Config is streams[].pull.
type Config struct {
	URL      string   `yaml:"url" reload:"live" secret:"true" short:"true" help:"where the streams are fetched from, if nobody publishes them here: rtmp, rtmps, http, https (FLV, MPEG-TS or HLS), ws or wss; {app}, {name} and {path} stand for those of the stream that is asked for, and {query} for the query of its first player, which stands behind a ? (rtmp://HOST/{path}?{query}); a text in the place of the group is this; an empty one fetches nothing"`
	Sources  []string `yaml:"sources" reload:"live" secret:"true" help:"several such URLs instead of one: the next is taken when one fails"`
	OnDemand bool     `yaml:"on_demand" reload:"live" help:"fetch a stream only while somebody plays it; false fetches it always, which needs a match without *"`
	Private  bool     `yaml:"allow_private" reload:"live" help:"let sources that the API or the decision hook name, and redirects, lead to addresses of this machine and of private networks; it holds for where they have the stream sent, too (pushes)"`
	Tuning
}

// Tuning is what pulls and edges have in common.
type Tuning struct {
	Linger    time.Duration `yaml:"linger" reload:"live" min:"1s" max:"24h" help:"how long a stream that is fetched on demand is fetched on after its last player has left"`
	Silence   time.Duration `yaml:"silence" reload:"live" min:"500ms" max:"5m" help:"a source that does not answer, or sends no media, for this long has failed"`
	Prefer    string        `yaml:"prefer" reload:"live" enum:"sticky,first" help:"sticky stays with a source while it is good; first goes back to the first one once that has been good for 30s"`
	Insecure  bool          `yaml:"insecure" reload:"live" help:"accept every certificate of rtmps, https and wss"`
	Pin       string        `yaml:"pin" reload:"live" help:"SHA-256 of the server's certificate in hex, as openssl x509 -fingerprint -sha256 prints it: that certificate alone is accepted then, also one that nobody vouches for, and of every server that the source leads to"`
	UserAgent string        `yaml:"user_agent" reload:"live" help:"what sources of HTTP are told as User-Agent; an empty one is Go's"`
	Headers   []string      `yaml:"headers" reload:"live" secret:"true" help:"further header fields for sources of HTTP, such as \"Authorization: Bearer TOKEN\"; they are sent to the host of the URL only, not to those that it redirects to"`
}

// DefaultConfig returns the section when nothing is configured.
func DefaultConfig() Config {
	return Config{Sources: []string{}, OnDemand: true, Tuning: defaultTuning()}
}

func defaultTuning() Tuning {
	return Tuning{Linger: 30 * time.Second, Silence: 5 * time.Second, Prefer: preferSticky, Headers: []string{}}
}

const (
	preferSticky = "sticky"
	preferFirst  = "first"
)

const (
	// maxSources bounds the sources of a stream, maxHeaders the header fields, and maxURL each of them, in bytes.
	maxSources = 16
	maxHeaders = 32
	maxURL     = 4096
)

// Enabled reports whether there is anything to fetch from.
func (c *Config) Enabled() bool { return c.URL != "" || len(c.Sources) > 0 }

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	if c.URL != "" && len(c.Sources) > 0 {
		errs = append(errs, config.Errorf(&c.URL, "there is a list of sources, too: write this URL into it"))
	}
	if err := CheckSource(c.URL); c.URL != "" && err != nil {
		errs = append(errs, config.Errorf(&c.URL, "%w", err))
	}
	if len(c.Sources) > maxSources {
		errs = append(errs, config.Errorf(&c.Sources, "more than %d sources", maxSources))
	}
	for i := range c.Sources {
		if err := CheckSource(c.Sources[i]); err != nil {
			errs = append(errs, config.Errorf(&c.Sources[i], "%w", err))
		}
	}
	return errors.Join(append(errs, c.Tuning.validate())...)
}

// validate refuses header fields that cannot be sent.
func (t *Tuning) validate() error {
	if len(t.Headers) > maxHeaders {
		return config.Errorf(&t.Headers, "more than %d header fields", maxHeaders)
	}
	if _, err := reach.ParseFingerprint(t.Pin); err != nil {
		return config.Errorf(&t.Pin, "%w", err)
	}
	if !isFieldValue(t.UserAgent) {
		return config.Errorf(&t.UserAgent, "it has control characters")
	}
	for i := range t.Headers {
		name, value, ok := strings.Cut(t.Headers[i], ":")
		if !ok || len(t.Headers[i]) > maxURL || !isFieldName(name) || !isFieldValue(value) || strings.EqualFold(name, "Host") {
			return config.Errorf(&t.Headers[i], "it is no header field: write \"Name: value\"")
		}
	}
	return nil
}

// isFieldName and isFieldValue report whether a text can be the name or the value of a header field (RFC 9110, 5.1 and 5.5).
func isFieldName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}

func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// header returns the header fields for sources of HTTP.
func (t *Tuning) header() http.Header {
	h := http.Header{}
	for _, f := range t.Headers {
		name, value, _ := strings.Cut(f, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	if t.UserAgent != "" {
		h.Set("User-Agent", t.UserAgent)
	}
	return h
}

// schemes are those of sources.
var schemes = []string{"rtmp", "rtmps", "http", "https", "ws", "wss"}

// placeholders are what stands for parts of the stream that is asked for.
var placeholders = []string{"{app}", "{name}", "{path}", "{query}"}

// CheckSource says what is wrong with the URL of a source. Its errors show no secret.
func CheckSource(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	host, path, _ := strings.Cut(rest, "/")
	if !ok || !slices.Contains(schemes, scheme) || host == "" || path == "" || len(text) > maxURL {
		return fmt.Errorf("%q is no URL of a stream: write rtmp://HOST/app/name, or rtmps, http, https, ws or wss", session.Redact(text))
	}
	if strings.ContainsAny(host, "{}") {
		return errors.New("the host of a source cannot depend on the stream: placeholders may stand behind it only")
	}
	if beforeQuery, _, _ := strings.Cut(path, "?"); strings.Contains(beforeQuery, "{query}") {
		return fmt.Errorf("%q has {query} in the path, where everybody would be shown the keys in it: write ?{query}", session.Redact(text))
	}
	plain := strings.NewReplacer("{app}", "a", "{name}", "a", "{path}", "a", "{query}", "a").Replace(path)
	if strings.ContainsAny(plain, "{}") {
		return fmt.Errorf("%q has a placeholder that is not known: there are %s", session.Redact(text), strings.Join(placeholders, ", "))
	}
	if u, err := url.Parse(scheme + "://" + host + "/" + plain); err != nil || u.Hostname() == "" {
		return fmt.Errorf("%q is no URL", session.Redact(text))
	}
	return nil
}

// expand makes the URL of a stream's source. query is what the player that is first has sent behind the name.
func expand(source, path, query string) string {
	app, name, _ := strings.Cut(path, "/")
	return strings.NewReplacer("{app}", escape(app), "{name}", escape(name), "{path}", escape(path), "{query}", escapeQuery(query)).Replace(source)
}

// escape writes a path or a part of one as it is in a URL.
func escape(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// escapeQuery writes a query that a peer has sent as it is in a URL: what cannot be in one is escaped, the rest stays.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || c == '#' || c == '"' || c == '<' || c == '>' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hookPlan returns how a stream is pulled from a source that the decision hook has named. What the entry says of its own sources,
// header fields with keys among it, does not hold for that.
func (c *Config) hookPlan(source string) Plan {
	t := defaultTuning()
	t.Linger, t.Silence, t.Prefer = c.Linger, c.Silence, c.Prefer
	return Plan{Sources: []string{source}, OnDemand: true, Private: c.Private, By: ByHook, Tuning: t}
}

// plan returns how the stream at path is pulled.
func (c *Config) plan(path, query string) Plan {
	sources := c.Sources
	if c.URL != "" {
		sources = []string{c.URL}
	}
	p := Plan{OnDemand: c.OnDemand, Private: c.Private, Tuning: c.Tuning, By: ByConfig}
	for _, s := range sources {
		p.Sources = append(p.Sources, expand(s, path, query))
	}
	return p
}
