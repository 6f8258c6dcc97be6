package mux_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/fanout"
	"weir/internal/flvbody"
	"weir/internal/mux"
	"weir/internal/stream"
)

// simSink is a socket that takes as many bytes as it was opened for.
type simSink struct {
	mu     sync.Mutex
	got    []byte
	room   int // negative: any
	armed  fanout.Writable
	closed bool
	wg     *sync.WaitGroup
}

func (s *simSink) TrySend(p []byte) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false, errors.New("closed")
	}
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	s.got = append(s.got, p[:n]...)
	return n, n < len(p), nil
}

func (s *simSink) Arm(w fanout.Writable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room != 0 || s.closed {
		s.wg.Go(w.Writable)
		return
	}
	s.armed = w
}

// open makes room.
func (s *simSink) open(room int) {
	s.mu.Lock()
	s.room = room
	w := s.armed
	s.armed = nil
	s.mu.Unlock()
	if w != nil {
		w.Writable()
	}
}

func (s *simSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *simSink) take() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.got
	s.got = nil
	return b
}

// simVariant is FLV tags.
type simVariant struct{}

// Format implements mux.Variant.
func (simVariant) Format() string { return "flv" }

// NewEncoder implements mux.Variant.
func (v simVariant) NewEncoder() mux.Encoder { return flvbody.NewEncoder(flvbody.Options{}, v) }

const (
	tagHeader  = 11 // FLV 10.1 Annex E.4.1
	tagTrailer = 4
)

// Size implements flvbody.Framing.
func (simVariant) Size(_ time.Duration, n int) int { return tagHeader + n + tagTrailer }

// Append implements flvbody.Framing.
func (simVariant) Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	return flv.AppendTag(dst, t, av.Milliseconds(dts), header, payload)
}

// AppendEnd implements flvbody.Framing.
func (simVariant) AppendEnd(dst []byte) []byte { return dst }

// simPlayer is a player and what is known of what it has seen.
type simPlayer struct {
	w      *world
	id     int
	sink   *simSink
	fan    *fanout.Player
	stream *stream.Stream
	muxer  *mux.Muxer
	skips  atomic.Uint64
	sent   atomic.Uint64
	ended  chan error
	over   bool

	buf       []byte
	last      uint32 // video frame
	config    uint32
	times     [32]uint32 // by tag type
	seenSkips uint64
	gaps      int  // how often frames may be missing: joins, skips and pauses so far
	begun     bool // has been given a video frame
}

func (w *world) join() {
	s, err := w.hub.Play("live/sim")
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := w.set.Open(s, simVariant{})
	if err != nil {
		s.Leave()
		return // it has just ended
	}
	p := &simPlayer{
		w: w, id: len(w.players), stream: s, muxer: m, ended: make(chan error, 1), gaps: 1,
		sink: &simSink{room: -1, wg: new(sync.WaitGroup)},
	}
	p.fan = w.engine.Add(p.sink, p, m.Log(), fanout.Counters{Sent: &p.sent, Skips: &p.skips})
	p.fan.Join(m.Log(), fanout.Start{})
	w.players = append(w.players, p)
}

// Closed implements fanout.Observer.
func (p *simPlayer) Closed(_ *fanout.Player, cause error) {
	p.muxer.Release()
	p.stream.Leave()
	p.ended <- cause
}

// Skipped implements fanout.Observer.
func (p *simPlayer) Skipped(*fanout.Player, time.Duration, int64) {}

// act does something to the player: it stalls, trickles, recovers, pauses, goes.
func (p *simPlayer) act(r *rand.Rand) {
	switch r.IntN(8) {
	case 0, 1:
		p.sink.open(0)
	case 2:
		p.sink.open(r.IntN(5000))
	case 3, 4, 5:
		p.sink.open(-1)
	case 6:
		p.fan.Pause()
		p.gaps++
		p.fan.Resume()
	case 7:
		p.fan.Close(errors.New("gone"))
	}
}

// check looks at what the player was given since the last time.
func (p *simPlayer) check() {
	select {
	case <-p.ended:
		p.over = true
	default:
	}
	if n := p.skips.Load(); n != p.seenSkips {
		p.gaps += int(n - p.seenSkips)
		p.seenSkips = n
	}
	if lag := p.fan.Lag(); lag > simLag+time.Second+simTick {
		p.w.t.Errorf("player %d lags %v", p.id, lag)
	}
	p.buf = append(p.buf, p.sink.take()...)
	for len(p.buf) >= tagHeader {
		n := tagHeader + int(p.buf[1])<<16 + int(p.buf[2])<<8 + int(p.buf[3])
		if len(p.buf) < n+tagTrailer {
			return
		}
		if got := binary.BigEndian.Uint32(p.buf[n:]); int(got) != n {
			p.w.t.Fatalf("player %d: torn message: back pointer %d behind %d bytes", p.id, got, n)
		}
		p.tag(p.buf[0], uint32(p.buf[4])<<16|uint32(p.buf[5])<<8|uint32(p.buf[6])|uint32(p.buf[7])<<24, p.buf[tagHeader:n])
		p.buf = p.buf[n+tagTrailer:]
	}
}

func (p *simPlayer) tag(typ byte, ts uint32, body []byte) {
	t := p.w.t
	if typ != 8 && typ != 9 {
		return
	}
	if ts < p.times[typ] {
		t.Errorf("player %d: time of tag type %d falls from %d to %d", p.id, typ, p.times[typ], ts)
	}
	p.times[typ] = ts
	if typ == 8 {
		return
	}
	if body[1] == 0 {
		p.config = binary.BigEndian.Uint32(body[5+12:])
		return
	}
	number, config := binary.BigEndian.Uint32(body[5+5:]), binary.BigEndian.Uint32(body[5+9:])
	key := body[0]>>4 == 1
	missing := p.begun && number != p.last+1 && len(p.w.encoders) == 1
	switch {
	case number <= p.last:
		t.Errorf("player %d: frame %d after %d", p.id, number, p.last)
	case !key && !p.begun:
		t.Errorf("player %d begins with frame %d, which is no key frame", p.id, number)
	case !key && missing:
		t.Errorf("player %d: frame %d, which is no key frame, after %d", p.id, number, p.last)
	case missing && p.gaps == 0:
		t.Errorf("player %d: frames between %d and %d are missing", p.id, p.last, number)
	case config != p.config:
		t.Errorf("player %d: frame %d needs configuration %d, it has %d", p.id, number, config, p.config)
	}
	if missing {
		p.gaps--
	}
	p.last, p.begun = number, true
}
