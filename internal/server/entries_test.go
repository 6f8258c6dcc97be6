package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/format/flv"
	"weir/internal/admin"
	"weir/internal/event"
	"weir/internal/pull"
	"weir/internal/push"
	"weir/internal/record"
	"weir/internal/session"
	"weir/internal/stream"
)

// TestPushEntry: each thing that is known of a target is shown in its own place, and what is not known is not.
func TestPushEntry(t *testing.T) {
	since, next := time.Unix(1000, 0), time.Unix(2000, 0)
	got := pushEntry(&push.Status{
		Stream: "live/a", Config: push.Config{Name: "n", Service: "twitch", URL: "rtmp://hidden", Key: "hidden", Enabled: true, Slate: "repeat", Caps: "on", Pin: "p", MaxAttempts: 9},
		Origin: push.FromHook, URL: "rtmp://shown", State: push.Refused, Since: since, Reason: session.Denied, Error: "no", Attempts: 1, NextTry: next, Sessions: 2, Bytes: 3, Frames: 4, Skips: 5,
		Lag: 6500 * time.Millisecond, Stalled: 7500 * time.Millisecond, LeftOut: []string{"a track"}, Notes: []push.Note{{Sentence: "slow", Setting: "faster"}, {Sentence: "dark"}},
	})
	want := admin.Push{
		Stream: "live/a", Name: "n", Service: "twitch", URL: "rtmp://shown", Origin: "hook", Enabled: true, Slate: "repeat", Caps: "on", Pin: "p", MaxAttempts: 9, State: "refused", Since: &since,
		Reason: "denied", Error: "no", Attempts: 1, NextTry: &next, Sessions: 2, BytesSent: 3, Frames: 4, Skips: 5, Lag: 6.5, Stalled: 7.5, LeftOut: []string{"a track"}, Notes: []string{"slow", "dark"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := pushEntry(&push.Status{}); got.Since != nil || got.NextTry != nil || got.Reason != "" || got.State != "off" {
		t.Errorf("%+v", got)
	}
}

// TestPushSettings: what is given of a target is set, and nothing else.
func TestPushSettings(t *testing.T) {
	all := push.Config{Name: "n", Service: "kick", URL: "u", Key: "k", Enabled: false, Slate: "repeat", Caps: "on", Pin: "p", MaxAttempts: 3}
	c := push.DefaultConfig()
	c.Name = "n"
	setPush(&c, &admin.PushSettings{
		Service: new("kick"), URL: new("u"), Key: new("k"), Enabled: new(false), Slate: new("repeat"), Caps: new("on"), Pin: new("p"), MaxAttempts: new(3),
	})
	if c != all {
		t.Errorf("%+v", c)
	}
	if setPush(&c, &admin.PushSettings{}); c != all {
		t.Errorf("%+v", c)
	}
}

// TestErrorsOfTheAPI: each error of a manager has its own of the API.
func TestErrorsOfTheAPI(t *testing.T) {
	odd := errors.New("odd")
	for _, c := range []struct{ err, got, want error }{
		{nil, pushError(nil), nil},
		{push.ErrNoTarget, pushError(fmt.Errorf("x: %w", push.ErrNoTarget)), admin.ErrNoPush},
		{push.ErrTaken, pushError(push.ErrTaken), admin.ErrPushTaken},
		{push.ErrConfigured, pushError(push.ErrConfigured), admin.ErrPushConfigured},
		{push.ErrTooMany, pushError(push.ErrTooMany), admin.ErrTooManyPushes},
		{odd, pushError(odd), odd},
		{nil, recorderError(nil), nil},
		{record.ErrNoStream, recorderError(record.ErrNoStream), admin.ErrNoStream},
		{record.ErrNoEntry, recorderError(record.ErrNoEntry), admin.ErrNoRecorder},
		{record.ErrOff, recorderError(record.ErrOff), admin.ErrRecorderOff},
		{odd, recorderError(odd), odd},
	} {
		if c.got != c.want { //nolint:errorlint // the error itself
			t.Errorf("%v: %v, want %v", c.err, c.got, c.want)
		}
	}
}

// TestPullEntry: each thing that is known of a stream that is fetched is shown in its own place.
func TestPullEntry(t *testing.T) {
	since, next := time.Unix(1000, 0), time.Unix(2000, 0)
	state := pull.State{
		Path: "live/a", By: pull.ByAPI, Sources: []string{"rtmp://a", "rtmp://b"}, OnDemand: true, Status: pull.Retrying, Since: since, Source: "rtmp://b", Session: "s", Tries: 7,
		Reason: session.Idle, Err: errors.New("silent"), NextTry: next,
	}
	want := admin.Pull{
		Stream: "live/a", By: "api", Sources: []string{"rtmp://a", "rtmp://b"}, OnDemand: true, Status: "retrying", Since: since, Source: "rtmp://b", Session: "s", Tries: 7, NextTry: &next,
		Reason: "idle", LastError: "silent",
	}
	if got := pullEntry(&state); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	state.Err, state.NextTry = nil, time.Time{}
	if got := pullEntry(&state); got.Reason != "" || got.LastError != "" || got.NextTry != nil {
		t.Errorf("%+v", got)
	}
}

// TestPullEvents: an event says why a stream cannot be fetched while it cannot be, and when that is tried again.
func TestPullEvents(t *testing.T) {
	s := &Server{events: event.NewBus()}
	sub := s.events.Subscribe(10, nil)
	defer sub.Close()
	next := time.Date(2026, 11, 28, 1, 2, 3, 4000, time.UTC)
	for _, c := range []struct {
		state pull.State
		want  map[string]any
	}{
		{pull.State{Path: "live/a", By: pull.ByEdge, Status: pull.Live, Source: "rtmp://a", Session: "s"}, map[string]any{"status": "live", "by": "edge", "source": "rtmp://a", "session": "s"}},
		{pull.State{Path: "live/a", By: pull.ByAPI, Status: pull.Retrying, Source: "rtmp://a", Reason: session.Idle, Err: errors.New("silent"), NextTry: next}, map[string]any{
			"status": "retrying", "by": "api", "source": "rtmp://a", "reason": "idle", "text": "silent", "next_try": "2026-11-28T01:02:03.000004Z",
		}},
		{pull.State{Path: "live/a", By: pull.ByHook, Status: pull.Failed, Reason: session.Denied, Err: errors.New("no")}, map[string]any{"status": "failed", "by": "hook", "reason": "denied", "text": "no"}},
		{pull.State{Path: "live/a", By: pull.ByHook, Status: pull.Idle, Reason: session.Denied, Err: errors.New("no")}, map[string]any{"status": "idle", "by": "hook"}},
	} {
		s.pullChanged(c.state)
		e := <-sub.C()
		if e.Type != event.PullState || e.Stream == nil || e.Stream.Path != "live/a" || !reflect.DeepEqual(e.Data, c.want) {
			t.Errorf("%s: %+v, want %v", e.Type, e.Data, c.want)
		}
	}
}

// TestPullsThatTheAPIMakes: what the API is asked for is what is fetched, in the units that it has; and what is wrong is said with a word.
func TestPullsThatTheAPIMakes(t *testing.T) {
	state := t.TempDir()
	s, err := New(configured(t, "state="+state), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	api := adminPulls{s.pulls}
	ask := admin.NewPull{Stream: "live/a", Sources: []string{"rtmp://h.example/a/b"}, OnDemand: true, Linger: 7.5, Silence: 3, Prefer: "first", Insecure: true, Pin: strings.Repeat("ab", 32)}
	if _, err := api.Add(t.Context(), admin.NewPull{Stream: "live/a", Sources: []string{"rtmp://h.example/a/b"}, Pin: "ab"}); err == nil || err.Error() != "A fingerprint is 64 hexadecimal digits, with or without colons." {
		t.Error(err)
	}
	if p, err := api.Add(t.Context(), ask); err != nil || p.By != "api" || p.Status != "idle" {
		t.Fatal(p, err)
	}
	if _, err := api.Add(t.Context(), admin.NewPull{Stream: "live/b", Sources: []string{"rtmp://h.example/a/b"}, OnDemand: true}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(state, "pulls.json"))
	if err != nil {
		t.Fatal(err)
	}
	var kept []map[string]any
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	source := []any{"rtmp://h.example/a/b"}
	if want := []map[string]any{
		{"stream": "live/a", "sources": source, "on_demand": true, "linger": "7.5s", "silence": "3s", "prefer": "first", "insecure": true, "pin": strings.Repeat("ab", 32)},
		{"stream": "live/b", "sources": source, "on_demand": true, "linger": "30s", "silence": "5s", "prefer": "sticky"},
	}; !reflect.DeepEqual(kept, want) {
		t.Errorf("%s", b)
	}
	for code, n := range map[string]admin.NewPull{
		"pull_exists": ask, "bad_path": {Stream: "x", Sources: ask.Sources}, "bad_source": {Stream: "live/c", Sources: []string{"rtmp://h.example/a/b", "file:///etc/passwd"}},
	} {
		_, err := api.Add(t.Context(), n)
		if e, ok := errors.AsType[*admin.PullError](err); !ok || e.Code != code {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, err := range []error{api.Remove(t.Context(), "live/none"), api.Retry(t.Context(), "live/none")} {
		if !errors.Is(err, admin.ErrNoPull) {
			t.Error(err)
		}
	}
}

// TestAlwaysPulled: of the configured streams those are always fetched that have something to be fetched from, and not on demand only.
func TestAlwaysPulled(t *testing.T) {
	s, err := New(configured(t, "streams=["+
		"{match: live/a, pull: {url: 'rtmp://h.example/a/b', on_demand: false}}, {match: live/b, pull: {url: 'rtmp://h.example/a/b'}}, {match: live/c, pull: {on_demand: false}}, "+
		"{match: live/d, pull: {sources: ['rtmp://h.example/a/b'], on_demand: false}}, {match: 'x/*'}]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.alwaysPulled(); !slices.Equal(got, []string{"live/a", "live/d"}) {
		t.Errorf("%q", got)
	}
}

// TestForwardedByAnEdge: an edge that forwards sends what is published here to its origin, and not what it has fetched itself.
func TestForwardedByAnEdge(t *testing.T) {
	for publish, forwards := range map[string]bool{"forward": true, "local": false} {
		for _, insecure := range []bool{false, true} {
			s, err := New(configured(t, "edge={origin: 'rtmp://o.example', publish_key: pk, publish: "+publish+", insecure: "+fmt.Sprint(insecure)+", pin: "+strings.Repeat("ab", 32)+"}"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			to, trusts, ok := s.forward("live/a", stream.Info{Protocol: "rtmp"})
			if ok != forwards || ok && (to.Name != "origin" || to.URL != "rtmp://o.example/live" || to.Key != "a?key=pk" || to.Pin != strings.Repeat("ab", 32) || !to.Enabled || trusts != insecure) {
				t.Errorf("%s, insecure %v: %+v, %v, %v", publish, insecure, to, trusts, ok)
			}
			if _, _, ok := s.forward("live/a", stream.Info{Protocol: ofPulls}); ok {
				t.Error("what was fetched is sent back")
			}
			s.Close()
		}
	}
}

// TestPulledFrom: where a stream is fetched from is known by the name of the host, however it is written, and by its addresses.
func TestPulledFrom(t *testing.T) {
	over := make(chan struct{})
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := flv.AppendFileHeader(nil, false, true)
		for i := range 10 {
			b = flv.AppendTag(b, flv.TagAudio, uint32(i*26), nil, []byte{0x2f, 0xff, 0xfb, 0x90, byte(i)})
		}
		_, _ = w.Write(b)
		_ = http.NewResponseController(w).Flush()
		<-over
	}))
	defer origin.Close()
	defer close(over)
	s, err := New(configured(t, "streams.0.pull.allow_private=true"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sub := s.events.Subscribe(100, []string{event.PullState})
	defer sub.Close()
	source := strings.Replace(origin.URL, "127.0.0.1", "LocalHost", 1) + "/live/x.flv?key=k"
	if _, err := (adminPulls{s.pulls}).Add(t.Context(), admin.NewPull{Stream: "live/a", Sources: []string{source}}); err != nil {
		t.Fatal(err)
	}
	for live := false; !live; {
		select {
		case e := <-sub.C():
			live = e.Data["status"] == "live"
			t.Log(e.Data)
		case <-time.After(10 * time.Second):
			t.Fatal("it is not fetched")
		}
	}
	here, there := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.7")
	for _, c := range []struct {
		path, host string
		addr       netip.Addr
		want       bool
	}{
		{"live/a", "localhost", netip.Addr{}, true},
		{"live/a", "LOCALHOST.", netip.Addr{}, true},
		{"live/a", "other.example", here, true},
		{"live/a", "", here, true},
		{"live/a", "other.example", there, false},
		{"live/a", "other.example", netip.Addr{}, false},
		{"live/a", "", netip.Addr{}, false},
		{"live/b", "localhost", here, false},
	} {
		if got := s.pulledFrom(c.path, c.host, c.addr); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestRecorder: each thing that is known of a recorder is shown in its own place.
func TestRecorder(t *testing.T) {
	start := time.Unix(1000, 0)
	got := recorder(&record.State{
		Stream: "live/a", Recording: "main", State: "recording", Origin: record.ByAPI, Format: "mp4", ID: "id", Next: "next", Dir: "/dir", File: "f.mp4", Start: start,
		Duration: 1250400 * time.Microsecond, Bytes: 5, Dropped: 6, Error: "no",
	})
	want := admin.Recorder{
		Stream: "live/a", Name: "main", State: "recording", Origin: "api", Format: "mp4", ID: "id", Next: "next", Dir: "/dir", File: "f.mp4", Start: &start, Duration: 1.25, Bytes: 5, Dropped: 6, Error: "no",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := recorder(&record.State{}); got.Start != nil {
		t.Errorf("%+v", got)
	}
}
