package fmp4

import (
	"fmt"
	"math"

	"weir/av"
)

// AppendInit appends the initialization segment of a presentation: its ftyp and moov boxes. It
// fails with ErrCodec, ErrConfig or ErrTrack.
func AppendInit(dst []byte, tracks []Track) ([]byte, error) {
	seen := map[uint32]bool{}
	next := uint32(1)
	for i := range tracks {
		t := &tracks[i]
		if t.ID == 0 || t.ID == math.MaxUint32 || seen[t.ID] {
			return dst, t.fail(ErrTrack)
		}
		seen[t.ID] = true
		next = max(next, t.ID+1)
	}
	b, at := openBox(dst, "ftyp")
	b = append(b, "iso6\x00\x00\x00\x01iso6cmfcmp41dash"...)
	b = closeBox(b, at)
	b, moov := openBox(b, "moov")
	b, at = openFull(b, "mvhd", 0, 0)
	b = be32(zeros(b, 8), 1000) // times of creation, timescale
	b = be32(b, 0)              // duration
	b = be32(b, 1<<16)          // rate
	b = be16(b, 1<<8)           // volume
	b = appendMatrix(zeros(b, 10))
	b = be32(zeros(b, 24), next)
	b = closeBox(b, at)
	var err error
	for i := range tracks {
		if b, err = appendTrack(b, &tracks[i]); err != nil {
			return dst, err
		}
	}
	b, at = openBox(b, "mvex")
	for i := range tracks {
		var trex int
		b, trex = openFull(b, "trex", 0, 0)
		b = be32(b, tracks[i].ID)
		b = be32(b, 1) // sample description
		b = closeBox(zeros(b, 12), trex)
	}
	b = closeBox(b, at)
	return closeBox(b, moov), nil
}

// appendMatrix appends the matrix that changes nothing.
func appendMatrix(b []byte) []byte {
	for _, v := range [9]uint32{1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30} {
		b = be32(b, v)
	}
	return b
}

// languageUnknown is "und", five bits for each letter.
const languageUnknown = 0x55c4

// appendTrack appends a trak box (ISO/IEC 14496-12, 8.3.1).
func appendTrack(b []byte, t *Track) ([]byte, error) {
	b, trak := openBox(b, "trak")
	const enabled, inMovie = 1, 2
	b, at := openFull(b, "tkhd", 0, enabled|inMovie)
	b = be32(zeros(b, 8), t.ID)
	b = zeros(b, 4+4+8+2) // reserved, duration, reserved, layer
	group, volume := uint16(0), uint16(0)
	handler, name, header := "vide", "Video", "vmhd"
	if t.Kind == av.Audio {
		group, volume = 1, 1<<8
		handler, name, header = "soun", "Sound", "smhd"
	}
	b = be16(b, group)
	b = be16(b, volume)
	b = appendMatrix(zeros(b, 2))
	b = be32(b, uint32(fits16(t.Size.Width))<<16)
	b = be32(b, uint32(fits16(t.Size.Height))<<16)
	b = closeBox(b, at)

	b, mdia := openBox(b, "mdia")
	b, at = openFull(b, "mdhd", 0, 0)
	b = be32(zeros(b, 8), t.timescale())
	b = be32(b, 0)
	b = be16(b, languageUnknown)
	b = closeBox(zeros(b, 2), at)
	b, at = openFull(b, "hdlr", 0, 0)
	b = append(zeros(b, 4), handler...)
	b = append(append(zeros(b, 12), name...), 0)
	b = closeBox(b, at)

	b, minf := openBox(b, "minf")
	if t.Kind == av.Audio {
		b, at = openFull(b, header, 0, 0)
		b = closeBox(zeros(b, 4), at)
	} else {
		b, at = openFull(b, header, 0, 1)
		b = closeBox(zeros(b, 8), at)
	}
	b, dinf := openBox(b, "dinf")
	b, dref := openFull(b, "dref", 0, 0)
	b = be32(b, 1)
	b, at = openFull(b, "url ", 0, 1) // the media is in the same file
	b = closeBox(b, at)
	b = closeBox(closeBox(b, dref), dinf)

	b, stbl := openBox(b, "stbl")
	b, stsd := openFull(b, "stsd", 0, 0)
	b = be32(b, 1)
	b, err := appendEntry(b, t)
	if err != nil {
		return b, err
	}
	b = closeBox(b, stsd)
	for _, typ := range [...]string{"stts", "stsc", "stco"} { // fragments have the samples
		b, at = openFull(b, typ, 0, 0)
		b = closeBox(be32(b, 0), at)
	}
	b, at = openFull(b, "stsz", 0, 0)
	b = closeBox(zeros(b, 8), at)
	return closeBox(closeBox(closeBox(closeBox(b, stbl), minf), mdia), trak), nil
}

// appendEntry appends the sample entry.
func appendEntry(b []byte, t *Track) ([]byte, error) {
	var err error
	switch t.Codec {
	case av.H264, av.H265, av.AV1, av.VP9:
		b, err = appendVideoEntry(b, t)
	case av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3:
		b, err = appendAudioEntry(b, t)
	default:
		err = ErrCodec
	}
	if err != nil {
		return b, t.fail(err)
	}
	return b, nil
}

// configError wraps ErrConfig.
func configError(err error) error { return fmt.Errorf("%w: %w", ErrConfig, err) }
