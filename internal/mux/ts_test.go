package mux

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/fanout"
	"weir/internal/stream"
)

func TestCheckTS(t *testing.T) {
	h264, av1 := av.Track{Codec: av.H264}, av.Track{Codec: av.AV1}
	mp3, flac := av.Track{Kind: av.Audio, Codec: av.MP3}, av.Track{Kind: av.Audio, Codec: av.FLAC}
	second := av.Track{Codec: av.H265, ID: 1}
	for _, c := range []struct {
		name    string
		variant Variant
		tracks  []av.Track
		reasons []string // none: it may be played
	}{
		{"none yet", Variant{}, nil, nil},
		{"both", Variant{}, []av.Track{h264, mp3}, nil},
		{"sound only", Variant{}, []av.Track{av1, mp3}, nil},
		{"video only", Variant{}, []av.Track{h264, flac}, nil},
		{"neither", Variant{}, []av.Track{av1, flac}, []string{"AV1", "FLAC"}},
		{"unwanted sound", Variant{NoAudio: true}, []av.Track{av1, mp3}, []string{"AV1"}},
		{"unwanted video", Variant{NoVideo: true}, []av.Track{h264, flac}, []string{"FLAC"}},
		{"second track", Variant{}, []av.Track{av1, second}, []string{"AV1"}},
		{"second track, wanted", Variant{AllTracks: true}, []av.Track{av1, second}, nil},
	} {
		err := c.variant.CheckTS(c.tracks)
		if (err == nil) != (c.reasons == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, r := range c.reasons {
			if err != nil && !strings.Contains(err.Error(), r) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// tsPlayer is a player that only collects.
type tsPlayer struct {
	sink   *simSink
	fan    *fanout.Player
	closed chan error
}

// Closed implements fanout.Observer.
func (p *tsPlayer) Closed(_ *fanout.Player, cause error) { p.closed <- cause }

// Skipped implements fanout.Observer.
func (p *tsPlayer) Skipped(*fanout.Player, time.Duration, int64) {}

// testFrame reads a packet of the codecs' test data.
func testFrame(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../codec/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTSJoin has players join streams of several kinds in mid-stream: each is given tables
// first, then what can be decoded, and no counter jumps.
func TestTSJoin(t *testing.T) {
	video := []av.Frame{
		{Codec: av.H264, Type: av.Config, Payload: testFrame(t, "h264-high.config")},
		{Codec: av.H264, Flags: av.Key, Payload: testFrame(t, "h264-high.key")},
		{Codec: av.H264, Payload: testFrame(t, "h264-high.inter")},
	}
	av1 := []av.Frame{
		{Codec: av.AV1, Type: av.Config, Payload: testFrame(t, "av1-main.config")},
		{Codec: av.AV1, Flags: av.Key, Payload: testFrame(t, "av1-main.key")},
		{Codec: av.AV1, Payload: testFrame(t, "av1-main.inter")},
	}
	sound := []av.Frame{
		{Kind: av.Audio, Codec: av.AAC, Type: av.Config, Payload: testFrame(t, "aac-44100-2.config")},
		{Kind: av.Audio, Codec: av.AAC, Payload: testFrame(t, "aac-44100-2.key")},
		{Kind: av.Audio, Codec: av.AAC, Payload: testFrame(t, "aac-44100-2.key")},
	}
	for _, c := range []struct {
		name         string
		variant      Variant
		tracks       [][]av.Frame
		video, sound bool
	}{
		{"both", Variant{Format: TS}, [][]av.Frame{video, sound}, true, true},
		{"video", Variant{Format: TS}, [][]av.Frame{video}, true, false},
		{"sound", Variant{Format: TS}, [][]av.Frame{sound}, false, true},
		{"without video", Variant{Format: TS, NoVideo: true}, [][]av.Frame{video, sound}, false, true},
		{"video left out", Variant{Format: TS}, [][]av.Frame{av1, sound}, false, true},
		{"nothing", Variant{Format: TS}, [][]av.Frame{av1}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := joinTS(t, c.variant, c.tracks)
				if !c.video && !c.sound {
					if len(got) > 0 {
						t.Errorf("%d bytes", len(got))
					}
					return
				}
				if len(got) == 0 || got[1]&0x1f != 0 || got[2] != 0 {
					t.Fatal("tables do not come first")
				}
				var d mpegts.Demuxer
				fs := d.Flush(d.Demux(nil, got))
				counters := d.Counters()
				if counters != (mpegts.Counters{Packets: counters.Packets}) {
					t.Errorf("%+v", counters)
				}
				has := func(k av.Kind) bool { return slices.ContainsFunc(fs, func(f av.Frame) bool { return f.Kind == k }) }
				if has(av.Video) != c.video || has(av.Audio) != c.sound {
					t.Errorf("video %v, sound %v", has(av.Video), has(av.Audio))
				}
				if i := slices.IndexFunc(fs, func(f av.Frame) bool { return f.Kind == av.Video && f.Type == av.Media }); i >= 0 && !fs[i].IsKey() {
					t.Error("it does not begin with a key frame")
				}
			})
		})
	}
}

// joinTS publishes three seconds of tracks, of which a player joins the second, and
// returns what it is sent.
func joinTS(t *testing.T, v Variant, tracks [][]av.Frame) []byte {
	engine := fanout.New(fanout.Options{})
	hub := stream.New(stream.Options{})
	set := NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
	pub, err := hub.Publish("live/a", stream.Info{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(f av.Frame, at time.Duration) {
		f.DTS, f.PTS, f.Arrived = at, at, hub.Now()
		if err := pub.Write(&f); err != nil {
			t.Fatal(err)
		}
	}
	for _, fs := range tracks {
		write(fs[0], 0)
	}
	var p *tsPlayer
	var m *Muxer
	for i := range 75 {
		if i == 30 {
			s, err := hub.Play("live/a")
			if err != nil {
				t.Fatal(err)
			}
			if m, err = set.Open(s, v); err != nil {
				t.Fatal(err)
			}
			p = &tsPlayer{sink: &simSink{room: -1, wg: new(sync.WaitGroup)}, closed: make(chan error, 1)}
			p.fan = engine.Add(p.sink, p, m.Log(), fanout.Counters{})
			p.fan.Join(m.Log(), fanout.Cached)
		}
		for _, fs := range tracks {
			f := fs[2]
			if i%25 == 0 {
				f = fs[1]
			}
			write(f, time.Duration(i)*40*time.Millisecond)
		}
		time.Sleep(40 * time.Millisecond)
	}
	synctest.Wait()
	b := p.sink.take()
	p.fan.Close(context.Canceled)
	<-p.closed
	hub.Close(context.Canceled)
	m.Release()
	time.Sleep(2 * idleTime)
	engine.Close()
	p.sink.wg.Wait()
	return b
}
