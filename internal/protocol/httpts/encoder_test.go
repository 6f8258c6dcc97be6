package httpts

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/h264"
	"weir/codec/nal"
	"weir/format/mpegts"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

func TestCheck(t *testing.T) {
	h264, av1 := av.Track{Codec: av.H264}, av.Track{Codec: av.AV1}
	mp3, flac := av.Track{Kind: av.Audio, Codec: av.MP3}, av.Track{Kind: av.Audio, Codec: av.FLAC}
	second := av.Track{Codec: av.H265, ID: 1}
	for _, c := range []struct {
		name    string
		sel     mux.Selection
		tracks  []av.Track
		reasons []string // none: it may be played
	}{
		{"none yet", mux.Selection{}, nil, nil},
		{"both", mux.Selection{}, []av.Track{h264, mp3}, nil},
		{"sound only", mux.Selection{}, []av.Track{av1, mp3}, nil},
		{"video only", mux.Selection{}, []av.Track{h264, flac}, nil},
		{"neither", mux.Selection{}, []av.Track{av1, flac}, []string{"AV1", "FLAC"}},
		{"unwanted sound", mux.Selection{NoAudio: true}, []av.Track{av1, mp3}, []string{"AV1"}},
		{"unwanted video", mux.Selection{NoVideo: true}, []av.Track{h264, flac}, []string{"FLAC"}},
		{"second track", mux.Selection{}, []av.Track{av1, second}, []string{"AV1"}},
		{"second track, wanted", mux.Selection{AllTracks: true}, []av.Track{av1, second}, nil},
	} {
		h := &stream.Headers{}
		for _, t := range c.tracks {
			h.Tracks = append(h.Tracks, stream.TrackHeader{Track: t})
		}
		err := check(h, c.sel)
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

func TestCheckUnusable(t *testing.T) {
	aac := stream.TrackHeader{Track: av.Track{Kind: av.Audio, Codec: av.AAC}, Unusable: codec.ErrNoConfig}
	if err := check(&stream.Headers{Tracks: []stream.TrackHeader{aac}}, mux.Selection{}); !strings.HasSuffix(fmt.Sprint(err), "audio track 0 (AAC): its configuration is missing or cannot be used") {
		t.Errorf("sound without configuration: %v", err)
	}
	h264 := stream.TrackHeader{Track: av.Track{Codec: av.H264}}
	if err := check(&stream.Headers{Tracks: []stream.TrackHeader{h264, aac}}, mux.Selection{}); err != nil {
		t.Errorf("a picture beside it: %v", err)
	}
}

// messages is a log that keeps everything.
type messages struct {
	bytes []byte
	syncs int
}

// Reserve implements mux.Output.
func (m *messages) Reserve(n int) []byte { return make([]byte, 0, n) }

// Commit implements mux.Output.
func (m *messages) Commit(b []byte, msg fanout.Message) {
	m.bytes = append(m.bytes, b...)
	if msg.Sync {
		m.syncs++
	}
}

// TestPiecesBecomeOneAccessUnit sends a picture in four messages, beside sound that cannot be used.
func TestPiecesBecomeOneAccessUnit(t *testing.T) {
	record, err := os.ReadFile("../../../codec/testdata/h264-high.config")
	if err != nil {
		t.Fatal(err)
	}
	c, err := h264.ParseConfig(record)
	if err != nil {
		t.Fatal(err)
	}
	track, err := codec.Describe(av.H264, av.Video, record)
	if err != nil {
		t.Fatal(err)
	}
	h := &stream.Headers{Tracks: []stream.TrackHeader{
		{Track: track, Media: true},
		{Track: av.Track{Kind: av.Audio, Codec: av.AAC}, Media: true, Unusable: codec.ErrNoConfig},
	}}
	sei, idr, slice := []byte{6, 5, 1, 0, 0x80}, []byte{0x65, 0x88, 0x84}, []byte{0x41, 0x9a, 1}
	enc := variant{}.NewEncoder()
	var out messages
	put := func(ms int, key bool, units ...[]byte) {
		var b []byte
		for _, u := range units {
			b, _ = nal.Append(b, u, 4)
		}
		e := stream.Entry{Frame: av.Frame{Codec: av.H264, DTS: time.Duration(ms) * time.Millisecond, Payload: b}, Headers: h}
		if e.PTS = e.DTS; key {
			e.Flags = av.Key
		}
		enc.Append(&e, &out)
	}
	put(0, true, c.SPS[0])
	put(0, true, c.PPS[0])
	put(0, true, sei)
	if len(out.bytes) > 0 {
		t.Fatal("something went out before the picture")
	}
	put(0, true, idr)
	put(40, false, slice)
	enc.Append(&stream.Entry{Frame: av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: []byte{0x21}}, Headers: h}, &out)
	var d mpegts.Demuxer
	var got []string
	for _, f := range d.Flush(d.Demux(nil, out.bytes)) {
		got = append(got, fmt.Sprintf("%v %v %v %x", f.Codec, f.DTS, f.IsKey(), f.Payload))
	}
	want := []string{"", "H.264 200ms true 00000005060501008000000003658884", "H.264 240ms false 00000003419a01"}
	if len(got) == len(want) {
		got[0] = "" // the configuration
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if out.syncs != 1 {
		t.Errorf("players may start at %d places", out.syncs)
	}
}

// collector is a socket that takes everything.
type collector struct {
	mu  sync.Mutex
	got []byte
}

// TrySend implements fanout.Sink.
func (c *collector) TrySend(p []byte) (int, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, p...)
	return len(p), false, nil
}

// Arm implements fanout.Sink: it is never full.
func (c *collector) Arm(fanout.Writable) {}

// Close implements fanout.Sink.
func (c *collector) Close() error { return nil }

func (c *collector) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

// tsPlayer is a player that only collects.
type tsPlayer struct {
	sink   *collector
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
	b, err := os.ReadFile("../../../codec/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestJoin has players join streams of several kinds in mid-stream, at the newest key frame or at live:
// each is given tables first, then what can be decoded, and no counter jumps.
func TestJoin(t *testing.T) {
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
		sel          mux.Selection
		tracks       [][]av.Frame
		video, sound bool
	}{
		{"both", mux.Selection{}, [][]av.Frame{video, sound}, true, true},
		{"video", mux.Selection{}, [][]av.Frame{video}, true, false},
		{"sound", mux.Selection{}, [][]av.Frame{sound}, false, true},
		{"without video", mux.Selection{NoVideo: true}, [][]av.Frame{video, sound}, false, true},
		{"video left out", mux.Selection{}, [][]av.Frame{av1, sound}, false, true},
		{"nothing", mux.Selection{}, [][]av.Frame{av1}, false, false},
	} {
		for _, live := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, live %v", c.name, live), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got := join(t, variant{Selection: c.sel}, live, c.tracks)
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
}

// join publishes three seconds of tracks, of which a player joins the second, and
// returns what it is sent.
func join(t *testing.T, v variant, live bool, tracks [][]av.Frame) []byte {
	engine := fanout.New(fanout.Options{})
	hub := stream.New(stream.Options{})
	set := mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
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
	var m *mux.Muxer
	for i := range 75 {
		if i == 30 {
			s, err := hub.Play("live/a")
			if err != nil {
				t.Fatal(err)
			}
			if m, err = set.Open(s, v); err != nil {
				t.Fatal(err)
			}
			p = &tsPlayer{sink: new(collector), closed: make(chan error, 1)}
			p.fan = engine.Add(p.sink, p, m.Log(), fanout.Counters{})
			var from fanout.Start
			if live {
				from.Lead = m.Lead()
			}
			p.fan.Join(m.Log(), from)
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
	time.Sleep(time.Minute) // the muxer stops when it has been idle
	engine.Close()
	return b
}
