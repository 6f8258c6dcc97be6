package m3u8

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var multivariantCases = []struct {
	name string
	text string
	want Multivariant
}{
	{
		"one variant", `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=2600000,AVERAGE-BANDWIDTH=2500000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.97,CLOSED-CAPTIONS=NONE
main.m3u8?v=1
`,
		Multivariant{Version: 6, IndependentSegments: true, Variants: []Variant{{
			URI: "main.m3u8?v=1", Bandwidth: 2600000, AverageBandwidth: 2500000, Codecs: "avc1.64001f,mp4a.40.2",
			Width: 1280, Height: 720, FrameRate: 29.97, ClosedCaptions: "NONE",
		}}},
	},
	{
		"groups", `#EXTM3U
#EXT-X-START:TIME-OFFSET=1.5
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",ASSOC-LANGUAGE="gsw",CHARACTERISTICS="public.easy-to-read",CHANNELS="6",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",FORCED=YES,URI="s.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="English",INSTREAM-ID="CC1"
#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v",NAME="Main"
#EXT-X-STREAM-INF:BANDWIDTH=1,SCORE=1.5,CODECS="hvc1.1.6.L93.B0,mp4a.40.2",RESOLUTION=16x16,FRAME-RATE=50,VIDEO-RANGE=PQ,HDCP-LEVEL=TYPE-0,AUDIO="a",VIDEO="v",SUBTITLES="s",CLOSED-CAPTIONS="c"
v.m3u8
`,
		Multivariant{
			Start: &Start{Offset: 1500 * time.Millisecond},
			Renditions: []Rendition{
				{Type: TypeAudio, GroupID: "a", Name: "English", Language: "en", Default: true, Autoselect: true, Channels: "2", URI: "en.m3u8"},
				{Type: TypeAudio, GroupID: "a", Name: "Deutsch", Language: "de", AssocLanguage: "gsw", Characteristics: "public.easy-to-read", Channels: "6", URI: "de.m3u8"},
				{Type: TypeSubtitles, GroupID: "s", Name: "English", Forced: true, URI: "s.m3u8"},
				{Type: TypeClosedCaptions, GroupID: "c", Name: "English", InstreamID: "CC1"},
				{Type: TypeVideo, GroupID: "v", Name: "Main"},
			},
			Variants: []Variant{{
				URI: "v.m3u8", Bandwidth: 1, Score: 1.5, Codecs: "hvc1.1.6.L93.B0,mp4a.40.2", Width: 16, Height: 16, FrameRate: 50,
				VideoRange: "PQ", HDCPLevel: "TYPE-0", Audio: "a", Video: "v", Subtitles: "s", ClosedCaptions: "c",
			}},
		},
	},
}

func TestMultivariantBothWays(t *testing.T) {
	for _, c := range multivariantCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseMultivariant([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&c.want, got); d != "" {
				t.Error("parsed:", d)
			}
			if d := cmp.Diff(c.text, string(c.want.Append(nil))); d != "" {
				t.Error("written:", d)
			}
			if err := got.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMultivariantErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"#EXTM3U\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"a\"\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=4294967296\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=1x\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=0x1\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,FRAME-RATE=1e9\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,FRAME-RATE=1.1.1\na\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"\",NAME=\"\"\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-VERSION:6\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-VERSION:0\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-TARGETDURATION:2\n", ErrKind},
	} {
		if _, err := ParseMultivariant([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.text, err, c.want)
		}
	}
}

func TestMultivariantRules(t *testing.T) {
	for _, c := range []struct {
		change func(p *Multivariant)
		want   string
	}{
		{func(p *Multivariant) { p.Variants = nil }, "no variants"},
		{func(p *Multivariant) { p.Variants[0].Bandwidth = 0; p.Variants[0].AverageBandwidth = 0 }, "no bandwidth"},
		{func(p *Multivariant) { p.Variants[0].AverageBandwidth = 2 }, "more than its peak"},
		{func(p *Multivariant) { p.Variants[0].Codecs = "" }, "codecs"},
		{func(p *Multivariant) { p.Variants[0].Codecs = "hev1.1" }, "Apple 1.10"},
		{func(p *Multivariant) { p.Variants[0].Codecs = "hvc1.1, mp4a" }, "white space"},
		{func(p *Multivariant) { p.Variants[0].Width = 0 }, "resolution"},
		{func(p *Multivariant) { p.Variants[0].FrameRate = 0 }, "frame rate"},
		{func(p *Multivariant) { p.Variants[0].Audio = "z" }, "not there"},
		{func(p *Multivariant) { p.Variants[0].URI = "" }, "without URI"},
		{func(p *Multivariant) { p.Variants = append(p.Variants, p.Variants[0]) }, "twice"},
		{func(p *Multivariant) { p.Renditions[1].Name = "English" }, "are called"},
		{func(p *Multivariant) { p.Renditions[1].Default = true }, "two defaults"},
		{func(p *Multivariant) { p.Renditions[0].Autoselect = false }, "selected automatically"},
		{func(p *Multivariant) { p.Renditions[0].Channels = "" }, "channels"},
		{func(p *Multivariant) { p.Renditions[2].URI = "" }, "no URI"},
		{func(p *Multivariant) { p.Renditions[3].InstreamID = "" }, "INSTREAM-ID"},
		{func(p *Multivariant) { p.Renditions[4].Type = "TEXT" }, "type"},
		{func(p *Multivariant) { p.Renditions[0].Forced = true }, "forced"},
	} {
		p, err := ParseMultivariant([]byte(multivariantCases[1].text))
		if err != nil {
			t.Fatal(err)
		}
		c.change(p)
		if err := p.Validate(); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func FuzzMultivariant(f *testing.F) {
	for _, c := range multivariantCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseMultivariant(b)
		if err != nil {
			return
		}
		_ = p.Validate()
		text := p.Append(nil)
		again, err := ParseMultivariant(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if next := again.Append(nil); !bytes.Equal(text, next) {
			t.Fatal(cmp.Diff(string(text), string(next)))
		}
	})
}

func BenchmarkMultivariant(b *testing.B) {
	text := []byte(multivariantCases[1].text)
	b.ReportAllocs()
	for b.Loop() {
		p, err := ParseMultivariant(text)
		if err != nil {
			b.Fatal(err)
		}
		text = p.Append(text[:0])
	}
}
