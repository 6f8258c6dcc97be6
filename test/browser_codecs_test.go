package test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
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
	{video: "av1", audio: "mp3"}:  {"hls", true, "Plays the picture without the sound: MP3 cannot be played beside AV1 by HLS."},
	{video: "av1", audio: "opus"}: {"hls", false, "Plays AV1 and Opus by HLS."},
	{video: "av1", audio: "flac"}: {"hls", false, "Plays AV1 and FLAC by HLS."},
	{video: "av1", audio: "ac3"}:  {"", false, "This browser has no decoder for AC-3."},
	{video: "av1", audio: "eac3"}: {"", false, "This browser has no decoder for E-AC-3."},

	{video: "vp9"}:                {"hls", false, "Plays VP9 by HLS."},
	{video: "vp9", audio: "aac"}:  {"hls", false, "Plays VP9 and AAC by HLS."},
	{video: "vp9", audio: "mp3"}:  {"hls", true, "Plays the picture without the sound: MP3 cannot be played beside VP9 by HLS."},
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

// hlsVerdicts is what HLS plays of that for which it is not the first choice.
var hlsVerdicts = map[film]verdict{
	{video: "h264", audio: "aac"}:  {"hls", false, "Plays H.264 and AAC by HLS."},
	{video: "h264", audio: "mp3"}:  {"hls", false, "Plays H.264 and MP3 by HLS."},
	{video: "h264", audio: "opus"}: {"hls", false, "Plays H.264 and Opus by HLS."},
	{audio: "mp3"}:                 {"hls", false, "Plays MP3 by HLS."},
	{audio: "opus"}:                {"hls", false, "Plays Opus by HLS."},
}

// testCodecs opens the page of a stream of every pair of codecs: it plays at once by the player
// that takes the pair, or says why it does not.
func testCodecs(t *testing.T, chrome *chromium) {
	s := startServer(t)
	watch := func(f film, via string, verdict func(b *browser) verdict) {
		name := f.String()
		if via != "" {
			name += " by " + via
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "return/" + f.String() + via
			f.publish(t, s.rtmpURL(path))
			if err := s.waitLive(t.Context(), path, sec); err != nil {
				t.Fatal(err)
			}
			b := chrome.open(t, "http://"+s.http+"/"+path+"/?via="+via, "")
			b.judges(f, verdict(b))
		})
	}
	for f, v := range browserVerdicts {
		watch(f, "", func(*browser) verdict { return v })
		if f.video == "h264" {
			f.video = "hevc"
			watch(f, "", func(b *browser) verdict {
				return hevcVerdict(f, b.until("it is looked at", func(s sight) bool { return s.State != "" }).HEVC)
			})
		}
	}
	for f, v := range hlsVerdicts {
		watch(f, "hls", func(*browser) verdict { return v })
	}
}

// judges checks what the page makes of a film, and that this is its first choice.
func (b *browser) judges(f film, want verdict) {
	b.t.Helper()
	if want.way == "" {
		got := b.until("it says why it does not play", func(s sight) bool { return s.State == "impossible" })
		if !strings.Contains(got.Text, want.says) || got.Word != "Error" {
			b.t.Errorf("%+v, not %q", got, want.says)
		}
		return
	}
	got := b.until("it plays", func(s sight) bool {
		return s.State == "playing" && s.Transport == want.way && s.Time > 1 && s.Word == "Live" &&
			(f.video == "" || s.Frames > 5) && (f.audio == "" || want.silent || s.Sound > 0)
	})
	if got.What != want.says || want.silent && got.Sound > 0 || got.Bars != (f.video == "") {
		b.t.Errorf("%+v, not %+v", got, want)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.said {
		if strings.Contains(said, "cannot be used") {
			b.t.Errorf("a player was chosen that does not take it: %s", said)
		}
	}
}

// A change is how an encoder comes back after it was killed.
type change struct {
	name          string
	film          film
	width, height int
	hlsOnly       bool // only HLS takes it
}

// testChanges watches a stream whose encoder is killed and comes back with other settings,
// by every way of playing at once.
func testChanges(t *testing.T, chrome *chromium) {
	s := startServer(t)
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
		pages[way] = chrome.open(t, "http://"+s.http+"/"+path+"/?via="+way, "")
	}
	ends := map[string]float64{} // of what is buffered when the encoder has ended
	expect := func(name string, w, h int, hlsOnly bool) {
		t.Helper()
		var wg sync.WaitGroup
		for way, b := range pages {
			wg.Go(func() {
				if err := b.changed(way, w, h, hlsOnly, ends[way]); err != nil {
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
		for way, b := range pages {
			ends[way] = b.sight().End
		}
		encoder = c.film.publish(t, s.rtmpURL(path))
		expect(c.name, c.width, c.height, c.hlsOnly)
	}
}

// changed waits until the page of a way plays pictures of a size that came after the end of what was buffered,
// or says that it cannot.
func (b *browser) changed(way string, w, h int, hlsOnly bool, end float64) error {
	if hlsOnly && (way == "flv" || way == "ws") {
		return every(b.t.Context(), patience, func() error {
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
	isNew := false // the page has begun anew, or has come to what is new
	return b.steadily(true, false, func(s sight) bool {
		isNew = isNew || s.State != "playing" || s.Time > end
		return isNew && s.State == "playing" && s.Transport == want && s.Width == w && s.Height == h
	})
}
