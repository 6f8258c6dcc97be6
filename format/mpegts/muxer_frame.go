package mpegts

import (
	"fmt"

	"weir/av"
)

const (
	// tablesEvery is the most media between two program maps, in ticks.
	tablesEvery = clockRate / 10
	// clockEvery is the most media between two clock references, in ticks.
	clockEvery = clockRate / 25
	// second is the longest gap that is filled with clock references, and how far back
	// a track's time may go before that is a discontinuity, in ticks.
	second = clockRate
)

// AppendFrame appends what a frame becomes: tables and clock references where they are
// due, then its packets. Sound that Options.Gather keeps back, and frames that are
// neither media nor configuration, append nothing. A Config frame is as SetTracks with that
// configuration.
//
// An access unit of video gets an access unit delimiter and, if it is a key frame
// without parameter sets, those of the configuration; it may hold start codes instead of
// lengths. AAC may be raw or in ADTS. A decoding time that does not come after its
// track's last is moved a tick behind it. A presentation time before the decoding time moves
// the decoding times of the track to come, by Options.Delay at most.
//
// AppendFrame fails with ErrTrack, ErrFrame, or ErrUnsupported for a configuration; dst
// is then returned as it was, and the Muxer goes on.
func (m *Muxer) AppendFrame(dst []byte, f *av.Frame) ([]byte, error) {
	out, err := m.appendFrame(dst, f)
	if err != nil {
		return dst, fmt.Errorf("mpegts: writing a frame of %s track %d (%v): %w", f.Kind, f.Track, f.Codec, err)
	}
	return out, nil
}

func (m *Muxer) appendFrame(dst []byte, f *av.Frame) ([]byte, error) {
	o := m.find(f.Kind, f.Track)
	switch {
	case o == nil || o.track.Codec != f.Codec:
		return dst, ErrTrack
	case f.Type == av.Config:
		return dst, m.reconfigure(o, f.Payload)
	case f.Type != av.Media:
		return dst, nil
	}
	p, err := o.plan(f)
	if err != nil {
		return dst, err
	}
	at := ticks(f.DTS)
	if o.started && (f.Flags&av.Discontinuity != 0 || at < o.dts-second) {
		dst = m.Flush(dst)
		m.Discontinue()
	}
	key := f.Kind == av.Video && f.Flags&av.Key != 0
	if o == m.clock && m.gather > 0 {
		dst = m.flushLate(dst, at)
	}
	dst = m.prepare(dst, o, at, key)
	if f.Codec == SCTE35 {
		m.fresh = false
		return o.appendSplice(dst, f.Payload), nil
	}
	pts := ticks(f.PTS)
	dts := o.decodeAt(at, pts, m.delay)
	pts = max(pts, dts)
	if f.Kind == av.Audio && m.gather > 0 {
		return m.gatherAudio(dst, o, f, pts, p.size), nil
	}
	w := m.begin(dst, o, at, pts, dts, key, p.size)
	switch f.Kind {
	case av.Video:
		o.writeVideo(w, f, p)
	default:
		o.writeOther(w, f)
	}
	return w.dst, nil
}

// Carries reports whether f is of one of the tracks.
func (m *Muxer) Carries(f *av.Frame) bool {
	o := m.find(f.Kind, f.Track)
	return o != nil && o.track.Codec == f.Codec
}

// find returns the output of a track; nil if there is none.
func (m *Muxer) find(k av.Kind, id uint8) *output {
	for _, o := range m.outputs {
		if o.track.Kind == k && o.track.ID == id {
			return o
		}
	}
	return nil
}

// reconfigure takes a track's new configuration record.
func (m *Muxer) reconfigure(o *output, record []byte) error {
	t := o.track
	t.Config = record
	if sameCoding(&o.track, &t) {
		return nil
	}
	way, err := newElementary(&t)
	if err != nil {
		return err
	}
	o.configure(&t, way)
	m.buildPMT()
	return nil
}

// prepare appends the tables and clock references that are due before a frame of time at.
func (m *Muxer) prepare(dst []byte, o *output, at int64, key bool) []byte {
	media := o.track.Kind != av.Data
	// Whether the next chance comes too late is guessed from the way since the last.
	late := media && o.started && at-o.atTables+min(max(at-o.dts, 0), tablesEvery) > tablesEvery
	if !m.started || key && !m.fresh || late {
		dst = m.AppendTables(dst)
		o.atTables = at
	}
	switch {
	case !media:
	case !m.hasPCR:
		if o != m.clock {
			dst = m.appendClock(dst, at)
		}
	case o == m.clock:
		dst = m.fillClock(dst, at-1)
	case o.started:
		// The clock goes on with what has passed on this track, which may be far from
		// the clock's in time, but not beyond the frame that is expected next there.
		pcr := m.pcr + at - o.atPCR
		if !m.clock.started || pcr <= m.clock.dts+m.clock.step+m.delay || at-o.atClock > second {
			dst = m.fillClock(dst, pcr)
		}
	}
	return dst
}

// fillClock appends clock references so that none up to pcr comes late. A gap of more
// than a second is left: the source was silent.
func (m *Muxer) fillClock(dst []byte, pcr int64) []byte {
	if pcr-m.pcr > second {
		return dst
	}
	for pcr-m.pcr >= clockEvery {
		dst = m.appendClock(dst, m.pcr+clockEvery)
	}
	return dst
}

// decodeAt remembers a frame's time and returns that at which it is to be decoded: after its
// track's last one, and not after pts if that takes no more than most.
func (o *output) decodeAt(at, pts, most int64) int64 {
	if o.track.Kind == av.Video {
		o.shift = max(o.shift, min(at-pts, most))
	}
	dts := at - o.shift
	if o.started {
		dts = max(dts, o.written+1)
		o.step = max(at-o.dts, 0)
	} else {
		o.started = true
		o.atTables, o.atPCR, o.atClock = at, at, at
	}
	o.written, o.dts = dts, at
	return dts
}

// begin begins a PES packet of size bytes of payload.
func (m *Muxer) begin(dst []byte, o *output, at, pts, dts int64, key bool, size int) *pesWriter {
	w := &m.writer
	*w = pesWriter{dst: dst, out: o}
	if o == m.clock {
		switch {
		case !m.hasPCR:
		case m.pcr >= dts+m.delay:
			o.broken = true // other tracks drove the clock too far ahead
		default:
			at = max(at, m.pcr+1)
		}
		m.pcr, m.hasPCR = at, true
		for _, o := range m.outputs {
			o.atPCR, o.atClock = o.dts, o.dts
		}
		w.flags, w.pcr = flagPCR, at&(wrap-1)
	}
	if key || o == m.clock && o.track.Kind == av.Audio {
		w.flags |= flagRandomAccess
	}
	if o.broken {
		w.flags |= flagDiscontinuity
		o.broken = false
	}
	m.fresh = false
	w.begin((pts+m.delay)&(wrap-1), (dts+m.delay)&(wrap-1), size)
	return w
}

// gatherAudio keeps a frame of sound back until the next would be too much.
func (m *Muxer) gatherAudio(dst []byte, o *output, f *av.Frame, pts int64, size int) []byte {
	if pts+o.step-o.pendingAt > m.gather || len(o.pending)+size > maxAudio {
		dst = m.flush(dst, o)
	}
	if len(o.pending) == 0 {
		o.pendingAt = pts
	}
	o.pending = o.appendControl(o.pending, f)
	o.pending = append(o.pending, f.Payload...)
	return dst
}

// Flush appends the sound that Options.Gather keeps back, as is due before the end of a
// segment and of the stream.
func (m *Muxer) Flush(dst []byte) []byte {
	for _, o := range m.outputs {
		dst = m.flush(dst, o)
	}
	return dst
}

// flushLate appends the sound of tracks that have not gone on for too long when the clock
// gets to at.
func (m *Muxer) flushLate(dst []byte, at int64) []byte {
	for _, o := range m.outputs {
		if o != m.clock && at-o.pendingAt >= m.gather {
			dst = m.flush(dst, o)
		}
	}
	return dst
}

func (m *Muxer) flush(dst []byte, o *output) []byte {
	if len(o.pending) == 0 {
		return dst
	}
	w := m.begin(dst, o, o.pendingAt, o.pendingAt, o.pendingAt, false, len(o.pending))
	w.write(o.pending)
	o.pending = o.pending[:0]
	return w.dst
}
