package protocoltest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

// testGarbage: what does not speak the protocol, or not to the end, is closed without harm to others.
func testGarbage(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	Pump(t, b.Local("live/a", nil), 0, 500)
	watcher := b.play("live/a")
	watcher.read(GOP)
	before := len(b.Sessions.List())

	rnd := rand.New(rand.NewPCG(1, 2))
	opening := b.Opening("live/a")
	var inputs [][]byte
	for range 30 {
		junk := make([]byte, 1+rnd.IntN(5000))
		for i := range junk {
			junk[i] = byte(rnd.Uint32())
		}
		inputs = append(inputs, junk)
		inputs = append(inputs, opening[:rnd.IntN(len(opening))])
		damaged := bytes.Clone(opening)
		damaged[rnd.IntN(len(damaged))] ^= byte(1 + rnd.IntN(255))
		inputs = append(inputs, damaged)
	}
	var wg sync.WaitGroup
	turn := make(chan struct{}, 10)
	for _, in := range inputs {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			b.throw(in)
		})
	}
	wg.Wait()
	watcher.video(GOP)
	if !b.Visits { // who only visits stays for a while
		b.Until("what was damaged is gone", func() bool { return len(b.Sessions.List()) == before })
	}
	for _, e := range b.Ends(b.Name) {
		if e.Reason == session.Internal {
			t.Errorf("garbage ended a session with an error that nobody expected: %v", e.Err)
		}
	}
	if b.Listener != "http" && b.Metrics.HandshakesFailed() == 0 {
		t.Error("nothing of it was counted")
	}
}

// throw sends bytes and an end, and reads for a while what comes of it.
func (b *bench) throw(in []byte) {
	nc, err := net.Dial("tcp", b.addr())
	if err != nil {
		b.t.Error(err)
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	if _, err := nc.Write(in); err == nil {
		_ = nc.(*net.TCPConn).CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, nc, 64<<10)
}

// stopTime is how long a server may take to stop, on a machine that is busy with others.
const stopTime = 3 * time.Second

// testStop: the end of the server ends whatever its peers do, soon.
func testStop(t *testing.T, s *Suite) {
	b := s.start(t, nil)
	Pump(t, b.Local("live/a", nil), 0, 500)
	for range 3 {
		b.play("live/a").read(GOP)
	}
	if b.Publish != nil {
		Pump(t, b.publish("live/b"), 0, 500)
		b.Until("live/b is there", func() bool { return b.Hub.Get("live/b") != nil })
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if p, err := b.Play(ctx, b.addr(), "live/none"); err == nil {
			_ = (&player{p, t}).end()
			p.Close()
		}
	})
	defer waiting.Wait()
	defer cancel()
	b.Until("somebody waits", b.waits)
	opening := b.Opening("live/a")
	for _, n := range []int{0, 1, len(opening) / 2} {
		nc, err := net.Dial("tcp", b.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write(opening[:n]); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	b.Stop()
	if d := time.Since(begun); d > stopTime {
		t.Errorf("it took %v", d)
	}
	for _, x := range b.Sessions.List() {
		if x.Protocol == b.Name {
			t.Errorf("a session is left in the role %v", x.Role())
		}
	}
	for _, e := range b.Ends(b.Name) {
		if e.Reason != session.Shutdown && e.Role != session.Pending {
			t.Errorf("a session in the role %v ended with %v: %v", e.Role, e.Reason, e.Err)
		}
	}
}

// abroad is an address for which limits per address hold.
var abroad = netip.MustParseAddr("192.0.2.1")

// testLimits: who is one too many is refused as the protocol refuses, and is counted.
func testLimits(t *testing.T, s *Suite) {
	for name, limits := range map[string]session.Limits{
		"connections":        {Connections: 2}, // one is the source's
		"connections per ip": {ConnectionsPerIP: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.start(t, func(o *Options) { o.Sessions, o.Remote = limits, abroad })
			Pump(t, b.Local("live/a", nil), 0, 500)
			first := b.play("live/a")
			first.read(GOP)
			err := b.turnedAway("live/a")
			if told := b.PlayerTold[session.Limit]; b.Listener == "http" || err == nil {
				b.told(map[session.Reason]string{session.Limit: told}, session.Limit, err)
			}
			if n := b.Metrics.RejectedFor("limit"); n != 1 && (n == 0 || !b.Visits) { // who visits comes again
				t.Errorf("%d are counted, want 1", n)
			}
			first.video(GOP)
		})
	}
	t.Run("pending per ip", func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Sessions, o.Remote = session.Limits{PendingPerIP: 1}, abroad })
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		defer waiting.Wait()
		defer cancel()
		waiting.Go(func() {
			if p, err := b.Play(ctx, b.addr(), "live/none"); err == nil {
				<-ctx.Done()
				p.Close()
			}
		})
		b.Until("somebody waits", b.waits)
		if err := b.turnedAway("live/none"); b.Listener == "http" {
			b.told(b.PlayerTold, session.Limit, err)
		}
		if n := b.Metrics.RejectedFor("limit"); n != 1 {
			t.Errorf("%d are counted, want 1", n)
		}
	})
	t.Run("players", func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Stream = func(set *stream.Settings) { set.MaxPlayers = 1 } })
		Pump(t, b.Local("live/a", nil), 0, 500)
		first := b.play("live/a")
		first.read(GOP)
		b.told(b.PlayerTold, session.Limit, b.turnedAway("live/a"))
		b.refused(session.Limit, "live/a")
		first.video(GOP)
	})
}

// testPublisherLimits is testLimits for publishers.
func testPublisherLimits(t *testing.T, s *Suite) {
	t.Run("streams", func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Streams = stream.Limits{Streams: 1} })
		Pump(t, b.Local("live/a", nil), 0, 500)
		b.told(b.PublisherTold, session.Limit, b.publisherTurnedAway("live/b"))
		b.refused(session.Limit, "live/b")
	})
	t.Run("bit rate", func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Bitrate = 1_000_000 })
		p := b.publish("live/a")
		Pump(t, p, 0, 50_000)
		if p.Wait() == nil {
			t.Error("the publisher was not ended")
		}
		b.WantEnd(b.Name, session.Publish, session.Limit)
	})
}

// refusals are reasons for which admission refuses.
var refusals = []session.Reason{session.BadKey, session.Address, session.Throttled, session.Denied}

func refuse(reason session.Reason) func(*Options) {
	return func(o *Options) {
		o.Admit = func(context.Context, *admit.Request) (session.Grant, error) {
			return session.Grant{}, session.Because(reason, errors.New(secret))
		}
	}
}

// testReasons: the reason of a refusal or an end is one word, in the log, the metric and the
// session, and what the player is told is not what the operator reads.
func testReasons(t *testing.T, s *Suite) {
	for _, reason := range refusals {
		t.Run(reason.String(), func(t *testing.T) {
			b := s.start(t, refuse(reason))
			Pump(t, b.Local("live/a", nil), 0, 500)
			b.told(b.PlayerTold, reason, b.turnedAway("live/a"))
			b.refused(reason, "live/a")
		})
	}
	t.Run(session.NotFound.String(), func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Wait = 50 * time.Millisecond })
		b.told(b.PlayerTold, session.NotFound, b.turnedAway("live/none"))
		b.WantEnd(b.Name, session.Waiting, session.NotFound)
	})
	t.Run(session.StreamEnded.String(), func(t *testing.T) {
		b := s.start(t, nil)
		w := b.Local("live/a", nil)
		source := Pump(t, w, 0, 500)
		p := b.play("live/a")
		p.read(GOP)
		if err := source.Stop(); err != nil {
			t.Fatal(err)
		}
		w.(local).Close(session.ErrKicked) //nolint:forcetypeassert // Local's
		_ = p.end()
		b.WantEnd(b.Name, session.Play, session.StreamEnded)
	})
}

// testPublisherReasons is testReasons for publishers.
func testPublisherReasons(t *testing.T, s *Suite) {
	for _, reason := range refusals {
		t.Run(reason.String(), func(t *testing.T) {
			b := s.start(t, refuse(reason))
			b.told(b.PublisherTold, reason, b.publisherTurnedAway("live/a"))
			b.refused(reason, "live/a")
		})
	}
	t.Run(session.Conflict.String(), func(t *testing.T) {
		b := s.start(t, func(o *Options) { o.Stream = func(set *stream.Settings) { set.Reject = true } })
		Pump(t, b.Local("live/a", nil), 0, 500)
		b.told(b.PublisherTold, session.Conflict, b.publisherTurnedAway("live/a"))
		b.refused(session.Conflict, "live/a")
	})
}

// testPaths: the rules of paths hold whatever protocol a path comes by.
func testPaths(t *testing.T, s *Suite) {
	const malformed, reserved = `live/a\b`, peer.ReservedApp + "/a"
	b := s.start(t, nil)
	b.told(b.PlayerTold, session.Path, b.turnedAway(malformed))
	if b.Publish == nil {
		return
	}
	for path, logged := range map[string]string{malformed: "", reserved: reserved} {
		b := s.start(t, nil)
		b.told(b.PublisherTold, session.Path, b.publisherTurnedAway(path))
		b.refused(session.Path, logged)
	}
}
