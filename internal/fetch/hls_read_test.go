package fetch

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/m3u8"
	"weir/internal/session"
)

const (
	gap = 200 * time.Millisecond // that a segment of the tests' playlists lasts
	cut = "#EXT-X-DISCONTINUITY"
)

// TestVariant: of a multivariant playlist the variant with the highest bandwidth is read, with the default sound of its group, else the first one; if
// both have sound, that of the second playlist is another track. What comes first by its time comes first.
func TestVariant(t *testing.T) {
	w := &web{t: t, files: map[string][]byte{
		"/master.m3u8": []byte("#EXTM3U\n" +
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="low",NAME="a",URI="low.m3u8"` + "\n" +
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="good",NAME="a",URI="first.m3u8"` + "\n" +
			`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="good",NAME="b",DEFAULT=YES,AUTOSELECT=YES,URI="default.m3u8"` + "\n" +
			`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="good",NAME="c",DEFAULT=YES,AUTOSELECT=YES,URI="words.m3u8"` + "\n" +
			"#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"low\"\nsmall.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3000,AUDIO=\"good\"\nlarge.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2000,AUDIO=\"low\"\nmiddle.m3u8\n"),
		"/large.m3u8":   list(`#EXT-X-MAP:URI="init"`, "a0", "a1"),
		"/default.m3u8": list(`#EXT-X-MAP:URI="init"`, "b0", "b1"),
		"/first.m3u8":   list(`#EXT-X-MAP:URI="init"`, "b0"),
		"/init":         soundInit(t),
		"/a0":           sound(t, 0, gap/2, "a0", "a1"), "/a1": sound(t, gap, gap/2, "a2", "a3"),
		"/b0": sound(t, 50*time.Millisecond, gap/2, "b0", "b1"), "/b1": sound(t, 250*time.Millisecond, gap/2, "b2", "b3"),
	}}
	want := []heard{{0, 0, "a0"}, {1, 50, "b0"}, {0, 100, "a1"}, {1, 150, "b1"}, {0, 200, "a2"}, {1, 250, "b2"}, {0, 300, "a3"}, {1, 350, "b3"}}
	if got := all(t, w.mustOpen("/master.m3u8")); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, not := range []string{"/small.m3u8", "/middle.m3u8", "/low.m3u8", "/first.m3u8", "/words.m3u8"} {
		if slices.Contains(w.asked, not) {
			t.Errorf("%s is asked for", not)
		}
	}
	w.files["/master.m3u8"] = bytes.Replace(w.files["/master.m3u8"], []byte(`NAME="b",DEFAULT=YES,`), []byte(`NAME="b",`), 1)
	w.asked = nil
	if got := all(t, w.mustOpen("/master.m3u8")); len(got) != 6 || !slices.Contains(w.asked, "/first.m3u8") {
		t.Errorf("without a default: %v, %q", got, w.asked)
	}
}

// TestDeadVariants: of variants that cannot be had, or whose sound cannot, the next one is read, and the error is that of the best if none can; no more than
// eight are tried.
func TestDeadVariants(t *testing.T) {
	w := &web{t: t, files: map[string][]byte{
		"/master.m3u8": []byte("#EXTM3U\n" + `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="gone",NAME="a",URI="gone.m3u8"` + "\n" +
			"#EXT-X-STREAM-INF:BANDWIDTH=1000\nok.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=9000\ndead.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3000,AUDIO=\"gone\"\nmute.m3u8\n"),
		"/ok.m3u8": list(`#EXT-X-MAP:URI="init"`, "a0"), "/mute.m3u8": list(`#EXT-X-MAP:URI="init"`, "b0"),
		"/init": soundInit(t), "/a0": sound(t, 0, gap, "a0"), "/b0": sound(t, 0, gap, "b0"),
	}}
	if got, want := all(t, w.mustOpen("/master.m3u8")), []heard{{0, 0, "a0"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if want := []string{"/master.m3u8", "/dead.m3u8", "/mute.m3u8", "/gone.m3u8", "/ok.m3u8"}; !slices.Equal(w.asked[:len(want)], want) {
		t.Errorf("asked for %q, want %q", w.asked, want)
	}
	w.asked = nil
	text := "#EXTM3U\n"
	for i := range 20 {
		text += "#EXT-X-STREAM-INF:BANDWIDTH=" + strconv.Itoa(1000+i) + "\n" + strconv.Itoa(i) + ".m3u8\n"
	}
	w.files["/master.m3u8"] = []byte(text)
	if _, err := w.open("/master.m3u8"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
	if len(w.asked) != 1+maxVariants || w.asked[1] != "/19.m3u8" || w.asked[8] != "/12.m3u8" {
		t.Errorf("asked for %q", w.asked)
	}
}

// TestRangesOfOneFile: segments that are ranges of a file are read by ranges, also from a server that knows none; the offset that a playlist leaves out
// follows from the segments before; and so are initializations.
func TestRangesOfOneFile(t *testing.T) {
	init := soundInit(t)
	parts := [][]byte{init, sound(t, 0, gap, "one"), sound(t, gap, gap, "three"), sound(t, 2*gap, gap, "fives"), sound(t, 3*gap, gap, "seven")}
	at := make([]int, len(parts))
	for i := 1; i < len(parts); i++ {
		at[i] = at[i-1] + len(parts[i-1])
	}
	length := func(i int) string { return "#EXT-X-BYTERANGE:" + strconv.Itoa(len(parts[i])) }
	w := &web{t: t, files: map[string][]byte{"/x.mp4": slices.Concat(parts...), "/x.m3u8": list(
		`#EXT-X-MAP:URI="x.mp4",BYTERANGE="`+strconv.Itoa(len(init))+`@0"`,
		length(1)+"@"+strconv.Itoa(at[1]), "x.mp4", length(2), "x.mp4", length(3), "x.mp4", length(4)+"@"+strconv.Itoa(at[4]), "x.mp4")}}
	want := []heard{{0, 0, "one"}, {0, 200, "three"}, {0, 400, "fives"}, {0, 600, "seven"}}
	asked := []string{"/x.m3u8"}
	for i := range parts {
		asked = append(asked, "/x.mp4 bytes="+strconv.Itoa(at[i])+"-"+strconv.Itoa(at[i]+len(parts[i])-1))
	}
	for _, w.plain = range []bool{false, true} {
		w.asked = nil
		if got := all(t, w.mustOpen("/x.m3u8")); !slices.Equal(got, want) {
			t.Errorf("without ranges %v: %v, want %v", w.plain, got, want)
		}
		if !slices.Equal(w.asked, asked) {
			t.Errorf("asked for %q, want %q", w.asked, asked)
		}
	}
}

// TestTimesOverDiscontinuities: behind a discontinuity the times go on where the frame before ends, which lasts as long as the one before it but a second at
// most, and later by the segments that are missing just there.
func TestTimesOverDiscontinuities(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  []int64 // ms
	}{
		"nothing missing":     {[]string{"a", cut, "far"}, []int64{0, 100, 200, 300}},
		"one before it":       {[]string{"a", "gone", cut, "far"}, []int64{0, 100, 400, 500}},
		"one and a gap":       {[]string{"a", "gone", "#EXT-X-GAP", "b", cut, "far"}, []int64{0, 100, 600, 700}},
		"one long before it":  {[]string{"a", "gone", "c", cut, "far"}, []int64{0, 100, 400, 500, 600, 700}},
		"a picture for long":  {[]string{"slides", cut, "far"}, []int64{0, 5000, 6000, 6100}},
		"two of them":         {[]string{"a", cut, "far", cut, "a"}, []int64{0, 100, 200, 300, 400, 500}},
		"a clock that begins": {[]string{"far", cut, "a"}, []int64{3600000, 3600100, 3600200, 3600300}},
	} {
		w := &web{t: t, files: map[string][]byte{
			"/x.m3u8": list(append([]string{`#EXT-X-MAP:URI="init"`}, c.lines...)...), "/init": soundInit(t),
			"/a": sound(t, 0, gap/2, "1", "2"), "/b": sound(t, gap, gap/2, "3", "4"), "/c": sound(t, 2*gap, gap/2, "5", "6"),
			"/far": sound(t, time.Hour, gap/2, "7", "8"), "/slides": sound(t, 0, 5*time.Second, "9", "10"),
		}}
		var got []int64
		for _, f := range all(t, w.mustOpen("/x.m3u8")) {
			got = append(got, f.ms)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestTimesOfTwoPlaylists: sound in a playlist of its own is moved by as much as the pictures', wherever each of them has its discontinuity.
func TestTimesOfTwoPlaylists(t *testing.T) {
	w := &web{t: t, files: map[string][]byte{
		"/master.m3u8": []byte("#EXTM3U\n" + `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="a",URI="b.m3u8"` + "\n#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"g\"\na.m3u8\n"),
		"/a.m3u8":      list(`#EXT-X-MAP:URI="init"`, "a0", cut, "a1"), "/b.m3u8": list(`#EXT-X-MAP:URI="init"`, "b0", cut, "b1"),
		"/init": soundInit(t), "/a0": sound(t, 0, gap/2, "1", "2"), "/a1": sound(t, time.Hour, gap/2, "3", "4"),
		"/b0": sound(t, 20*time.Millisecond, gap/2, "1", "2"), "/b1": sound(t, time.Hour+30*time.Millisecond, gap/2, "3", "4"),
	}}
	want := []heard{{0, 0, "1"}, {1, 20, "1"}, {0, 100, "2"}, {1, 120, "2"}, {0, 200, "3"}, {1, 230, "3"}, {0, 300, "4"}, {1, 330, "4"}}
	if got := all(t, w.mustOpen("/master.m3u8")); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestDecrypt: each byte of an encrypted segment is what it was, by an initialization vector or by its number; padding that cannot be says that the key is
// another one.
func TestDecrypt(t *testing.T) {
	key, iv := []byte("a key, 16 bytes."), []byte("0123456789abcdef")
	number := binary.BigEndian.AppendUint64(make([]byte, 8, 16), 41)
	w := &web{t: t, files: map[string][]byte{"/key": key, "/x.m3u8": list("#EXT-X-MEDIA-SEQUENCE:41", `#EXT-X-KEY:METHOD=AES-128,URI="key"`, "a")}}
	l := w.mustOpen("/x.m3u8").lists[0]
	for _, c := range []struct {
		text    string
		padding int
		iv      []byte
		good    bool
	}{
		{"", 16, nil, true},
		{"fifteen letters", 1, nil, true},
		{"sixteen letters.", 16, nil, true},
		{"a", 15, iv, true},
		{"sixteen letters.", 0, nil, false},
		{"sixteen letters.", 17, nil, false},
		{"sixteen letters.", 255, iv, false},
	} {
		plain := append([]byte(c.text), bytes.Repeat([]byte{byte(c.padding)}, c.padding)...)
		plain = append(plain, bytes.Repeat([]byte{byte(c.padding)}, (16-len(plain)%16)%16)...)
		if c.padding == 0 {
			plain = append(plain, make([]byte, 16)...)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		vector := number
		if c.iv != nil {
			vector = c.iv
		}
		b := make([]byte, len(plain))
		cipher.NewCBCEncrypter(block, vector).CryptBlocks(b, plain)
		l.media.Segments[0].Key.IV = c.iv
		got, err := l.decrypt(l.media.Segments[0].Key, 41, b)
		if (err == nil) != c.good || err == nil && string(got) != c.text {
			t.Errorf("%q with %d bytes of padding: %q, %v", c.text, c.padding, got, err)
		}
	}
	for _, n := range []int{0, 15, 17} {
		if _, err := l.decrypt(l.keyAt(0), 41, make([]byte, n)); err == nil || !strings.Contains(err.Error(), "not as long as encrypted data is") {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestLargestResources: a segment may have 64 MiB, and its initialization 4 MiB.
func TestLargestResources(t *testing.T) {
	const mib = 1 << 20
	w := &web{t: t, files: map[string][]byte{
		"/a.m3u8": list("a"), "/b.m3u8": list(`#EXT-X-MAP:URI="a"`, "none"), "/c.m3u8": list("#EXT-X-BYTERANGE:67108864@0", "a"), "/d.m3u8": list("#EXT-X-BYTERANGE:67108865@0", "a"),
	}}
	for _, c := range []struct {
		list  string
		size  int
		large bool
	}{
		{"/a.m3u8", 64 * mib, false}, {"/a.m3u8", 64*mib + 1, true}, {"/b.m3u8", 4 * mib, false}, {"/b.m3u8", 4*mib + 1, true}, {"/c.m3u8", 70 * mib, false}, {"/d.m3u8", 70 * mib, true},
	} {
		w.files["/a"] = make([]byte, c.size)
		s := w.mustOpen(c.list)
		_, _ = s.ReadFrame()
		if err := s.lists[0].failure; err == nil || errors.Is(err, errTooLarge) != c.large {
			t.Errorf("%s, %d bytes: %v", c.list, c.size, err)
		}
	}
}

// TestWhereReadingBegins: as far from the end as the playlist says, else three segments; a playlist that has ended is read from its beginning.
func TestWhereReadingBegins(t *testing.T) {
	control := func(d string) string { return "#EXT-X-SERVER-CONTROL:HOLD-BACK=" + d }
	segments := []string{"0", "1", "2", "3", "4", "…"}
	for name, c := range map[string]struct {
		lines []string
		want  int
	}{
		"nothing said": {segments, 2}, "two": {[]string{"0", "1", "…"}, 0}, "0.6 s": {append([]string{control("0.6")}, segments...), 2}, "0.61 s": {append([]string{control("0.61")}, segments...), 1},
		"0.59 s": {append([]string{control("0.59")}, segments...), 2}, "longer than it is": {append([]string{control("9")}, segments...), 0}, "ended": {segments[:5], 0},
	} {
		p, err := m3u8.ParseMedia(list(c.lines...))
		if err != nil {
			t.Fatal(name, err)
		}
		if got := (&hlsList{}).start(p); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestPlaylistThatFailsNowAndThen: three requests in a row that fail are the end of a source, and any that succeeds in between begins the count anew; what is
// asked for is added to the query that the playlist's URL has.
func TestPlaylistThatFailsNowAndThen(t *testing.T) {
	for name, c := range map[string]struct {
		fails string // F for each request that fails, and . for one that succeeds
		ends  bool
	}{"twice": {"FF.", false}, "twice and twice": {"FF.FF.", false}, "four times with others between": {"F.F.F.F.", false}, "three times": {".FFF", true}, "three after two": {"FF.FFF", true}} {
		synctest.Test(t, func(t *testing.T) {
			live := func(n int, more ...string) []byte {
				return list(append([]string{"#EXT-X-MEDIA-SEQUENCE:" + strconv.Itoa(n), `#EXT-X-MAP:URI="init"`}, more...)...)
			}
			w := &web{t: t, files: map[string][]byte{"/x.m3u8": live(7, "a", "…"), "/init": soundInit(t), "/a": sound(t, 0, gap, "1"), "/b": sound(t, gap, gap, "2")}}
			s := w.mustOpen("/x.m3u8?token=t")
			asked := 0
			w.answer = func(r *http.Request) (int, []byte) {
				if r.URL.Path != "/x.m3u8" {
					return 0, nil
				}
				if asked++; asked <= len(c.fails) && c.fails[asked-1] == 'F' {
					return http.StatusBadGateway, nil
				}
				if asked >= len(c.fails) {
					return http.StatusOK, live(7, "a", "b")
				}
				return 0, nil
			}
			n := 0
			var err error
			for err == nil {
				var f *av.Frame
				if f, err = s.ReadFrame(); err == nil && f.Type == av.Media {
					n++
				}
			}
			if ends := !errors.Is(err, io.EOF); ends != c.ends || !ends && n != 2 {
				t.Errorf("%s: %d frames, %v", name, n, err)
			}
			if ends := !errors.Is(err, io.EOF); ends && !strings.Contains(err.Error(), "502") {
				t.Errorf("%s: %v", name, err)
			}
			for _, what := range w.asked {
				if strings.HasPrefix(what, "/x.m3u8") && what != "/x.m3u8?token=t" {
					t.Errorf("asked for %s", what)
				}
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		const control = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"
		w := &web{t: t, files: map[string][]byte{"/x.m3u8": list(control, `#EXT-X-MAP:URI="init"`, "a", "…"), "/init": soundInit(t), "/a": sound(t, 0, gap, "1"), "/b": sound(t, gap, gap, "2")}}
		s := w.mustOpen("/x.m3u8?token=t")
		w.files["/x.m3u8"] = list(control, `#EXT-X-MAP:URI="init"`, "a", "b")
		if got := all(t, s); len(got) != 2 || !slices.Contains(w.asked, "/x.m3u8?token=t&_HLS_msn=1") {
			t.Errorf("%v, asked for %q", got, w.asked)
		}
	})
}

// TestLongRecording: of a recording with more segments than are known at a time all are read, in order; the playlist is asked for again where the reader
// comes to its next part, and a request for it that fails is borne.
func TestLongRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4000
		w := &web{t: t, files: map[string][]byte{"/init": soundInit(t)}}
		lines := []string{"#EXT-X-MEDIA-SEQUENCE:7", `#EXT-X-MAP:URI="init"`}
		var want []heard
		for i := range n {
			name := strconv.Itoa(i)
			lines = append(lines, name)
			at := time.Duration(i) * gap
			w.files["/"+name] = sound(t, at, gap, name)
			want = append(want, heard{0, at.Milliseconds(), name})
		}
		w.files["/x.m3u8"] = list(lines...)
		lists := 0
		w.answer = func(r *http.Request) (int, []byte) {
			if r.URL.Path == "/x.m3u8" {
				if lists++; lists == 2 {
					return http.StatusBadGateway, nil
				}
			}
			return 0, nil
		}
		s := w.mustOpen("/x.m3u8")
		if got := len(s.lists[0].media.Segments); got > maxListed/100 {
			t.Errorf("%d segments are known at a time", got)
		}
		if got := all(t, s); !slices.Equal(got, want) {
			t.Errorf("%d frames, not %d, or others", len(got), n)
		}
		if lists < 3 || lists > 5 || len(w.asked) != n+1+lists {
			t.Errorf("%d requests for the playlist of %d", lists, len(w.asked))
		}
	})
}

// TestPlaylistsThatAreTooLong: more variants than are read, and a line that is longer, are errors, and nothing of it is asked for.
func TestPlaylistsThatAreTooLong(t *testing.T) {
	w := &web{t: t, files: map[string][]byte{
		"/variants": []byte("#EXTM3U\n" + strings.Repeat("#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n", 10000)), "/line": list("x" + strings.Repeat("y", m3u8.MaxLine+1)),
		"/below": []byte("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nline\n"),
	}}
	for _, name := range []string{"/variants", "/line", "/below"} {
		w.asked = nil
		if _, err := w.open(name); session.ReasonOf(err) != session.TooLarge || len(w.asked) > 2 {
			t.Errorf("%s: %v, asked for %d", name, err, len(w.asked))
		}
	}
}
