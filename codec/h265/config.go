// Package h265 reads what a server must know of H.265, HEVC (Rec. ITU-T H.265, 08/2021):
// the decoder configuration record (ISO/IEC 14496-15, 8.3.3.1), sequence and video parameter
// sets, and where decoding may start.
//
// It does not read slices, picture parameter sets, or parameter sets of layers other than
// the base layer.
package h265

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
	TypeIDR       = 19 // IDR_W_RADL
	TypeIDRNoLead = 20 // IDR_N_LP
	TypeCRA       = 21
	TypeVPS       = 32
	TypeSPS       = 33
	TypePPS       = 34
	TypeAUD       = 35
	TypeFiller    = 38
	TypeSEI       = 39 // before the slices
	TypeSEISuffix = 40
)

// Type returns the type of a NAL unit; -1 for one shorter than its header.
func Type(unit []byte) int {
	if len(unit) < 2 {
		return -1
	}
	return int(unit[0] >> 1 & 63)
}

// IsIRAP reports whether a type of NAL unit is that of an intra random access point: 16 to
// 23, those in reserve counted in.
func IsIRAP(t int) bool { return t >= 16 && t <= 23 }

// NALUs yields the NAL units of an access unit, each behind its length of lengthSize
// bytes; see nal.Units.
func NALUs(payload []byte, lengthSize int) iter.Seq[[]byte] { return nal.Units(payload, lengthSize) }

// Errors of configuration records.
var (
	// ErrLengthSize is returned if lengths take 3 bytes, which the format does not allow.
	ErrLengthSize = errors.New("lengths of 3 bytes")
	// ErrTooMany is returned for more than MaxUnits NAL units.
	ErrTooMany = errors.New("too many NAL units")
)

// MaxUnits is how many NAL units a configuration record may hold. The standard has up to
// 16 video, 16 sequence and 64 picture parameter sets.
const MaxUnits = 256

// Array is the NAL units of one type in a configuration record.
type Array struct {
	Complete bool // there are none of the type in band
	Type     uint8
	Units    [][]byte
}

// Config is an HEVCDecoderConfigurationRecord, hvcC.
type Config struct {
	ProfileSpace  uint8
	HighTier      bool
	Profile       uint8  // general_profile_idc
	Compatibility uint32 // general_profile_compatibility_flags, flag 0 highest
	Constraints   uint64 // 48 constraint indicator flags, the first highest
	Level         uint8  // general_level_idc: 30 times the level

	MinSpatialSegmentation uint16
	Parallelism            uint8
	ChromaFormat           uint8 // chroma_format_idc
	BitDepth               uint8 // luma, in bits
	BitDepthChroma         uint8
	AvgFrameRate           uint16 // frames in 256 s; 0 if not declared
	ConstantFrameRate      uint8
	TemporalLayers         uint8
	TemporalIDNested       bool
	LengthSize             int // bytes of each NAL unit's length: 1, 2 or 4
	Arrays                 []Array
}

// ParseConfig parses an HEVCDecoderConfigurationRecord of version 1, or 0, which early
// writers gave. Reserved bits and bytes after the record are not looked at, and any
// parameter sets may be missing, since they may come in band. The units are slices of b. It fails
// with ErrLengthSize, ErrTooMany or io.ErrUnexpectedEOF.
func ParseConfig(b []byte) (Config, error) {
	c, err := parseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("h265: reading the configuration record: %w", err)
	}
	return c, nil
}

func parseConfig(b []byte) (c Config, err error) {
	if len(b) < 23 {
		return c, io.ErrUnexpectedEOF
	}
	if b[0] > 1 {
		return c, fmt.Errorf("unknown version %d", b[0])
	}
	c = Config{
		ProfileSpace:           b[1] >> 6,
		HighTier:               b[1]&0x20 != 0,
		Profile:                b[1] & 31,
		Compatibility:          binary.BigEndian.Uint32(b[2:]),
		Constraints:            uint64(binary.BigEndian.Uint32(b[6:]))<<16 | uint64(binary.BigEndian.Uint16(b[10:])),
		Level:                  b[12],
		MinSpatialSegmentation: binary.BigEndian.Uint16(b[13:]) & 0xfff,
		Parallelism:            b[15] & 3,
		ChromaFormat:           b[16] & 3,
		BitDepth:               b[17]&7 + 8,
		BitDepthChroma:         b[18]&7 + 8,
		AvgFrameRate:           binary.BigEndian.Uint16(b[19:]),
		ConstantFrameRate:      b[21] >> 6,
		TemporalLayers:         b[21] >> 3 & 7,
		TemporalIDNested:       b[21]&4 != 0,
		LengthSize:             int(b[21]&3) + 1,
	}
	if c.LengthSize == 3 {
		return c, ErrLengthSize
	}
	arrays, total := int(b[22]), 0
	b = b[23:]
	if len(b) < 3*arrays {
		return c, io.ErrUnexpectedEOF
	}
	for range arrays {
		if len(b) < 3 {
			return c, io.ErrUnexpectedEOF
		}
		a := Array{Complete: b[0]&0x80 != 0, Type: b[0] & 63}
		n := int(binary.BigEndian.Uint16(b[1:]))
		if b = b[3:]; len(b) < 2*n {
			return c, io.ErrUnexpectedEOF
		}
		if total += n; total > MaxUnits {
			return c, ErrTooMany
		}
		for range n {
			unit, rest, ok := nal.Next(b, 2)
			if !ok {
				return c, io.ErrUnexpectedEOF
			}
			a.Units, b = append(a.Units, unit), rest
		}
		c.Arrays = append(c.Arrays, a)
	}
	return c, nil
}

// Unit returns the first NAL unit of a type in the record; nil if there is none.
func (c *Config) Unit(t int) []byte {
	for _, a := range c.Arrays {
		if int(a.Type) == t {
			for _, u := range a.Units {
				if len(u) > 0 {
					return u
				}
			}
		}
	}
	return nil
}

// NewConfig makes the configuration record of parameter sets, with lengths of 4 bytes. It
// fails if there is no sequence parameter set or the first cannot be parsed.
func NewConfig(vps, sps, pps [][]byte) (Config, error) {
	if len(sps) == 0 {
		return Config{}, errors.New("h265: making a configuration record: no sequence parameter set")
	}
	s, err := ParseSPS(sps[0])
	if err != nil {
		return Config{}, err
	}
	c := Config{
		ProfileSpace: s.ProfileSpace, HighTier: s.HighTier, Profile: s.Profile, Compatibility: s.Compatibility,
		Constraints: s.Constraints, Level: s.Level, ChromaFormat: s.ChromaFormat, BitDepth: s.BitDepth,
		BitDepthChroma: s.BitDepthChroma, TemporalLayers: s.SubLayers, TemporalIDNested: s.TemporalIDNested, LengthSize: 4,
	}
	for _, a := range []Array{{Type: TypeVPS, Units: vps}, {Type: TypeSPS, Units: sps}, {Type: TypePPS, Units: pps}} {
		if len(a.Units) > 0 {
			c.Arrays = append(c.Arrays, a)
		}
	}
	return c, nil
}

// AppendBinary appends the record, as version 1, in the form that ParseConfig reads. It
// fails if a field does not fit its place.
func (c *Config) AppendBinary(b []byte) ([]byte, error) {
	if c.LengthSize != 1 && c.LengthSize != 2 && c.LengthSize != 4 {
		return b, fmt.Errorf("h265: writing the configuration record: lengths of %d bytes", c.LengthSize)
	}
	if c.ProfileSpace > 3 || c.Profile > 31 || c.Constraints>>48 != 0 || c.MinSpatialSegmentation > 0xfff || c.Parallelism > 3 ||
		c.ChromaFormat > 3 || c.BitDepth-8 > 7 || c.BitDepthChroma-8 > 7 || c.ConstantFrameRate > 3 || c.TemporalLayers > 7 || len(c.Arrays) > 255 {
		return b, errors.New("h265: writing the configuration record: field out of range")
	}
	start := len(b)
	b = append(b, 1, c.ProfileSpace<<6|flag(c.HighTier)<<5|c.Profile)
	b = binary.BigEndian.AppendUint32(b, c.Compatibility)
	b = binary.BigEndian.AppendUint64(b, c.Constraints<<16)[:start+12]
	b = append(b, c.Level)
	b = binary.BigEndian.AppendUint16(b, 0xf000|c.MinSpatialSegmentation)
	b = append(b, 0xfc|c.Parallelism, 0xfc|c.ChromaFormat, 0xf8|(c.BitDepth-8), 0xf8|(c.BitDepthChroma-8))
	b = binary.BigEndian.AppendUint16(b, c.AvgFrameRate)
	b = append(b, c.ConstantFrameRate<<6|c.TemporalLayers<<3|flag(c.TemporalIDNested)<<2|byte(c.LengthSize-1), byte(len(c.Arrays)))
	total := 0
	for _, a := range c.Arrays {
		if total += len(a.Units); a.Type > 63 || total > MaxUnits {
			return b[:start], fmt.Errorf("h265: writing the configuration record: %w", ErrTooMany)
		}
		b = append(b, flag(a.Complete)<<7|a.Type)
		b = binary.BigEndian.AppendUint16(b, uint16(len(a.Units)))
		for _, u := range a.Units {
			var err error
			if b, err = nal.Append(b, u, 2); err != nil {
				return b[:start], fmt.Errorf("h265: writing the configuration record: %w", err)
			}
		}
	}
	return b, nil
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// LooksLikeConfig reports whether b is surely an HEVCDecoderConfigurationRecord: of version
// 1, each NAL unit of its array's type, a sequence parameter set among them. Patched builds of
// OBS before 29.1 send it where an AVC record belongs; a record that h264.ParseConfig accepts
// and whose parameter sets are H.264's is not to be asked about here.
func LooksLikeConfig(b []byte) bool {
	c, err := parseConfig(b)
	if err != nil || b[0] != 1 {
		return false
	}
	for _, a := range c.Arrays {
		for _, u := range a.Units {
			if Type(u) != int(a.Type) {
				return false
			}
		}
	}
	return c.Unit(TypeSPS) != nil
}
