package fmp4

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Sample is one access unit or audio packet in a fragment. Times are in ticks of its track's
// timescale.
type Sample struct {
	Duration uint32
	// CTS is the presentation time less the decoding time; it may be negative.
	CTS int32
	// Key says that a decoder may start here, as it may at every sample of sound.
	Key bool
	// Payload is as in MP4: NAL units behind their lengths, raw frames of AAC.
	Payload []byte
}

// Run is the samples of one track in a fragment, which follow each other without a gap.
type Run struct {
	// ID is the track's.
	ID uint32
	// DTS is the decoding time of the first sample, in ticks; not negative.
	DTS     int64
	Samples []Sample
}

// Flags of samples (ISO/IEC 14496-12, 8.8.3.1).
const (
	flagsKey    = 0x02000000 // depends on no other
	flagsNotKey = 0x01010000
)

// maxFragment bounds a fragment: where the data of a run begins has 31 bits.
const maxFragment = math.MaxInt32

// AppendFragment appends a fragment: a moof box and the mdat box with the samples. sequence is the
// fragment's number, from 1 on. Runs without samples are left out. It fails with
// ErrTooLarge, or with ErrTrack for a track number of 0 or a DTS below 0. Nothing is
// allocated but the growth of dst.
func AppendFragment(dst []byte, sequence uint32, runs []Run) ([]byte, error) {
	if err := checkRuns(runs); err != nil {
		return dst, fmt.Errorf("fmp4: writing a fragment: %w", err)
	}
	b, moof := openBox(dst, "moof")
	b, at := openFull(b, "mfhd", 0, 0)
	b = closeBox(be32(b, sequence), at)
	for i := range runs {
		if len(runs[i].Samples) > 0 {
			b = appendRun(b, &runs[i])
		}
	}
	b = closeBox(b, moof)
	patchOffsets(b[moof:], runs)
	b, at = openBox(b, "mdat")
	for i := range runs {
		for k := range runs[i].Samples {
			b = append(b, runs[i].Samples[k].Payload...)
		}
	}
	return closeBox(b, at), nil
}

// checkRuns says what is wrong with the runs of a fragment, or that it would be too large.
func checkRuns(runs []Run) error {
	const perRun, perSample = 128, 16 // in the moof box, at most
	size := perRun
	for i := range runs {
		r := &runs[i]
		if r.ID == 0 || r.DTS < 0 {
			return fmt.Errorf("track %d at %d: %w", r.ID, r.DTS, ErrTrack)
		}
		size += perRun + perSample*len(r.Samples)
		for k := range r.Samples {
			size += len(r.Samples[k].Payload)
		}
		if size > maxFragment {
			return fmt.Errorf("it would have %d bytes: %w", size, ErrTooLarge)
		}
	}
	return nil
}

// Flags of tfhd and trun (8.8.7.1 and 8.8.8.1).
const (
	tfhdDuration     = 0x8
	tfhdFlags        = 0x20
	tfhdBaseIsMoof   = 0x20000
	trunOffset       = 0x1
	trunDuration     = 0x100
	trunSize         = 0x200
	trunFlags        = 0x400
	trunCTS          = 0x800
	offsetInTrun     = 8 + 4 + 4 // of the data offset
	trafHead         = 8
	tfdtSize         = 8 + 4 + 8
	moofHeadWithMfhd = 8 + 16
)

// fields says what of a run's samples differs and must be told for each.
func (r *Run) fields() (tfhd, trun uint32) {
	first := &r.Samples[0]
	tfhd, trun = tfhdBaseIsMoof|tfhdDuration|tfhdFlags, trunOffset|trunSize
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Duration != first.Duration {
			tfhd &^= tfhdDuration
			trun |= trunDuration
		}
		if s.Key != first.Key {
			tfhd &^= tfhdFlags
			trun |= trunFlags
		}
		if s.CTS != 0 {
			trun |= trunCTS
		}
	}
	return tfhd, trun
}

func (s *Sample) flags() uint32 {
	if s.Key {
		return flagsKey
	}
	return flagsNotKey
}

// appendRun appends a traf box, the data offset left at 0.
func appendRun(b []byte, r *Run) []byte {
	first := &r.Samples[0]
	tfhd, trun := r.fields()
	b, traf := openBox(b, "traf")
	b, at := openFull(b, "tfhd", 0, tfhd)
	b = be32(b, r.ID)
	if tfhd&tfhdDuration != 0 {
		b = be32(b, first.Duration)
	}
	if tfhd&tfhdFlags != 0 {
		b = be32(b, first.flags())
	}
	b = closeBox(b, at)
	b, at = openFull(b, "tfdt", 1, 0)
	b = closeBox(be64(b, uint64(r.DTS)), at)
	b, at = openFull(b, "trun", 1, trun)
	b = be32(b, uint32(len(r.Samples)))
	b = be32(b, 0)
	for i := range r.Samples {
		s := &r.Samples[i]
		if trun&trunDuration != 0 {
			b = be32(b, s.Duration)
		}
		b = be32(b, uint32(len(s.Payload)))
		if trun&trunFlags != 0 {
			b = be32(b, s.flags())
		}
		if trun&trunCTS != 0 {
			b = be32(b, uint32(s.CTS))
		}
	}
	return closeBox(closeBox(b, at), traf)
}

// patchOffsets writes where the data of each run begins, from the beginning of the moof box on.
func patchOffsets(moof []byte, runs []Run) {
	offset := uint32(len(moof)) + 8
	at := moofHeadWithMfhd
	for i := range runs {
		r := &runs[i]
		if len(r.Samples) == 0 {
			continue
		}
		traf := int(binary.BigEndian.Uint32(moof[at:]))
		tfhd := int(binary.BigEndian.Uint32(moof[at+trafHead:]))
		binary.BigEndian.PutUint32(moof[at+trafHead+tfhd+tfdtSize+offsetInTrun:], offset)
		for k := range r.Samples {
			offset += uint32(len(r.Samples[k].Payload))
		}
		at += traf
	}
}
