package server_test

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"weir/internal/server"
	"weir/rtmp"
)

// A player that acknowledges nothing is sent all the same: back-pressure is the socket's.
func TestC075_PlayerThatNeverAcknowledges(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 1)
	player := r.raw().connect("live").command(0, "createStream", 2.0, nil)
	player.command(1, "play", 3.0, nil, "a")
	var last uint32
	read := func(until uint32) {
		for last < until {
			m, err := player.next()
			if err != nil {
				t.Fatalf("after frame %d: %v", last, err)
			}
			if m.Type == rtmp.TypeVideo && m.Payload[1] == 1 {
				last, _ = numberOf(m.Payload)
			}
		}
	}
	const size, frames = 100_000, 120 // 12 MB: more than four windows
	for i := uint32(10); i < 10+frames; i++ {
		p.must(p.video(i*40, videoFrame(i%10 == 0, i, size)))
		if i >= 20 { // it has joined by then, at the latest
			read(i)
		}
	}
}

// A publisher that vanishes without a word, as behind a firewall that drops everything, is
// noticed, and its stream is free again.
func TestC082_PublisherThatVanishes(t *testing.T) {
	r := start(t, func(c *server.Config) {
		c.RTMP.IdleTimeout = 300 * time.Millisecond
		s := server.DefaultStream()
		s.Publish.OnConflict = "reject"
		c.Streams = []server.StreamConfig{s}
	})
	// It sends no byte more, not even an answer to the ping: it reads nothing.
	gone := r.raw().connect("live").command(0, "createStream", 2.0, nil)
	gone.command(1, "publish", 3.0, nil, "a", "live")
	gone.status("NetStream.Publish.Start")
	gone.message(rtmp.TypeVideo, 1, 0, videoFrame(true, 1, 100))
	r.arrived("live/a", 1)
	if _, err := r.publish(t.Context(), "live/a"); err == nil {
		t.Fatal("a second publisher was let in")
	}
	r.until("the end of a publisher that vanished", func() bool { return !r.live("live/a") })
	r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="idle",role="publish"}`, "1")
	r.mustPublish("live/a")
}

// One player that reads a byte at a time does not keep the others from a single frame.
func TestC210_OneSlowPlayerAmongMany(t *testing.T) {
	const others = 50
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 1)
	slow := r.tcp("http")
	if _, err := io.WriteString(slow, "GET /live/a.flv HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var players [others]*rtmp.PlayStream
	for i := range players {
		players[i] = r.mustPlay("live/a")
		next(t, players[i], rtmp.TypeVideo)
	}
	one := make([]byte, 1)
	for i := uint32(10); i < 110; i++ {
		p.must(p.video(i*40, videoFrame(i%10 == 0, i, 50_000)))
		if _, err := slow.Read(one); err != nil {
			t.Fatal(err)
		}
		for k, play := range players {
			for got := uint32(0); got < i; {
				m := next(t, play, rtmp.TypeVideo)
				if m.Payload[1] == 0 {
					continue
				}
				if got = binary.BigEndian.Uint32(m.Payload[10:]); got != i && i > 10 {
					t.Fatalf("player %d got frame %d, not %d", k, got, i)
				}
			}
		}
	}
	if n := r.metric("weir_player_skips_total"); n != "0" {
		t.Errorf("%s skips", n)
	}
}
