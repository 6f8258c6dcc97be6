package mpegts

import "weir/av"

// pesReader puts PES packets together.
type pesReader struct {
	buf    []byte
	active bool // between the beginning and the end of a packet
	parsed bool // header is set
	header pesHeader
	random bool // random_access_indicator where it began
	cut    bool // the newest packet was taken to end where a segment did
	runsOn bool // packets go on behind the ends of segments
}

// readPES takes a packet of a stream of PES packets (H.222.0, 2.4.3.6).
func (d *Demuxer) readPES(s *stream, p *packet) {
	r := &s.pes
	v := s.continuity.check(p)
	if !p.hasPayload {
		return
	}
	switch {
	case v == again:
		d.counters.Duplicates++
		return
	case v == lost:
		d.counters.Gaps++
		d.dropPES(s)
		s.reset()
	case v == announced && !p.start:
		d.dropPES(s)
		s.reset()
	}
	if r.cut && !p.start && v != lost {
		r.runsOn = true
		d.counters.BadFrames++
	}
	r.cut = false
	if p.start {
		d.finishPES(s)
		r.active, r.parsed, r.random = true, false, p.flags&flagRandomAccess != 0
	}
	if !r.active {
		return
	}
	if len(r.buf)+len(p.payload) > maxPES || d.held+len(p.payload) > maxHeld {
		d.dropPES(s)
		return
	}
	r.buf = append(r.buf, p.payload...)
	d.held += len(p.payload)
	if !r.parsed {
		h, ok, err := parsePESHeader(r.buf)
		if err != nil {
			d.dropPES(s)
			return
		}
		r.header, r.parsed = h, ok
	}
	if r.parsed && r.header.length > 0 && len(r.buf) >= 6+r.header.length {
		d.finishPES(s)
	}
}

// finishPES ends the PES packet in progress, if any: its payload is read if it is whole.
func (d *Demuxer) finishPES(s *stream) {
	r := &s.pes
	if !r.active {
		return
	}
	h := &r.header
	if !r.parsed || len(r.buf) < 6+h.length {
		d.dropPES(s)
		s.reset()
		return
	}
	end := len(r.buf)
	if h.length > 0 {
		end = 6 + h.length
	}
	d.readPayload(s, d.times(h), r.buf[h.size:end], r.random)
	d.release(s)
}

// dropPES gives up the PES packet in progress.
func (d *Demuxer) dropPES(s *stream) {
	if s.pes.active {
		d.counters.DroppedPES++
		d.release(s)
	}
}

// keepPES is how large a buffer a stream keeps for its next PES packet.
const keepPES = 256 << 10

// release makes the reader ready for the next PES packet.
func (d *Demuxer) release(s *stream) {
	r := &s.pes
	d.held -= len(r.buf)
	r.active = false
	r.buf = r.buf[:0]
	if cap(r.buf) > keepPES {
		r.buf = nil
	}
}

// times are the time stamps of a PES packet, unwrapped; known is false if it has none.
type times struct {
	pts, dts int64
	known    bool
}

func (d *Demuxer) times(h *pesHeader) times {
	if h.pts == noTime {
		return times{}
	}
	dts := d.clock.unwrap(h.dts)
	return times{pts: d.clock.near(h.pts), dts: dts, known: true}
}

// readPayload reads the payload of a whole PES packet.
func (d *Demuxer) readPayload(s *stream, t times, b []byte, random bool) {
	switch s.codec {
	case av.H264, av.H265:
		d.readVideo(s, t, b, random)
	case av.Opus:
		d.readOpus(s, t, b)
	case ID3:
		d.readID3(s, t, b)
	default:
		d.readAudio(s, t, b)
	}
}
