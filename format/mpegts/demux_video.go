package mpegts

import (
	"bytes"

	"weir/av"
	"weir/codec"
	"weir/codec/bits"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
)

const (
	// maxUnits is how many NAL units of a PES packet are read.
	maxUnits = 4096
	// maxSets is how many parameter sets of a kind a stream may have.
	maxSets = 64
	// guessedStep is the time from one access unit to the next where nothing tells.
	guessedStep = clockRate / 25
)

// videoReader is what is known of a stream of video between its PES packets.
type videoReader struct {
	vps, sps, pps []parameterSet
	last          times // of the newest access unit
	step          int64 // from the one before, ticks
	units         [][]byte
}

// parameterSet is one parameter set, a whole NAL unit.
type parameterSet struct {
	id   uint32
	unit []byte
}

// role is what a NAL unit is to its access unit.
type role uint8

const (
	isOther role = iota
	isSlice
	isDelimiter
	isVPS
	isSPS
	isPPS
)

// roleOf returns the role of a NAL unit.
func roleOf(c av.Codec, unit []byte) role {
	if c == av.H265 {
		switch t := h265.Type(unit); {
		case t < 0:
		case t < h265.TypeVPS:
			return isSlice
		case t == h265.TypeAUD:
			return isDelimiter
		case t == h265.TypeVPS:
			return isVPS
		case t == h265.TypeSPS:
			return isSPS
		case t == h265.TypePPS:
			return isPPS
		}
		return isOther
	}
	switch t := h264.Type(unit); {
	case t >= h264.TypeSlice && t <= h264.TypeIDR:
		return isSlice
	case t == h264.TypeAUD:
		return isDelimiter
	case t == h264.TypeSPS:
		return isSPS
	case t == h264.TypePPS:
		return isPPS
	}
	return isOther
}

// readVideo reads a PES packet of video: an access unit, or several behind delimiters.
func (d *Demuxer) readVideo(s *stream, t times, b []byte, random bool) {
	r := &s.video
	r.units = r.units[:0]
	n, sliced := 0, false
	for u := range nal.AnnexB(b) {
		if n++; n > maxUnits {
			d.counters.DroppedPES++
			return
		}
		what := roleOf(s.codec, u)
		if what == isDelimiter {
			if sliced {
				d.readUnits(s, t, random)
				t, random, sliced = times{}, false, false
				r.units = r.units[:0]
			}
			continue
		}
		sliced = sliced || what == isSlice
		if len(u) > 0 {
			r.units = append(r.units, u)
		}
	}
	if n == 0 {
		d.counters.BadFrames++
	}
	d.readUnits(s, t, random)
	clear(r.units)
}

// readUnits reads the NAL units of an access unit. Parameter sets go to the
// configuration, the others to the frame.
func (d *Demuxer) readUnits(s *stream, t times, random bool) {
	r := &s.video
	if len(r.units) == 0 {
		return
	}
	size, changed, restart := 0, false, true
	sliced, disposable := false, s.codec == av.H264
	kept := r.units[:0]
	for _, u := range r.units {
		switch what := roleOf(s.codec, u); what {
		case isVPS, isSPS, isPPS:
			changed = r.take(s.codec, what, u, restart) || changed
			restart = restart && what != isSPS
			continue
		case isSlice:
			sliced = true
			disposable = disposable && u[0]&0x60 == 0 // nal_ref_idc
		}
		kept = append(kept, u)
		size += 4 + len(u)
	}
	ok := false
	if sliced {
		t, ok = r.next(t)
	} else if !t.known {
		t = r.last
	}
	if changed {
		d.configureVideo(s, t)
	}
	switch {
	case !sliced:
		if len(kept) > 0 {
			d.counters.BadFrames++
		}
		return
	case s.config == nil || !ok:
		d.counters.Undecodable++
		return
	}
	payload := make([]byte, 0, size)
	for _, u := range kept {
		payload, _ = nal.Append(payload, u, 4) // shorter than maxPES, so its length fits
	}
	f := av.Frame{DTS: fromTicks(t.dts), PTS: fromTicks(t.pts), Payload: payload}
	key, known := codec.IsKey(s.codec, payload, 4)
	switch {
	case known && key || !known && random:
		f.Flags = av.Key
	case disposable:
		f.Flags = av.Disposable
	}
	d.emit(s, f)
}

// next returns the times of an access unit, which are guessed if its PES packet does
// not say them.
func (r *videoReader) next(t times) (times, bool) {
	if !t.known {
		if !r.last.known {
			return t, false
		}
		step := r.step
		if step <= 0 {
			step = guessedStep
		}
		t = times{pts: r.last.dts + step, dts: r.last.dts + step, known: true}
	}
	if r.last.known {
		r.step = t.dts - r.last.dts
	}
	r.last = t
	return t, true
}

// take takes a parameter set and reports whether it is another than before. A sequence
// parameter set that takes the place of another begins the configuration anew if it is the
// first of its access unit, which restart says.
func (r *videoReader) take(c av.Codec, what role, u []byte, restart bool) bool {
	id, ok := setID(c, what, u)
	if !ok {
		return false
	}
	list := &r.pps
	switch what {
	case isVPS:
		list = &r.vps
	case isSPS:
		list = &r.sps
	}
	at := len(*list)
	for i, p := range *list {
		if p.id == id {
			if bytes.Equal(p.unit, u) {
				return false
			}
			at = i
		}
	}
	if at == maxSets {
		return false
	}
	p := parameterSet{id, bytes.Clone(u)}
	if at == len(*list) {
		*list = append(*list, p)
		return true
	}
	if what == isSPS && restart {
		// The picture parameter sets were for the one that goes.
		r.sps, r.pps = append(r.sps[:0], p), r.pps[:0]
		return true
	}
	(*list)[at] = p
	return true
}

// setID returns the number of a parameter set.
func setID(c av.Codec, what role, u []byte) (uint32, bool) {
	if c == av.H264 && what == isSPS {
		s, err := h264.ParseSPS(u)
		return uint32(s.ID), err == nil
	}
	if what == isSPS {
		s, err := h265.ParseSPS(u)
		return uint32(s.ID), err == nil
	}
	header := 1
	if c == av.H265 {
		header = 2
	}
	if len(u) <= header {
		return 0, false
	}
	if what == isVPS {
		return uint32(u[header] >> 4), true
	}
	r := bits.NewRBSPReader(u[header:])
	id := r.UE()
	return id, r.Err() == nil
}

// configureVideo makes the configuration of the parameter sets, once there are enough.
func (d *Demuxer) configureVideo(s *stream, t times) {
	r := &s.video
	if len(r.sps) == 0 || len(r.pps) == 0 {
		return
	}
	var record []byte
	var err error
	if s.codec == av.H264 {
		var c h264.Config
		if c, err = h264.NewConfig(bodies(r.sps), bodies(r.pps)); err == nil {
			record, err = c.AppendBinary(nil)
		}
	} else {
		var c h265.Config
		if c, err = h265.NewConfig(bodies(r.vps), bodies(r.sps), bodies(r.pps)); err == nil {
			record, err = c.AppendBinary(nil)
		}
	}
	if err != nil {
		d.counters.BadFrames++
		return
	}
	d.setConfig(s, record, fromTicks(t.dts), fromTicks(t.pts))
}

// bodies returns the NAL units of parameter sets.
func bodies(sets []parameterSet) [][]byte {
	units := make([][]byte, len(sets))
	for i := range sets {
		units[i] = sets[i].unit
	}
	return units
}
