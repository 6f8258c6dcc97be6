package mpegts

import (
	"encoding/binary"
	"errors"
	"slices"

	"weir/av"
)

// sectionReader puts sections together from the packets of one PID (H.222.0, 2.4.4).
type sectionReader struct {
	continuity continuity
	buf        []byte // the section so far; empty between sections
}

// packet takes a packet and calls whole with each section that it completes.
func (r *sectionReader) packet(p *packet, c *Counters, whole func(section []byte)) {
	if !p.hasPayload {
		r.continuity.check(p)
		return
	}
	switch r.continuity.check(p) {
	case again:
		c.Duplicates++
		return
	case lost:
		c.Gaps++
		r.drop(c)
	case announced:
		r.drop(c)
	}
	b := p.payload
	if p.start {
		if len(b) == 0 || int(b[0]) > len(b)-1 {
			c.Malformed++
			r.drop(c)
			return
		}
		pointer := int(b[0])
		if len(r.buf) > 0 {
			r.add(b[1:1+pointer], c, whole)
			r.drop(c)
		}
		b = b[1+pointer:]
	} else if len(r.buf) == 0 {
		return
	}
	r.add(b, c, whole)
}

// drop gives up the section in progress.
func (r *sectionReader) drop(c *Counters) {
	if len(r.buf) > 0 {
		c.BadSections++
		r.buf = r.buf[:0]
	}
}

// add adds bytes to the section in progress, or begins one with them.
func (r *sectionReader) add(b []byte, c *Counters, whole func([]byte)) {
	const unused = 0xff // where a table id should be: nothing but stuffing follows
	r.buf = append(r.buf, b...)
	done := 0
	for rest := r.buf; len(rest) >= 3 && rest[0] != unused; rest = r.buf[done:] {
		n := 3 + int(binary.BigEndian.Uint16(rest[1:])&0x0fff)
		if n > maxSection {
			c.BadSections++
			r.buf = r.buf[:0]
			return
		}
		if len(rest) < n {
			break
		}
		whole(rest[:n])
		done += n
	}
	rest := r.buf[done:]
	if len(rest) > 0 && rest[0] == unused {
		rest = nil
	}
	r.buf = append(r.buf[:0], rest...)
}

// readPAT reads a program association section (H.222.0, 2.4.4.3).
func (d *Demuxer) readPAT(b []byte) {
	_, current, body, err := parseLongSection(b)
	if err != nil || b[0] != tablePAT {
		d.counters.BadSections++
		return
	}
	if !current {
		return
	}
	var number, pid uint16
	const entry = 4
	for ; len(body) >= entry; body = body[entry:] {
		n, p := binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])&0x1fff
		if n == 0 || p == patPID || p == nullPID {
			continue // where the network's own tables are
		}
		if number == 0 || n == d.program {
			number, pid = n, p
		}
	}
	last := b[7] // last_section_number: what is not in one section may be in another
	if number == 0 || number != d.program && d.program != 0 && last > 0 {
		return
	}
	if d.program != number || d.pmtPID != pid {
		d.program, d.pmtPID = number, pid
		d.pmt = sectionReader{}
		d.mapped = false
	}
}

// readPMT reads a program map section.
func (d *Demuxer) readPMT(b []byte) {
	number, current, body, err := parseLongSection(b)
	switch {
	case errors.Is(err, errCRC):
		d.counters.BadSections++
		return
	case b[0] != tablePMT: // a PID may have other tables too
		return
	case err != nil:
		d.counters.BadSections++
		return
	case number != d.program || !current:
		return
	}
	sum := binary.BigEndian.Uint32(b[len(b)-crcSize:])
	if d.mapped && sum == d.mapCRC {
		return
	}
	_, about, streams, err := parsePMT(body)
	if err != nil {
		d.counters.BadSections++
		return
	}
	if d.mapped {
		d.counters.TableChanges++
	}
	d.mapped, d.mapCRC = true, sum
	d.setStreams(about, streams)
}

// setStreams takes a new program map. A stream that is in the one before, with the same
// PID and coding, goes on as it is.
func (d *Demuxer) setStreams(about []byte, entries []mapped) {
	before := d.streams
	d.streams, d.leftOut = nil, nil
	var fresh []*stream
	for _, e := range entries {
		c, code := codecOf(&e, about)
		if c == 0 || e.pid == patPID || e.pid == nullPID || e.pid == d.pmtPID || len(d.streams) == maxStreams ||
			slices.ContainsFunc(d.streams, func(s *stream) bool { return s.pid == e.pid }) {
			d.counters.Unsupported++
			if len(d.leftOut) < maxLeftOut {
				d.leftOut = append(d.leftOut, nameOf(&e))
			}
			continue
		}
		i := slices.IndexFunc(before, func(s *stream) bool { return s.pid == e.pid && s.codec == c && s.opus == code })
		if i >= 0 {
			d.streams = append(d.streams, before[i])
			before = slices.Delete(slices.Clone(before), i, i+1)
			continue
		}
		s := &stream{kind: kindOf(c), codec: c, pid: e.pid, opus: code}
		d.streams = append(d.streams, s)
		fresh = append(fresh, s)
	}
	for _, s := range before { // the rest ends
		d.finishPES(s)
		d.release(s)
	}
	for _, s := range fresh {
		s.id = d.freeID(s)
	}
	clear(d.index[:])
	for i, s := range d.streams {
		d.index[s.pid] = uint8(i + 1)
	}
}

// freeID returns the lowest id that no other stream of the kind has; those that are new
// come in order.
func (d *Demuxer) freeID(s *stream) uint8 {
	for id := range uint8(maxStreams) {
		if !slices.ContainsFunc(d.streams, func(o *stream) bool { return o != s && o.kind == s.kind && o.numbered && o.id == id }) {
			s.numbered = true
			return id
		}
	}
	return maxStreams
}

// codecOf returns the codec of a stream in a program map, 0 if it is none that is read,
// and of Opus the channel configuration. about is the program's own descriptors.
func codecOf(e *mapped, about []byte) (c av.Codec, opusCode uint8) {
	switch e.streamType {
	case typeH264:
		return av.H264, 0
	case typeH265:
		return av.H265, 0
	case typeADTS:
		return av.AAC, 0
	case typeMPEG1Audio, typeMPEG2Audio:
		return av.MP3, 0
	case typeAC3:
		return av.AC3, 0
	case typeEAC3:
		return av.EAC3, 0
	case typeMetadata:
		for tag, b := range descriptors(e.descriptors) {
			if tag == descriptorMetadata && len(b) >= len(id3Format) && string(b[:len(id3Format)]) == id3Format {
				return ID3, 0
			}
		}
	case typeSCTE35:
		if !registered(about, "HDMV") && !registered(e.descriptors, "HDMV") { // there it is DTS
			return SCTE35, 0
		}
	case typePrivate:
		return privateCodec(e.descriptors)
	}
	return 0, 0
}

// privateCodec returns the codec of a stream of PES packets of private data.
func privateCodec(b []byte) (c av.Codec, opusCode uint8) {
	isOpus := registered(b, "Opus")
	for tag, body := range descriptors(b) {
		switch {
		case tag == descriptorAC3:
			return av.AC3, 0
		case tag == descriptorEAC3:
			return av.EAC3, 0
		case tag == descriptorExtension && isOpus && len(body) >= 2 && body[0] == extensionOpus:
			if _, ok := opusHead(body[1], 0); ok {
				return av.Opus, body[1]
			}
		}
	}
	switch {
	case registered(b, "AC-3"):
		return av.AC3, 0
	case registered(b, "EAC3"):
		return av.EAC3, 0
	case registered(b, "HEVC"):
		return av.H265, 0
	}
	return 0, 0
}

// registered reports whether a registration descriptor in b names a format.
func registered(b []byte, format string) bool {
	for tag, body := range descriptors(b) {
		if tag == descriptorRegistration && len(body) >= 4 && string(body[:4]) == format {
			return true
		}
	}
	return false
}
