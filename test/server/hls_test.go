package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/format/m3u8"
	"weir/internal/admit"
	"weir/internal/server"
	"weir/rtmp"
)

// hlsStream configures all streams.
func hlsStream(change func(s *server.StreamConfig)) func(c *server.Config) {
	return func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.Grace = 300 * time.Millisecond
		if change != nil {
			change(&s)
		}
		c.Streams = []server.StreamConfig{s}
	}
}

// get answers a request; header are names and values.
func (r *running) get(path string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	return r.request(http.MethodGet, path, header...)
}

func (r *running) request(method, path string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), tsPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.httpURL(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, b
}

// hlsClient follows one stream.
type hlsClient struct {
	*running
	dir, media string // paths
	multi      *m3u8.Multivariant
	last       *m3u8.Media
}

// openHLS reads the multivariant playlist.
func (r *running) openHLS(path string) *hlsClient {
	r.t.Helper()
	res, b := r.get(path + "/index.m3u8")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/vnd.apple.mpegurl" || res.Header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s %v: %s", res.Status, res.Header, b)
	}
	m, err := m3u8.ParseMultivariant(b)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		r.t.Fatalf("%v\n%s", err, b)
	}
	return &hlsClient{running: r, dir: path + "/", media: path + "/" + m.Variants[0].URI, multi: m}
}

// playlist reads the media playlist, with delivery directives, and holds it to the rules.
func (c *hlsClient) playlist(directives string) *m3u8.Media {
	c.t.Helper()
	path := c.media
	if directives != "" {
		path += "&" + directives
	}
	res, b := c.get(path)
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s", res.Status, b)
	}
	p, err := m3u8.ParseMedia(b)
	if err == nil {
		err = p.Validate()
	}
	if err == nil && c.last != nil {
		err = m3u8.ValidateUpdate(c.last, p)
	}
	if err != nil {
		c.t.Fatalf("%v\n%s", err, b)
	}
	c.last = p
	return p
}

// paced publishes tags ten times as fast as they are.
func paced(p *publisher, tags []rtmp.Message, from uint32) {
	p.t.Helper()
	begun := time.Now()
	for _, m := range tags {
		if d := time.Duration(int32(m.Timestamp-tags[0].Timestamp))*time.Millisecond/10 - time.Since(begun); d > 0 {
			<-time.After(d)
		}
		m.Timestamp += from
		p.must(p.WriteMessage(&m))
	}
}

// endsWith reports whether got, which is not empty, is the end of want.
func endsWith(want, got []string) bool {
	return len(got) > 0 && len(got) <= len(want) && slices.Equal(want[len(want)-len(got):], got)
}

// TestHLSPlayback plays by HLS in both containers: what ffmpeg gets is what was published, from a key
// frame on to the end.
func TestHLSPlayback(t *testing.T) {
	in := makeFLV(t, "320x180")
	tags, _, _ := readFLV(t, in)
	var all []rtmp.Message
	const pass = 4100 // ms; the sound lasts a little longer than the picture
	for i := range uint32(3) {
		for _, m := range tags {
			if i > 0 && m.Payload[1] == 0 {
				continue // a configuration, again
			}
			m.Timestamp += i * pass
			all = append(all, m)
		}
	}
	for _, container := range []string{"fmp4", "ts"} {
		for _, low := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s low=%v", container, low), func(t *testing.T) {
				r := start(t, hlsStream(func(s *server.StreamConfig) { s.HLS.Container, s.HLS.LowLatency = container, low }))
				p := r.mustPublish("live/a")
				n := len(all) / 3
				publishTags(p, all[:n], 0)
				var wg sync.WaitGroup
				wg.Go(func() { paced(p, all[n:], 0) })
				c := r.openHLS("live/a")
				wg.Wait()
				p.must(p.Close())
				r.until("the playlist ends", func() bool { return c.playlist("").EndList })
				media := r.httpURL(c.media)
				for _, kind := range []string{"0:v", "0:a"} {
					if container == "ts" && kind == "0:a" {
						continue // its frames have headers there
					}
					want := append(append(packets(t, in, kind, container == "ts"), packets(t, in, kind, container == "ts")...), packets(t, in, kind, container == "ts")...)
					got := packets(t, media, kind, container == "ts")
					if len(got) < len(want)/2 || !endsWith(want, got) {
						t.Errorf("%s: %d of %d frames, or others", kind, len(got), len(want))
					}
				}
				if v := c.multi.Variants[0]; v.Width != 320 || v.Height != 180 || v.FrameRate != 25 || !strings.Contains(v.Codecs, "avc1.") || !strings.Contains(v.Codecs, "mp4a.40.2") {
					t.Errorf("%+v", v)
				}
			})
		}
	}
}

// packets returns the hash of each packet of a stream in a file or at a URL, or of each
// decoded frame.
func packets(t *testing.T, from, stream string, decoded bool) (sums []string) {
	t.Helper()
	args := []string{"-v", "error"}
	if strings.HasPrefix(from, "http") {
		args = append(args, "-live_start_index", "0")
	}
	args = append(args, "-i", from, "-map", stream)
	if !decoded {
		args = append(args, "-c", "copy")
	}
	for line := range strings.Lines(ffmpegRun(t, append(args, "-f", "framehash", "-hash", "md5", "-")...)) {
		if fields := strings.Split(line, ","); len(fields) == 6 && line[0] != '#' {
			sums = append(sums, strings.TrimSpace(fields[5]))
		}
	}
	return sums
}

// liveHLS publishes for as long as the test lasts.
func (r *running) liveHLS(path string) {
	tags, _, _ := readFLV(r.t.(*testing.T), makeFLV(r.t.(*testing.T), "160x90"))
	p := r.mustPublish(path)
	publishTags(p, tags, 0)
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	r.t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		begun, from := time.Now(), uint32(4000)
		for ctx.Err() == nil {
			for _, m := range tags {
				if m.Payload[1] == 0 {
					continue
				}
				m.Timestamp += from
				due := time.Duration(m.Timestamp-4000) * time.Millisecond / 4
				select {
				case <-time.After(due - time.Since(begun)):
				case <-ctx.Done():
					return
				}
				if p.WriteMessage(&m) != nil {
					return
				}
			}
			from += 4000
		}
	})
}

// TestHLSBlockingReload has requests for a playlist that is not yet there held until it is.
func TestHLSBlockingReload(t *testing.T) {
	r := start(t, hlsStream(nil))
	r.liveHLS("live/a")
	c := r.openHLS("live/a")
	c.playlist("")
	// The hinted part is held as well, and whole.
	hint := c.playlist("").PreloadHints[0].URI
	res, b := r.get(c.dir + hint)
	if res.StatusCode != http.StatusOK || len(b) == 0 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("%s, %d bytes", res.Status, len(b))
	}
	// A delta update is shorter, and is one.
	if full, delta := c.playlist(""), c.mustGet(c.media+"&_HLS_skip=YES"); len(full.Segments) > 7 || len(delta) == 0 {
		t.Errorf("%d segments, delta of %d bytes", len(full.Segments), len(delta))
	}
}

func (c *hlsClient) mustGet(path string) []byte {
	c.t.Helper()
	res, b := c.get(path)
	if res.StatusCode != http.StatusOK {
		c.t.Errorf("%s: %s", res.Status, b)
	}
	return b
}

// TestHLSRequests are requests of every kind, and their answers.
func TestHLSRequests(t *testing.T) {
	r := start(t, hlsStream(nil))
	r.liveHLS("live/a")
	c := r.openHLS("live/a")
	p := c.playlist("")
	segment := p.Segments[0]
	init := c.dir + segment.Map.URI
	media := strings.Split(c.media, "?")[0]
	number := p.MediaSequence + uint64(len(p.Segments))
	res, whole := r.get(c.dir + segment.URI)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "video/mp4" {
		t.Error(res.Status, res.Header)
	}
	for _, q := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"redirect", "GET", "live/a.m3u8?key=x", nil, 302},
		{"HEAD of the first", "HEAD", "live/a/index.m3u8", nil, 200},
		{"HEAD", "HEAD", c.media, nil, 200},
		{"HEAD of a segment", "HEAD", c.dir + segment.URI, nil, 200},
		{"OPTIONS", "OPTIONS", c.media, nil, 204},
		{"OPTIONS of a segment", "OPTIONS", init, []string{"Access-Control-Request-Headers", "range"}, 204},
		{"POST", "POST", c.media, nil, 405},
		{"initialization", "GET", init, nil, 200},
		{"range", "GET", c.dir + segment.URI, []string{"Range", "bytes=10-19"}, 206},
		{"range of the end", "GET", c.dir + segment.URI, []string{"Range", "bytes=-5"}, 206},
		{"range beyond", "GET", c.dir + segment.URI, []string{"Range", "bytes=99999999-"}, 416},
		{"C-222 absurd number", "GET", media + "?_HLS_msn=18446744073709551615", nil, 400},
		{"C-222 far number", "GET", fmt.Sprintf("%s?_HLS_msn=%d", media, number+50), nil, 400},
		{"C-222 negative number", "GET", media + "?_HLS_msn=-1", nil, 400},
		{"C-222 no number", "GET", media + "?_HLS_msn=x", nil, 400},
		{"C-222 part alone", "GET", media + "?_HLS_part=1", nil, 400},
		{"C-222 absurd part", "GET", fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=100000", media, number+3), nil, 400},
		{"bad skip", "GET", media + "?_HLS_skip=no", nil, 400},
		{"old number", "GET", media + "?_HLS_msn=0&_HLS_part=0", nil, 200},
		{"C-230 unknown name", "GET", c.dir + "abcdefghijkl_main_1.m4s", nil, 404},
		{"C-230 unknown rendition", "GET", c.dir + p.PreloadHints[0].URI[:12] + "_side.m3u8", nil, 404},
		{"C-230 number to come", "GET", c.dir + p.PreloadHints[0].URI[:12] + "_main_99999.m4s", nil, 404},
		{"C-230 another stream's", "GET", "live/b/" + segment.URI, nil, 404},
		{"C-230 dots", "GET", "live/a/../a/" + segment.URI, nil, 404},
		{"C-230 a file", "GET", "live/a/%2e%2e%2fetc%2fpasswd", nil, 404},
		{"C-230 a longer path", "GET", "live/a/x/" + segment.URI, nil, 404},
	} {
		res, b := r.request(q.method, q.path, q.header...)
		if res.StatusCode != q.status {
			t.Errorf("%s: %s %.100q", q.name, res.Status, b)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS", q.name)
		}
		if q.name == "redirect" && res.Header.Get("Location") != "./a/index.m3u8?key=x" {
			t.Error(res.Header)
		}
		if q.name == "range" && !bytes.Equal(b, whole[10:20]) {
			t.Errorf("%q", b)
		}
	}

	// Compressed, and known already.
	res, plain := r.get(c.media)
	res2, packed := r.get(c.media, "Accept-Encoding", "gzip")
	if res2.Header.Get("Content-Encoding") != "gzip" || res2.Header.Get("ETag") == res.Header.Get("ETag") || !strings.Contains(res2.Header.Get("Vary"), "Accept-Encoding") {
		t.Error(res2.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil || !bytes.HasPrefix(unpacked, []byte("#EXTM3U")) || len(packed) >= len(plain) {
		t.Error(err)
	}
}

// play asks for the playlist, and then for the media in it.
func (c *hlsClient) play() {
	c.t.Helper()
	for _, s := range c.playlist("").Segments {
		if s.Whole() {
			c.mustGet(c.dir + s.URI)
		}
	}
}

// TestHLSPlaylistsCostNothing: however many viewers ask for playlists and play nothing, others may
// publish and play.
func TestHLSPlaylistsCostNothing(t *testing.T) {
	r := start(t, func(c *server.Config) {
		hlsStream(nil)(c)
		c.Limits.Connections = 4
	})
	r.liveHLS("live/a")
	var last *hlsClient
	for range 20 {
		last = r.openHLS("live/a")
		last.playlist("")
	}
	r.mustPublish("live/b")
	// One segment: media has no id, so that each further one might be another's of those who wait at the address.
	list := last.playlist("").Segments
	last.mustGet(last.dir + list[slices.IndexFunc(list, func(s m3u8.Segment) bool { return s.Whole() })].URI)
	if n := len(r.hlsSessions()); n != 1 {
		t.Errorf("%d sessions of one who plays", n)
	}
}

// TestHLSSentBytes: all that is sent of playlists and media is counted, ranges too.
func TestHLSSentBytes(t *testing.T) {
	for name, directory := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			r := start(t, hlsStream(func(s *server.StreamConfig) { s.HLS.Directory = directory }))
			r.liveHLS("live/a")
			want := uint64(0)
			fetch := func(method, path string, header ...string) []byte {
				_, b := r.request(method, path, header...)
				want += uint64(len(b))
				r.until(fmt.Sprintf("%s %v: %d bytes are counted", method, header, want), func() bool {
					for _, total := range r.sessions.Totals() {
						if total.Protocol == "hls" {
							return total.BytesOut == want
						}
					}
					return false
				})
				return b
			}
			m, err := m3u8.ParseMultivariant(fetch("GET", "live/a/index.m3u8"))
			if err != nil {
				t.Fatal(err)
			}
			media := "live/a/" + m.Variants[0].URI
			p, err := m3u8.ParseMedia(fetch("GET", media))
			if err != nil {
				t.Fatal(err)
			}
			segment := "live/a/" + p.Segments[0].URI
			fetch("GET", segment)
			fetch("GET", segment, "Range", "bytes=10-1009")
			fetch("GET", segment, "Range", "bytes=-7")
			fetch("HEAD", segment)
			fetch("HEAD", segment, "Range", "bytes=10-1009")
			fetch("GET", media)
			fetch("HEAD", media)
		})
	}
}

// TestHLSHead: HEAD is answered as GET is, without a body.
func TestHLSHead(t *testing.T) {
	r := start(t, hlsStream(func(s *server.StreamConfig) {
		s.Play.Wait = 100 * time.Millisecond
		s.Play.Keys = []admit.Key{{Key: "s3cret"}}
	}))
	r.liveHLS("live/a")
	for path, want := range map[string]int{
		"live/a/index.m3u8?key=s3cret":    200,
		"live/a/index.m3u8":               403,
		"live/none/index.m3u8?key=s3cret": 404,
	} {
		res, b := r.request("HEAD", path)
		if res.StatusCode != want || len(b) != 0 {
			t.Errorf("HEAD of %s: %s, %d bytes, want %d", path, res.Status, len(b), want)
		}
	}
}

// TestHLSViewers: whoever plays is a session, with the id that the multivariant playlist gave; it
// ends when it is sent away.
func TestHLSViewers(t *testing.T) {
	r := start(t, hlsStream(nil))
	r.liveHLS("live/a")
	a, b := r.openHLS("live/a"), r.openHLS("live/a")
	if a.media == b.media {
		t.Error("two viewers have one id")
	}
	for range 3 {
		a.playlist("")
		b.playlist("")
	}
	if n := len(r.hlsSessions()); n != 0 {
		t.Errorf("%d sessions before anybody asked for media", n)
	}
	for _, c := range []*hlsClient{a, b} {
		c.play()
	}
	sessions := 0
	var victim string
	for _, s := range r.sessions.List() {
		if s.Protocol == "hls" {
			sessions++
			victim = s.ID
		}
	}
	if sessions != 2 {
		t.Errorf("%d sessions", sessions)
	}
	r.sessions.Kick(victim, nil)
	refused := 0
	for _, c := range []*hlsClient{a, b} {
		if res, _ := r.get(c.media); res.StatusCode == http.StatusForbidden {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of 2 viewers were sent away", refused)
	}
}

// TestHLSKeys: the key is asked for with the first playlist; the id in it stands for the
// key from there on, and without either there is nothing.
func TestHLSKeys(t *testing.T) {
	r := start(t, hlsStream(func(s *server.StreamConfig) { s.Play.Keys = []admit.Key{{Key: "s3cret"}} }))
	r.liveHLS("live/a")
	if res, _ := r.get("live/a/index.m3u8"); res.StatusCode != http.StatusForbidden {
		t.Error(res.Status)
	}
	res, b := r.get("live/a/index.m3u8?key=s3cret")
	if res.StatusCode != http.StatusOK || strings.Contains(string(b), "s3cret") {
		t.Fatalf("%s: %s", res.Status, b)
	}
	m, err := m3u8.ParseMultivariant(b)
	if err != nil {
		t.Fatal(err)
	}
	media := "live/a/" + m.Variants[0].URI
	for path, want := range map[string]int{
		media:                        200,
		strings.Split(media, "?")[0]: 403,
		strings.Split(media, "?")[0] + "?v=wrong":            403,
		strings.Split(media, "?")[0] + "?v=aaaaaaaaaaaaaaaa": 403,
		strings.Split(media, "?")[0] + "?key=s3cret":         200,
	} {
		if res, _ := r.get(path); res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// TestHLSWithoutPicture: streams that HLS cannot play are answered with the reason.
func TestHLSWithoutPicture(t *testing.T) {
	r := start(t, hlsStream(func(s *server.StreamConfig) { s.Play.Wait = 200 * time.Millisecond }))
	if res, b := r.get("live/none/index.m3u8"); res.StatusCode != http.StatusNotFound || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s", res.Status, b)
	}
	off := start(t, hlsStream(func(s *server.StreamConfig) { s.HLS.Enabled = false }))
	if res, b := off.get("live/a/index.m3u8"); res.StatusCode != http.StatusNotFound || !strings.Contains(string(b), "HLS is turned off") {
		t.Errorf("%s: %s", res.Status, b)
	}
}
