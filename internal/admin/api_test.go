package admin

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

func TestAStreamWhosePublisherFallsSilentIsStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := stream.New(stream.Options{})
		defer hub.Close(errors.New("the test is over"))
		pub, err := hub.Publish("live/a", stream.Info{Session: "p"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			at := time.Duration(i) * 40 * time.Millisecond
			f := av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: at, PTS: at, Payload: make([]byte, 1000)}
			if err := pub.Write(&f); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Millisecond)
		}
		admin := New(Config{Hub: hub, Metrics: http.NotFoundHandler(), Sessions: session.New(session.Limits{}, session.Observer{})})
		describeStream := admin.describeStream
		const rate = 25 * 1000 * 8
		if s := describeStream(pub.Stream()); s.Stalled || s.Silent != 0.04 || s.Bitrate < rate*9/10 || s.Bitrate > rate*11/10 {
			t.Errorf("while it sends: %+v", s)
		}
		time.Sleep(1960 * time.Millisecond)
		if s := describeStream(pub.Stream()); !s.Stalled || s.Silent != 2 || s.Bitrate != 0 || !s.Live {
			t.Errorf("after 2 s of silence: %+v", s)
		}
		pub.Close(nil)
		if s := describeStream(pub.Stream()); s.Stalled || s.Silent != 0 || s.Live {
			t.Errorf("without a publisher: %+v", s)
		}
	})
}
