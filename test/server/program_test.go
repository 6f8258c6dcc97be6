package server_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"weir"
	"weir/rtmp"
)

// decided runs a server whose program decides.
func decided(t *testing.T, decide func(ctx context.Context, r weir.Request) (weir.Grant, error)) *weir.Server {
	t.Helper()
	c := weir.DefaultConfig()
	c.RTMP.Listen, c.HTTP.Listen, c.Admin.Listen = "127.0.0.1:0", "", ""
	s, err := weir.New(c, weir.Decide(decide))
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

// publishOne publishes one picture of sound.
func publishOne(t *testing.T, s *weir.Server, stream string) (*rtmp.PublishStream, error) {
	t.Helper()
	c, err := rtmp.Dial(t.Context(), s.URL("rtmp")+"/"+stream, rtmp.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p, err := c.Publish(t.Context())
	if err != nil {
		return nil, err
	}
	mp3 := []byte{0x2f, 0xff, 0xfb, 0x90, 0x64}
	return p, p.WriteMessage(&rtmp.Message{Type: rtmp.TypeAudio, Payload: mp3})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("waited in vain: ", what)
		}
	}
}

// TestProgramDecides: who it lets in is known under the public name and with its terms; who it refuses is told why;
// what it lists it can end.
func TestProgramDecides(t *testing.T) {
	s := decided(t, func(_ context.Context, r weir.Request) (weir.Grant, error) {
		if r.Path != "live/hunter2" {
			return weir.Grant{}, errors.New("ask Ann for a key")
		}
		return weir.Grant{Path: "live/ann", User: "ann", Labels: map[string]string{"plan": "pro"}}, nil
	})
	if _, err := publishOne(t, s, "live/bob"); err == nil || !strings.Contains(err.Error(), "ask Ann for a key") {
		t.Errorf("refused with %v", err)
	}
	if _, err := publishOne(t, s, "live/hunter2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream has begun", func() bool { i, ok := s.Stream("live/ann"); return ok && !i.Started.IsZero() })
	i, _ := s.Stream("live/ann")
	if !i.Live || i.Bytes == 0 || len(i.Tracks) != 1 || i.Publisher == "" {
		t.Errorf("%+v", i)
	}
	if len(s.Streams()) != 1 {
		t.Errorf("%+v", s.Streams())
	}
	list := s.Sessions()
	at := slices.IndexFunc(list, func(x weir.SessionInfo) bool { return x.Role == "publish" })
	if at < 0 || list[at].ID != i.Publisher || list[at].Stream != "live/ann" || list[at].User != "ann" || list[at].Labels["plan"] != "pro" {
		t.Fatalf("%+v", list)
	}
	if !s.Kick(list[at].ID) || s.Kick("nobody") {
		t.Error("the publisher could not be ended, or one that there is not could")
	}
	eventually(t, "the stream has ended", func() bool { _, ok := s.Stream("live/ann"); return !ok })
	if _, err := publishOne(t, s, "live/hunter2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is live again", func() bool { i, ok := s.Stream("live/ann"); return ok && i.Live })
	if !s.EndStream("live/ann") || s.EndStream("live/none") {
		t.Error("the stream could not be ended, or one that there is not could")
	}
	eventually(t, "the stream has ended again", func() bool { _, ok := s.Stream("live/ann"); return !ok })
}

// TestProgramBoundsTheTime: a publisher ends when its grant does, and is told so.
func TestProgramBoundsTheTime(t *testing.T) {
	s := decided(t, func(context.Context, weir.Request) (weir.Grant, error) {
		return weir.Grant{Duration: 300 * time.Millisecond}, nil
	})
	begun := time.Now()
	if _, err := publishOne(t, s, "live/a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was ended", func() bool { _, ok := s.Stream("live/a"); return !ok })
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
}
