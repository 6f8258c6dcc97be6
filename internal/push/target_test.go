package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// grant makes the decision about a publisher send its stream somewhere.
func grant(w *world, id, name, url, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grants[id] = append(w.grants[id], session.Push{Name: name, URL: url, Key: key})
}

const secret = "sk_s3cr3t?a=t0ken"

// TestC430_Refusals: what each server's answer means, how soon it is tried again, and what is said of it;
// the key is shown nowhere.
func TestC430_Refusals(t *testing.T) {
	status := func(code, description string) error {
		return &rtmp.StatusError{Level: rtmp.LevelError, Code: code, Description: description}
	}
	for _, c := range []struct {
		name   string
		set    func(d *double)
		state  State
		reason session.Reason
		says   string
		visits int // in the first minute
	}{
		{"BadName", func(d *double) {
			d.publish = func(*visit) error { return status(rtmp.CodePublishBadName, "Stream "+secret+" is in use") }
		}, Refused, session.Denied, "it is wrong or has expired, or somebody publishes with it already (NetStream.Publish.BadName: Stream *** is in use)", 1},
		{"Failed, as Facebook does", func(d *double) {
			d.publish = func(*visit) error { return status(rtmp.CodePublishFailed, "Initialization failed") }
		}, Refused, session.Denied, "the stream key may be wrong or used up (NetStream.Publish.Failed: Initialization failed)", 1},
		{"Rejected", func(d *double) {
			d.publish = func(*visit) error { return status(rtmp.CodePublishRejected, "") }
		}, Refused, session.Denied, "rejects the stream", 1},
		{"InvalidApp", func(d *double) {
			d.connect = func(*visit) error { return status(rtmp.CodeConnectInvalidApp, "") }
		}, Refused, session.Path, "has no such application: look at the path of the URL, rtmp://h.example/live (NetConnection.Connect.InvalidApp)", 1},
		{"a silent close at publish, as Twitch does", func(d *double) {
			d.publish = func(v *visit) error { _ = v.conn.Close(); return errors.New("closed") }
		}, Refused, session.Denied, "does not say why: services do that when the stream key is wrong", 3},
		{"a silent close 1 s after publish", func(d *double) {
			d.begun = func(v *visit) { time.AfterFunc(time.Second, func() { _ = v.conn.Close() }) }
		}, Refused, session.Denied, "does not say why: services do that when the stream key is wrong", 3},
		{"no answer to connect", func(d *double) {
			d.connect = func(v *visit) error { time.Sleep(30 * time.Second); return errors.New("late") }
		}, Retrying, session.Timeout, "h.example has not answered: timeout waiting for connect", 4},
		{"InternalKill, as Facebook does", func(d *double) {
			d.begun = func(v *visit) {
				time.AfterFunc(10*time.Second, func() {
					v.session.Close(status("NetStream.Unpublish.InternalKill", "ended on the page"))
				})
			}
		}, Refused, session.Denied, "the service has ended the broadcast", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				c.set(d)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", secret))
				s := w.publish("live/cam", "p1")
				s.run(time.Minute)
				st := w.status()
				for ; st.State == Connecting; st = w.status() {
					s.run(time.Second)
				}
				if st.State != c.state || st.Reason != c.reason || !strings.Contains(st.Error, c.says) {
					t.Errorf("%v, %v: %q", st.State, st.Reason, st.Error)
				}
				if n := len(d.list()); n != c.visits {
					t.Errorf("%d connections within a minute, not %d", n, c.visits)
				}
				if c.state == Refused {
					if left := time.Until(st.NextTry); left < 3*time.Minute || left > refusedWait {
						t.Errorf("tried again in %v", left)
					}
					s.run(refusedWait)
					if n := len(d.list()); n != c.visits+1 {
						t.Errorf("%d connections after five minutes more", n-c.visits)
					}
					before := len(d.list())
					if _, err := w.m.Retry("live/cam", "it"); err != nil {
						t.Error(err)
					}
					s.run(time.Second)
					if n := len(d.list()); n != before+1 {
						t.Error("retry did not try at once")
					}
				}
				if all := w.everything(); strings.Contains(all, "s3cr3t") || strings.Contains(all, "t0ken") {
					t.Errorf("the key is shown: %s", all)
				}
				failed := 0
				for _, e := range w.types() {
					if strings.HasPrefix(e, "push.failed") {
						failed++
					}
				}
				if failed == 0 || failed > 5 {
					t.Errorf("it was told of %d times: %q", failed, w.types())
				}
			})
		})
	}
}

// TestC430_Redirect: a server that sends its publishers on (302) is followed, three times at most and not to another
// scheme; one that asks to connect again is, too.
func TestC430_Redirect(t *testing.T) {
	redirect := func(to string) error {
		return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodeConnectRejected, Description: "moved", Properties: amf.Object{
			{Key: "ex", Value: amf.Object{{Key: "code", Value: 302.0}, {Key: "redirect", Value: to}}},
		}}
	}
	for _, c := range []struct {
		name, to string
		times    int
		state    State
		dialed   []string
	}{
		{"once", "rtmp://b.example:1936/other", 1, Live, []string{"h.example:1935", "b.example:1936"}},
		{"three times", "rtmp://b.example:1936/other", 3, Live, []string{"h.example:1935", "b.example:1936", "b.example:1936", "b.example:1936"}},
		{"for ever", "rtmp://b.example:1936/other", 1000, Refused, []string{"h.example:1935", "b.example:1936", "b.example:1936", "b.example:1936"}},
		{"to another scheme", "rtmps://b.example/other", 1, Refused, []string{"h.example:1935"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				d.connect = func(v *visit) error {
					if v.n <= c.times {
						return redirect(c.to)
					}
					return nil
				}
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
				w.publish("live/cam", "p1").run(2 * time.Second)
				if st := w.status(); st.State != c.state {
					t.Errorf("%v: %s", st.State, st.Error)
				}
				var dialed []string
				for _, v := range d.list() {
					dialed = append(dialed, v.address)
				}
				if !slices.Equal(dialed, c.dialed) {
					t.Errorf("%q", dialed)
				}
				if last := d.list()[len(d.list())-1]; c.state == Live && (last.text("app") != "other" || last.name() != "cam") {
					t.Errorf("%q %q", last.text("app"), last.name())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.caps = nil
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Caps = "on" }))
		s := w.publish("live/cam", "p1")
		s.run(2 * time.Second)
		if !d.list()[0].session.RequestReconnect("rtmp://c.example/new", "moving") {
			t.Fatal("the client does not take requests to reconnect")
		}
		s.run(3 * time.Second)
		list := d.list()
		if len(list) != 2 || list[1].address != "c.example:1935" || list[1].text("app") != "new" {
			t.Fatalf("%d connections", len(list))
		}
		continuous(t, d, s.n)
	})
}

func with(c Config, change func(*Config)) Config {
	change(&c)
	return c
}

// continuous checks that the pictures of all visits together are in order, none twice, and returns them.
func continuous(t *testing.T, d *double, sent int) (all []int) {
	t.Helper()
	for _, v := range d.list() {
		all = append(all, v.pictures()...)
	}
	for i := 1; i < len(all); i++ {
		if all[i] <= all[i-1] {
			t.Fatalf("picture %d comes behind %d", all[i], all[i-1])
		}
	}
	if len(all) > sent {
		t.Errorf("%d pictures of %d", len(all), sent)
	}
	return all
}

// TestC431_DropsEveryFiveSeconds: a target that drops the connection every 5 s for a minute, by a FIN or by a RST, ends with the
// frames that it could have got, in order, none twice, and each of its sessions can be decoded.
func TestC431_DropsEveryFiveSeconds(t *testing.T) {
	t.Run("FIN", func(t *testing.T) { testDrops(t, func(nc net.Conn) net.Conn { return nc }) })
	t.Run("RST", func(t *testing.T) { testDrops(t, func(nc net.Conn) net.Conn { return resetConn{nc} }) })
}

// resetConn is a connection whose other end resets it instead of closing it.
type resetConn struct{ net.Conn }

func reset(n int, err error) (int, error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	return n, err
}

func (c resetConn) Read(b []byte) (int, error)  { return reset(c.Conn.Read(b)) }
func (c resetConn) Write(b []byte) (int, error) { return reset(c.Conn.Write(b)) }

func testDrops(t *testing.T, through func(net.Conn) net.Conn) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.begun = func(v *visit) { time.AfterFunc(5*time.Second, func() { _ = v.conn.Close() }) }
		other := newDouble(t)
		w := newWorld(t, func(o *Options) {
			dial := dialBy(map[string]*double{"bad.example:1935": d, "good.example:1935": other})
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				nc, err := dial(ctx, network, address)
				return through(nc), err
			}
		}, to("bad", "rtmp://bad.example/live", "cam"), to("good", "rtmp://good.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(time.Minute)
		all := continuous(t, d, s.n)
		visits := len(d.list())
		if visits < 4 || visits > 8 {
			t.Errorf("%d connections", visits)
		}
		lost := time.Minute - time.Duration(len(all))*step
		// Waits of 1, 2, 4, 8, 16 s, and the rest of a second until the next key frame.
		if lost > 40*time.Second || len(all) < 20*25 {
			t.Errorf("%d pictures came, %v are missing", len(all), lost)
		}
		for _, v := range d.list()[:visits-1] {
			if n := len(v.pictures()); n < 95 {
				t.Errorf("visit %d took %d pictures in 5 s", v.n, n)
			}
		}
		if got := continuous(t, other, s.n); len(other.list()) != 1 || len(got) < s.n-5 || got[len(got)-1]-got[0] != len(got)-1 {
			t.Errorf("the other target has %d of %d pictures, over %d connections", len(got), s.n, len(other.list()))
		}
		if st := w.status("bad"); st.State == Refused {
			t.Errorf("drops are taken for a refusal: %s", st.Error)
		}
	})
}

func dialBy(doubles map[string]*double) func(c context.Context, network, address string) (net.Conn, error) {
	return func(c context.Context, network, address string) (net.Conn, error) {
		d := doubles[address]
		if d == nil {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
		}
		return d.dial(c, network, address)
	}
}

// TestC431_NeverReads: a target that takes nothing is given up after 15 s, and skips what it was too slow for;
// others go on.
func TestC431_NeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, good := newDouble(t), newDouble(t)
		freed := make(chan struct{})
		stuck.message = func(v *visit, m *rtmp.Message) error {
			if v.n == 1 && number(m) == 50 {
				<-freed
			}
			return nil
		}
		w := newWorld(t, func(o *Options) {
			o.Dial = dialBy(map[string]*double{"stuck.example:1935": stuck, "good.example:1935": good})
		}, to("stuck", "rtmp://stuck.example/live", "cam"), to("good", "rtmp://good.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(10 * time.Second)
		if st := w.status("stuck"); st.State != Live || st.Lag < 6*time.Second {
			t.Errorf("%v, %v behind", st.State, st.Lag)
		}
		s.run(7400 * time.Millisecond)
		if st := w.status("stuck"); st.State != Retrying || st.Reason != session.Stalled {
			t.Errorf("%v: %s", st.State, st.Error)
		}
		s.run(5 * time.Second)
		close(freed)
		if st := w.status("stuck"); st.State != Live || st.Lag > time.Second {
			t.Errorf("%v, %v behind: %s", st.State, st.Lag, st.Error)
		}
		continuous(t, stuck, s.n)
		if got := continuous(t, good, s.n); len(got) < s.n-5 {
			t.Errorf("the other target has %d of %d pictures", len(got), s.n)
		}
		s.pub.Close(stream.ErrUnpublished)
	})
}

// TestC431_SlowTargetSkips: a target that is slow for longer than the lag rule allows, but takes some, keeps its
// session and goes on at a newer key frame.
func TestC431_SlowTargetSkips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		held := false
		d.message = func(_ *visit, m *rtmp.Message) error {
			if number(m) == 50 && !held {
				held = true
				time.Sleep(12 * time.Second)
			}
			return nil
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(25 * time.Second)
		st := w.status()
		if st.State != Live || st.Sessions != 1 || st.Skips != 1 || st.Lag > time.Second {
			t.Errorf("%+v", st)
		}
		all := continuous(t, d, s.n)
		gaps := 0
		for i := 1; i < len(all); i++ {
			if all[i] != all[i-1]+1 {
				gaps++
				if all[i]%25 != 0 {
					t.Errorf("it goes on at %d, which is no key frame", all[i])
				}
			}
		}
		if gaps != 1 {
			t.Errorf("%d gaps", gaps)
		}
	})
}

// TestC434_GapKeepsTheSession: a publisher that is away for 5 s, one that is taken over, and one with another codec
// need one session, one session, and another one.
func TestC434_GapKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		first := w.publish("live/cam", "p1")
		first.run(3 * time.Second)
		first.pub.Close(nil)
		time.Sleep(5 * time.Second)
		second := w.publish("live/cam", "p2")
		second.n = 1000 // its pictures are told from those before
		second.run(3 * time.Second)
		third := w.publish("live/cam", "p3")
		third.n = 2000
		third.run(3 * time.Second)
		if n := len(d.list()); n != 1 {
			t.Fatalf("%d sessions", n)
		}
		all := d.list()[0].pictures()
		for _, from := range []int{0, 1000, 2000} {
			n := 0
			for _, x := range all {
				if x >= from && x < from+1000 {
					n++
				}
			}
			if n < 70 {
				t.Errorf("%d pictures of the publisher that begins with %d", n, from)
			}
		}
		var gap uint32
		last := uint32(0)
		for _, m := range d.list()[0].got() {
			if number(&m) >= 0 {
				gap, last = max(gap, m.Timestamp-last), m.Timestamp
			}
		}
		if gap < 4800 || gap > 5300 {
			t.Errorf("the gap of 5 s is %d ms on the target's line", gap)
		}
		third.pub.Close(nil)
		time.Sleep(time.Second)
		fourth, err := w.hub.Publish("live/cam", stream.Info{Session: "p4"})
		if err != nil {
			t.Fatal(err)
		}
		hevc := &source{t: t, pub: fourth}
		for n := range 50 {
			f := &av.Frame{Kind: av.Video, Codec: av.VP9, DTS: time.Duration(n) * step, PTS: time.Duration(n) * step, Payload: []byte{0x86, byte(n)}}
			if n%25 == 0 {
				f.Flags, f.Payload = av.Key, []byte{0x82, 0x49, 0x83, 0x42, 0, 0x0f, 0xf0, 0x0f, 0xf0, byte(n)}
			}
			hevc.write(f)
			time.Sleep(step)
		}
		if n := len(d.list()); n != 2 {
			t.Errorf("%d sessions after a change of codec", n)
		}
		if !errors.Is(d.list()[0].ended(), rtmp.ErrUnpublished) {
			t.Errorf("the session before it ended with %v", d.list()[0].ended())
		}
		if !strings.Contains(w.log.String(), "another codec now: VP9 instead of H.264") {
			t.Error("the log does not say why")
		}
	})
}

// TestSlate: while the publisher is away the target is sent the last key frame and silence, and one line of
// times that goes on behind.
func TestSlate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Slate = slateRepeat }))
		first := w.publish("live/cam", "p1")
		first.run(3 * time.Second)
		first.pub.Close(nil)
		time.Sleep(10 * time.Second)
		second := w.publish("live/cam", "p2")
		second.n = 1000
		second.run(3 * time.Second)
		if len(d.list()) != 1 {
			t.Fatalf("%d sessions", len(d.list()))
		}
		messages := d.list()[0].got()
		repeats, sound, longest := 0, 0, uint32(0)
		last := map[rtmp.MessageType]uint32{}
		for _, m := range messages {
			if m.Type == rtmp.TypeData || m.Payload[1] == 0 { // metadata, configurations
				continue
			}
			if number(&m) == 50 {
				repeats++
			}
			if m.Type == rtmp.TypeAudio && len(m.Payload) == 2+9 {
				sound++
			}
			if was, ok := last[m.Type]; ok {
				if m.Timestamp <= was {
					t.Fatalf("time of %v goes from %d to %d", m.Type, was, m.Timestamp)
				}
				longest = max(longest, m.Timestamp-was)
			}
			last[m.Type] = m.Timestamp
		}
		if repeats < 9 || repeats > 11 {
			t.Errorf("the last key frame came %d times", repeats)
		}
		if want := int(9 * time.Second / (1024 * time.Second / 44100)); sound < want || sound > want+60 {
			t.Errorf("%d frames of silence, want about %d", sound, want)
		}
		if longest > 2100 {
			t.Errorf("nothing came for %d ms", longest)
		}
	})
}

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
				if got := w.types(); !slices.Equal(got, []string{"push.start", "push.stop"}) {
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
		if st := w.status("hook"); st.State != Live {
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

// TestLoops has C-439 for pushes: a stream is not sent to itself, under whatever name the server is reached, nor to
// a server that it came through; and to itself under another name it is.
func TestLoops(t *testing.T) {
	d := newDouble(t)
	addr := d.listen()
	_, port, _ := net.SplitHostPort(addr)
	own := func(o *Options) { o.Own = func(p int) bool { return fmt.Sprint(p) == port } }
	for _, c := range []struct {
		url   string
		state State
	}{
		{"rtmp://127.0.0.1:" + port + "/live/cam", Refused},
		{"rtmp://localhost:" + port + "/live/cam", Refused},
		{"rtmp://[::ffff:127.0.0.1]:" + port + "/live/cam?key=x", Refused},
		{"rtmp://127.0.0.1:" + port + "/live/%63am", Refused},
		{"rtmp://127.0.0.1:" + port + "/backup/cam", Live},
	} {
		w := newWorld(t, own, to("it", c.url, ""))
		s := w.publish("live/cam", "p1")
		s.frame()
		begun := time.Now()
		st := w.until("done", func(st Status) bool { return st.State == c.state })
		if c.state == Refused && (st.Reason != session.Loop || time.Since(begun) > 2*time.Second) {
			t.Errorf("%s: %v after %v: %s", c.url, st.Reason, time.Since(begun), st.Error)
		}
		if c.state == Live {
			list := d.list()
			sent := hops.Parse(list[len(list)-1].text(hops.Property))
			if hops.Check(sent, hops.Entry("us", "live/cam")) == nil || hops.Check(sent, hops.Entry("us", "backup/cam")) != nil {
				t.Errorf("the hops are %q", sent)
			}
		}
		s.pub.Close(session.ErrKicked)
	}
}

// TestC439_NotBackToTheSource: a stream that is fetched is not sent to the host that it comes from.
func TestC439_NotBackToTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) {
			o.Dial = d.dial
			o.Pulled = func(path, host string, _ netip.Addr) bool { return path == "live/cam" && host == "origin.example" }
		}, to("back", "rtmps://origin.example/other", "x"), to("on", "rtmp://h.example/live", "cam"))
		w.publish("live/cam", "p1").run(2 * time.Second)
		if st := w.status("back"); st.State != Refused || st.Reason != session.Loop || st.Error != errBack.Error() {
			t.Errorf("%v, %v: %s", st.State, st.Reason, st.Error)
		}
		if st := w.status("on"); st.State != Live || len(d.list()) != 1 {
			t.Errorf("%v, %d connections", st.State, len(d.list()))
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
