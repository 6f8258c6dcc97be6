package mpegts

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/av"
	"weir/codec/aac"
)

// TestProgramInFrames carries sound whose channels only a program config element tells, 5.1 with
// loudspeakers at the side: ffmpeg and GStreamer play it, also from its middle on.
func TestProgramInFrames(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.flv")
	run(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", testSound, "-t", "3", "-af", "pan=5.1(side)|FL=c0|FR=c0|FC=c0|LFE=c0|SL=c0|SR=c0", "-c:a", "aac", "-f", "flv", in)
	fs := readFLV(t, in)
	tracks := tracksOf(fs)
	if len(tracks) != 1 {
		t.Fatal(tracks)
	}
	c, err := aac.ParseConfig(tracks[0].Config)
	if err != nil || c.ChannelConfig != 0 || c.Program == nil {
		t.Fatalf("ffmpeg wrote %+v, %v", c, err)
	}
	b := write(t, newMuxer(t, Options{}, tracks[0]), fs)
	got, counters := demux(b)
	if want := (Counters{Packets: counters.Packets}); counters != want {
		t.Errorf("counters %+v", counters)
	}
	before, after := media(fs, av.Audio), media(got, av.Audio)
	if len(after) != len(before) || !slices.EqualFunc(after, before, func(a, b av.Frame) bool { return string(a.Payload) == string(b.Payload) }) {
		t.Errorf("%d frames became %d others", len(before), len(after))
	}
	if back := tracksOf(got); len(back) != 1 || back[0].Codec != av.AAC {
		t.Errorf("read again: %v", back)
	}
	decoded := func(file string) (sums []string) {
		out := run(t, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "framehash", "-hash", "md5", "-")
		for line := range strings.Lines(out) {
			if fields := strings.Split(line, ","); !strings.HasPrefix(line, "#") && len(fields) == 6 {
				sums = append(sums, fields[5])
			}
		}
		return sums
	}
	want := decoded(in)
	half := len(b) / 2 / PacketSize * PacketSize
	for name, part := range map[string][]byte{"whole": b, "from the middle on": b[half:]} {
		out := save(t, strings.ReplaceAll(name, " ", "-")+".ts", part)
		channels := run(t, "ffprobe", "-v", "error", "-show_entries", "stream=channels", "-of", "csv=p=0", out)
		if !strings.HasPrefix(channels, "6\n") {
			t.Errorf("%s: ffprobe says %q channels", name, channels)
		}
		switch got := decoded(out); {
		case name == "whole" && !slices.Equal(got, want):
			t.Errorf("%d frames decode as others than the %d of the source", len(got), len(want))
		case len(got) < len(want)/3:
			t.Errorf("%s: %d frames are decoded", name, len(got))
		}
		gst(t, "filesrc location="+out+" ! tsdemux ! queue ! aacparse ! avdec_aac ! audio/x-raw,channels=6 ! fakesink")
	}
}
