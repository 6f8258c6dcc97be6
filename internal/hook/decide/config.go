package decide

import (
	"errors"
	"os"
	"time"

	"weir/internal/config"
	"weir/internal/hook"
	"weir/internal/session"
)

// Config is the section auth.hook.
type Config struct {
	URL        string        `yaml:"url" secret:"true" help:"address of the service that is asked who may publish and play: https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH; it may hold a user and password; an empty one asks nobody"`
	PublishURL string        `yaml:"publish_url" secret:"true" help:"address that is asked about publishers instead of auth.hook.url"`
	PlayURL    string        `yaml:"play_url" secret:"true" help:"address that is asked about players instead of auth.hook.url; if only auth.hook.publish_url is set, players are not asked about"`
	Format     string        `yaml:"format" enum:"weir,nginx-rtmp,srs,mediamtx,ome" help:"how it is asked and answers: our own JSON, or as the other server does, so that services written for that one answer unchanged"`
	Method     string        `yaml:"method" enum:"post,get" help:"get is nginx-rtmp's notify_method get; the other formats only have post"`
	Timeout    time.Duration `yaml:"timeout" min:"100ms" max:"30s" help:"how long an answer is waited for, waiting for a free connection included"`
	OnError    string        `yaml:"on_error" enum:"deny,allow,last" help:"what holds when the service fails or does not answer in time: deny, allow, or the last answer that it gave to the same credential, and deny if there is none"`
	When       string        `yaml:"when" enum:"no_key,always" help:"no_key asks where none that comes before in auth decided; always asks even then, and both must allow"`
	Rename     string        `yaml:"rename" enum:"entry,any,never" help:"which path the service may give a stream instead of the one asked for: entry is one that the same entry of streams matches; with never, the names that publishers ask for are no secrets and are logged when they are refused"`
	Recheck    time.Duration `yaml:"recheck" max:"24h" help:"how often the service is asked again about a session that runs, unless its answer says so itself; 0s is never; for the formats weir and nginx-rtmp, whose on_update it is"`
	Secret     string        `yaml:"secret" secret:"true" help:"signs the questions as Standard Webhooks says: whsec_ and 24 to 64 random bytes in base64; with the format ome its SecretKey; an empty one signs nothing"`
	OldSecret  string        `yaml:"old_secret" secret:"true" help:"signs them a second time, while the service changes from this secret to auth.hook.secret"`
	CA         string        `yaml:"ca" help:"file with the certificates (PEM) of those who may vouch for the service; an empty one stands for the system's"`
}

// DefaultConfig returns the section when nothing is configured.
func DefaultConfig() Config {
	return Config{Format: "weir", Method: "post", Timeout: 3 * time.Second, OnError: "deny", When: "no_key", Rename: "entry"}
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() { *c = DefaultConfig() }

// Enabled reports whether there is a service to ask.
func (c *Config) Enabled() bool { return c.URL != "" || c.PublishURL != "" || c.PlayURL != "" }

// Asks reports whether there is a service to ask about a role.
func (c *Config) Asks(role session.Role) bool { return c.url(role) != "" }

// namesAreSecret reports whether the name that a publisher asks for may be its key.
func (c *Config) namesAreSecret() bool {
	return c.Rename != "never" && c.Format != "srs" && c.Format != "mediamtx" // which cannot rename
}

// url returns the address that is asked about a role; empty if none is.
func (c *Config) url(role session.Role) string {
	own := c.PlayURL
	if role == session.Publish {
		own = c.PublishURL
	}
	if own != "" {
		return own
	}
	return c.URL
}

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	for _, u := range []*string{&c.URL, &c.PublishURL, &c.PlayURL} {
		if *u == "" {
			continue
		}
		if _, err := hook.ParseTarget(*u); err != nil {
			errs = append(errs, config.Errorf(u, "%w", err))
		}
	}
	if c.Method == "get" && c.Format != "nginx-rtmp" {
		errs = append(errs, config.Errorf(&c.Method, "only the format nginx-rtmp has it, and auth.hook.format is %s", c.Format))
	}
	if c.Method == "get" && (c.Secret != "" || c.OldSecret != "") {
		errs = append(errs, config.Errorf(&c.Method, "questions are signed over their body, and a get has none: use post, or leave out auth.hook.secret"))
	}
	if c.Recheck > 0 && c.Format != "weir" && c.Format != "nginx-rtmp" {
		errs = append(errs, config.Errorf(&c.Recheck, "services of the format %s do not expect to be asked again: leave it at 0s", c.Format))
	}
	if _, err := c.secrets(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Check implements config.Checker: the certificates are there.
func (c *Config) Check() error {
	if c.CA == "" {
		return nil
	}
	client, err := hook.NewClient(hook.ClientConfig{CA: c.CA})
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("the file " + c.CA + " is not there")
		}
		return config.Errorf(&c.CA, "%w", err)
	}
	client.Close()
	return nil
}

// secrets returns those that sign, the newest first.
func (c *Config) secrets() ([]hook.Secret, error) {
	var all []hook.Secret
	for _, s := range []*string{&c.Secret, &c.OldSecret} {
		if *s == "" || c.Format == "ome" && s == &c.Secret { // ome's is any text
			continue
		}
		secret, err := hook.ParseSecret(*s)
		if err != nil {
			return nil, config.Errorf(s, "%w", err)
		}
		all = append(all, secret)
	}
	return all, nil
}
