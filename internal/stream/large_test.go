package stream

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/av"
)

// inMemory is how many bytes of payload a list keeps from the garbage collector.
func (l *list) inMemory() (n int64) {
	r := *l.ring.Load()
	for i := range r {
		if b := r[i].Load(); b != nil {
			for j := range b.entries {
				n += int64(len(b.entries[j].Payload))
			}
		}
	}
	return n
}

// TestListOfLargeFrames: what a list keeps in memory is what its bounds say and little more, however large the frames are.
func TestListOfLargeFrames(t *testing.T) {
	const bound, frame = 32 << 20, 8 << 20
	payload := make([]byte, frame)
	for name, c := range map[string]struct {
		sync bool
		most int64
	}{"from a start on": {true, bound}, "no start": {false, 0}} {
		var l list
		l.init(Cache{GOPs: 1, Bytes: bound, Frames: 1 << 20, Time: time.Hour}, time.Hour)
		for i := range 200 {
			l.append(&Entry{Frame: av.Frame{Payload: payload[:rand.N(frame)]}, Sync: c.sync && i%4 == 0})
			if n := l.inMemory(); n > c.most+4<<20+2*frame {
				t.Fatalf("%s: %d bytes after %d frames", name, n, i+1)
			}
		}
	}
}

// TestFollowersOfLargeFrames: blocks that end early hide no frame: from followers, muxers, or who asks for the recent ones.
func TestFollowersOfLargeFrames(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.Cache.Bytes = 1 << 30 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		payload := make([]byte, 4<<20)
		f := follow(t, p.Stream(), FollowOptions{})
		var want []int64
		for i := range 3 * blockSize {
			frame := inter(40 * i)
			if i == 0 {
				frame = keyFrame(0)
			}
			switch i % 7 {
			case 0, 3:
				frame.Payload = append(slices.Clone(frame.Payload), payload...)
			case 4, 5:
				frame.Payload = append(slices.Clone(frame.Payload), payload[:2<<20]...)
			}
			write(t, p, frame)
			elapse(ms(40))
			want = append(want, int64(40*i))
			if i == blockSize {
				wantTimes(t, f, want...)
			}
		}
		wantTimes(t, f, want[blockSize+1:]...)
		again := follow(t, p.Stream(), FollowOptions{})
		wantTimes(t, again, want...)
		if st := f.Stats(); st.Frames != int64(len(want)) || st.Missed != 0 || st.Lag != 0 {
			t.Errorf("%+v", st)
		}
		if m := attach(t, p.Stream()); len(m.lines) != len(want) {
			t.Errorf("a muxer has %d frames, not %d", len(m.lines), len(want))
		}
		var times []int64
		for _, e := range p.Stream().Recent(1<<20, 1<<30, func() {}) {
			times = append(times, e.DTS.Milliseconds())
		}
		if !slices.Equal(times, want) {
			t.Errorf("recent: %v", times)
		}
	})
}
