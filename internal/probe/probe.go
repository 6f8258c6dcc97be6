// Package probe reads a stream's frames for a while and reports what is in it and what is wrong with it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"weir/amf"
	"weir/av"
	"weir/codec"
	"weir/format/flv"
	"weir/internal/fetch"
	"weir/internal/health"
	"weir/internal/timeline"
)

const (
	// liveDuration is how much of a live stream is read by default.
	liveDuration = 5 * time.Second
	// keySearch is how long to wait for a second key frame, to know the time between two.
	keySearch = 12 * time.Second
	// grace is how long a live stream may take to begin.
	grace = 10 * time.Second
)

// Run reads s for duration of its own time and reports; 0 is 5 s of a live stream, and all of a file. It
// goes on for at most 12 s if no second key frame has come by then. It fails if no frame came at all.
func Run(ctx context.Context, s fetch.Source, duration time.Duration) (*Report, error) {
	switch {
	case duration > 0:
	case s.Live():
		duration = liveDuration
	default:
		duration = math.MaxInt64
	}
	if s.Live() {
		bounded, cancel := context.WithTimeout(ctx, max(duration, keySearch)+grace)
		defer cancel()
		defer context.AfterFunc(bounded, func() { _ = s.Close() })()
	} else {
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	}
	p := newProber()
	p.live = s.Live()
	begin := time.Now()
	for {
		f, err := s.ReadFrame()
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			p.whole = errors.Is(err, io.EOF) && !s.Live()
			if p.frames == 0 && !errors.Is(err, io.EOF) {
				return nil, err
			}
			break
		}
		elapsed := p.line.Head()
		if s.Live() {
			elapsed = time.Since(begin)
		}
		p.add(f, elapsed)
		length := max(p.line.Head(), elapsed)
		if length >= duration && (p.keyed() || length >= keySearch) {
			break
		}
	}
	p.condition = s.Condition()
	if p.frames == 0 {
		if len(p.condition.LeftOut) > 0 {
			return nil, fmt.Errorf("there is no track that can be read: %s", strings.Join(p.condition.LeftOut, ", "))
		}
		return nil, errors.New("the stream has ended without a frame")
	}
	return p.report(), nil
}

type key struct {
	kind av.Kind
	id   uint8
}

// prober is what is known so far of a stream.
type prober struct {
	tracks     map[key]*track
	order      []key
	metadata   amf.Object
	line       timeline.Timeline
	frames     int
	jumps      []jump
	jumped     int
	live       bool
	whole      bool // a file was read to its end
	condition  fetch.Condition
	interleave health.Order // of sound and picture, to tell drift
}

// jump is a moment at which the clock jumps.
type jump struct {
	at time.Duration // on the timeline
	by time.Duration
}

// maxJumps bounds the jumps that are reported one by one.
const maxJumps = 3

// track is what is known of one track. Times are on the timeline but raw ones.
type track struct {
	clock      timeline.Clock
	info       av.Track
	config     []byte
	hasSetup   bool   // there was a configuration
	badSetup   string // why one cannot be used
	nalSize    int
	frames     int
	bytes      int64
	first      time.Duration
	last       time.Duration
	rawFirst   time.Duration
	rawLast    time.Duration
	moved      bool          // the raw times are not all the same
	flow       time.Duration // the sum of the steps between frames that are no gaps
	steps      int           // how many they are
	lead       lead
	pts        time.Duration // highest so far
	reorder    bool
	back       int // how often the time falls a little
	gaps       int
	largest    time.Duration // step
	mislabel   int
	startCodes int // frames that hold them
	adts       int // frames that have its headers
	endless    int // frames of AAC that do not end as such
	damaged    int
	damage     string // of the first frame that is
	keys       keys
	pace       health.Pace
}

// maxLeadStep is the longest time between two pictures of a lead, and more than there is between two pictures of any camera.
const maxLeadStep = 2 * time.Millisecond

// lead is the pictures with which a server lets a player begin at live: those since the newest key frame, squeezed into a moment. Their times
// say nothing of the stream.
type lead struct {
	steps int           // from the first frame on
	end   time.Duration // the time of its last frame
	bytes int64         // of its frames but the last
}

// keys are the key frames of a track.
type keys struct {
	n            int
	first, last  time.Duration
	at           int           // number of the last one's frame
	gap          time.Duration // between the first two
	longest      time.Duration // between others
	fewest, most int           // frames from one to the next
}

// add takes a key frame, which is frame number n.
func (k *keys) add(at time.Duration, n int) {
	if k.n++; k.n == 1 {
		k.first = at
	} else {
		if k.n == 2 {
			k.gap = at - k.last
		} else {
			k.longest = max(k.longest, at-k.last)
		}
		if frames := n - k.at; k.n == 2 {
			k.fewest, k.most = frames, frames
		} else {
			k.fewest, k.most = min(k.fewest, frames), max(k.most, frames)
		}
	}
	k.last, k.at = at, n
}

func newProber() *prober {
	p := &prober{tracks: map[key]*track{}}
	p.line.NewSource()
	return p
}

// keyed reports whether the distance of key frames is known of each video track.
func (p *prober) keyed() bool {
	for _, t := range p.tracks {
		if t.info.Kind == av.Video && t.frames > 0 && t.keys.n < 2 {
			return false
		}
	}
	return true
}

// add takes a frame that arrived when so much of the stream had gone by.
func (p *prober) add(f *av.Frame, arrived time.Duration) {
	if f.Kind == av.Data {
		if f.Type != av.Script {
			return
		}
		if name, props, err := flv.ParseMetadata(f.Payload); err == nil && name == "onMetaData" {
			p.metadata = props
		}
		return
	}
	k := key{f.Kind, f.Track}
	t := p.tracks[k]
	if t == nil {
		t = &track{info: av.Track{Kind: f.Kind, ID: f.Track, Codec: f.Codec}}
		p.tracks[k] = t
		p.order = append(p.order, k)
	}
	switch f.Type {
	case av.Config:
		info, err := codec.Describe(f.Codec, f.Kind, f.Payload)
		if err != nil && t.badSetup == "" {
			t.badSetup = strings.TrimPrefix(err.Error(), fmt.Sprintf("codec: describing %v: ", f.Codec))
		} else if err == nil {
			info.ID = f.Track
			t.info = info
		}
		t.hasSetup, t.config = true, f.Payload
		t.nalSize = codec.NALLengthSize(f.Codec, f.Payload)
	case av.Media:
		p.media(t, f, arrived)
	}
}

func (p *prober) media(t *track, f *av.Frame, arrived time.Duration) {
	p.frames++
	at, what := p.line.Put(&t.clock, f.DTS, f.PTS-f.DTS, arrived)
	if t.frames == 0 {
		t.begin(f, at)
	}
	switch by := f.DTS - t.rawLast; {
	case what == timeline.Rebased:
		if p.jumped++; len(p.jumps) < maxJumps {
			p.jumps = append(p.jumps, jump{at, by})
		}
	case by < 0 && by > -maxBack:
		t.back++
	}
	t.moved = t.moved || f.DTS != t.rawFirst
	t.rawLast = f.DTS
	step := at - t.last
	if p.live && f.Kind == av.Video && t.frames > 0 && t.lead.steps == t.frames-1 && step <= maxLeadStep {
		t.lead = lead{t.frames, at, t.bytes}
	} else if step > maxGap {
		t.gaps++
	} else if t.frames > 0 {
		t.flow += step
		t.steps++
	}
	if f.Kind == av.Video && t.info.Size.Width == 0 && f.IsKey() {
		t.measure(f)
	}
	if f.Kind == av.Audio {
		t.pace.Add(at, codec.FrameDuration(f.Codec, t.config, f.Payload), what == timeline.Rebased || step > maxGap)
	}
	t.largest = max(t.largest, step)
	t.last = at
	pts := at + f.PTS - f.DTS
	t.reorder = t.reorder || pts < t.pts
	t.pts = max(t.pts, pts)
	if startCodes(f, t.nalSize) {
		t.startCodes++
	}
	if addsADTS(f, t.config) {
		t.adts++
	}
	if endless(f) {
		t.endless++
	}
	if why := damage(f, t.nalSize); why != "" {
		if t.damaged++; t.damaged == 1 {
			t.damage = why
		}
	} else if f.Kind == av.Video {
		isKey := f.IsKey()
		if real, known := codec.IsKey(f.Codec, f.Payload, t.nalSize); known && real != isKey {
			t.mislabel++
			isKey = real
		}
		if isKey {
			t.keys.add(at, t.frames)
		}
	}
	t.frames++
	t.bytes += int64(len(f.Payload))
	if f.Kind == av.Video && f.Track == 0 {
		p.compare(t)
	}
}

// begin handles the first media frame.
func (t *track) begin(f *av.Frame, at time.Duration) {
	t.first, t.last, t.pts = at, at, at+f.PTS-f.DTS
	t.rawFirst, t.rawLast = f.DTS, f.DTS
	if t.hasSetup {
		return
	}
	if info, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload); err == nil {
		info.ID = f.Track
		t.info = info
	}
}

// measure takes the picture's size of a key frame, for codecs whose configuration has none.
func (t *track) measure(f *av.Frame) {
	info, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload)
	if err != nil {
		return
	}
	t.info.Size = info.Size
	if t.info.Profile == "" {
		t.info.Profile = info.Profile
	}
}

// compare notes how far the sound is behind the picture, at a frame of this.
func (p *prober) compare(video *track) {
	audio := p.tracks[key{av.Audio, 0}]
	if audio == nil || audio.frames == 0 || p.jumped > 0 {
		return
	}
	p.interleave.Add(video.last, audio.last)
}
