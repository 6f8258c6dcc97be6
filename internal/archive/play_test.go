package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/format/fmp4"
	"weir/internal/admit"
	"weir/internal/protocol"
	"weir/internal/protocol/protocoltest"
	"weir/internal/session"
)

// web is an archive behind HTTP.
type web struct {
	*rig
	server *protocoltest.Server
	base   string
	player *Player
	life   atomic.Uint64 // of the streams that are live; 0 for none
}

func (w *web) lives(_ string, epoch uint64) bool { return epoch != 0 && w.life.Load() == epoch }

func newWeb(t *testing.T, opt protocoltest.Options, change func(*Options)) *web {
	t.Helper()
	w := &web{rig: newRig(t, change)}
	w.serve(opt)
	return w
}

func (w *web) serveDefault() { w.serve(protocoltest.Options{}) }

func (w *web) serve(opt protocoltest.Options) {
	w.server = protocoltest.Start(w.t, opt, protocol.Entry{Name: "recordings", New: func(env protocol.Env) (protocol.Protocol, error) {
		w.player = NewPlayer(env, w.Archive, w.lives)
		return w.player, nil
	}})
	w.base = "http://" + w.server.Addr("http")
}

// answer is an answer to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for a path with headers, in pairs.
func (w *web) get(method, path string, headers ...string) answer {
	w.t.Helper()
	u := path
	if strings.HasPrefix(path, "/") {
		u = w.base + path
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, u, nil)
	must(w.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := client.Do(r)
	must(w.t, err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	must(w.t, err)
	return answer{a.StatusCode, a.Header, b}
}

// at is a time of the tests as a query has it.
func at(d time.Duration) string { return url.QueryEscape(stamp(epoch.Add(d))) }

// film is the path of a range.
func film(stream string, from, to time.Duration, more string) string {
	return fmt.Sprintf("/%s/playback.mp4?from=%s&to=%s%s", stream, at(from), at(to), more)
}

// shown is what ffprobe says of a file: the times of pictures, and the length.
type shown struct {
	Format struct{ Duration string }
	Frames []struct {
		MediaType string `json:"media_type"`
		Time      string `json:"pts_time"`
	}
}

// probe returns when the pictures and the sound of a file begin and end, and how many pictures there are.
func (w *web) probe(b []byte) (first, last, length float64, pictures int) {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "film.mp4")
	must(w.t, os.WriteFile(name, b, 0o600))
	var s shown
	must(w.t, json.Unmarshal([]byte(run(w.t, "ffprobe", "-v", "error", "-show_entries", "format=duration:frame=media_type,pts_time", "-of", "json", name)), &s))
	first, last = math.Inf(1), math.Inf(-1)
	for _, f := range s.Frames {
		if f.MediaType != "video" {
			continue
		}
		pictures++
		x, err := strconv.ParseFloat(f.Time, 64)
		must(w.t, err)
		first, last = min(first, x), max(last, x)
	}
	length, _ = strconv.ParseFloat(s.Format.Duration, 64)
	return first, last, length, pictures
}

// hashes returns the hashes of the pictures that a file shows, in the order of their times.
func (w *web) hashes(b []byte) []string {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "film.mp4")
	must(w.t, os.WriteFile(name, b, 0o600))
	return pictures(w.t, name)
}

func pictures(t *testing.T, name string, before ...string) (list []string) {
	t.Helper()
	for line := range strings.Lines(run(t, "ffmpeg", append(append([]string{"-v", "error"}, before...), "-i", name, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")...)) {
		if !strings.HasPrefix(line, "#") {
			f := strings.Split(line, ",")
			list = append(list, strings.TrimSpace(f[len(f)-1]))
		}
	}
	return list
}

// TestPlaybackOfARange: a range over several files that follow one another begins and ends to the picture where it is asked to,
// wherever in a group of pictures, and shows the very pictures that were recorded.
func TestPlaybackOfARange(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	take := ""
	for i := range 3 {
		from := time.Duration(i) * 8 * time.Second
		f := w.rig.record(m, "live/a", fmt.Sprintf("a/%d.mp4", i), from, from, from+8*time.Second)
		if i == 0 {
			take = f.Take
		}
		f.Take = take
		must(t, w.put(&Row{File: f, State: Done}))
	}
	all := w.hashes(w.get(http.MethodGet, film("live/a", 0, 25*time.Second, "")).body)
	if len(all) != 600 {
		t.Fatalf("%d pictures of 600", len(all))
	}
	for _, c := range []struct{ from, to time.Duration }{
		{0, 8 * time.Second},
		{2 * time.Second, 4 * time.Second},
		{1200 * time.Millisecond, 3 * time.Second},
		{7 * time.Second, 17 * time.Second},
		{3960 * time.Millisecond, 4040 * time.Millisecond},
		{8 * time.Second, 16 * time.Second},
	} {
		a := w.get(http.MethodGet, film("live/a", c.from, c.to, ""))
		if a.status != 200 || a.header.Get("Content-Type") != "video/mp4" || a.header.Get("Accept-Ranges") != "bytes" || int(mustInt(t, a.header.Get("Content-Length"))) != len(a.body) {
			t.Fatal(c, a.status, a.header, string(a.body[:min(200, len(a.body))]))
		}
		first, _, length, n := w.probe(a.body)
		// The first picture of a file is shown 80 ms after its sound, as it was published.
		index := func(at time.Duration) int { return max(int((at-80*time.Millisecond)/(40*time.Millisecond)), 0) }
		want := index(c.to) - index(c.from)
		if math.Abs(length-(c.to-c.from).Seconds()) > 0.002 || first > 0.09 { // a file's first picture is shown when it was: after the first sound
			t.Errorf("%v to %v: from %v on, %v s long", c.from, c.to, first, length)
		}
		got := w.hashes(a.body)
		i := index(c.from)
		if c.from == 8*time.Second { // the last pictures of the first file, which is not asked for, are shown after this
			i, want = 200, want-2
		}
		if n < want-1 || n > want+1 || strings.Join(got[:want-1], "") != strings.Join(all[i:i+want-1], "") {
			t.Errorf("%v to %v: %d pictures, %d wanted, and they are not those that were recorded", c.from, c.to, n, want)
		}
	}
}

// TestC422Ranges: what is asked of times at which nothing was, of impossible ones, and of very many.
func TestC422Ranges(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	const us = time.Microsecond
	length := w.rig.record(m, "live/a", "a.mp4", 0, 0, 8*time.Second).Duration
	end := 20*time.Second + w.rig.record(m, "live/a", "b.mp4", 20*time.Second, 8*time.Second, 16*time.Second).Duration
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		from, to time.Duration
		status   int
	}{
		{-time.Hour, 0, 404},
		{-time.Hour, us, 200},
		{-us, us, 200},
		{0, us, 200},
		{length - us, length, 200},
		{length, length + us, 404},
		{length - us, length + us, 200},
		{length + us, 20*time.Second - us, 404},
		{20*time.Second - us, 20*time.Second + us, 200},
		{length, 20 * time.Second, 404},
		{end, end + time.Hour, 404},
		{end - us, end + time.Hour, 200},
		{5 * time.Second, 5 * time.Second, 400},
		{6 * time.Second, 5 * time.Second, 400},
		{-50 * year, 50 * year, 200},
		{0, 150 * year, 200},
	} {
		from, to := epoch.Add(c.from), epoch.Add(c.to)
		if to.After(latest) {
			c.status = 400
		}
		a := w.get(http.MethodGet, film("live/a", c.from, c.to, ""))
		if a.status != c.status {
			t.Errorf("%v to %v: %d instead of %d: %s", c.from, c.to, a.status, c.status, a.body[:min(200, len(a.body))])
		}
		list, err := w.List(t.Context(), Query{Stream: "live/a", From: from, To: to})
		if c.status != 400 && (err != nil || (len(list.Spans) > 0) != (a.status == 200)) {
			t.Errorf("%v to %v: %d, and the list has %d spans (%v)", c.from, c.to, a.status, len(list.Spans), err)
		}
	}
	for query, status := range map[string]int{
		"": 400, "from=yesterday": 400, "from=" + at(0) + "&to=x": 400, "from=" + at(0) + "&duration=0": 400, "from=" + at(0) + "&duration=NaN": 400,
		"from=" + at(0) + "&duration=1.5": 200, "from=" + at(0) + "&duration=1&gaps=maybe": 400, "from=0001-01-01T00:00:00Z&to=" + at(time.Second): 400,
		"from=" + at(0) + "&duration=1&recording=other": 404, "from=2026-11-27T19:00:00%2B01:00&duration=1": 200, "from=2026-11-27T19:00:00+01:00&duration=1": 200,
	} {
		if a := w.get(http.MethodGet, "/live/a/playback.mp4?"+query); a.status != status {
			t.Errorf("%q: %d instead of %d: %s", query, a.status, status, a.body[:min(200, len(a.body))])
		}
	}
	if a := w.get(http.MethodGet, film("live/b", 0, time.Second, "")); a.status != 404 {
		t.Error(a.status)
	}
	a := w.get(http.MethodGet, film("live/a", 0, time.Second, ""), "Range", "bytes=999999999-")
	if a.status != 416 {
		t.Error(a.status)
	}
	many := scaled(2000)
	if large {
		many = 10000
	}
	for range many { // tiny ranges: what is kept of them is bounded
		from := rand.N(length)
		f, err := w.Film(t.Context(), "", "live/a", "", epoch.Add(from), epoch.Add(from+time.Millisecond), Skip)
		must(t, err)
		must(t, f.Close())
	}
	if w.clips.held > maxHeads || len(w.clips.byTag) > many+100 {
		t.Error(w.clips.held, len(w.clips.byTag))
	}
}

// TestC423GapsAndCodecs: what becomes of a gap is chosen; files of different codecs are not joined, but named; a damaged file is left out and
// named.
func TestC423GapsAndCodecs(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m, other := encoded(t, "160x90"), encoded(t, "192x108")
	w.rig.record(m, "live/a", "0.mp4", 0, 0, 4*time.Second)
	w.rig.record(m, "live/a", "1.mp4", 10*time.Second, 4*time.Second, 8*time.Second)
	bad := w.rig.record(m, "live/a", "2 bad.mp4", 14*time.Second, 8*time.Second, 12*time.Second)
	w.rig.record(m, "live/a", "3.mp4", 18*time.Second, 12*time.Second, 16*time.Second)
	w.rig.record(other, "live/a", "4.mp4", 22*time.Second, 0, 4*time.Second)
	for _, c := range []struct {
		gaps   string
		length float64
	}{{"", 8}, {"&gaps=skip", 8}, {"&gaps=hold", 14}} {
		a := w.get(http.MethodGet, film("live/a", 0, 14*time.Second, c.gaps))
		first, last, length, n := w.probe(a.body)
		if a.status != 200 || math.Abs(length-c.length) > 0.15 || n < 198 || first > 0.09 || last < c.length-0.2 {
			t.Errorf("%q: status %d, %v to %v, %v long, %d pictures", c.gaps, a.status, first, last, length, n)
		}
	}
	a := w.get(http.MethodGet, film("live/a", 0, 14*time.Second, "&gaps=error"))
	if text := string(a.body); a.status != 409 || !strings.Contains(text, "from=2026-11-27T18:00:00Z") || !strings.Contains(text, "from=2026-11-27T18:00:10Z") {
		t.Error(a.status, text)
	}
	if a := w.get(http.MethodGet, film("live/a", time.Second, 3*time.Second, "&gaps=error")); a.status != 200 {
		t.Error(a.status, string(a.body))
	}
	a = w.get(http.MethodGet, film("live/a", 18*time.Second, 26*time.Second, ""))
	if text := string(a.body); a.status != 409 || !strings.Contains(text, "from=2026-11-27T18:00:18Z") || !strings.Contains(text, "from=2026-11-27T18:00:22Z") || !strings.Contains(text, "avc1.64000b") {
		t.Error(a.status, text)
	}
	spoil, err := os.OpenFile(filepath.Join(w.dir, bad.Name), os.O_RDWR, 0)
	must(t, err)
	defer spoil.Close()
	x, err := w.media.index(&Row{File: bad, State: Done})
	must(t, err)
	_, err = spoil.WriteAt(make([]byte, 64), x.Fragments[1].Offset)
	must(t, err)
	a = w.get(http.MethodGet, film("live/a", 10*time.Second, 22*time.Second, ""))
	_, _, length, _ := w.probe(a.body)
	if a.status != 200 || a.header.Get("Weir-Skipped") != "2%20bad.mp4" || math.Abs(length-8) > 0.2 {
		t.Error(a.status, a.header, length)
	}
	l, err := w.List(t.Context(), Query{Stream: "live/a", From: epoch.Add(10 * time.Second)})
	if err != nil || len(l.Gaps) != 1 || l.Gaps[0].Reason != GapDamaged || l.Gaps[0].From.Sub(epoch.Add(14*time.Second)).Abs() > 100*time.Millisecond {
		t.Error(l.Gaps, err)
	}
	if a := w.get(http.MethodGet, film("live/a", 10*time.Second, 22*time.Second, "&gaps=error")); a.status != 409 {
		t.Error(a.status)
	}
}

// TestUnreadableIsNotDamaged: a file that cannot be read for a while is left out of what is played meanwhile, and is not taken for a damaged one.
func TestUnreadableIsNotDamaged(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	w.rig.record(m, "live/a", "0.mp4", 0, 0, 4*time.Second)
	f := w.rig.record(m, "live/a", "1.mp4", 4*time.Second, 4*time.Second, 8*time.Second)
	name := filepath.Join(w.dir, f.Name)
	must(t, os.Rename(name, name+"-away"))
	must(t, os.Mkdir(name, 0o755)) // it can be opened, and reading fails
	path := film("live/a", 0, 8*time.Second, "")
	if a := w.get(http.MethodGet, path); a.status != 200 || a.header.Get("Weir-Skipped") != "1.mp4" {
		t.Error(a.status, a.header)
	}
	must(t, os.Remove(name))
	must(t, os.Rename(name+"-away", name))
	if row, err := w.File(t.Context(), f.ID); err != nil || row.State != Done {
		t.Error(row.State, err)
	}
	a := w.get(http.MethodGet, path)
	if _, _, length, _ := w.probe(a.body); a.status != 200 || a.header.Get("Weir-Skipped") != "" || math.Abs(length-8) > 0.2 {
		t.Error(a.status, a.header, length)
	}
}

// TestWhatViewersAreTold: a viewer is told what to do, and nothing of this machine; a wrong question is no fault of the server.
func TestWhatViewersAreTold(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	f := w.rig.record(m, "live/a", "0.mp4", 0, 0, 4*time.Second)
	for path, reason := range map[string]session.Reason{
		"/live/a/playback.mp4?from=x": session.ProtocolError, film("live/a", time.Hour, 2*time.Hour, ""): session.NotFound, film("live/a", 0, time.Minute, "&gaps=error"): session.Unsupported,
	} {
		before := len(w.server.Ends("recordings"))
		a := w.get(http.MethodGet, path)
		w.server.Until("the session ends", func() bool { return len(w.server.Ends("recordings")) > before })
		if ends := w.server.Ends("recordings"); ends[len(ends)-1].Reason != reason || a.status < 400 || a.status > 499 || !strings.Contains(string(a.body), "T18:") && !strings.Contains(string(a.body), "T19:") {
			t.Errorf("%s: %d %q, %v", path, a.status, a.body, ends[len(ends)-1].Reason)
		}
	}
	name := filepath.Join(w.dir, f.Name)
	must(t, os.Remove(name))
	must(t, os.Symlink("/etc/passwd", name))
	for _, path := range []string{"/live/a/rec-" + f.ID + ".mp4", "/live/a/rec-" + f.ID + "-init.mp4"} {
		w.media.forget(f.ID)
		if a := w.get(http.MethodGet, path); a.status != 404 || strings.TrimSpace(string(a.body)) != ErrUnreadable.Error() || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v", path, a.status, a.body, a.header)
		}
	}
	must(t, os.Remove(name))
	if a := w.get(http.MethodGet, "/live/a/rec-"+f.ID+".mp4"); a.status != 404 || strings.TrimSpace(string(a.body)) != ErrNotFound.Error() {
		t.Errorf("%d %q", a.status, a.body)
	}
	a := httptest.NewRecorder()
	p := &Player{env: protocol.Env{Door: w.player.env.Door}}
	p.fail(a, httptest.NewRequest(http.MethodGet, "/", nil), "live/a", fmt.Errorf("%w (disk I/O error)", ErrIndexing))
	if a.Code != 503 || strings.TrimSpace(a.Body.String()) != ErrIndexing.Error() || a.Header().Get("Retry-After") != "5" {
		t.Error(a.Code, a.Body, a.Header())
	}
}

// TestC424RangeRequests: RFC 9110, with the same bytes however they are asked for.
func TestC424RangeRequests(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	w.rig.record(m, "live/a", "0.mp4", 0, 0, 8*time.Second)
	w.rig.record(m, "live/a", "1.mp4", 8*time.Second, 8*time.Second, 16*time.Second)
	path := film("live/a", 1500*time.Millisecond, 14*time.Second, "")
	whole := w.get(http.MethodGet, path)
	size, tag := len(whole.body), whole.header.Get("ETag")
	if whole.status != 200 || tag == "" || strings.HasPrefix(tag, "W/") {
		t.Fatal(whole.status, whole.header)
	}
	if h := w.get(http.MethodHead, path); h.status != 200 || len(h.body) != 0 || h.header.Get("ETag") != tag || h.header.Get("Content-Length") != strconv.Itoa(size) {
		t.Error(h.status, h.header)
	}
	if a := w.get(http.MethodGet, path, "If-None-Match", tag); a.status != 304 {
		t.Error(a.status)
	}
	for _, c := range []struct {
		asked    string
		from, to int // excluded
	}{
		{"bytes=0-0", 0, 1},
		{"bytes=-1", size - 1, size},
		{"bytes=-100", size - 100, size},
		{fmt.Sprintf("bytes=%d-", size-5), size - 5, size},
		{"bytes=1000-70000", 1000, 70001},
		{fmt.Sprintf("bytes=10-%d", size+1000), 10, size},
		{fmt.Sprintf("bytes=-%d", size+1), 0, size},
	} {
		a := w.get(http.MethodGet, path, "Range", c.asked)
		if a.status != 206 || !bytes.Equal(a.body, whole.body[c.from:c.to]) || a.header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size) || a.header.Get("ETag") != tag {
			t.Error(c.asked, a.status, a.header, len(a.body))
		}
	}
	a := w.get(http.MethodGet, path, "Range", "bytes=0-9,100-109,-10")
	_, after, _ := strings.Cut(a.header.Get("Content-Type"), "boundary=")
	parts := multipart.NewReader(bytes.NewReader(a.body), after)
	for _, want := range [][]byte{whole.body[:10], whole.body[100:110], whole.body[size-10:]} {
		p, err := parts.NextPart()
		must(t, err)
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, want) {
			t.Error(got, want, err)
		}
	}
	if a := w.get(http.MethodGet, path, "Range", "bytes=10-20", "If-Range", tag); a.status != 206 || len(a.body) != 11 {
		t.Error(a.status)
	}
	if a := w.get(http.MethodGet, path, "Range", "bytes=10-20", "If-Range", `"other"`); a.status != 200 || len(a.body) != size {
		t.Error(a.status)
	}
	// It is given up at each 64 KiB, and taken up again where it was.
	sum := sha256.New()
	for at := 0; at < size; at += 64 << 10 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+path, nil)
		must(t, err)
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
		r.Header.Set("If-Range", tag)
		a, err := http.DefaultTransport.RoundTrip(r)
		must(t, err)
		n, err := io.CopyN(sum, a.Body, 64<<10)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			t.Fatal(at, n, err)
		}
		a.Body.Close()
	}
	if want := sha256.Sum256(whole.body); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("the pieces are not the whole")
	}
	w.server.Until("sessions end", func() bool { return len(w.server.Of("recordings", session.Play)) == 0 })
	// The file changes: what was begun cannot be gone on with.
	w.rig.record(m, "live/a", "1.mp4", 8*time.Second, 8*time.Second, 15*time.Second)
	if a := w.get(http.MethodGet, path, "Range", "bytes=10-20", "If-Range", tag); a.status != 200 || a.header.Get("ETag") == tag {
		t.Error(a.status, a.header)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestPlayKeysApply: nobody gets anything of a recording who may not play the stream; who was let in to a playlist gets what is in it; and a
// renamed stream's recordings have its public name.
func TestPlayKeysApply(t *testing.T) {
	var asked atomic.Int64
	w := newWeb(t, protocoltest.Options{Admit: func(_ context.Context, r *admit.Request) (session.Grant, error) {
		asked.Add(1)
		if r.Role != session.Play || !strings.Contains(r.RawQuery, "key=good") {
			return session.Grant{}, session.Because(session.Denied, errors.New("no key"))
		}
		if r.Path == "live/secret" {
			return session.Grant{Terms: &session.Terms{Path: "live/a"}}, nil
		}
		return session.Grant{}, nil
	}}, nil)
	f := w.rig.record(encoded(t, "160x90"), "live/a", "0.mp4", 0, 0, 8*time.Second)
	for _, path := range []string{
		film("live/a", 0, time.Second, ""), "/live/a/recordings.json", "/live/a/index.m3u8?from=" + at(0) + "&to=" + at(8*time.Second),
		"/live/a/recorded.m3u8?from=" + at(0) + "&to=" + at(8*time.Second), "/live/a/rec-" + f.ID + ".mp4", "/live/a/rec-" + f.ID + "-init.mp4",
	} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		if a := w.get(http.MethodGet, path+sep+"key=bad"); a.status != 403 {
			t.Error(path, a.status)
		}
		if a := w.get(http.MethodGet, path+sep+"key=good"); a.status != 200 {
			t.Error(path, a.status, string(a.body))
		}
		if a := w.get(http.MethodGet, strings.Replace(path, "/live/a/", "/live/b/", 1)+sep+"key=good"); a.status != 404 && !strings.HasSuffix(path, "recordings.json") {
			t.Error("another stream's name gets it:", path, a.status)
		}
	}
	if a := w.get(http.MethodGet, film("live/secret", 0, time.Second, "&key=good")); a.status != 200 {
		t.Error(a.status)
	}
	a := w.get(http.MethodGet, "/live/secret/index.m3u8?key=good&from="+at(0)+"&to="+at(8*time.Second))
	uri := lastLine(a.body)
	if a.status != 200 || !strings.HasPrefix(uri, "../../live/a/recorded.m3u8?") || strings.Contains(uri, "good") {
		t.Fatal(a.status, uri)
	}
	before := asked.Load()
	base, err := url.Parse(w.base + "/live/secret/index.m3u8")
	must(t, err)
	next, err := base.Parse(uri)
	must(t, err)
	a = w.get(http.MethodGet, next.String())
	if a.status != 200 || asked.Load() != before {
		t.Fatal(a.status, string(a.body), asked.Load()-before)
	}
	media, err := next.Parse(lastSegment(a.body))
	must(t, err)
	if a := w.get(http.MethodGet, media.String(), "Range", "bytes=0-99"); a.status != 206 || asked.Load() != before {
		t.Error(a.status, asked.Load()-before)
	}
	stolen := *media
	stolen.RawQuery = "l=" + strings.Repeat("A", 32)
	if a := w.get(http.MethodGet, stolen.String()); a.status != 403 {
		t.Error(a.status)
	}
}

// lastLine is the last line of a playlist that is no tag.
func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func lastSegment(b []byte) string {
	last := ""
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			last = strings.TrimSpace(line)
		}
	}
	return last
}

func mustInt(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	must(t, err)
	return n
}

// TestKickedDownload: a viewer that is kicked is cut off.
func TestKickedDownload(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	w.rig.record(encoded(t, "160x90"), "live/a", "0.mp4", 0, 0, 24*time.Second)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+film("live/a", 0, 24*time.Second, ""), nil)
	must(t, err)
	transport := &http.Transport{ReadBufferSize: 4096}
	defer transport.CloseIdleConnections()
	a, err := transport.RoundTrip(r)
	must(t, err)
	defer a.Body.Close()
	for _, s := range w.server.Of("recordings", session.Play) {
		s.Kick(nil)
	}
	w.server.Until("the session ends", func() bool { return len(w.server.Ends("recordings")) == 1 })
}

// TestFirstByteOfAnHour: an hour of recording answers its first byte in 100 ms, of the processor.
func TestFirstByteOfAnHour(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	hour := &material{tracks: m.tracks}
	times := scaled(150) // of 24 s; a tenth of an hour with the race detector
	for i := range times {
		for _, f := range m.frames {
			f.DTS += time.Duration(i) * materialLength
			f.PTS += time.Duration(i) * materialLength
			hour.frames = append(hour.frames, f)
		}
	}
	long := time.Duration(times) * materialLength
	w.rig.record(hour, "live/a", "hour.mp4", 0, 0, long)
	took := time.Hour
	for i := range 8 {
		begin := cpuTime(t) // which other work on the machine does not change much
		a := w.get(http.MethodGet, film("live/a", time.Duration(i)*time.Millisecond, long, ""), "Range", "bytes=0-0")
		if took = min(took, cpuTime(t)-begin); a.status != 206 {
			t.Error(a.status)
		}
	}
	if took > 100*time.Millisecond && !raceEnabled {
		t.Errorf("the first byte takes %v", took)
	}
	t.Log(took)
	begin := time.Now()
	w.get(http.MethodGet, film("live/a", 0, long, ""), "Range", "bytes=1000-2000")
	t.Log("again", time.Since(begin))
	r, err := fmp4.NewReader(bytes.NewReader(w.get(http.MethodGet, film("live/a", long/2, long/2+time.Minute, "")).body), 1<<40)
	if err != nil || len(r.Tracks()) != 2 {
		t.Error(err)
	}
}
