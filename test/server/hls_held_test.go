package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/server"
	"weir/rtmp"
)

// stepper publishes picture by picture.
type stepper struct {
	*publisher
	tags []rtmp.Message
	at   int
	from uint32
}

// pictures publishes n pictures, and the sound between them.
func (s *stepper) pictures(n int) {
	for n > 0 {
		if s.at == len(s.tags) {
			s.at, s.from = 0, s.from+4000
		}
		m := s.tags[s.at]
		s.at++
		if m.Payload[1] == 0 && s.from > 0 { // a configuration
			continue
		}
		m.Timestamp += s.from
		s.must(s.WriteMessage(&m))
		if m.Type == rtmp.TypeVideo && m.Payload[1] != 0 {
			n--
		}
	}
}

// perPart is how many pictures of 25 a second are in a part.
const perPart = 5

// stepHLS publishes a stream that is played by HLS, and stands still.
func (r *running) stepHLS(path string) (*stepper, *hlsClient) {
	r.t.Helper()
	tags, _, _ := readFLV(r.t, makeFLV(r.t, "320x180"))
	s := &stepper{publisher: r.mustPublish(path), tags: tags}
	s.pictures(50)
	var c *hlsClient
	var wg sync.WaitGroup
	wg.Go(func() { c = r.openHLS(path) })
	ready := make(chan struct{})
	go func() { wg.Wait(); close(ready) }()
	for {
		select {
		case <-ready:
			return s, c
		case <-time.After(20 * time.Millisecond):
			s.pictures(1)
		}
	}
}

// hinted returns the directives that ask for the playlist with the part that comes next.
func (c *hlsClient) hinted() string {
	c.t.Helper()
	u, err := url.Parse(c.playlist("").PreloadHints[0].URI)
	if err != nil {
		c.t.Fatal(err)
	}
	var number, part int
	name := u.Path[strings.LastIndexByte(u.Path, '_')+1:]
	if _, err := fmt.Sscanf(name, "%d.%d.", &number, &part); err != nil {
		c.t.Fatal(name, err)
	}
	return fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", number, part)
}

// shared is the media playlist of nobody in particular, as caches ask for it: one viewer may not have a
// thousand requests held.
func (c *hlsClient) shared() string {
	path, _, _ := strings.Cut(c.media, "?")
	return path + "?"
}

// crowd is many connections that ask for the same.
type crowd struct {
	conns   []net.Conn
	readers []*bufio.Reader
}

func newCrowd(t testing.TB, addr string, n int) *crowd {
	t.Helper()
	c := &crowd{}
	for range n {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		c.conns, c.readers = append(c.conns, nc), append(c.readers, bufio.NewReader(nc))
	}
	return c
}

// ask has all ask.
func (c *crowd) ask(t testing.TB, path string) {
	t.Helper()
	for _, nc := range c.conns {
		if _, err := fmt.Fprintf(nc, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
	}
}

// answers returns the bodies that all got, and how often each came.
func (c *crowd) answers(t testing.TB) map[string]int {
	t.Helper()
	bodies := map[string]int{}
	for _, in := range c.readers {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s, %v", res.Status, b, err)
		}
		bodies[string(b)]++
	}
	return bodies
}

// TestHLSHeldTogether has a thousand requests wait for one part: all get the same playlist, and their places are
// free again.
func TestHLSHeldTogether(t *testing.T) {
	r := start(t, hlsStream(nil))
	s, c := r.stepHLS("live/a")
	all := newCrowd(t, r.Addr("http").String(), 1000)
	for range 3 {
		all.ask(t, c.shared()+c.hinted())
		<-time.After(50 * time.Millisecond)
		s.pictures(perPart)
		if got := all.answers(t); len(got) != 1 {
			t.Fatalf("%d different playlists", len(got))
		}
	}
}

// TestHLSSlowReaders: viewers who do not take the segments that they asked for delay nobody, and hold
// nothing but their connections.
func TestHLSSlowReaders(t *testing.T) {
	r := start(t, func(c *server.Config) {
		hlsStream(nil)(c)
		c.Limits.StreamBitrate = 0
	})
	p := r.mustPublish("live/a")
	tags, _, _ := readFLV(t, makeFLV(t, "320x180"))
	// Pictures of the same kind, with 200 KB each behind the picture proper.
	for i := range tags {
		if m := &tags[i]; m.Type == rtmp.TypeVideo && m.Payload[1] != 0 {
			filler := append([]byte{0, 3, 0xd0, 0x90, 12}, bytes.Repeat([]byte{0xff}, 250_000-1)...) // H.264 filler data (7.3.2.7)
			m.Payload = append(bytes.Clone(m.Payload), filler...)
		}
	}
	s := &stepper{publisher: p, tags: tags}
	s.pictures(50)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			s.pictures(1)
			<-time.After(10 * time.Millisecond)
		}
	})
	defer wg.Wait()
	defer cancel()
	c := r.openHLS("live/a")
	list := c.playlist("")
	for len(list.Segments) < 2 {
		<-time.After(50 * time.Millisecond)
		list = c.playlist("")
	}
	segment := c.dir + list.Segments[0].URI
	if _, b := r.get(segment); len(b) < 4<<20 {
		t.Fatalf("the segment has %d bytes only", len(b))
	}
	for range 100 {
		nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr("http").String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
		if _, err := fmt.Fprintf(nc, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", segment); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		begun := time.Now()
		c.playlist("")
		if res, b := r.get(segment); res.StatusCode != http.StatusOK || len(b) < 4<<20 {
			t.Errorf("%s, %d bytes", res.Status, len(b))
		}
		if d := time.Since(begun); d > 3*time.Second {
			t.Errorf("a playlist and a segment took %v", d)
		}
	}
}
