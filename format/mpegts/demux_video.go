package mpegts

import (
	"weir/av"
	"weir/codec"
	"weir/codec/nal"
)

const (
	// maxUnits is how many NAL units of a PES packet are read.
	maxUnits = 4096
	// guessedStep is the time from one access unit to the next where nothing tells.
	guessedStep = clockRate / 25
)

// videoReader keeps what is known of a video stream between its PES packets.
type videoReader struct {
	sets  codec.ParameterSets
	last  times // of the newest access unit
	step  int64 // from the one before, ticks
	units [][]byte
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
		role := codec.RoleOf(s.codec, u)
		if role == codec.UnitDelimiter {
			if sliced {
				d.readUnits(s, t, random)
				t, random, sliced = times{}, false, false
				r.units = r.units[:0]
			}
			continue
		}
		sliced = sliced || role.IsSlice()
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
	size, sliced, disposable := 0, false, s.codec == av.H264
	changed := r.sets.Put(s.codec, r.units)
	kept := r.units[:0]
	for _, u := range r.units {
		switch role := codec.RoleOf(s.codec, u); {
		case role.IsSet():
			continue
		case role.IsSlice():
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

// configureVideo makes the configuration of the parameter sets, once there are enough.
func (d *Demuxer) configureVideo(s *stream, t times) {
	if !s.video.sets.Complete() {
		return
	}
	const lengthSize = 4
	record, err := s.video.sets.Record(s.codec, lengthSize)
	if err != nil {
		d.counters.BadFrames++
		return
	}
	d.setConfig(s, record, fromTicks(t.dts), fromTicks(t.pts))
}
