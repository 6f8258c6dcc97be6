package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/mp4"
)

// clockLength is how long a film is that shows a clock.
const clockLength = 36 * sec

// clockFilm makes a film whose picture tells its second: it gets brighter by five steps of 219 with each. The picture is
// grey, or red.
func clockFilm(t *testing.T, red bool) string {
	t.Helper()
	cr := 128
	if red {
		cr = 200
	}
	file := filepath.Join(t.TempDir(), fmt.Sprintf("clock-%d.mp4", cr))
	err := ffmpeg(args([]string{
		"-f", "lavfi", "-i", fmt.Sprintf("color=size=320x180:rate=15:duration=%g,format=yuv420p,geq=lum='16+5*floor(T)':cb=128:cr=%d", clockLength.Seconds(), cr),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=sample_rate=48000:duration=%g", clockLength.Seconds()),
	}, filmCodecs["h264"], filmCodecs["aac"]), file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// record writes a film as a recording of a stream that began at some time.
func record(t *testing.T, film, name, path string, begin time.Time) {
	t.Helper()
	f, err := os.Open(film)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := fmp4.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	head := mp4.Head{Path: path, Epoch: 7, Start: begin}
	for _, x := range r.Tracks() {
		head.Tracks = append(head.Tracks, mp4.Track{Track: x.Track})
	}
	m, err := mp4.NewMuxer(head)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	var batch []av.Frame
	flush := func(end time.Duration) {
		if len(batch) == 0 {
			return
		}
		if b, err = m.AppendFragment(b, batch, end); err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame.Type != av.Media {
			continue
		}
		if frame.Kind == av.Video && frame.IsKey() {
			flush(frame.DTS)
		}
		batch = append(batch, *frame)
	}
	flush(mp4.NoEnd)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := mp4.Finish(out, int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

// tellShade has a page tell the colour of its picture.
const tellShade = `run { const c = document.createElement("canvas").getContext("2d", { willReadFrequently: true });` +
	` setInterval(() => { const v = document.querySelector("video"); if (v.readyState < 2) return; c.drawImage(v, 0, 0, 16, 9);` +
	` document.documentElement.dataset.shade = [...c.getImageData(8, 4, 1, 1).data].join(" "); }, 50); }`

// shade returns what the picture of a clock film says: its second, and whether it is the red one.
func (s *sight) shade() (second float64, red bool) {
	var r, g, b int
	if _, err := fmt.Sscan(s.Shade, &r, &g, &b); err != nil {
		return math.NaN(), false
	}
	if r > b+40 {
		return math.NaN(), true
	}
	return float64(g) * 219 / 255 / 5, false
}

// testPast goes back in time in a stream that is recorded. There is an older recording of it, and a gap.
func testPast(t *testing.T, chrome *chromium) {
	const path = "return/past"
	dir := t.TempDir()
	grey, red := clockFilm(t, false), clockFilm(t, true)
	begin := time.Now().Add(-clockLength - 20*sec)
	record(t, grey, filepath.Join(dir, "return", "past", "old.mp4"), path, begin)
	const over = "return/over"
	record(t, grey, filepath.Join(dir, "return", "over", "old.mp4"), over, begin)
	s := startServer(t, `streams.0.record=[{dir: "`+dir+`"}]`)
	publish(t, mustBuild(t), "push", "--loop", red, s.rtmpURL(path))
	filmed.publish(t, s.rtmpURL("live/plain"))
	for _, path := range []string{path, "live/plain"} {
		if err := s.waitLive(t.Context(), path, 2*sec); err != nil {
			t.Fatal(err)
		}
	}
	page := "http://" + s.http + "/" + path + "/"
	// back opens the page and waits until one can go back.
	back := func(t *testing.T, query string, more ...string) *browser {
		t.Helper()
		b := chrome.open(t, page+query, "", more...)
		b.watches("flv", true, true)
		b.do(tellShade)
		b.until("it is live, and has a bar", func(s sight) bool {
			_, red := s.shade()
			return red && s.Recorded == "true" && s.Back == "false" && s.Word == "Live"
		})
		return b
	}
	// shows waits until the page shows what was to be seen some time ago.
	shows := func(t *testing.T, b *browser, ago, tolerance time.Duration) {
		t.Helper()
		b.until(fmt.Sprintf("it shows what was %v ago", ago), func(s sight) bool {
			second, red := s.shade()
			said, err := strconv.ParseFloat(s.Ago, 64)
			want := time.Since(begin.Add(ago)).Seconds()
			return s.Back == "true" && s.State == "playing" && s.Transport == "past" && s.Word == "Back to live" && !red &&
				math.Abs(second+0.5-want) < tolerance.Seconds() && err == nil && math.Abs(said-ago.Seconds()) < tolerance.Seconds()
		})
	}
	// set puts the bar to some time ago.
	set := func(b *browser, ago time.Duration) {
		b.do(fmt.Sprintf(`run { const s = document.querySelector("#seek"); s.value = "%.0f"; s.dispatchEvent(new Event("input")); s.dispatchEvent(new Event("change")); }`, -ago.Seconds()))
	}
	live := func(t *testing.T, b *browser) {
		t.Helper()
		b.watches("flv", true, true)
		b.until("it is live", func(s sight) bool {
			_, red := s.shade()
			return red && s.Back == "false" && s.Word == "Live"
		})
		b.delayed(time.Second)
	}
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		b := back(t, "")
		n := int((time.Since(begin)-22*sec)/(10*sec)) + 1 // to within the first half of the film
		for range n {
			b.do("key ArrowLeft")
		}
		ago := time.Duration(n) * 10 * sec
		shows(t, b, ago, 4*sec)
		b.watches("past", true, true)
		b.do("key ArrowLeft")
		shows(t, b, ago+10*sec, 4*sec)
		b.do("key ArrowRight")
		shows(t, b, ago, 4*sec)
		b.do("click #live")
		live(t, b)
	})
	t.Run("pointer", func(t *testing.T) {
		t.Parallel()
		b := back(t, "?via=flv", "320", "480", "dark")
		half := time.Since(begin).Seconds() / 2
		b.do("click #seek") // its middle; if nothing was recorded then, what follows is shown
		b.until("it has gone half of the way back", func(s sight) bool {
			ago, err := strconv.ParseFloat(s.Ago, 64)
			return s.Back == "true" && s.State == "playing" && s.Transport == "past" && err == nil && ago > 10 && ago < half+4
		})
		set(b, time.Since(begin)-15*sec)
		shows(t, b, time.Since(begin)-15*sec, 4*sec)
		if b.sight().Wide {
			t.Error("it is wider than the screen")
		}
		b.do(`run { const s = document.querySelector("#seek"); s.focus(); document.documentElement.dataset.told = s.getAttribute("aria-valuetext") +` +
			` " " + getComputedStyle(document.querySelector("#track")).maskImage; }`)
		b.until("it tells the position and shows the gap", func(s sight) bool {
			return strings.Contains(s.Told, "before live ") && strings.Contains(s.Told, "rgba(0, 0, 0, 0)")
		})
		if dir := os.Getenv("WEIR_TEST_KEEP"); dir != "" {
			b.do("shot " + filepath.Join(dir, "past-narrow.png"))
			b.do("size 1280 800")
			b.do("shot " + filepath.Join(dir, "past-wide.png"))
		}
		b.do("key End")
		live(t, b)
		b.do("key Home")
		b.until("it shows the beginning", func(s sight) bool {
			second, red := s.shade()
			return !red && second < 5 && s.Back == "true" && s.State == "playing"
		})
	})
	t.Run("an address", func(t *testing.T) {
		t.Parallel()
		back(t, "").close()
		ago := time.Since(begin) - 15*sec
		for _, query := range []string{fmt.Sprintf("?start=-%.0f", ago.Seconds()), "?start=" + time.Now().Add(-ago).UTC().Format(time.RFC3339)} {
			b := chrome.open(t, page+query, "")
			b.do(tellShade)
			shows(t, b, ago, 4*sec)
			b.do("click #live")
			live(t, b)
			b.close()
			ago = time.Since(begin) - 15*sec
		}
	})
	t.Run("nobody publishes", func(t *testing.T) {
		t.Parallel()
		b := chrome.open(t, "http://"+s.http+"/"+over+"/?start="+begin.Add(15*sec).UTC().Format(time.RFC3339), "")
		b.do(tellShade)
		plays := func(from float64) func(s sight) bool {
			return func(s sight) bool {
				second, red := s.shade()
				return !red && second > from-4 && second < from+8 && s.Back == "true" && s.State == "playing" && s.Recorded == "true"
			}
		}
		b.until("it plays from where its address says", plays(15))
		b.do("click #live")
		b.until("it is offline, and has a bar", func(s sight) bool { return s.State == "offline" && s.Back == "false" && s.Recorded == "true" })
		b.do("key ArrowLeft")
		b.until("it plays the end of what was recorded", plays(clockLength.Seconds()-10))
		b.until("it is offline again at its end", func(s sight) bool { return s.State == "offline" && s.Back == "false" && s.Recorded == "true" })
	})
	t.Run("over the gap", func(t *testing.T) {
		t.Parallel()
		b := back(t, "")
		ago := time.Since(begin) - clockLength + 4*sec // its last seconds
		set(b, ago)
		shows(t, b, ago, 4*sec)
		b.until("it plays on with what was recorded later", func(s sight) bool {
			_, red := s.shade()
			return red && s.Back == "true" && s.State == "playing"
		})
		b.watches("past", true, true)
		b.do("key k")
		b.until("it is paused", func(s sight) bool { return s.Paused == "true" })
		b.do("key k")
		b.until("it goes on there", func(s sight) bool { return s.Paused == "false" && s.Back == "true" && s.Transport == "past" })
	})
	t.Run("nothing is recorded", func(t *testing.T) {
		t.Parallel()
		b := chrome.open(t, "http://"+s.http+"/live/plain/", "")
		b.watches("flv", true, true)
		b.do("key ArrowLeft")
		if s := b.sight(); s.Recorded != "false" || s.Back != "false" || strings.Contains(s.Text, "Back to live") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		testFiles(t, chrome, s, dir, path, begin)
	})
}

// testFiles plays what was recorded in a page's video element, which seeks in it: the file that is being written, the one that is
// whole, and a range of time.
func testFiles(t *testing.T, chrome *chromium, s *server, dir, path string, begin time.Time) {
	proxy := func(host string) http.Handler {
		return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><video muted autoplay src="%s"></video>`, strings.ReplaceAll(r.URL.Query().Get("src"), "&", "&amp;"))
	})
	mux.Handle("/dir/", http.StripPrefix("/dir", http.FileServer(http.Dir(dir))))
	mux.Handle("/api/", proxy(s.admin))
	mux.Handle("/return/", proxy(s.http))
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)

	var list struct {
		Spans []struct {
			Files []struct{ ID, Name, State string }
		}
	}
	res, err := http.Get("http://" + s.admin + "/api/v1/recordings?path=" + path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list.Spans) != 2 || list.Spans[0].Files[0].State != "done" || list.Spans[1].Files[0].State != "recording" {
		t.Fatalf("%v %s", err, b)
	}
	whole, part := list.Spans[0].Files[0], list.Spans[1].Files[0]
	stamp := func(d time.Duration) string { return url.QueryEscape(begin.Add(d).UTC().Format(time.RFC3339Nano)) }
	for _, c := range []struct {
		name, src string
		from      float64 // the second that the film's clock shows first; NaN for the red one
		to        float64 // where it is sought
	}{
		{"a file that is whole", "/api/v1/recordings/" + whole.ID + "/content", 0, 20},
		{"a range", "/" + path + "/playback.mp4?from=" + stamp(5*sec) + "&to=" + stamp(30*sec), 5, 15},
		{"a file that is written", "/dir/" + part.Name + ".part", math.NaN(), 2},
	} {
		b := chrome.open(t, web.URL+"/page?src="+url.QueryEscape(c.src), "")
		b.do(tellShade)
		plays := func(s sight) bool {
			second, red := s.shade()
			return s.Width == 320 && s.Frames > 5 && (red && math.IsNaN(c.from) || math.Abs(second+0.5-c.from-s.Time) < 1.5)
		}
		b.until(c.name+" plays", func(s sight) bool { return s.Time > 0.5 && plays(s) })
		b.do(fmt.Sprintf(`run { document.querySelector("video").currentTime = %g }`, c.to))
		b.until(c.name+" plays where it was sought", func(s sight) bool { return s.Time > c.to+0.5 && plays(s) })
		b.close()
	}
}
