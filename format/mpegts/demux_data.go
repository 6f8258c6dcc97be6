package mpegts

import (
	"bytes"

	"weir/av"
)

// readID3 reads a PES packet that holds a tag.
func (d *Demuxer) readID3(s *stream, t times, b []byte) {
	switch {
	case len(b) == 0:
		d.counters.BadFrames++
	case !t.known:
		d.counters.Undecodable++
	default:
		d.emit(s, av.Frame{DTS: fromTicks(t.dts), PTS: fromTicks(t.pts), Payload: bytes.Clone(b)})
	}
}

// readSplice reads a splice information section. It has no time stamp: its frame gets the
// time of the newest one in the program.
func (d *Demuxer) readSplice(s *stream, b []byte) {
	switch {
	case b[0] != tableSCTE35:
	case crc(b) != 0:
		d.counters.BadSections++
	case !d.clock.known:
		d.counters.Undecodable++
	default:
		at := fromTicks(d.clock.last)
		d.emit(s, av.Frame{DTS: at, PTS: at, Payload: bytes.Clone(b)})
	}
}
