package server

import (
	"context"
	"testing"
	"time"

	"weir/av"
	"weir/internal/session"
)

// TestDrain: a server that is told to stop goes on for those who are there, lets nobody else in, and ends once
// they have gone, or when its time is over.
func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		drain  string
		leaves bool // by itself
	}{"they leave": {"1m", true}, "the time is over": {"300ms", false}} {
		t.Run(name, func(t *testing.T) {
			s, err := New(configured(t, "drain="+c.drain), Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			p, err := s.InProcess().PublishLocal(context.Background(), "live/a")
			if err != nil {
				t.Fatal(err)
			}
			write := func() error {
				return p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}})
			}
			begun := time.Now()
			stop()
			for refused := false; !refused; time.Sleep(time.Millisecond) {
				if err := write(); err != nil {
					t.Fatal("who was there was ended at once:", err)
				}
				q, err := s.InProcess().PublishLocal(context.Background(), "live/b")
				if refused = session.ReasonOf(err) == session.Shutdown; !refused && err == nil {
					q.Close()
				}
				if time.Since(begun) > 10*time.Second {
					t.Fatal("others are let in:", err)
				}
			}
			if s.ready.Load() {
				t.Error("it says that it is ready")
			}
			if c.leaves {
				p.Close()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			switch took := time.Since(begun); {
			case c.leaves && took > 20*time.Second:
				t.Errorf("it took %v, though nobody was there any more", took)
			case !c.leaves && took < 300*time.Millisecond:
				t.Errorf("it took %v", took)
			case !c.leaves && write() == nil:
				t.Error("who did not leave was not ended")
			}
		})
	}
}
