package mpegts

import (
	"slices"
	"testing"
	"time"

	"weir/av"
)

// TestEndSegment: the last picture of a segment comes with its segment, and sound that is in two of them stays whole; pictures that go on
// in the next segment cost one frame and then none.
func TestEndSegment(t *testing.T) {
	video, audio := sourceNamed(t, "h264-high"), sourceNamed(t, "aac-48000-1")
	b := write(t, newMuxer(t, Options{}, video.track, audio.track), interleave(video.frames(40, time.Second), audio.frames(60, time.Second)))
	var pictures []int // where they begin
	for at := 0; at < len(b); at += PacketSize {
		if p, _ := parsePacket(b[at:][:PacketSize]); p.start && p.pid == firstPID {
			pictures = append(pictures, at)
			clear(p.payload[4:6]) // it does not say how long it is
		}
	}
	whole, clean := demux(b)
	for name, c := range map[string]struct {
		behind int // packets behind the beginning of a picture at which segments end
		lost   int
	}{"between pictures": {0, 0}, "in the middle of pictures": {3, 1}} {
		t.Run(name, func(t *testing.T) {
			var d Demuxer
			var got []av.Frame
			from := 0
			for _, n := range []int{10, 20, 30} {
				to := pictures[n] + c.behind*PacketSize
				got, from = d.EndSegment(d.Demux(got, b[from:to])), to
				if have := len(media(got, av.Video)); c.behind == 0 && have != n {
					t.Errorf("%d pictures of %d have come with their segments", have, n)
				}
			}
			got = d.Flush(d.Demux(got, b[from:]))
			n := d.Counters()
			if (n.BadFrames > clean.BadFrames) != (c.lost > 0) || n.DroppedPES != clean.DroppedPES || n.Gaps != 0 {
				t.Errorf("%+v, and of the whole stream %+v", n, clean)
			}
			if c.lost == 0 && (!slices.EqualFunc(media(got, av.Video), media(whole, av.Video), sameFrame) || !slices.EqualFunc(media(got, av.Audio), media(whole, av.Audio), sameFrame)) {
				t.Errorf("%d frames are not the %d of the stream as a whole", len(got), len(whole))
			}
			same := 0
			for _, f := range media(got, av.Video) {
				if slices.ContainsFunc(whole, func(w av.Frame) bool { return sameFrame(f, w) }) {
					same++
				}
			}
			if want := len(media(whole, av.Video)) - c.lost; same != want {
				t.Errorf("%d pictures are whole, not %d", same, want)
			}
		})
	}
}
