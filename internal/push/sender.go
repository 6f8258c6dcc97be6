package push

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/accessunit"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

const (
	// lead is the time of the first key frame of a session, so that sound that belongs a little before
	// it keeps its distance.
	lead = 200 * time.Millisecond
	// maxBatch is how many bytes are gathered for one write.
	maxBatch = 64 << 10
	// maxGathered is how many messages are gathered for one write.
	maxGathered = 256
	// longWrite is how long a write may take before less is gathered for the next one: while it lasts the stream goes on, and
	// what is gathered is not skipped.
	longWrite = 500 * time.Millisecond
)

// errOther says that the stream is another one than the session began with, and needs a session of its own.
var errOther = session.Because(session.StreamEnded, errors.New("the stream has another codec now"))

// out is where a sender writes.
type out interface {
	WriteMessages(ms ...*rtmp.Message) error
}

// sender writes the frames of one stream to one server, in one session with it, on a time line of the
// session's own. It gathers messages until flush.
type sender struct {
	to      out
	form    flv.Form
	takes   func(c av.Codec) bool // by what the server announced
	leftOut func(what string)

	repair   accessunit.Repairer
	headers  *stream.Headers
	main     [2]uint8    // the track of each kind that goes out as 0, if only one does
	codecs   [2]av.Codec // of these; 0 before there is one
	tracks   [2]av.Track // likewise
	metadata []byte

	begun bool
	shift time.Duration    // from the stream's time to the session's
	last  [2]time.Duration // of the session, the newest of each kind that was written
	shown time.Duration    // likewise, when the newest picture is shown
	floor [2]time.Duration // likewise, up to which there is a slate: what the stream has for that time is left out
	key   av.Frame         // the newest of the main video, on the stream's time; it has no payload before there is one
	said  map[trackKey]bool

	header   []byte // scratch
	messages []*rtmp.Message
	spare    []*rtmp.Message
	size     int
	batch    int   // bytes that are gathered for one write
	frames   int64 // of media, written
	bytes    int64 // of payload, written
}

// trackKey names a track with its codec.
type trackKey struct {
	kind  av.Kind
	track uint8
	codec av.Codec
}

// newSender returns the sender of a session with a server that announced caps. private says that the
// server knows the enhanced headers of codecs that have private ids as well.
func newSender(to out, caps *rtmp.Caps, private bool, leftOut func(string)) *sender {
	form := flv.Form{Enhanced: flv.WhenNeeded, NoModEx: caps.CapsEx&rtmp.CapModEx == 0, SingleTrack: caps.CapsEx&rtmp.CapMultitrack == 0}
	switch {
	case caps.Enhanced():
		form.Enhanced = flv.AsReceived
	case private:
		form.Enhanced = flv.ForPrivate
	}
	return &sender{
		to: to, form: form, leftOut: leftOut, batch: maxBatch, said: map[trackKey]bool{},
		takes: func(c av.Codec) bool { return legacy(c) || caps.CanReceive(c.FourCC()) },
	}
}

// legacy reports whether a codec has a place in RTMP without its enhancements, so that every server
// may be sent it.
func legacy(c av.Codec) bool {
	switch c {
	case av.H265, av.VVC, av.AV1, av.VP8, av.VP9, av.Opus, av.FLAC, av.AC3, av.EAC3:
		return false
	}
	return true
}

// add gathers one frame of the stream. It fails with errOther, or if the server takes none of the
// stream's codecs of a kind.
func (s *sender) add(e *stream.Entry) error {
	if e.Headers != s.headers {
		if err := s.setHeaders(e); err != nil {
			return err
		}
	}
	entries := s.repair.Put(e)
	for i := range entries {
		s.put(&entries[i].Frame)
	}
	return nil
}

// full reports whether what is gathered is enough for a write.
func (s *sender) full() bool { return s.size >= s.batch || len(s.messages) >= maxGathered }

// setHeaders takes the headers that are in force from an entry on, and writes the metadata if it changes.
func (s *sender) setHeaders(e *stream.Entry) error {
	first := s.headers == nil
	s.headers = e.Headers
	var main [2]*stream.TrackHeader
	tracks := make([]av.Track, 0, len(e.Headers.Tracks))
	for i := range e.Headers.Tracks { // of each kind the lowest id comes first
		t := &e.Headers.Tracks[i]
		if t.Kind > av.Audio {
			continue
		}
		if t.Unusable != nil {
			s.omit(&av.Frame{Kind: t.Kind, Track: t.ID, Codec: t.Codec}, t.Unusable.Error())
			continue
		}
		described := t.Track
		switch {
		case main[t.Kind] == nil:
			main[t.Kind] = t
			s.main[t.Kind], s.tracks[t.Kind] = t.ID, t.Track
			if s.form.SingleTrack {
				described.ID = 0
			}
		case s.form.SingleTrack:
			continue
		}
		tracks = append(tracks, described)
	}
	for k, t := range main {
		switch {
		case t == nil:
			continue
		case s.codecs[k] != 0 && s.codecs[k] != t.Codec:
			return fmt.Errorf("%w: %v instead of %v", errOther, t.Codec, s.codecs[k])
		case !s.takes(t.Codec):
			return &unsupportedError{fmt.Sprintf("the server has announced which codecs it takes, and %v is not one of them", t.Codec)}
		}
		s.codecs[k] = t.Codec
	}
	if !s.begun {
		s.begun = true
		s.shift = min(e.DTS, lead) - e.DTS
	}
	var own amf.Object
	if e.Headers.Metadata != nil {
		_, own, _ = flv.ParseMetadata(e.Headers.Metadata) // what cannot be read is left out
	}
	if body := flv.BuildMetadata(tracks, own); !bytes.Equal(body, s.metadata) {
		s.metadata = body
		s.append(rtmp.TypeData, 0, nil, body) // libavformat makes a text track of metadata with another time
	}
	if first {
		for i := range e.Headers.Tracks {
			if m := e.Headers.Tracks[i].Meta; m != nil {
				g := *m
				g.DTS, g.PTS = e.DTS, e.DTS
				s.put(&g)
			}
		}
	}
	return nil
}

// put gathers a frame.
func (s *sender) put(f *av.Frame) {
	written := *f
	if f.Kind != av.Data {
		if s.form.SingleTrack {
			if f.Track != s.main[f.Kind] {
				s.omit(f, "the server has not announced that it takes several tracks of a kind (caps: on lets it say so)")
				return
			}
			written.Track = 0
		}
		if !s.takes(f.Codec) {
			s.omit(f, "the server has announced which codecs it takes, and this is not one of them")
			return
		}
	}
	header, ok := flv.AppendHeader(s.header[:0], &written, s.form)
	s.header = header[:0]
	if !ok {
		s.omit(f, "RTMP has no place for it")
		return
	}
	at := s.time(f.DTS)
	if f.Kind != av.Data && f.Type == av.Media && at <= s.floor[f.Kind] && s.floor[f.Kind] > 0 {
		return
	}
	if f.Kind != av.Data && f.Type == av.Media {
		s.last[f.Kind] = max(s.last[f.Kind], at)
		if f.Kind == av.Video {
			s.shown = max(s.shown, s.time(f.PTS))
		}
		if f.IsKey() && f.Kind == av.Video && f.Track == s.main[av.Video] {
			s.key = *f
		}
		s.frames++
		s.bytes += int64(len(f.Payload))
	}
	s.append(rtmp.MessageType(flv.TagTypeOf(f)), at, header, f.Payload)
}

// time returns a time of the stream on the session's line.
func (s *sender) time(at time.Duration) time.Duration { return max(at+s.shift, 0) }

// append gathers a message.
func (s *sender) append(typ rtmp.MessageType, at time.Duration, header, payload []byte) {
	var m *rtmp.Message
	if n := len(s.spare); n > 0 {
		m, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		m = &rtmp.Message{}
	}
	body := append(append(m.Payload[:0], header...), payload...)
	*m = rtmp.Message{Type: typ, Timestamp: av.Milliseconds(at), Payload: body}
	s.messages = append(s.messages, m)
	s.size += len(body)
}

// maxSpare is the capacity above which a message's buffer is left to the collector.
const maxSpare = 64 << 10

// flush writes what is gathered.
func (s *sender) flush() error {
	if len(s.messages) == 0 {
		return nil
	}
	begun := time.Now()
	err := s.to.WriteMessages(s.messages...)
	if took := time.Since(begun); took > longWrite {
		s.batch = max(int(int64(s.size)*int64(longWrite)/int64(took)), 1)
	} else {
		s.batch = min(2*s.batch, maxBatch)
	}
	for _, m := range s.messages {
		if cap(m.Payload) > maxSpare {
			m.Payload = nil
		}
	}
	s.spare = append(s.spare, s.messages...)
	s.messages, s.size = s.messages[:0], 0
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &rtmp.TimeoutError{Stage: rtmp.StagePublish}
	}
	return err
}

// omit says once that a track is left out.
func (s *sender) omit(f *av.Frame, why string) {
	k := trackKey{f.Kind, f.Track, f.Codec}
	if f.Type != av.Media || s.said[k] || len(s.said) >= maxOmitted {
		return
	}
	s.said[k] = true
	s.leftOut(fmt.Sprintf("%v track %d (%v) is left out: %s", f.Kind, f.Track, f.Codec, why))
}

// maxOmitted bounds the tracks that are named.
const maxOmitted = 16
