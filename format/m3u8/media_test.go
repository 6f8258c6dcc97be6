package m3u8

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func seconds(s float64) *time.Duration {
	d := time.Duration(s * float64(time.Second))
	return &d
}

// mediaCases drive both ways: text is what Append writes and ParseMedia reads.
var mediaCases = []struct {
	name string
	text string
	want Media
}{
	{
		"live TS", `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:8
#EXT-X-MEDIA-SEQUENCE:2680
#EXTINF:7.975,
fileSequence2680.ts
#EXTINF:7.941,with a title, and a comma
fileSequence2681.ts
`,
		Media{Version: 3, TargetDuration: 8, MediaSequence: 2680, Segments: []Segment{
			{Duration: 7975 * time.Millisecond, URI: "fileSequence2680.ts"},
			{Duration: 7941 * time.Millisecond, URI: "fileSequence2681.ts", Title: "with a title, and a comma"},
		}},
	},
	{
		"on demand with byte ranges", `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:10
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-I-FRAMES-ONLY
#EXT-X-START:TIME-OFFSET=-3.5,PRECISE=YES
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:7
#EXT-X-MAP:URI="a.mp4",BYTERANGE="600@0"
#EXT-X-BITRATE:800
#EXTINF:9.0,
#EXT-X-BYTERANGE:1000@600
a.mp4
#EXT-X-GAP
#EXTINF:10.0,
#EXT-X-BYTERANGE:1200
a.mp4
#EXT-X-ENDLIST
`,
		Media{
			Version: 4, IndependentSegments: true, TargetDuration: 10, Type: "VOD", IFramesOnly: true, EndList: true,
			Start: &Start{-3500 * time.Millisecond, true}, DiscontinuitySequence: 7,
			Segments: []Segment{
				{Duration: 9 * time.Second, URI: "a.mp4", Range: ByteRange{1000, 600}, Map: &Map{URI: "a.mp4", Range: ByteRange{600, 0}}, Bitrate: 800},
				{Duration: 10 * time.Second, URI: "a.mp4", Range: ByteRange{1200, -1}, Gap: true},
			},
		},
	},
	{
		"low latency", `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,CAN-SKIP-DATERANGES=YES,HOLD-BACK=6.0,PART-HOLD-BACK=0.6
#EXT-X-PART-INF:PART-TARGET=0.2
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-DATERANGE:ID="splice-6FFFFFF0",CLASS="ad",START-DATE="2026-03-01T12:00:00.000Z",END-DATE="2026-03-01T12:00:30.000Z",DURATION=30.0,PLANNED-DURATION=29.5,X-COM="a \b",X-N=0x0F,SCTE35-CMD=0xFC,SCTE35-OUT=0xFC002F,SCTE35-IN=0xFC01
#EXT-X-DATERANGE:ID="b",CLASS="c",START-DATE="2026-03-01T12:00:00.000000001Z",END-ON-NEXT=YES
#EXT-X-MAP:URI="init1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.000Z
#EXT-X-PART:DURATION=0.2,URI="266.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.18,URI="266.1.m4s"
#EXTINF:0.38,
266.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.380Z
#EXT-X-PART:DURATION=0.2,URI="267.m4s",BYTERANGE="500@0",INDEPENDENT=YES,GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="267.m4s",BYTERANGE-START=500,BYTERANGE-LENGTH=20
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="init3.mp4"
#EXT-X-RENDITION-REPORT:URI="../b/x.m3u8",LAST-MSN=267,LAST-PART=0
#EXT-X-RENDITION-REPORT:URI="../c/x.m3u8",LAST-MSN=266
`,
		Media{
			Version: 6, IndependentSegments: true, TargetDuration: 2, MediaSequence: 266, PartTarget: 200 * time.Millisecond,
			ServerControl: &ServerControl{true, 12 * time.Second, true, 6 * time.Second, 600 * time.Millisecond},
			DateRanges: []DateRange{
				{
					ID: "splice-6FFFFFF0", Class: "ad", StartDate: noon, EndDate: noon.Add(30 * time.Second),
					Duration: seconds(30), PlannedDuration: seconds(29.5), Extra: []Attribute{{"X-COM", `"a \b"`}, {"X-N", "0x0F"}},
					SCTE35Cmd: []byte{0xfc}, SCTE35Out: []byte{0xfc, 0, 0x2f}, SCTE35In: []byte{0xfc, 1},
				},
				{ID: "b", Class: "c", StartDate: noon.Add(1), EndOnNext: true},
			},
			Segments: []Segment{
				{
					Duration: 380 * time.Millisecond, URI: "266.m4s", Map: &Map{URI: "init1.mp4"}, ProgramDateTime: noon,
					Parts: []Part{{Duration: 200 * time.Millisecond, URI: "266.0.m4s", Independent: true}, {Duration: 180 * time.Millisecond, URI: "266.1.m4s"}},
				},
				{
					Discontinuity: true, Map: &Map{URI: "init2.mp4"}, ProgramDateTime: noon.Add(380 * time.Millisecond),
					Parts: []Part{{Duration: 200 * time.Millisecond, URI: "267.m4s", Range: ByteRange{500, 0}, Independent: true, Gap: true}},
				},
			},
			PreloadHints:     []PreloadHint{{HintPart, "267.m4s", 500, 20}, {Type: HintMap, URI: "init3.mp4"}},
			RenditionReports: []RenditionReport{{"../b/x.m3u8", 267, 0}, {"../c/x.m3u8", 266, -1}},
		},
	},
	{
		"encrypted", `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-KEY:METHOD=AES-128,URI="k1",IV=0x00112233445566778899AABBCCDDEEFF
#EXT-X-MAP:URI="init"
#EXTINF:4.0,
1.mp4
#EXT-X-KEY:METHOD=AES-128,URI="k2"
#EXTINF:4.0,
2.mp4
#EXT-X-KEY:METHOD=NONE
#EXTINF:4.0,
3.mp4
`,
		Media{
			Version: 6, TargetDuration: 4, MediaSequence: 1,
			Segments: []Segment{
				{
					Duration: 4 * time.Second, URI: "1.mp4", Map: &Map{URI: "init"},
					Key: &Key{Method: MethodAES128, URI: "k1", IV: []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")},
				},
				{Duration: 4 * time.Second, URI: "2.mp4", Key: &Key{Method: MethodAES128, URI: "k2"}},
				{Duration: 4 * time.Second, URI: "3.mp4", Key: &Key{Method: MethodNone}},
			},
		},
	},
	{
		"delta update", `#EXTM3U
#EXT-X-VERSION:10
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=24.0
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-SKIP:SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="a` + "\t" + `b"
#EXTINF:4.00008,
8.ts
`,
		Media{
			Version: 10, TargetDuration: 4, MediaSequence: 5, ServerControl: &ServerControl{CanSkipUntil: 24 * time.Second},
			Skip:     &Skip{3, []string{"a", "b"}},
			Segments: []Segment{{Duration: 4000080 * time.Microsecond, URI: "8.ts"}},
		},
	},
}

func TestMediaBothWays(t *testing.T) {
	for _, c := range mediaCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseMedia([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&c.want, got); d != "" {
				t.Error("parsed:", d)
			}
			if d := cmp.Diff(c.text, string(c.want.Append(nil))); d != "" {
				t.Error("written:", d)
			}
			crlf, err := ParseMedia([]byte(strings.ReplaceAll(c.text, "\n", "\r\n") + "\r\n#comment\r\n#EXT-X-NEW-TAG:1\r\n"))
			if err != nil || !cmp.Equal(got, crlf) {
				t.Error("with other line ends:", err)
			}
		})
	}
}

// TestPrefixes: no prefix of a playlist makes the parsers panic, and those that end within
// a line are either refused or end with a URI that is cut.
func TestPrefixes(t *testing.T) {
	for _, c := range mediaCases {
		for n := range len(c.text) {
			if p, err := ParseMedia([]byte(c.text[:n])); err == nil {
				_ = p.Validate()
				_, _ = ParseMedia(p.Append(nil))
			} else if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrKind) && !errors.Is(err, ErrEncrypted) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
	}
	for _, c := range multivariantCases {
		for n := range len(c.text) {
			if _, err := ParseMultivariant([]byte(c.text[:n])); err != nil && !errors.Is(err, ErrSyntax) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
	}
}

func TestMediaErrors(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
	for _, c := range []struct {
		text string
		want error
	}{
		{"", ErrSyntax},
		{"#EXTM3U8\n", ErrSyntax},
		{"\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:2\n", ErrSyntax},
		{"#EXTM3U\n", ErrSyntax}, // no target duration
		{"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", ErrKind},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n", ErrEncrypted},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n", ErrEncrypted},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x0011\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=00112233445566778899AABBCCDDEEFF\n", ErrSyntax},
		{"#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x00112233445566778899AABBCCDDEEFF00\n", ErrSyntax},
		{strings.Repeat("x", 4<<20+1), ErrTooLong},
		{head + "a.ts\n", ErrSyntax},
		{head + "#EXTINF:1,\n", ErrSyntax},
		{head + "#EXTINF:1,\n#EXTINF:1,\na.ts\n", ErrSyntax},
		{head + "#EXTINF:1\na.ts\n", ErrSyntax},
		{head + "#EXTINF:-1,\na.ts\n", ErrSyntax},
		{head + "#EXTINF:1.,\na.ts\n", ErrSyntax},
		{head + "#EXTINF:1e3,\na.ts\n", ErrSyntax},
		{head + "#EXTINF:99999999999,\na.ts\n", ErrSyntax},
		{head + "#EXTINF:1,\n a.ts\n", ErrSyntax},
		{head + "#EXTINF:1,\na\x00.ts\n", ErrSyntax},
		{head + "#EXTINF:1,\na\xff.ts\n", ErrSyntax},
		{head + "#EXTINF:1,\n#EXT-X-BYTERANGE:0@0\na\n", ErrSyntax},
		{head + "#EXTINF:1,\n#EXT-X-BYTERANGE:9223372036854775807@9\na\n", ErrSyntax},
		{head + head, ErrSyntax},
		{head + "#EXT-X-TARGETDURATION:2\n", ErrSyntax},
		{head + "#EXTINF:1,\na.ts\n#EXT-X-MEDIA-SEQUENCE:1\n", ErrSyntax},
		{head + "#EXT-X-MEDIA-SEQUENCE:18446744073709551616\n", ErrSyntax},
		{head + "#EXT-X-MEDIA-SEQUENCE:-1\n", ErrSyntax},
		{head + "#EXT-X-MEDIA-SEQUENCE:+1\n", ErrSyntax},
		{head + "#EXT-X-PLAYLIST-TYPE:LIVE\n", ErrSyntax},
		{head + "#EXT-X-PART:DURATION=1\n", ErrSyntax},
		{head + "#EXT-X-PART:URI=\"a\",URI=\"a\"\n", ErrSyntax},
		{head + "#EXT-X-PART:DURATION=1,URI=a\n", ErrSyntax},
		{head + "#EXT-X-PART:DURATION=1,URI=\"a\n", ErrSyntax},
		{head + "#EXT-X-PART:DURATION=1,URI=\"a\",\n", ErrSyntax},
		{head + "#EXT-X-PART:DURATION=1,URI=\"a\",INDEPENDENT=MAYBE\n", ErrSyntax},
		{head + "#EXT-X-PART:=1\n", ErrSyntax},
		{head + "#EXT-X-PART-INF:PART-TARGET=0\n", ErrSyntax},
		{head + "#EXT-X-MAP:URI=\"\"\n", ErrSyntax},
		{head + "#EXT-X-BITRATE:0\n", ErrSyntax},
		{head + "#EXT-X-PROGRAM-DATE-TIME:yesterday\n", ErrSyntax},
		{head + "#EXT-X-PROGRAM-DATE-TIME:0000-01-01T00:00:00Z\n", ErrSyntax},
		{head + "#EXT-X-DATERANGE:ID=\"a\"\n", ErrSyntax},
		{head + "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-03-01T12:00:00Z\",SCTE35-OUT=FC\n", ErrSyntax},
		{head + "#EXT-X-START:PRECISE=YES\n", ErrSyntax},
		{head + "#EXT-X-SKIP:SKIPPED-SEGMENTS=4294967296\n", ErrSyntax},
		{head + "#EXT-X-PRELOAD-HINT:TYPE=PART\n", ErrSyntax},
		{head + "#EXT-X-RENDITION-REPORT:URI=\"a\"\n", ErrSyntax},
	} {
		if _, err := ParseMedia([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%.80q: %v, want %v", c.text, err, c.want)
		}
	}
}

func TestTextCannotBreakOut(t *testing.T) {
	p := Media{TargetDuration: 1, Segments: []Segment{{
		Duration: time.Second, URI: "a\n#EXT-X-ENDLIST", Title: "x\r\ny",
		Map: &Map{URI: `m",BYTERANGE="1@1`},
	}}}
	got, err := ParseMedia(p.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.EndList || got.Segments[0].Map.Range.Length != 0 || len(got.Segments) != 1 {
		t.Errorf("%s", p.Append(nil))
	}
}

func TestDelta(t *testing.T) {
	p := Media{
		Version: 7, TargetDuration: 2, MediaSequence: 10,
		ServerControl: &ServerControl{CanSkipUntil: 12 * time.Second, CanSkipDateRanges: true},
	}
	for i := range 10 {
		s := Segment{Duration: 2 * time.Second, URI: fmt.Sprint(i, ".m4s"), ProgramDateTime: noon.Add(time.Duration(2*i) * time.Second)}
		if i == 0 {
			s.Map = &Map{URI: "init.mp4"}
		}
		p.Segments = append(p.Segments, s)
	}
	p.DateRanges = []DateRange{{ID: "old", StartDate: noon}, {ID: "new", StartDate: noon.Add(15 * time.Second)}}
	d, ok := p.Delta(false)
	if !ok || d.Skip.Segments != 4 || d.Version != 9 || len(d.Segments) != 6 || len(d.DateRanges) != 2 || d.Validate() != nil {
		t.Errorf("%v %s%v", ok, d.Append(nil), d.Validate())
	}
	if d, ok = p.Delta(true); !ok || d.Version != 10 || len(d.DateRanges) != 1 || d.DateRanges[0].ID != "new" || d.Validate() != nil {
		t.Errorf("%v %s%v", ok, d.Append(nil), d.Validate())
	}
	parsed, err := ParseMedia(d.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := parsed.Complete(&p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&p, whole, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Version" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if _, err = parsed.Complete(nil); !errors.Is(err, ErrDelta) {
		t.Error(err)
	}
	late := *parsed
	late.MediaSequence = 18
	if _, err = late.Complete(&p); !errors.Is(err, ErrDelta) {
		t.Error(err)
	}
	short := p
	short.Segments = p.Segments[4:]
	if _, ok = short.Delta(true); ok {
		t.Error("a short playlist has nothing to leave out")
	}
	if _, ok = d.Delta(true); ok {
		t.Error("a delta of a delta")
	}
}

func TestHostileSizeIsBounded(t *testing.T) {
	text := []byte("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SKIP:SKIPPED-SEGMENTS=2147483647\n#EXTINF:1,\na\n")
	if n := testing.AllocsPerRun(10, func() {
		p, err := ParseMedia(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.Complete(p); err == nil {
			t.Fatal("completed")
		}
	}); n > 60 {
		t.Errorf("%v allocations", n)
	}
	if _, err := ParseMedia([]byte("#EXTM3U\n#EXT-X-MAP:" + strings.Repeat("A=1,", 100) + "B=1\n")); !errors.Is(err, ErrSyntax) {
		t.Error(err)
	}
}

func FuzzMedia(f *testing.F) {
	for _, c := range mediaCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseMedia(b)
		if err != nil {
			return
		}
		_ = p.Validate()
		_ = ValidateUpdate(p, p)
		p.Delta(true)
		text := p.Append(nil)
		again, err := ParseMedia(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if next := again.Append(nil); !bytes.Equal(text, next) {
			t.Fatal(cmp.Diff(string(text), string(next)))
		}
	})
}

// lowLatencyPlaylist is as long as a live one usually is.
func lowLatencyPlaylist() *Media {
	p := mediaCases[2].want
	p.Segments = nil
	for i := range 7 {
		s := Segment{Duration: 2 * time.Second, URI: fmt.Sprintf("k3J9sd/%d.m4s", i), ProgramDateTime: noon.Add(time.Duration(i) * 2 * time.Second)}
		for j := range 10 {
			if i > 3 {
				s.Parts = append(s.Parts, Part{Duration: 200 * time.Millisecond, URI: fmt.Sprintf("k3J9sd/%d.%d.m4s", i, j), Independent: j == 0})
			}
		}
		p.Segments = append(p.Segments, s)
	}
	p.Segments[0].Map = &Map{URI: "init1.mp4"}
	return &p
}

func BenchmarkMediaAppend(b *testing.B) {
	p := lowLatencyPlaylist()
	buf := p.Append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = p.Append(buf[:0])
	}
}

func BenchmarkParseMedia(b *testing.B) {
	text := lowLatencyPlaylist().Append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParseMedia(text); err != nil {
			b.Fatal(err)
		}
	}
}
