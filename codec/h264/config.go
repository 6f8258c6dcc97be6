// Package h264 reads what a server must know of H.264 (Rec. ITU-T H.264, 08/2021): the
// decoder configuration record (ISO/IEC 14496-15, 5.3.3.1), sequence parameter sets, and
// where decoding may start.
//
// It does not read slices, picture parameter sets, or the extensions for scalable, 3D and
// multiview coding beyond their profiles' names.
package h264

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"weir/codec/nal"
)

// The types of NAL unit (Table 7-1) that matter outside a decoder.
const (
	TypeSlice  = 1
	TypeIDR    = 5
	TypeSEI    = 6
	TypeSPS    = 7
	TypePPS    = 8
	TypeAUD    = 9
	TypeFiller = 12
	TypeSPSExt = 13
)

// Type returns the type of a NAL unit; 0, which is unspecified, for an empty one.
func Type(unit []byte) int {
	if len(unit) == 0 {
		return 0
	}
	return int(unit[0] & 31)
}

// NALUs yields the NAL units of an access unit, each behind its length of lengthSize
// bytes; see nal.Units.
func NALUs(payload []byte, lengthSize int) iter.Seq[[]byte] { return nal.Units(payload, lengthSize) }

// ErrLengthSize is returned for a configuration record whose lengths take 3 bytes, which
// the format does not allow.
var ErrLengthSize = errors.New("lengths of 3 bytes")

// Bounds of a configuration record: what its counts can hold.
const (
	maxSPS = 31
	maxPPS = 255
)

// Config is an AVCDecoderConfigurationRecord, avcC. Its parameter sets are whole NAL units.
type Config struct {
	Profile       uint8 // profile_idc
	Compatibility uint8 // constraint_set flags, the first in the highest bit
	Level         uint8 // level_idc
	LengthSize    int   // bytes of each NAL unit's length: 1, 2 or 4
	SPS, PPS      [][]byte

	// Extended is true if the record has the part for the High profiles, which holds
	// the following. Many writers leave it out.
	Extended       bool
	ChromaFormat   uint8 // chroma_format_idc
	BitDepth       uint8 // luma, in bits
	BitDepthChroma uint8
	SPSExt         [][]byte
}

// hasExtension reports whether records of a profile may have the part for High profiles.
func hasExtension(profile uint8) bool {
	switch profile {
	case 66, 77, 88:
		return false
	}
	return true
}

// ParseConfig parses an AVCDecoderConfigurationRecord. Reserved bits and bytes after the
// record are not looked at, and a damaged part for the High profiles counts as absent; there
// may be no parameter sets at all, if they come in band. The parameter sets are slices
// of b. It fails with ErrLengthSize or io.ErrUnexpectedEOF.
func ParseConfig(b []byte) (Config, error) {
	c, err := parseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("h264: reading the configuration record: %w", err)
	}
	return c, nil
}

func parseConfig(b []byte) (c Config, err error) {
	if len(b) < 7 {
		return c, io.ErrUnexpectedEOF
	}
	if b[0] != 1 {
		return c, fmt.Errorf("unknown version %d", b[0])
	}
	c.Profile, c.Compatibility, c.Level = b[1], b[2], b[3]
	if c.LengthSize = int(b[4]&3) + 1; c.LengthSize == 3 {
		return c, ErrLengthSize
	}
	if c.SPS, b, err = readSets(b[6:], int(b[5]&31)); err != nil {
		return c, err
	}
	if len(b) == 0 {
		return c, io.ErrUnexpectedEOF
	}
	if c.PPS, b, err = readSets(b[1:], int(b[0])); err != nil {
		return c, err
	}
	if !hasExtension(c.Profile) || len(b) < 4 {
		return c, nil
	}
	if ext, _, err := readSets(b[4:], int(b[3])); err == nil {
		c.Extended, c.SPSExt = true, ext
		c.ChromaFormat, c.BitDepth, c.BitDepthChroma = b[0]&3, b[1]&7+8, b[2]&7+8
	}
	return c, nil
}

// readSets reads n parameter sets. Their number is known to fit a byte.
func readSets(b []byte, n int) (sets [][]byte, rest []byte, err error) {
	if len(b) < 2*n {
		return nil, nil, io.ErrUnexpectedEOF
	}
	if n > 0 {
		sets = make([][]byte, 0, n)
	}
	for range n {
		if len(b) < 2 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		size := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; size > len(b) {
			return nil, nil, io.ErrUnexpectedEOF
		}
		sets, b = append(sets, b[:size:size]), b[size:]
	}
	return sets, b, nil
}

// NewConfig makes the configuration record of parameter sets, with lengths of 4 bytes. It
// fails if there is no sequence parameter set or the first cannot be parsed.
func NewConfig(sps, pps [][]byte) (Config, error) {
	if len(sps) == 0 {
		return Config{}, errors.New("h264: making a configuration record: no sequence parameter set")
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return Config{}, err
	}
	c := Config{Profile: s.Profile, Compatibility: s.Constraints, Level: s.Level, LengthSize: 4, SPS: sps, PPS: pps}
	if hasExtension(c.Profile) {
		c.Extended, c.ChromaFormat, c.BitDepth, c.BitDepthChroma = true, s.ChromaFormat, s.BitDepth, s.BitDepthChroma
	}
	return c, nil
}

// AppendBinary appends the record in the form that ParseConfig reads. It fails if a field
// does not fit its place: with Extended, BitDepth and BitDepthChroma must be 8 to 15.
func (c *Config) AppendBinary(b []byte) ([]byte, error) {
	if c.LengthSize != 1 && c.LengthSize != 2 && c.LengthSize != 4 {
		return b, fmt.Errorf("h264: writing the configuration record: lengths of %d bytes", c.LengthSize)
	}
	if len(c.SPS) > maxSPS || len(c.PPS) > maxPPS || len(c.SPSExt) > maxPPS {
		return b, errors.New("h264: writing the configuration record: too many parameter sets")
	}
	start := len(b)
	b = append(b, 1, c.Profile, c.Compatibility, c.Level, 0xfc|byte(c.LengthSize-1), 0xe0|byte(len(c.SPS)))
	b, err := appendSets(b, c.SPS)
	if err == nil {
		b, err = appendSets(append(b, byte(len(c.PPS))), c.PPS)
	}
	if err == nil && c.Extended {
		if c.ChromaFormat > 3 || c.BitDepth-8 > 7 || c.BitDepthChroma-8 > 7 {
			return b[:start], errors.New("h264: writing the configuration record: chroma format or bit depth out of range")
		}
		b = append(b, 0xfc|c.ChromaFormat, 0xf8|(c.BitDepth-8), 0xf8|(c.BitDepthChroma-8))
		b, err = appendSets(append(b, byte(len(c.SPSExt))), c.SPSExt)
	}
	if err != nil {
		return b[:start], fmt.Errorf("h264: writing the configuration record: %w", err)
	}
	return b, nil
}

func appendSets(b []byte, sets [][]byte) ([]byte, error) {
	for _, s := range sets {
		var err error
		if b, err = nal.Append(b, s, 2); err != nil {
			return b, err
		}
	}
	return b, nil
}
