package codec_test

import (
	"encoding/hex"
	"fmt"

	"weir/av"
	"weir/codec"
	"weir/codec/h264"
)

// What a server does with the configuration of a track, and with each of its frames.
func Example() {
	record, _ := hex.DecodeString("0142c01effe100176742c01eda0280bfe5c04400000fa40003a9803c58ba8001000568ce013720")
	track, err := codec.Describe(av.H264, av.Video, record)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %s, level %s, %d x %d, %.2f frames a second\n", track.Codec, track.Profile, track.Level,
		track.Size.Width, track.Size.Height, track.FrameRate)

	frame := []byte{0, 0, 0, 2, 0x09, 0xf0, 0, 0, 0, 3, 0x65, 0x88, 0x84}
	size := codec.NALLengthSize(track.Codec, track.Config)
	for unit := range h264.NALUs(frame, size) {
		fmt.Println("NAL unit of type", h264.Type(unit))
	}
	key, known := codec.IsKey(track.Codec, frame, size)
	fmt.Println("key frame:", key, known)
	// Output:
	// H.264, Constrained Baseline, level 3.0, 640 x 360, 29.97 frames a second
	// NAL unit of type 9
	// NAL unit of type 5
	// key frame: true true
}
