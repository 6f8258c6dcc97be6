package codec

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"weir/av"
	"weir/codec/nal"
)

// maxSide is the largest width and height in pixels that is believed of H.266.
const maxSide = 16384

// vvcRecord returns a VvcDecoderConfigurationRecord (ISO/IEC 14496-15:2022, 11.2.4.2)
// without the version and flags of its MP4 box, which writers may leave before it: the
// record's own first five bits are ones.
func vvcRecord(config []byte) []byte {
	if len(config) >= 4 && config[0]|config[1]|config[2]|config[3] == 0 {
		return config[4:]
	}
	return config
}

func vvcLengthSize(config []byte) int {
	b := vvcRecord(config)
	if len(b) == 0 || b[0]&0xf8 != 0xf8 {
		return 0
	}
	return int(b[0]>>1&3) + 1
}

// describeVVC fills in t by a configuration record, which says profile, level and size itself.
func describeVVC(t *av.Track, config []byte) error {
	b := vvcRecord(config)
	if len(b) == 0 {
		return fmt.Errorf("reading the configuration record: %w", io.ErrUnexpectedEOF)
	}
	if b[0]&0xf8 != 0xf8 {
		return errNoRecord
	}
	if b[0]&1 == 0 { // ptl_present_flag
		return nil
	}
	// Output layer set, sub layers and formats take 3 bytes; profile, tier and level follow.
	if len(b) < 7 {
		return fmt.Errorf("reading the configuration record: %w", io.ErrUnexpectedEOF)
	}
	subLayers, constraints := int(b[2]>>4&7), max(int(b[4]&63), 1)
	profile, level := b[5]>>1, b[6]
	at := 7 + constraints
	if subLayers > 1 {
		if at >= len(b) {
			return fmt.Errorf("reading the configuration record: %w", io.ErrUnexpectedEOF)
		}
		levels := 0
		for i := range subLayers - 1 {
			levels += int(b[at] >> (7 - i) & 1)
		}
		at += 1 + levels
	}
	if at >= len(b) {
		return fmt.Errorf("reading the configuration record: %w", io.ErrUnexpectedEOF)
	}
	at += 1 + 4*int(b[at])
	if at+6 > len(b) {
		return fmt.Errorf("reading the configuration record: %w", io.ErrUnexpectedEOF)
	}
	width, height := int(binary.BigEndian.Uint16(b[at:])), int(binary.BigEndian.Uint16(b[at+2:]))
	if width <= maxSide && height <= maxSide && width > 0 && height > 0 {
		t.Size = av.Size{Width: width, Height: height}
	}
	t.FrameRate = float64(binary.BigEndian.Uint16(b[at+4:])) / 256
	t.Profile, t.Level = vvcProfile(profile), fmt.Sprintf("%d.%d", level/16, level%16/3)
	return nil
}

// vvcProfile names a profile (Rec. ITU-T H.266, A.3).
func vvcProfile(profile byte) string {
	switch profile {
	case 1:
		return "Main 10"
	case 17:
		return "Multilayer Main 10"
	case 33:
		return "Main 10 4:4:4"
	case 49:
		return "Multilayer Main 10 4:4:4"
	case 65:
		return "Main 10 Still Picture"
	case 97:
		return "Main 10 4:4:4 Still Picture"
	}
	return strconv.Itoa(int(profile))
}

// vvcIsKey reports whether a decoder can start at an access unit of H.266, by the type of
// its first slice (Rec. ITU-T H.266, Table 5): IDR and CRA pictures it can start at; at
// gradual refresh it shows an unspoilt picture only some time later.
func vvcIsKey(payload []byte, lengthSize int) (key, known bool) {
	n := 0
	look := func(unit []byte) bool {
		n++
		if len(unit) < 2 {
			return n < maxUnits
		}
		switch t := unit[1] >> 3; {
		case t >= 7 && t <= 9:
			key, known = true, true
			return false
		case t == 10: // GDR
			return false
		case t <= 6:
			known = true
			return false
		}
		return n < maxUnits
	}
	if nal.IsAnnexB(payload, lengthSize) {
		nal.AnnexB(payload)(look)
	} else {
		nal.Units(payload, lengthSize)(look)
	}
	return key, known
}
