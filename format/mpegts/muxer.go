package mpegts

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/av"
)

const (
	program   = 1
	pmtPID    = 0x1000
	firstPID  = 0x0100
	maxTracks = 32
)

// MaxGather is the most time of sound that one PES packet may hold.
const MaxGather = 100 * time.Millisecond

// Errors of a Muxer.
var (
	// ErrTracks is returned for no tracks, more than 32, or two of the same kind and ID.
	ErrTracks = errors.New("tracks out of range")
	// ErrTrack is returned for a frame of a track that the Muxer was not given.
	ErrTrack = errors.New("no such track")
	// ErrFrame is returned for a frame that cannot be carried: without a whole NAL unit,
	// larger than its PES packet may be, or not what its track's configuration says.
	ErrFrame = errors.New("frame cannot be carried")
)

// Options are how a Muxer writes. The zero value is ready to use.
type Options struct {
	// Gather is how much sound a PES packet may hold, at most MaxGather and Delay: players get sound
	// that much later, and the stream has fewer packets that are mostly stuffing. 0 writes
	// each frame at once.
	Gather time.Duration
	// Delay is how long before its decoding time a frame is said to arrive: the clock
	// reference is the decoding time less Delay. 0 means 200 ms; at most 5 s are used.
	Delay time.Duration
}

const (
	defaultDelay = 200 * time.Millisecond
	maxDelay     = 5 * time.Second
)

// A Muxer writes one transport stream with one program. The bytes that its methods
// append, one after the other, are the stream; each appends whole packets.
//
// Time stamps are the frames' times plus Options.Delay, modulo 2^33 ticks of 90 kHz, so
// that streams made of the same frames agree. A Muxer is not safe for concurrent use.
type Muxer struct {
	gather int64 // ticks
	delay  int64 // ticks

	outputs  []*output // of the present tracks
	known    []*output // of all tracks so far: a track that returns keeps its PID and counter
	clock    *output   // whose packets carry the clock reference
	pmt      []byte    // the section
	pat      []byte    // the section
	version  uint8
	patCount uint8
	pmtCount uint8

	started bool  // these tables have been written
	fresh   bool  // nothing has been written since
	pcr     int64 // the newest, not wrapped
	hasPCR  bool
	writer  pesWriter
}

// output is one track as it is written.
type output struct {
	elementary
	track   av.Track // its Config is the Muxer's own
	pid     uint16
	counter uint8 // of the next packet with payload
	used    bool  // a packet has been written

	lengthSize int    // of NAL units
	sets       []byte // the configuration's parameter sets behind start codes

	// The following are ticks, without the Muxer's delay.
	started  bool  // they are set, since the last discontinuity
	dts      int64 // the newest frame's
	step     int64 // how far that was from the one before
	written  int64 // the newest frame's as it was written
	shift    int64 // how much earlier frames are decoded than they say
	atTables int64 // dts when tables were written last
	atPCR    int64 // the time of this track that m.pcr stands for
	atClock  int64 // dts when a frame with a clock reference was written last

	broken    bool   // the next packet says that there is a discontinuity
	pending   []byte // sound that is kept back
	pendingAt int64  // time of its first frame
}

// NewMuxer returns a Muxer of the tracks. It fails with ErrTracks, or with an error
// that wraps ErrUnsupported for the first track that cannot be carried.
func NewMuxer(tracks []av.Track, o Options) (*Muxer, error) {
	delay := o.Delay
	if delay <= 0 {
		delay = defaultDelay
	}
	delay = min(delay, maxDelay)
	m := &Muxer{
		gather: ticks(min(max(o.Gather, 0), MaxGather, delay)),
		delay:  ticks(delay),
		pat:    appendPAT(nil, program, pmtPID),
	}
	if err := m.set(tracks); err != nil {
		return nil, fmt.Errorf("mpegts: making a muxer: %w", err)
	}
	return m, nil
}

// SetTracks replaces the tracks. If that changes a track's configuration or the set of
// tracks, the program map gets a new version, which the next frame is preceded by. Sound
// that was gathered of a track that goes is lost unless Flush was called. It fails as
// NewMuxer does, and then changes nothing.
func (m *Muxer) SetTracks(tracks []av.Track) error {
	if m.same(tracks) {
		return nil
	}
	if err := m.set(tracks); err != nil {
		return fmt.Errorf("mpegts: changing tracks: %w", err)
	}
	return nil
}

// Tracks returns the present tracks, which must not be changed.
func (m *Muxer) Tracks() []av.Track {
	tracks := make([]av.Track, len(m.outputs))
	for i, o := range m.outputs {
		tracks[i] = o.track
	}
	return tracks
}

// same reports whether the tracks are written as the present ones are.
func (m *Muxer) same(tracks []av.Track) bool {
	return slices.EqualFunc(m.outputs, tracks, func(o *output, t av.Track) bool {
		return o.track.Kind == t.Kind && o.track.ID == t.ID && sameCoding(&o.track, &t)
	})
}

// sameCoding reports whether two descriptions of a track are carried alike.
func sameCoding(a, b *av.Track) bool {
	return a.Codec == b.Codec && bytes.Equal(a.Config, b.Config) &&
		(a.Codec != av.MP3 || mpegAudioType(a.SampleRate) == mpegAudioType(b.SampleRate))
}

func (m *Muxer) set(tracks []av.Track) error {
	if len(tracks) == 0 || len(tracks) > maxTracks {
		return fmt.Errorf("%w: %d", ErrTracks, len(tracks))
	}
	ways := make([]elementary, len(tracks))
	for i := range tracks {
		t := &tracks[i]
		if slices.ContainsFunc(tracks[:i], func(u av.Track) bool { return u.Kind == t.Kind && u.ID == t.ID }) {
			return fmt.Errorf("%w: %s track %d twice", ErrTracks, t.Kind, t.ID)
		}
		var err error
		if ways[i], err = newElementary(t); err != nil {
			return err
		}
	}
	m.outputs = m.outputs[:0:0]
	for i := range tracks {
		o := m.know(&tracks[i])
		o.configure(&tracks[i], ways[i])
		m.outputs = append(m.outputs, o)
	}
	m.chooseClock()
	m.buildPMT()
	return nil
}

// know returns the output of a track, which keeps what it was before.
func (m *Muxer) know(t *av.Track) *output {
	for _, o := range m.known {
		if o.track.Kind == t.Kind && o.track.ID == t.ID {
			return o
		}
	}
	o := &output{pid: firstPID + uint16(len(m.known))}
	m.known = append(m.known, o)
	return o
}

// chooseClock makes the first video track, or else the first of sound, or else the first,
// the one that carries the clock reference.
func (m *Muxer) chooseClock() {
	m.clock = m.outputs[0]
	for _, kind := range [2]av.Kind{av.Audio, av.Video} {
		if i := slices.IndexFunc(m.outputs, func(o *output) bool { return o.track.Kind == kind }); i >= 0 {
			m.clock = m.outputs[i]
		}
	}
}

// buildPMT makes the next version of the program map.
func (m *Muxer) buildPMT() {
	if m.pmt != nil {
		m.version = (m.version + 1) & 0x1f
	}
	var about, streams []byte
	for _, o := range m.outputs {
		switch {
		case o.track.Codec == ID3 && !bytes.Contains(about, []byte(id3Format)):
			about = appendMetadataPointer(about, program)
		case o.track.Codec == SCTE35 && !bytes.Contains(about, []byte("CUEI")):
			about = appendRegistration(about, "CUEI")
		}
		streams = appendStream(streams, o.streamType, o.pid, o.descriptors)
	}
	pid := m.clock.pid
	body := []byte{0xe0 | byte(pid>>8), byte(pid), 0xf0 | byte(len(about)>>8), byte(len(about))}
	m.pmt = appendLongSection(nil, tablePMT, program, m.version, append(append(body, about...), streams...))
	m.started = false
}

// AppendTables appends the program association and map, as a segment or what is sent to
// a player that joins should begin with. AppendFrame writes them by itself before each
// key frame, when they have changed, and at least every 100 ms of media.
func (m *Muxer) AppendTables(dst []byte) []byte {
	dst = appendSection(dst, patPID, &m.patCount, m.pat)
	dst = appendSection(dst, pmtPID, &m.pmtCount, m.pmt)
	m.started, m.fresh = true, true
	for _, o := range m.outputs {
		o.atTables = o.dts
	}
	return dst
}

// Discontinue says that the times of the frames to come do not go on from those before:
// the next packet of each PID says so too. AppendFrame calls it by itself for a frame that is
// flagged so.
func (m *Muxer) Discontinue() {
	m.started, m.hasPCR = false, false
	for _, o := range m.known {
		o.broken = o.broken || o.used
		o.started = false
	}
}
