package mp4

import (
	"errors"
	"fmt"
	"math"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/fmp4"
)

// Head says what a file is of.
type Head struct {
	Path   string    // of the stream; at most 64 KiB
	Epoch  uint64    // of the stream's life
	Start  time.Time // wall time of the source's time At
	At     time.Duration
	Note   []byte  // what the owner wants to find in it again; at most 64 KiB
	Tracks []Track // one at least
	// Reserve is how many bytes are kept free in front of the media: if the moov box fits there it stands there in the finished
	// file, which can then be played from its beginning while it is loaded. Below 1 KiB it is nothing, and MaxReserve at most.
	Reserve int
}

// Track is a track of a file.
type Track struct {
	av.Track
	// Name is what players call it; empty is "Video" or "Sound".
	Name string
	// First is a frame of the track, which AC-3 and E-AC-3 are described by; nil for others.
	First []byte
}

// Errors of a Muxer.
var (
	// ErrTracks is returned for no tracks, or more than 32.
	ErrTracks = errors.New("tracks out of range")
	// ErrPath is returned for a path or a note that is too long.
	ErrPath = errors.New("path or note is too long")
)

const (
	maxTracks = 32
	maxPath   = 1<<16 - 1
	// maxDrift is how far the sound's samples, counted, may be from its time stamps.
	maxDrift = 100 * time.Millisecond
	// maxSilence is the longest hole in the sound that is filled with silence.
	maxSilence = 10 * time.Second
	// maxCTS bounds composition times; beyond it they are not believed.
	maxCTS = 10 * time.Second
	// maxTicks bounds how long a sample lasts, in ticks.
	maxTicks = math.MaxInt32
	// NoEnd says that it is not known when the next frame comes.
	NoEnd = time.Duration(math.MinInt64)
)

// A Muxer makes the bytes of one file: its head with the first fragment, and then a fragment at a time. The file's clock begins
// with what is decoded or shown first, so that no time in it is negative; in a finished file it begins with what is shown first. It is not safe for concurrent use.
type Muxer struct {
	head     Head
	tracks   []*track
	lead     *track // the first video track, else the first of sound
	origin   time.Duration
	begun    bool
	sequence uint32
	runs     []fmp4.Run
	samples  []fmp4.Sample
}

// track is a track, and how far it has been written, in its own ticks.
type track struct {
	fmp4.Track
	kind    av.Kind
	number  uint8 // of the source's track
	scale   int64
	grid    grid
	silence []byte
	begun   bool
	early   int64 // how much earlier its pictures are decoded than the source says, so that none is shown before that
	first   int64 // decoding time of its first sample
	shown   int64 // when that is shown
	next    int64 // where the last sample ended
	usual   int64 // how long the last sample lasted
	before  int64 // and the one before it
	behind  bool  // the samples, counted, are ahead of the time stamps: they get shorter until they are not
}

// Check reports whether a track can be written: nil, or why it cannot, as fmp4.AppendInit says it.
func Check(t *av.Track) error {
	_, err := fmp4.AppendMovie(nil, []fmp4.Track{{Track: *t, ID: 1}}, time.Time{})
	return err
}

// NewMuxer returns a Muxer. It fails with ErrTracks, ErrPath, or fmp4's errors for a track that cannot be carried.
func NewMuxer(h Head) (*Muxer, error) {
	if len(h.Tracks) == 0 || len(h.Tracks) > maxTracks {
		return nil, fmt.Errorf("mp4: %d tracks: %w", len(h.Tracks), ErrTracks)
	}
	if len(h.Path) > maxPath || len(h.Note) > maxPath {
		return nil, fmt.Errorf("mp4: %w", ErrPath)
	}
	m := &Muxer{head: h}
	for i := range h.Tracks {
		in := &h.Tracks[i]
		t := &track{kind: in.Kind, number: in.ID, Track: fmp4.Track{Track: in.Track, ID: uint32(i + 1), Name: in.Name, First: in.First}}
		t.Timescale = fmp4.Timescale(in.Track)
		t.scale = int64(t.Timescale)
		if err := Check(&in.Track); err != nil {
			return nil, err
		}
		if t.kind == av.Audio {
			t.silence = codec.Silence(&t.Track.Track)
		}
		if m.lead == nil || t.kind == av.Video && m.lead.kind != av.Video {
			m.lead = t
		}
		m.tracks = append(m.tracks, t)
	}
	return m, nil
}

// Fills reports whether a hole in the sound of a track is filled with silence. If not, the sample before it lasts as long: players that count
// samples lose that time, and had better get a new file behind the hole.
func Fills(t *av.Track, hole time.Duration) bool {
	if hole <= maxDrift {
		return true
	}
	silence := codec.Silence(t)
	return hole <= maxSilence && len(silence) > 0 && codec.FrameDuration(t.Codec, t.Config, silence) > 0
}

// Duration is how long the file is so far.
func (m *Muxer) Duration() time.Duration {
	var begin, end time.Duration
	known := false
	for _, t := range m.tracks {
		if !t.begun {
			continue
		}
		shown := av.Duration(t.shown, t.scale)
		if !known || shown < begin {
			begin, known = shown, true
		}
		end = max(end, shown+av.Duration(t.next-t.first, t.scale))
	}
	return end - begin
}

// AppendFragment appends the fragment of frames, and before the first one the head of the file. The frames are media of the file's
// tracks, those of each track in the order of decoding; others are left out. end is the decoding time of the lead's next
// frame, the first video track's or else the first track's, or NoEnd. Without a frame that can be written nothing is appended. It fails with
// fmp4's errors.
func (m *Muxer) AppendFragment(dst []byte, frames []av.Frame, end time.Duration) ([]byte, error) {
	defer func() { clear(m.samples) }() // payloads must not be kept
	if !m.begun && !m.begin(frames) {
		return dst, nil
	}
	m.runs, m.samples = m.runs[:0], m.samples[:0]
	for _, t := range m.tracks {
		from := len(m.samples)
		var dts int64
		if t.kind == av.Video {
			until := NoEnd
			if t == m.lead {
				until = end
			}
			dts = m.video(t, frames, until)
		} else {
			dts = m.sound(t, frames)
		}
		if list := m.samples[from:len(m.samples):len(m.samples)]; len(list) > 0 {
			m.runs = append(m.runs, fmp4.Run{ID: t.Track.ID, DTS: dts, Samples: list})
		}
	}
	if len(m.runs) == 0 {
		return dst, nil
	}
	out := dst
	if m.sequence == 0 {
		var err error
		if out, err = m.appendHead(dst); err != nil {
			return dst, err
		}
	}
	m.sequence++
	out, err := fmp4.AppendFragment(out, m.sequence, m.runs)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// begin finds when the file begins, and at which rates pictures come; false if there is nothing in frames.
func (m *Muxer) begin(frames []av.Frame) bool {
	for _, t := range m.tracks {
		if t.kind == av.Video {
			t.grid.fit(frames, t)
			if s := t.grid.scale(); s > 0 {
				t.Timescale, t.scale = uint32(s), s
			}
		}
		if at, ok := t.earliest(frames); ok && (!m.begun || at < m.origin) {
			m.origin, m.begun = at, true
		}
	}
	if m.begun {
		m.head.Start = m.head.Start.Add(m.origin - m.head.At)
	}
	return m.begun
}

// earliest returns when the first frame of the track is decoded; ok is false if there is none.
func (t *track) earliest(frames []av.Frame) (at time.Duration, ok bool) {
	least := time.Duration(0)
	for i := range frames {
		f := &frames[i]
		if !t.has(f) {
			continue
		}
		if t.kind != av.Video {
			return f.PTS, true
		}
		if !ok {
			at, ok = t.grid.nearest(f.DTS, maxStampError), true
		}
		if cts := t.grid.nearest(f.PTS, maxCTSError) - t.grid.nearest(f.DTS, maxStampError); cts.Abs() <= maxCTS {
			least = min(least, cts)
		}
	}
	t.early = av.Ticks(-least, t.scale)
	return at + least, ok
}

// has reports whether a frame is of the track and can be written.
func (t *track) has(f *av.Frame) bool {
	return f.Kind == t.kind && f.Track == t.number && f.Type == av.Media && f.Codec == t.Codec && len(f.Payload) > 0
}

// ticks is a time of the source in the track's ticks on the file's clock.
func (m *Muxer) ticks(t *track, d time.Duration) int64 { return av.Ticks(d-m.origin, t.scale) }

// video appends the samples of a video track: each lasts until the next one, the last until end.
func (m *Muxer) video(t *track, frames []av.Frame, end time.Duration) (dts int64) {
	from, last := len(m.samples), int64(0)
	if m.sequence > 0 && !t.grid.on {
		t.grid.fit(frames, t)
	}
	for i := range frames {
		f := &frames[i]
		if !t.has(f) {
			continue
		}
		payload, ok := fmp4.SamplePayload(t.Track.Track, f)
		if !ok {
			continue
		}
		decoded := m.ticks(t, t.grid.snap(f.DTS)) - t.early
		pts := f.PTS
		if (f.PTS - f.DTS).Abs() > maxCTS {
			pts = f.DTS
		}
		shown := m.ticks(t, t.grid.nearest(pts, maxCTSError))
		if !t.begun {
			t.begun = true
			t.first, t.shown = max(decoded, 0), shown
			t.next = t.first
		}
		tick := max(decoded, t.next)
		if n := len(m.samples); n > from {
			tick = max(tick, last+1)
			m.samples[n-1].Duration = uint32(min(tick-last, maxTicks))
			t.before, t.usual = t.usual, tick-last
		} else {
			dts = tick
		}
		last = tick
		m.samples = append(m.samples, fmp4.Sample{CTS: int32(min(max(shown-tick, -maxTicks), maxTicks)), Key: f.IsKey(), Payload: payload})
	}
	n := len(m.samples)
	if n == from {
		return 0
	}
	t.next = last + t.usualDuration()
	if end != NoEnd {
		t.next = max(m.ticks(t, t.grid.nearest(end, maxStampError))-t.early, last+1)
	}
	t.next = min(t.next, last+maxTicks)
	m.samples[n-1].Duration = uint32(t.next - last)
	return dts
}

// usualDuration is how long a sample of video lasts whose end is not known: as long as the shorter of the last two, for there may have been a hole.
func (t *track) usualDuration() int64 {
	const most = 1 // second
	switch {
	case t.before > 0 && t.before < t.usual:
		return t.before
	case t.usual > 0:
		return min(t.usual, most*t.scale)
	case t.FrameRate > 1:
		return int64(float64(t.scale) / t.FrameRate)
	}
	return t.scale / 25
}

// sound appends the samples of a sound track. Their times are counted, since a publisher's milliseconds are not exact. Holes are
// filled with silence where there is a silent frame for the track.
func (m *Muxer) sound(t *track, frames []av.Frame) (dts int64) {
	from := len(m.samples)
	drift := av.Ticks(maxDrift, t.scale)
	for i := range frames {
		f := &frames[i]
		if !t.has(f) {
			continue
		}
		payload, ok := fmp4.SamplePayload(t.Track.Track, f)
		if !ok {
			continue
		}
		tick := m.ticks(t, f.PTS)
		if !t.begun {
			t.begun, t.next = true, max(tick, 0)
			t.first, t.shown = t.next, t.next
		}
		if tick > t.next+drift {
			dts = m.hole(t, tick, from, dts)
		}
		if len(m.samples) == from {
			dts = t.next
		}
		duration := av.Ticks(codec.FrameDuration(f.Codec, t.Config, payload), t.scale)
		if duration <= 0 {
			duration = m.untilNext(t, frames[i+1:], t.next)
		}
		t.behind = tick < t.next-drift || t.behind && tick < t.next
		if t.behind {
			duration = max(duration-(t.next-tick), 1)
		}
		m.samples = append(m.samples, fmp4.Sample{Duration: uint32(min(duration, maxTicks)), Key: true, Payload: payload})
		t.next += duration
		t.usual = duration
	}
	return dts
}

// untilNext is how long a frame of sound lasts that does not say so: until the next one, if that is there.
func (m *Muxer) untilNext(t *track, rest []av.Frame, from int64) int64 {
	for i := range rest {
		if t.has(&rest[i]) {
			return max(m.ticks(t, rest[i].PTS)-from, 1)
		}
	}
	if t.usual > 0 {
		return t.usual
	}
	return max(t.scale/50, 1)
}

// hole fills a hole in the sound until tick. The samples of the run so far are those from an index on; it returns when the
// run begins.
func (m *Muxer) hole(t *track, tick int64, from int, dts int64) int64 {
	step := av.Ticks(codec.FrameDuration(t.Codec, t.Config, t.silence), t.scale)
	if len(t.silence) == 0 || step <= 0 || tick-t.next > av.Ticks(maxSilence, t.scale) {
		if n := len(m.samples); n > from {
			m.samples[n-1].Duration = uint32(min(int64(m.samples[n-1].Duration)+tick-t.next, maxTicks))
		}
		t.next = tick
		return dts
	}
	if len(m.samples) == from {
		dts = t.next
	}
	for t.next+step/2 < tick {
		m.samples = append(m.samples, fmp4.Sample{Duration: uint32(step), Key: true, Payload: t.silence})
		t.next += step
	}
	return dts
}
