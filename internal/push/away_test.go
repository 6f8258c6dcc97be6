package push

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhileThePublisherIsAway: state, log and events tell what targets are sent while the publisher is away, and that it is back; of a
// publisher that only takes over they tell nothing.
func TestWhileThePublisherIsAway(t *testing.T) {
	for slate, want := range map[string]State{slateOff: Away, slateRepeat: Slated} {
		t.Run(slate, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "hunter2"), func(c *Config) { c.Slate = slate }))
				first := w.publish("live/cam", "p1")
				first.run(3 * time.Second)
				first.pub.Close(nil)
				w.until("away", in(want))
				at := w.status().Since
				time.Sleep(5 * time.Second)
				if st := w.status(); st.State != want || !st.Since.Equal(at) {
					t.Errorf("%v since %v, not %v", st.State, st.Since, at)
				}
				second := w.publish("live/cam", "p2")
				second.n = 1000
				second.run(3 * time.Second)
				w.until("back", in(Live))
				third := w.publish("live/cam", "p3")
				third.n = 2000
				third.run(3 * time.Second)
				if got := w.types(); !slices.Equal(got, []string{"push.start", "push.state " + want.String(), "push.state live"}) {
					t.Errorf("%q", got)
				}
				for _, line := range []string{"the publisher is away", "the publisher is back"} {
					if strings.Count(w.log.String(), line) != 1 {
						t.Errorf("it is not said once that %s: %s", line, w.log)
					}
				}
				w.mu.Lock()
				for _, e := range w.events {
					if e.typ == "push.state" && (e.data["target"] != "it" || e.data["url"] != "rtmp://h.example/live" || e.data["origin"] != "config") {
						t.Errorf("%v", e.data)
					}
				}
				w.mu.Unlock()
				if len(d.list()) != 1 {
					t.Errorf("%d sessions", len(d.list()))
				}
			})
		})
	}
}

// TestSlateThatFitsNoLonger: a file that fits the stream when the session begins, and not what another publisher sends, is said not to be used
// when it would be needed.
func TestSlateThatFitsNoLonger(t *testing.T) {
	name := loopFile(t, 50, true, nil)
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Slate = name }))
		w.publish("live/cam", "p1").run(3 * time.Second)
		if n := w.status().Notes; len(n) != 0 {
			t.Errorf("%+v", n)
		}
		was := avcConfig
		defer func() { avcConfig = was }()
		avcConfig = append(bytes.Clone(was[:len(was)-1]), 0xcf)
		second := w.publish("live/cam", "p2")
		second.n = 1000
		second.run(3 * time.Second)
		second.pub.Close(nil)
		time.Sleep(5 * time.Second)
		notes := w.status().Notes
		if len(notes) != 1 || notes[0].Sentence != "the slate "+name+" does not fit the stream: the parameters of its H.264 are not the stream's: make it with the same encoder and the same settings; the last key frame is repeated instead" {
			t.Errorf("%+v", notes)
		}
		if n := strings.Count(w.log.String(), "the slate is not used"); n != 1 {
			t.Errorf("it is said %d times", n)
		}
	})
}
