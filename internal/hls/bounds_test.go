package hls

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/internal/stream"
)

// none is a container that keeps nothing.
type none struct{}

func (none) check(*av.Track) error                                        { return nil }
func (none) begin([]stream.TrackHeader, bool) ([]byte, error)             { return nil, nil }
func (none) encode([]frame, []text, trackKey, time.Duration, bool) []byte { return nil }
func (none) ext() string                                                  { return ".m4s" }

var (
	picture = trackKey{av.Video, 0}
	sound   = trackKey{av.Audio, 0}
)

// bare is a packager of no container, with one rendition, and without parts.
func bare() (*Packager, *Rendition) {
	p := NewPackager("live/a", Options{Settings: Default(), Now: func() time.Duration { return 0 }})
	p.running, p.headers = true, &stream.Headers{}
	r := p.newRendition("main")
	r.box, r.lead = none{}, picture
	p.renditions = []*Rendition{r}
	return p, r
}

// at is a frame of a track at a time.
func at(k trackKey, d time.Duration, size int) frame {
	return frame{Frame: av.Frame{Kind: k.kind, Track: k.id, DTS: d, PTS: d, Payload: make([]byte, size)}, at: d}
}

// say gives the packager a data message.
func say(t *testing.T, p *Packager, name string, props amf.Object) {
	t.Helper()
	p.data(&stream.Entry{Frame: *script(t, 0, name, props)})
}

// TestTextsAtTheBounds: 256 texts of 16 KiB wait for their part; what is more, or longer, is left out.
func TestTextsAtTheBounds(t *testing.T) {
	p, _ := bare()
	for i, c := range []struct{ size, waiting int }{{16385, 0}, {16384, 1}} {
		say(t, p, "onTextData", amf.Object{{Key: "text", Value: strings.Repeat("x", c.size)}})
		if len(p.texts) != c.waiting {
			t.Errorf("text %d of %d bytes: %d wait", i, c.size, len(p.texts))
		}
	}
	for range 255 {
		say(t, p, "onTextData", amf.Object{{Key: "text", Value: "x"}})
	}
	if len(p.texts) != 256 {
		t.Errorf("%d wait", len(p.texts))
	}
	if say(t, p, "onTextData", amf.Object{{Key: "text", Value: "x"}}); len(p.texts) != 256 {
		t.Errorf("%d wait, after one more", len(p.texts))
	}
}

// TestCuesAtTheBounds: the newest 64 date ranges are kept; of an id 64 bytes are; a length is at most a day, and a section 4096 bytes.
func TestCuesAtTheBounds(t *testing.T) {
	section := func(n int) string {
		b := make([]byte, n)
		b[0] = 0xfc
		return base64.StdEncoding.EncodeToString(b)
	}
	for name, c := range map[string]struct {
		message string
		props   amf.Object
		id      string // "": there is none
		planned time.Duration
	}{
		"id":              {"onAdCue", amf.Object{{Key: "id", Value: strings.Repeat("i", 64)}}, "cue-" + strings.Repeat("i", 64), -1},
		"longer id":       {"onAdCue", amf.Object{{Key: "id", Value: strings.Repeat("i", 65)}}, "cue-" + strings.Repeat("i", 64), -1},
		"length":          {"onAdCue", amf.Object{{Key: "id", Value: 1.0}, {Key: "duration", Value: 86400.0}}, "cue-1", 24 * time.Hour},
		"longer":          {"onAdCue", amf.Object{{Key: "id", Value: 1.0}, {Key: "duration", Value: 86400.001}}, "cue-1", -1},
		"section":         {"onScte35", amf.Object{{Key: "data", Value: section(4096)}}, "splice-at", -1},
		"longer section":  {"onScte35", amf.Object{{Key: "data", Value: section(4097)}}, "", -1},
		"longest base64":  {"onScte35", amf.Object{{Key: "data", Value: section(4096) + strings.Repeat("\n", 8192-5464)}}, "splice-at", -1},
		"too long base64": {"onScte35", amf.Object{{Key: "data", Value: section(4096) + strings.Repeat("\n", 8193-5464)}}, "", -1},
	} {
		p, _ := bare()
		say(t, p, c.message, c.props)
		if len(p.events.list) != min(len(c.id), 1) {
			t.Errorf("%s: %d date ranges", name, len(p.events.list))
			continue
		}
		for _, d := range p.events.list {
			planned := time.Duration(-1)
			if d.PlannedDuration != nil {
				planned = *d.PlannedDuration
			}
			if !strings.HasPrefix(d.ID, c.id) || c.message == "onAdCue" && d.ID != c.id || planned != c.planned {
				t.Errorf("%s: %s of %v", name, d.ID, planned)
			}
		}
	}
	p, _ := bare()
	for i := range 65 {
		if n := len(p.events.list); n != i || i == 64 && p.events.list[0].ID != "cue-0" {
			t.Errorf("%d date ranges after %d", n, i)
		}
		say(t, p, "onAdCue", amf.Object{{Key: "id", Value: float64(i)}})
	}
	if n := len(p.events.list); n != 64 || p.events.list[0].ID != "cue-1" {
		t.Errorf("%d date ranges from %s on", n, p.events.list[0].ID)
	}
}

// TestDiskQueueAtTheBound: 256 jobs wait for a slow disk beside the one that it does; the next is refused.
func TestDiskQueueAtTheBound(t *testing.T) {
	started, release, done := make(chan struct{}), make(chan struct{}), 0
	d := &disk{warn: func(err error) { t.Error(err) }}
	d.do(func() error {
		close(started)
		<-release
		return nil
	})
	<-started
	for i := range 256 {
		if !d.do(func() error { done++; return nil }) {
			t.Fatalf("job %d is refused", i)
		}
	}
	if d.do(func() error { done++; return nil }) {
		t.Error("257 jobs wait")
	}
	close(release)
	if d.work.Wait(); done != 256 {
		t.Errorf("%d jobs were done", done)
	}
}

// TestNamesAtTheBound: a name has up to 80 bytes.
func TestNamesAtTheBound(t *testing.T) {
	for size, want := range map[int]bool{80: true, 81: false} {
		s := "abc2abc2abc2_" + strings.Repeat("r", size-len("abc2abc2abc2_.m3u8")) + ".m3u8"
		if n, ok := ParseName(s); ok != want || len(s) != size || ok && n.String() != s {
			t.Errorf("%d bytes: %v", len(s), ok)
		}
	}
}

// TestPartsAtTheBounds: a part holds 4096 pictures, or 32 MiB of them, however short they are.
func TestPartsAtTheBounds(t *testing.T) {
	for _, c := range []struct {
		frames, bytes int // of the open part
		size          int // of the next
		ends          bool
	}{
		{4095, 0, 1, false},
		{4096, 0, 1, true},
		{1, 32<<20 - 5, 5, false},
		{1, 32<<20 - 5, 6, true},
		{1, 33 << 20, 1, true},
	} {
		_, r := bare()
		r.segments = []*segment{{}}
		for range c.frames {
			r.open = append(r.open, at(picture, 0, 0))
		}
		r.openBytes = c.bytes
		f := at(picture, 0, c.size)
		if r.endsPart(&f); (len(r.segments[0].parts) == 1) != c.ends {
			t.Errorf("%d frames and %d bytes, and %d more: %d parts", c.frames, c.bytes, c.size, len(r.segments[0].parts))
		}
	}
}

// TestBacklogAtTheBounds: until the pace is known 4096 frames are kept, and 8192 if the rest are pictures; then the stream begins with those.
func TestBacklogAtTheBounds(t *testing.T) {
	p, r := bare()
	key := at(picture, 0, 1)
	key.Flags |= av.Key
	p.collect(key, false)
	for range 4096 {
		p.collect(at(sound, 0, 1), false)
	}
	if n := len(p.backlog); n != 4096 {
		t.Errorf("%d are kept", n)
	}
	for i := range 4095 {
		p.collect(at(picture, time.Duration(i+1)*time.Microsecond, 1), false)
	}
	if n := len(p.backlog); n != 8191 || p.settled {
		t.Errorf("%d are kept; it has begun: %v", n, p.settled)
	}
	p.collect(at(picture, 4096*time.Microsecond, 1), false)
	if !p.settled || len(p.backlog) != 0 || r.openSegment() == nil {
		t.Errorf("it has begun: %v; %d are kept", p.settled, len(p.backlog))
	}
}

// TestQueueAtTheBounds: 4096 frames of ten seconds wait for their part; the oldest go.
func TestQueueAtTheBounds(t *testing.T) {
	_, r := bare()
	for i := range 4096 {
		r.enqueue(at(sound, time.Duration(i), 1))
	}
	if n := len(r.queue); n != 4096 || r.queue[0].at != 0 {
		t.Errorf("%d wait, from %d on", n, r.queue[0].at)
	}
	r.enqueue(at(sound, 4096, 1))
	if n := len(r.queue); n != 4096 || r.queue[0].at != 1 {
		t.Errorf("%d wait, from %d on", n, r.queue[0].at)
	}
	_, r = bare()
	for d, first := range map[time.Duration]time.Duration{10 * time.Second: 0, 10*time.Second + 1: 10*time.Second + 1} {
		r.queue = nil
		r.enqueue(at(sound, 0, 1))
		if r.enqueue(at(sound, d, 1)); r.queue[0].at != first {
			t.Errorf("after %v the first that waits is at %v", d, r.queue[0].at)
		}
	}
}

// TestEarlySoundAtTheBound: a stream begins with the sound of a tenth of a second before its first picture.
func TestEarlySoundAtTheBound(t *testing.T) {
	_, r := bare()
	r.enqueue(at(sound, 899999999, 1))
	r.enqueue(at(sound, 900*time.Millisecond, 1))
	r.begin(time.Second, 0, nil)
	if len(r.queue) != 1 || r.queue[0].at != 900*time.Millisecond {
		t.Errorf("%d wait", len(r.queue))
	}
}

// TestPaceAtTheBounds: what has no parts is written in pieces of a second, and a segment ends 50 ms before its length would be rounded up.
func TestPaceAtTheBounds(t *testing.T) {
	p := pace{target: 2 * time.Second}
	for d, want := range map[time.Duration]bool{960 * time.Millisecond: false, 960*time.Millisecond + 1: true} {
		if got := p.full(d, 40*time.Millisecond); got != want {
			t.Errorf("full with %v and a frame of 40ms: %v", d, got)
		}
	}
	for d, want := range map[time.Duration]bool{2410 * time.Millisecond: false, 2410*time.Millisecond + 1: true} {
		if got := p.tooLong(d, 40*time.Millisecond); got != want {
			t.Errorf("too long with %v and a frame of 40ms: %v", d, got)
		}
	}
	if p.hole() != time.Second {
		t.Errorf("a hole from %v on", p.hole())
	}
}

// TestPatienceAtTheBounds: pictures may pause for 1.5 s and sound for 0.4; what was seen to pause may for longer, up to 8 s.
func TestPatienceAtTheBounds(t *testing.T) {
	for _, c := range []struct {
		s    standIn
		kind av.Kind
		want time.Duration
	}{
		{standIn{}, av.Video, 1500 * time.Millisecond},
		{standIn{}, av.Audio, 400 * time.Millisecond},
		{standIn{every: 2500 * time.Millisecond}, av.Video, 7500 * time.Millisecond},
		{standIn{every: time.Hour}, av.Video, 8 * time.Second},
		{standIn{pause: time.Hour}, av.Audio, 8 * time.Second},
	} {
		if got := c.s.patience(c.kind); got != c.want {
			t.Errorf("%+v: %v, want %v", c.s, got, c.want)
		}
	}
	for gap, pause := range map[time.Duration]time.Duration{8 * time.Second: 8 * time.Second, 8*time.Second + 1: 0} {
		p, _ := bare()
		s := &standIn{active: true}
		f := at(picture, gap, 1)
		if p.comesBack(s, &f) || s.pause != pause {
			t.Errorf("a picture after %v: a pause of %v, want %v", gap, s.pause, pause)
		}
	}
}

// TestStandInsAtTheBound: frames stand in for the last ten seconds; what was before them is a hole.
func TestStandInsAtTheBound(t *testing.T) {
	p, r := bare()
	r.sound, r.lead = &sound, sound // its frames wait for a segment of the main rendition
	s := &standIn{frame: at(sound, 0, 1), step: time.Second}
	p.fill(s, 100*time.Second, 0)
	if n := len(r.queue); n != 10 || r.queue[0].at != 90*time.Second || r.queue[9].at != 99*time.Second {
		t.Errorf("%d stand in, from %v on", n, r.queue[0].at)
	}
}

// TestStillClock: time stamps may stand still for a second while frames arrive.
func TestStillClock(t *testing.T) {
	for arrived, want := range map[time.Duration]time.Duration{6 * time.Second: time.Second, 6*time.Second + 1: 2*time.Second + 1} {
		p, _ := bare()
		p.place(&av.Frame{DTS: time.Second, Arrived: 5 * time.Second}, true)
		if got := p.place(&av.Frame{DTS: time.Second, Arrived: arrived}, true); got != want {
			t.Errorf("arrived at %v: packaged at %v, want %v", arrived, got, want)
		}
	}
}

// mp4Of is a track of a container, with the ticks in a second.
func mp4Of(t *testing.T, k av.Kind, codec av.Codec, scale uint32, config string) (*mp4Container, *mp4Track) {
	t.Helper()
	c := &mp4Container{}
	if _, err := c.begin([]stream.TrackHeader{{Track: av.Track{Kind: k, Codec: codec, Config: read(t, config), SampleRate: 48000, Channels: 1}}}, false); err != nil {
		t.Fatal(err)
	}
	if c.tracks[0].scale != int64(scale) {
		t.Fatalf("%d ticks in a second", c.tracks[0].scale)
	}
	return c, c.tracks[0]
}

// TestCompositionAtTheBound: a picture may be shown ten seconds from its decoding; what says more is shown when it is decoded.
func TestCompositionAtTheBound(t *testing.T) {
	c, track := mp4Of(t, av.Video, av.H264, 90000, "h264-high.config")
	payload := read(t, "h264-high.key")
	for cts, want := range map[time.Duration]int32{10 * time.Second: 900_000, 10*time.Second + 1: 0, -10 * time.Second: -900_000, -10*time.Second - 1: 0} {
		f := at(picture, 0, 0)
		f.Codec, f.PTS, f.Payload = av.H264, cts, payload
		c.scratch, track.next = nil, -1
		if c.video(track, []frame{f}, time.Second); len(c.scratch) != 1 || c.scratch[0].CTS != want {
			t.Errorf("%v: %+v", cts, c.scratch)
		}
	}
}

// TestCountedSoundAtTheBound: what counted samples say is believed until the time stamps are more than a tenth of a second away.
func TestCountedSoundAtTheBound(t *testing.T) {
	c, track := mp4Of(t, av.Audio, av.AAC, 48000, "aac-48000-1.config")
	ticks := func(n int) time.Duration { return time.Duration(math.Round(float64(n) * 1e9 / 48000)) }
	payload := read(t, "aac-48000-1.key")
	for _, d := range []struct {
		ahead int   // ticks from where the first frame ended
		next  int64 // where the second ends
	}{
		{4800, 48000 + 2*1024},
		{4801, 48000 + 2*1024 + 4801},
		{-4800, 48000 + 2*1024},
		{-4801, 48000 + 1024}, // it is left out
	} {
		var frames []frame
		for _, n := range []int{48000, 48000 + 1024 + d.ahead} {
			f := at(sound, ticks(n), 0)
			f.Codec, f.Payload = av.AAC, payload
			frames = append(frames, f)
		}
		c.scratch, track.next = nil, -1
		if c.sound(track, frames); track.next != d.next {
			t.Errorf("%d ticks ahead: ends at %d, want %d", d.ahead, track.next, d.next)
		}
	}
}

// TestKeptAtTheBounds: a packager runs on for a minute after the last request, and what has ended is kept for two.
func TestKeptAtTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, _ := live(t, steady, Default())
		r.set.Get(r.p.ID(), "live/a")
		r.send(steady, time.Minute-time.Nanosecond, nil)
		synctest.Wait()
		if !r.isRunning() {
			t.Error("it stops before a minute is over")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); r.isRunning() {
			t.Error("it runs after a minute")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r, _, _, _ := live(t, steady, Default())
		s := r.hub.Get("live/a")
		r.set.Get(r.p.ID(), "live/a")
		begun := time.Now()
		r.pub.Close(nil)
		<-s.Over()
		time.Sleep(time.Until(begun.Add(2*time.Minute - time.Nanosecond)))
		synctest.Wait()
		kept := func() bool {
			r.set.mu.Lock()
			defer r.set.mu.Unlock()
			return r.set.byID[r.p.ID()] != nil
		}
		if !kept() {
			t.Error("it is forgotten before two minutes are over")
		}
		time.Sleep(time.Nanosecond)
		if synctest.Wait(); kept() {
			t.Error("it is kept after two minutes")
		}
	})
}

// TestStillsAtTheBounds: a key frame that stands in lasts half a second, and stays half a second behind the sound.
func TestStillsAtTheBounds(t *testing.T) {
	p, _ := bare()
	p.headers = &stream.Headers{Tracks: []stream.TrackHeader{{Track: av.Track{Kind: av.Video}}}}
	s := &standIn{frame: at(picture, 0, 1), active: true}
	now := at(sound, 10*time.Second, 1)
	if p.cover(s, picture, &now); s.step != 500*time.Millisecond || s.stood != 9500*time.Millisecond {
		t.Errorf("lasts %v, the last until %v", s.step, s.stood)
	}
}

// TestSilentLeadAtTheBounds: a stream whose pictures do not come is begun without them after one and a half seconds.
func TestSilentLeadAtTheBounds(t *testing.T) {
	for d, begun := range map[time.Duration]bool{1500 * time.Millisecond: false, 1500*time.Millisecond + 1: true} {
		p, _ := bare()
		key, f := at(picture, 0, 1), at(sound, d, 1)
		key.Flags |= av.Key
		f.Arrived = d
		p.collect(key, false)
		if p.collect(f, false); p.settled != begun {
			t.Errorf("after %v it has begun: %v", d, p.settled)
		}
		p, _ = bare()
		first := at(sound, 0, 1)
		first.Arrived = time.Second
		f.Arrived = time.Second + d
		p.collect(first, false)
		if p.collect(f, false); (p.absent == picture) != begun {
			t.Errorf("after %v it is absent: %+v", d, p.absent)
		}
	}
}
