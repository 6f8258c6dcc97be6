package mpegts

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"time"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/ac3"
	"weir/codec/mp3"
	"weir/codec/opus"
)

// audioReader keeps what is known of a sound stream between its PES packets.
type audioReader struct {
	carry   []byte // the beginning of a frame
	locked  bool   // the frame before was where it should be
	anchor  int64  // a time stamp, ticks
	known   bool   // anchor is set
	samples int64  // since anchor
	rate    int64  // of samples
}

// found is a frame of sound.
type found struct {
	size     int // of the whole frame
	skip     int // of what of it is not payload
	samples  int
	rate     int
	config   aac.Config // of AAC
	channels bool       // config tells them
	layer    int        // of MPEG audio
}

var (
	errShort = errors.New("frame goes on")
	errNone  = errors.New("no frame here")
)

// readAudio reads frames of sound that may begin and end anywhere in PES packets. A time
// stamp is that of the first frame that begins in its packet; those of the frames behind
// it are counted in samples.
func (d *Demuxer) readAudio(s *stream, t times, b []byte) {
	r := &s.audio
	old := len(r.carry)
	if old > 0 {
		r.carry = append(r.carry, b...)
		b = r.carry
	}
	at := 0
	for at < len(b) {
		if t.known && at >= old {
			r.anchor, r.samples, r.known, t.known = t.pts, 0, true, false
		}
		f, err := nextAudio(s.codec, b[at:], r.locked)
		if errors.Is(err, errShort) {
			break
		}
		if err != nil {
			if r.locked || at == 0 {
				d.counters.BadFrames++
			}
			r.locked = false
			at++
			continue
		}
		r.locked = true
		d.emitAudio(s, &f, b[at+f.skip:at+f.size])
		at += f.size
	}
	r.carry = append(r.carry[:0], b[at:]...)
}

// emitAudio appends a frame of sound, its configuration before it if that is new.
func (d *Demuxer) emitAudio(s *stream, f *found, payload []byte) {
	r := &s.audio
	const layerIII = 3
	if s.codec == av.MP3 && f.layer != layerIII {
		s.layer = f.layer // LeftOut tells
		return
	}
	s.layer = 0
	if !r.known {
		d.counters.Undecodable++
		return
	}
	if int64(f.rate) != r.rate {
		if r.rate > 0 {
			r.anchor += av.Ticks(av.Duration(r.samples, r.rate), clockRate)
		}
		r.samples, r.rate = 0, int64(f.rate)
	}
	at := fromTicks(r.anchor) + av.Duration(r.samples, r.rate)
	r.samples += int64(f.samples)
	if s.codec == av.AAC && !f.channels {
		if s.config == nil { // writers may tell the channels now and then only
			d.counters.Undecodable++
			return
		}
	} else if s.codec == av.AAC {
		config, err := f.config.AppendBinary(nil)
		if err != nil {
			d.counters.BadFrames++
			return
		}
		d.setConfig(s, config, at, at)
	}
	d.emit(s, av.Frame{DTS: at, PTS: at, Payload: bytes.Clone(payload)})
}

// setConfig appends a Config frame if the record is another than before.
func (d *Demuxer) setConfig(s *stream, config []byte, dts, pts time.Duration) {
	if bytes.Equal(config, s.config) {
		return
	}
	s.config = config
	d.emit(s, av.Frame{Type: av.Config, DTS: dts, PTS: pts, Payload: config})
}

// nextAudio returns the frame that b begins with. It fails with errShort if there may be
// one that goes on behind b, and with errNone if there is none. Unless the frame before
// was there too, what follows must look like a frame as well.
func nextAudio(c av.Codec, b []byte, locked bool) (found, error) {
	f, err := parseAudio(c, b)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return f, errShort
	case err != nil || f.size == 0 || f.samples == 0 || f.rate == 0:
		return f, errNone
	}
	if !locked && f.size < len(b) {
		if g, err := parseAudio(c, b[f.size:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || err == nil && g.rate != f.rate {
			return f, errNone
		}
	}
	if f.size > len(b) {
		return f, errShort
	}
	if c != av.EAC3 {
		return f, nil
	}
	for { // dependent substreams belong to the frame
		g, err := ac3.ParseFrame(b[f.size:])
		if err != nil || !g.Dependent || g.Size > len(b)-f.size {
			return f, nil
		}
		f.size += g.Size
	}
}

// parseAudio parses a frame's header. It fails with io.ErrUnexpectedEOF if b is too short.
func parseAudio(c av.Codec, b []byte) (found, error) {
	switch c {
	case av.AAC:
		const perBlock = 1024
		h, err := aac.ParseADTS(b)
		if err != nil || h.Blocks != 1 || h.Size <= h.HeaderSize {
			return found{}, cmp.Or(err, errNone)
		}
		f := found{size: h.Size, skip: h.HeaderSize, samples: perBlock, rate: h.SampleRate}
		raw := b[min(h.HeaderSize, len(b)):min(h.Size, len(b))]
		f.config, f.channels = h.FrameConfig(raw)
		if f.config.Program != nil {
			_, rest := aac.FrameProgram(raw)
			f.skip += len(raw) - len(rest) // the configuration tells it
		}
		return f, nil
	case av.MP3:
		h, err := mp3.ParseHeader(b)
		return found{size: h.Size, samples: h.Samples, rate: h.SampleRate, layer: h.Layer}, err
	}
	h, err := ac3.ParseFrame(b)
	return found{size: h.Size, samples: h.Samples, rate: h.SampleRate}, err
}

// readOpus reads a PES packet of Opus packets, each behind its control header.
func (d *Demuxer) readOpus(s *stream, t times, b []byte) {
	r := &s.audio
	if t.known {
		r.anchor, r.samples, r.known, r.rate = t.pts, 0, true, opus.SampleRate
	}
	for len(b) > 0 {
		unit, rest, trim, ok := nextOpus(b)
		if !ok {
			d.counters.BadFrames++
			return
		}
		b = rest
		p, err := opus.ParsePacket(unit)
		if err != nil {
			d.counters.BadFrames++
			continue
		}
		if !r.known {
			d.counters.Undecodable++
			continue
		}
		at := fromTicks(r.anchor) + av.Duration(r.samples, opus.SampleRate)
		r.samples += av.Ticks(p.Duration, opus.SampleRate)
		if s.config == nil {
			if h, ok := opusHead(s.opus, trim); ok {
				if config, err := h.AppendBinary(nil); err == nil {
					d.setConfig(s, config, at, at)
				}
			}
		}
		d.emit(s, av.Frame{DTS: at, PTS: at, Payload: bytes.Clone(unit)})
	}
}
