package av1

import (
	"errors"
	"fmt"
	"io"
)

// Errors of this package.
var (
	// ErrForbidden is returned for an OBU whose forbidden bit is set.
	ErrForbidden = errors.New("forbidden bit is set")
	// ErrNoSequenceHeader is returned where a sequence header should be and is not.
	ErrNoSequenceHeader = errors.New("no sequence header")
)

// Config is an AV1CodecConfigurationRecord, av1C.
type Config struct {
	Profile      uint8 // seq_profile: 0 Main, 1 High, 2 Professional
	Level        uint8 // seq_level_idx_0
	HighTier     bool
	BitDepth     uint8 // 8, 10 or 12
	Monochrome   bool
	SubsamplingX bool
	SubsamplingY bool
	// SamplePosition is chroma_sample_position.
	SamplePosition uint8
	// PresentationDelay is initial_presentation_delay_minus_one plus 1; 0 if not given.
	PresentationDelay uint8
	// OBUs are the configuration OBUs: a sequence header, then metadata. They may be absent.
	OBUs []byte
}

// ParseConfig parses an AV1CodecConfigurationRecord. Reserved bits are not looked at; OBUs
// is a slice of b, not parsed. It fails with io.ErrUnexpectedEOF, or if the marker or
// version is not the known one.
func ParseConfig(b []byte) (Config, error) {
	if len(b) < 4 {
		return Config{}, fmt.Errorf("av1: reading the configuration record: %w", io.ErrUnexpectedEOF)
	}
	if b[0] != 0x81 {
		return Config{}, fmt.Errorf("av1: reading the configuration record: unknown version %#x", b[0])
	}
	c := Config{
		Profile: b[1] >> 5, Level: b[1] & 31,
		HighTier: b[2]&0x80 != 0, BitDepth: 8, Monochrome: b[2]&0x10 != 0,
		SubsamplingX: b[2]&8 != 0, SubsamplingY: b[2]&4 != 0, SamplePosition: b[2] & 3,
	}
	if b[2]&0x40 != 0 {
		c.BitDepth = 10
		if b[2]&0x20 != 0 {
			c.BitDepth = 12
		}
	}
	if b[3]&0x10 != 0 {
		c.PresentationDelay = b[3]&15 + 1
	}
	if len(b) > 4 {
		c.OBUs = b[4:]
	}
	return c, nil
}

// SequenceHeader parses the first sequence header of the configuration OBUs. It fails with
// ErrNoSequenceHeader if there is none.
func (c *Config) SequenceHeader() (SequenceHeader, error) {
	for u := range OBUs(c.OBUs) {
		if u.Type == TypeSequenceHeader {
			return ParseSequenceHeader(u.Payload)
		}
	}
	return SequenceHeader{}, fmt.Errorf("av1: reading the configuration record: %w", ErrNoSequenceHeader)
}

// NewConfig makes the configuration record of a temporal unit's first sequence header. It
// fails with ErrNoSequenceHeader, or as ParseSequenceHeader does.
func NewConfig(unit []byte) (Config, error) {
	for u := range OBUs(unit) {
		if u.Type != TypeSequenceHeader {
			continue
		}
		s, err := ParseSequenceHeader(u.Payload)
		if err != nil {
			return Config{}, err
		}
		return Config{
			Profile: s.Profile, Level: s.Level, HighTier: s.HighTier, BitDepth: s.BitDepth, Monochrome: s.Monochrome,
			SubsamplingX: s.SubsamplingX, SubsamplingY: s.SubsamplingY, SamplePosition: s.SamplePosition,
			OBUs: AppendOBU(nil, TypeSequenceHeader, u.Payload),
		}, nil
	}
	return Config{}, fmt.Errorf("av1: making a configuration record: %w", ErrNoSequenceHeader)
}

// AppendBinary appends the record in the form that ParseConfig reads. It fails if a field
// does not fit its place.
func (c *Config) AppendBinary(b []byte) ([]byte, error) {
	if c.Profile > 7 || c.Level > 31 || c.SamplePosition > 3 || c.PresentationDelay > 16 ||
		c.BitDepth != 8 && c.BitDepth != 10 && c.BitDepth != 12 {
		return b, errors.New("av1: writing the configuration record: field out of range")
	}
	delay := byte(0)
	if c.PresentationDelay > 0 {
		delay = 0x10 | (c.PresentationDelay - 1)
	}
	b = append(b, 0x81, c.Profile<<5|c.Level,
		bit(c.HighTier, 7)|bit(c.BitDepth > 8, 6)|bit(c.BitDepth == 12, 5)|bit(c.Monochrome, 4)|
			bit(c.SubsamplingX, 3)|bit(c.SubsamplingY, 2)|c.SamplePosition, delay)
	return append(b, c.OBUs...), nil
}

func bit(v bool, shift int) byte {
	if v {
		return 1 << shift
	}
	return 0
}

// ProfileName returns the name that people know a profile by, such as "Main".
func ProfileName(profile uint8) string {
	switch profile {
	case 0:
		return "Main"
	case 1:
		return "High"
	case 2:
		return "Professional"
	}
	return fmt.Sprint(profile)
}

// LevelName returns a seq_level_idx as people write it, such as "4.0" for 8 (A.3);
// "" for 31, which stands for no level.
func LevelName(level uint8) string {
	if level >= 31 {
		return ""
	}
	return fmt.Sprintf("%d.%d", level/4+2, level%4)
}
