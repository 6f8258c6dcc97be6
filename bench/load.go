package bench

import (
	"fmt"
	"time"
)

const (
	videoRate    = 30
	keyEvery     = 60 // video frames
	audioRate    = 44100
	audioSamples = 1024
	audioBytes   = 290
	usualBitrate = 2_500_000
	usualInter   = 8_800
	usualKey     = 80_000
	minBitrate   = 200_000
	maxBitrate   = 200_000_000
)

// load is what one publisher sends: 30 video frames a second, of which each 60th is a
// larger key frame, and 43 audio frames of 290 bytes, each at its own time.
type load struct{ key, inter, audio int }

// newLoad returns the load of a bit rate, in bits per second. At 2.5 Mbit/s a frame has
// 8800 bytes and a key frame 80000; other rates scale the video.
func newLoad(bitrate int) (load, error) {
	if bitrate < minBitrate || bitrate > maxBitrate {
		return load{}, fmt.Errorf("a bit rate of %d: it must be from %d to %d bit/s", bitrate, minBitrate, maxBitrate)
	}
	sound := audioBytes * float64(audioRate) / audioSamples
	scale := (float64(bitrate)/8 - sound) / (usualBitrate/8 - sound)
	return load{
		key:   wholeTail(max(frameMin, int(scale*usualKey))),
		inter: wholeTail(max(frameMin, int(scale*usualInter))),
		audio: audioBytes,
	}, nil
}

// wholeTail makes n larger if the last bytes of a message of that length would lie in
// two chunks.
func wholeTail(n int) int {
	if r := n % publishChunk; r > 0 && r < stampTail {
		n += stampTail - r
	}
	return n
}

// videoAt and audioAt are when the n-th frame is due after the stream's beginning. Audio
// is half a video frame late, so that the two do not begin together.
func videoAt(n uint32) time.Duration { return time.Duration(n) * time.Second / videoRate }

func audioAt(n uint32) time.Duration {
	samples := uint64(n) * audioSamples
	return time.Duration(samples/audioRate)*time.Second + time.Duration(samples%audioRate)*time.Second/audioRate +
		time.Second/videoRate/2
}

// The sequence headers: H.264 High, level 3.1, 1280×720, 30 frames a second; AAC-LC,
// 44100 Hz, stereo (ISO/IEC 14496-15 §5.3.3, 14496-3 §1.6.2).
var (
	videoHeader = []byte{
		0x17, 0, 0, 0, 0,
		1, 0x64, 0x00, 0x1f, 0xff, 0xe1,
		0, 27,
		0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
		0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
		1, 0, 6,
		0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
		0xfd, 0xf8, 0xf8, 0,
	}
	audioHeader = []byte{0xaf, 0, 0x12, 0x10}
)

// videoFrame returns a coded picture of n bytes: one NAL unit, an IDR slice if key, of
// filling that holds no start code.
func videoFrame(n int, key bool) []byte {
	b := filling(n)
	copy(b, []byte{0x27, 1, 0, 0, 0})
	copy(b[5:], be32(uint32(n-9)))
	b[9], b[10], b[11] = 0x41, 0x9a, 0x24 // a P slice
	if key {
		b[0] = 0x17
		b[9], b[10], b[11] = 0x65, 0x88, 0x84 // an I slice
	}
	return b
}

// audioFrame returns a coded AAC frame of n bytes.
func audioFrame(n int) []byte {
	b := filling(n)
	copy(b, []byte{0xaf, 1, 0x21, 0x10})
	return b
}

func filling(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31)&0x7f | 0x40
	}
	return b
}
