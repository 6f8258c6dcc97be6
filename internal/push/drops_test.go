package push

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

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

func (c resetConn) Read(b []byte) (int, error) { return reset(c.Conn.Read(b)) }

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
		if st := w.status("stuck"); st.State != Live || st.Lag < 6*time.Second || st.Stalled < 6*time.Second || st.Stalled > 8*time.Second {
			t.Errorf("%v, %v behind, stalled for %v", st.State, st.Lag, st.Stalled)
		}
		if st := w.status("good"); st.Stalled != 0 {
			t.Errorf("the other one is stalled for %v", st.Stalled)
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
		time.Sleep(10*time.Second - 20*time.Millisecond) // just before the picture of the second is due
		second := w.publish("live/cam", "p2")
		second.n = 1000
		second.run(3 * time.Second)
		if len(d.list()) != 1 {
			t.Fatalf("%d sessions", len(d.list()))
		}
		messages := d.list()[0].got()
		repeats, sound, longest, hole := 0, 0, uint32(0), uint32(0)
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
				if m.Type == rtmp.TypeAudio {
					hole = max(hole, m.Timestamp-was)
				}
			}
			last[m.Type] = m.Timestamp
		}
		if repeats < 9 || repeats > 11 {
			t.Errorf("the last key frame came %d times", repeats)
		}
		if want := int(9 * time.Second / (1024 * time.Second / 44100)); sound < want || sound > want+60 {
			t.Errorf("%d frames of silence, want about %d", sound, want)
		}
		if hole > 80 {
			t.Errorf("there is no sound for %d ms", hole)
		}
		if longest > 2100 {
			t.Errorf("nothing came for %d ms", longest)
		}
	})
}
