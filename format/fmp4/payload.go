package fmp4

import (
	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
)

// SamplePayload returns the payload of a frame as MP4 has it, ok false if there is nothing in
// it that a sample can be. What some encoders send in FLV is repaired: NAL units behind start
// codes are put behind lengths, access unit and temporal delimiters are left out, and so are
// the headers of ADTS; several ADTS frames are not one sample. A payload with nothing to repair
// is returned itself, without an allocation.
func SamplePayload(t av.Track, f *av.Frame) (payload []byte, ok bool) {
	payload = f.Payload
	switch t.Codec {
	case av.H264, av.H265:
		payload = samplesOfUnits(t.Codec, codec.NALLengthSize(t.Codec, t.Config), payload)
	case av.AAC:
		if aac.IsADTS(payload) {
			return aac.StripADTS(payload)
		}
	case av.AV1:
		payload = withoutDelimiter(payload)
	}
	return payload, len(payload) > 0
}

// samplesOfUnits repairs an access unit whose lengths take size bytes.
func samplesOfUnits(c av.Codec, size int, b []byte) []byte {
	if size == 0 {
		return nil
	}
	annexB := nal.IsAnnexB(b, size)
	if !annexB {
		whole := nal.Valid(b, size)
		for u := range nal.Units(b, size) {
			whole = whole && !isDelimiter(c, u)
		}
		if whole {
			return b
		}
	}
	units := nal.Units(b, size)
	if annexB {
		units = nal.AnnexB(b)
	}
	out := make([]byte, 0, len(b)+16)
	for u := range units {
		if len(u) == 0 || isDelimiter(c, u) {
			continue
		}
		longer, err := nal.Append(out, u, size)
		if err != nil {
			continue // a unit too long for its length field
		}
		out = longer
	}
	return out
}

// withoutDelimiter leaves out the temporal delimiter that a temporal unit begins with (AV1 Codec
// ISO Media File Format Binding, 2.4).
func withoutDelimiter(b []byte) []byte {
	u, rest, err := av1.Next(b)
	if err != nil || u.Type != av1.TypeTemporalDelimiter {
		return b
	}
	return rest
}

// isDelimiter reports whether a unit is an access unit delimiter.
func isDelimiter(c av.Codec, unit []byte) bool {
	const h264Delimiter, h265Delimiter = 9, 35
	if c == av.H264 {
		return h264.Type(unit) == h264Delimiter
	}
	return h265.Type(unit) == h265Delimiter
}
