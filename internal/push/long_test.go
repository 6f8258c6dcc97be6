package push

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

// TestC434_C430_ThreeHours: a stream of three hours is one line of times, and a target that closes after two of them, as Facebook and others do, is reached
// again at once: what came before is no sign that it refuses.
func TestC434_C430_ThreeHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.begun = func(v *visit) {
			if len(d.list()) == 1 {
				time.AfterFunc(2*time.Hour, func() { _ = v.conn.Close() })
			}
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		const length, second = 3 * 3600, time.Second
		for n := range length { // a picture a second, every other one a key frame
			at := time.Duration(n) * second
			f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, n)}
			if n%2 == 0 {
				f.Flags, f.Payload = av.Key, picture(0x65, n)
			}
			s.write(f)
			time.Sleep(second)
		}
		visits := d.list()
		if len(visits) != 2 {
			t.Fatalf("%d sessions", len(visits))
		}
		if st := w.status(); st.State != Live {
			t.Errorf("it is %v: %s", st.State, st.Error)
		}
		first, rest := visits[0].pictures(), visits[1].pictures()
		if n := len(first); n < 7195 || n > 7201 {
			t.Errorf("%d pictures in two hours", n)
		}
		if n := len(rest); n < 3590 || rest[n-1] < length-2 || rest[0]-first[len(first)-1] > 6 {
			t.Errorf("%d pictures after it, %d to %d", n, rest[0], rest[n-1])
		}
		for _, v := range visits {
			at, from := -1, uint32(0)
			for _, m := range v.got() {
				n := number(&m)
				if n < 0 {
					continue
				}
				if at < 0 {
					at, from = n, m.Timestamp
				}
				if got, want := m.Timestamp-from, uint32(n-at)*1000; got != want {
					t.Fatalf("picture %d is at %d ms instead of %d", n, got, want)
				}
			}
		}
	})
}
