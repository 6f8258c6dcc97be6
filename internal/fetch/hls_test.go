package fetch

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/m3u8"
	"weir/internal/session"
)

// pictures is how many a segment of a tape has, and pictureTime how long each is shown.
const (
	pictures    = 5
	pictureTime = 40 * time.Millisecond
)

// tapes are 12 segments of 5 pictures each from four sources: the times of the second begin an hour later than those of the first,
// and those of the third before them.
var tapes = sync.OnceValues(func() (list [3][]string, err error) {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		return list, err
	}
	defer os.RemoveAll(dir)
	for i, offset := range []string{"100", "3700", "10"} {
		args := "-nostdin -v error -f lavfi -i testsrc2=size=64x48:rate=25 -frames:v 60 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 5 -keyint_min 5 -sc_threshold 0 -bf 0 -output_ts_offset " +
			offset + " -f hls -hls_time 0.2 -hls_list_size 0 -hls_flags split_by_time -hls_segment_filename " + filepath.Join(dir, "%d.ts") + " " + filepath.Join(dir, "x.m3u8")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		out, err := exec.CommandContext(ctx, "ffmpeg", strings.Fields(args)...).CombinedOutput()
		cancel()
		if err != nil {
			return list, fmt.Errorf("ffmpeg: %w\n%s", err, out)
		}
		for n := range 12 {
			b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n, ".ts")))
			if err != nil {
				return list, err
			}
			list[i] = append(list[i], string(b))
		}
	}
	return list, nil
})

// station serves playlists and segments of tapes, "TAPE-SEGMENT.ts", and whatever else it is given.
type station struct {
	t     *testing.T
	tapes [3][]string
	web   *httptest.Server

	mu    sync.Mutex // guards below
	list  string
	shown time.Time // when list was made
	// target is that of list, and before that of the list before, in seconds.
	target, before int
	files          map[string]string
	asked          []string
	also           func(w http.ResponseWriter, r *http.Request) bool // answers first
}

func newStation(t *testing.T) *station {
	t.Helper()
	list, err := tapes()
	if err != nil {
		t.Fatal(err)
	}
	s := &station{t: t, tapes: list, files: map[string]string{}, target: 1}
	s.web = httptest.NewServer(s)
	t.Cleanup(s.web.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *station) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	s.asked = append(s.asked, r.URL.RequestURI())
	if s.also != nil && s.also(w, r) {
		return
	}
	var tape, segment int
	if name == "live.m3u8" {
		_, _ = io.WriteString(w, s.list)
	} else if b, ok := s.files[name]; ok {
		_, _ = io.WriteString(w, b)
	} else if n, _ := fmt.Sscanf(name, "%d-%d.ts", &tape, &segment); n == 2 && tape < len(s.tapes) && segment < len(s.tapes[tape]) {
		_, _ = io.WriteString(w, s.tapes[tape][segment])
	} else {
		http.NotFound(w, r)
	}
}

// show makes the playlist one that begins with a number and has these lines: names of segments, or tags.
func (s *station) show(number int, lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", s.target, number)
	for _, l := range lines {
		if !strings.HasPrefix(l, "#") {
			b += "#EXTINF:0.2,\n"
		}
		b += l + "\n"
	}
	s.list, s.shown = b, time.Now()
}

// showTarget is show of a playlist with another target duration, in seconds, which holds from now on.
func (s *station) showTarget(target, number int, lines ...string) {
	s.mu.Lock()
	s.before, s.target = s.target, target
	s.mu.Unlock()
	s.show(number, lines...)
}

// late reports whether a picture comes more than two target durations after it could be had.
func (s *station) late(before time.Time) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before.Before(s.shown) {
		before = s.shown
	}
	took := time.Since(before)
	return took, took > 2*time.Duration(max(s.target, s.before))*time.Second
}

func (s *station) open() Source {
	s.t.Helper()
	src, err := Open(s.t.Context(), s.web.URL+"/live.m3u8", Access{Timeout: 5 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = src.Close() })
	return src
}

// read reads n pictures whose times run on from the last one, which is returned with the next call's start. Each must come within two
// target durations after it was there.
func (s *station) read(src Source, last *time.Duration, n int) {
	s.t.Helper()
	before := time.Now()
	for i := 0; i < n; {
		f, err := src.ReadFrame()
		if err != nil {
			s.t.Fatalf("after %d of %d pictures: %v", i, n, err)
		}
		if f.Type != av.Media {
			continue
		}
		i++
		if took, late := s.late(before); late {
			s.t.Errorf("picture %d of %d comes after %v", i, n, took)
		}
		before = time.Now()
		if d := f.DTS - *last; *last != 0 && (d < pictureTime-time.Millisecond || d > pictureTime+time.Millisecond) {
			s.t.Fatalf("picture %d of %d comes %v after the one before", i, n, d)
		}
		*last = f.DTS
	}
}

// TestC435_Discontinuities: times run on, wherever the discontinuity is and wherever the next clock is, also while it slides out of the
// playlist of a server that does not count discontinuities.
func TestC435_Discontinuities(t *testing.T) {
	const cut = "#EXT-X-DISCONTINUITY"
	s := newStation(t)
	s.show(7, "0-0.ts", cut, "1-0.ts", "1-1.ts")
	src := s.open()
	last := time.Duration(0)
	s.read(src, &last, 10)
	s.show(8, cut, "1-0.ts", "1-1.ts", cut, "2-4.ts")
	s.read(src, &last, 5)
	s.show(10, cut, "2-4.ts", cut, "0-9.ts", cut, "0-3.ts", "0-4.ts", "#EXT-X-ENDLIST")
	s.read(src, &last, 20)
	if _, err := src.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if c := src.Condition(); len(c.Damage) > 0 {
		t.Error(c.Damage)
	}
}

// TestC435_NumbersThatJump: a playlist that begins anew, falls, or has left everything behind is joined again at its end, with times
// that run on; an older version out of a cache, or the same again, changes nothing.
func TestC435_NumbersThatJump(t *testing.T) {
	s := newStation(t)
	s.show(100, "0-0.ts", "0-1.ts", "0-2.ts")
	src := s.open()
	last := time.Duration(0)
	s.read(src, &last, 15-1) // the last picture of a segment comes with the next one
	s.show(99, "0-11.ts", "0-0.ts", "0-1.ts")
	stale := time.AfterFunc(1500*time.Millisecond, func() { s.show(101, "0-1.ts", "0-2.ts", "0-3.ts") })
	defer stale.Stop()
	s.read(src, &last, 5)
	s.show(1, "1-0.ts", "1-1.ts") // it was restarted
	s.read(src, &last, 1+9)
	s.show(1001, "2-0.ts", "2-1.ts", "2-2.ts", "2-3.ts") // it has gone on without us
	s.read(src, &last, 1+14)
	s.show(900, "2-3.ts", "#EXT-X-DISCONTINUITY", "0-6.ts", "#EXT-X-ENDLIST") // it fell
	s.read(src, &last, 1+10)
	if _, err := src.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if c := strings.Join(src.Condition().Damage, ", "); c != "998 segments gone before it could be read" {
		t.Errorf("damage: %s", c)
	}
}

// TestC435_TargetsThatChange: a target duration that grows and shrinks holds from the next playlist on, and nothing is left out.
func TestC435_TargetsThatChange(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	s.show(0, "0-0.ts", "0-1.ts", "0-2.ts")
	src := s.open()
	last := time.Duration(0)
	s.read(src, &last, 14)
	s.showTarget(3, 1, "0-1.ts", "0-2.ts", "0-3.ts")
	s.read(src, &last, 5)
	s.showTarget(1, 2, "0-2.ts", "0-3.ts", "0-4.ts")
	s.read(src, &last, 5)
	begin := time.Now()
	s.show(3, "0-3.ts", "0-4.ts", "0-5.ts", "#EXT-X-ENDLIST")
	s.read(src, &last, 6)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the longer target held on: %v", took)
	}
	if _, err := src.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestC435_MissingSegments: one that is not there is a gap, as is one that the playlist says is missing; three in a row are the end.
func TestC435_MissingSegments(t *testing.T) {
	s := newStation(t)
	s.show(0, "0-0.ts", "gone.ts", "0-2.ts", "#EXT-X-GAP", "0-3.ts", "0-4.ts", "gone.ts", "gone2.ts", "0-7.ts", "#EXT-X-ENDLIST")
	src := s.open()
	n := 0
	for {
		f, err := src.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == av.Media {
			n++
		}
	}
	if c := strings.Join(src.Condition().Damage, ", "); n != 4*pictures || !strings.Contains(c, "4 segments missing") {
		t.Errorf("%d pictures; %s", n, c)
	}
	s.show(0, "0-0.ts", "gone.ts", "gone2.ts", "gone3.ts", "0-4.ts", "#EXT-X-ENDLIST")
	src = s.open()
	for {
		_, err := src.ReadFrame()
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), "reading segment 3: the server answers 404 Not Found") || session.ReasonOf(err) != session.NotFound {
			t.Error(err)
		}
		break
	}
}

// TestC435_Redirects: a playlist is asked for under its own name each time, as what it redirects to is good for a moment only;
// its segments are relative to where it was found; and cookies come back as the last answer set them.
func TestC435_Redirects(t *testing.T) {
	s := newStation(t)
	tokens, cookies := 0, []string{}
	s.show(0, "../0-0.ts", "../0-1.ts", "../0-2.ts")
	s.also = func(w http.ResponseWriter, r *http.Request) bool {
		if c, err := r.Cookie("session"); err == nil && strings.HasSuffix(r.URL.Path, ".ts") {
			cookies = append(cookies, c.Value)
		}
		switch r.URL.Path {
		case "/live.m3u8":
			tokens++
			http.Redirect(w, r, fmt.Sprint("/deep/list.m3u8?token=", tokens), http.StatusFound)
		case "/deep/list.m3u8":
			if r.URL.RawQuery != fmt.Sprint("token=", tokens) {
				http.Error(w, "expired", http.StatusForbidden)
				return true
			}
			http.SetCookie(w, &http.Cookie{Name: "session", Value: fmt.Sprint(tokens), Path: "/"})
			_, _ = io.WriteString(w, s.list)
		default:
			return false
		}
		return true
	}
	src := s.open()
	last := time.Duration(0)
	s.read(src, &last, 14)
	s.show(3, "../0-3.ts", "../0-4.ts", "#EXT-X-ENDLIST")
	s.read(src, &last, 11)
	s.mu.Lock()
	defer s.mu.Unlock()
	if tokens != 2 || strings.Join(cookies, " ") != "1 1 1 2 2" {
		t.Errorf("%d redirects; cookies %q", tokens, cookies)
	}
}

// TestC435_TooLarge: a playlist of 4 MiB is read, one byte more is refused, and so is what never ends.
func TestC435_TooLarge(t *testing.T) {
	s := newStation(t)
	head := "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\n0-0.ts\n#EXT-X-ENDLIST\n#"
	for _, size := range []int{m3u8.MaxSize, m3u8.MaxSize + 1, 5 << 20} {
		s.mu.Lock()
		s.list = (head + strings.Repeat(strings.Repeat("x", 1023)+"\n#", 6<<10))[:size]
		s.mu.Unlock()
		_, err := Open(t.Context(), s.web.URL+"/live.m3u8", Access{})
		if tooLarge := errors.Is(err, m3u8.ErrTooLong) && session.ReasonOf(err) == session.TooLarge; tooLarge != (size > m3u8.MaxSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	s.show(0, "endless.ts", "#EXT-X-ENDLIST")
	sent := 0
	s.also = func(w http.ResponseWriter, r *http.Request) bool {
		for block := make([]byte, 1<<20); r.URL.Path == "/endless.ts"; sent += len(block) {
			if _, err := w.Write(block); err != nil {
				return true
			}
		}
		return false
	}
	src := s.open()
	if _, err := src.ReadFrame(); session.ReasonOf(err) != session.TooLarge {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sent > maxSegment+64<<20 {
		t.Errorf("%d bytes were read of a segment without end", sent)
	}
}

// TestC435_Keys: AES-128 is decrypted, with an initialization vector or by the numbers of segments, and with keys that
// change; a key that is refused is said to be, and so are kinds of encryption that are not supported.
func TestC435_Keys(t *testing.T) {
	s := newStation(t)
	iv := []byte("0123456789abcdef")
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 8, 16), n) }
	for name, c := range map[string]struct {
		text    string
		key, iv []byte
	}{
		"a.ts": {s.tapes[0][0], []byte("first key, 16 b."), iv},
		"b.ts": {s.tapes[0][1], []byte("first key, 16 b."), iv},
		"c.ts": {s.tapes[0][2], []byte("other key, 16 b."), number(9)},
	} {
		block, err := aes.NewCipher(c.key)
		if err != nil {
			t.Fatal(err)
		}
		padding := 16 - len(c.text)%16
		b := append([]byte(c.text), strings.Repeat(string(rune(padding)), padding)...)
		cipher.NewCBCEncrypter(block, c.iv).CryptBlocks(b, b)
		s.files[name] = string(b)
	}
	s.files["first"], s.files["other"], s.files["short"] = "first key, 16 b.", "other key, 16 b.", "short"
	s.show(7, fmt.Sprintf("#EXT-X-KEY:METHOD=AES-128,URI=\"first\",IV=0x%X", iv), "a.ts", "b.ts", "#EXT-X-KEY:METHOD=AES-128,URI=\"other\"", "c.ts",
		"#EXT-X-KEY:METHOD=NONE", "0-3.ts", "#EXT-X-ENDLIST")
	last := time.Duration(0)
	s.read(s.open(), &last, 4*pictures)
	if n := strings.Count(strings.Join(s.asked, " "), "/first"); n != 1 {
		t.Errorf("a key was asked for %d times", n)
	}
	s.also = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/paid" {
			http.Error(w, "pay first", http.StatusForbidden)
			return true
		}
		return false
	}
	for key, want := range map[string]string{
		"METHOD=AES-128,URI=\"paid\"":  "reading segment 7: reading its key: the server answers 403 Forbidden: pay first",
		"METHOD=AES-128,URI=\"short\"": "reading its key: it has 5 bytes, not 16",
		"METHOD=AES-128,URI=\"other\"": "", // which decrypts to rubbish
	} {
		s.show(7, "#EXT-X-KEY:"+key, "a.ts", "#EXT-X-ENDLIST")
		_, err := s.open().ReadFrame()
		if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	s.show(7, "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"first\"", "a.ts")
	if _, err := Open(t.Context(), s.web.URL+"/live.m3u8", Access{}); err == nil || !strings.Contains(err.Error(), "only AES-128 is") || session.ReasonOf(err) != session.Unsupported {
		t.Error(err)
	}
}

// TestHLSReloads: a server that can hold an answer until there is something new is asked to; reading begins as far from
// the end as the playlist says.
func TestHLSReloads(t *testing.T) {
	s := newStation(t)
	const control = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK=0.5"
	s.show(20, control, "0-0.ts", "0-1.ts", "0-2.ts", "0-3.ts", "0-4.ts")
	src := s.open()
	last := time.Duration(0)
	s.read(src, &last, 14)
	s.show(24, control, "0-4.ts", "0-5.ts", "#EXT-X-ENDLIST")
	begin := time.Now()
	s.read(src, &last, 6)
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("the next segment was waited for, for %v", took)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := "/live.m3u8 /0-2.ts /0-3.ts /0-4.ts /live.m3u8?_HLS_msn=25 /0-5.ts"; strings.Join(s.asked, " ") != want {
		t.Errorf("asked for %q, want %q", s.asked, want)
	}
}

// reel is a source with frames at these times.
type reel struct {
	Source
	times []time.Duration
}

// ReadFrame implements Source.
func (r *reel) ReadFrame() (*av.Frame, error) {
	if len(r.times) == 0 {
		return nil, io.EOF
	}
	f := &av.Frame{Kind: av.Video, DTS: r.times[0]}
	r.times = r.times[1:]
	return f, nil
}

// TestPacedSlides: pictures that are seconds apart come when they are due, too; a clock that goes on by an hour or falls holds nothing up.
func TestPacedSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(&reel{times: []time.Duration{0, 5 * time.Second, 14 * time.Second, time.Hour, time.Second, 6 * time.Second}})
		begin := time.Now()
		for i, want := range []time.Duration{0, 5, 14, 14, 14, 19} {
			if _, err := p.ReadFrame(); err != nil || time.Since(begin) != want*time.Second {
				t.Errorf("picture %d comes after %v, %v", i, time.Since(begin), err)
			}
		}
	})
}

// TestPaced: frames of HLS come when they are due; a clock that jumps by an hour holds nothing up, and a playlist that
// has ended is no live stream.
func TestPaced(t *testing.T) {
	s := newStation(t)
	s.show(0, "0-0.ts", "#EXT-X-DISCONTINUITY", "1-0.ts", "0-1.ts", "0-2.ts")
	open := func() (Source, error) {
		return Open(t.Context(), s.web.URL+"/live.m3u8", Access{Timeout: 5 * time.Second, Paced: true})
	}
	src, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	begin := time.Now()
	n := 0
	for n < 14 { // the last of the fifteen comes with the next segment
		f, err := src.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == av.Media {
			n++
		}
	}
	if took := time.Since(begin); took < 8*pictureTime || took > 2*time.Second {
		t.Errorf("14 pictures of which one is an hour before the others took %v", took)
	}
	s.show(0, "0-0.ts", "#EXT-X-ENDLIST")
	if _, err := open(); session.ReasonOf(err) != session.StreamEnded {
		t.Error(err)
	}
	s.show(0, "#EXT-X-PLAYLIST-TYPE:VOD", "0-0.ts", "#EXT-X-ENDLIST")
	src, err = open()
	if err != nil {
		t.Fatal(err)
	}
	_ = src.Close()
}
