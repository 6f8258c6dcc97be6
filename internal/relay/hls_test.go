package relay

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/fetch"
)

// segments has ffmpeg write HLS of three seconds, with a key frame a second, and returns the files.
func segments(t *testing.T, args string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	full := strings.Fields("-nostdin -v error -f lavfi -i testsrc2=size=128x96:rate=25:duration=3 -f lavfi -i sine=sample_rate=48000:duration=3 " +
		"-pix_fmt yuv420p -c:v libx264 -preset veryfast -g 25 -bf 0 -c:a aac -f hls -hls_time 1 -hls_list_size 0 " + args)
	for i := range full {
		full[i] = strings.ReplaceAll(full[i], "||", " ") // within an argument
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", full...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
	files := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// site serves files below /tv/; with ranges, as any file server.
type site struct {
	mu    sync.Mutex // guards below
	files map[string]string
	asked []string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/tv/")
	s.mu.Lock()
	body, ok := s.files[name]
	s.asked = append(s.asked, name)
	s.mu.Unlock()
	if r.URL.Path == "/" {
		http.Redirect(w, r, "/tv/index.m3u8", http.StatusFound)
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, name, time.Time{}, strings.NewReader(body))
}

func (s *site) put(name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = body
}

func (s *site) serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

// whole checks that all frames of segments came, at times that do not fall.
func whole(t *testing.T, list []*av.Frame) {
	t.Helper()
	v, a := only(list, av.Video), only(list, av.Audio)
	if len(v) != 75 || len(a) < 140 || len(a) > 143 {
		t.Errorf("%d pictures, not 75; %d frames of sound, not about 142", len(v), len(a))
	}
	for _, track := range [][]*av.Frame{v, a} {
		for i := 1; i < len(track); i++ {
			if d := track[i].DTS - track[i-1].DTS; d <= 0 || d > 60*ms {
				t.Fatalf("%v frame %d comes %v after the one before", track[i].Kind, i, d)
			}
		}
	}
	for i := 1; i < len(list); i++ {
		if d := list[i-1].DTS - list[i].DTS; d > 300*ms {
			t.Fatalf("frame %d is %v before the one before", i, d)
		}
	}
}

// TestHLSOnDemand reads playlists of each form that there is.
func TestHLSOnDemand(t *testing.T) {
	for name, args := range map[string]string{
		"MPEG-TS":                "index.m3u8",
		"MPEG-TS, one file":      "-hls_flags single_file index.m3u8",
		"fMP4":                   "-hls_segment_type fmp4 index.m3u8",
		"fMP4, one file":         "-hls_segment_type fmp4 -hls_flags single_file index.m3u8",
		"a multivariant":         "-master_pl_name index.m3u8 media.m3u8",
		"sound apart, MPEG-TS":   "-map 0:v -map 1:a -var_stream_map v:0,agroup:a||a:0,agroup:a,default:yes -master_pl_name index.m3u8 media%v.m3u8",
		"sound apart, in fMP4":   "-map 0:v -map 1:a -hls_segment_type fmp4 -var_stream_map v:0,agroup:a||a:0,agroup:a,default:yes -master_pl_name index.m3u8 media%v.m3u8",
		"the better of variants": "-map 0:v -map 1:a -map 0:v -map 1:a -b:v:0 50k -b:v:1 900k -var_stream_map v:0,a:0||v:1,a:1 -master_pl_name index.m3u8 media%v.m3u8",
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{files: segments(t, args)}
			url := s.serve(t)
			whole(t, frames(t, url))
			if name == "the better of variants" && slices.Contains(s.asked, "media0.m3u8") {
				t.Error("the worse variant was taken")
			}
			src, err := fetch.Open(t.Context(), url, fetch.Access{})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if src.Live() {
				t.Error("it is taken for live")
			}
		})
	}
}

// TestHLSLive reads a playlist that grows, slides, and ends.
func TestHLSLive(t *testing.T) {
	all := segments(t, "-hls_segment_filename %d.ts index.m3u8")
	s := &site{files: maps.Clone(all)}
	list := func(from, to int, end string) string {
		b := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n", from)
		for i := from; i < to; i++ {
			b += fmt.Sprintf("#EXTINF:1,\n%d.ts\n", i)
		}
		return b + end
	}
	s.put("index.m3u8", list(0, 1, ""))
	src, err := fetch.Open(t.Context(), s.serve(t), fetch.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if !src.Live() {
		t.Error("it is not taken for live")
	}
	var got []*av.Frame
	for {
		f, err := src.ReadFrame()
		if err != nil {
			break
		}
		if f.Type == av.Media {
			got = append(got, f)
		}
		switch len(only(got, av.Video)) {
		case 20:
			s.put("index.m3u8", list(1, 2, ""))
		case 40:
			s.put("index.m3u8", list(1, 3, "#EXT-X-ENDLIST\n"))
		}
	}
	whole(t, got)
	if c := src.Condition(); len(c.Damage) > 0 {
		t.Error(c.Damage)
	}
}

// TestHLSWhoseNumbersBeginAgain has a server that was restarted.
func TestHLSWhoseNumbersBeginAgain(t *testing.T) {
	s := &site{files: segments(t, "-hls_segment_filename %d.ts index.m3u8")}
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:"
	s.put("index.m3u8", head+"700\n#EXTINF:1,\n0.ts\n")
	src, err := fetch.Open(t.Context(), s.serve(t), fetch.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	pictures := 0
	for {
		f, err := src.ReadFrame()
		if err != nil {
			break
		}
		if f.Type == av.Media && f.Kind == av.Video {
			pictures++
		}
		s.put("index.m3u8", head+"0\n#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts\n#EXT-X-ENDLIST\n")
	}
	if pictures != 75 {
		t.Errorf("%d pictures, not 75", pictures)
	}
}

// TestHLSOfWeir reads what our own server makes of a stream.
func TestHLSOfWeir(t *testing.T) {
	rtmpURL, httpURL, _ := serve(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pushed := make(chan error, 1)
	go func() {
		_, err := Copy(ctx, from(sample), to(rtmpURL), Options{Loop: true, Speed: 1})
		pushed <- err
	}()
	out := filepath.Join(t.TempDir(), "out.flv")
	st, err := Copy(ctx, from(strings.Replace(httpURL, "x.flv", "x/index.m3u8", 1)), to(out), Options{Frames: 200, Unpaced: true})
	stop()
	if err := <-pushed; err != nil {
		t.Error(err)
	}
	if err != nil || st.Frames != 200 {
		t.Fatal(st, err)
	}
	compare(t, frames(t, out), frames(t, sample))
}

// TestHLSErrors has playlists that cannot be read.
func TestHLSErrors(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
	for name, c := range map[string]struct{ list, want string }{
		"encrypted":         {head + "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n", "the stream is encrypted in a way that is not supported: only AES-128 is"},
		"a key gone":        {head + "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:1,\nindex.m3u8\n#EXT-X-ENDLIST\n", "reading segment 0: reading its key: the server answers 404 Not Found"},
		"not a playlist":    {"#EXTM3U\n#EXTINF:x,\n", "m3u8: malformed playlist"},
		"no variant there":  {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nnone.m3u8\n", "reading a media playlist: the server answers 404 Not Found"},
		"another scheme":    {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///etc/passwd\n", "the playlist names a resource of file://, not of http:// or https://"},
		"a segment gone":    {head + "#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n", "reading segment 0: the server answers 404 Not Found"},
		"a segment of text": {head + "#EXTINF:1,\nindex.m3u8\n#EXT-X-ENDLIST\n", "segment 0 is neither MPEG-TS nor fragmented MP4"},
		"a range too large": {head + "#EXTINF:1,\n#EXT-X-BYTERANGE:99999999@0\n0.ts\n#EXT-X-ENDLIST\n", "more than can be read"},
		"nothing":           {head + "#EXT-X-ENDLIST\n", "the source has ended without a frame"},
	} {
		s := &site{files: map[string]string{"index.m3u8": c.list}}
		_, err := Copy(t.Context(), from(s.serve(t)), to(""), Options{Unpaced: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, not %q", name, err, c.want)
		}
	}
}

// TestHLSBounds has an initialization segment one byte too large.
func TestHLSBounds(t *testing.T) {
	const maxInit = 4 << 20
	for _, size := range []int{maxInit, maxInit + 1} {
		s := &site{files: map[string]string{
			"index.m3u8": "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"init\"\n#EXTINF:1,\n0.mp4\n#EXT-X-ENDLIST\n",
			"init":       strings.Repeat("x", size), "0.mp4": "x",
		}}
		_, err := Copy(t.Context(), from(s.serve(t)), to(""), Options{Unpaced: true})
		if tooLarge := err != nil && strings.Contains(err.Error(), "more than can be read"); tooLarge != (size > maxInit) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
