package push

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/rtmp"
)

// TestSwitchesAreForgotten: what is off and on again is as the configuration has it from then on, and the switches of targets that are gone
// do not fill the place of others.
func TestSwitchesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, to("it", "rtmp://h.example/live", "cam"))
		turn := func(on bool) {
			t.Helper()
			if st, err := w.m.Change("live/cam", "it", func(c *Config) { c.Enabled = on }); err != nil || st.Config.Enabled != on {
				t.Fatal(st, err)
			}
		}
		turn(false)
		if len(w.m.kept.Switched) != 1 || w.status2(t).State != Off {
			t.Errorf("%+v", w.m.kept)
		}
		turn(true)
		if len(w.m.kept.Switched) != 0 {
			t.Errorf("%+v", w.m.kept)
		}
		w.mu.Lock()
		w.conf = []Config{with(w.conf[0], func(c *Config) { c.Enabled = false })}
		w.mu.Unlock()
		if st := w.status2(t); st.State != Off {
			t.Errorf("%v although the configuration has turned it off", st.State)
		}
		turn(true)
		for i := len(w.m.kept.Switched); i < maxAdded; i++ { // of a hook, for streams that never come back
			w.m.kept.Switched = append(w.m.kept.Switched, switched{fmt.Sprint("live/", i), "hook", false})
		}
		turn(false)
		turn(true)
		if n := len(w.m.kept.Switched); n != maxAdded {
			t.Errorf("%d switches", n)
		}
		w.mu.Lock()
		w.conf = append(w.conf, to("other", "rtmp://h.example/live", "other"))
		w.mu.Unlock()
		if _, err := w.m.Change("live/cam", "other", func(c *Config) { c.Enabled = false }); err != nil || len(w.m.kept.Switched) != maxAdded {
			t.Errorf("%v, %d switches", err, len(w.m.kept.Switched))
		}
	})
}

// status2 is that of the target "it" of a stream that is not live.
func (w *world) status2(t *testing.T) Status {
	t.Helper()
	for _, s := range w.m.List("live/cam") {
		if s.Config.Name == "it" {
			return s
		}
	}
	t.Fatal("there is no target")
	return Status{}
}

// TestHiddenTargets: a target of the API whose name the configuration takes later is listed, with the reason why it does not run, and can be
// removed; its key is gone then.
func TestHiddenTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		if _, err := w.m.Add("live/cam", to("it", "rtmp://a.example/live", "hunter2")); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.conf = []Config{to("it", "rtmp://b.example/live", "x")}
		w.mu.Unlock()
		for _, path := range []string{"", "live/cam"} {
			list := w.m.List(path)
			if len(list) != 2 {
				t.Fatalf("%q: %+v", path, list)
			}
			for _, st := range list {
				if hidden := st.Origin == FromAPI; hidden != strings.Contains(st.Error, "another target has this name now, and goes before (config)") || hidden != (st.State == Off) {
					t.Errorf("%+v", st)
				}
			}
		}
		if _, err := w.m.Add("live/cam", to("it", "rtmp://c.example/live", "x")); !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		if err := w.m.Remove("live/cam", "it"); err != nil || len(w.m.kept.Added) != 0 || len(w.m.List("live/cam")) != 1 {
			t.Errorf("%v: %+v", err, w.m.List("live/cam"))
		}
		if err := w.m.Remove("live/cam", "it"); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
	})
}

// TestDiskThatHangs: while a change is written to a disk that does not answer, publishers come and go, and everything can be read.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		hangs := make(chan struct{})
		w.m.write = func(kept) error { <-hangs; return errors.New("the disk is full") }
		added := make(chan error, 1)
		go func() {
			_, err := w.m.Add("live/cam", to("more", "rtmp://h.example/live", "more"))
			added <- err
		}()
		synctest.Wait()
		begin := time.Now()
		s := w.publish("live/cam", "p1")
		s.frame()
		w.m.Targets(func(string, string, int) {})
		w.m.Notes("live/cam")
		w.m.Apply()
		if len(w.m.List("")) != 1 || !time.Now().Equal(begin) {
			t.Errorf("%+v after %v", w.m.List(""), time.Since(begin))
		}
		close(hangs)
		if err := <-added; err == nil || len(w.m.List("live/cam")) != 1 {
			t.Errorf("%v: %+v", err, w.m.List("live/cam"))
		}
		s.pub.Close(session.ErrKicked)
	})
}

// noted is an out that counts.
type noted struct{ messages int }

func (n *noted) WriteMessages(ms ...*rtmp.Message) error { n.messages += len(ms); return nil }

// TestSlateOfSilentStreams: a stream whose sound ended hours before its publisher left gets a picture for a slate and no hours of silence.
func TestSlateOfSilentStreams(t *testing.T) {
	for ago, want := range map[time.Duration][2]int{10 * time.Hour: {0, 0}, 3 * time.Second: {0, 0}, time.Second: {80, 100}} {
		to := &noted{}
		s := newSender(to, &rtmp.Caps{}, false, func(string) {})
		s.codecs[av.Audio], s.tracks[av.Audio] = av.AAC, av.Track{Kind: av.Audio, Codec: av.AAC, Config: ascConfig}
		s.last = [2]time.Duration{11 * time.Hour, 11*time.Hour - ago}
		var stand slate
		begin := time.Now()
		stand.step(s, begin)
		stand.step(s, begin.Add(time.Second))
		if n := len(s.messages); n < want[0] || n > want[1] {
			t.Errorf("%d frames of silence for a sound that ended %v before", n, ago)
		}
	}
}
