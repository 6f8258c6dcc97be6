package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"weir/av"
	"weir/format/flv"
	"weir/format/mpegts"
	"weir/internal/server"
	"weir/rtmp"
)

// ffmpegRun runs ffmpeg and returns what it printed; complaints fail the test.
func ffmpegRun(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "warning", "-y"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// frameSums returns the hash of each decoded frame of a stream in a file.
func frameSums(t *testing.T, file, stream string) (sums []string) {
	t.Helper()
	for line := range strings.Lines(ffmpegRun(t, "-i", file, "-map", stream, "-f", "framehash", "-hash", "md5", "-")) {
		if fields := strings.Split(line, ","); len(fields) == 6 && line[0] != '#' {
			sums = append(sums, strings.TrimSpace(fields[5]))
		}
	}
	return sums
}

// makeFLV makes a file of H.264 with B frames and AAC, and returns its name.
func makeFLV(t testing.TB, size string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), size+".flv")
	ffmpegRun(t, "-f", "lavfi", "-i", "testsrc2=rate=25:duration=4:size="+size, "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=4",
		"-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2", "-preset", "veryfast", "-c:a", "aac", "-ac", "2", name)
	return name
}

// readFLV returns a file's tags of sound and video, the first frame of video before all
// sound, and how many of each hold frames.
func readFLV(t testing.TB, name string) (tags []rtmp.Message, video, audio int) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := flv.NewReader(file)
	if _, err := r.Header(); err != nil {
		t.Fatal(err)
	}
	var early []rtmp.Message
	for {
		tag, err := r.ReadTag()
		if errors.Is(err, io.EOF) {
			return tags, video, audio
		}
		if err != nil {
			t.Fatal(err)
		}
		const media, end = 1, 2
		switch {
		case tag.Type == flv.TagScript || tag.Type == flv.TagVideo && tag.Body[1] == end:
			continue
		case tag.Type == flv.TagVideo && tag.Body[1] == media:
			video++
		case tag.Type == flv.TagAudio && tag.Body[1] == media:
			audio++
		}
		m := rtmp.Message{Type: rtmp.MessageType(tag.Type), Timestamp: tag.Timestamp, Payload: bytes.Clone(tag.Body)}
		if audio > 0 && video == 0 {
			early = append(early, m)
			continue
		}
		tags = append(tags, m)
		if video > 0 {
			tags = append(tags, early...)
			early = nil
		}
	}
}

// publishTags publishes tags at once, from a time on.
func publishTags(p *publisher, tags []rtmp.Message, from uint32) {
	p.t.Helper()
	for _, m := range tags {
		m.Timestamp += from
		p.must(p.WriteMessage(&m))
	}
}

// tsPatience is how long a player waits for what it should get.
const tsPatience = 20 * time.Second

// tsPlayers open a player of each protocol of MPEG-TS and return its bytes.
var tsPlayers = map[string]func(r *running, path string) io.Reader{
	"http-ts": func(r *running, path string) io.Reader {
		ctx, cancel := context.WithTimeout(r.t.Context(), tsPatience)
		r.t.Cleanup(cancel)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.httpURL(path), nil)
		if err != nil {
			r.t.Error(err)
			return strings.NewReader("")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Error(err)
			return strings.NewReader("")
		}
		r.t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/mp2t" || res.ContentLength != -1 {
			r.t.Error(res.Status, res.Header)
		}
		return res.Body
	},
	"ws-ts": func(r *running, path string) io.Reader {
		c, _, err := websocket.Dial(r.t.Context(), strings.Replace(r.httpURL(path), "http", "ws", 1), nil)
		if err != nil {
			r.t.Error(err)
			return strings.NewReader("")
		}
		r.t.Cleanup(func() { c.CloseNow() })
		c.SetReadLimit(1 << 24)
		return &wholePackets{t: r.t, c: c}
	},
}

// wholePackets reads a WebSocket's messages, each of which must be whole packets.
type wholePackets struct {
	t    testing.TB
	c    *websocket.Conn
	rest []byte
}

func (w *wholePackets) Read(b []byte) (int, error) {
	if len(w.rest) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), tsPatience)
		defer cancel()
		typ, m, err := w.c.Read(ctx)
		if err != nil {
			return 0, err
		}
		if typ != websocket.MessageBinary || len(m) == 0 || len(m)%mpegts.PacketSize != 0 {
			w.t.Errorf("%v of %d bytes", typ, len(m))
		}
		w.rest = m
	}
	n := copy(b, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// joined returns what open does once the player has been sent something of a stream that
// there is already.
func joined(t testing.TB, src io.Reader) io.Reader {
	t.Helper()
	br := bufio.NewReader(src)
	if _, err := br.Peek(mpegts.PacketSize); err != nil {
		t.Fatal(err)
	}
	return br
}

// beginning is how many tags are published before a player comes.
const beginning = 10

// received is what a player of MPEG-TS got.
type received struct {
	bytes  []byte
	frames []av.Frame
	mpegts.Counters
}

// of returns the media frames of a kind.
func (r *received) of(k av.Kind) []av.Frame {
	return slices.DeleteFunc(slices.Clone(r.frames), func(f av.Frame) bool { return f.Kind != k || f.Type != av.Media })
}

// receive reads until there are as many frames of video and sound.
func receive(t testing.TB, src io.Reader, video, audio int) (r received) {
	t.Helper()
	var d mpegts.Demuxer
	buf := make([]byte, 4096)
	for len(r.of(av.Video)) < video || len(r.of(av.Audio)) < audio {
		n, err := src.Read(buf)
		r.bytes = append(r.bytes, buf[:n]...)
		r.frames = d.Demux(r.frames, buf[:n])
		if err != nil {
			t.Errorf("after %d and %d frames: %v", len(r.of(av.Video)), len(r.of(av.Audio)), err)
			break
		}
	}
	r.Counters = d.Counters()
	return r
}

// TestTSPlaybackIsBitExact plays by HTTP-TS and WebSocket-TS; ffmpeg decodes the same as from
// what was published.
func TestTSPlaybackIsBitExact(t *testing.T) {
	in := makeFLV(t, "320x180")
	tags, video, audio := readFLV(t, in)
	for name, open := range tsPlayers {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s portable=%v", name, portable), func(t *testing.T) {
				r := start(t, func(c *server.Config) { c.Delivery.Portable = portable })
				p := r.mustPublish("live/a")
				publishTags(p, tags[:beginning], 0)
				src := joined(t, open(r, "live/a.ts?start=burst")) // with the sound before it joined
				publishTags(p, tags[beginning:], 0)
				ts := receive(t, src, video, audio)
				if ts.Counters != (mpegts.Counters{Packets: ts.Packets}) {
					t.Errorf("%+v", ts.Counters)
				}
				out := filepath.Join(t.TempDir(), "out.ts")
				if err := os.WriteFile(out, ts.bytes, 0o600); err != nil {
					t.Fatal(err)
				}
				for _, stream := range []string{"0:v", "0:a"} {
					want, got := frameSums(t, in, stream), frameSums(t, out, stream)
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s: %d frames became %d: %s", stream, len(want), len(got), d)
					}
				}
			})
		}
	}
}

// TestTSLatePlayers has players join at different times: each begins with tables and a key
// frame, and misses nothing from there on.
func TestTSLatePlayers(t *testing.T) {
	tags, _, _ := readFLV(t, makeFLV(t, "160x90"))
	r := start(t, nil)
	p := r.mustPublish("live/a")
	var from uint32
	for range 3 {
		publishTags(p, tags, from)
		from += 4000
		for name, open := range tsPlayers {
			ts := receive(t, open(r, "live/a.ts"), 10, 0)
			if v := ts.of(av.Video); !v[0].IsKey() || ts.Gaps+ts.DroppedPES+ts.BadFrames+ts.Undecodable > 0 {
				t.Errorf("%s: key %v, %+v", name, v[0].IsKey(), ts.Counters)
			}
			if pid := uint16(ts.bytes[1]&0x1f)<<8 | uint16(ts.bytes[2]); pid != 0 {
				t.Errorf("%s: PID %#x comes first", name, pid)
			}
		}
	}
}

// TestTSSelections plays one kind of media only.
func TestTSSelections(t *testing.T) {
	tags, _, audio := readFLV(t, makeFLV(t, "160x90"))
	r := start(t, nil)
	publishTags(r.mustPublish("live/a"), tags, 0)
	if ts := receive(t, tsPlayers["http-ts"](r, "live/a.ts?onlyVideo"), 20, 0); len(ts.of(av.Audio)) > 0 {
		t.Error("there is sound")
	}
	p := r.mustPublish("live/b")
	publishTags(p, tags[:beginning], 0)
	src := joined(t, tsPlayers["ws-ts"](r, "live/b.ts?onlyAudio"))
	publishTags(p, tags[beginning:], 0)
	if ts := receive(t, src, 0, audio-beginning); len(ts.of(av.Video)) > 0 || ts.Gaps > 0 {
		t.Errorf("%d frames of video, %+v", len(ts.of(av.Video)), ts.Counters)
	}
}

// TestTSCodecChange changes the picture's size in mid-stream: the program map gets a new version,
// and ffmpeg decodes every picture.
func TestTSCodecChange(t *testing.T) {
	small, v1, a1 := readFLV(t, makeFLV(t, "160x90"))
	large, v2, a2 := readFLV(t, makeFLV(t, "320x180"))
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishTags(p, small[:beginning], 0)
	src := joined(t, tsPlayers["http-ts"](r, "live/a.ts?start=burst"))
	publishTags(p, small[beginning:], 0)
	publishTags(p, large, 4000)
	ts := receive(t, src, v1+v2, a1+a2)
	configs := 0
	for _, f := range ts.frames {
		if f.Kind == av.Video && f.Type == av.Config {
			configs++
		}
	}
	if configs != 2 || ts.TableChanges != 1 || ts.Gaps+ts.DroppedPES+ts.Undecodable > 0 {
		t.Errorf("%d configurations, %+v", configs, ts.Counters)
	}
	out := filepath.Join(t.TempDir(), "out.ts")
	if err := os.WriteFile(out, ts.bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	ffmpegRun(t, "-i", out, "-map", "0", "-f", "null", "-")
}

// enhanced returns the body of a tag of a track whose codec only Enhanced RTMP has.
func enhanced(t *testing.T, f av.Frame) []byte {
	t.Helper()
	header, ok := flv.AppendHeader(nil, &f, flv.Form{})
	if !ok {
		t.Fatal("no header for", f.Codec)
	}
	return append(header, f.Payload...)
}

// TestTSWithoutPlace plays streams with codecs that MPEG-TS cannot carry: the track is left out, and
// if there is nothing else the player is told why.
func TestTSWithoutPlace(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile("../../codec/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r := start(t, nil)
	p := r.mustPublish("live/av1")
	config := enhanced(t, av.Frame{Codec: av.AV1, Type: av.Config, Payload: read("av1-main.config")})
	key := enhanced(t, av.Frame{Codec: av.AV1, Flags: av.Key, Payload: read("av1-main.key")})
	p.must(p.video(0, config))
	p.must(p.video(0, key))
	p.must(p.video(40, key))
	r.arrived("live/av1", 2)
	res, err := http.Get(r.httpURL("live/av1.ts"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusNotAcceptable || !strings.Contains(string(body), "AV1") || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s: %q", res.Status, body)
	}
	if _, res, err := websocket.Dial(t.Context(), strings.Replace(r.httpURL("live/av1.ts"), "http", "ws", 1), nil); err == nil || res.StatusCode != http.StatusNotAcceptable {
		t.Error(err)
	}

	p = r.mustPublish("live/both")
	sound := append([]byte{0xaf, 1}, read("aac-44100-2.key")...)
	p.must(p.video(0, config))
	p.must(p.audio(0, audioHeader))
	for i := range uint32(10) {
		p.must(p.video(i*21, key))
		p.must(p.audio(i*21, sound))
	}
	src := joined(t, tsPlayers["http-ts"](r, "live/both.ts"))
	for i := range uint32(40) {
		p.must(p.video((10+i)*21, key))
		p.must(p.audio((10+i)*21, sound))
	}
	if ts := receive(t, src, 0, 40); len(ts.of(av.Video)) > 0 || ts.Unsupported > 0 {
		t.Errorf("%+v", ts.Counters)
	}
}
