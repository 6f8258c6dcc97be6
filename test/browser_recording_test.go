package test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// recordingPage plays a file or a playlist, and goes to a time of it: as the browser does by itself, by hls.js, or by mpegts.js, which goes to
// each key frame that the file lists, as flv.js does.
const recordingPage = `<!doctype html><body><video muted width=320></video><p id=message></p>
<script src=/lib/hls.js/dist/hls.min.js></script><script src=/lib/mpegts.js/dist/mpegts.js></script><script>
const q = new URLSearchParams(location.search), src = q.get("src"), at = Number(q.get("at")), v = document.querySelector("video");
const state = (s) => { document.documentElement.dataset.state = s };
const say = (s) => { document.querySelector("#message").textContent = s };
const once = (of, what) => new Promise((done) => of.addEventListener(what, done, { once: true }));
v.addEventListener("error", () => { state("failed"); say(v.error.message) });
async function seek(to) { const done = once(v, "seeked"); v.currentTime = to; await done }
async function plays() {
  await once(v, "loadeddata");
  if (at > 0) await seek(at);
  say(String(v.duration));
  state("sought");
  v.playbackRate = Number(q.get("rate") ?? 1);
  await v.play();
}
async function flv() {
  const player = mpegts.createPlayer({ type: "flv", isLive: false, url: src }, { lazyLoad: false, enableWorker: false });
  const known = new Promise((done) => player.on(mpegts.Events.METADATA_ARRIVED, done));
  player.attachMediaElement(v);
  player.load();
  const loaded = once(v, "loadeddata");
  const times = (await known).keyframes.times.filter((t, i, all) => i === 0 || t !== all[i - 1]).reverse();
  await loaded;
  for (const t of times) await seek(t + 0.001);
  say(times.length + " of " + v.duration);
  state("sought");
}
if (q.get("by") === "flv") void flv();
else {
  void plays();
  if (q.get("by") === "hls") { const h = new Hls({ enableWorker: false }); h.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) { state("failed"); say(e.details) } }); h.loadSource(src); h.attachMedia(v) }
  else v.src = src;
}
</script>`

// testRecorded: a browser plays each file by itself, while it is written and whole, and seeks in it; hls.js plays a playlist over several files
// through, also over another size, and mpegts.js finds each key frame of an FLV file by its index (P10).
func testRecorded(t *testing.T, chrome *chromium) {
	s, list := publishKept(t)
	r := list[1]
	files := map[string]string{}
	for form, file := range r.files {
		files["/files/"+form+map[bool]string{true: ".mp4"}[strings.HasSuffix(form, ".part")]] = file
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.http})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, lib := strings.CutPrefix(r.URL.Path, "/lib/")
		switch {
		case r.URL.Path == "/":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(recordingPage))
		case lib:
			http.ServeFile(w, r, filepath.Join(root, "web/node_modules", filepath.Clean("/"+name)))
		case files[r.URL.Path] != "":
			w.Header().Set("Content-Type", "video/mp4")
			http.ServeFile(w, r, files[r.URL.Path])
		case r.URL.Path == "/favicon.ico":
			w.WriteHeader(http.StatusNoContent)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(web.Close)
	open := func(t *testing.T, by, src string, at float64, rate string) *browser {
		t.Helper()
		q := url.Values{"by": {by}, "src": {src}, "at": {strconv.FormatFloat(at, 'f', 3, 64)}, "rate": {rate}}
		return chrome.open(t, web.URL+"/?"+q.Encode(), "asks again and again")
	}
	for name, at := range map[string]float64{"/files/mp4.part.mp4": 3.1, "/files/mp4": 6.4} {
		t.Run("video "+name, func(t *testing.T) {
			t.Parallel()
			b := open(t, "video", name, at, "1")
			got := b.until("it shows what it was told to", func(s sight) bool {
				return s.State == "failed" || s.State != "" && s.Frames > 10 && s.Time > at+0.5
			})
			if got.State == "failed" || got.Width != 320 || got.Time > at+6 {
				t.Errorf("%+v", got)
			}
			if d, err := strconv.ParseFloat(got.Message, 64); !strings.Contains(name, "part") && (err != nil || math.Abs(d-recordedLength.Seconds()) > 0.3) {
				t.Errorf("it lasts %q s", got.Message)
			}
		})
	}
	t.Run("hls.js over several files", func(t *testing.T) {
		t.Parallel()
		src := "/" + r.path + "/index.m3u8?from=-7200&recording=pieces" // tests before this one may have taken minutes
		b := open(t, "hls", src, 0, "2")
		got := b.until("it has played to the end", func(s sight) bool { return s.State == "failed" || s.Time > recordedLength.Seconds()-0.05 })
		if got.State == "failed" || got.Frames < recordedRate*int(recordedLength.Seconds())*3/4 || math.Abs(got.Time-recordedLength.Seconds()) > 0.5 {
			t.Errorf("%+v", got)
		}
		// Into the third file at once.
		b = open(t, "hls", src, 7.5, "1")
		got = b.until("it shows the third file", func(s sight) bool { return s.State == "failed" || s.State != "" && s.Frames > 10 && s.Time > 8 })
		if got.State == "failed" || got.Frames > 3*recordedRate {
			t.Errorf("%+v", got)
		}
	})
	t.Run("hls.js over another size", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for _, size := range []string{"320x180", "640x360"} { // the second encoder within the time for which the stream waits for one
			file := filepath.Join(dir, size+".mp4")
			tool(t, args([]string{"ffmpeg", "-nostdin", "-v", "error"}, picture(size, recordedRate, 4*sec), sound(48000, 4*sec), x264("-bf", "2"), aac, []string{file})...)
		}
		for _, size := range []string{"320x180", "640x360"} {
			if err := publish(t, ffmpegSends(filepath.Join(dir, size+".mp4"), s.rtmpURL("kept/sizes"), "")...).wait(); err != nil {
				t.Fatal(err)
			}
		}
		b := open(t, "hls", "/kept/sizes/index.m3u8?from=-600&recording=main", 0, "1")
		got := b.until("it has played to the end", func(s sight) bool { return s.State == "failed" || s.Time > 7.8 })
		if got.State == "failed" || got.Width != 640 || got.Frames < recordedRate*8*3/4 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("key frames of FLV", func(t *testing.T) {
		t.Parallel()
		b := open(t, "flv", "/files/flv", 0, "1")
		got := b.until("it has gone to all of them", func(s sight) bool { return s.State == "failed" || s.State == "sought" })
		keys, length, _ := strings.Cut(got.Message, " of ")
		n, _ := strconv.Atoi(keys)
		if d, err := strconv.ParseFloat(length, 64); err != nil || n < int(recordedLength.Seconds()) || math.Abs(d-recordedLength.Seconds()) > 0.3 {
			t.Errorf("%+v", got)
		}
	})
}
