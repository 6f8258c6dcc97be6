package push

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// slowConn is a connection whose end takes so many bytes a second once it is slow.
type slowConn struct {
	net.Conn
	rate int
	slow atomic.Bool
}

// Read implements net.Conn.
func (c *slowConn) Read(b []byte) (int, error) {
	if c.slow.Load() {
		n := min(len(b), max(c.rate/10, 1))
		time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
		b = b[:n]
	}
	return c.Conn.Read(b)
}

// slowly makes a double take so many bytes a second once it is published to, and returns how to dial it.
func (d *double) slowly(rate int) func(context.Context, string, string) (net.Conn, error) {
	d.begun = func(v *visit) { v.conn.(*slowConn).slow.Store(true) }
	return func(_ context.Context, _, address string) (net.Conn, error) {
		client, server := net.Pipe()
		d.accept(&slowConn{Conn: server, rate: rate}, address)
		return client, nil
	}
}

// film writes frames of video in time, of so many bytes each, with a key frame each second.
func (s *source) film(d time.Duration, size int) {
	s.t.Helper()
	for range int(d / step) {
		at := time.Duration(s.n) * step
		f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, s.n)}
		if s.n%25 == 0 {
			f.Flags, f.Payload = av.Key, picture(0x65, s.n)
		}
		f.Payload = append(f.Payload, make([]byte, size)...)
		f.Payload[2], f.Payload[3] = byte((6+size)>>8), byte(6+size)
		s.write(f)
		s.n++
		<-time.After(step)
	}
}

// TestC431_TenKilobits: a target that takes 10 kbit/s of 90 is never further behind than the lag rule and a message allow; it gets
// the newest key frame again and again, in one session, and another target all.
func TestC431_TenKilobits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, good := newDouble(t), newDouble(t)
		slow, fast := d.slowly(10_000/8), dialBy(map[string]*double{"good.example:1935": good})
		w := newWorld(t, func(o *Options) {
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == "slow.example:1935" {
					return slow(ctx, network, address)
				}
				return fast(ctx, network, address)
			}
		}, to("slow", "rtmp://slow.example/live", "cam"), to("good", "rtmp://good.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		longest := time.Duration(0)
		for range 120 {
			s.film(time.Second, 400)
			longest = max(longest, w.status("slow").Lag)
		}
		if st := w.status("slow"); st.State != Live || st.Sessions != 1 || st.Skips < 5 {
			t.Errorf("%+v", st)
		}
		if longest > 9*time.Second || longest < 7*time.Second {
			t.Errorf("it was up to %v behind", longest)
		}
		all := continuous(t, d, s.n)
		for i := 1; i < len(all); i++ {
			if all[i] != all[i-1]+1 && all[i]%25 != 0 {
				t.Errorf("it goes on at %d, which is no key frame", all[i])
			}
		}
		if len(all) < 200 {
			t.Errorf("%d pictures came", len(all))
		}
		if got := continuous(t, good, s.n); len(got) < s.n-5 || got[len(got)-1]-got[0] != len(got)-1 {
			t.Errorf("the other target has %d of %d pictures", len(got), s.n)
		}
	})
}

// isEnding reports whether a target of the world is still being ended.
func (w *world) isEnding() bool {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	return len(w.m.ending) > 0
}

// TestEndsAreBounded: a target that takes nothing or little holds up neither the end of the server, nor its being turned off, nor the
// next broadcast of its stream, and is itself left some seconds after the stream has ended.
func TestEndsAreBounded(t *testing.T) {
	// slow takes 10 kbit/s, or from a picture on nothing.
	setups := map[string]func(d *double) func(context.Context, string, string) (net.Conn, error){
		"little": func(d *double) func(context.Context, string, string) (net.Conn, error) { return d.slowly(1250) },
		"nothing": func(d *double) func(context.Context, string, string) (net.Conn, error) {
			freed := make(chan struct{})
			d.t.Cleanup(func() { close(freed) })
			d.message = func(v *visit, m *rtmp.Message) error {
				if v.n == 1 && number(m) == 20 {
					<-freed
				}
				return nil
			}
			return d.dial
		},
	}
	for name, setup := range setups {
		for end, f := range map[string]func(t *testing.T, w *world, s *source){
			"the server stops": func(t *testing.T, w *world, _ *source) {
				begin := time.Now()
				w.stop()
				if took := time.Since(begin); took > endTime+time.Second {
					t.Errorf("it takes %v", took)
				}
			},
			"the server stops after the stream": func(t *testing.T, w *world, s *source) {
				s.pub.Close(session.ErrKicked)
				time.Sleep(100 * time.Millisecond)
				begin := time.Now()
				w.stop()
				if took := time.Since(begin); took > endTime+time.Second {
					t.Errorf("it takes %v", took)
				}
			},
			"off": func(t *testing.T, w *world, _ *source) {
				if _, err := w.m.Change("live/cam", "it", func(c *Config) { c.Enabled = false }); err != nil {
					t.Error(err)
				}
				time.Sleep(endTime + time.Second)
				if w.isEnding() {
					t.Error("it goes on")
				}
			},
			"the stream ends": func(t *testing.T, w *world, s *source) {
				s.pub.Close(session.ErrKicked)
				time.Sleep(drainTime + time.Second)
				if w.isEnding() {
					t.Error("it goes on")
				}
			},
			"the next broadcast": func(t *testing.T, w *world, s *source) {
				s.pub.Close(session.ErrKicked)
				next := w.publish("live/cam", "p2")
				next.run(makeWay / 2)
				if st := w.status(); st.State != Waiting {
					t.Errorf("%v while the one before ends", st.State)
				}
				next.run(makeWay/2 + endTime + 2*time.Second)
				if st := w.status(); st.State != Live || w.isEnding() {
					t.Errorf("%v: %s", st.State, st.Error)
				}
				next.pub.Close(session.ErrKicked)
			},
			"the next broadcast is turned off": func(t *testing.T, w *world, s *source) {
				s.pub.Close(session.ErrKicked)
				w.publish("live/cam", "p2").run(time.Second / 2)
				if _, err := w.m.Change("live/cam", "it", func(c *Config) { c.Enabled = false }); err != nil {
					t.Error(err)
				}
				time.Sleep(endTime + time.Second)
				if st := w.status(); st.State != Off || w.isEnding() {
					t.Errorf("%v", st.State)
				}
			},
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDouble(t)
					dial := setup(d)
					w := newWorld(t, func(o *Options) { o.Dial = dial }, to("it", "rtmp://h.example/live", "cam"))
					s := w.publish("live/cam", "p1")
					s.film(6*time.Second, 2000)
					if st := w.status(); st.State != Live || st.Lag < 3*time.Second {
						t.Fatalf("%+v", st)
					}
					f(t, w, s)
				})
			})
		}
	}
}

// TestC430_CloseAfterTwoHours: a server that ends the connection after two hours is connected to again after a second, whatever failed before.
func TestC430_CloseAfterTwoHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.begun = func(v *visit) {
			after := 10 * time.Second
			if v.n > 3 {
				after = 2 * time.Hour
			}
			time.AfterFunc(after, func() { _ = v.conn.Close() })
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		for d.list() == nil || len(d.list()) < 4 || d.list()[3].ended() == nil {
			s.frame()
			s.n += 24 // a key frame each second
			time.Sleep(time.Second)
		}
		for range 3 {
			s.frame()
			s.n += 24
			time.Sleep(time.Second)
		}
		if st := w.status(); st.State != Live || len(d.list()) != 5 || st.Sessions != 5 {
			t.Errorf("%d connections: %+v", len(d.list()), st)
		}
		continuous(t, d, s.n)
	})
}

// TestC430_QuickCloses: it takes three closes in a row, each within 5 s after the server was asked to publish and without a word, to take
// them for a refusal.
func TestC430_QuickCloses(t *testing.T) {
	closing := func(after time.Duration) func(v *visit) {
		return func(v *visit) { time.AfterFunc(after, func() { _ = v.conn.Close() }) }
	}
	for _, c := range []struct {
		name    string
		set     func(d *double)
		refused bool
	}{
		{"after 4.9 s", func(d *double) { d.begun = closing(4900 * time.Millisecond) }, true},
		{"after 5.1 s", func(d *double) { d.begun = closing(5100 * time.Millisecond) }, false},
		{"after an answer that took 8 s", func(d *double) {
			d.publish = func(*visit) error { time.Sleep(8 * time.Second); return nil }
			d.begun = closing(time.Second)
		}, false},
		{"with a longer one in between", func(d *double) {
			d.begun = func(v *visit) {
				after := time.Second
				if v.n%3 == 0 {
					after = 6 * time.Second
				}
				closing(after)(v)
			}
		}, false},
		{"with a refusal to connect in between", func(d *double) {
			d.begun = closing(time.Second)
			d.connect = func(v *visit) error {
				if v.n%3 == 0 {
					return errors.New("not now")
				}
				return nil
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				c.set(d)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
				s := w.publish("live/cam", "p1")
				s.run(2 * time.Minute)
				if told := strings.Contains(w.everything(), "does not say why"); told != c.refused || len(d.list()) < 3 {
					t.Errorf("%d connections: %v", len(d.list()), w.types())
				}
			})
		})
	}
}

// TestTwoVideoTracks: a server that has not said that it takes several tracks is sent the first one, as track 0, and what is left out is said.
func TestTwoVideoTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		p, err := w.hub.Publish("live/cam", stream.Info{Session: "p1"})
		if err != nil {
			t.Fatal(err)
		}
		s := &source{t: t, pub: p}
		for _, track := range []uint8{3, 7} {
			s.write(&av.Frame{Kind: av.Video, Track: track, Type: av.Config, Codec: av.H264, Payload: avcConfig})
		}
		for n := range 75 { // no key frame comes just when the stream settles without sound, after a second
			at := time.Duration(n) * step
			for i, track := range []uint8{3, 7} {
				f := &av.Frame{Kind: av.Video, Track: track, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, n+1000*i)}
				if n%30 == 0 {
					f.Flags, f.Payload = av.Key, picture(0x65, n+1000*i)
				}
				s.write(f)
			}
			time.Sleep(step)
		}
		got := d.list()[0].pictures()
		if len(got) < 70 {
			t.Fatalf("%d pictures", len(got))
		}
		for i, n := range got {
			if n >= 1000 || i > 0 && n != got[i-1]+1 {
				t.Fatalf("picture %d comes behind %d", n, got[i-1])
			}
		}
		for _, m := range d.list()[0].got() {
			if m.Type == rtmp.TypeVideo && m.Payload[0]&0x80 != 0 {
				t.Fatalf("a message with the enhanced header %x", m.Payload[:5])
			}
		}
		st := w.status()
		if len(st.LeftOut) != 1 || !strings.HasPrefix(st.LeftOut[0], "video track 7 (H.264) is left out: the server has not announced") {
			t.Errorf("%q", st.LeftOut)
		}
	})
}
