package push

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// TestOriginOfAnEdge: the origin is a target while somebody publishes the stream here, under a name that no other has; what is fetched is
// not sent there. The API turns it off and on and can do no more. The origin gets the query of each publisher.
func TestOriginOfAnEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, other := newDouble(t), newDouble(t)
		w := newWorld(t, func(o *Options) {
			o.Dial = dialBy(map[string]*double{"o.example:1935": d, "x.example:1935": other})
			o.Edge = func(_ string, p stream.Info) (Config, bool, bool) {
				return to("origin", "rtmp://o.example/live", "cam?{query}"), false, p.Protocol != "pull"
			}
		}, to("origin", "rtmp://x.example/live", "cam"))
		if list := w.m.List("live/cam"); len(list) != 2 || list[1].Config.Name != "origin-2" || list[1].Origin != FromEdge || list[1].State != Waiting {
			t.Errorf("%+v", list)
		}
		s := w.publish("live/cam", "p1")
		s.run(2 * time.Second)
		if st := w.status("origin-2"); st.State != Live || !w.m.Forwards("live/cam") || w.m.Forwards("live/other") {
			t.Errorf("%+v", st)
		}
		if v := d.list()[0]; v.name() != "cam?key=theirs" {
			t.Errorf("%q", v.name())
		}
		if _, err := w.m.Change("live/cam", "origin-2", func(c *Config) { c.Key = "x" }); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		if err := w.m.Remove("live/cam", "origin-2"); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		for _, on := range []bool{false, true} {
			if _, err := w.m.Change("live/cam", "origin-2", func(c *Config) { c.Enabled = on }); err != nil {
				t.Error(err)
			}
			s.run(2 * time.Second)
			if st := w.status("origin-2"); (st.State == Live) != on || w.m.Forwards("live/cam") != on {
				t.Errorf("%v: %+v", on, st)
			}
		}

		// It is fetched now.
		pulled, err := w.hub.Publish("live/cam", stream.Info{Session: "p2", Protocol: "pull"})
		if err != nil {
			t.Fatal(err)
		}
		again := &source{t: t, pub: pulled, n: 1000}
		again.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: avcConfig})
		again.run(2 * time.Second)
		if w.m.Forwards("live/cam") || len(w.m.List("live/cam")) != 1 || !errors.Is(d.list()[1].ended(), rtmp.ErrUnpublished) {
			t.Errorf("%+v", w.m.List("live/cam"))
		}
		if st := w.status("origin"); st.State != Live || st.Sessions != 1 {
			t.Errorf("the other target is disturbed: %+v", st)
		}
		pulled.Close(session.ErrKicked)
	})
}

// TestForwardsNotWhatIsRefused: a stream that the origin refuses may be fetched from it.
func TestForwardsNotWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.publish = func(v *visit) error {
			if v.n > 1 {
				return nil
			}
			return &rtmp.StatusError{Code: rtmp.CodePublishDenied, Description: "no"}
		}
		w := newWorld(t, func(o *Options) {
			o.Dial = d.dial
			o.Edge = func(string, stream.Info) (Config, bool, bool) {
				return to("origin", "rtmp://o.example/live", "cam"), false, true
			}
		})
		s := w.publish("live/cam", "p1")
		s.run(2 * time.Second)
		if st := w.status(); st.State != Refused || w.m.Forwards("live/cam") {
			t.Errorf("%+v", st)
		}
		if _, err := w.m.Retry("live/cam", "origin"); err != nil {
			t.Error(err)
		}
		s.run(2 * time.Second)
		if st := w.status(); st.State != Live || !w.m.Forwards("live/cam") {
			t.Errorf("%+v", st)
		}
	})
}
