package push

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/internal/session"
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
