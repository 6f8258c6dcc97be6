package test

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// recording is a stream that was recorded, and the very file that its publisher sent.
type recording struct {
	path   string
	source string            // MP4, whose times are exact
	files  map[string]string // by form: what has .part in its form is the file as it was while it was written
}

// recordedLength is how long the streams are, and recordedRate how many pictures a second they have.
const (
	recordedLength = 9 * sec
	recordedRate   = 30
)

// keep is the configuration of a server that records into a directory: as MP4, as FLV, and in pieces.
func keep(dir string) string {
	return strings.Replace(config, "streams:\n", `streams:
  - match: kept/**
    publish: {grace: 300ms}
    record:
      - {name: main, dir: `+dir+`, file: "{path}", min_free: ""}
      - {name: flv, format: flv, dir: `+dir+`, file: "{path}", min_free: ""}
      - {name: pieces, dir: `+dir+`, file: "{path}-{unix}", cut: 3s, min_free: ""}
`, 1)
}

// publishKept has two publishers send a stream, with B-frames and the sound a little later than the picture: ffmpeg, and one that sends what OBS
// does. It returns both, and the server.
func publishKept(t *testing.T) (*server, []*recording) {
	t.Helper()
	dir := openDir(t)
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(keep(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := runServer(t, "serve", "-c", file)
	t.Cleanup(func() { s.stop(t) })
	source, sent := filepath.Join(dir, "source.mp4"), filepath.Join(dir, "source.flv")
	tool(t, args([]string{"ffmpeg", "-nostdin", "-v", "error"}, picture("320x180", recordedRate, recordedLength), []string{"-itsoffset", "0.123"},
		sound(48000, recordedLength), x264("-bf", "2", "-b_strategy", "0"), aac, []string{source})...)
	tool(t, "ffmpeg", "-nostdin", "-v", "error", "-i", source, "-c", "copy", sent)
	list := []*recording{{path: "kept/ffmpeg"}, {path: "kept/obs"}}
	publishers := []*process{
		publish(t, ffmpegSends(source, s.rtmpURL(list[0].path), "")...),
		publish(t, mustBuild(t), "push", sent, s.rtmpURL(list[1].path)), // in OBS's order and words
	}
	for _, r := range list {
		r.source, r.files = source, map[string]string{}
		if err := s.waitLive(t.Context(), r.path, 7*sec); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"mp4", "flv"} { // as a crash would leave it
			b, err := os.ReadFile(filepath.Join(dir, r.path+"."+form+".part"))
			if err != nil {
				t.Fatal(err)
			}
			r.files[form+".part"] = filepath.Join(dir, r.path+"-copy."+form+".part")
			if err := os.WriteFile(r.files[form+".part"], b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, r := range list {
		if err := publishers[i].wait(); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"mp4", "flv"} {
			r.files[form] = filepath.Join(dir, r.path+"."+form)
			if err := every(t.Context(), 20*sec, func() error { _, err := os.Stat(r.files[form]); return err }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s, list
}

// tool runs a program to its end and returns what it printed.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	return output(t, debian12(), time.Minute, args...)
}

// packetTimes are when the packets of a file's picture and sound are shown, by what is in them.
func packetTimes(t *testing.T, file string) map[string]map[string]float64 {
	t.Helper()
	var list struct {
		Packets []struct {
			Type string `json:"codec_type"`
			PTS  string `json:"pts_time"`
			Hash string `json:"data_hash"`
		}
	}
	text := tool(t, "ffprobe", "-v", "fatal", "-show_data_hash", "md5", "-show_entries", "packet=codec_type,pts_time,data_hash", "-of", "json", file)
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	times := map[string]map[string]float64{"video": {}, "audio": {}}
	for _, p := range list.Packets {
		at, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil || times[p.Type] == nil {
			continue
		}
		times[p.Type][p.Hash] = at
	}
	return times
}

// apart is by how much the sound of a file is later against its picture than it was in the source, in seconds.
func (r *recording) apart(t *testing.T, file string) float64 {
	t.Helper()
	is, was := packetTimes(t, file), packetTimes(t, r.source)
	moved := map[string]float64{}
	for kind := range is {
		var by []float64
		for hash, at := range is[kind] {
			if before, ok := was[kind][hash]; ok {
				by = append(by, at-before)
			} else {
				t.Errorf("%s has a packet of %s that nobody sent", file, kind)
			}
		}
		if len(by) < 100 {
			t.Fatalf("%s has %d packets of %s", file, len(by), kind)
		}
		slices.Sort(by)
		moved[kind] = by[len(by)/2]
		if spread := by[len(by)-1] - by[0]; spread > 0.0021 { // publishers send whole milliseconds
			t.Errorf("%s: the times of %s differ by up to %.4f s", file, kind, spread)
		}
	}
	return moved["audio"] - moved["video"]
}

// picturesOf returns the hashes of the pictures that ffmpeg shows of a file, with when, from its beginning on.
func picturesOf(t *testing.T, in ...string) (hashes []string, times []float64) {
	t.Helper()
	text := tool(t, args([]string{"ffmpeg", "-nostdin", "-v", "error"}, in, []string{"-map", "0:v", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "framemd5", "-"})...)
	base := 1.0
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#tb 0: "); ok {
			num, den, _ := strings.Cut(strings.TrimSpace(rest), "/")
			n, _ := strconv.ParseFloat(num, 64)
			d, _ := strconv.ParseFloat(den, 64)
			base = n / d
		}
		if f := strings.Split(line, ","); len(f) == 6 && !strings.HasPrefix(line, "#") {
			n, err := strconv.ParseFloat(strings.TrimSpace(f[2]), 64)
			if err != nil {
				t.Fatal(err)
			}
			hashes, times = append(hashes, strings.TrimSpace(f[5])), append(times, n*base)
		}
	}
	return hashes, times
}

// A seeker is a program that shows a file from a time on.
type seeker struct {
	name string
	// within is by how many pictures the first one may be off.
	within int
	// shows returns the hashes of what is shown.
	shows func(t *testing.T, file string, at float64) []string
}

// checksum is what GStreamer prints of a picture.
var checksum = regexp.MustCompile(`([0-9]:[0-9]{2}:[0-9]{2}\.[0-9]+) ([0-9a-f]{32})`)

// seekers go to a time of a file, each in its own way.
func seekers() []seeker {
	seconds := func(at float64) string { return strconv.FormatFloat(at, 'f', 4, 64) }
	return []seeker{
		{"ffmpeg", 0, func(t *testing.T, file string, at float64) []string {
			list, _ := picturesOf(t, "-ss", seconds(at), "-i", file)
			return list
		}},
		// It goes by the file's own clock, which before a file is whole begins with the first picture's decoding.
		{"mpv", 2, func(t *testing.T, file string, at float64) []string {
			out := filepath.Join(t.TempDir(), "out.nut")
			tool(t, "mpv", "--no-config", "--no-audio", "--start="+seconds(at), "--frames=10", "--o="+out, "--of=nut", "--ovc=rawvideo", file)
			list, _ := picturesOf(t, "-i", out)
			return list
		}},
		// It shows nothing, but writes down what it reads: from a key frame on.
		{"VLC", recordedRate + 2, func(t *testing.T, file string, at float64) []string {
			out := filepath.Join(openDir(t), "out.ts")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p, err := start(ctx, command{sys: debian12(), nobody: true, args: []string{
				"cvlc", "--quiet", "--no-sout-audio", "--start-time=" + seconds(at), "--run-time=2",
				"--sout=#std{access=file,mux=ts,dst=" + out + "}", file, "vlc://quit",
			}})
			if err == nil {
				err = p.wait()
			}
			if err != nil {
				t.Fatal(err)
			}
			list, _ := picturesOf(t, "-i", out)
			return list
		}},
		{"GStreamer", 3, func(t *testing.T, file string, at float64) []string {
			text := tool(t, "gst-play-1.0", "--no-interactive", "--quiet", "--start-position="+seconds(at), "--audiosink=fakesink",
				"--videosink=videoconvert ! video/x-raw,format=I420 ! checksumsink hash=md5 sync=false", file)
			var list []string
			for _, m := range checksum.FindAllStringSubmatch(text, -1) {
				if m[1] > "0:00:01" { // it shows a picture or two before it goes there
					list = append(list, m[2])
				}
			}
			return list
		}},
	}
}

// TestRecordingsInPlayers: what OBS and ffmpeg publish is recorded as it was sent: each packet, and the sound to a millisecond where it was against
// the picture; ffprobe, ffmpeg, VLC, mpv and GStreamer open each file, while it is written and whole, and go to the
// picture that they are told to (P10 for FLV, C-400 for what a crash leaves).
func TestRecordingsInPlayers_P10(t *testing.T) {
	s, list := publishKept(t)
	for _, r := range list {
		want, _ := picturesOf(t, "-i", r.source)
		for form, file := range r.files {
			t.Run(strings.TrimPrefix(r.path, "kept/")+" "+form, func(t *testing.T) {
				t.Parallel()
				if d := r.apart(t, file); math.Abs(d) > 0.001 {
					t.Errorf("the sound is %.4f s later against the picture than it was sent", d)
				}
				got, times := picturesOf(t, "-i", file)
				from := slices.Index(want, got[0])
				if from < 0 || len(got) < 4*recordedRate || !slices.Equal(got, want[from:from+len(got)]) {
					t.Fatalf("%d pictures, which are not what was sent from %d on", len(got), from)
				}
				if !strings.HasSuffix(form, ".part") {
					if len(got) != len(want) {
						t.Errorf("%d pictures of %d", len(got), len(want))
					}
					text := strings.TrimSpace(tool(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file))
					if d, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(d-recordedLength.Seconds()-0.123) > 0.1 {
						t.Errorf("ffprobe says that it has %s s", text)
					}
				}
				k := len(got) * 5 / 8
				at := times[k] - 0.5/recordedRate
				for _, p := range seekers() {
					shown := p.shows(t, file, at)
					if len(shown) == 0 {
						t.Errorf("%s shows nothing from %.3f s on", p.name, at)
						continue
					}
					i := slices.Index(got, shown[0])
					if i < k-p.within || i > k+p.within {
						t.Errorf("%s begins with picture %d instead of %d", p.name, i, k)
					}
				}
			})
		}
	}
	t.Run("a playlist over several files", func(t *testing.T) {
		t.Parallel()
		testVODInPlayers(t, s, list[0])
	})
}

// testVODInPlayers: ffmpeg and mpv play a playlist over several files to its end, each picture once.
func testVODInPlayers(t *testing.T, s *server, r *recording) {
	want, _ := picturesOf(t, "-i", r.source)
	address := "http://" + s.http + "/" + r.path + "/index.m3u8?" + url.Values{"from": {"-120"}, "recording": {"pieces"}}.Encode()
	got, _ := picturesOf(t, "-i", address)
	if !slices.Equal(got, want) {
		t.Errorf("ffmpeg shows %d pictures of %d, or others", len(got), len(want))
	}
	out := filepath.Join(t.TempDir(), "out.nut")
	tool(t, "mpv", "--no-config", "--no-audio", "--o="+out, "--of=nut", "--ovc=rawvideo", address)
	seen := map[string]bool{}
	list, _ := picturesOf(t, "-i", out)
	for _, h := range list { // some are written twice where the times begin anew
		seen[h] = true
	}
	missing := 0
	for _, h := range want {
		if !seen[h] {
			missing++
		}
	}
	if missing > len(want)/50 {
		t.Errorf("mpv does not show %d of %d pictures", missing, len(want))
	}
}
