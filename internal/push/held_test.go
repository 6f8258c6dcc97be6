package push

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/internal/hops"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// TestLostConnectionIsStillHeld: a server that refuses the stream because it has not noticed that our connection was lost is tried again
// soon, until it has; one that goes on refusing for five minutes refuses, and so does one where the stream never was.
func TestLostConnectionIsStillHeld(t *testing.T) {
	for _, c := range []struct {
		name  string
		holds time.Duration
		state State
	}{{"as long as nginx-rtmp does", 90 * time.Second, Live}, {"for ever", time.Hour, Refused}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				begun := time.Now()
				const lost = 10 * time.Second
				d.begun = func(v *visit) {
					if v.n == 1 {
						time.AfterFunc(lost, func() { _ = v.conn.Close() })
					}
				}
				d.publish = func(v *visit) error {
					if v.n > 1 && time.Since(begun) < lost+c.holds {
						return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePublishBadName, Description: "Already publishing"}
					}
					return nil
				}
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
				s := w.publish("live/cam", "p1")
				s.run(lost + 60*time.Second)
				st := w.status()
				if st.State != Retrying && st.State != Connecting || !strings.Contains(st.Error, "may not have noticed yet") || !strings.Contains(st.Error, "Already publishing") {
					t.Errorf("%v: %s", st.State, st.Error)
				}
				if n := len(d.list()); n < 8 || n > 14 {
					t.Errorf("%d connections within the first minute", n)
				}
				s.run(45 * time.Second)
				if c.state == Refused {
					s.run(4 * time.Minute)
				}
				if st := w.status(); st.State != c.state {
					t.Errorf("%v: %s", st.State, st.Error)
				}
			})
		})
	}
}

// TestTakenOverWaits: a target whose stream another publisher has taken over at the server does not take it back by itself, but when
// its own publisher begins anew, or when somebody says so.
func TestTakenOverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.begun = func(v *visit) {
			time.AfterFunc(2*time.Second, func() {
				v.session.Close(&rtmp.StatusError{
					Level: rtmp.LevelError, Code: rtmp.CodePublishFailed, Description: "gone",
					Properties: amf.Object{{Key: hops.Reason, Value: session.Takeover.String()}},
				})
			})
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(20 * time.Minute)
		st := w.status()
		if n := len(d.list()); n != 1 || st.State != Refused || st.Reason != session.Takeover || !st.NextTry.IsZero() || !strings.Contains(st.Error, "weir pushes retry") {
			t.Errorf("%d connections: %+v", n, st)
		}
		if _, err := w.m.Retry("live/cam", "it"); err != nil {
			t.Error(err)
		}
		s.run(10 * time.Second)
		if n := len(d.list()); n != 2 {
			t.Errorf("%d connections after retry", n)
		}
		s.pub.Close(nil)
		time.Sleep(time.Second)
		again := w.publish("live/cam", "p2")
		again.run(10 * time.Second)
		if n := len(d.list()); n != 3 {
			t.Errorf("%d connections after the publisher has begun anew", n)
		}
	})
}

// TestRetryBeginsItsWaitsAnew: after retry the waits are the first ones again.
func TestRetryBeginsItsWaitsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Dial = dialBy(nil) }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(40 * time.Second)
		if _, err := w.m.Retry("live/cam", "it"); err != nil {
			t.Error(err)
		}
		s.run(step)
		if st := w.status(); st.Attempts != 1 || time.Until(st.NextTry) > firstWait {
			t.Errorf("attempt %d, and the next in %v", st.Attempts, time.Until(st.NextTry))
		}
	})
}

// TestTheAnswerIsTheStateAfter: what is made or turned on while its stream is live is not said to be off.
func TestTheAnswerIsTheStateAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial })
		s := w.publish("live/cam", "p1")
		s.run(time.Second)
		if st, err := w.m.Add("live/cam", to("it", "rtmp://h.example/live", "cam")); err != nil || st.State != Connecting {
			t.Errorf("%v, %v", st.State, err)
		}
		for _, c := range []struct {
			on   bool
			want State
		}{{false, Off}, {true, Connecting}} {
			s.run(2 * time.Second)
			if st, err := w.m.Change("live/cam", "it", func(n *Config) { n.Enabled = c.on }); err != nil || st.State != c.want {
				t.Errorf("%v: %v, %v", c.on, st.State, err)
			}
		}
		s.pub.Close(nil)
		time.Sleep(time.Second)
		if st, err := w.m.Add("live/cam", to("away", "rtmp://h.example/live", "two")); err != nil || st.State != Waiting {
			t.Errorf("%v, %v", st.State, err)
		}
	})
}

// TestWhatIsFetchedNoLonger: a target that was refused because the stream came from its host is sent the stream of the publisher that
// takes it over, at once.
func TestWhatIsFetchedNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		var w *world
		w = newWorld(t, func(o *Options) {
			o.Dial = d.dial
			o.Pulled = func(path, host string, _ netip.Addr) bool {
				p, live := w.hub.Get(path).Publisher()
				return host == "origin.example" && (!live || p.Protocol == "pull")
			}
		}, to("back", "rtmp://origin.example/live", "cam"))
		pulled, err := w.hub.Publish("live/cam", stream.Info{Session: "p1", Protocol: "pull"})
		if err != nil {
			t.Fatal(err)
		}
		from := &source{t: t, pub: pulled}
		from.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: avcConfig})
		from.run(2 * time.Second)
		if st := w.status(); st.State != Refused || st.Reason != session.Loop {
			t.Errorf("%v: %s", st.State, st.Error)
		}
		own := w.publish("live/cam", "p2")
		own.run(5 * time.Second)
		if st := w.status(); st.State != Live {
			t.Errorf("%v: %s", st.State, st.Error)
		}
	})
}
