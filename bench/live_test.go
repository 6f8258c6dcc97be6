package bench

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/amf"
)

// statusOf is the information object of a status.
func statusOf(level, code string) amf.Object {
	return amf.Object{{Key: "level", Value: level}, {Key: "code", Value: code}}
}

// flvServer answers every request with the tags that write makes.
func flvServer(t *testing.T, write func(w io.Writer, tags *tagWriter)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(flvStart)
		write(w, &tagWriter{clock: newClock()})
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// tagWriter makes stamped tags.
type tagWriter struct {
	clock  clock
	stream uint32
	run    uint32
}

func (w *tagWriter) frame(seq uint32, key bool) []byte {
	b := videoFrame(500, key)
	s := stamp{run: w.run, stream: w.stream, seq: seq, sent: w.clock.now()}
	s.put(b[stampVideo:])
	binary.BigEndian.PutUint32(b[len(b)-stampTail:], s.tail())
	return tag(typeVideo, b)
}

// few is a short measurement of one player.
func few(url string) PlayersConfig {
	return PlayersConfig{URL: url, Players: 1, Streams: 1, Duration: 50 * time.Millisecond, Join: 5 * time.Second, Bitrate: usualBitrate}
}

// TestPlayers_Faults: what a server does wrong is counted, each by its own name.
func TestPlayers_Faults(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(w io.Writer, tags *tagWriter)
		want  GroupReport
	}{
		{"nothing wrong", func(w io.Writer, tags *tagWriter) {
			_, _ = w.Write(tag(typeVideo, videoHeader))
			for i := range uint32(5) {
				_, _ = w.Write(tags.frame(10+i, i == 0))
			}
		}, GroupReport{Started: 1, Frames: 5}},
		{"lost, repeated, reordered", func(w io.Writer, tags *tagWriter) {
			for _, n := range []uint32{0, 1, 4, 4, 3, 5} {
				_, _ = w.Write(tags.frame(n, n == 0))
			}
		}, GroupReport{Started: 1, Frames: 6, Lost: 1, Repeated: 1, Reordered: 1}},
		{"begins without a key frame", func(w io.Writer, tags *tagWriter) {
			_, _ = w.Write(tags.frame(0, false))
		}, GroupReport{Started: 1, Frames: 1, Keyless: 1}},
		{"the end of another frame", func(w io.Writer, tags *tagWriter) {
			b := tags.frame(0, true)
			copy(b[len(b)-8:], b[100:104])
			_, _ = w.Write(b)
		}, GroupReport{Started: 1, Frames: 1, Torn: 1}},
		{"framing lost", func(w io.Writer, tags *tagWriter) {
			b := tags.frame(0, true)
			_, _ = w.Write(append(b, b[50:]...))
		}, GroupReport{Started: 1, Frames: 1, Torn: 1, Failed: map[string]int{"lost the framing: tag type 77": 1}}},
		{"another stream, another program, another publisher", func(w io.Writer, tags *tagWriter) {
			_, _ = w.Write(tags.frame(0, true))
			other := *tags
			other.stream = 9
			_, _ = w.Write(other.frame(0, true))
			_, _ = w.Write(tag(typeVideo, videoFrame(500, true)))
			other = *tags
			other.run = 5
			_, _ = w.Write(other.frame(700, true))
		}, GroupReport{Started: 1, Frames: 4, Misdirected: 1, Unstamped: 1, Restarts: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Players(t.Context(), few(flvServer(t, c.write)+"/live/a.flv"))
			if err != nil {
				t.Fatal(err)
			}
			got := r.Main
			if len(got.Failed) != len(c.want.Failed) && !strings.HasPrefix(mostFrequent(got.Failed), "lost the framing") {
				t.Errorf("failed: %v, want %v", got.Failed, c.want.Failed)
			}
			c.want.Players, c.want.Bytes, c.want.Failed, got.Failed = 1, got.Bytes, nil, nil
			if !sameGroup(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func sameGroup(a, b GroupReport) bool {
	a.Failed, b.Failed = nil, nil
	return a.Players == b.Players && a.Started == b.Started && a.Bytes == b.Bytes && a.Frames == b.Frames && a.Lost == b.Lost &&
		a.Repeated == b.Repeated && a.Reordered == b.Reordered && a.Torn == b.Torn && a.Misdirected == b.Misdirected &&
		a.Unstamped == b.Unstamped && a.Restarts == b.Restarts && a.Keyless == b.Keyless
}

func TestPlayers_Refused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ url, want string }{
		{s.URL + "/a.flv", "refused: http 404 Not Found"},
		{"ws://" + s.Listener.Addr().String() + "/a.flv", "refused: http 404 Not Found"},
		{"rtmp://" + s.Listener.Addr().String() + "/live/a", "server"}, // it speaks HTTP
		{"http://" + nobody + "/a.flv", "connection refused"},
		{"https://" + nobody + "/a.flv", "connection refused"},
		{"gopher://h/", "bad URL"},
	} {
		conf := few(c.url)
		if _, err := Players(t.Context(), conf); err == nil || !strings.Contains(err.Error(), c.want) && c.want != "server" {
			t.Errorf("%s: got %v, want %s", c.url, err, c.want)
		}
	}
	if _, err := Publishers(t.Context(), PublishersConfig{URL: "rtmp://" + nobody + "/live/a", Streams: 3, Bitrate: usualBitrate}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("publishing to nobody: %v", err)
	}
}

func TestConfig_Bounds(t *testing.T) {
	ok := few("http://h/a.flv")
	for name, change := range map[string]func(*PlayersConfig){
		"no players":        func(c *PlayersConfig) { c.Players = 0 },
		"too many players":  func(c *PlayersConfig) { c.Players = maxPlayers + 1 },
		"no streams":        func(c *PlayersConfig) { c.Streams = 0 },
		"slower than all":   func(c *PlayersConfig) { c.Slow = 2 },
		"negative sample":   func(c *PlayersConfig) { c.Sample = -1 },
		"slower than slow":  func(c *PlayersConfig) { c.Slow, c.SlowRate = 1, 10 },
		"no duration":       func(c *PlayersConfig) { c.Duration = 0 },
		"bad bit rate":      func(c *PlayersConfig) { c.Publish, c.Bitrate = "rtmp://h/a/b", 1 },
		"publishing by FLV": func(c *PlayersConfig) { c.Publish = "http://h/a/b" },
	} {
		c := ok
		change(&c)
		if _, err := Players(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSpreader(t *testing.T) {
	s := spreader{total: 100, slow: 10, sample: 7}
	slow, sampled := 0, 0
	for i := range 100 {
		a, b := s.next(i)
		if a {
			slow++
		}
		if !a && !b {
			sampled++
		}
	}
	if slow != 10 || sampled < 6 || sampled > 7 {
		t.Errorf("%d slow, %d looked into", slow, sampled)
	}
}

// TestPlayers_Cancelled: the end of the context ends a measurement at once.
func TestPlayers_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	url := flvServer(t, func(w io.Writer, tags *tagWriter) {
		_, _ = w.Write(tags.frame(0, true))
		once.Do(cancel)
	})
	c := few(url + "/a.flv")
	c.Duration = time.Hour
	if _, err := Players(ctx, c); err == nil {
		t.Error("no error")
	}
}
