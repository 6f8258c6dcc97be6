package push

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"weir/internal/config"
	"weir/internal/reach"
)

// Config is one entry of streams[].push: a server that a stream is also sent to. It is comparable.
type Config struct {
	Name        string `yaml:"name" reload:"live" json:"name" help:"what the target is called in log, API and events: lower-case letters, digits, - and _; an empty one is made of the service or the host of the URL"`
	Service     string `yaml:"service" reload:"live" json:"service,omitempty" enum:"custom,youtube,twitch,facebook,kick,ivs,x,cloudflare,linkedin,restream,trovo,vimeo,dlive" help:"a known service, whose URL and limits need not be written; custom is any other server"`
	URL         string `yaml:"url" reload:"live" json:"url,omitempty" secret:"true" short:"true" help:"where to: rtmp://HOST/APP or rtmps://HOST/APP, with the key as key; or both in one, rtmp://HOST/APP/KEY; {app} and {name} are those of the stream and {query} what its publisher sent behind the name, with its key; services have one of their own; a text in the place of the entry is this"`
	Key         string `yaml:"key" reload:"live" json:"key,omitempty" secret:"true" help:"stream key or name there, with its query, sent as it is written but for {app}, {name} and {query}"`
	Enabled     bool   `yaml:"enabled" reload:"live" json:"enabled" help:"whether the stream is sent there; the API turns targets on and off, too"`
	Slate       string `yaml:"slate" reload:"live" json:"slate,omitempty" help:"what the server is sent while the stream waits for its publisher's return: off is nothing, and most services wait about a minute; repeat is the last key frame once a second and silence; else the name of a file, .flv, .mp4 or .ts, that is played again and again, and is repeat where its codecs or their parameters are not the stream's"`
	Caps        string `yaml:"caps" reload:"live" json:"caps,omitempty" enum:"auto,on" help:"on announces Enhanced RTMP, so that the server may say which codecs and how many tracks it takes; auto announces as little as OBS does"`
	Pin         string `yaml:"pin" reload:"live" json:"pin,omitempty" help:"SHA-256 of the server's certificate in hex, as openssl x509 -fingerprint -sha256 prints it: that certificate alone is accepted then, also one that nobody vouches for"`
	MaxAttempts int    `yaml:"max_attempts" reload:"live" json:"max_attempts,omitempty" min:"0" max:"1000000" help:"failures in a row after which the target is not tried again until it is asked to be; 0 goes on for ever"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	*c = Config{Service: Custom, Enabled: true, Slate: slateOff, Caps: "auto"}
}

// DefaultConfig returns what each entry begins with.
func DefaultConfig() Config {
	var c Config
	c.SetDefaults()
	return c
}

const (
	slateOff    = "off"
	slateRepeat = "repeat"
)

const (
	// MaxTargets bounds the targets of one entry of streams, and those of one stream that the API made.
	MaxTargets = 32
)

// Validate implements config.Validator. Its errors show no secret.
func (c *Config) Validate() error {
	var errs []error
	if err := config.CheckName(c.Name); err != nil && c.Name != "" {
		errs = append(errs, config.Errorf(&c.Name, "%w", err))
	}
	if len(c.Key) > maxKey || strings.ContainsFunc(c.Key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		errs = append(errs, config.Errorf(&c.Key, "a key has at most %d bytes and no control characters", maxKey))
	} else if _, err := c.address(vars{path: "app/name", query: "query=1"}); err != nil {
		errs = append(errs, config.Errorf(&c.URL, "%w", err))
	}
	if s := c.Slate; s != "" && s != slateOff && s != slateRepeat && !isLoop(s) {
		errs = append(errs, config.Errorf(&c.Slate, "%.60q is neither %s nor %s, nor the name of a file that ends with %s", s, slateOff, slateRepeat, strings.Join(loopFormats, ", ")))
	}
	if _, err := reach.ParseFingerprint(c.Pin); err != nil {
		errs = append(errs, config.Errorf(&c.Pin, "%w", err))
	}
	return errors.Join(errs...)
}

// Check refuses lists of targets that cannot be told apart. list must stay where it is, for the
// positions of what is wrong.
func Check(list []Config) error {
	if len(list) > MaxTargets {
		return config.Errorf(&list[MaxTargets].Name, "there are more than %d targets", MaxTargets)
	}
	for i := range list {
		for j := range i {
			if n := list[i].Name; n != "" && n == list[j].Name {
				return config.Errorf(&list[i].Name, "push.%d is called %q, too", j, n)
			}
		}
	}
	return nil
}

// withNames returns the list with names for those that have none. They differ.
func withNames(list []Config) []Config {
	named := make([]Config, len(list))
	taken := map[string]bool{}
	for i, c := range list {
		named[i], taken[c.Name] = c, true
	}
	for i := range named {
		if c := &named[i]; c.Name == "" {
			c.Name = free(defaultName(c), taken)
			taken[c.Name] = true
		}
	}
	return named
}

// free returns base, or base with a number that is not taken.
func free(base string, taken map[string]bool) string {
	name := base
	for k := 2; taken[name]; k++ {
		name = fmt.Sprintf("%s-%d", base, k)
	}
	return name
}

// defaultName makes a name of a target's service or host.
func defaultName(c *Config) string {
	if c.Service != Custom && c.Service != "" {
		return c.Service
	}
	host := ""
	if u, err := url.Parse(c.URL); err == nil {
		host = u.Hostname()
	} else if _, authority, _, err := split(c.URL); err == nil {
		host = hostOf(authority)
	}
	if s := serviceOf("", host); s != custom {
		return s.name
	}
	return nameFrom(host)
}

// nameFrom makes a name of any text.
func nameFrom(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	if name = strings.Trim(name, "-"); name == "" {
		return "target"
	}
	return name[:min(len(name), config.MaxName-4)]
}
