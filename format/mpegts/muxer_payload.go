package mpegts

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
)

// maxAudio is the most payload of a PES packet that says its length.
const maxAudio = maxPESLength - (pesFixed - 6 + stampSize)

// The access unit delimiters, behind start codes, that allow for slices of all types.
const (
	delimiterH264 = "\x00\x00\x00\x01\x09\xf0"
	delimiterH265 = "\x00\x00\x00\x01\x46\x01\x50"
	startCode     = "\x00\x00\x00\x01"
)

// plan is what a frame's payload becomes.
type plan struct {
	size   int  // of the PES packet's payload
	annexB bool // the units are behind start codes already
	sets   bool // the configuration's parameter sets go first
}

// configure takes a track's description.
func (o *output) configure(t *av.Track, way elementary) {
	o.elementary = way
	o.track = *t
	o.track.Config = bytes.Clone(t.Config)
	o.lengthSize, o.sets = 4, nil
	switch t.Codec {
	case av.H264:
		if c, err := h264.ParseConfig(o.track.Config); err == nil {
			o.lengthSize = c.LengthSize
			o.addSets(slices.Values(slices.Concat(c.SPS, c.SPSExt, c.PPS)))
		}
	case av.H265:
		if c, err := h265.ParseConfig(o.track.Config); err == nil {
			o.lengthSize = c.LengthSize
			for _, want := range [3]uint8{h265.TypeVPS, h265.TypeSPS, h265.TypePPS} {
				for _, a := range c.Arrays {
					if a.Type == want {
						o.addSets(slices.Values(a.Units))
					}
				}
			}
		}
	}
}

func (o *output) addSets(units iter.Seq[[]byte]) {
	for u := range units {
		if len(u) > 0 {
			o.sets = nal.AppendAnnexB(o.sets, u)
		}
	}
}

// plan looks at a frame and says how it is to be written. It fails with ErrFrame.
func (o *output) plan(f *av.Frame) (plan, error) {
	n := len(f.Payload)
	if n == 0 {
		return plan{}, fmt.Errorf("%w: it is empty", ErrFrame)
	}
	switch f.Codec {
	case av.H264, av.H265:
		return o.planVideo(f)
	case SCTE35:
		if n > maxSection || n < 3 || f.Payload[0] != tableSCTE35 || n != 3+(int(f.Payload[1]&0x0f)<<8|int(f.Payload[2])) {
			return plan{}, fmt.Errorf("%w: not a splice information section", ErrFrame)
		}
		return plan{size: n}, nil
	case av.AAC:
		if !aac.IsADTS(f.Payload) {
			if !o.hasAAC {
				return plan{}, fmt.Errorf("%w: raw AAC without configuration", ErrFrame)
			}
			n += len(o.before(f.Payload))
			if n > maxADTS {
				return plan{}, fmt.Errorf("%w: %d bytes of raw AAC", ErrFrame, n)
			}
			n += adtsHeader
		}
	case av.Opus:
		n += opusControlSize(n)
	}
	if n > maxAudio {
		return plan{}, fmt.Errorf("%w: %d bytes", ErrFrame, n)
	}
	return plan{size: n}, nil
}

const (
	adtsHeader = 7
	maxADTS    = 1<<13 - 1 - adtsHeader
)

// before returns what goes between the ADTS header and a raw frame: its channels' description,
// unless the frame begins with one.
func (o *output) before(raw []byte) []byte {
	if len(o.program) > 0 {
		if p, _ := aac.FrameProgram(raw); p != nil {
			return nil
		}
	}
	return o.program
}

// delimiter returns the access unit delimiter of the track's codec.
func (o *output) delimiter() string {
	if o.track.Codec == av.H265 {
		return delimiterH265
	}
	return delimiterH264
}

// units yields the NAL units of an access unit but its delimiters and its empty ones.
func (o *output) units(payload []byte, annexB bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if annexB {
			for u := range nal.AnnexB(payload) {
				if len(u) > 0 && !o.isDelimiter(u) && !yield(u) {
					return
				}
			}
			return
		}
		for u := range nal.Units(payload, o.lengthSize) {
			if !o.isDelimiter(u) && !yield(u) {
				return
			}
		}
	}
}

func (o *output) isDelimiter(u []byte) bool {
	if o.track.Codec == av.H265 {
		return h265.Type(u) == h265.TypeAUD
	}
	return h264.Type(u) == h264.TypeAUD
}

// planVideo plans an access unit. Of a damaged one what comes before the damage is kept.
func (o *output) planVideo(f *av.Frame) (plan, error) {
	p := plan{annexB: nal.IsAnnexB(f.Payload, o.lengthSize)}
	var sps, pps bool
	for u := range o.units(f.Payload, p.annexB) {
		p.size += len(startCode) + len(u)
		if o.track.Codec == av.H265 {
			t := h265.Type(u)
			sps, pps = sps || t == h265.TypeSPS, pps || t == h265.TypePPS
		} else {
			t := h264.Type(u)
			sps, pps = sps || t == h264.TypeSPS, pps || t == h264.TypePPS
		}
	}
	if p.size == 0 {
		return p, fmt.Errorf("%w: no NAL unit", ErrFrame)
	}
	p.size += len(o.delimiter())
	if f.Flags&av.Key != 0 && !(sps && pps) {
		p.sets = true
		p.size += len(o.sets)
	}
	return p, nil
}

// writeVideo writes an access unit.
func (o *output) writeVideo(w *pesWriter, f *av.Frame, p plan) {
	w.writeString(o.delimiter())
	if p.sets {
		w.write(o.sets)
	}
	for u := range o.units(f.Payload, p.annexB) {
		w.writeString(startCode)
		w.write(u)
	}
}

// writeOther writes a frame of sound or a tag.
func (o *output) writeOther(w *pesWriter, f *av.Frame) {
	w.write(o.appendControl(w.scratch[:0], f))
	w.write(f.Payload)
}

// appendControl appends what goes before a frame of sound: an ADTS header, or the
// control header of Opus. The frame has been planned.
func (o *output) appendControl(dst []byte, f *av.Frame) []byte {
	switch {
	case f.Codec == av.Opus:
		return appendOpusControl(dst, len(f.Payload))
	case f.Codec == av.AAC && !aac.IsADTS(f.Payload):
		program := o.before(f.Payload)
		if b, err := o.aac.AppendADTS(dst, len(program)+len(f.Payload)); err == nil {
			return append(b, program...)
		}
	}
	return dst
}

// appendSplice appends the packets of a splice information section.
func (o *output) appendSplice(dst, section []byte) []byte {
	if o.broken {
		// Sections fill their packets, so the discontinuity goes ahead of them.
		o.broken = false
		dst = appendHeader(dst, o.pid, false, adaptationOnly, o.counter-1)
		dst = appendAdaptation(dst, maxPayload, flagDiscontinuity, 0)
	}
	o.used = true
	return appendSection(dst, o.pid, &o.counter, section)
}
