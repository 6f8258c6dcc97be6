package fmp4

import (
	"weir/av"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
)

// appendVideoEntry appends a VisualSampleEntry (ISO/IEC 14496-12, 12.1.3) with the codec's own
// box, and the shape of the pixels if they are not square.
func appendVideoEntry(b []byte, t *Track) ([]byte, error) {
	b, entry := openBox(b, map[av.Codec]string{av.H264: "avc1", av.H265: "hvc1", av.AV1: "av01", av.VP9: "vp09"}[t.Codec])
	b = be16(zeros(b, 6), 1) // data reference
	b = zeros(b, 16)
	b = be16(b, fits16(t.Size.Width))
	b = be16(b, fits16(t.Size.Height))
	b = be32(b, 72<<16) // dots in an inch
	b = be32(b, 72<<16)
	b = zeros(b, 4)
	b = be16(b, 1) // frames in a sample
	b = zeros(b, 32)
	b = be16(b, 24) // colour, without alpha
	b = be16(b, 0xffff)
	var err error
	var shape [2]uint16
	switch t.Codec {
	case av.H264:
		b, shape, err = appendAVC(b, t.Config)
	case av.H265:
		b, shape, err = appendHEVC(b, t.Config)
	case av.AV1:
		b, err = appendAV1(b, t.Config)
	case av.VP9:
		b, err = appendVP9(b, &t.Track)
	}
	if err != nil {
		return b, configError(err)
	}
	if shape[0] != shape[1] && shape[0] > 0 && shape[1] > 0 {
		var at int
		b, at = openBox(b, "pasp")
		b = be32(b, uint32(shape[0]))
		b = closeBox(be32(b, uint32(shape[1])), at)
	}
	return closeBox(b, entry), nil
}

// appendAVC appends avcC, written anew: what comes in may have wrong reserved bits.
func appendAVC(b, config []byte) (_ []byte, shape [2]uint16, err error) {
	c, err := h264.ParseConfig(config)
	if err != nil {
		return b, shape, err
	}
	b, at := openBox(b, "avcC")
	if b, err = c.AppendBinary(b); err != nil {
		return b, shape, err
	}
	if len(c.SPS) > 0 {
		if s, err := h264.ParseSPS(c.SPS[0]); err == nil {
			shape = [2]uint16{s.SARWidth, s.SARHeight}
		}
	}
	return closeBox(b, at), shape, nil
}

// appendHEVC appends hvcC. Of an entry hvc1 the record has all parameter sets (ISO/IEC 14496-15,
// 8.4.1.1), and says so.
func appendHEVC(b, config []byte) (_ []byte, shape [2]uint16, err error) {
	c, err := h265.ParseConfig(config)
	if err != nil {
		return b, shape, err
	}
	const vps, sps, pps = 32, 33, 34
	for i := range c.Arrays {
		if t := c.Arrays[i].Type; t == vps || t == sps || t == pps {
			c.Arrays[i].Complete = true
		}
	}
	b, at := openBox(b, "hvcC")
	if b, err = c.AppendBinary(b); err != nil {
		return b, shape, err
	}
	if unit := c.Unit(sps); unit != nil {
		if s, err := h265.ParseSPS(unit); err == nil {
			shape = [2]uint16{s.SARWidth, s.SARHeight}
		}
	}
	return closeBox(b, at), shape, nil
}

func appendAV1(b, config []byte) ([]byte, error) {
	c, err := av1.ParseConfig(config)
	if err != nil {
		return b, err
	}
	b, at := openBox(b, "av1C")
	if b, err = c.AppendBinary(b); err != nil {
		return b, err
	}
	return closeBox(b, at), nil
}

// appendVP9 appends vpcC, a full box.
func appendVP9(b []byte, t *av.Track) ([]byte, error) {
	c := vp9Config(t)
	c.FullBox = true
	b, at := openBox(b, "vpcC")
	b, err := c.AppendBinary(b)
	if err != nil {
		return b, err
	}
	return closeBox(b, at), nil
}
