package health

import (
	"os"
	"slices"
	"testing"
	"time"

	"weir/av"
)

// TestSampling has configurations that x264, x265 and libvpx made, and what is said of them.
func TestSampling(t *testing.T) {
	const cannot = ", which browsers, phones and televisions cannot decode"
	for _, c := range []struct {
		file  string
		codec av.Codec
		want  string
	}{
		{"h264-high", av.H264, ""},
		{"h264-high10", av.H264, "bit_depth: video track 0 (H.264) has 10 bits a sample" + cannot + " in H.264"},
		{"h264-high422", av.H264, "chroma: video track 0 (H.264) has 4:2:2 chroma" + cannot},
		{"h264-high444", av.H264, "chroma: video track 0 (H.264) has 4:4:4 chroma" + cannot},
		{"h265-main10", av.H265, ""}, // common in H.265
		{"h265-422-10", av.H265, "chroma: video track 0 (H.265) has 4:2:2 chroma" + cannot},
		{"h265-444", av.H265, "chroma: video track 0 (H.265) has 4:4:4 chroma" + cannot},
		{"vp9-0", av.VP9, ""},
		{"vp9-1", av.VP9, "chroma: video track 0 (VP9) has 4:4:4 chroma" + cannot},
		{"vp9-2", av.VP9, ""},
		{"av1-main10", av.AV1, ""},
		{"av1-high", av.AV1, "chroma: video track 0 (AV1) has 4:4:4 chroma" + cannot},
	} {
		config, err := os.ReadFile("../../codec/testdata/" + c.file + ".config")
		if err != nil {
			t.Fatal(err)
		}
		track := Track{Info: av.Track{Kind: av.Video, Codec: c.codec}}
		track.Chroma, track.BitDepth = Sampling(c.codec, config)
		got := said(track.Judge())
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %q, want %q", c.file, got, c.want)
		}
	}
}

// TestBounds has each bound of the rules for one track, and one step beyond it.
func TestBounds(t *testing.T) {
	video := av.Track{Kind: av.Video, Codec: av.H264}
	for name, c := range map[string]struct {
		track Track
		want  string
	}{
		"4.1 s":               {Track{KeyGap: 4100 * time.Millisecond}, ""},
		"4.101 s":             {Track{KeyGap: 4101 * time.Millisecond}, KindKeyFrames},
		"75 %":                {Track{Frames: 10, FrameRate: 45, DeclaredFrameRate: 60}, ""},
		"less than 75 %":      {Track{Frames: 10, FrameRate: 44.9, DeclaredFrameRate: 60}, KindFrameRate},
		"too few frames":      {Track{Frames: 9, FrameRate: 44.9, DeclaredFrameRate: 60}, ""},
		"250 declared":        {Track{Frames: 10, FrameRate: 60, DeclaredFrameRate: 250}, KindFrameRate},
		"251 declared":        {Track{Frames: 10, FrameRate: 60, DeclaredFrameRate: 251}, ""},
		"150 %":               {Track{Bitrate: 9e6, DeclaredBitrate: 6e6}, ""},
		"more than 150 %":     {Track{Bitrate: 9e6 + 1, DeclaredBitrate: 6e6}, KindBitrate},
		"50 %":                {Track{Bitrate: 3e6, DeclaredBitrate: 6e6}, ""},
		"less than 50 %":      {Track{Bitrate: 3e6 - 1, DeclaredBitrate: 6e6}, KindLowBitrate},
		"64 kbit/s":           {Track{Bitrate: 1e6, DeclaredBitrate: 64000}, KindBitrate},
		"below 64 kbit/s":     {Track{Bitrate: 1e6, DeclaredBitrate: 63999}, ""},
		"nothing is known":    {Track{}, ""},
		"no bitrate is known": {Track{DeclaredBitrate: 6e6}, ""},
	} {
		c.track.Info = video
		got := ""
		for _, f := range c.track.Judge() {
			got += f.Kind
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// What few can decode, and what is near to it. What Sampling finds of real configurations is in TestSampling.
	for name, c := range map[string]struct {
		codec av.Codec
		track Track
		want  string
	}{
		"4:2:0, 8 bits":           {av.H264, Track{BitDepth: 8}, ""},
		"4:2:0, 9 bits":           {av.H264, Track{BitDepth: 9}, KindBitDepth},
		"4:2:0, 10 bits of H.265": {av.H265, Track{BitDepth: 10}, ""},
		"4:2:0, 10 bits of AV1":   {av.AV1, Track{BitDepth: 10}, ""},
		"4:2:2, 8 bits":           {av.H264, Track{Chroma: "4:2:2", BitDepth: 8}, KindChroma},
		"4:2:2, 10 bits":          {av.H264, Track{Chroma: "4:2:2", BitDepth: 10}, KindChroma}, // one of the two is enough
		"a header that is bad":    {av.H264, Track{BadHeader: "cut short"}, KindBadHeader},
		"no header":               {av.H264, Track{NoHeader: true}, KindNoHeader},
		"a header that is good":   {av.H264, Track{}, ""},
	} {
		c.track.Info = av.Track{Kind: av.Video, Codec: c.codec}
		got := ""
		for _, f := range c.track.Judge() {
			got += f.Kind
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		stream Stream
		want   string
	}{
		"2 s":              {Stream{Silence: 2 * time.Second}, KindStalled},
		"less than 2 s":    {Stream{Silence: 2*time.Second - 1}, ""},
		"85 %":             {Stream{Speed: 0.85, SpeedOver: 20 * time.Second}, ""},
		"less than 85 %":   {Stream{Speed: 0.849, SpeedOver: 20 * time.Second}, KindBehind},
		"100 ms":           {Stream{Begin: -100 * time.Millisecond}, ""},
		"101 ms":           {Stream{Begin: -101 * time.Millisecond}, KindOffset},
		"1 s":              {Stream{Lead: -time.Second}, ""},
		"more than 1 s":    {Stream{Lead: -time.Second - 1}, KindOffset},
		"a slow track":     {Stream{Quiet: []Quiet{{For: 6 * time.Second, Step: 2 * time.Second}}}, ""},
		"a track of 1.5 s": {Stream{Quiet: []Quiet{{For: 6 * time.Second, Step: 1500 * time.Millisecond}}}, KindSilentTrack},
	} {
		got := ""
		for _, f := range c.stream.Judge() {
			got += f.Kind
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
