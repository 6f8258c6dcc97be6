package test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A verdict is what the page makes of a pair of codecs.
type verdict struct {
	way    string // "" if it cannot be played
	silent bool   // the sound is left out
	says   string // within the sentence that it shows
}

// browserVerdicts is what Debian's Chromium plays, which has no decoder for AC-3 and E-AC-3.
var browserVerdicts = map[film]verdict{
	{video: "h264"}:                {"flv", false, "Plays H.264 by FLV."},
	{video: "h264", audio: "aac"}:  {"flv", false, "Plays H.264 and AAC by FLV."},
	{video: "h264", audio: "mp3"}:  {"flv", false, "Plays H.264 and MP3 by FLV."},
	{video: "h264", audio: "opus"}: {"flv", false, "Plays H.264 and Opus by FLV."},
	{video: "h264", audio: "flac"}: {"hls", false, "Plays H.264 and FLAC by HLS."},
	{video: "h264", audio: "ac3"}:  {"flv", true, "Plays the picture without the sound: this browser has no decoder for AC-3."},
	{video: "h264", audio: "eac3"}: {"flv", true, "Plays the picture without the sound: this browser has no decoder for E-AC-3."},

	{video: "av1"}:                {"hls", false, "Plays AV1 by HLS."},
	{video: "av1", audio: "aac"}:  {"hls", false, "Plays AV1 and AAC by HLS."},
	{video: "av1", audio: "mp3"}:  {"", false, "AV1 and MP3 cannot be played in this browser."},
	{video: "av1", audio: "opus"}: {"hls", false, "Plays AV1 and Opus by HLS."},
	{video: "av1", audio: "flac"}: {"hls", false, "Plays AV1 and FLAC by HLS."},
	{video: "av1", audio: "ac3"}:  {"", false, "This browser has no decoder for AC-3."},
	{video: "av1", audio: "eac3"}: {"", false, "This browser has no decoder for E-AC-3."},

	{video: "vp9"}:                {"hls", false, "Plays VP9 by HLS."},
	{video: "vp9", audio: "aac"}:  {"hls", false, "Plays VP9 and AAC by HLS."},
	{video: "vp9", audio: "mp3"}:  {"", false, "VP9 and MP3 cannot be played in this browser."},
	{video: "vp9", audio: "opus"}: {"hls", false, "Plays VP9 and Opus by HLS."},
	{video: "vp9", audio: "flac"}: {"hls", false, "Plays VP9 and FLAC by HLS."},
	{video: "vp9", audio: "ac3"}:  {"", false, "This browser has no decoder for AC-3."},
	{video: "vp9", audio: "eac3"}: {"", false, "This browser has no decoder for E-AC-3."},

	{audio: "aac"}:  {"flv", false, "Plays AAC by FLV."},
	{audio: "mp3"}:  {"flv", false, "Plays MP3 by FLV."},
	{audio: "opus"}: {"flv", false, "Plays Opus by FLV."},
	{audio: "flac"}: {"hls", false, "Plays FLAC by HLS."},
	{audio: "ac3"}:  {"", false, "This browser has no decoder for AC-3."},
	{audio: "eac3"}: {"", false, "This browser has no decoder for E-AC-3."},
}

// hevcVerdict is what the page makes of H.265, for which not every Chromium has a decoder.
func hevcVerdict(f film, hasDecoder bool) verdict {
	v := browserVerdicts[film{video: "h264", audio: f.audio}]
	if hasDecoder {
		v.says = strings.ReplaceAll(v.says, "H.264", "H.265")
		return v
	}
	switch f.audio {
	case "ac3":
		return verdict{says: "This browser has no decoder for H.265 and AC-3."}
	case "eac3":
		return verdict{says: "This browser has no decoder for H.265 and E-AC-3."}
	}
	return verdict{says: "This browser has no decoder for H.265."}
}

// TestBrowserCodecs opens the page of a stream of every pair of codecs: it plays at once by the player
// that takes the pair, or says why it does not.
func TestBrowserCodecs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	chrome := startChromium(t)
	films := []film{}
	for f := range browserVerdicts {
		films = append(films, f)
		if f.video == "h264" {
			films = append(films, film{video: "hevc", audio: f.audio})
		}
	}
	turns := make(chan struct{}, 5) // a small machine decodes no more at a time
	for _, f := range films {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			turns <- struct{}{}
			t.Cleanup(func() { <-turns })
			path := "return/" + f.String()
			f.publish(t, s.rtmpURL(path))
			if err := s.waitLive(t.Context(), path, sec); err != nil {
				t.Fatal(err)
			}
			b := chrome.open(t, "http://"+s.http+"/"+path+"/", "", "640", "400", "light")
			want, known := browserVerdicts[f]
			if !known {
				want = hevcVerdict(f, b.until("it is looked at", 10*sec, func(s sight) bool { return s.State != "" }).HEVC)
			}
			if want.way == "" {
				got := b.until("it says why it does not play", 10*sec, func(s sight) bool { return s.State == "impossible" })
				if !strings.Contains(got.Text, want.says) || got.Word != "Error" {
					t.Errorf("%+v, not %q", got, want.says)
				}
				return
			}
			b.until("it plays", 20*sec, func(s sight) bool {
				return s.State == "playing" && s.Transport == want.way && s.Time > 1 && s.Word == "Live" &&
					(f.video == "" || s.Frames > 5) && (f.audio == "" || want.silent || s.Sound > 0)
			})
			got := b.sight()
			if got.What != want.says || want.silent && got.Sound > 0 || got.Bars != (f.video == "") {
				t.Errorf("%+v, not %+v", got, want)
			}
		})
	}
}

// A change is how an encoder comes back after it was killed.
type change struct {
	name          string
	film          film
	width, height int
	hlsOnly       bool // only HLS takes it
}

// TestBrowserChanges watches a stream whose encoder is killed and comes back with other settings,
// by every way of playing at once.
func TestBrowserChanges(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	chrome := startChromium(t)
	first := film{video: "h264", audio: "aac"}
	with := func(f film, size, more string) film {
		f.size, f.more = size, more
		return f
	}
	changes := []change{
		{"size", with(first, "640x360", ""), 640, 360, false},
		{"smaller, and of another shape", with(first, "240x240", ""), 240, 240, false},
		{"profile", with(first, "240x240", "-preset veryfast -profile:v high -bf 2"), 240, 240, false},
		{"audio rate", with(first, "240x240", "-ar 44100"), 240, 240, false},
		{"audio rate and channels", with(first, "240x240", "-ar 22050 -ac 1"), 240, 240, false},
		{"audio codec", with(film{video: "h264", audio: "opus"}, "240x240", ""), 240, 240, false},
		{"no sound", film{video: "h264"}, 320, 180, false},
		{"sound", first, 320, 180, false},
		{"video codec", film{video: "av1", audio: "aac"}, 320, 180, true},
		{"both codecs", film{video: "vp9", audio: "opus"}, 320, 180, true},
		{"back again", first, 320, 180, false},
	}
	for _, c := range changes {
		c.film.file(t) // is made before anybody waits
	}
	path := "return/changes"
	encoder := first.publish(t, s.rtmpURL(path))
	if err := s.waitLive(t.Context(), path, 2*sec); err != nil {
		t.Fatal(err)
	}
	pages := map[string]*browser{}
	for _, way := range []string{"", "flv", "ws", "hls"} {
		pages[way] = chrome.open(t, "http://"+s.http+"/"+path+"/?via="+way, "", "640", "400", "light")
	}
	expect := func(name string, w, h int, hlsOnly bool) {
		t.Helper()
		var wg sync.WaitGroup
		for way, b := range pages {
			wg.Go(func() {
				if err := b.changed(way, w, h, hlsOnly); err != nil {
					t.Errorf("%s, by %q: %v", name, way, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	expect("at the beginning", 320, 180, false)
	for _, c := range changes {
		encoder.end(syscall.SIGKILL)
		encoder = c.film.publish(t, s.rtmpURL(path))
		expect(c.name, c.width, c.height, c.hlsOnly)
	}
}

// changed waits until the page of a way shows pictures of a size and goes on to, or says that it cannot.
func (b *browser) changed(way string, w, h int, hlsOnly bool) error {
	if hlsOnly && (way == "flv" || way == "ws") {
		return every(b.t.Context(), 20*sec, func() error {
			if s := b.sight(); s.State != "impossible" {
				return fmt.Errorf("it does not say that it cannot: %+v", s)
			}
			return nil
		})
	}
	want := way
	if want == "" {
		want = "flv"
		if hlsOnly {
			want = "hls"
		}
	}
	is := func(s sight) bool {
		return s.State == "playing" && s.Transport == want && s.Width == w && s.Height == h
	}
	var from sight
	var since time.Time
	return every(b.t.Context(), 30*sec, func() error {
		s := b.sight()
		switch {
		case !is(s):
			since = time.Time{}
		case since.IsZero() || s.Time < from.Time:
			from, since = s, time.Now()
		}
		if played := s.Time - from.Time; !since.IsZero() && time.Since(since) > 2*sec && played > 1.6 && s.Frames-from.Frames > 15 {
			return nil
		}
		return fmt.Errorf("it does not play %d×%d: %+v", w, h, s)
	})
}
