package pull

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestForwardIsChecked: an edge forwards to an origin of RTMP, and its key can be sent.
func TestForwardIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *EdgeConfig)
		says   string // "": it is good
	}{
		"RTMP":           {func(c *EdgeConfig) { c.Origin = "rtmp://o" }, ""},
		"RTMPS, a key":   {func(c *EdgeConfig) { c.Origin, c.PublishKey = "rtmps://o:444/x?key=k", "a b&c" }, ""},
		"HTTP":           {func(c *EdgeConfig) { c.Origin = "https://o" }, "streams are forwarded by RTMP: write the origin as rtmp://HOST or rtmps://HOST"},
		"no origin":      {func(*EdgeConfig) {}, "there is no edge.origin to which streams could be forwarded"},
		"a long key":     {func(c *EdgeConfig) { c.Origin, c.PublishKey = "rtmp://o", strings.Repeat("k", maxPublishKey) }, ""},
		"a longer key":   {func(c *EdgeConfig) { c.Origin, c.PublishKey = "rtmp://o", strings.Repeat("k", maxPublishKey+1) }, "a key has at most 1024 bytes"},
		"no text as key": {func(c *EdgeConfig) { c.Origin, c.PublishKey = "rtmp://o", "a\nb" }, "a key has at most 1024 bytes and no control characters"},
	} {
		e := DefaultEdge()
		e.Publish = publishForward
		c.change(&e)
		if err := e.Validate(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForward: where a stream of an edge is sent on to.
func TestForward(t *testing.T) {
	for _, c := range []struct{ origin, key, path, app, name string }{
		{"rtmp://o", "", "live/x", "rtmp://o/live", "x?{query}"},
		{"rtmps://u:p@o:444/in/?key=play", "", "live/x", "rtmps://u:p@o:444/in/live", "x?{query}"},
		{"rtmp://o", "a b+{c}&d", "a b/c%/{d}?", "rtmp://o/a%20b", "c%25/%7Bd%7D%3F?key=a%20b%2B%7Bc%7D%26d"},
	} {
		e := EdgeConfig{Origin: c.origin, Publish: publishForward, PublishKey: c.key}
		if app, name, ok := e.Forward(c.path); app != c.app || name != c.name || !ok {
			t.Errorf("%s: %s %s %v", c.path, app, name, ok)
		}
		for _, not := range []EdgeConfig{{Origin: c.origin, Publish: publishLocal}, {Publish: publishForward}, {}} {
			if _, _, ok := not.Forward(c.path); ok {
				t.Errorf("%+v forwards", not)
			}
		}
	}
}

// TestForwardedIsNotFetched: a stream that is sent to the origin is not fetched from there, neither while somebody publishes it nor
// while its publisher is away; one that the configuration fetches from elsewhere is.
func TestForwardedIsNotFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.edge.Origin = "rtmp://a"
		var forwards atomic.Bool
		r.opt.Forwards = func(string) bool { return forwards.Load() }
		first := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		pub, err := r.hub.Publish(path, stream.Info{Session: "p", Protocol: "rtmp"})
		if err != nil {
			t.Fatal(err)
		}
		forwards.Store(true)
		if err := pub.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
			t.Fatal(err)
		}
		r.within(time.Second, "it stands by", func() bool { return r.state(path).Status == Standby })
		opened, _ := r.origins['a'].counts()
		pub.Close(nil) // the connection broke
		time.Sleep(5 * time.Second)
		second := r.mustPlay(path)
		time.Sleep(5 * time.Second)
		if now, _ := r.origins['a'].counts(); now != opened || r.state(path).Status != Standby {
			t.Errorf("it is opened %d times more: %+v", now-opened, r.state(path))
		}
		forwards.Store(false) // the origin refuses it
		r.lives(time.Second, path, 'a')
		first.s.Leave()
		second.s.Leave()

		forwards.Store(true)
		r.mu.Lock()
		r.conf.Sources = []string{"rtmp://b/{path}"}
		r.mu.Unlock()
		p := r.mustPlay("live/elsewhere")
		r.lives(time.Second, "live/elsewhere", 'b')
		p.s.Leave()
		r.mu.Lock()
		r.conf.Sources = nil
		r.mu.Unlock()
		other := r.mustPlay("live/other")
		time.Sleep(time.Second)
		if s := r.state("live/other"); s.Path != "" {
			t.Errorf("what is forwarded is fetched: %+v", s)
		}
		other.s.Leave()
	})
}

// TestEdgeWarns: what is not used of an edge, and a path that is most likely meant as an application, are told of, without keys.
func TestEdgeWarns(t *testing.T) {
	const path = "the path goes before those of streams: live/cam would be fetched as "
	for name, c := range map[string]struct {
		change func(c *EdgeConfig)
		want   string
	}{
		"none":          {func(*EdgeConfig) {}, ""},
		"plain":         {func(c *EdgeConfig) { c.Origin, c.Backup = "rtmp://o/?key=hunter2", []string{"https://b:1"} }, ""},
		"forwards":      {func(c *EdgeConfig) { c.Origin, c.Publish, c.PublishKey = "rtmp://o", publishForward, "hunter2" }, ""},
		"a key":         {func(c *EdgeConfig) { c.Origin, c.PublishKey = "rtmp://o", "hunter2" }, "the key is not used: streams are not sent on to the origin unless publish is forward"},
		"an app":        {func(c *EdgeConfig) { c.Origin = "rtmp://o/live?key=hunter2" }, path + "rtmp://o/live/live/cam?key=***; "},
		"of a stand-in": {func(c *EdgeConfig) { c.Origin, c.Backup = "rtmp://o", []string{"rtmp://p", "ws://q/x/"} }, path + "ws://q/x/live/cam.flv; "},
	} {
		e := DefaultEdge()
		c.change(&e)
		err := e.Warn()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
