package mpegts

import (
	"path/filepath"
	"strings"
	"testing"

	"weir/av"
)

// gst runs a GStreamer pipeline.
func gst(t *testing.T, pipeline string) {
	t.Helper()
	run(t, "gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...)
}

// TestGStreamerWrote reads what GStreamer's muxer wrote, and has GStreamer's demuxer read
// it from ours: all frames arrive.
func TestGStreamerWrote(t *testing.T) {
	const (
		video = "videotestsrc num-buffers=75 ! video/x-raw,width=320,height=180,framerate=25/1 ! "
		sound = "audiotestsrc num-buffers=100 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! "
	)
	for _, c := range []struct {
		name           string
		video, sound   string
		vcodec, acodec av.Codec
		parseV, parseA string
	}{
		{"h264 aac", "x264enc key-int-max=25 bframes=2 speed-preset=veryfast ! h264parse", "avenc_aac ! aacparse", av.H264, av.AAC, "h264parse", "aacparse"},
		{"h265 ac3", "x265enc key-int-max=25 speed-preset=ultrafast ! h265parse", "avenc_ac3 ! ac3parse", av.H265, av.AC3, "h265parse", "ac3parse"},
		{"h264 mp3", "x264enc key-int-max=25 tune=zerolatency speed-preset=veryfast ! h264parse", "lamemp3enc ! mpegaudioparse", av.H264, av.MP3, "h264parse", "mpegaudioparse"},
		{"h264 opus", "x264enc key-int-max=25 speed-preset=veryfast ! h264parse", "opusenc ! opusparse", av.H264, av.Opus, "h264parse", "opusparse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := filepath.Join(t.TempDir(), "in.ts")
			gst(t, video+c.video+" ! queue ! mpegtsmux name=m ! filesink location="+in+" "+sound+c.sound+" ! queue ! m.")
			fs, counters := demux(read(t, in))
			if counters != (Counters{Packets: counters.Packets}) {
				t.Errorf("counters %+v", counters)
			}
			v, a := media(fs, av.Video), media(fs, av.Audio)
			if len(v) != 75 || v[0].Codec != c.vcodec || !v[0].IsKey() {
				t.Errorf("%d frames of video", len(v))
			}
			if len(a) < 60 || a[0].Codec != c.acodec {
				t.Errorf("%d frames of sound", len(a))
			}
			out := save(t, "out.ts", write(t, newMuxer(t, Options{}, tracksOf(fs)...), fs))
			gst(t, "filesrc location="+out+" ! tsdemux name=d d. ! queue ! "+c.parseV+" ! fakesink d. ! queue ! "+c.parseA+" ! fakesink")
		})
	}
}
