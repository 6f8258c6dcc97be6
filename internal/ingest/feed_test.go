package ingest

import (
	"errors"
	"testing"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// errBroken stands for what a demuxer says.
var errBroken = errors.New("broken")

// newTestFeed returns a feed, and what it has dropped by reason.
func newTestFeed(t *testing.T, bitrate int64) (*Feed, map[string]int) {
	t.Helper()
	hub := stream.New(stream.Options{})
	t.Cleanup(func() { hub.Close(nil) })
	pub, err := hub.Publish("live/a", stream.Info{})
	if err != nil {
		t.Fatal(err)
	}
	dropped := map[string]int{}
	return NewFeed(pub, Options{Now: hub.Now, Bitrate: func() (int64, bool) { return bitrate, true }, Dropped: func(reason string) { dropped[reason]++ }}), dropped
}

// ends checks what ended a publisher.
func ends(t *testing.T, err, want error, reason session.Reason) {
	t.Helper()
	if !errors.Is(err, want) || session.ReasonOf(err) != reason {
		t.Errorf("%v (%v), want %v (%v)", err, session.ReasonOf(err), want, reason)
	}
}

// TestMalformedMessages: a hundred a minute are dropped, the next ends the publisher. A minute
// begins anew with the first one after it is over.
func TestMalformedMessages(t *testing.T) {
	f, dropped := newTestFeed(t, 0)
	begin := time.Hour
	for i := range 100 {
		if err := f.Malformed(begin+time.Duration(i)*time.Millisecond, errBroken); err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
	}
	for i := range 100 { // the minute is over
		if err := f.Malformed(begin+time.Minute+time.Second, errBroken); err != nil {
			t.Fatalf("message %d of the next minute: %v", i+1, err)
		}
	}
	err := f.Malformed(begin+2*time.Minute+time.Second, errBroken) // exactly a minute is within it
	ends(t, err, ErrMalformed, session.ProtocolError)
	if !errors.Is(err, errBroken) {
		t.Errorf("%v does not say what was broken", err)
	}
	if dropped["malformed"] != 201 {
		t.Errorf("%d are counted", dropped["malformed"])
	}
}

// TestUnknownCodecs: ten seconds of them alone are borne, and any time beside a track that is known.
func TestUnknownCodecs(t *testing.T) {
	f, dropped := newTestFeed(t, 0)
	begin := time.Hour
	for _, after := range []time.Duration{0, time.Second, 10 * time.Second} {
		if err := f.Unknown(begin+after, errBroken); err != nil {
			t.Fatalf("after %v: %v", after, err)
		}
	}
	ends(t, f.Unknown(begin+10*time.Second+1, errBroken), ErrUnusable, session.Unsupported)
	if dropped["unknown_codec"] != 4 {
		t.Errorf("%d are counted", dropped["unknown_codec"])
	}
	if err := f.Write(&av.Frame{Kind: av.Data, Type: av.Script}); err != nil {
		t.Fatal(err)
	}
	ends(t, f.Unknown(begin+time.Minute, errBroken), ErrUnusable, session.Unsupported) // data is no track
	if err := f.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Unknown(begin+time.Hour, errBroken); err != nil {
		t.Errorf("beside sound that is known: %v", err)
	}
}

// TestBitrate: the limit holds over five seconds, to the byte.
func TestBitrate(t *testing.T) {
	const limit, window = 8000, 5000 // bits per second, and bytes in five seconds
	f, _ := newTestFeed(t, limit)
	begin := time.Hour
	if err := f.Meter(begin, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Meter(begin+5*time.Second, window-1); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err := f.Meter(begin+5*time.Second, 1)
	if e, ok := errors.AsType[*BitrateError](err); !ok || e.Max != 8000 || !e.Own || session.ReasonOf(err) != session.Limit {
		t.Errorf("%+v", err)
	}
	if want := "bitrate over the limit: more than 8 kbit/s"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if err := f.Meter(begin+5*time.Second+1, window); err != nil {
		t.Errorf("in the next five seconds: %v", err)
	}
	free, _ := newTestFeed(t, 0)
	if err := free.Meter(begin, 1<<40); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestLargestFrame: a frame may have 8 MiB.
func TestLargestFrame(t *testing.T) {
	f, _ := newTestFeed(t, 0)
	for n, want := range map[int]session.Reason{8 << 20: session.EOF, 8<<20 + 1: session.TooLarge} {
		err := f.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: make([]byte, n)})
		if got := session.ReasonOf(err); got != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
