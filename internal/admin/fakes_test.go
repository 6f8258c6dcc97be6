package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// fakeConfiguration is a configuration with one key and one secret.
type fakeConfiguration struct {
	mu      sync.Mutex
	version int
	patches []string
	fail    error // what Patch and Reload return
}

func (f *fakeConfiguration) tag() string { return fmt.Sprintf("v%d", f.version) }

func (f *fakeConfiguration) Show() ([]Value, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []Value{{"admin.token", "***", "env WEIR_ADMIN_TOKEN"}, {"limits.streams", 10000, "weir.yml:3"}}, f.tag()
}

func (f *fakeConfiguration) Patch(_ context.Context, patch []byte, ifMatch string) (Report, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return Report{}, "", f.fail
	}
	if ifMatch != "" && ifMatch != f.tag() {
		return Report{}, "", ErrConfigChanged
	}
	f.version++
	f.patches = append(f.patches, string(patch))
	return Report{Changed: []Change{{"limits.streams", "live"}, {"admin.token", "restart"}}, Waiting: []string{"admin.token"}}, f.tag(), nil
}

func (f *fakeConfiguration) Reload(context.Context) (Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return Report{}, f.fail
	}
	return Report{}, nil
}

// fakeHooks is one hook, "billing", with one delivery, "01A".
type fakeHooks struct {
	replayed string
	fail     error
}

func (f *fakeHooks) List() []Hook {
	next := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	return []Hook{{Name: "billing", Target: "https://example.org/hooks", Events: []string{"publish.*"}, Calls: []string{}, State: "failing", Queue: 3, Failed: 2, NextTry: &next, LastError: "503"}}
}

func (f *fakeHooks) Deliveries(hook string) ([]Delivery, bool) {
	if hook != "billing" {
		return nil, false
	}
	return []Delivery{{ID: "01A", Type: "publish.start", Stream: "live/a", Time: time.Now(), Attempts: 2, Status: 503, Duration: 0.25, Error: "503"}}, true
}

func (f *fakeHooks) Replay(_ context.Context, hook, id string) error {
	switch {
	case f.fail != nil:
		return f.fail
	case hook != "billing":
		return fmt.Errorf("%w: %s", ErrNoHook, hook)
	case id != "01A":
		return ErrNoDelivery
	}
	f.replayed = id
	return nil
}

// fakeKeys keeps keys in memory.
type fakeKeys struct {
	keys []Key
	kept bool // the last Revoke was to keep sessions
	fail error
}

const fakeSecret = "wk_s3cr3t-of-the-new-key"

func (f *fakeKeys) List() ([]Key, error) { return f.keys, f.fail }

func (f *fakeKeys) New(_ context.Context, n NewKey) (Key, string, error) {
	if f.fail != nil {
		return Key{}, "", f.fail
	}
	if n.ID == "taken" {
		return Key{}, "", &KeyError{"id_taken", "There is a key taken already."}
	}
	k := Key{ID: n.ID, Role: n.Role, Match: n.Match, Path: n.Path, Label: n.Label, Created: time.Now(), Expires: n.Expires}
	f.keys = append(f.keys, k)
	return k, fakeSecret, nil
}

func (f *fakeKeys) Revoke(_ context.Context, id string, keep bool) error {
	for i := range f.keys {
		if f.keys[i].ID == id {
			now := time.Now()
			f.keys[i].Revoked, f.kept = &now, keep
			return f.fail
		}
	}
	return ErrNoKey
}

// fakePushes is one target of live/a, "yt", that the API made, and one of the configuration, "conf".
type fakePushes struct {
	key     string // that was set last
	retried int
	fail    error
}

func (f *fakePushes) List(stream string) []Push {
	if stream != "" && stream != "live/a" {
		return nil
	}
	next := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	return []Push{
		{Stream: "live/a", Name: "conf", Service: "twitch", URL: "rtmp://live.twitch.tv/app", Origin: "config", Enabled: true, Slate: "off", Caps: "auto", State: "live", Since: &next, Notes: []string{"key frames every 8s; Twitch wants 2s"}},
		{Stream: "live/a", Name: "yt", Service: "youtube", URL: "rtmps://a.rtmps.youtube.com:443/live2", Origin: "api", Enabled: true, Slate: "off", Caps: "auto", State: "retrying", Since: &next, Reason: "eof", Error: "closed", Attempts: 2, NextTry: &next},
	}
}

func (f *fakePushes) Add(_ context.Context, n NewPush) (Push, error) {
	switch {
	case f.fail != nil:
		return Push{}, f.fail
	case n.Name == "yt":
		return Push{}, ErrPushTaken
	case n.Name == "many":
		return Push{}, ErrTooManyPushes
	case n.URL == nil:
		return Push{}, &PushError{"there is no URL"}
	}
	if n.Key != nil {
		f.key = *n.Key
	}
	return Push{Stream: n.Stream, Name: n.Name, Service: "custom", URL: *n.URL, Origin: "api", Enabled: true, Slate: "off", Caps: "auto", State: "waiting"}, nil
}

func (f *fakePushes) find(stream, name string) (Push, error) {
	for _, p := range f.List(stream) {
		if p.Name == name {
			return p, nil
		}
	}
	return Push{}, ErrNoPush
}

func (f *fakePushes) Change(_ context.Context, stream, name string, to PushSettings) (Push, error) {
	p, err := f.find(stream, name)
	if err == nil && p.Origin != "api" && to.Key != nil {
		err = ErrPushConfigured
	}
	if to.Enabled != nil {
		p.Enabled = *to.Enabled
	}
	return p, err
}

func (f *fakePushes) Remove(_ context.Context, stream, name string) error {
	p, err := f.find(stream, name)
	if err == nil && p.Origin != "api" {
		err = ErrPushConfigured
	}
	return err
}

func (f *fakePushes) Retry(_ context.Context, stream, name string) (Push, error) {
	f.retried++
	return f.find(stream, name)
}

var errDisk = errors.New("write /var/lib/weir/secret-place: no space left on device")

// fakePulls is one pull, of live/cam, which the configuration has made if it is called live/configured.
type fakePulls struct {
	added   []NewPull
	removed string
	retried string
}

func (f *fakePulls) List() []Pull {
	next := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	return []Pull{{
		Stream: "live/a", By: "edge", Sources: []string{"rtmp://origin.example/live/a"}, Status: "live", Since: next, Source: "rtmp://origin.example/live/a", Session: "s1",
	}, {
		Stream: "live/cam", By: "config", Sources: []string{"rtmp://origin.example/live/cam?key=***"}, OnDemand: true, Status: "retrying", Since: next,
		Source: "rtmp://origin.example/live/cam?key=***", Tries: 3, NextTry: &next, Reason: "not_found", LastError: "Nobody publishes this stream.",
	}}
}

func (f *fakePulls) Add(_ context.Context, n NewPull) (Pull, error) {
	if strings.HasPrefix(n.Sources[0], "gopher:") {
		return Pull{}, &PullError{"bad_source", "It is no URL of a stream."}
	}
	f.added = append(f.added, n)
	return Pull{Stream: n.Stream, By: "api", Sources: []string{"rtmp://a/b/***"}, OnDemand: n.OnDemand, Status: "connecting", Since: time.Now()}, nil
}

func (f *fakePulls) Remove(_ context.Context, stream string) error {
	switch stream {
	case "live/configured":
		return &PullError{"pull_configured", "The configuration has it fetched."}
	case "live/cam":
		f.removed = stream
		return nil
	}
	return ErrNoPull
}

func (f *fakePulls) Retry(_ context.Context, stream string) error {
	if stream != "live/cam" {
		return ErrNoPull
	}
	f.retried = stream
	return nil
}
