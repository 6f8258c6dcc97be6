package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/amf"
	"weir/av"
	"weir/codec"
	"weir/format/flv"
	"weir/internal/stream"
)

const (
	// keepEvery is how often the figures are kept, and maxKept how many of them are: those of a minute.
	keepEvery = 4 * time.Second
	maxKept   = 16
	// rateOver, speedOver and bitrateOver are the times over which frames, the stream's progress and its bits
	// are measured at least.
	rateOver    = 10 * time.Second
	speedOver   = 20 * time.Second
	bitrateOver = 30 * time.Second
	// settleTime is how old a publisher is before tracks are missed.
	settleTime = 5 * time.Second
	// headerTime is for how long a track may lack what its codec needs: some send it with each key frame.
	headerTime = 3 * time.Second
	// minSpeedFrames is how many frames must come a second for the stream's progress to be measured by them.
	minSpeedFrames = 5
	// minBack is how often a minute the decoding time must go back for it to be worth a word.
	minBack = 3
	// gapShare is how many frames to a gap a track must have: one with fewer is slow by nature.
	gapShare = 10
	// liveNotes is how many notes of two clocks are kept of a running stream, one a second.
	liveNotes = 64

	minute = " in the last minute"
)

// counts are the totals of one track at a time.
type counts struct {
	frames, bytes, gaps, back, mislabeled int64
	last, gap                             time.Duration // of the newest frame; and the newest gap
}

// past is what a stream had come to at a time.
type past struct {
	at             time.Duration
	tracks         [2]counts // of the main video and audio
	jumps, shifted int64
	keyGap         time.Duration // the longest since the one before
	lead           time.Duration // of the picture before the sound
	apart          time.Duration // lead, if both went on since their newest frames: sound often comes in pieces of many
	both           bool          // both tracks come, so that lead says something
}

// watch follows one publisher of a stream.
type watch struct {
	stream     *stream.Stream
	publishers int // which one of the stream's it is

	began time.Duration
	still time.Duration // when nothing came; 0: never
	start past          // what the publisher began with
	kept  []past
	// Of the headers that were seen last:
	headers  *stream.Headers
	samples  []sampled // of each track of the headers
	metadata amf.Object
	// Clocks, noted since the last break.
	pace, order notes
	broken      int64 // how many breaks there were

	figures figures
}

// sampled is what Sampling returns.
type sampled struct {
	chroma string
	depth  int
}

// figures are what a watch has found of the main tracks.
type figures struct {
	frameRate     float64
	keyGap        time.Duration
	width, height int
}

func newWatch(s *stream.Stream, st *stream.Stats, now time.Duration) *watch {
	return &watch{
		stream: s, publishers: st.Publishers, began: now, start: past{at: now, jumps: st.Jumps},
		pace: notes{most: liveNotes, slides: true}, order: notes{most: liveNotes, slides: true},
	}
}

// look takes the figures of now and returns what is to be said.
func (w *watch) look(now time.Duration, st *stream.Stats, h *stream.Headers, tracks []stream.TrackStats) []Finding {
	if h != w.headers {
		w.read(h)
	}
	is := past{at: now, jumps: st.Jumps}
	var main [2]*stream.TrackStats // by kind
	for i := range tracks {
		t := &tracks[i]
		if main[t.Kind] == nil {
			main[t.Kind] = t
			is.tracks[t.Kind] = counts{t.Frames, t.Bytes, t.Gaps, t.Clamped, t.Mislabeled, t.Last, t.LastGap}
		}
		is.shifted += t.Shifted
	}
	if v := main[av.Video]; v != nil {
		is.keyGap = max(v.KeyStep, v.SinceKey)
	}
	video, audio := main[av.Video], main[av.Audio]
	if video != nil && audio != nil && video.Frames > 0 && audio.Frames > 0 && video.Silent < maxSilence && audio.Silent < maxSilence {
		is.lead, is.both = video.Last-audio.Last, true
		is.apart = is.lead + video.Silent - audio.Silent
	}
	w.compare(&is, audio)
	first := &w.start
	if len(w.kept) == maxKept {
		first = &w.kept[0]
	}
	s := Stream{
		Silence: st.Silent, Within: minute,
		Jumps: int(is.jumps - first.jumps), Shifted: int(is.shifted - first.shifted),
		Lead: w.lead(&is),
	}
	if w.pace.even(minDrift, minDriftShare).By == 0 { // else the track of sound has it
		s.Drift = w.order.drift(minApart, minApartShare)
	}
	s.Speed, s.SpeedOver = w.speed(&is)
	if st.Silent >= maxSilence {
		w.still = now
	}
	w.missing(&s, now, main)
	w.figures = figures{}
	found := s.Judge()
	if st.Silent < maxSilence {
		for i := range tracks {
			t := w.track(&is, first, &tracks[i], &tracks[i] == main[tracks[i].Kind])
			found = append(found, t.Judge()...)
		}
	}
	w.keep(&is)
	return found
}

// read takes other headers.
func (w *watch) read(h *stream.Headers) {
	w.headers, w.metadata, w.samples = h, nil, w.samples[:0]
	if name, props, err := flv.ParseMetadata(h.Metadata); err == nil && name == "onMetaData" {
		w.metadata = props
	}
	for i := range h.Tracks {
		var s sampled
		if t := &h.Tracks[i]; t.Kind == av.Video {
			s.chroma, s.depth = Sampling(t.Codec, t.Config)
		}
		w.samples = append(w.samples, s)
	}
}

// keep keeps what is for later comparisons, if it is time.
func (w *watch) keep(is *past) {
	if n := len(w.kept); n > 0 && is.at-w.kept[n-1].at < keepEvery {
		last := &w.kept[n-1]
		last.keyGap = max(last.keyGap, is.keyGap)
		return
	}
	if len(w.kept) == maxKept {
		copy(w.kept, w.kept[1:])
		w.kept = w.kept[:maxKept-1]
	}
	w.kept = append(w.kept, *is)
}

// ago returns what is kept of a time at least so long before now, nil if there is nothing.
func (w *watch) ago(now, least time.Duration) *past {
	for i := range slices.Backward(w.kept) {
		if now-w.kept[i].at >= least {
			return &w.kept[i]
		}
	}
	return nil
}

// compare notes how far the clocks are apart. A break begins anew.
func (w *watch) compare(is *past, audio *stream.TrackStats) {
	breaks := is.jumps + is.shifted + is.tracks[av.Video].gaps + is.tracks[av.Audio].gaps
	if audio != nil {
		breaks += audio.Unmeasured
	}
	if breaks != w.broken {
		w.broken = breaks
		w.pace.list, w.order.list = nil, nil
		return
	}
	if audio != nil && audio.Frames > 0 {
		w.pace.add(audio.Last, audio.Last-audio.First-audio.Sound)
	}
	if is.both {
		w.order.add(is.tracks[av.Video].last, is.apart)
	}
}

// lead is how much further the picture was than the sound at the least of the last ten seconds.
func (w *watch) lead(is *past) time.Duration {
	if w.ago(is.at, rateOver) == nil || !is.both {
		return 0
	}
	lead := is.lead
	for i := range slices.Backward(w.kept) {
		p := &w.kept[i]
		if !p.both || (p.lead < 0) != (lead < 0) {
			return 0
		}
		if p.lead.Abs() < lead.Abs() {
			lead = p.lead
		}
		if is.at-p.at >= rateOver {
			break
		}
	}
	return lead
}

// head is how far the stream has come.
func (p *past) head() time.Duration { return max(p.tracks[av.Video].last, p.tracks[av.Audio].last) }

// steady reports whether nothing has broken the clocks since then.
func (p *past) steady(then *past) bool {
	return p.jumps == then.jumps && p.shifted == then.shifted && p.tracks[av.Video].gaps == then.tracks[av.Video].gaps &&
		p.tracks[av.Audio].gaps == then.tracks[av.Audio].gaps
}

// speed is how much of the stream has come in how much time; 0 if that cannot be said.
func (w *watch) speed(is *past) (float64, time.Duration) {
	then := w.ago(is.at, speedOver)
	if then == nil || !is.steady(then) {
		return 0, 0
	}
	over, frames := is.at-then.at, int64(0)
	for k := range is.tracks {
		frames += is.tracks[k].frames - then.tracks[k].frames
	}
	if frames < minSpeedFrames*int64(over/time.Second) {
		return 0, 0
	}
	return float64(is.head()-then.head()) / float64(over), over
}

// missing looks for tracks that have stopped or never came.
func (w *watch) missing(s *Stream, now time.Duration, main [2]*stream.TrackStats) {
	if now-w.began < settleTime {
		return
	}
	came := func(kind av.Kind) bool { return main[kind] != nil && main[kind].Frames > 0 }
	for _, kind := range [2]av.Kind{av.Video, av.Audio} {
		other := av.Video + av.Audio - kind
		switch {
		case !came(kind) && w.promised(kind) && came(other):
			s.Missing = append(s.Missing, kind)
		case kind == av.Audio && !came(kind) && came(other):
			s.NoSound = true
		case came(kind) && came(other) && main[other].Silent < maxSilence:
			t := main[kind]
			h, _ := w.header(t)
			alone := now - w.still // for how long the other one has gone on
			s.Quiet = append(s.Quiet, Quiet{Info: h.Track, For: min(t.Silent, alone), Step: step(t)})
		}
	}
}

// step is the time between two frames of a track.
func step(t *stream.TrackStats) time.Duration {
	return (t.Last - t.First) / time.Duration(max(t.Frames-1, 1))
}

// promised reports whether the metadata announces a track of the kind.
func (w *watch) promised(kind av.Kind) bool {
	key := "videocodecid"
	if kind == av.Audio {
		key = "audiocodecid"
	}
	v, ok := w.metadata.Get(key)
	return ok && v != nil && v != float64(0)
}

// header returns the header of a track, and its sampling.
func (w *watch) header(t *stream.TrackStats) (*stream.TrackHeader, sampled) {
	for i := range w.headers.Tracks {
		if h := &w.headers.Tracks[i]; h.Kind == t.Kind && h.ID == t.ID {
			return h, w.samples[i]
		}
	}
	return &stream.TrackHeader{Track: av.Track{Kind: t.Kind, ID: t.ID}}, sampled{}
}

// track returns what the rules go by of one track; is and first are the figures of now and of a minute ago.
func (w *watch) track(is, first *past, t *stream.TrackStats, main bool) *Track {
	h, s := w.header(t)
	x := &Track{Info: h.Track, Chroma: s.chroma, BitDepth: s.depth, Reorders: t.Reorders, Within: minute}
	if t.Unusable >= headerTime {
		if x.NoHeader = errors.Is(h.Unusable, codec.ErrNoConfig); !x.NoHeader {
			x.BadHeader = strings.TrimPrefix(h.Unusable.Error(), fmt.Sprintf("codec: describing %v: ", h.Codec))
		}
	}
	if !main {
		return x
	}
	then, here := &first.tracks[t.Kind], &is.tracks[t.Kind]
	if x.Back = int(here.back - then.back); x.Back < minBack {
		x.Back = 0
	}
	x.Mislabeled = int(here.mislabeled - then.mislabeled)
	if gaps := here.gaps - then.gaps; gapShare*gaps <= here.frames-then.frames {
		x.Gaps, x.MaxGap, x.LongestGap = int(gaps), stream.MaxGap, here.gap
		for i := range w.kept {
			if p := &w.kept[i].tracks[t.Kind]; p.gaps > then.gaps {
				x.LongestGap = max(x.LongestGap, p.gap)
			}
		}
	}
	if t.Kind == av.Audio {
		x.Drift = w.pace.even(minDrift, minDriftShare)
		return x
	}
	x.KeyGap = is.keyGap
	for i := range w.kept {
		x.KeyGap = max(x.KeyGap, w.kept[i].keyGap)
	}
	x.FrameRate, x.Frames = w.frameRate(is)
	x.DeclaredFrameRate = h.FrameRate
	if rate, ok := w.metadata.GetNumber("framerate"); ok && x.DeclaredFrameRate == 0 {
		x.DeclaredFrameRate = rate
	}
	if then := w.ago(is.at, bitrateOver); then != nil {
		x.Bitrate = int64(float64(8*(here.bytes-then.tracks[av.Video].bytes)) / (is.at - then.at).Seconds())
		if rate, ok := w.metadata.GetNumber("videodatarate"); ok && rate > 0 && rate < maxKilobits {
			x.DeclaredBitrate = int64(rate * 1000)
		}
	}
	w.figures = figures{x.FrameRate, max(t.KeyStep, t.SinceKey), h.Size.Width, h.Size.Height}
	return x
}

// maxKilobits is the highest credible bitrate in metadata.
const maxKilobits = 10_000_000

// frameRate is how many pictures of the main video come in a second of the stream, and of how many that
// was measured; 0 if there were gaps.
func (w *watch) frameRate(is *past) (rate float64, frames int) {
	then := w.ago(is.at, rateOver)
	if then == nil || !is.steady(then) {
		return 0, 0
	}
	here, there := &is.tracks[av.Video], &then.tracks[av.Video]
	n, span := here.frames-there.frames, here.last-there.last
	if span <= 0 {
		return 0, 0
	}
	return float64(n) / span.Seconds(), int(n)
}
