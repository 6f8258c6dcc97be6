package test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBrowser watches with Chromium, by every way of playing.
func TestBrowser(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	chrome := startChromium(t)
	page := func(path, query string) string { return "http://" + s.http + "/" + path + "/" + query }
	live := func(t *testing.T, path string, pictures, tones bool) {
		t.Helper()
		encoder(t, s.rtmpURL(path), pictures, tones)
		if err := s.waitLive(t.Context(), path, 4*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	// One after the other: a browser and an encoder keep a small machine busy.
	t.Run("ways", func(t *testing.T) {
		live(t, "return/cam", true, true)
		for _, c := range []struct {
			name, query, transport string
			within, delay          time.Duration
		}{
			{"automatic", "", "flv", 6 * time.Second, time.Second},
			{"websocket", "?via=ws", "ws", 6 * time.Second, time.Second},
			{"low-latency HLS", "?via=hls", "hls", 15 * time.Second, 2 * time.Second},
		} {
			t.Run(c.name, func(t *testing.T) {
				b := chrome.open(t, page("return/cam", c.query), "")
				b.watches(c.transport, c.within, true, true)
				b.delayed(c.delay)
				if s := b.sight(); s.Width != 640 || s.Height != 360 || s.Wide {
					t.Errorf("%+v", s)
				}
			})
		}
		t.Run("keys", func(t *testing.T) {
			b := chrome.open(t, page("return/cam", "?embed=1"), "", "320", "480", "dark")
			b.watches("flv", 6*time.Second, true, true)
			if b.sight().Wide {
				t.Error("it is wider than the screen")
			}
			// Chromium plays no sound before somebody has touched the page.
			if !b.sight().Muted {
				t.Error("it was not muted at the beginning")
			}
			b.do("click #unmute")
			b.until("there is sound", 3*time.Second, func(s sight) bool { return !s.Muted })
			b.do("key m")
			b.until("there is none", 3*time.Second, func(s sight) bool { return s.Muted })
			b.do("key k")
			at := b.until("it is paused", 3*time.Second, func(sight) bool { return true }).Time
			b.do("key k")
			b.until("it plays on", 5*time.Second, func(s sight) bool { return s.Time > at+0.5 })
			b.do("select ws")
			b.watches("ws", 6*time.Second, true, true)
			if dir := os.Getenv("WEIR_TEST_KEEP"); dir != "" {
				b.do("shot " + filepath.Join(dir, "narrow.png"))
				b.do("size 1280 800")
				b.do("shot " + filepath.Join(dir, "wide.png"))
			}
		})
	})
	t.Run("plain HLS", func(t *testing.T) {
		plain := startServer(t, "streams.0.hls.low_latency=false")
		encoder(t, plain.rtmpURL("return/plain"), true, true)
		if err := plain.waitLive(t.Context(), "return/plain", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		b := chrome.open(t, "http://"+plain.http+"/return/plain/?via=hls", "")
		b.watches("hls", 20*time.Second, true, true)
		b.delayed(9 * time.Second) // four targets of two seconds, and one
	})
	t.Run("a key", func(t *testing.T) {
		locked := startServer(t, "streams.0.play.keys=[hunter3]")
		encoder(t, locked.rtmpURL("return/secret"), true, true)
		if err := locked.waitLive(t.Context(), "return/secret", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		at := "http://" + locked.http + "/return/secret/"
		b := chrome.open(t, at, "Failed to load resource")
		b.until("it says that it may not", 8*time.Second, func(s sight) bool { return s.State == "forbidden" })
		for _, way := range []string{"flv", "hls"} {
			b := chrome.open(t, at+"?key=hunter3&via="+way, "")
			b.until("it plays", 15*time.Second, func(s sight) bool { return s.State == "playing" && s.Transport == way && s.Frames > 5 })
		}
	})
	t.Run("sound only", func(t *testing.T) {
		live(t, "return/radio", false, true)
		ways := []struct {
			way   string
			delay time.Duration
		}{{"flv", time.Second}, {"hls", 2 * time.Second}, {"hls", 2 * time.Second}}
		for _, c := range ways { // the second by HLS finds more than one segment
			b := chrome.open(t, page("return/radio", "?via="+c.way), "")
			b.watches(c.way, 15*time.Second, false, true)
			b.delayed(c.delay)
		}
	})
	t.Run("list", func(t *testing.T) {
		b := chrome.open(t, "http://"+s.http+"/", "")
		b.until("it says how to watch", 5*time.Second, func(s sight) bool { return strings.Contains(s.Text, "/live/cam/") && s.Stills == 0 })
		public := startServer(t, "http.index=true")
		for path, pictures := range map[string]bool{"return/cam": true, "return/radio": false} {
			encoder(t, public.rtmpURL(path), pictures, true)
			if err := public.waitLive(t.Context(), path, 4*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		b = chrome.open(t, "http://"+public.http+"/", "", "320", "640", "dark")
		b.until("it lists the streams", 8*time.Second, func(s sight) bool {
			return strings.Contains(s.Text, "2 live") && strings.Contains(s.Text, "640×360 H.264 · AAC") && strings.Contains(s.Text, "return/radio") && s.Stills == 1 && !s.Wide
		})
		b.do(`click a[href="return/cam/"]`)
		b.watches("flv", 6*time.Second, true, true)
	})
	t.Run("the publisher comes, goes and returns", func(t *testing.T) {
		b := chrome.open(t, page("return/late", ""), "Failed to load resource")
		b.until("it says that it waits", 8*time.Second, func(s sight) bool {
			return s.State == "offline" && s.Word == "Offline" && strings.Contains(s.Message, "offline")
		})
		for range 2 {
			p := encoder(t, s.rtmpURL("return/late"), true, true)
			b.watches("flv", 20*time.Second, true, true)
			b.delayed(time.Second) // the absence does not stay as delay
			p.end(syscall.SIGKILL)
			b.until("it notices", 20*time.Second, func(s sight) bool { return s.State != "playing" })
		}
		encoder(t, s.rtmpURL("return/late"), true, true) // within the grace
		b.watches("flv", 20*time.Second, true, true)
		b.delayed(time.Second)
	})
	t.Run("the publisher returns to HLS", func(t *testing.T) {
		first := encoder(t, s.rtmpURL("return/hls"), true, true)
		if err := s.waitLive(t.Context(), "return/hls", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		b := chrome.open(t, page("return/hls", "?via=hls"), "")
		b.watches("hls", 15*time.Second, true, true)
		first.end(syscall.SIGKILL)
		b.until("it notices", 20*time.Second, func(s sight) bool { return s.State != "playing" })
		encoder(t, s.rtmpURL("return/hls"), true, true)
		b.watches("hls", 20*time.Second, true, true)
		b.delayed(2 * time.Second)
	})
}
