package fmp4

import (
	"fmt"
	"math"
	"time"

	"weir/av"
)

// AppendInit appends the initialization segment of a presentation: its ftyp and moov boxes. It
// fails with ErrCodec, ErrConfig or ErrTrack.
func AppendInit(dst []byte, tracks []Track) ([]byte, error) {
	b, at := openBox(dst, "ftyp")
	b = append(b, "iso6\x00\x00\x00\x01iso6cmfcmp41dash"...)
	b = closeBox(b, at)
	b, err := appendMovie(b, tracks, movie{scale: initScale})
	if err != nil {
		return dst, err
	}
	return b, nil
}

// movie says how a moov box is written.
type movie struct {
	scale   uint32 // ticks in a second of its own times
	long    bool   // durations have 64 bits, which are enough for a file
	created uint64 // seconds since 1904
}

const (
	initScale = 1000
	// fileScale is fine enough for what separates the beginnings of tracks.
	fileScale = 90000
)

// AppendMovie appends the moov box of a file of fragments, which AppendPlain can make a plain one of
// later. created may be zero. It fails as AppendInit does.
func AppendMovie(dst []byte, tracks []Track, created time.Time) ([]byte, error) {
	m := movie{scale: fileScale, long: true}
	if !created.IsZero() {
		m.created = uint64(max(created.Unix()+since1904, 0))
	}
	return appendMovie(dst, tracks, m)
}

// since1904 is the seconds from the epoch of MP4 to that of Unix.
const since1904 = 2082844800

// appendMovie appends a moov box with movie extends.
func appendMovie(dst []byte, tracks []Track, m movie) ([]byte, error) {
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
	b, moov := openBox(dst, "moov")
	b, at := m.openTimed(b, "mvhd", 0)
	b = be32(b, m.scale)
	b = m.duration(b)
	b = be32(b, 1<<16) // rate
	b = be16(b, 1<<8)  // volume
	b = appendMatrix(zeros(b, 10))
	b = be32(zeros(b, 24), next)
	b = closeBox(b, at)
	var err error
	for i := range tracks {
		if b, err = appendTrack(b, &tracks[i], &m); err != nil {
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

// openTimed begins a full box whose first fields are the times of creation and change.
func (m *movie) openTimed(b []byte, typ string, flags uint32) (_ []byte, at int) {
	if m.long {
		b, at = openFull(b, typ, 1, flags)
		return be64(be64(b, m.created), m.created), at
	}
	b, at = openFull(b, typ, 0, flags)
	return be32(be32(b, uint32(m.created)), uint32(m.created)), at
}

// duration appends a duration of 0.
func (m *movie) duration(b []byte) []byte {
	if m.long {
		return zeros(b, 8)
	}
	return zeros(b, 4)
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
func appendTrack(b []byte, t *Track, m *movie) ([]byte, error) {
	b, trak := openBox(b, "trak")
	const enabled, inMovie = 1, 2
	b, at := m.openTimed(b, "tkhd", enabled|inMovie)
	b = zeros(be32(b, t.ID), 4)
	b = zeros(m.duration(b), 8+2) // reserved, layer
	group, volume := uint16(0), uint16(0)
	handler, name, header := "vide", "Video", "vmhd"
	if t.Kind == av.Audio {
		group, volume = 1, 1<<8
		handler, name, header = "soun", "Sound", "smhd"
	}
	if t.Name != "" {
		name = t.Name
	}
	b = be16(b, group)
	b = be16(b, volume)
	b = appendMatrix(zeros(b, 2))
	b = be32(b, uint32(fits16(t.Size.Width))<<16)
	b = be32(b, uint32(fits16(t.Size.Height))<<16)
	b = closeBox(b, at)

	b, mdia := openBox(b, "mdia")
	b, at = m.openTimed(b, "mdhd", 0)
	b = m.duration(be32(b, t.timescale()))
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
