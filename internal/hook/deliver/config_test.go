package deliver

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/config"
	"weir/internal/event"
)

func command(args ...string) Config {
	c := DefaultConfig()
	c.Run = args
	return c
}

func TestConfig(t *testing.T) {
	change := func(c Config, f func(*Config)) Config { f(&c); return c }
	for _, c := range []struct {
		conf Config
		want string // in the error; empty for none
	}{
		{post("https://example.org/hook"), ""},
		{post("unix:/run/hook.sock:/x"), ""},
		{command("/bin/true", "{stream}", "{app}", "{name}", "{event}", "{id}", "{session}", "{protocol}", "{remote}", "{user}", "{key_id}", "{reason}", "{time}", "{server}"), ""},
		{command("sh", "-c", `echo "$WEIR_STREAM"`, "{stream}"), ""},
		{DefaultConfig(), "a hook needs url"},
		{change(post("https://a/"), func(c *Config) { c.Run = []string{"x"} }), "either url or run"},
		{post("ftp://a/"), "write https://"},
		{change(post("https://a/"), func(c *Config) { c.Secret = "hunter2" }), "whsec_"},
		{change(post("https://a/"), func(c *Config) { c.OldSecret = "hunter2" }), "whsec_"},
		{change(post("https://a/"), func(c *Config) { c.Secret = testSecret }), ""},
		{change(post("https://a/"), func(c *Config) { c.Events = []string{"publish.*", "*", "server.stop"} }), ""},
		{change(post("https://a/"), func(c *Config) { c.Events = []string{"publish.begin"} }), `no event "publish.begin", did you mean "publish.start"? there are publish.start,`},
		{change(post("https://a/"), func(c *Config) { c.Events = []string{"publish*"} }), `no event "publish*"`},
		{
			change(post("https://a/"), func(c *Config) { c.Format, c.Events = "nginx-rtmp", []string{"publish.start", "stream.online"} }),
			"never be told of publish.start: in the format nginx-rtmp this hook can be told of publish.stop, play.stop, connection.stop",
		},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Events = "nginx-rtmp", []string{"publish.*"} }), ""},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Events = "ome", []string{"segment.done"} }), "in the format ome this hook can be told of publish.stop, play.stop"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Events = "srs", []string{"segment.done", "connection.stop"} }), ""},
		{change(post("https://a/"), func(c *Config) {
			c.Format, c.Calls, c.Events = "nginx-rtmp", []string{"play_done"}, []string{"publish.stop"}
		}), "can be told of play.stop"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls, c.Match = "nginx-rtmp", []string{"disconnect"}, "live/*" }), "would never be told of anything"},
		{change(post("https://a/"), func(c *Config) { c.Match, c.Events = "live/*", []string{"server.start"} }), "never be told of server.start"},
		{change(post("https://a/"), func(c *Config) { c.Calls = []string{"done"} }), "the format weir has no calls to choose from"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "ome", []string{"done"} }), "the format ome has no calls to choose from"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "srs", []string{"done"} }), "done is no call of the format srs: its calls are on_close, on_dvr, on_hls, on_hls_notify, on_stop, on_unpublish"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "nginx-rtmp", []string{"on_dvr"} }), "on_dvr is no call of the format nginx-rtmp"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "nginx-rtmp", []string{"record_done"} }), ""},
		{change(post("https://a/[app]/[stream]?[ts_url]"), func(c *Config) { c.Format, c.Calls = "srs", []string{"on_hls_notify"} }), ""},
		{change(post("https://a/[app]"), func(c *Config) { c.Format, c.Calls = "srs", []string{"on_hls"} }), "[app] is replaced for on_hls_notify alone"},
		{change(post("https://a/?s=[stream]"), func(c *Config) { c.Format = "nginx-rtmp" }), "[stream] is replaced for on_hls_notify alone"},
		{change(post("https://a/[param]"), func(c *Config) { c.Format = "srs" }), "[param] is replaced for on_hls_notify alone"},
		{post("https://[::1]/[other]"), ""},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "srs", []string{"on_hls", "on_hls_notify"} }), "give it a hook of its own"},
		{change(post("https://a/"), func(c *Config) {
			c.Format, c.Calls, c.Secret = "srs", []string{"on_hls_notify"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		}), "on_hls_notify has none: leave secret out"},
		{change(post("https://a/"), func(c *Config) { c.Format, c.Calls = "nginx-rtmp", []string{"done", "done"} }), "done is there twice"},
		{change(post("https://a/"), func(c *Config) { c.Match = "live/**/x" }), ""},
		{change(post("https://a/"), func(c *Config) { c.Match = "/live" }), "the pattern"},
		{change(post("https://a/"), func(c *Config) { c.Directory = "hooks" }), "is relative"},
		{change(post("https://a/"), func(c *Config) { c.Batch, c.Format = 2, "srs" }), "leave batch out"},
		{change(post("https://a/"), func(c *Config) { c.While = true }), "only a command"},
		{change(post("https://a/"), func(c *Config) { c.Restart = true }), "only a command"},
		{change(post("https://a/"), func(c *Config) { c.Name = strings.Repeat("x", 40) }), ""},
		{change(post("https://a/"), func(c *Config) { c.Name = strings.Repeat("x", 41) }), "is no name"},
		{change(post("https://a/"), func(c *Config) { c.Name = "Billing" }), "is no name"},
		{command(""), "its program first"},
		{command(slices.Repeat([]string{"x"}, 100)...), ""},
		{command(slices.Repeat([]string{"x"}, 101)...), "at most 99"},
		{command("x", "{secret}"), "there is no {secret}; there are {event}, {id}"},
		{command("{app}"), "cannot choose the program"},
		{command("/bin/sh", "-c", "notify {stream}"), `write "$WEIR_STREAM" instead`},
		{command("/usr/bin/env", "bash", "-lc", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("sh", "-c", "-e", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("sh", "-ce", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("bash", "-o", "errexit", "-c", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("bash", "-O", "extglob", "-c", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("bash", "--rcfile", "/etc/rc", "+o", "errexit", "-c", "notify {user}"), `write "$WEIR_USER" instead`},
		{command("sh", "-c", "notify \"$1\"", "sh", "{user}"), ""},
		{command("sh", "/usr/local/bin/notify", "{user}"), ""},
		{change(command("x"), func(c *Config) { c.Secret = testSecret }), "secret is for hooks with url"},
		{change(command("x"), func(c *Config) { c.Format = "srs" }), "format is for hooks with url"},
		{change(command("x"), func(c *Config) { c.Query = true }), "query is for hooks with url"},
		{change(post("https://x/"), func(c *Config) { c.Query = true }), "tells of no queries"},
		{change(command("x"), func(c *Config) { c.Batch = 2 }), "batch is for hooks with url"},
		{change(command("x"), func(c *Config) { c.CA = "ca.pem" }), "ca is for hooks with url"},
		{change(command("x"), func(c *Config) { c.Restart = true }), "only with while: true"},
		{change(command("x"), func(c *Config) { c.While, c.Restart = true, true }), ""},
		{change(command("x"), func(c *Config) { c.While, c.Directory = true, "/x" }), "leave directory out"},
		{change(command("x"), func(c *Config) { c.While, c.Timeout = true, time.Second }), "leave timeout out"},
		{change(command("x"), func(c *Config) { c.While, c.Events = true, []string{"publish.stop"} }), "events must include publish.start"},
		{change(command("x"), func(c *Config) { c.While, c.Events = true, []string{"stream.online"} }), ""},
	} {
		err := c.conf.Validate()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%+v: %v, want %q", c.conf, err, c.want)
		}
	}
}

// TestC238_TimeOfAPost: a receiver that hangs is given up after 5 seconds unless the configuration says otherwise.
func TestC238_TimeOfAPost(t *testing.T) {
	c := post("https://a/")
	if c.timeout() != 5*time.Second {
		t.Error(c.timeout())
	}
	if c.Timeout = time.Minute; c.timeout() != time.Minute {
		t.Error(c.timeout())
	}
}

func TestCheck(t *testing.T) {
	a, b := post("https://a/"), post("https://a/")
	if err := Check([]Config{a, b}); err != nil {
		t.Error("without names:", err)
	}
	a.Name, b.Name = "x", "x"
	if err := Check([]Config{a, b}); err == nil || !strings.Contains(err.Error(), `hooks.0 already has the name "x"`) {
		t.Error(err)
	}
	b.Name, a.Directory, b.Directory = "y", "/var/lib/x", "/var/lib/x/"
	if err := Check([]Config{a, b}); err == nil || !strings.Contains(err.Error(), "the directory of hooks.0") {
		t.Error(err)
	}
	if err := Check(make([]Config, 32)); err != nil {
		t.Error(err)
	}
	if err := Check(make([]Config, 33)); err == nil {
		t.Error("one too many")
	}
}

func TestNames(t *testing.T) {
	named := post("https://x/")
	named.Name = "example-org-2"
	got := Names([]Config{
		post("https://example.org/a"), post("https://Example.org:8443/b"), named, post("unix:/run/x.sock:/a"), command("/usr/local/bin/Notify.sh", "x"),
		post("https://" + strings.Repeat("a", 60) + "/"), post("http://[::1]/"),
	})
	want := []string{"example-org", "example-org-3", "example-org-2", "hook", "notify-sh", strings.Repeat("a", 36), "1"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, n := range got {
		if config.CheckName(n) != nil {
			t.Errorf("%q", n)
		}
	}
}

func TestSubscribedTypes(t *testing.T) {
	c := post("https://a/")
	c.Events = []string{"publish.stop"}
	if got := c.types(); !slices.Equal(got, []string{"publish.stop"}) {
		t.Error(got)
	}
	c.Directory = "/x"
	if got := c.types(); !slices.Equal(got, []string{"publish.stop", "publish.start"}) {
		t.Error(got)
	}
	w := command("x")
	w.While, w.Events = true, []string{"stream.online", "play.*"}
	got := w.types()
	for _, typ := range []string{event.StreamOnline, event.StreamOffline, event.PlayStart, event.PlayStop} {
		if !event.Matches(got, typ) {
			t.Error(typ, got)
		}
	}
	c.Events = nil
	if c.types() != nil {
		t.Error("all")
	}
}

// TestListOfHooks: a hook is shown with the events and calls by which it is told.
func TestListOfHooks(t *testing.T) {
	both := post("http://127.0.0.1:1/")
	both.Format, both.Events, both.Calls = "srs", []string{"publish.*"}, []string{"on_unpublish", "on_stop"}
	f := newFixture(t, []Config{both, post("http://127.0.0.1:2/")}, nil)
	defer f.Close()
	list := f.List()
	if !slices.Equal(list[0].Events, []string{"publish.*"}) || !slices.Equal(list[0].Calls, []string{"on_unpublish", "on_stop"}) {
		t.Errorf("%+v", list[0])
	}
	if list[1].Calls == nil || len(list[1].Calls)+len(list[1].Events) > 0 { // the API shows an empty list
		t.Errorf("%+v", list[1])
	}
}

// TestWarnDisconnects: who waits for the ends of connections is told that there are none, each at its place; patterns that only let them through are not.
func TestWarnDisconnects(t *testing.T) {
	const file = `
hooks:
  - {url: "https://a/", events: [publish.stop, connection.stop]}
  - {url: "https://a/", format: srs, calls: [on_stop, on_close]}
  - {url: "https://a/", format: nginx-rtmp, calls: [disconnect, done]}
  - {url: "https://a/", format: srs, events: ["*"]}
  - {url: "https://a/"}
`
	for asked, want := range map[bool]string{
		true: "",
		false: "weir.yml:3:48: hooks.0.events.1: connection.stop is not told: it is for connections about which the decision hook was asked when they came, and auth.hook.connect_url is not set\n" +
			"weir.yml:4:55: hooks.1.calls.1: on_close is not told: it is for connections about which the decision hook was asked when they came, and auth.hook.connect_url is not set\n" +
			"weir.yml:5:53: hooks.2.calls.0: disconnect is not told: it is for connections about which the decision hook was asked when they came, and auth.hook.connect_url is not set",
	} {
		conf := warned{asked: asked}
		loaded, err := config.Load(&conf, config.Source{File: "weir.yml", Data: []byte(file)})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if w := loaded.Warnings(); len(w) > 0 {
			got = w.Error()
		}
		if got != want {
			t.Errorf("asked %t:\n%s\nwant\n%s", asked, got, want)
		}
	}
}

// warned is a configuration with hooks alone.
type warned struct {
	Hooks []Config `yaml:"hooks" help:"hooks"`
	asked bool
}

func (w *warned) Warn() error { return errors.Join(WarnDisconnects(w.Hooks, w.asked)...) }
