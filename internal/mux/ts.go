package mux

import (
	"fmt"
	"strings"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/fanout"
	"weir/internal/stream"
)

// tsEncoder is what a Muxer of MPEG-TS is besides. Its counters go on for as long as the
// log does, so that a player sees them jump where it joins or skips and nowhere else.
type tsEncoder struct {
	mux   *mpegts.Muxer // nil until there is a track that the format can carry
	video int           // the id of the first video track that it carries; -1 if there is none
}

// isTS reports whether the variant is of MPEG-TS.
func (v *Variant) isTS() bool { return v.Format == TS || v.Format == WebSocketTS }

// CheckTS returns nil if MPEG-TS can carry at least one of the tracks that a variant of
// it wants, or if it wants none so far; else the reasons why not.
func (v *Variant) CheckTS(tracks []av.Track) error {
	var reasons []string
	for i := range tracks {
		t := &tracks[i]
		if t.Kind == av.Data || !v.wants(t.Kind, t.ID) {
			continue
		}
		err := mpegts.CheckTrack(t)
		if err == nil {
			return nil
		}
		reasons = append(reasons, err.Error())
	}
	if reasons == nil {
		return nil
	}
	return fmt.Errorf("mux: nothing of the stream can be played as MPEG-TS: %s", strings.Join(reasons, "; "))
}

// setTracksTS takes new headers: tracks that the format cannot carry are left out.
func (m *Muxer) setTracksTS(h *stream.Headers) {
	m.headers = h
	m.ts.video = -1
	var tracks []av.Track
	for i := range h.Tracks {
		t := &h.Tracks[i].Track
		if !m.variant.wants(t.Kind, t.ID) || mpegts.CheckTrack(t) != nil {
			continue
		}
		tracks = append(tracks, *t)
		if t.Kind == av.Video && m.ts.video < 0 {
			m.ts.video = int(t.ID)
		}
	}
	switch {
	case len(tracks) == 0: // frames of the tracks before do not come any more
	case m.ts.mux == nil:
		if ts, err := mpegts.NewMuxer(tracks, mpegts.Options{}); err == nil {
			m.ts.mux = ts
		}
	default:
		_ = m.ts.mux.SetTracks(tracks) // each was checked; of too many the ones before go on
	}
}

// appendTS writes one frame to the log. What the format cannot carry is left out.
func (m *Muxer) appendTS(e *stream.Entry) {
	f := &e.Frame
	if m.ts.mux == nil || f.Type != av.Media || !m.ts.mux.Carries(f) {
		return
	}
	b := m.scratch[:0]
	if e.Sync && m.ts.video < 0 {
		b = m.ts.mux.AppendTables(b)
	}
	b, err := m.ts.mux.AppendFrame(b, f)
	m.scratch = b[:0]
	if len(b) == 0 {
		return
	}
	out := m.log.Reserve(webSocketHeader(len(b)) + len(b))
	if m.variant.Format == WebSocketTS {
		out = AppendWebSocketHeader(out, len(b))
	}
	m.log.Commit(append(out, b...), fanout.Message{Sync: err == nil && m.startsTS(e, b)})
}

// startsTS reports whether a player may start at a frame, which b is: tables go before it, and
// it is a key frame or, if there is no video, one at which the stream says so; where that
// says so at video that is left out, any.
func (m *Muxer) startsTS(e *stream.Entry, b []byte) bool {
	const patPID = 0
	if tables := b[1]&0x1f == patPID && b[2] == patPID; !tables {
		return false
	}
	if m.ts.video < 0 {
		return e.Kind == av.Audio && (e.Sync || m.headers.Has(av.Video))
	}
	return e.IsKey() && e.Kind == av.Video && int(e.Track) == m.ts.video
}
