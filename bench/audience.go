package bench

import (
	"context"
	"time"
)

// audience is the players of one measurement.
type audience struct {
	run     *run
	engine  *engine
	targets []*target
	players []*player
	stopped bool
}

func newAudience(rawURL string, streams, slowRate int, insecure bool) (*audience, error) {
	a := &audience{run: newRun()}
	for i := range streams {
		t, err := parseTarget(rawURL, i)
		if err != nil {
			return nil, err
		}
		if i == 0 { // a name is looked up once
			addr, err := t.dialAddr()
			if err != nil {
				return nil, err
			}
			t.addr = addr.String()
		} else {
			t.addr = a.targets[0].addr
		}
		a.targets = append(a.targets, t)
	}
	conf := tlsConfig(a.targets[0], insecure)
	var err error
	a.engine, err = newEngine(a.run, slowRate, conf)
	return a, err
}

// join starts n more players, rate a second or all at once. set sets each one up.
func (a *audience) join(ctx context.Context, n, rate int, set func(i int, p *player)) error {
	begun := time.Now()
	for i := range n {
		if rate > 0 {
			if d := time.Duration(i)*time.Second/time.Duration(rate) - time.Since(begun); d > time.Millisecond {
				if err := wait(ctx, d); err != nil {
					return err
				}
			}
		}
		k := len(a.players) % len(a.targets)
		p := &player{target: a.targets[k]}
		p.stream = uint32(k)
		set(i, p)
		a.players = append(a.players, p)
		a.engine.start(p)
	}
	return ctx.Err()
}

// measure counts for d, and then ends all players.
func (a *audience) measure(ctx context.Context, window int, d time.Duration, w *watch) (PlayersReport, error) {
	a.run.window.Store(int32(window))
	begun, bytes := time.Now(), a.run.bytes.Load()
	if err := w.begin(); err != nil {
		return PlayersReport{}, err
	}
	if err := wait(ctx, d); err != nil {
		return PlayersReport{}, err
	}
	took := time.Since(begun)
	bytes = a.run.bytes.Load() - bytes
	a.run.window.Store(noWindow)
	if err := w.end(took, bytes, len(a.players)); err != nil {
		return PlayersReport{}, err
	}
	a.stop()
	return PlayersReport{Seconds: round(took.Seconds(), 3), Bytes: bytes, Mbps: round(float64(bytes)*8/1e6/took.Seconds(), 3)}, nil
}

// stop ends all players and waits for them. What they counted may be read then.
func (a *audience) stop() {
	if !a.stopped {
		a.stopped = true
		a.engine.stop()
	}
}

// group sums up the players that are in it.
func (a *audience) group(in func(*player) bool) GroupReport {
	g := GroupReport{Failed: map[string]int{}}
	for _, p := range a.players {
		if !in(p) {
			continue
		}
		g.Players++
		if p.err != nil || p.started == 0 {
			g.Failed[reason(p.err)]++
		}
		if p.started != 0 {
			g.Started++
		}
		if p.keyless {
			g.Keyless++
		}
		g.Bytes += p.bytes
		g.Frames += p.frames
		g.Lost += p.faults.lost
		g.Repeated += p.faults.repeated
		g.Reordered += p.faults.reordered
		g.Torn += p.torn
		g.Misdirected += p.misdirected
		g.Unstamped += p.unstamped
		g.Restarts += p.restarts
	}
	return g
}

// firstFrame is how long it took the players that are in it to start.
func (a *audience) firstFrame(in func(*player) bool) Spread {
	var h histogram
	for _, p := range a.players {
		if in(p) && p.started != 0 {
			h.add(p.started - p.begun)
		}
	}
	return h.spread()
}
