package archive

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/format/m3u8"
	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/protocol/protocoltest"
	"weir/internal/record"
)

// follow returns the address of the media playlist in a multivariant playlist.
func (w *web) follow(path string) string {
	w.t.Helper()
	a := w.get(http.MethodGet, path)
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		w.t.Fatal(path, a.status, string(a.body))
	}
	base, err := url.Parse(w.base + path)
	must(w.t, err)
	next, err := base.Parse(lastLine(a.body))
	must(w.t, err)
	return next.String()
}

// list reads a media playlist.
func (w *web) list(address string) *m3u8.Media {
	w.t.Helper()
	a := w.get(http.MethodGet, address)
	if a.status != 200 || a.header.Get("Content-Type") != playlistType {
		w.t.Fatal(address, a.status, string(a.body))
	}
	m, err := m3u8.ParseMedia(a.body)
	if err != nil {
		w.t.Fatal(err, string(a.body))
	}
	return m
}

// TestVODPlaylist: a range is a VOD playlist of the recorded files' bytes, with a discontinuity and the date and the
// initialization where the next file begins; a player that plays it shows what was recorded.
func TestVODPlaylist(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m, other := encoded(t, "160x90"), encoded(t, "192x108")
	w.rig.record(m, "live/a", "0.mp4", 0, 0, 12*time.Second)
	w.rig.record(m, "live/a", "1.mp4", 20*time.Second, 12*time.Second, 24*time.Second)
	w.rig.record(other, "live/a", "2.mp4", 32*time.Second, 0, 8*time.Second)
	path := "/live/a/index.m3u8?from=" + at(0) + "&to=" + at(time.Minute)
	address := w.follow(path)
	p := w.list(address)
	if p.Type != "VOD" || !p.EndList || p.MediaSequence != 0 {
		t.Errorf("%+v", p)
	}
	var text []string
	for _, s := range p.Segments {
		line := ""
		if s.Discontinuity {
			line += "discontinuity "
		}
		if s.Map != nil {
			line += "map "
		}
		if !s.ProgramDateTime.IsZero() {
			line += s.ProgramDateTime.Sub(epoch).String() + " "
		}
		text = append(text, line+s.Duration.Round(time.Second).String())
	}
	if got, want := strings.Join(text, ", "), "map 0s 4s, 4s, 4s, discontinuity map 20s 4s, 4s, 4s, discontinuity map 32s 4s, 4s"; got != want {
		t.Errorf("\n%s\n%s", got, want)
	}
	want := append(append(pictures(t, filepath.Join(w.dir, "0.mp4")), pictures(t, filepath.Join(w.dir, "1.mp4"))...), pictures(t, filepath.Join(w.dir, "2.mp4"))...)
	base, err := url.Parse(address)
	must(t, err)
	var got []string
	var file []byte
	flush := func() {
		if len(file) > 0 {
			name := filepath.Join(t.TempDir(), "group.mp4")
			must(t, os.WriteFile(name, file, 0o600))
			got = append(got, pictures(t, name)...)
		}
	}
	offset := int64(0)
	for _, s := range p.Segments {
		uri, err := base.Parse(s.URI)
		must(t, err)
		if s.Map != nil {
			flush()
			init, err := base.Parse(s.Map.URI)
			must(t, err)
			file = w.get(http.MethodGet, init.String()).body
		}
		if s.Range.Offset >= 0 {
			offset = s.Range.Offset
		}
		a := w.get(http.MethodGet, uri.String(), "Range", fmt.Sprintf("bytes=%d-%d", offset, offset+s.Range.Length-1))
		if a.status != 206 || int64(len(a.body)) != s.Range.Length {
			t.Fatal(a.status, len(a.body), s.Range)
		}
		file = append(file, a.body...)
		offset += s.Range.Length
	}
	flush()
	if strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("%d pictures of %d, or other ones", len(got), len(want))
	}
	// From the middle on: the first segment is the one that has it, and the player is told how far in.
	p = w.list(w.follow("/live/a/index.m3u8?from=" + at(5*time.Second) + "&to=" + at(11*time.Second)))
	if len(p.Segments) != 2 || p.Segments[0].ProgramDateTime.Sub(epoch) != 4*time.Second || p.Start == nil || p.Start.Offset != time.Second || !p.Start.Precise {
		t.Errorf("%+v %+v", p.Segments, p.Start)
	}
	a := w.get(http.MethodGet, address, "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	must(t, err)
	plain, err := io.ReadAll(z)
	must(t, err)
	if b := w.get(http.MethodGet, address); !bytes.Equal(plain, b.body) || b.header.Get("ETag") == a.header.Get("ETag") {
		t.Error("the compressed playlist is another one")
	}
	if b := w.get(http.MethodGet, address, "Accept-Encoding", "gzip", "If-None-Match", a.header.Get("ETag")); b.status != 304 {
		t.Error(b.status)
	}
	for query, status := range map[string]int{"from=x": 400, "from=" + at(time.Hour) + "&to=" + at(2*time.Hour): 404, "start=-1e99": 400, "start=2099-01-01T00:00:00Z": 400} {
		if a := w.get(http.MethodGet, "/live/a/index.m3u8?"+query); a.status != status {
			t.Error(query, a.status, string(a.body))
		}
	}
	// Live playlists are not ours.
	for _, bad := range []string{"NaN", "-NaN", "-Inf", "-1e9", "99999999999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday", "+5"} {
		a := w.get(http.MethodGet, "/live/a/index.m3u8?start="+url.QueryEscape(bad))
		if want := "start is a time such as 2027-01-31T18:00:00Z, or seconds before now such as -300"; a.status != 400 || !strings.Contains(string(a.body), want) {
			t.Errorf("start=%s: %d, %s", bad, a.status, a.body)
		}
	}
	if a := w.get(http.MethodGet, "/live/a/index.m3u8?start=live"); a.status != 405 {
		t.Error(a.status, string(a.body))
	}
}

// TestC425TimeShift: a start before now is resolved once; the playlist stays the same however often it is asked for, only grows, ends
// once, and is the same after a restart.
func TestC425TimeShift(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	begin := time.Now().Add(-5 * time.Minute).UTC()
	g := w.grows(m, "a.mp4", begin, 7)
	g.grow(11)
	if a := w.get(http.MethodGet, "/live/a/index.m3u8?start=-30"); a.status != 404 {
		t.Error("nothing was recorded in the last 30 s:", a.status)
	}
	address := w.follow("/live/a/index.m3u8?start=-310")
	if strings.Contains(address, "start=-") {
		t.Fatal(address)
	}
	first := w.get(http.MethodGet, address)
	p := w.list(address)
	if p.Type != "EVENT" || p.EndList || p.TargetDuration != targetLeast || len(p.Segments) != 2 || p.MediaSequence != 0 {
		t.Errorf("%s", first.body)
	}
	for range scaled(1000) {
		if a := w.get(http.MethodGet, address, "If-None-Match", first.header.Get("ETag")); a.status != 304 {
			t.Fatal(a.status, string(a.body))
		}
	}
	// It grows: what there was stays.
	g.grow(18)
	var second answer
	w.until(func() bool {
		second = w.get(http.MethodGet, address)
		return !bytes.Equal(second.body, first.body)
	})
	if !bytes.HasPrefix(second.body, first.body) || len(w.list(address).Segments) != 4 {
		t.Errorf("\n%s\n%s", first.body, second.body)
	}
	// It becomes whole, and the stream has ended.
	g.finish()
	var last answer
	w.until(func() bool {
		last = w.get(http.MethodGet, address)
		return bytes.Contains(last.body, []byte("#EXT-X-ENDLIST"))
	})
	// The control of the server, which is for players that come back, goes with the end.
	grown := func(b []byte) []byte {
		_, after, _ := bytes.Cut(b, []byte("#EXT-X-MEDIA-SEQUENCE"))
		return after
	}
	p = w.list(address)
	if !bytes.HasPrefix(grown(last.body), grown(second.body)) || p.Type != "EVENT" || len(p.Segments) != 6 || bytes.Count(last.body, []byte("ENDLIST")) != 1 {
		t.Errorf("\n%s\n%s", second.body, last.body)
	}
	w.server.Stop()
	w.restart(nil)
	w.serve(protocoltest.Options{})
	u, err := url.Parse(address)
	must(t, err)
	again := w.get(http.MethodGet, u.RequestURI())
	if !bytes.Equal(again.body, last.body) {
		t.Errorf("after a restart:\n%s", again.body)
	}
	base, err := url.Parse(w.base + u.RequestURI())
	must(t, err)
	media, err := base.Parse(lastSegment(again.body))
	must(t, err)
	if a := w.get(http.MethodGet, media.String(), "Range", "bytes=100-199"); a.status != 206 || !bytes.Equal(a.body, g.all[100:200]) {
		t.Error("what the playlist refers to cannot be got after a restart:", a.status)
	}
	if got := pictures(t, base.String()); len(got) != 600 {
		t.Errorf("%d pictures", len(got))
	}
}

// TestC426LongTimeShift: a day of time shift for a thousand viewers: the playlist is made once, and what a viewer gets to update it
// is small.
func TestC426LongTimeShift(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	begin := time.Now().Add(-23 * time.Hour).UTC()
	for i := range 23 { // a file an hour
		at := begin.Add(time.Duration(i) * time.Hour)
		id := event.NewID(at)
		x := &mp4.Index{Path: "live/a", Start: at, Init: []byte("init")}
		offset := int64(1000)
		for k := range 3600 {
			size := int64(300000 + (k*7919)%50000)
			x.Fragments = append(x.Fragments, mp4.Fragment{Time: time.Duration(k) * time.Second, Duration: time.Second, Offset: offset, Size: size, Key: k%2 == 0})
			offset += size
		}
		f := record.File{ID: id, Stream: "live/a", Recording: "main", Take: "01KB0000000000000000000000", Dir: w.dir, Name: fmt.Sprint(i, ".mp4"), Format: "mp4", Start: at, Codecs: "avc1.64000b"}
		if i < 22 {
			f.Duration, f.Bytes = time.Hour, offset
			w.add(f)
		} else {
			must(t, w.Begun(f))
		}
		w.media.keep(&volume{id: id, whole: true, index: x})
	}
	address := w.follow("/live/a/index.m3u8?start=" + url.QueryEscape(stamp(begin)))
	p := w.list(address)
	if len(p.Segments) < 20000 || p.ServerControl == nil || p.ServerControl.CanSkipUntil != 6*targetLeast*time.Second {
		t.Fatal(len(p.Segments), p.ServerControl)
	}
	full := w.get(http.MethodGet, address, "Accept-Encoding", "gzip")
	viewers := scaled(1000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	tags := map[string]int{}
	largest := 0
	transport := &http.Transport{MaxIdleConnsPerHost: 20}
	defer transport.CloseIdleConnections()
	begun, used := time.Now(), cpuTime(t)
	for range 20 {
		wg.Go(func() {
			for range viewers / 20 {
				q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"&_HLS_skip=YES", nil)
				if err != nil {
					t.Error(err)
					return
				}
				q.Header.Set("Accept-Encoding", "gzip")
				a, err := transport.RoundTrip(q)
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
				mu.Lock()
				tags[a.Header.Get("ETag")]++
				largest = max(largest, int(n))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(tags) != 1 || largest > 40<<10 {
		t.Error(tags, largest)
	}
	// Each viewer reloads once in a target duration; what their side takes is in it.
	if share := float64(cpuTime(t)-used) / (time.Duration(p.TargetDuration) * time.Second).Seconds() / float64(time.Second); share > 0.05 && !raceEnabled {
		t.Errorf("%d viewers take %.1f %% of a core", viewers, 100*share)
	} else {
		t.Logf("%d segments, %d bytes compressed, %d as an update; %d reloads in %v, %.2f %% of a core with the viewers' own", len(p.Segments), len(full.body), largest, viewers, time.Since(begun), 100*share)
	}
	d := w.get(http.MethodGet, address+"&_HLS_skip=YES")
	u, err := m3u8.ParseMedia(d.body)
	if err != nil || u.Skip == nil || u.Skip.Segments+len(u.Segments) != len(p.Segments) || u.Segments[0].Range.Offset < 0 {
		t.Fatal(err, string(d.body))
	}
	// The first segment of the update is where it is in the whole playlist.
	want := int64(0)
	for i := range u.Skip.Segments + 1 {
		if r := p.Segments[i].Range; r.Offset >= 0 {
			want = r.Offset
		} else {
			want += p.Segments[i-1].Range.Length
		}
	}
	if u.Segments[0].Range.Offset != want {
		t.Errorf("%d instead of %d", u.Segments[0].Range.Offset, want)
	}
	if w.media.held > maxIndexes {
		t.Error(w.media.held)
	}
}
