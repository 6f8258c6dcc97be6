package health

import (
	"weir/av"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/vp9"
)

// chroma420 is what every decoder takes.
const chroma420 = "4:2:0"

// Sampling returns a video configuration's chroma format and bit depth: "" for 4:2:0 or black and
// white, which every decoder takes, and 0 for 8 bits.
func Sampling(c av.Codec, config []byte) (chroma string, depth int) {
	if chroma, depth = sampling(c, config); chroma == chroma420 {
		chroma = ""
	}
	if depth == 8 {
		depth = 0
	}
	return chroma, depth
}

func sampling(c av.Codec, config []byte) (chroma string, depth int) {
	formats := [...]string{chroma420, chroma420, "4:2:2", "4:4:4"} // 0 is black and white
	chroma, depth = chroma420, 8
	switch c {
	case av.H264:
		if conf, err := h264.ParseConfig(config); err == nil && len(conf.SPS) > 0 {
			if s, err := h264.ParseSPS(conf.SPS[0]); err == nil {
				return formats[s.ChromaFormat&3], int(max(s.BitDepth, s.BitDepthChroma))
			}
		}
	case av.H265:
		if conf, err := h265.ParseConfig(config); err == nil {
			return formats[conf.ChromaFormat&3], int(max(conf.BitDepth, conf.BitDepthChroma))
		}
	case av.AV1:
		if conf, err := av1.ParseConfig(config); err == nil {
			switch depth = int(conf.BitDepth); {
			case conf.Monochrome, conf.SubsamplingX && conf.SubsamplingY:
			case conf.SubsamplingX:
				chroma = "4:2:2"
			default:
				chroma = "4:4:4"
			}
		}
	case av.VP9:
		if conf, err := vp9.ParseConfig(config); err == nil {
			const first422 = 2 // 0 and 1 are 4:2:0
			if depth = int(conf.BitDepth); conf.Chroma >= first422 {
				chroma = formats[min(conf.Chroma, 3)]
			}
		}
	}
	return chroma, depth
}
