package httpts

import (
	"fmt"
	"strings"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/accessunit"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// encoder implements mux.Encoder. Its counters go on for as long as the log does, so that a
// player sees them jump where it joins or skips and nowhere else.
type encoder struct {
	variant variant
	headers *stream.Headers
	join    accessunit.Joiner
	mux     *mpegts.Muxer // nil until the stream has a track that the format can carry
	video   int           // id of the first video track carried; -1 if there is none
	scratch []byte        // the packets of a frame
}

// check returns nil if MPEG-TS can carry at least one of the selected tracks, or if there are none
// yet, else the reasons why not. If it can carry some, the others are left out.
func check(h *stream.Headers, s mux.Selection) error {
	var reasons []string
	for i := range h.Tracks {
		t := &h.Tracks[i]
		if t.Kind == av.Data || !s.Wants(t.Kind, t.ID) {
			continue
		}
		err := checkTrack(t)
		if err == nil {
			return nil
		}
		reasons = append(reasons, err.Error())
	}
	if reasons == nil {
		return nil
	}
	return fmt.Errorf("nothing of the stream can be played as MPEG-TS: %s", strings.Join(reasons, "; "))
}

// checkTrack returns nil if MPEG-TS can carry a track, else the reason why not.
func checkTrack(t *stream.TrackHeader) error {
	if t.Unusable != nil {
		return fmt.Errorf("%s track %d (%v): its configuration is missing or cannot be used", t.Kind, t.ID, t.Codec)
	}
	return mpegts.CheckTrack(&t.Track)
}

// setHeaders takes new headers: tracks that the format cannot carry are left out.
func (m *encoder) setHeaders(h *stream.Headers) {
	m.headers = h
	m.join.SetTracks(h.Tracks)
	m.video = -1
	var tracks []av.Track
	for i := range h.Tracks {
		t := &h.Tracks[i]
		if !m.variant.Wants(t.Kind, t.ID) || checkTrack(t) != nil {
			continue
		}
		tracks = append(tracks, t.Track)
		if t.Kind == av.Video && m.video < 0 {
			m.video = int(t.ID)
		}
	}
	switch {
	case len(tracks) == 0: // no frames of the earlier tracks come any more
	case m.mux == nil:
		if ts, err := mpegts.NewMuxer(tracks, mpegts.Options{}); err == nil {
			m.mux = ts
		}
	default:
		_ = m.mux.SetTracks(tracks) // each was checked; of too many the ones before go on
	}
}

// Append implements mux.Encoder. What the format cannot carry is left out.
func (m *encoder) Append(e *stream.Entry, out mux.Output) {
	if e.Headers != m.headers {
		m.setHeaders(e.Headers)
	}
	if m.mux == nil || e.Type != av.Media || !m.mux.Carries(&e.Frame) {
		return
	}
	units := m.join.Put(&e.Frame)
	for i := range units {
		m.write(&units[i], e.Sync && i == 0, out)
	}
}

// write encodes one access unit. sync says that the stream's players may start at it.
func (m *encoder) write(f *av.Frame, sync bool, out mux.Output) {
	b := m.scratch[:0]
	if sync && (m.video < 0 || f.Kind == av.Audio) {
		b = m.mux.AppendTables(b)
	}
	b, err := m.mux.AppendFrame(b, f)
	m.scratch = b[:0]
	if len(b) == 0 {
		return
	}
	w := m.variant.wrapping
	dst := w.AppendHead(out.Reserve(w.Size(len(b))), len(b))
	out.Commit(w.AppendTail(append(dst, b...)), fanout.Message{Sync: err == nil && m.startsAt(f, sync, b)})
}

// startsAt reports whether a player may start at the access unit b. Tables go before it, and it is a
// key frame, or sound with a sync point of a stream without video or whose video has stopped. If the
// sync points are at video that is left out, any sound will do.
func (m *encoder) startsAt(f *av.Frame, sync bool, b []byte) bool {
	const patPID = 0
	if tables := b[1]&0x1f == patPID && b[2] == patPID; !tables {
		return false
	}
	if m.video < 0 {
		return f.Kind == av.Audio && (sync || m.headers.Has(av.Video))
	}
	return f.Kind == av.Audio && sync || f.IsKey() && f.Kind == av.Video && int(f.Track) == m.video
}

// Lead implements mux.Leader: the counters of what comes next go on from it.
func (m *encoder) Lead() func(entries []stream.Entry, out mux.Output) {
	if m.mux == nil {
		return func([]stream.Entry, mux.Output) {}
	}
	lead, join, w := m.mux.Fork(), accessunit.Joiner{}, m.variant.wrapping
	join.SetTracks(m.headers.Tracks)
	return func(entries []stream.Entry, out mux.Output) {
		var units []av.Frame
		for i := range entries {
			if e := &entries[i]; e.Type == av.Media && lead.Carries(&e.Frame) {
				units = append(units, join.Put(&e.Frame)...)
			}
		}
		units = append(units, join.Flush()...)
		for i, b := range lead.Lead(units) {
			if len(b) > 0 {
				dst := w.AppendHead(out.Reserve(w.Size(len(b))), len(b))
				out.Commit(w.AppendTail(append(dst, b...)), fanout.Message{Sync: i == 0})
			}
		}
	}
}

// End implements mux.Encoder.
func (m *encoder) End(out mux.Output) []byte {
	units := m.join.Flush()
	for i := range units {
		m.write(&units[i], false, out)
	}
	return m.variant.wrapping.AppendEnd(nil)
}
