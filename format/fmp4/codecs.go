package fmp4

import (
	"fmt"
	"math/bits"
	"strings"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/vp9"
)

// CodecString returns the name of a track's codec as the codecs parameter has it (RFC 6381,
// ISO/IEC 14496-15 annex E, and the bindings of AV1 and VP9), such as "avc1.64001f". It fails
// with ErrCodec or ErrConfig.
func CodecString(t av.Track) (string, error) {
	s, err := codecString(&t)
	if err != nil {
		return "", fmt.Errorf("fmp4: naming %v: %w", t.Codec, err)
	}
	return s, nil
}

// CodecNames returns the names of the codecs of tracks, with commas between them; one that has none by CodecString has its own in lower case.
func CodecNames(tracks []av.Track) string {
	names := make([]string, len(tracks))
	for i := range tracks {
		var err error
		if names[i], err = CodecString(tracks[i]); err != nil {
			names[i] = strings.ToLower(tracks[i].Codec.String())
		}
	}
	return strings.Join(names, ",")
}

func codecString(t *av.Track) (string, error) {
	switch t.Codec {
	case av.H264:
		c, err := h264.ParseConfig(t.Config)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrConfig, err)
		}
		return fmt.Sprintf("avc1.%02x%02x%02x", c.Profile, c.Compatibility, c.Level), nil
	case av.H265:
		c, err := h265.ParseConfig(t.Config)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrConfig, err)
		}
		return hevcString(&c), nil
	case av.AV1:
		c, err := av1.ParseConfig(t.Config)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrConfig, err)
		}
		tier := 'M'
		if c.HighTier {
			tier = 'H'
		}
		return fmt.Sprintf("av01.%d.%02d%c.%02d", c.Profile, c.Level, tier, c.BitDepth), nil
	case av.VP9:
		c := vp9Config(t)
		return fmt.Sprintf("vp09.%02d.%02d.%02d", c.Profile, c.Level, c.BitDepth), nil
	case av.AAC:
		c, err := aac.ParseConfig(t.Config)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrConfig, err)
		}
		const sbr, ps = 5, 29
		typ := c.ObjectType
		switch {
		case c.PS:
			typ = ps
		case c.SBR:
			typ = sbr
		}
		return fmt.Sprintf("mp4a.40.%d", typ), nil
	case av.MP3:
		return "mp4a.40.34", nil
	case av.Opus:
		return "Opus", nil
	case av.FLAC:
		return "fLaC", nil
	case av.AC3:
		return "ac-3", nil
	case av.EAC3:
		return "ec-3", nil
	}
	return "", ErrCodec
}

// hevcString is hvc1.[space]profile.compatibility.tier level.constraints, the last without
// the zero bytes at its end.
func hevcString(c *h265.Config) string {
	var b strings.Builder
	b.WriteString("hvc1.")
	if c.ProfileSpace > 0 {
		b.WriteByte('A' + c.ProfileSpace - 1)
	}
	tier := 'L'
	if c.HighTier {
		tier = 'H'
	}
	fmt.Fprintf(&b, "%d.%X.%c%d", c.Profile, bits.Reverse32(c.Compatibility), tier, c.Level)
	const constraintBits = 48
	for rest := c.Constraints << (64 - constraintBits); rest != 0; rest <<= 8 {
		fmt.Fprintf(&b, ".%X", rest>>56)
	}
	return b.String()
}

// vp9Config is the configuration of a VP9 track; what it does not tell is supposed: 8 bits, 4:2:0,
// and the level that the size needs.
func vp9Config(t *av.Track) vp9.Config {
	c, err := vp9.ParseConfig(t.Config)
	if err != nil {
		const unspecified = 2 // Rec. ITU-T H.273
		c = vp9.Config{BitDepth: 8, Chroma: 1, Primaries: unspecified, Transfer: unspecified, Matrix: unspecified}
	}
	if c.Level == 0 {
		c.Level = vp9Level(t.Size)
	}
	return c
}

// vp9Level is the least level whose largest picture holds size.
func vp9Level(size av.Size) uint8 {
	for _, l := range []struct {
		level  uint8
		pixels int
	}{{10, 36864}, {11, 73728}, {20, 122880}, {21, 245760}, {30, 552960}, {31, 983040}, {40, 2228224}, {50, 8912896}} {
		if size.Width*size.Height <= l.pixels {
			return l.level
		}
	}
	return 60
}
