package push

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/hops"
	"weir/internal/session"
)

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
