package record

import (
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/amf"
	"weir/format/flv"
)

// listed are the key frames in the index of an FLV file, with the length that the file says it has.
func listed(t *testing.T, name string) (positions, times []float64, duration float64) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const head, tagHead = 9 + 4, 11
	size := int(b[head+1])<<16 | int(b[head+2])<<8 | int(b[head+3])
	_, props, err := flv.ParseMetadata(b[head+tagHead : head+tagHead+size])
	if err != nil {
		t.Fatal(err)
	}
	duration, _ = props.GetNumber("duration")
	v, _ := props.Get("keyframes")
	index, ok := amf.Properties(v)
	if !ok {
		t.Fatalf("there is no index: %v", props)
	}
	list := func(key string) (out []float64) {
		v, _ := index.Get(key)
		a, _ := v.(amf.StrictArray)
		for _, x := range a {
			n, _ := x.(float64)
			out = append(out, n)
		}
		return out
	}
	positions, times = list("filepositions"), list("times")
	for i := range positions {
		if at := int(positions[i]); at < head || at >= len(b) || b[at] != byte(flv.TagVideo) || b[at+tagHead]>>4 != 1 {
			t.Errorf("the key frame of %v s is not at %v", times[i], positions[i])
		} else if ms := int(b[at+7])<<24 | int(b[at+4])<<16 | int(b[at+5])<<8 | int(b[at+6]); math.Abs(float64(ms)/1000-times[i]) > 0.0005 {
			t.Errorf("at %v there is the key frame of %d ms instead of %v s", at, ms, times[i])
		}
	}
	return positions, times, duration
}

// TestIndexOfFLV (P10): an FLV file that is whole tells its length to a frame and lists all its key frames, and ffmpeg goes to
// each of them by it.
func TestIndexOfFLV_P10(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Format, c.Cut = "flv", 10*time.Second })
	sent := encode(t, 20, "320x180", 48000)
	r.send(r.publish("live/cam"), sent.frames, 0, 0)
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%v", names)
	}
	same(t, sent, "v", names...)
	for _, name := range names {
		_, times, duration := listed(t, name)
		end := 0.0 // when the last picture or sound is over
		for _, p := range packets(t, name, "v") {
			end = max(end, p.pts+0.04)
		}
		for _, p := range packets(t, name, "a") {
			end = max(end, p.pts+0.0213)
		}
		if d := duration - end; math.Abs(d) > 0.041 {
			t.Errorf("it says that it has %v s, which is %v s off", duration, d)
		}
		if d := probed(t, name) - end; math.Abs(d) > 0.041 {
			t.Errorf("ffprobe says %v s, which is %v s off", probed(t, name), d)
		}
		keys := slices.DeleteFunc(packets(t, name, "v"), func(p packet) bool { return !p.key })
		if len(keys) != 10 || len(times) < 10 {
			t.Fatalf("%d key frames, %d of them listed", len(keys), len(times))
		}
		times = times[len(times)-10:] // sequence headers may come before
		for i, at := range times {
			// What is read from there on begins with that key frame.
			line := strings.TrimSpace(tool(t, "ffprobe", "-v", "error", "-select_streams", "v", "-read_intervals", strconv.FormatFloat(at, 'f', 3, 64)+"%+#1",
				"-show_entries", "packet=dts_time,flags", "-of", "csv=p=0", name))
			if dts, flags, ok := strings.Cut(line, ","); !ok || !strings.HasPrefix(flags, "K") || dts != strconv.FormatFloat(at, 'f', 6, 64) {
				t.Errorf("key frame %d at %v s: ffprobe finds %q", i, at, line)
			}
		}
	}
}
