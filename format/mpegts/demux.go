package mpegts

import (
	"weir/av"
	"weir/codec"
)

const (
	// maxStreams is how many streams of a program are read.
	maxStreams = 64
	// maxPES is the longest PES packet that is read.
	maxPES = 8 << 20
	// maxHeld is how much all PES packets in progress may hold.
	maxHeld = 16 << 20
)

// Counters say what was wrong with a stream, from its beginning on.
type Counters struct {
	Packets      uint64 // transport packets, of which the following are a part
	Malformed    uint64 // their header contradicts itself
	Errors       uint64 // marked as damaged by their receiver
	Scrambled    uint64
	Duplicates   uint64 // sent again, and passed over
	Gaps         uint64 // before which some of the same PID are missing
	Resyncs      uint64 // how often packets were no longer where they should be
	Skipped      uint64 // bytes that belong to no packet
	BadSections  uint64 // damaged, or longer than 4096 bytes
	Unsupported  uint64 // streams in program maps that are not read; see LeftOut
	DroppedPES   uint64 // PES packets that are damaged, incomplete or longer than 8 MiB
	BadFrames    uint64 // places where a frame should be and is not, and units without use
	Undecodable  uint64 // frames before the first time stamp or the configuration
	TableChanges uint64 // program maps after the first that differ from the one before
}

// A Demuxer turns the bytes of one transport stream into frames. It reads the first
// program that there is, and up to 64 of its streams. The zero value is ready. It is not
// safe for concurrent use.
//
// Packets may be 188 bytes long, or 192 or 204, with a time code before or check bytes
// behind each. Whatever the bytes, it does not fail: it passes over what it cannot read,
// and counts. It holds no more than 16 MiB of what came in.
type Demuxer struct {
	framing  framing
	counters Counters
	out      []av.Frame

	pat     sectionReader
	pmt     sectionReader
	program uint16 // its number
	pmtPID  uint16 // 0 if there is no program yet
	mapCRC  uint32
	mapped  bool // there has been a program map

	streams []*stream
	leftOut []string           // by the program map
	index   [nullPID + 1]uint8 // of PIDs, in streams plus 1
	clock   unwrapper
	held    int // bytes of all PES packets in progress
}

// stream is one elementary stream.
type stream struct {
	kind     av.Kind
	id       uint8
	numbered bool // id is set
	codec    av.Codec
	pid      uint16
	opus     uint8 // channel_config_code
	layer    int   // of MPEG audio that is left out for it, 1 or 2; else 0
	config   []byte

	continuity continuity
	section    sectionReader // of SCTE35
	pes        pesReader
	video      videoReader
	audio      audioReader
}

// Demux takes the next bytes of the stream, split anywhere, and appends to dst the frames
// that are whole. Their times are unwrapped and on the source's clock; their payloads are
// memory of their own, which nothing will change.
//
// Of video each PES packet gives one access unit, or those that its delimiters tell apart.
// Track ids count up from 0 within each kind, in the order of the program map.
func (d *Demuxer) Demux(dst []av.Frame, b []byte) []av.Frame {
	d.out = dst
	d.framing.feed(b, &d.counters, d.packet)
	dst, d.out = d.out, nil
	return dst
}

// Flush appends to dst the frames that could not be known to be whole before the end of
// the stream, which is now. After it the Demuxer may go on with bytes from elsewhere.
func (d *Demuxer) Flush(dst []av.Frame) []av.Frame {
	d.out = dst
	d.framing.flush(&d.counters, d.packet)
	for _, s := range d.streams {
		d.finishPES(s)
		s.reset()
		s.pes.cut = false
		s.continuity, s.section = continuity{}, sectionReader{}
	}
	d.pat, d.pmt = sectionReader{}, sectionReader{}
	dst, d.out = d.out, nil
	return dst
}

// EndSegment appends to dst the frames that are whole if no PES packet goes on behind the end of a segment of HLS, which is now: those whose
// packet does not say how long it is, as most of video do not. Else they would come with the next segment, or not at all if there is none. A
// stream that was seen to go on all the same, which costs it one frame, is left alone from then on.
func (d *Demuxer) EndSegment(dst []av.Frame) []av.Frame {
	d.out = dst
	for _, s := range d.streams {
		if r := &s.pes; r.active && r.parsed && r.header.length == 0 && !r.runsOn {
			d.finishPES(s)
			r.cut = true
		}
	}
	dst, d.out = d.out, nil
	return dst
}

// Counters returns what was wrong so far.
func (d *Demuxer) Counters() Counters { return d.counters }

// Tracks returns what is known of the streams in the program map that are read, in its order;
// nil before there is one.
func (d *Demuxer) Tracks() []av.Track {
	var tracks []av.Track
	for _, s := range d.streams {
		if s.layer != 0 {
			continue
		}
		t := av.Track{Kind: s.kind, ID: s.id, Codec: s.codec, Config: s.config}
		if s.config != nil {
			if known, err := codec.Describe(s.codec, s.kind, s.config); err == nil {
				t = known
				t.ID = s.id
			}
		}
		tracks = append(tracks, t)
	}
	return tracks
}

// packet reads one packet of 188 bytes.
func (d *Demuxer) packet(b []byte) {
	d.counters.Packets++
	p, err := parsePacket(b)
	switch {
	case p.failed:
		d.counters.Errors++
		return
	case err != nil:
		d.counters.Malformed++
		return
	case p.pid == patPID:
		d.pat.packet(&p, &d.counters, d.readPAT)
		return
	case p.pid == d.pmtPID && d.pmtPID != 0:
		d.pmt.packet(&p, &d.counters, d.readPMT)
		return
	case d.index[p.pid] == 0:
		return
	case p.scrambled:
		d.counters.Scrambled++
		return
	}
	s := d.streams[d.index[p.pid]-1]
	if s.codec == SCTE35 {
		s.section.packet(&p, &d.counters, func(b []byte) { d.readSplice(s, b) })
		return
	}
	d.readPES(s, &p)
}

// emit appends a frame of a stream.
func (d *Demuxer) emit(s *stream, f av.Frame) {
	f.Kind, f.Track, f.Codec = s.kind, s.id, s.codec
	d.out = append(d.out, f)
}

// reset forgets what came of a stream since its last whole frame, after a loss.
func (s *stream) reset() {
	s.audio.carry = s.audio.carry[:0]
	s.audio.locked = false
}

// continuity follows a PID's counter (H.222.0, 2.4.3.3).
type continuity struct {
	known   bool
	counter uint8
	last    [maxPayload]byte // the newest payload
	size    uint8
}

// verdict is what a counter says of its packet.
type verdict uint8

const (
	next      verdict = iota
	again             // it has been there
	lost              // something before it is missing
	announced         // it goes on from elsewhere, as it says itself
)

func (c *continuity) check(p *packet) verdict {
	jump := p.flags&flagDiscontinuity != 0
	if !p.hasPayload {
		if jump {
			c.known = false
		}
		return next
	}
	v := next
	switch {
	case !c.known:
	case p.counter == c.counter && string(p.payload) == string(c.last[:c.size]):
		return again
	case p.counter == (c.counter+1)&0x0f:
	case jump:
		v = announced
	default:
		v = lost
	}
	c.known, c.counter = true, p.counter
	c.size = uint8(copy(c.last[:], p.payload))
	return v
}
