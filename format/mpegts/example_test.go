package mpegts_test

import (
	"fmt"
	"os"
	"time"

	"weir/av"
	"weir/format/mpegts"
)

// Write an audio track, and read it again.
func Example() {
	payload, err := os.ReadFile("../../codec/testdata/mp3-44100-1.key")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := mpegts.NewMuxer([]av.Track{{Kind: av.Audio, Codec: av.MP3}}, mpegts.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var stream []byte
	for i := range 3 {
		at := time.Duration(i) * time.Second * 1152 / 44100
		stream, err = m.AppendFrame(stream, &av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: at, PTS: at, Payload: payload})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(len(stream)%mpegts.PacketSize, "bytes over")

	var d mpegts.Demuxer
	for _, f := range d.Flush(d.Demux(nil, stream)) {
		fmt.Println(f.Kind, f.Codec, f.PTS.Round(time.Millisecond))
	}
	// Output:
	// 0 bytes over
	// audio MP3 200ms
	// audio MP3 226ms
	// audio MP3 252ms
}
