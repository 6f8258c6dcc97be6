package stream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/av"
)

// TestFigures counts what a publisher sends on each track, and begins anew with the next publisher.
func TestFigures(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), acfg())
		for i := range 50 { // 2 s, the last frame at 1.96 s
			at := i * 40
			switch {
			case i == 0, i == 20:
				write(t, p, keyFrame(at))
			case i == 10:
				f := inter(at)
				f.Flags = av.Key // by name alone
				write(t, p, f)
			case i == 30:
				f := inter(at)
				f.PTS -= ms(100)
				write(t, p, f)
			default:
				write(t, p, inter(at))
			}
			write(t, p, audio(at))
		}
		write(t, p, inter(1940)) // a step back
		write(t, p, inter(4000), audio(4000))
		elapse(3 * time.Second)
		st, headers, got := p.Stream().Figures(nil)
		frame := int64(len(slice))
		want := []TrackStats{
			{
				Kind: av.Video, Frames: 51, Bytes: 52 * frame, Last: ms(4000), Silent: 3 * time.Second, Gaps: 1, LastGap: ms(2040),
				Keys: 2, KeyStep: ms(800), SinceKey: ms(4000 - 800 - 2040), Clamped: 1, Mislabeled: 1, Reorders: true,
			},
			{Kind: av.Audio, Frames: 51, Bytes: 51, Last: ms(4000), Silent: 3 * time.Second, Sound: 51 * time.Second * 1024 / 44100, Gaps: 1, LastGap: ms(2040)},
		}
		if len(got) == 2 {
			got[1].Sound = got[1].Sound.Round(ms(1))
			want[1].Sound = want[1].Sound.Round(ms(1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(headers.Tracks) != 2 || !st.Live || st.Frames[av.Video] != 52 {
			t.Errorf("%d tracks, %+v", len(headers.Tracks), st)
		}

		next := publish(t, h, nil)
		write(t, next, vcfg(), keyFrame(0), inter(40))
		_, _, got = next.Stream().Figures(got[:0])
		if len(got) != 1 || got[0].Frames != 2 || got[0].Keys != 1 || got[0].Gaps != 0 || got[0].SinceKey != ms(40) || got[0].Reorders {
			t.Errorf("of the next publisher: %+v", got)
		}
	})
}

// TestFiguresOfUnusableTracks: a track without what its codec needs says since when, and its sound has no length.
func TestFiguresOfUnusableTracks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, audio(0))
		elapse(2 * time.Second)
		write(t, p, audio(2000))
		_, _, got := p.Stream().Figures(nil)
		if len(got) != 1 || got[0].Unusable.Round(ms(1)) != 2*time.Second || got[0].Unmeasured != 2 || got[0].Sound != 0 {
			t.Errorf("%+v", got)
		}
		write(t, p, acfg(), audio(2021))
		if _, _, got = p.Stream().Figures(nil); got[0].Unusable != 0 || got[0].Unmeasured != 2 || got[0].Sound == 0 {
			t.Errorf("once it has it: %+v", got)
		}
	})
}

// TestFiguresCostNothing: neither counting nor looking allocates.
func TestFiguresCostNothing(t *testing.T) {
	h := New(Options{})
	defer h.Close(nil)
	p, err := h.Publish("live/a", Info{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, vcfg(), acfg(), keyFrame(0), audio(0))
	buf := make([]TrackStats, 0, 4)
	if n := testing.AllocsPerRun(100, func() { _, _, buf = p.Stream().Figures(buf[:0]) }); n != 0 {
		t.Errorf("looking allocates %v times", n)
	}
	var f figures
	header := &TrackHeader{Track: av.Track{Config: ascConfig}}
	frame := audio(0)
	if n := testing.AllocsPerRun(100, func() { f.count(frame, header) }); n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}
