package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// startFloor runs a floor and returns its address.
func startFloor(t *testing.T, gather time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan net.Addr, 1)
	var wg sync.WaitGroup
	var report FloorReport
	wg.Go(func() {
		var err error
		report, err = Floor(ctx, FloorConfig{Listen: "127.0.0.1:0", Gather: gather, Listening: func(a net.Addr) { listening <- a }})
		if err != nil {
			t.Error(err)
			listening <- nil
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if report.Dropped > 0 || report.Received == 0 {
			t.Errorf("floor: %+v", report)
		}
	})
	a := <-listening
	if a == nil {
		t.FailNow()
	}
	return a.String()
}

// clean fails unless all started and nothing was lost.
func clean(t *testing.T, what string, g GroupReport) {
	t.Helper()
	if g.Started != g.Players || len(g.Failed) > 0 || g.Frames == 0 ||
		g.Lost+g.Repeated+g.Reordered+g.Torn+g.Misdirected+g.Unstamped+g.Restarts != 0 {
		t.Errorf("%s: %+v", what, g)
	}
}

func TestFloor(t *testing.T) {
	for _, gather := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(gather.String(), func(t *testing.T) {
			url := fmt.Sprintf("rtmp://%s/live/s%%d", startFloor(t, gather))
			r, err := Players(t.Context(), PlayersConfig{
				URL: url, Publish: url, Players: 12, Streams: 3, Duration: 500 * time.Millisecond, Join: 5 * time.Second,
				Bitrate: usualBitrate, Pid: os.Getpid(),
			})
			if err != nil {
				t.Fatal(err)
			}
			clean(t, "players", r.Main)
			if r.Latency.Count == 0 || r.Latency.P50 <= 0 || r.Latency.P50 > r.Latency.P99 || r.Latency.P99 > r.Latency.Max {
				t.Errorf("latency %+v", r.Latency)
			}
			if r.FirstFrame.Count != 12 || r.Server.CPUSeconds <= 0 || r.Server.MemoryAfter <= 0 || r.Server.CPUPerGB <= 0 {
				t.Errorf("first frame %+v, server %+v", r.FirstFrame, r.Server)
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "12 of 12 started") {
				t.Errorf("text %q, %v", text.String(), err)
			}
		})
	}
}

// TestFloor_Slow: slow players of a floor that keeps everything get whole frames, late.
func TestFloor_Slow(t *testing.T) {
	url := fmt.Sprintf("rtmp://%s/live/a", startFloor(t, 0))
	r, err := Players(t.Context(), PlayersConfig{
		URL: url, Publish: url, Players: 10, Streams: 1, Slow: 2, SlowRate: 200_000, Duration: time.Second, Join: 5 * time.Second, Bitrate: 20_000_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	clean(t, "players", r.Main)
	clean(t, "slow players", *r.Slow)
	if r.Main.Players != 8 || r.Slow.Players != 2 || r.Slow.Bytes/2 > r.Main.Bytes/8/2 {
		t.Errorf("players %+v, slow players %+v", r.Main, *r.Slow)
	}
}

func TestStorm(t *testing.T) {
	url := fmt.Sprintf("rtmp://%s/live/a", startFloor(t, 0))
	r, err := Storm(t.Context(), StormConfig{
		URL: url, Publish: url, Players: 5, Joins: 10, Over: 100 * time.Millisecond, Streams: 1,
		Duration: 300 * time.Millisecond, Join: 5 * time.Second, Bitrate: usualBitrate,
	})
	if err != nil {
		t.Fatal(err)
	}
	clean(t, "players", r.Main)
	clean(t, "joined", r.Joined)
	if r.Before.Count == 0 || r.During.Count == 0 || r.FirstFrame.Count != 10 {
		t.Errorf("before %+v, during %+v, first frame %+v", r.Before, r.During, r.FirstFrame)
	}
}

func TestPublishers(t *testing.T) {
	published := false
	r, err := Publishers(t.Context(), PublishersConfig{
		URL: fmt.Sprintf("rtmp://%s/live/s%%d", startFloor(t, 0)), Streams: 5, Bitrate: usualBitrate,
		Duration: 300 * time.Millisecond, Pid: os.Getpid(), Publishing: func() { published = true },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !published || r.Frames == 0 || r.Bytes == 0 || len(r.Failed) > 0 || r.Lateness.Count == 0 || r.Server == nil {
		t.Errorf("%+v", r)
	}
}

// TestPlayers_TLS: some look into their stream, the others leave the ciphertext as it is.
func TestPlayers_TLS(t *testing.T) {
	plain := startFloor(t, 0)
	addr := terminateTLS(t, plain)
	r, err := Players(t.Context(), PlayersConfig{
		URL: fmt.Sprintf("rtmps://%s/live/a", addr), Publish: fmt.Sprintf("rtmps://%s/live/a", addr), Players: 8, Sample: 2, Streams: 1,
		Duration: 500 * time.Millisecond, Join: 5 * time.Second, Bitrate: usualBitrate, Insecure: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	clean(t, "players", r.Main)
	if perPlayer := r.Bytes / 8; perPlayer < 50_000 {
		t.Errorf("%d bytes a player", perPlayer)
	}
}

// terminateTLS accepts TLS and passes it on in plain.
func terminateTLS(t *testing.T, to string) string {
	t.Helper()
	pair := httptest.NewTLSServer(nil)
	conf := pair.TLS.Clone()
	conf.NextProtos = nil
	pair.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				_ = c.Close()
				continue
			}
			pass := func(dst, src net.Conn) {
				_, _ = io.Copy(dst, src)
				_ = dst.Close()
				_ = src.Close()
			}
			wg.Go(func() { pass(up, c) })
			wg.Go(func() { pass(c, up) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}
