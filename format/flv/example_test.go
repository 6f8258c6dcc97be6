package flv_test

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"weir/av"
	"weir/format/flv"
)

// Count the frames of a file and write them again as a new file.
func Example() {
	in, err := os.Open("testdata/h264-bframes-aac.flv")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()

	var out bytes.Buffer
	w := flv.NewWriter(&out, flv.Form{}, true, true)
	frames := map[string]int{}
	r := flv.NewFrameReader(in)
	for {
		f, err := r.ReadFrame()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if f.Type == av.Media {
			frames[f.Codec.String()]++
		}
		if err := w.WriteFrame(f); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(frames, out.Len(), "bytes")
	// Output: map[AAC:36 H.264:8] 5206 bytes
}

// An RTMP video message of an OBS that sends H.265, for a player that knows it only
// under the codec id 12.
func ExampleDemuxer_Demux() {
	message := append([]byte{0xA1, 'h', 'v', 'c', '1', 0, 0, 40}, "coded picture"...)

	var d flv.Demuxer
	frames, err := d.Demux(nil, flv.TagVideo, 0, message)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := &frames[0]
	fmt.Println(f.Codec, f.PTS-f.DTS, string(f.Payload))

	header, _ := flv.AppendHeader(nil, f, flv.Form{HEVC12: true})
	fmt.Printf("%x\n", header)
	// Output:
	// H.265 40ms coded picture
	// 2c01000028
}
