package protocoltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/session"
	"weir/internal/stream"
)

// testPlay: players get what is published, whether the engine's workers send it or goroutines do.
func testPlay(t *testing.T, s *Suite) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable=%v", portable), func(t *testing.T) {
			b := s.start(t, func(o *Options) { o.Portable = portable })
			Pump(t, b.Local("live/a", nil), 0, 500)
			one, two := b.play("live/a"), b.play("live/a")
			one.read(5 * GOP)
			two.read(5 * GOP)
		})
	}
}

// testWait: who comes before the publisher waits for it.
func testWait(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	var coming sync.WaitGroup
	coming.Go(func() {
		b.Until("somebody waits", b.waits)
		Pump(t, b.Local("live/late", nil), 0, 500)
	})
	p := b.play("live/late")
	coming.Wait()
	p.read(2 * GOP)
	b.Until("who waited plays", func() bool { return len(b.Of(b.Name, session.Play)) == 1 })
}

// testPublish: what is published is what players get.
func testPublish(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	source := Pump(t, b.publish("live/a"), 0, 500)
	b.play("live/a").read(3 * GOP)
	if err := source.Stop(); err != nil {
		t.Error("the publisher was ended:", err)
	}
	x := b.Of(b.Name, session.Publish)
	if len(x) != 1 || x[0].Stream() != "live/a" || x[0].BytesIn.Load() == 0 {
		t.Errorf("the publisher's session: %+v", x)
	}
}

// later is the number of the first frame of a second source, by which it is told from the first.
const later = 1000 * GOP

// goesOver reads until the first frame of a second source came, and then on.
func (p *player) goesOver() {
	p.t.Helper()
	var last heard
	for {
		h, err := p.next()
		if err != nil {
			p.t.Fatal("the change of publishers ended the player: ", err)
		}
		if h.kind != av.Video {
			continue
		}
		if h.dts < last.dts {
			p.t.Fatalf("the time falls from %v to %v", last.dts, h.dts)
		}
		last = h
		if h.number >= later {
			break
		}
	}
	if !last.key || !last.exact {
		p.t.Fatalf("the new source begins with frame %d, which is no key frame", last.number-later)
	}
	check(p.t, append([]heard{last}, p.video(GOP)...))
}

// video reads n frames of video and leaves the sound out.
func (p *player) video(n int) (got []heard) {
	p.t.Helper()
	for len(got) < n {
		h, err := p.next()
		if err != nil {
			p.t.Fatal(err)
		}
		if h.kind == av.Video {
			got = append(got, h)
		}
	}
	return got
}

// testTakeover: players go over to the publisher that takes the stream over, at a key frame.
func testTakeover(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	ended := make(chan error, 1)
	Pump(t, b.Local("live/a", func(cause error) { ended <- cause }), 0, 500)
	p := b.play("live/a")
	p.read(GOP)
	Pump(t, b.Local("live/a", nil), later, 500)
	p.goesOver()
	if cause := <-ended; !errors.Is(cause, stream.ErrTakenOver) {
		t.Error("the old publisher ended with", cause)
	}
}

// testPublisherTakeover: the old publisher is told, and the word for it is the same everywhere.
func testPublisherTakeover(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	old := b.publish("live/a")
	Pump(t, old, 0, 500)
	p := b.play("live/a")
	p.read(GOP)
	Pump(t, b.publish("live/a"), later, 500)
	p.goesOver()
	b.told(b.PublisherTold, session.Takeover, old.Wait())
	b.WantEnd(b.Name, session.Publish, session.Takeover)
}

// testKick: a kicked player ends, and nobody else.
func testKick(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	Pump(t, b.Local("live/a", nil), 0, 500)
	victim := b.play("live/a")
	victim.read(GOP)
	id := b.Of(b.Name, session.Play)[0].ID
	other := b.play("live/a")
	other.read(GOP)
	if !b.Sessions.Kick(id, nil) {
		t.Fatal("there is no such session")
	}
	_ = victim.end()
	b.WantEnd(b.Name, session.Play, session.Kicked)
	other.video(2 * GOP)
	kicked := slices.DeleteFunc(b.Ends(b.Name), func(e End) bool { return e.Role != session.Play })
	if len(kicked) != 1 {
		t.Errorf("%d sessions ended by one kick", len(kicked))
	}
}

// testPublisherKick: a kicked publisher ends, and its stream with it.
func testPublisherKick(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	victim := b.publish("live/a")
	Pump(t, victim, 0, 500)
	b.Until("the stream is live", func() bool { return b.Hub.Get("live/a") != nil })
	b.Sessions.Kick(b.Of(b.Name, session.Publish)[0].ID, nil)
	if victim.Wait() == nil {
		t.Error("the publisher was not ended")
	}
	b.WantEnd(b.Name, session.Publish, session.Kicked)
	b.Until("the stream is gone", func() bool { return b.Hub.Get("live/a") == nil })
}

// testSlow: a player that reads nothing is closed for the right reason, and one beside it gets
// every frame.
func testSlow(t *testing.T, s *Suite) {
	for reason, policy := range map[session.Reason]fanout.SlowPolicy{
		session.Stalled: {MaxLag: Patience, MaxStall: 500 * time.Millisecond},
		session.Slow:    {MaxLag: 500 * time.Millisecond, MaxStall: Patience, Close: true},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			b := s.start(t, func(o *Options) { o.Slow = policy })
			Pump(t, b.Local("live/a", nil), 0, 50_000)
			b.play("live/a") // and never read
			good := b.play("live/a")
			var got []heard
			for begun := time.Now(); len(b.Ends(b.Name)) == 0; {
				if time.Since(begun) > Patience {
					t.Fatal("the player that does not read is still there")
				}
				got = append(got, good.read1())
			}
			check(t, got)
			b.WantEnd(b.Name, session.Play, reason)
		})
	}
}

// read1 reads one frame.
func (p *player) read1() heard {
	p.t.Helper()
	h, err := p.next()
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}
