package deliver

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/event"
	"weir/internal/hook"
)

// Config is one entry of the section "hooks".
type Config struct {
	Name      string        `yaml:"name" reload:"live" help:"what the hook is called in log, metrics and API: lower-case letters, digits, - and _; an empty one is made of the host of the url or the command's name"`
	URL       string        `yaml:"url" reload:"live" secret:"true" help:"address that events are posted to: https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH"`
	Run       []string      `yaml:"run" reload:"live" help:"command that is run instead, with its arguments and without a shell: {stream}, {app}, {name}, {event}, {id}, {time}, {session}, {protocol}, {remote}, {user}, {key_id}, {reason} and {server} are replaced; it gets the event as JSON on its standard input and as WEIR_* in its environment"`
	Events    []string      `yaml:"events" reload:"live" help:"types of events, such as publish.start; publish.* is all that begin so; empty is all"`
	Match     string        `yaml:"match" reload:"live" help:"only events about streams whose path matches: * is one segment, ** any number; an empty one lets events about no stream pass, too"`
	Format    string        `yaml:"format" reload:"live" enum:"weir,nginx-rtmp,srs,ome" help:"how events are written: our own JSON, or as the other server does; those that the other server does not know are left out"`
	Calls     []string      `yaml:"calls" reload:"live" enum:"publish_done,play_done,done,disconnect,record_done,on_unpublish,on_stop,on_close,on_hls,on_hls_notify,on_dvr" help:"the calls to make: with the format nginx-rtmp publish_done, which is what on_publish_done is sent there, and so play_done, done (at the end of publishers and players), disconnect and record_done; with the format srs on_unpublish, on_stop, on_close, on_hls, on_dvr and on_hls_notify, a GET in whose url [server_id], [service_id], [app], [stream], [ts_url] and [param] are replaced; empty is all but done and on_hls_notify"`
	Query     bool          `yaml:"query" reload:"live" help:"tell also what a peer showed when it came, as the other server does: the name and query of its stream and the URLs of its connect, which may hold keys and tokens; they are kept in memory alone, so that what is told after a restart is without them; with the formats nginx-rtmp, srs and ome"`
	Secret    string        `yaml:"secret" reload:"live" secret:"true" help:"signs what is posted as Standard Webhooks says: whsec_ and 24 to 64 random bytes in base64; with the format ome its SecretKey; an empty one signs nothing"`
	OldSecret string        `yaml:"old_secret" reload:"live" secret:"true" help:"signs it a second time, while the receiver changes from this secret to the one in secret"`
	CA        string        `yaml:"ca" reload:"live" help:"PEM file of the CA certificates to trust; an empty one uses the system's"`
	Timeout   time.Duration `yaml:"timeout" reload:"live" max:"1h" help:"how long one post may take, or one command until it is ended; 0s is 5s for posts and 10m for commands"`
	Batch     int           `yaml:"batch" reload:"live" min:"1" max:"100" help:"how many events are posted at once, as a JSON array, if as many wait; 1 posts each on its own"`
	Directory string        `yaml:"directory" reload:"live" help:"directory of this hook alone that keeps events until they are received, also across a restart or crash; an empty one is hooks/NAME in state, and keeps them in memory if that is empty, too"`
	While     bool          `yaml:"while" reload:"live" help:"the command runs from a start (publish.start, play.start, stream.online) to its stop, and is ended then"`
	Restart   bool          `yaml:"restart" reload:"live" help:"a command with while that ends on its own is started again, after 1s at first and a minute at last"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() { *c = Config{Format: "weir", Batch: 1} }

// DefaultConfig returns what each entry begins with.
func DefaultConfig() Config {
	var c Config
	c.SetDefaults()
	return c
}

const (
	// MaxHooks bounds the entries of the section.
	MaxHooks = 32
	maxArgs  = 100 // of a command
)

// formatOME is the format whose posts are signed in a way of their own.
const formatOME = "ome"

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	fail := func(field any, format string, args ...any) {
		errs = append(errs, config.Errorf(field, format, args...))
	}
	if err := config.CheckName(c.Name); err != nil && c.Name != "" {
		fail(&c.Name, "%w", err)
	}
	for i := range c.Events {
		if err := event.CheckPattern(c.Events[i]); err != nil {
			fail(&c.Events[i], "%w", err)
		}
	}
	if c.URL != "" {
		c.validateCalls(fail)
	}
	if len(errs) == 0 {
		c.validateTold(fail)
	}
	if c.Match != "" {
		if err := admit.CheckPattern(c.Match); err != nil {
			fail(&c.Match, "the pattern %q %w", c.Match, err)
		}
	}
	if c.Directory != "" && !filepath.IsAbs(c.Directory) {
		fail(&c.Directory, "%q is relative: write an absolute path, such as /var/lib/weir/hooks/billing", c.Directory)
	}
	switch {
	case c.URL == "" && len(c.Run) == 0:
		fail(&c.URL, "a hook needs url, which events are posted to, or run, a command")
	case c.URL != "" && len(c.Run) > 0:
		fail(&c.Run, "a hook has either url or run: make two hooks of it")
	case c.URL != "":
		c.validatePost(fail)
	default:
		c.validateCommand(fail)
	}
	return errors.Join(errs...)
}

func (c *Config) validatePost(fail func(field any, format string, args ...any)) {
	if _, err := hook.ParseTarget(c.URL); err != nil {
		fail(&c.URL, "%w", err)
	}
	if f := hook.FieldIn(c.URL); f != "" && !slices.Equal(c.Calls, []string{callNotify}) {
		fail(&c.URL, "%s is replaced for %s alone: write the address without fields, or give that call a hook of its own, with format: srs and calls: [%s]", f, callNotify, callNotify)
	}
	for _, s := range []*string{&c.Secret, &c.OldSecret} {
		if *s == "" || c.Format == formatOME && s == &c.Secret { // ome's is any text
			continue
		}
		if _, err := hook.ParseSecret(*s); err != nil {
			fail(s, "%w", err)
		}
	}
	if c.Batch > 1 && c.Format != "weir" {
		fail(&c.Batch, "the format %s has one event a post: leave batch out", c.Format)
	}
	if c.Query && c.Format == "weir" {
		fail(&c.Query, "the format weir tells of no queries: leave query out")
	}
	if c.While {
		fail(&c.While, "only a command (run) can run from a start to its stop")
	}
	if c.Restart {
		fail(&c.Restart, "only a command (run) with while is started again")
	}
}

// callNotify is the call of the format srs that is a GET of an address with fields.
const callNotify = "on_hls_notify"

func (c *Config) validateCalls(fail func(field any, format string, args ...any)) {
	f := hook.FormatNamed(c.Format)
	if f == nil || len(c.Calls) == 0 {
		return
	}
	known := f.Calls
	if known == nil {
		fail(&c.Calls, "the format %s has no calls to choose from: leave calls out, and choose by events", c.Format)
		return
	}
	for i, call := range c.Calls {
		if known[call] == nil {
			fail(&c.Calls[i], "%s is no call of the format %s: its calls are %s", call, c.Format, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if slices.Contains(c.Calls[:i], call) {
			fail(&c.Calls[i], "%s is there twice", call)
		}
	}
	switch {
	case !slices.Contains(c.Calls, callNotify):
	case len(c.Calls) > 1:
		fail(&c.Calls, "%s has an address with fields, and the other calls have none: give it a hook of its own", callNotify)
	case c.Secret != "" || c.OldSecret != "":
		fail(&c.Calls, "posts are signed over their body, and %s has none: leave secret out", callNotify)
	}
}

func (c *Config) validateCommand(fail func(field any, format string, args ...any)) {
	if c.Run[0] == "" || len(c.Run) > maxArgs {
		fail(&c.Run, "a command has its program first, and at most %d arguments", maxArgs-1)
		return
	}
	for i := range c.Run {
		if err := checkTemplate(c.Run, i); err != nil {
			fail(&c.Run[i], "%w", err)
		}
	}
	for _, s := range []struct {
		field any
		set   bool
		key   string
	}{
		{&c.Secret, c.Secret != "", "secret"},
		{&c.OldSecret, c.OldSecret != "", "old_secret"},
		{&c.CA, c.CA != "", "ca"},
		{&c.Format, c.Format != "weir", "format"},
		{&c.Batch, c.Batch > 1, "batch"},
		{&c.Calls, len(c.Calls) > 0, "calls"},
		{&c.Query, c.Query, "query"},
	} {
		if s.set {
			fail(s.field, "%s is for hooks with url: leave it out", s.key)
		}
	}
	switch {
	case c.Restart && !c.While:
		fail(&c.Restart, "a command is started again only with while: true")
	case c.While && c.Directory != "":
		fail(&c.Directory, "a command that runs from a start to its stop ends with the server: leave directory out")
	case c.While && c.Timeout != 0:
		fail(&c.Timeout, "a command that runs from a start to its stop has no time: leave timeout out")
	case c.While && !slices.ContainsFunc(event.Types(), func(t string) bool { return event.StopOf(t) != "" && event.Matches(c.Events, t) }):
		fail(&c.Events, "with while, events must include publish.start, play.start or stream.online")
	}
}

// Warn implements config.Warner: a program that is not there may come until it is run.
func (c *Config) Warn() error {
	if len(c.Run) == 0 {
		return nil
	}
	if _, err := exec.LookPath(c.Run[0]); err != nil {
		return config.Errorf(&c.Run[0], "the program cannot be run now: %w", err)
	}
	return nil
}

// WarnDisconnects tells of hooks that name the ends of connections where asked is false: the decision hook is asked about no connection,
// and so there are no such ends. list must stay where it is, for the positions.
func WarnDisconnects(list []Config, asked bool) (errs []error) {
	if asked {
		return nil
	}
	const why = "%s is not told: it is for connections about which the decision hook was asked when they came, and auth.hook.connect_url is not set"
	for i := range list {
		c := &list[i]
		for k, t := range c.Events {
			if t == event.Disconnect {
				errs = append(errs, config.Errorf(&c.Events[k], why, t))
			}
		}
		for k, call := range c.Calls {
			if slices.Contains(hook.FormatNamed(c.Format).Calls[call], event.Disconnect) {
				errs = append(errs, config.Errorf(&c.Calls[k], why, call))
			}
		}
	}
	return errs
}

// Check refuses lists of hooks that cannot serve side by side. list must stay where it is, for the
// positions of what is wrong.
func Check(list []Config) error {
	if len(list) > MaxHooks {
		return config.Errorf(&list[MaxHooks].Name, "there may be at most %d hooks", MaxHooks)
	}
	for i := range list {
		for j := range i {
			if n := list[i].Name; n != "" && n == list[j].Name {
				return config.Errorf(&list[i].Name, "hooks.%d already has the name %q", j, n)
			}
			if d := list[i].Directory; d != "" && filepath.Clean(d) == filepath.Clean(list[j].Directory) {
				return config.Errorf(&list[i].Directory, "it is the directory of hooks.%d: each hook has its own", j)
			}
		}
	}
	return nil
}

// knownTypes returns the types of events that the hook's format and calls can tell of, and that match lets through.
func (c *Config) knownTypes() []string {
	types := event.Types()
	if f := hook.FormatNamed(c.Format); f != nil && f.EncodeEvent != nil {
		types = f.Events
	}
	if len(c.Calls) > 0 {
		types = nil
		for _, call := range c.Calls {
			types = append(types, hook.FormatNamed(c.Format).Calls[call]...)
		}
	}
	if c.Match == "" {
		return types
	}
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool { return !event.HasStream(t) })
}

// validateTold refuses a hook that can never be told of what its events name.
func (c *Config) validateTold(fail func(field any, format string, args ...any)) {
	known := c.knownTypes()
	can := func(patterns []string) bool {
		return slices.ContainsFunc(known, func(t string) bool { return event.Matches(patterns, t) })
	}
	why := "what this hook can be told of is " + strings.Join(known, ", ")
	if len(known) == 0 {
		fail(&c.Match, "this hook would never be told of anything: its events are about no stream, and match lets only those about streams pass")
		return
	}
	if c.Format != "weir" {
		why = "in the format " + c.Format + " this hook can be told of " + strings.Join(known, ", ")
	}
	for i := range c.Events {
		if !can(c.Events[i : i+1]) {
			fail(&c.Events[i], "this hook would never be told of %s: %s", c.Events[i], why)
		}
	}
}

// wants reports whether the hook makes a call, by the name that the other server has for it.
func (c *Config) wants(call string) bool {
	if len(c.Calls) == 0 {
		return !slices.Contains(hook.FormatNamed(c.Format).Unasked, call)
	}
	return slices.Contains(c.Calls, call)
}

// Names returns the names of hooks, made up for those that have none. They differ.
func Names(list []Config) []string {
	names := make([]string, len(list))
	taken := map[string]bool{}
	for i := range list {
		names[i] = list[i].Name
		taken[names[i]] = true
	}
	for i, n := range names {
		if n != "" {
			continue
		}
		base := defaultName(&list[i])
		n = base
		for k := 2; taken[n]; k++ {
			n = fmt.Sprintf("%s-%d", base, k)
		}
		names[i], taken[n] = n, true
	}
	return names
}

// defaultName makes a name of a hook's host or program.
func defaultName(c *Config) string {
	name := ""
	switch u, err := url.Parse(c.URL); {
	case len(c.Run) > 0:
		name = filepath.Base(c.Run[0])
	case err == nil && u.Host != "":
		name = u.Hostname()
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	if name = strings.Trim(name, "-"); name == "" {
		return "hook"
	}
	return name[:min(len(name), config.MaxName-4)]
}

// timeout returns how long one post or command may take.
func (c *Config) timeout() time.Duration {
	switch {
	case c.Timeout > 0:
		return c.Timeout
	case len(c.Run) > 0:
		return 10 * time.Minute
	}
	return 5 * time.Second
}

// types returns the types that the hook subscribes to: beside those that it is told of, in another server's format the ends
// that are owed, with while the stops of its starts, and with a journal the starts of its stops, so that it knows
// after a crash what had begun.
func (c *Config) types() []string {
	types := slices.Clone(c.Events)
	switch foreign := c.Format != "weir" && len(c.Run) == 0; {
	case foreign && len(types) == 0:
		types = slices.Clone(hook.FormatNamed(c.Format).Events)
		fallthrough
	case foreign:
		types = append(types, event.Owing(types, c.Directory != "")...)
	case len(types) == 0:
		return nil
	}
	for _, t := range event.Types() {
		if !event.Matches(c.Events, t) {
			continue
		}
		if stop := event.StopOf(t); c.While && stop != "" {
			types = append(types, stop)
		}
		if start := event.StartOf(t); c.Directory != "" && start != "" {
			types = append(types, start)
		}
	}
	return types
}
