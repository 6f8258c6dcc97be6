package protocoltest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/internal/protocol"
	"weir/internal/session"
)

// Suite is what the suite must know of a protocol.
type Suite struct {
	protocol.Entry
	// Listener is the name of the protocol's listener; "http" for those spoken over HTTP.
	Listener string
	// Options are those that the protocol needs on all servers of the suite.
	Options Options
	// Play opens a player of a stream at the listener's address. It fails with what the player is
	// told. Once ctx ends it does not wait any longer.
	Play func(ctx context.Context, addr, path string) (Player, error)
	// Publish opens a publisher, likewise; nil of a protocol that nobody publishes by.
	Publish func(ctx context.Context, addr, path string) (Publisher, error)
	// Opening is what a player of the path sends until it plays. What is left of it when it was cut
	// or damaged must not hurt anybody.
	Opening func(path string) []byte
	// PlayerTold and PublisherTold are what is in the error of a client that is refused, by the reason.
	// A reason that is not there closes the connection without a word.
	PlayerTold, PublisherTold map[session.Reason]string
	// Visits says that a player is a series of requests and no connection: it cannot be slow, and has a
	// session only from one of its later requests on.
	Visits bool
}

// Player is a client that plays.
type Player interface {
	// Next returns the next frame of the stream, of any type. It fails once the stream or the
	// player has ended, and when Close is called meanwhile.
	Next() (av.Frame, error)
	Close()
}

// Publisher is a client that publishes.
type Publisher interface {
	Writer
	// Wait returns what ended the publisher, once something but Close has.
	Wait() error
	Close()
}

// Run holds a protocol to what every protocol promises.
func Run(t *testing.T, s Suite) {
	for _, c := range []struct {
		name string
		may  bool
		test func(t *testing.T, s *Suite)
	}{
		{"play", true, testPlay},
		{"play before publish", true, testWait},
		{"publish", s.Publish != nil, testPublish},
		{"takeover", true, testTakeover},
		{"takeover by its publishers", s.Publish != nil, testPublisherTakeover},
		{"kick", true, testKick},
		{"kick of a publisher", s.Publish != nil, testPublisherKick},
		{"slow player", !s.Visits, testSlow},
		{"garbage", true, testGarbage},
		{"stop", true, testStop},
		{"limits", true, testLimits},
		{"limits of publishers", s.Publish != nil, testPublisherLimits},
		{"reasons", true, testReasons},
		{"reasons of publishers", s.Publish != nil, testPublisherReasons},
		{"paths", true, testPaths},
	} {
		if c.may {
			t.Run(c.name, func(t *testing.T) { c.test(t, &s) })
		}
	}
}

// bench is a server of the suite's.
type bench struct {
	*Server
	*Suite
	t *testing.T
}

// start runs the protocol on a server that must leave nothing behind.
func (s *Suite) start(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after the server's own, which is registered later
	opt := s.Options
	if change != nil {
		change(&opt)
	}
	return &bench{Start(t, opt, s.Entry), s, t}
}

func (b *bench) addr() string { return b.Addr(b.Listener) }

// player reads a stream.
type player struct {
	Player
	t *testing.T
}

// play opens a player that must be let in.
func (b *bench) play(path string) *player {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	p, err := b.Play(ctx, b.addr(), path)
	if err != nil {
		b.t.Fatalf("playing %s: %v", path, err)
	}
	b.t.Cleanup(p.Close)
	return &player{p, b.t}
}

// publish opens a publisher that must be let in.
func (b *bench) publish(path string) Publisher {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	p, err := b.Publish(ctx, b.addr(), path)
	if err != nil {
		b.t.Fatalf("publishing %s: %v", path, err)
	}
	b.t.Cleanup(p.Close)
	return p
}

// next returns the next frame of video or sound.
func (p *player) next() (heard, error) {
	late := time.AfterFunc(Patience, p.Close)
	defer late.Stop()
	for {
		f, err := p.Next()
		if err != nil {
			return heard{}, err
		}
		if h, ok := hear(&f); ok {
			return h, nil
		}
	}
}

// read reads until n frames of video came, which must be a part of what a source sends: whole, in
// order, at the right times, from a key frame on.
func (p *player) read(n int) (got []heard) {
	p.t.Helper()
	for video := 0; video < n; {
		h, err := p.next()
		if err != nil {
			p.t.Fatalf("after %d frames of video: %v", video, err)
		}
		if h.kind == av.Video {
			video++
		}
		got = append(got, h)
	}
	check(p.t, got)
	if !slices.ContainsFunc(got, func(h heard) bool { return h.kind == av.Audio }) {
		p.t.Error("there is no sound")
	}
	return got
}

// tolerance is how far a time may be from the right one: half a tick of the coarsest clock.
const tolerance = time.Millisecond / 2

// check holds what came from one source to what it sent.
func check(t *testing.T, got []heard) {
	t.Helper()
	begins := slices.IndexFunc(got, func(h heard) bool { return h.kind == av.Video })
	if begins < 0 || !got[begins].key {
		t.Fatal("the video does not begin with a key frame")
	}
	offset := got[begins].dts - time.Duration(got[begins].number)*Interval
	last := map[av.Kind]uint32{}
	for _, h := range got {
		if !h.exact {
			t.Fatalf("%v frame %d does not have the bytes that were sent", h.kind, h.number)
		}
		if n, ok := last[h.kind]; ok && h.number != n+1 {
			t.Fatalf("%v frame %d after %d", h.kind, h.number, n)
		}
		last[h.kind] = h.number
		if d := h.dts - offset - time.Duration(h.number)*Interval; d.Abs() > tolerance {
			t.Fatalf("%v frame %d is %v off its time", h.kind, h.number, d)
		}
	}
}

// end reads until the player has ended.
func (p *player) end() error {
	p.t.Helper()
	for begun := time.Now(); time.Since(begun) < Patience; {
		if _, err := p.next(); err != nil {
			return err
		}
	}
	p.t.Fatal("the player goes on")
	return nil
}

// turnedAway asks to play and returns what the client is told; it fails the test if it is let in.
func (b *bench) turnedAway(path string) error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	p, err := b.Play(ctx, b.addr(), path)
	if err != nil {
		return err
	}
	defer p.Close()
	visitor := &player{p, b.t}
	if b.Visits {
		return visitor.end()
	}
	if _, err = visitor.next(); err == nil {
		b.t.Fatalf("%s can be played", path)
	}
	return err
}

// waits reports whether somebody waits for a stream.
func (b *bench) waits() bool {
	n := len(b.Of(b.Name, session.Waiting))
	if b.Visits {
		n += len(b.Of(b.Name, session.Pending))
	}
	return n == 1
}

// publisherTurnedAway is turnedAway for publishers.
func (b *bench) publisherTurnedAway(path string) error {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), Patience)
	defer cancel()
	p, err := b.Publish(ctx, b.addr(), path)
	if err == nil {
		p.Close()
		b.t.Fatalf("%s can be published", path)
	}
	return err
}

// secret is what only the operator may read of an error.
const secret = "behind the curtain"

// told checks what a refused client was told.
func (b *bench) told(by map[session.Reason]string, reason session.Reason, err error) {
	b.t.Helper()
	if err == nil || !strings.Contains(err.Error(), by[reason]) {
		b.t.Errorf("refused for %v, the client was told %v, want %q", reason, err, by[reason])
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		b.t.Errorf("the client was told what is the operator's: %v", err)
	}
}

// refused checks that one peer was refused, and that metric, log and session have the same word for
// it. path is the stream's; empty if the protocol does not get that far.
func (b *bench) refused(reason session.Reason, path string) {
	b.t.Helper()
	if !b.Visits {
		b.WantEnd(b.Name, session.Pending, reason)
	}
	if n := b.Metrics.RejectedFor(reason.String()); n != 1 {
		b.t.Errorf("%d peers are counted as refused for %v, want 1", n, reason)
	}
	lines := b.Log.Lines("refused")
	if len(lines) != 1 {
		b.t.Fatalf("%d lines about one refusal: %v", len(lines), lines)
	}
	for name, want := range map[string]string{"level": "WARN", "reason": reason.String(), "stream": path, "protocol": b.Name} {
		if want != "" && lines[0][name] != want {
			b.t.Errorf("the line has %s=%v, want %q", name, lines[0][name], want)
		}
	}
}
