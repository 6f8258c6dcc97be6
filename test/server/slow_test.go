package server_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/internal/server"
	"weir/rtmp"
)

// TestC209_PlayerThatStopsReadingIsClosedAndHurtsNobody opens a player that reads nothing
// beside one that reads.
func TestC209_PlayerThatStopsReadingIsClosedAndHurtsNobody(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Slow.MaxStall = 1e9
		c.Streams = []server.StreamConfig{s}
	})
	p := r.mustPublish("live/a")
	publishSome(p, 0, 1)
	stuck, err := net.Dial("tcp", r.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	if _, err := stuck.Write([]byte("GET /live/a.flv HTTP/1.1\r\nHost: h\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	good := r.mustPlay("live/a")
	stalled := func() bool {
		_, body := get(t, r.adminURL("/metrics"))
		return strings.Contains(body, `weir_session_closed_total{protocol="http-flv",reason="stalled",role="play"} 1`)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := uint32(0)
	for i := uint32(1); !stalled(); i++ {
		if i > 2000 {
			t.Fatal("the player that does not read is still there")
		}
		p.must(p.video(i*40, videoFrame(i%10 == 0, i, 200_000)))
		for last < i {
			m := next(t, good, rtmp.TypeVideo)
			if m.Payload[1] == 0 {
				continue
			}
			n, _ := numberOf(m.Payload)
			if n > last+1 {
				t.Fatalf("the player that reads got frame %d after %d", n, last)
			}
			last = n
		}
		<-tick.C
	}
}

// TestC254_PublisherOverItsBitrate sends 100,000 bytes at a time to a server that takes 1 Mbit/s, which is
// 625,000 bytes in the five seconds over which it measures: six frames pass, the seventh ends it.
func TestC254_PublisherOverItsBitrate(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.StreamBitrate = 1e6 })
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	for i := range uint32(6) {
		p.must(p.video(i*40, videoFrame(i == 0, i, 100_000)))
	}
	r.arrived("live/a", 6)
	select {
	case <-p.Done():
		t.Fatalf("closed below its bitrate: %v", p.Err())
	default:
	}
	_ = p.video(240, videoFrame(false, 6, 100_000)) // fails if it is closed before all of it is sent
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("it is not closed")
	}
	var st *rtmp.StatusError
	if err := p.Err(); !errors.As(err, &st) || st.Code != rtmp.CodePublishRejected || !strings.Contains(st.Description, "1000 kbit/s") {
		t.Errorf("the publisher is told %v", err)
	}
	if n := r.hub.Get("live/a").Stats().Frames[av.Video]; n != 6 {
		t.Errorf("%d frames were taken, want 6", n)
	}
}

func TestC214_PublisherKickedDuringAPlayersStart(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	for i := range uint32(50) {
		p.must(p.video(i*40, videoFrame(i == 0, i, 100_000)))
	}
	play := r.mustPlay("live/a")
	for _, s := range r.sessions.List() {
		if s.Role().String() == "publish" {
			s.Kick(nil)
		}
	}
	begin := time.Now()
	for {
		if _, err := play.ReadMessage(); err == nil {
			continue
		}
		// A kicked publisher is not waited for: the end comes at once.
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("the end came after %v", d)
		}
		return
	}
}

func TestC190_AudioFarAheadOfVideo(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	p.must(p.audio(0, audioHeader))
	for i := range uint32(20) {
		p.must(p.video(i*40, videoFrame(i == 0, i, 100)))
		p.must(p.audio(i*40+5000, []byte{0xaf, 1, 0x21, byte(i)}))
	}
	play := r.mustPlay("live/a")
	offsets := map[byte]uint32{}
	var v0, a0 uint32
	for len(offsets) < 10 {
		m := next(t, play, rtmp.TypeVideo, rtmp.TypeAudio)
		switch {
		case m.Payload[1] == 0:
		case m.Type == rtmp.TypeVideo:
			v0 = m.Timestamp
		case bytes.Equal(m.Payload[:3], []byte{0xaf, 1, 0x21}):
			a0 = m.Timestamp
			offsets[m.Payload[3]] = a0 - v0
		}
	}
	for i, d := range offsets {
		if d != 5000 {
			t.Errorf("frame %d: audio is %d ms ahead", i, d)
		}
	}
}
