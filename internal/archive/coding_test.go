package archive

import (
	"bytes"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/mp4"
	"weir/internal/protocol/protocoltest"
)

// TestSpansOfOneCoding: two sizes whose codecs have one name are two spans, so that what a refusal names can be played.
func TestSpansOfOneCoding(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	a := w.rig.record(encoded(t, "160x90"), "live/a", "0.mp4", 0, 0, 4*time.Second)
	b := w.rig.record(encoded(t, "192x108"), "live/a", "1.mp4", 4*time.Second, 0, 4*time.Second)
	b.Take = a.Take
	b.Codecs = a.Codecs
	must(t, w.put(&Row{File: b, State: Done}))
	l, err := w.List(t.Context(), Query{Stream: "live/a"})
	must(t, err)
	if len(l.Spans) != 2 || l.Spans[0].Coding == "" || l.Spans[0].Coding == l.Spans[1].Coding || len(l.Gaps) != 0 {
		t.Fatalf("%+v", l)
	}
	whole := w.get(http.MethodGet, film("live/a", 0, 8*time.Second, ""))
	if whole.status != 409 || strings.Count(string(whole.body), "from=") != 2 {
		t.Fatal(whole.status, string(whole.body))
	}
	for _, s := range l.Spans {
		if a := w.get(http.MethodGet, film("live/a", s.From.Sub(epoch), s.To.Sub(epoch), "&gaps=error")); a.status != 200 {
			t.Error(a.status, string(a.body))
		}
	}
}

// TestClocksOfOneStream: a file whose first second jitters has another time scale than those beside it. A range over them is one file all
// the same, in which each picture is shown when it was.
func TestClocksOfOneStream(t *testing.T) {
	const frame = time.Second * 1001 / 60000
	m := encoded(t, "160x90")
	steady := &material{tracks: slices.Clone(m.tracks[:1])}
	steady.tracks[0].FrameRate = 0
	for _, f := range m.frames {
		if f.Kind == av.Video {
			steady.frames = append(steady.frames, f)
		}
	}
	n := 0
	retimed := func(jitter bool) *material {
		out := &material{tracks: steady.tracks, frames: slices.Clone(steady.frames)}
		for i := range out.frames {
			f := &out.frames[i]
			delay := (f.PTS - f.DTS) / (40 * time.Millisecond) * frame
			f.DTS = (time.Duration(i) * frame).Round(time.Millisecond)
			f.PTS = (f.DTS + delay).Round(time.Millisecond)
			if jitter && i > 0 && i < 100 && i%3 == 1 {
				f.DTS, f.PTS = f.DTS+4*time.Millisecond, f.PTS+4*time.Millisecond
			}
		}
		return out
	}
	w := newWeb(t, protocoltest.Options{}, nil)
	scales := map[uint32]bool{}
	at := time.Duration(0)
	for i, jitter := range []bool{false, true, false} {
		x := retimed(jitter)
		name := string(rune('0'+i)) + ".mp4"
		f := w.rig.record(x, "live/a", name, at, 0, 400*frame-frame/2)
		f.Take, f.Start = "01KB0000000000000000000000", f.Start.Add(2*frame) // when its first picture is shown
		must(t, w.put(&Row{File: f, State: Done}))
		at += f.Duration
		n += 400
		b := read(t, filepath.Join(w.dir, name))
		x2, err := mp4.ReadIndex(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		mdhd := bytes.Index(x2.Init, []byte("mdhd"))
		box := x2.Init[mdhd+4:]
		place := 12
		if box[0] == 1 {
			place = 20
		}
		scales[uint32(box[place])<<24|uint32(box[place+1])<<16|uint32(box[place+2])<<8|uint32(box[place+3])] = true
	}
	if !scales[60000] || !scales[90000] || len(scales) != 2 {
		t.Fatal("the files do not have two time scales: ", scales)
	}
	l, err := w.List(t.Context(), Query{Stream: "live/a"})
	must(t, err)
	if len(l.Spans) != 1 {
		t.Fatalf("%d spans", len(l.Spans))
	}
	a := w.get(http.MethodGet, film("live/a", 2*frame, at+2*frame, "&gaps=error"))
	if a.status != 200 {
		t.Fatal(a.status, string(a.body))
	}
	first, last, length, got := w.probe(a.body)
	if got != n || math.Abs(first) > 0.003 || math.Abs(last-(at-frame).Seconds()) > 0.003 || math.Abs(length-at.Seconds()) > 0.003 {
		t.Errorf("%d pictures of %d, shown from %v to %v of %v; they last %v", got, n, first, last, length, at)
	}
}
