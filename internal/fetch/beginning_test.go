package fetch

import (
	"slices"
	"testing"
	"time"

	"weir/av"
)

// TestBeginning: what is up to a second earlier than the first frame comes before it, in its own order; frames wait until each track has begun, a second has come or
// nothing more is to come, and nothing is changed after that.
func TestBeginning(t *testing.T) {
	frame := func(kind av.Kind, typ av.Type, at time.Duration) av.Frame {
		return av.Frame{Kind: kind, Type: typ, DTS: at * time.Millisecond, PTS: at * time.Millisecond}
	}
	v := func(at time.Duration) av.Frame { return frame(av.Video, av.Media, at) }
	a := func(at time.Duration) av.Frame { return frame(av.Audio, av.Media, at) }
	c := func(at time.Duration) av.Frame { return frame(av.Audio, av.Config, at) }
	d := func(at time.Duration) av.Frame { return frame(av.Data, av.Script, at) }
	var long, behind []av.Frame
	for at := time.Duration(0); at <= 1000; at += 40 {
		long = append(long, v(5000+at))
	}
	for range maxBeginningFrames {
		behind = append(behind, v(5000))
	}
	for _, x := range []struct {
		name   string
		in     [][]av.Frame
		tracks int
		last   bool // nothing comes after that
		want   [][]av.Frame
	}{
		{
			"sound before the picture",
			[][]av.Frame{{v(5000), v(5040)}, {c(4960), a(4960), a(4981), a(5002)}, {v(5080), a(4000)}},
			2, false,
			[][]av.Frame{nil, {c(4960), a(4960), a(4981), v(5000), v(5040), a(5002)}, {v(5080), a(4000)}},
		},
		{"nothing before it", [][]av.Frame{{d(1), v(5000)}, {a(5001)}, {a(4990)}}, 2, false, [][]av.Frame{nil, {d(1), v(5000), a(5001)}, {a(4990)}}},
		{"one track", [][]av.Frame{{v(5000)}, {v(5040)}}, 1, false, [][]av.Frame{{v(5000)}, {v(5040)}}},
		{"nothing at first", [][]av.Frame{{}, {c(1)}, {a(1)}}, 0, false, [][]av.Frame{nil, nil, {c(1), a(1)}}},
		{"a track that never begins", [][]av.Frame{long[:25], long[25:], {a(1)}}, 2, false, [][]av.Frame{nil, long, {a(1)}}},
		{"times that stand still", [][]av.Frame{behind[1:], behind[:1]}, 2, false, [][]av.Frame{nil, behind}},
		{"the end", [][]av.Frame{{v(5000), a(4999)}}, 3, true, [][]av.Frame{{a(4999), v(5000)}}},
		{"too early to be of the same clock", [][]av.Frame{{v(5000), a(4000), a(4001)}}, 2, false, [][]av.Frame{{a(4001), v(5000), a(4000)}}},
	} {
		var b beginning
		for i, in := range x.in {
			got := b.take(in, x.tracks, x.last)
			same := slices.EqualFunc(got, x.want[i], func(g, w av.Frame) bool { return g.Kind == w.Kind && g.Type == w.Type && g.DTS == w.DTS })
			if !same {
				t.Errorf("%s: %d: %v instead of %v", x.name, i, got, x.want[i])
			}
		}
	}
	if n := playable([]av.Track{{Kind: av.Video}, {Kind: av.Data}, {Kind: av.Audio}}); n != 2 {
		t.Errorf("%d tracks", n)
	}
}
