package push

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
	"weir/rtmp"
)

// TestConflictIsTriedSoon: a server that keeps the stream for another publisher is tried every ten seconds at most, and gets the stream soon
// after that one has left.
func TestConflictIsTriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		begun := time.Now()
		const held = 3 * time.Minute
		d.publish = func(*visit) error {
			if time.Since(begun) < held {
				return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePublishBadName, Properties: reasonOf("conflict")}
			}
			return nil
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(held - time.Second)
		if st := w.status(); st.State != Retrying && st.State != Connecting || st.Reason != session.Conflict {
			t.Errorf("%v: %v, %s", st.State, st.Reason, st.Error)
		}
		if n := len(d.list()); n < 18 || n > 30 {
			t.Errorf("it was tried %d times in three minutes", n)
		}
		s.run(12 * time.Second)
		if st := w.status(); st.State != Live {
			t.Errorf("%v: %s", st.State, st.Error)
		}
	})
}
