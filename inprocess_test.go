package weir_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"weir"
	"weir/av"
)

// run runs a server without listeners that others could reach until the test ends.
func run(t *testing.T, change func(*weir.Config)) *weir.Server {
	t.Helper()
	c := weir.DefaultConfig()
	c.RTMP.Listen = ""
	c.HTTP.Listen, c.Admin.Listen = "", ""
	if change != nil {
		change(&c)
	}
	s, err := weir.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestInProcessPathRules: what is part of the program comes through the same door as others.
func TestInProcessPathRules(t *testing.T) {
	s := run(t, nil)
	for path, want := range map[string]string{
		"live/snapshot.jpg": `the name is reserved: "snapshot.jpg"`,
		"live/whip":         `the name is reserved: "whip"`,
		"_weir/a":           `the name is reserved: "_weir"`,
		"alone":             "it is app/name, of 2 to 16 segments, such as live/cam",
	} {
		if _, err := s.Publish(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if _, err := s.Play("alone"); err == nil || !strings.Contains(err.Error(), "it is app/name") {
		t.Error(err)
	}
}

// TestInProcessLimits: limits hold for what is part of the program, and places are given back.
func TestInProcessLimits(t *testing.T) {
	s := run(t, func(c *weir.Config) { c.Limits.Connections = 2 })
	for range 3 { // what was closed counts no more
		p, err := s.Publish(t.Context(), "live/a")
		if err != nil {
			t.Fatal(err)
		}
		q, err := s.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Play("live/a"); err == nil || !strings.Contains(err.Error(), "limits.connections (2) is reached") {
			t.Errorf("a third: %v", err)
		}
		p.Close()
		q.Close()
	}
}

// TestInProcessContext: the context of Publish ends the stream, without grace.
func TestInProcessContext(t *testing.T) {
	s := run(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := s.Publish(ctx, "live/a")
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Play("live/a")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := p.WriteFrame(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	bounded, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	if _, err := q.ReadFrame(bounded); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := q.ReadFrame(bounded); !errors.Is(err, io.EOF) {
		t.Errorf("the player was told %v", err)
	}
	for {
		if err := p.WriteFrame(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
			break
		}
		if bounded.Err() != nil {
			t.Fatal("the publisher goes on")
		}
	}
	p.Close()
}
