package decide

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"weir/internal/config"
	"weir/internal/hook"
	"weir/internal/session"
)

// Config is the section auth.hook.
type Config struct {
	URL        string        `yaml:"url" secret:"true" help:"address of the service that is asked who may publish and play: https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH; it may hold a user and password; with the format srs several, separated by spaces, which all must agree; an empty one asks nobody"`
	PublishURL string        `yaml:"publish_url" secret:"true" help:"address that is asked about publishers instead of auth.hook.url"`
	PlayURL    string        `yaml:"play_url" secret:"true" help:"address that is asked about players instead of auth.hook.url; if only auth.hook.publish_url is set, players are not asked about"`
	UpdateURL  string        `yaml:"update_url" secret:"true" help:"address that is asked again about sessions that run (see auth.hook.recheck), instead of the one that was asked first: nginx-rtmp's on_update"`
	ConnectURL string        `yaml:"connect_url" secret:"true" help:"address that is asked when a peer connects by RTMP, before it names a stream: on_connect of nginx-rtmp and SRS; an empty one asks nobody then"`
	ForwardURL string        `yaml:"forward_url" secret:"true" help:"address that is asked where a publisher's stream is also sent, once it is let in: SRS's on_forward (backend of its forward), with the format srs"`
	Format     string        `yaml:"format" enum:"weir,nginx-rtmp,srs,mediamtx,ome" help:"how it is asked and answers: our own JSON, or as the other server does, so that services written for that one answer unchanged"`
	Method     string        `yaml:"method" enum:"post,get" help:"get is nginx-rtmp's notify_method get; the other formats only have post"`
	Timeout    time.Duration `yaml:"timeout" min:"100ms" max:"30s" help:"how long an answer is waited for, waiting for a free connection included"`
	OnError    string        `yaml:"on_error" enum:"deny,allow,last" help:"what holds when the service fails or does not answer in time: deny, allow, or the last answer that it gave to the same credential, and deny if there is none"`
	When       string        `yaml:"when" enum:"no_key,always" help:"no_key asks where none that comes before in auth decided; always asks even then, and both must allow"`
	Rename     string        `yaml:"rename" enum:"entry,any,never" help:"which path the service may give a stream instead of the one asked for: entry is one that the same entry of streams matches; with never, the names that publishers ask for are no secrets and are logged when they are refused"`
	InProcess  bool          `yaml:"in_process" help:"ask about what the program that the server is part of publishes and plays itself, too, where the entry of streams asks auth.hook"`
	Update     string        `yaml:"update" enum:"normal,strict,lenient" help:"what ends a session that is asked about again, in the format nginx-rtmp: normal is as in nginx-rtmp, a refusal, an error or no answer; strict, its notify_update_strict, is all but 2xx; lenient is a refusal alone, as in the other formats, and not a service that fails"`
	Recheck    time.Duration `yaml:"recheck" max:"24h" help:"how often the service is asked again about a session that runs, unless its answer says so itself; 0s is never; for the formats weir and nginx-rtmp, whose on_update it is"`
	Secret     string        `yaml:"secret" secret:"true" help:"signs the questions as Standard Webhooks says: whsec_ and 24 to 64 random bytes in base64; with the format ome its SecretKey; an empty one signs nothing"`
	OldSecret  string        `yaml:"old_secret" secret:"true" help:"signs them a second time, while the service changes from this secret to auth.hook.secret"`
	CA         string        `yaml:"ca" help:"file with the certificates (PEM) of those who may vouch for the service; an empty one stands for the system's"`
}

// DefaultConfig returns the section when nothing is configured.
func DefaultConfig() Config {
	return Config{Format: "weir", Method: "post", Timeout: 3 * time.Second, OnError: "deny", When: "no_key", Rename: "entry", Update: "normal"}
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() { *c = DefaultConfig() }

// Enabled reports whether there is a service to ask.
func (c *Config) Enabled() bool {
	return c.URL != "" || c.PublishURL != "" || c.PlayURL != "" || c.ConnectURL != "" || c.ForwardURL != ""
}

// Asks reports whether there is a service to ask about a role.
func (c *Config) Asks(role session.Role) bool {
	return c.url(role) != "" || role == session.Publish && c.ForwardURL != ""
}

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

// maxTargets is how many addresses one key may hold.
const maxTargets = 8

// targets reads the addresses in the value of a key: several, separated by spaces, in the format srs alone.
func (c *Config) targets(value string) ([]hook.Target, error) {
	values := []string{value}
	if c.Format == "srs" {
		values = strings.Fields(value)
	}
	switch {
	case value == "":
		return nil, nil
	case len(values) > maxTargets:
		return nil, fmt.Errorf("more than %d addresses", maxTargets)
	}
	targets := make([]hook.Target, len(values))
	for i, v := range values {
		var err error
		if targets[i], err = hook.ParseTarget(v); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	for _, u := range []*string{&c.URL, &c.PublishURL, &c.PlayURL, &c.UpdateURL, &c.ConnectURL, &c.ForwardURL} {
		if _, err := c.targets(*u); err != nil {
			errs = append(errs, config.Errorf(u, "%w", err))
		}
		if f := hook.FieldIn(*u); f != "" {
			errs = append(errs, config.Errorf(u, "%s is replaced in the address of the hook for on_hls_notify alone: leave it out, the service is told in the question itself", f))
		}
	}
	if c.ConnectURL != "" && hook.FormatNamed(c.Format).EncodeConnect == nil {
		errs = append(errs, config.Errorf(&c.ConnectURL, "services of the format %s are not asked about connections: leave it out", c.Format))
	}
	if c.ForwardURL != "" && hook.FormatNamed(c.Format).EncodeForward == nil {
		errs = append(errs, config.Errorf(&c.ForwardURL, "only services of the format srs are asked where streams are sent: those of the format weir answer with push, leave it out"))
	}
	if len(strings.Fields(c.ForwardURL)) > 1 {
		errs = append(errs, config.Errorf(&c.ForwardURL, "it is one address, as in SRS: the service answers with all servers"))
	}
	if c.UpdateURL != "" && c.Recheck == 0 && c.Format != "weir" {
		errs = append(errs, config.Errorf(&c.UpdateURL, "nobody is asked again before auth.hook.recheck is set"))
	}
	if c.Update != "normal" && c.Format != "nginx-rtmp" {
		errs = append(errs, config.Errorf(&c.Update, "only the format nginx-rtmp has it, and auth.hook.format is %s", c.Format))
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
