package weir

import (
	"context"
	"errors"
	"io"
	"strings"

	"weir/internal/server"
)

// Configuration is a configuration that was read from a file, and can be read again while a server runs with it.
type Configuration struct{ c *server.Configuration }

// ReadConfiguration reads the configuration from a YAML file, "" for none, the changes that lie over it in
// STATE/config.d/*.yml, the variables WEIR_… in environ, as from os.Environ, and sets such as "rtmp.listen=:1940". The
// last wins. It reports every mistake with its place.
func ReadConfiguration(file string, environ, sets []string) (*Configuration, error) {
	c, err := server.ReadConfiguration(server.Source{File: file, Environ: environ, Sets: sets})
	if err != nil {
		return nil, err
	}
	return &Configuration{c}, nil
}

// ReadPart is ReadConfiguration for a program that needs no secret but those whose keys begin with a prefix, such as
// "auth.signed."; "" is none. Other secrets that are kept elsewhere ({file: NAME}, {env: NAME}) need not be there, and are
// empty: the configuration is not one for New.
func ReadPart(file string, environ, sets []string, prefix string) (*Configuration, error) {
	c, err := server.ReadConfiguration(server.Source{
		File: file, Environ: environ, Sets: sets,
		Needs: func(path string) bool { return prefix != "" && strings.HasPrefix(path, prefix) },
	})
	if err != nil {
		return nil, err
	}
	return &Configuration{c}, nil
}

// Origin says where the value of a key, such as "streams.0.match", came from: a file with its line, "env NAME", "--set" or "default".
func (c *Configuration) Origin(key string) string { return c.c.Loaded().Origin(key).String() }

// Config returns the configuration as it was last read, for New.
func (c *Configuration) Config() Config { return c.c.Config() }

// Check reports what New would fail at, such as certificates that cannot be read, and entries of streams that no
// stream ever gets, with their places.
func (c *Configuration) Check() error { return c.c.Loaded().Check() }

// Warnings returns what is allowed and most likely not meant, such as a key that has run out, with its place.
func (c *Configuration) Warnings() []error { return c.c.Loaded().Warnings().Unwrap() }

// WriteEffective writes every key with its value and where that came from. Secrets are printed as ***.
func (c *Configuration) WriteEffective(w io.Writer) error { return c.c.Loaded().WriteEffective(w) }

// MarshalJSON returns the configuration, with secrets as ***.
func (c *Configuration) MarshalJSON() ([]byte, error) { return c.c.Loaded().MarshalJSON() }

// Reloadable makes the server read c, whose Config it was made from, again: when Reload is called, when the API asks
// for it, and, with reload: watch, when a file changes.
func Reloadable(c *Configuration) Option {
	return Option{func(o *server.Options) { o.Configuration = c.c }}
}

// ErrNoConfiguration is the error of Reload for a server without Reloadable.
var ErrNoConfiguration = errors.New("weir: the server has no configuration that can be read again")

// Reload reads the configuration that was given to Reloadable again and applies it as Change does. What came of it is
// logged, too.
func (s *Server) Reload(ctx context.Context) (Report, error) {
	c := s.s.Configuration()
	if c == nil {
		return Report{}, ErrNoConfiguration
	}
	r, err := c.Reload(ctx, "signal")
	return reportOf(r), err
}

// Report says what a change of the configuration did.
type Report struct {
	// Changed are the keys that differ from those before, in their order.
	Changed []KeyChange
	// Waiting are the keys whose values wait for a restart, now and from earlier changes.
	Waiting []string
}

// KeyChange is a key that has changed.
type KeyChange struct {
	// Key is its path, such as "streams.0.publish.grace".
	Key string
	// When says what has the new value: "live" is everything, "new sessions" is what comes afterwards,
	// "listener" is a listener, which accepts elsewhere now, and "restart" is only another server.
	When string
}

func reportOf(r server.Report) Report {
	report := Report{Waiting: r.Waiting}
	for _, c := range r.Changed {
		report.Changed = append(report.Changed, KeyChange{c.Path, c.When.String()})
	}
	return report
}
