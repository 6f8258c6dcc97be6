package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// TestP20_WantedEndsAreTold: a stream that ends, a target that is turned off, changed or removed, and a
// server that stops say so to the service (FCUnpublish, deleteStream) and do not just hang up.
func TestP20_WantedEndsAreTold(t *testing.T) {
	for name, end := range map[string]func(w *world, s *source){
		"the publisher stops":  func(_ *world, s *source) { s.pub.Close(stream.ErrUnpublished); time.Sleep(6 * time.Second) },
		"the grace ends":       func(_ *world, s *source) { s.pub.Close(nil); time.Sleep(16 * time.Second) },
		"the publisher kicked": func(_ *world, s *source) { s.pub.Close(session.ErrKicked) },
		"off": func(w *world, _ *source) {
			if _, err := w.m.Change("live/cam", "it", func(c *Config) { c.Enabled = false }); err != nil {
				w.t.Error(err)
			}
		},
		"configured no longer": func(w *world, _ *source) {
			w.mu.Lock()
			w.conf = nil
			w.mu.Unlock()
			w.m.Apply()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
				s := w.publish("live/cam", "p1")
				s.run(2 * time.Second)
				end(w, s)
				time.Sleep(2 * time.Second)
				v := d.list()[0]
				if !errors.Is(v.ended(), rtmp.ErrUnpublished) {
					t.Errorf("it ended with %v", v.ended())
				}
				if got := v.pictures(); len(got) != s.n {
					t.Errorf("%d of %d pictures came", len(got), s.n)
				}
				if got := slices.DeleteFunc(w.types(), func(e string) bool { return e == "push.state away" }); !slices.Equal(got, []string{"push.start", "push.stop"}) {
					t.Errorf("%q", got)
				}
			})
		})
	}
	t.Run("the server stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble(t)
			w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
			w.publish("live/cam", "p1").run(2 * time.Second)
			w.stop()
			if v := d.list()[0]; !errors.Is(v.ended(), rtmp.ErrUnpublished) {
				t.Errorf("it ended with %v", v.ended())
			}
		})
	})
}

// TestP21_SamePolicyWhateverMadeIt: targets of the configuration, of a decision and of the API come back after a
// failure in the same way.
func TestP21_SamePolicyWhateverMadeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doubles := map[string]*double{}
		for _, name := range []string{"conf", "hook", "api"} {
			d := newDouble(t)
			d.begun = func(v *visit) {
				if v.n <= 2 {
					time.AfterFunc(10*time.Second, func() { _ = v.conn.Close() })
				}
			}
			doubles[name+".example:1935"] = d
		}
		w := newWorld(t, func(o *Options) { o.Dial = dialBy(doubles) }, to("conf", "rtmp://conf.example/live", "cam"))
		grant(w, "p1", "hook", "rtmp://hook.example/live", "cam")
		if _, err := w.m.Add("live/cam", to("api", "rtmp://api.example/live", "cam")); err != nil {
			t.Fatal(err)
		}
		s := w.publish("live/cam", "p1")
		s.run(40 * time.Second)
		origins := map[string]Origin{"conf": FromConfig, "hook": FromHook, "api": FromAPI}
		for name, origin := range origins {
			st := w.status(name)
			if st.Origin != origin || st.State != Live || st.Sessions != 3 {
				t.Errorf("%s: %+v", name, st)
			}
			continuous(t, doubles[name+".example:1935"], s.n)
		}
		// A grace keeps what a decision made, and the next publisher brings its own.
		s.pub.Close(nil)
		time.Sleep(3 * time.Second)
		w.m.Apply()
		if st := w.status("hook"); st.State != Away {
			t.Errorf("%v within the grace", st.State)
		}
		w.publish("live/cam", "p2").run(time.Second)
		for _, st := range w.m.List("") {
			if st.Config.Name == "hook" {
				t.Errorf("the target of the publisher before is %v", st.State)
			}
		}
	})
}

// TestP22_OneAtATime: a target is turned off and on, changed and tried again without the others noticing, and
// what is known of it is shown.
func TestP22_OneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newDouble(t), newDouble(t)
		w := newWorld(t, func(o *Options) {
			o.Dial = dialBy(map[string]*double{"a.example:1935": a, "b.example:1935": b, "b2.example:1935": b})
		}, to("a", "rtmp://a.example/live", "cam"))
		if _, err := w.m.Add("live/cam", to("b", "rtmp://b.example/live", "one")); err != nil {
			t.Fatal(err)
		}
		s := w.publish("live/cam", "p1")
		s.run(2 * time.Second)
		change := func(name string, f func(c *Config)) Status {
			t.Helper()
			st, err := w.m.Change("live/cam", name, f)
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		if st := change("b", func(c *Config) { c.Enabled = false }); st.State != Off {
			t.Errorf("%v", st.State)
		}
		s.run(2 * time.Second)
		if len(b.list()) != 1 || b.list()[0].ended() == nil {
			t.Error("b goes on")
		}
		change("b", func(c *Config) { c.Enabled = true })
		s.run(2 * time.Second)
		change("b", func(c *Config) { c.URL, c.Key = "rtmp://b2.example/live", "two" })
		s.run(2 * time.Second)
		if list := b.list(); len(list) != 3 || list[2].address != "b2.example:1935" || list[2].name() != "two" {
			t.Errorf("%d sessions of b", len(list))
		}
		st := change("b", func(c *Config) { c.URL = "rtmp://nowhere.example/live" })
		s.run(2 * time.Second)
		if st = w.status("b"); st.State != Retrying || st.Error != "the name nowhere.example is not known: look at the host of the URL" || st.Attempts < 1 || st.NextTry.IsZero() {
			t.Errorf("%+v", st)
		}
		if st.URL != "rtmp://nowhere.example/live" {
			t.Errorf("it is shown as %s", st.URL)
		}
		if err := w.m.Remove("live/cam", "b"); err != nil {
			t.Error(err)
		}
		if err := w.m.Remove("live/cam", "b"); !errors.Is(err, ErrNoTarget) {
			t.Error(err)
		}
		// Of the configuration's only whether it is on can be changed.
		if _, err := w.m.Change("live/cam", "a", func(c *Config) { c.Key = "x" }); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		if err := w.m.Remove("live/cam", "a"); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		if _, err := w.m.Add("live/cam", to("a", "rtmp://c.example/live", "x")); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		got := continuous(t, a, s.n)
		if len(a.list()) != 1 || got[len(got)-1]-got[0] != len(got)-1 {
			t.Error("a has noticed")
		}
		change("a", func(c *Config) { c.Enabled = false })
		s.run(time.Second)
		if w.status("a").State != Off || a.list()[0].ended() == nil {
			t.Error("a goes on")
		}
	})
}

// TestCodecs: what a service or server does not take is refused with the reason, and tried again once the
// stream is another one.
func TestCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "", "k"), func(c *Config) { c.Service = "dlive" }))
		p, err := w.hub.Publish("live/cam", stream.Info{Session: "p1"})
		if err != nil {
			t.Fatal(err)
		}
		vp9 := &source{t: t, pub: p}
		for n := range 50 {
			at := time.Duration(n) * step
			vp9.write(&av.Frame{Kind: av.Video, Codec: av.VP9, Flags: av.Key, DTS: at, PTS: at, Payload: []byte{0x82, 0x49, 0x83, 0x42, 0, 0x0f, 0xf0, 0x0f, 0xf0}})
			time.Sleep(step)
		}
		if st := w.status(); st.State != Refused || st.Reason != session.Unsupported || st.Error != "DLive takes no VP9: set another encoder for the video" || len(d.list()) != 0 {
			t.Errorf("%v, %d connections: %s", st.State, len(d.list()), st.Error)
		}
		p.Close(nil)
		s := w.publish("live/cam", "p2")
		s.run(2 * time.Second)
		if st := w.status(); st.State != Live {
			t.Errorf("%v: %s", st.State, st.Error)
		}
	})
}

// TestMaxAttempts: after as many failures the target is left alone until somebody asks.
func TestMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		var mu sync.Mutex
		w := newWorld(t, func(o *Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				tries++
				return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
			}
		}, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.MaxAttempts = 3 }))
		s := w.publish("live/cam", "p1")
		s.run(20 * time.Minute)
		st := w.status()
		if st.State != Refused || tries != 3 || !strings.HasPrefix(st.Error, "given up after 3 attempts, until somebody asks for another one (weir pushes retry); the last one: h.example cannot be reached") || !st.NextTry.IsZero() {
			t.Errorf("%d tries: %+v", tries, st)
		}
		if _, err := w.m.Retry("live/cam", "it"); err != nil {
			t.Error(err)
		}
		s.run(time.Minute)
		if tries != 6 {
			t.Errorf("%d tries after one was asked for", tries)
		}
	})
}

// TestNotes: what the service wants otherwise is said.
func TestNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "", "k"), func(c *Config) { c.Service = "twitch" }))
		s := w.publish("live/cam", "p1")
		for range 3 {
			s.n -= s.n % 25
			s.frame()
			key := s.n
			for s.n < key+199 { // 8 s
				at := time.Duration(s.n) * step
				s.write(&av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, s.n)})
				s.n++
				time.Sleep(step)
			}
		}
		const want = "key frames every 8s; Twitch wants 2s"
		if st := w.status(); len(st.Notes) != 1 || st.Notes[0].Sentence != want {
			t.Errorf("%+v", st.Notes)
		}
		if n := w.m.Notes("live/cam"); len(n) != 1 || n[0].Sentence != want || n[0].Since.IsZero() {
			t.Errorf("%+v", n)
		}
		if !strings.Contains(w.log.String(), want) {
			t.Error("the log does not say so")
		}
	})
}

// TestKeptTargets: what the API changes is there after a restart, and the file is for its user alone.
func TestKeptTargets(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	t.Run("before", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.State = folder }, to("conf", "rtmp://a.example/live", "x"))
		for i := range MaxTargets {
			if _, err := w.m.Add("live/cam", to("", fmt.Sprintf("rtmp://b%d.example/live", i), secret)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.m.Add("live/cam", to("", "rtmp://c.example/live", "x")); !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
		if _, err := w.m.Add("live/other", to("Bad Name", "rtmp://c.example/live", "x")); err == nil {
			t.Error("a bad name is taken")
		}
		if _, err := w.m.Change("live/cam", "conf", func(c *Config) { c.Enabled = false }); err != nil {
			t.Error(err)
		}
	})
	info, err := os.Stat(filepath.Join(folder, "pushes.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	t.Run("after", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.State = folder }, to("conf", "rtmp://a.example/live", "x"))
		list := w.m.List("live/cam")
		if len(list) != MaxTargets+1 {
			t.Fatalf("%d targets", len(list))
		}
		for _, st := range list {
			switch {
			case st.Origin == FromConfig && st.State != Off, st.Origin == FromAPI && (st.State != Waiting || st.Config.Key != secret):
				t.Errorf("%+v", st)
			}
		}
	})
	if err := os.WriteFile(filepath.Join(folder, "pushes.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Hub: stream.New(stream.Options{}), State: folder}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
}
