package mux_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// The simulation runs hub, timeline, logs and delivery on a simulated clock against
// sockets that take bytes when a seed says so. These are its invariants, checked on the
// bytes that each player's socket was given:
//
//  1. Messages are whole and in order: no player sees a video frame twice or after a later one.
//  2. The times of a track never fall.
//  3. The first video frame after a join or a skip is a key frame, and the player has been
//     given the configuration that this key frame needs.
//  4. A frame is left out only by a skip, a pause, or the publisher that did not send it.
//  5. A player lags no more than allowed, and the log keeps no more marks than allowed.
//  6. Everything ends when told: players get the end of the stream, nothing runs on.
var (
	simSeeds = flag.Int("sim.seeds", 25, "how many seeds the simulation runs")
	simSeed  = flag.Uint64("sim.seed", 0, "run this one seed only")
)

func TestSimulation(t *testing.T) {
	first, n := uint64(1), *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	} else if testing.Short() {
		n = min(n, 20)
	}
	for i := range uint64(n) {
		seed := first + i
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
		if !ok {
			t.Fatalf("to replay: go test ./internal/mux -run TestSimulation -sim.seed %d", seed)
		}
	}
}

const (
	simTick = 20 * time.Millisecond
	simLag  = 2 * time.Second
)

// world is one simulated run.
type world struct {
	t        *testing.T
	rnd      *rand.Rand
	hub      *stream.Hub
	set      *mux.Set
	engine   *fanout.Engine
	encoders []*encoder
	players  []*simPlayer
	number   uint32 // of the last video frame sent
	config   uint32 // of the last configuration made
}

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	w := &world{t: t, rnd: rnd}
	w.engine = fanout.New(fanout.Options{
		Workers:  1 + rnd.IntN(3),
		MaxDelay: []time.Duration{0, 50 * time.Millisecond, 350 * time.Millisecond}[rnd.IntN(3)],
		MinDelay: []time.Duration{0, 0, 30 * time.Millisecond}[rnd.IntN(3)],
	})
	settings := stream.Default()
	settings.Grace = 3 * time.Second
	settings.Cache.GOPs = rnd.IntN(3)
	settings.Low = rnd.IntN(4) == 0
	w.hub = stream.New(stream.Options{Settings: func(string) stream.Settings { return settings }})
	w.set = mux.NewSet(w.engine, func(string) fanout.SlowPolicy {
		return fanout.SlowPolicy{MaxLag: simLag, MaxStall: 10 * time.Second}
	})
	for range 1500 {
		w.tick()
		time.Sleep(simTick)
		synctest.Wait()
		for _, p := range w.players {
			p.check()
		}
	}
	w.hub.Close(errors.New("the simulation is over"))
	for _, p := range w.players {
		p.sink.open(-1)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for _, p := range w.players {
		p.check()
		if !p.over {
			t.Errorf("player %d was not told of the end", p.id)
		}
	}
	w.engine.Close()
	if n := w.hub.Len(); n != 0 {
		t.Errorf("%d streams left", n)
	}
}

// tick does this moment's share of everything.
func (w *world) tick() {
	r := w.rnd
	live := 0
	for _, e := range w.encoders {
		if e.pub != nil {
			live++
			e.tick()
		}
	}
	switch x := r.IntN(1000); {
	case live == 0 && x < 100, live == 1 && x < 6: // a publisher comes, perhaps takes over
		w.publish()
	case live > 0 && x < 12: // one goes
		e := w.encoders[r.IntN(len(w.encoders))]
		if e.pub != nil {
			e.pub.Close(nil)
			e.pub = nil
		}
	case x < 40 && len(w.players) < 40:
		w.join()
	case x < 60 && len(w.players) > 0:
		w.players[r.IntN(len(w.players))].act(r)
	case x < 66:
		for _, e := range w.encoders {
			e.clock += time.Duration(r.IntN(7200_000)-3600_000) * time.Millisecond // a clock jumps
		}
	case x < 72:
		for _, e := range w.encoders {
			e.change = true // another resolution
		}
	}
}

// encoder publishes frames that carry their number and that of their configuration.
type encoder struct {
	w      *world
	pub    *stream.Publisher
	clock  time.Duration
	frames int
	gop    int
	config uint32
	change bool
	audio  bool
}

func (w *world) publish() {
	e := &encoder{w: w, clock: time.Duration(w.rnd.IntN(1e6)) * time.Millisecond, gop: 5 + w.rnd.IntN(60), audio: w.rnd.IntN(4) > 0}
	pub, err := w.hub.Publish("live/sim", stream.Info{})
	if err != nil {
		return // two encoders fight: told so
	}
	e.pub, e.change = pub, true
	w.encoders = append(w.encoders, e)
}

func (e *encoder) write(f *av.Frame) {
	f.DTS += e.clock
	f.PTS = f.DTS + 40*time.Millisecond
	if e.pub != nil && e.pub.Write(f) != nil {
		e.pub = nil // taken over
	}
}

func (e *encoder) tick() {
	e.clock += simTick
	if e.frames%e.gop == 0 && e.change {
		e.change = false
		e.w.config++
		e.config = e.w.config
		c := []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 8, 0x67, 0x42, 0xc0, 0x0a, 0, 0, 0, 0, 1, 0, 2, 0x68, 0xce}
		binary.BigEndian.PutUint32(c[12:], e.config)
		e.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: c})
		if e.audio {
			e.write(&av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0x12, 0x10}})
		}
	}
	e.w.number++
	b := make([]byte, 13+e.w.rnd.IntN(3000))
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4] = 0x41
	f := &av.Frame{Kind: av.Video, Codec: av.H264, Payload: b}
	if e.frames%e.gop == 0 {
		f.Flags, b[4] = av.Key, 0x65
	}
	binary.BigEndian.PutUint32(b[5:], e.w.number)
	binary.BigEndian.PutUint32(b[9:], e.config)
	e.frames++
	e.write(f)
	if e.audio {
		e.write(&av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: 3 * time.Millisecond, Payload: []byte{0x21, byte(e.frames)}})
	}
}
