package m3u8

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// plenty is a window that all of a test's playlists fit into.
const plenty = 1 << 20

// TestReadIsParse: what fits into the window is read as a whole, of both kinds, and but for what is left out is what ParseMedia and
// ParseMultivariant read.
func TestReadIsParse(t *testing.T) {
	for _, c := range mediaCases {
		want, err := ParseMedia([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		want.DateRanges, want.PreloadHints, want.RenditionReports = nil, nil, nil
		for i := range want.Segments {
			want.Segments[i].Title, want.Segments[i].Parts = "", nil
		}
		got, err := Read(iotest.OneByteReader(strings.NewReader(c.text)), Window{Size: plenty})
		if err != nil {
			t.Errorf("%v\n%s", err, c.text)
			continue
		}
		if d := cmp.Diff(&Playlist{Media: want}, got); d != "" {
			t.Error(d)
		}
	}
	const multi = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"a\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"g\"\nb\n"
	want, err := ParseMultivariant([]byte(multi))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(strings.NewReader(multi), Window{Size: plenty})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&Playlist{Multivariant: want}, got); d != "" {
		t.Error(d)
	}
}

// TestReadFails: each of the errors, with its line.
func TestReadFails(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
	long := func(n int) string { return head + "#EXTINF:1,\n" + strings.Repeat("u", n) + "\n" }
	for name, c := range map[string]struct {
		text string
		want error
		says string
	}{
		"nothing":               {"", ErrSyntax, "it is empty"},
		"another text":          {"<html>", ErrSyntax, "does not begin with #EXTM3U"},
		"no kind":               {"#EXTM3U\n", ErrSyntax, "no EXT-X-TARGETDURATION"},
		"a tag of media":        {head + "#EXTINF:x,\na\n", ErrSyntax, "line 3: EXTINF"},
		"a tag of multivariant": {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x\na\n", ErrSyntax, "line 2: EXT-X-STREAM-INF"},
		"both kinds":            {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:1,\nb\n", ErrKind, "line 4"},
		"both, the other way":   {head + "#EXTINF:1,\nb\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", ErrKind, "EXT-X-TARGETDURATION"},
		"no URI at the end":     {head + "#EXTINF:1,\n", ErrSyntax, "has no URI"},
		"no variant's URI":      {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", ErrSyntax, "without a URI"},
		"not UTF-8":             {head + "#EXTINF:1,\n\xff\n", ErrSyntax, "not UTF-8"},
		"encrypted":             {head + "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n", ErrEncrypted, "line 3"},
		"the longest line":      {long(8192), nil, ""},
		"a longer one":          {long(8193), ErrTooLong, "line 4 has over 8192 bytes"},
		"a line without end":    {head + "#" + strings.Repeat("x", 2*MaxLine), ErrTooLong, "line 3"},
		"too much":              {head + strings.Repeat("#EXTINF:1,\ns\n", 4<<20/13), ErrTooLong, ""},
		"variants without end":  {"#EXTM3U\n" + strings.Repeat("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", plenty/300), ErrTooLong, "more variants"},
		"renditions":            {"#EXTM3U\n" + strings.Repeat("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"a\"\n", plenty/160), ErrTooLong, "more variants and renditions"},
	} {
		_, err := Read(strings.NewReader(c.text), Window{Size: plenty})
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v, %q", name, err, c.want, c.says)
		}
	}
	broken := errors.New("broken")
	if _, err := Read(io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken)), Window{Size: plenty}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestReadWindow: of a longer playlist the last segments are kept, or the first ones from a number on if it has ended; what held for those that were left
// out holds for them.
func TestReadWindow(t *testing.T) {
	var text strings.Builder
	text.WriteString("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXT-X-MAP:URI=\"i1\"\n")
	for i := range 20 {
		switch i {
		case 3, 18:
			text.WriteString("#EXT-X-DISCONTINUITY\n")
		case 5:
			text.WriteString("#EXT-X-KEY:METHOD=AES-128,URI=\"k2\"\n")
		}
		fmt.Fprintf(&text, "#EXTINF:0.5,a title\n#EXT-X-BYTERANGE:%d\nall\n", 10+i)
	}
	offset := func(i int) (sum int64) {
		for j := range i {
			sum += int64(10 + j)
		}
		return sum
	}
	const live, ended = "", "#EXT-X-ENDLIST\n"
	for name, c := range map[string]struct {
		end   string
		from  uint64
		first uint64
		n     int
		disc  uint64
		key   string
		init  string // the key of the initialization, if it is another one
		more  bool
	}{
		"live":                  {live, 0, 117, 3, 8, "k2", "k1", false},
		"live, from elsewhere":  {live, 104, 117, 3, 8, "k2", "k1", false},
		"ended":                 {ended, 0, 100, 2, 7, "k1", "", true},
		"ended, from its first": {ended, 100, 100, 2, 7, "k1", "", true},
		"ended, from within":    {ended, 102, 102, 2, 7, "k1", "k1", true},
		"behind a cut":          {ended, 104, 104, 2, 8, "k1", "k1", true},
		"at the new key":        {ended, 105, 105, 3, 8, "k2", "k1", true},
		"near the end":          {ended, 118, 118, 2, 8, "k2", "k1", false},
		"the last one":          {ended, 119, 119, 1, 9, "k2", "k1", false},
		"behind the end":        {ended, 120, 119, 1, 9, "k2", "k1", false},
		"far behind it":         {ended, 121, 117, 3, 8, "k2", "k1", false},
	} {
		p, err := Read(strings.NewReader(text.String()+c.end), Window{Size: 3*(segmentSize+3) + 3*(segmentSize+2), From: c.from})
		if err != nil {
			t.Fatal(err)
		}
		m := p.Media
		// A window holds five or six records: a segment, and its key and initialization where they are told.
		if m.MediaSequence != c.first || m.DiscontinuitySequence != c.disc || len(m.Segments) == 0 || p.More != c.more || m.EndList != (c.end != "") {
			t.Errorf("%s: from %d, %d segments, %d discontinuities, more: %v", name, m.MediaSequence, len(m.Segments), m.DiscontinuitySequence, p.More)
			continue
		}
		s := m.Segments[0]
		if want := (ByteRange{int64(10 + c.first - 100), offset(int(c.first - 100))}); s.Range != want && s.Range != (ByteRange{10, -1}) {
			t.Errorf("%s: the range %v, want %v", name, s.Range, want)
		}
		if s.Key == nil || s.Key.URI != c.key || s.Map == nil || s.Map.URI != "i1" || s.Title != "" {
			t.Errorf("%s: %+v", name, s)
		} else if k := s.Map.Key; (k == nil) != (c.init == "") || k != nil && k.URI != c.init {
			t.Errorf("%s: the initialization has the key %+v, want %q", name, k, c.init)
		}
		if c.n > 0 && len(m.Segments) < c.n {
			t.Errorf("%s: only %d segments", name, len(m.Segments))
		}
	}
}

// TestReadOneSegment: one segment is kept, however small the window is.
func TestReadOneSegment(t *testing.T) {
	for _, end := range []string{"", "#EXT-X-ENDLIST\n"} {
		p, err := Read(strings.NewReader("#EXTM3U\n#EXT-X-TARGETDURATION:1\n"+strings.Repeat("#EXTINF:1,\ns\n", 9)+end), Window{Size: 1, From: 4})
		if err != nil || len(p.Media.Segments) != 1 || p.Media.MediaSequence != map[string]uint64{"": 8, "#EXT-X-ENDLIST\n": 4}[end] || p.More != (end != "") {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

// TestReadMemory: ten of the longest playlists, of whatever they are long, take some megabytes together.
func TestReadMemory(t *testing.T) {
	const size, sources = 256 << 10, 10
	fill := func(head, line string) []byte {
		return append([]byte(head), bytes.Repeat([]byte(line), (MaxSize-len(head))/len(line))...)
	}
	const media = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
	texts := map[string][]byte{
		"segments": fill(media, "#EXTINF:1,\ns\n"),
		"URIs":     fill(media, "#EXTINF:1,"+strings.Repeat("t", 8000)+"\n"+strings.Repeat("u", 8000)+"\n"),
		"maps":     fill(media, "#EXT-X-MAP:URI=\"i\",X=\""+strings.Repeat("x", 8000)+"\"\n#EXTINF:1,\ns\n"),
		"keys":     fill(media, "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",X=\""+strings.Repeat("x", 8000)+"\"\n#EXTINF:1,\ns\n"),
		"parts":    fill(media, "#EXT-X-PART:DURATION=1,URI=\"p\"\n"),
		"dates":    fill(media, "#EXT-X-DATERANGE:ID=\"x\",START-DATE=\"2020-01-01T00:00:00Z\"\n"),
	}
	heap := func() (now, ever uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.TotalAlloc
	}
	for name, text := range texts {
		before, everBefore := heap()
		var kept [sources]*Playlist
		for i := range kept {
			var err error
			if kept[i], err = Read(bytes.NewReader(text), Window{Size: size}); err != nil {
				t.Fatal(name, err)
			}
		}
		after, ever := heap()
		runtime.KeepAlive(kept)
		if took := int64(after) - int64(before); took > sources*size*3/2 {
			t.Errorf("%s: %d sources take %d bytes", name, sources, took)
		}
		if took := (ever - everBefore) / sources; took > 4*MaxSize {
			t.Errorf("%s: reading it takes %d bytes for a moment", name, took)
		}
	}
}

func BenchmarkReadLongest(b *testing.B) {
	text := append([]byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n"), bytes.Repeat([]byte("#EXTINF:1,\ns\n"), MaxSize/13-3)...)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Read(bytes.NewReader(text), Window{Size: 256 << 10}); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range mediaCases {
		f.Add([]byte(c.text), 300, uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, size int, from uint64) {
		p, err := Read(bytes.NewReader(b), Window{Size: size, From: from})
		whole, bad := ParseMedia(b)
		if err != nil || bad != nil || p.Media == nil {
			return
		}
		if end := p.Media.MediaSequence + uint64(len(p.Media.Segments)); !p.More && end != whole.MediaSequence+uint64(len(whole.Segments)) {
			t.Fatalf("it ends at %d, not at %d + %d", end, whole.MediaSequence, len(whole.Segments))
		}
	})
}
