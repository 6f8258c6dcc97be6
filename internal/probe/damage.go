package probe

import (
	"cmp"
	"math/bits"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/ac3"
	"weir/codec/av1"
	"weir/codec/flac"
	"weir/codec/h264"
	"weir/codec/mp3"
	"weir/codec/nal"
	"weir/codec/opus"
	"weir/codec/vp8"
	"weir/codec/vp9"
)

// damage says what is wrong with the payload of a media frame, as far as that shows without
// decoding; "" if nothing does.
func damage(f *av.Frame, nalSize int) string {
	b := f.Payload
	if len(b) == 0 {
		return "it is empty"
	}
	var err error
	switch f.Codec {
	case av.H264, av.H265, av.VVC:
		return damagedUnits(f.Codec, b, nalSize)
	case av.AV1:
		for rest := b; len(rest) > 0 && err == nil; {
			_, rest, err = av1.Next(rest)
		}
	case av.VP8:
		_, err = vp8.ParseFrame(b)
	case av.VP9:
		_, err = vp9.ParseFrame(b)
	case av.Opus:
		_, err = opus.ParsePacket(b)
	case av.MP3:
		_, err = mp3.ParseHeader(b)
	case av.FLAC:
		_, err = flac.ParseFrame(b)
	case av.AC3, av.EAC3:
		_, err = ac3.ParseFrame(b)
	case av.AAC:
		const silence = 8 // a short frame of zeros may be an encoder's silence
		if len(b) > silence && allZero(b) {
			return "it is all zeros"
		}
	}
	if err != nil {
		return "its header is damaged"
	}
	return ""
}

// endless reports whether a frame of AAC does not end with the three bits of ID_END and at most seven zeros
// behind them (ISO/IEC 14496-3, 4.4.2.1). damage reports a frame of zeros.
func endless(f *av.Frame) bool {
	const end = 0b111
	if f.Codec != av.AAC || len(f.Payload) < 2 || aac.IsADTS(f.Payload) || allZero(f.Payload) {
		return false
	}
	last := uint16(f.Payload[len(f.Payload)-2])<<8 | uint16(f.Payload[len(f.Payload)-1])
	zeros := bits.TrailingZeros16(last)
	return zeros > 7 || last>>zeros&end != end
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// startCodes reports whether a frame holds start codes where lengths belong.
func startCodes(f *av.Frame, nalSize int) bool {
	switch f.Codec {
	case av.H264, av.H265, av.VVC:
		return nal.IsAnnexB(f.Payload, cmp.Or(nalSize, 4))
	}
	return false
}

// damagedUnits looks at the NAL units of an access unit.
func damagedUnits(c av.Codec, b []byte, nalSize int) string {
	nalSize = cmp.Or(nalSize, 4)
	if nal.IsAnnexB(b, nalSize) {
		return "" // reported by another rule
	}
	if !nal.Valid(b, nalSize) {
		return "the lengths of its NAL units do not add up"
	}
	for u := range nal.Units(b, nalSize) {
		switch {
		case u[0]&0x80 != 0, c == av.H264 && h264.Type(u) == 0, c == av.H265 && len(u) < 2:
			return "it holds a NAL unit whose header is not valid"
		case forbidden(u):
			return "it holds bytes that no NAL unit may hold"
		}
	}
	return ""
}

// forbidden reports whether a NAL unit holds two zeros and a byte of at most 2, which only start codes do
// (H.264, 7.4.1). Zeros at its end are what some encoders leave behind.
func forbidden(u []byte) bool {
	end := len(u)
	for end > 0 && u[end-1] == 0 {
		end--
	}
	zeros := 0
	for _, c := range u[:end] {
		if zeros >= 2 && c <= 2 {
			return true
		}
		if c == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return false
}
