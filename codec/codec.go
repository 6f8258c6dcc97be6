// Package codec is the one door to what a server must know of coded media: what a
// configuration record or a first frame says of its track, where a decoder may start,
// and how long an audio packet lasts. The packages below it know one codec each.
//
// It decodes no picture and no sound. Screen Video, Sorenson H.263, VP6, PCM, ADPCM,
// Nellymoser and Speex are opaque to it: it describes none of them.
package codec

import (
	"fmt"
	"time"

	"weir/av"
)

// Describe fills in what the configuration record (the payload of a Config frame) of
// codec c says. It fails if the record cannot be parsed or c has none that is known
// here; the returned Track then has Kind, Codec and Config only. Config is the slice
// given, not a copy.
func Describe(c av.Codec, kind av.Kind, config []byte) (av.Track, error) {
	t := av.Track{Kind: kind, Codec: c, Config: config}
	return t, fmt.Errorf("codec: describing %s: no known configuration record", c)
}

// DescribeFrame fills in what a first media frame says, for codecs without a
// configuration record (MP3, AC-3, E-AC-3, G.711, VP8 and VP9 without one) and for
// those that carry theirs in band. It fails if the frame does not say; the returned
// Track then has Kind and Codec only.
func DescribeFrame(c av.Codec, kind av.Kind, payload []byte) (av.Track, error) {
	t := av.Track{Kind: kind, Codec: c}
	return t, fmt.Errorf("codec: describing %s by a frame: it does not describe itself", c)
}

// NALLengthSize returns how many bytes each NAL unit's length takes in the media that a
// configuration record of H.264, H.265 or H.266 belongs to: 1, 2 or 4. It returns 0 for
// other codecs and for a record that is too short or says 3, which no codec allows.
func NALLengthSize(c av.Codec, config []byte) int {
	n := 0
	switch {
	case c == av.H264 && len(config) >= 5 && config[0] == 1:
		n = int(config[4]&3) + 1
	case c == av.H265 && len(config) >= 22:
		n = int(config[21]&3) + 1
	}
	if n == 3 {
		return 0
	}
	return n
}

// IsKey reports whether the bitstream says that a decoder can start at this access
// unit; known is false if it cannot tell, because the codec is opaque or the payload
// damaged.
func IsKey(c av.Codec, payload []byte, nalLengthSize int) (key, known bool) {
	return false, false
}

// NeedsConfig reports whether media of c cannot be decoded without a configuration
// record.
func NeedsConfig(c av.Codec) bool {
	switch c {
	case av.H264, av.H265, av.VVC, av.AV1, av.AAC, av.FLAC:
		return true
	}
	return false
}

// FrameDuration is the duration of one audio packet; 0 if unknown.
func FrameDuration(c av.Codec, config, payload []byte) time.Duration { return 0 }
