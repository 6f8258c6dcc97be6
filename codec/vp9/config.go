// Package vp9 reads what a server must know of VP9 (VP9 Bitstream & Decoding Process
// Specification, version 0.6): the configuration record (VP Codec ISO Media File Format
// Binding, version 1.0), which VP8 shares, and the header of a frame.
//
// It does not split superframes: of one it describes the first frame.
package vp9

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Config is a VPCodecConfigurationRecord, vpcC.
type Config struct {
	// FullBox is true if the version and flags of the MP4 box precede the record. Enhanced
	// RTMP does not say whether they do.
	FullBox   bool
	Profile   uint8
	Level     uint8 // 10 times the level; 0 if not given
	BitDepth  uint8 // 4 bits: 8, 10 or 12
	Chroma    uint8 // 3 bits: 0 and 1 4:2:0, 2 4:2:2, 3 4:4:4
	FullRange bool
	// Primaries, Transfer and Matrix are as in Rec. ITU-T H.273.
	Primaries, Transfer, Matrix uint8
	// InitData is empty for VP8 and VP9.
	InitData []byte
}

// ParseConfig parses a VPCodecConfigurationRecord, with or without the four bytes of its
// MP4 box before it: 1, 0, 0, 0, which cannot begin a record, since none has a bit depth of
// 0. Bytes after the record are not looked at. InitData is a slice of b. It fails
// with io.ErrUnexpectedEOF, or for another version of the box or bit depth.
func ParseConfig(b []byte) (Config, error) {
	c, err := parseConfig(b)
	if err != nil {
		return Config{}, fmt.Errorf("vp9: reading the configuration record: %w", err)
	}
	return c, nil
}

func parseConfig(b []byte) (c Config, err error) {
	if len(b) >= 4 && b[1] == 0 && b[2] == 0 && b[3] == 0 {
		if b[0] != 1 {
			return c, fmt.Errorf("unknown version %d", b[0])
		}
		c.FullBox, b = true, b[4:]
	}
	if len(b) < 8 {
		return c, io.ErrUnexpectedEOF
	}
	c.Profile, c.Level, c.BitDepth, c.Chroma, c.FullRange = b[0], b[1], b[2]>>4, b[2]>>1&7, b[2]&1 != 0
	c.Primaries, c.Transfer, c.Matrix = b[3], b[4], b[5]
	if c.BitDepth == 0 {
		return c, errors.New("bit depth of 0")
	}
	n := int(binary.BigEndian.Uint16(b[6:]))
	if b = b[8:]; len(b) < n {
		return c, io.ErrUnexpectedEOF
	}
	if n > 0 {
		c.InitData = b[:n:n]
	}
	return c, nil
}

// AppendBinary appends the record in the form that ParseConfig reads. It fails if a field
// does not fit its place.
func (c *Config) AppendBinary(b []byte) ([]byte, error) {
	if c.BitDepth == 0 || c.BitDepth > 15 || c.Chroma > 7 || len(c.InitData) > 0xffff {
		return b, errors.New("vp9: writing the configuration record: field out of range")
	}
	if c.FullBox {
		b = append(b, 1, 0, 0, 0)
	}
	format := c.BitDepth<<4 | c.Chroma<<1
	if c.FullRange {
		format |= 1
	}
	b = append(b, c.Profile, c.Level, format, c.Primaries, c.Transfer, c.Matrix)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.InitData)))
	return append(b, c.InitData...), nil
}

// ProfileName returns the name that people know a profile by, such as "Profile 0".
func ProfileName(profile uint8) string { return fmt.Sprintf("Profile %d", profile) }

// LevelName returns a level as people write it, such as "3.1" for 31; "" for 0, which is none.
func LevelName(level uint8) string {
	if level == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", level/10, level%10)
}
