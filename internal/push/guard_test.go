package push

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/internal/session"
	"weir/rtmp"
)

// TestC237_TargetsOfAPIAndHook: what the API and a decision name leads to public addresses alone, whatever its name is, unless the operator
// allows it; the configuration's targets may be anywhere.
func TestC237_TargetsOfAPIAndHook(t *testing.T) {
	d := newDouble(t)
	_, port, _ := net.SplitHostPort(d.listen())
	n := newNames(t)
	n.set(false, "127.0.0.1", "::1", "10.0.0.1", "169.254.169.254")
	hosts := []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "inside.test", "169.254.169.254"}
	for _, c := range []struct {
		origin  Origin
		private bool
	}{{FromAPI, false}, {FromHook, false}, {FromAPI, true}, {FromHook, true}, {FromConfig, false}} {
		for _, host := range hosts {
			if (c.private || c.origin == FromConfig) && host != hosts[0] {
				continue
			}
			url := fmt.Sprintf("rtmp://%s:%s/live", host, port)
			var list []Config
			if c.origin == FromConfig {
				list = append(list, to("it", url, "cam"))
			}
			before := len(d.list())
			w := newWorld(t, func(o *Options) {
				o.Resolver = n.resolver()
				o.Private = func(path string) bool { return c.private && path == "live/cam" }
			}, list...)
			switch c.origin {
			case FromAPI:
				if _, err := w.m.Add("live/cam", to("it", url, "cam")); err != nil {
					t.Fatal(err)
				}
			case FromHook:
				grant(w, "p1", "it", url, "cam")
			}
			s := w.publish("live/cam", "p1")
			s.frame()
			st := w.until("judged", func(st Status) bool { return st.State == Live || st.Error != "" })
			if open := c.private || c.origin == FromConfig; open != (st.State == Live) {
				t.Errorf("%s to %s, private %v: %v, %s", c.origin, host, c.private, st.State, st.Error)
			} else if !open && (st.State != Refused || st.Reason != session.Address || !strings.Contains(st.Error, "pull.allow_private") || len(d.list()) != before) {
				t.Errorf("%s to %s: %v, %v, %s; %d connections", c.origin, host, st.State, st.Reason, st.Error, len(d.list())-before)
			}
			s.pub.Close(session.ErrKicked)
			w.stop()
		}
	}
}

// TestPrivateFromNowOn: a target that was refused for its address is tried again when the configuration allows it, and not before.
func TestPrivateFromNowOn(t *testing.T) {
	d := newDouble(t)
	allowed := atomic.Bool{}
	w := newWorld(t, func(o *Options) { o.Private = func(string) bool { return allowed.Load() } })
	if _, err := w.m.Add("live/cam", to("it", "rtmp://"+d.listen()+"/live", "cam")); err != nil {
		t.Fatal(err)
	}
	s := w.publish("live/cam", "p1")
	s.frame()
	w.until("refused", in(Refused))
	w.m.Apply()
	if st := w.status(); st.State != Refused || st.Attempts != 1 {
		t.Errorf("%+v", st)
	}
	allowed.Store(true)
	w.m.Apply()
	for range 50 {
		s.frame()
	}
	w.until("live", in(Live))
	s.pub.Close(session.ErrKicked)
}

// TestC439_AfterRedirect: where a server sends its publishers on to is what is said of failures from then on, and is not the host from which
// the stream is fetched.
func TestC439_AfterRedirect(t *testing.T) {
	for _, c := range []struct {
		pulled string
		state  State
		says   string
		visits int
	}{
		{"", Refused, "look at the path of the URL, rtmp://b.example:1936/other (NetConnection.Connect.InvalidApp)", 2},
		{"b.example", Refused, errBack.Error(), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble(t)
			d.connect = func(v *visit) error {
				if v.n == 1 {
					return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodeConnectRejected, Properties: amf.Object{
						{Key: "ex", Value: amf.Object{{Key: "code", Value: 302.0}, {Key: "redirect", Value: "rtmp://b.example:1936/other?token=hunter2"}}},
					}}
				}
				return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodeConnectInvalidApp, Description: ""}
			}
			w := newWorld(t, func(o *Options) {
				o.Dial = d.dial
				o.Pulled = func(_, host string, _ netip.Addr) bool { return c.pulled != "" && host == c.pulled }
			}, to("it", "rtmp://h.example/live", "cam"))
			w.publish("live/cam", "p1").run(2 * time.Second)
			st := w.status()
			if st.State != c.state || !strings.Contains(strings.ReplaceAll(st.Error, "?token=***", ""), c.says) || len(d.list()) != c.visits {
				t.Errorf("%v, %d connections: %s", st.State, len(d.list()), st.Error)
			}
			if !strings.HasPrefix(st.URL, "rtmp://b.example:1936/other") || strings.Contains(w.everything(), "hunter2") {
				t.Errorf("%s", w.everything())
			}
		})
	}
}

// TestC439_BackByAddress: the host that a stream is fetched from is known by its address too, under whatever name the target has it; and
// when the stream is fetched from there only while it is sent, the session ends.
func TestC439_BackByAddress(t *testing.T) {
	d := newDouble(t)
	_, port, _ := net.SplitHostPort(d.listen())
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost"} {
		w := newWorld(t, func(o *Options) {
			o.Pulled = func(_, _ string, a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }
		}, to("it", "rtmp://"+host+":"+port+"/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.frame()
		if st := w.until("judged", func(st Status) bool { return st.State == Live || st.Error != "" }); st.State != Refused || st.Reason != session.Loop {
			t.Errorf("%s: %v, %s", host, st.State, st.Error)
		}
		s.pub.Close(session.ErrKicked)
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		pulled := make(chan bool, 1)
		pulled <- false
		w := newWorld(t, func(o *Options) {
			o.Dial = d.dial
			o.Pulled = func(_, host string, _ netip.Addr) bool {
				is := <-pulled
				pulled <- is
				return is && host == "h.example"
			}
		}, to("it", "rtmp://h.example/live", "cam"))
		w.publish("live/cam", "p1").run(2 * time.Second)
		if st := w.status(); st.State != Live {
			t.Fatalf("%v: %s", st.State, st.Error)
		}
		<-pulled
		pulled <- true
		w.publish("live/cam", "p2").run(2 * time.Second) // which is the pull
		if st := w.status(); st.State != Refused || st.Reason != session.Loop || len(d.list()) != 1 {
			t.Errorf("%v: %s", st.State, st.Error)
		}
	})
}
