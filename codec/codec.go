// Package codec is the one door to what a server must know of coded media: what a
// configuration record or a first frame says of its track, where a decoder may start,
// and how long an audio packet lasts. The packages below it know one codec each.
//
// It decodes no picture and no sound. Screen Video, Sorenson H.263, VP6, PCM, ADPCM,
// Nellymoser and Speex are opaque to it: it describes none of them. Of H.266 it knows the
// configuration record and NAL unit types, no parameter sets.
package codec

import (
	"fmt"
	"time"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/ac3"
	"weir/codec/av1"
	"weir/codec/flac"
	"weir/codec/g711"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/mp3"
	"weir/codec/opus"
	"weir/codec/vp8"
	"weir/codec/vp9"
)

// Describe fills in what the configuration record (the payload of a Config frame) of
// codec c says. What a damaged parameter set in a sound record would have said stays
// unknown; so does the picture's size of VP8 and VP9, whose record does not hold it. An
// empty record of Opus stands for stereo. Describe fails if the record cannot be parsed or c
// has none that is known here; the returned Track then has Kind, Codec and Config only.
// Config is the slice given, not a copy.
func Describe(c av.Codec, kind av.Kind, config []byte) (av.Track, error) {
	t := av.Track{Kind: kind, Codec: c, Config: config}
	err := checkKind(c, kind)
	if err == nil {
		err = describe(&t, config)
	}
	if err != nil {
		return av.Track{Kind: kind, Codec: c, Config: config}, fmt.Errorf("codec: describing %s: %w", c, err)
	}
	return t, nil
}

// DescribeFrame fills in what a first media frame says, for codecs without a
// configuration record (MP3, AC-3, E-AC-3, G.711, VP8 and VP9 without one) and for
// those that carry theirs in band: parameter sets behind start codes or lengths of 4 bytes,
// a sequence header, ADTS. It fails if the frame does not say, as frames of VP8 and VP9 other
// than key frames; the returned Track then has Kind and Codec only.
func DescribeFrame(c av.Codec, kind av.Kind, payload []byte) (av.Track, error) {
	t := av.Track{Kind: kind, Codec: c}
	err := checkKind(c, kind)
	if err == nil {
		err = describeFrame(&t, payload)
	}
	if err != nil {
		return av.Track{Kind: kind, Codec: c}, fmt.Errorf("codec: describing %s by a frame: %w", c, err)
	}
	return t, nil
}

// NALLengthSize returns how many bytes each NAL unit's length takes in the media that a
// configuration record of H.264, H.265 or H.266 belongs to: 1, 2 or 4. It returns 0 for
// other codecs, and for a record that is too short to say or says 3, which no codec allows. The
// record may be damaged further on.
func NALLengthSize(c av.Codec, config []byte) int {
	n := 0
	switch {
	case c == av.H264 && len(config) >= 5 && config[0] == 1:
		n = int(config[4]&3) + 1
	case c == av.H265 && len(config) >= 22 && config[0] <= 1:
		n = int(config[21]&3) + 1
	case c == av.VVC:
		n = vvcLengthSize(config)
	}
	if n == 3 {
		return 0
	}
	return n
}

// IsKey reports whether the bitstream says that a decoder can start at this access unit;
// known is false if it cannot tell: because the codec is opaque, the payload damaged or without
// picture, or because it depends on what the decoder puts up with (a recovery point without
// IDR picture, AV1's key frame without sequence header). Then the source's own
// flag is the best there is. nalLengthSize is that of the configuration record; 0 for other
// codecs. IsKey looks at headers only and does not allocate.
func IsKey(c av.Codec, payload []byte, nalLengthSize int) (key, known bool) {
	switch c {
	case av.H264:
		return h264.IsKey(payload, nalLengthSize)
	case av.H265:
		return h265.IsKey(payload, nalLengthSize)
	case av.VVC:
		return vvcIsKey(payload, nalLengthSize)
	case av.AV1:
		return av1.IsKey(payload)
	case av.VP8:
		return vp8.IsKey(payload)
	case av.VP9:
		return vp9.IsKey(payload)
	}
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

// FrameDuration is the duration of one audio packet, which may hold several frames; 0 if
// unknown. config is the configuration record, nil for codecs that have none. It is
// rounded to the nearest nanosecond: a caller that adds up durations should count samples instead.
func FrameDuration(c av.Codec, config, payload []byte) time.Duration {
	samples, rate := 0, 0
	switch c {
	case av.AAC:
		samples, rate = aacSamples(config, payload)
	case av.Opus:
		p, _ := opus.ParsePacket(payload)
		return p.Duration
	case av.MP3:
		samples, rate = mp3.Samples(payload)
	case av.AC3, av.EAC3:
		samples, rate = ac3.Samples(payload)
	case av.FLAC:
		f, err := flac.ParseFrame(payload)
		if err != nil {
			return 0
		}
		if samples, rate = f.BlockSize, f.SampleRate; rate == 0 {
			s, _ := flac.ParseStreamInfo(config)
			rate = s.SampleRate
		}
	case av.PCMA, av.PCMU:
		samples, rate = g711.Samples(payload), g711.SampleRate
	}
	if rate == 0 {
		return 0
	}
	return av.Duration(int64(samples), int64(rate))
}

// aacSamples returns the samples of a packet, which is a raw frame or, by mistake, ADTS.
func aacSamples(config, payload []byte) (samples, rate int) {
	if aac.IsADTS(payload) {
		for h := range aac.ADTSFrames(payload) {
			samples, rate = samples+1024*h.Blocks, h.SampleRate
		}
		return samples, rate
	}
	c, err := aac.ParseConfig(config)
	if err != nil || len(payload) == 0 {
		return 0, 0
	}
	return c.FrameLength, c.SampleRate
}
