package bench

import (
	"context"
	"fmt"
	"time"
)

// StormConfig is what Storm does.
type StormConfig struct {
	URL      string        `arg:"" help:"What to play (rtmp, http or ws, or one of these with s). %d in it is the number of the stream, from 0."`
	Players  int           `default:"1000" help:"How many players are there before."`
	Joins    int           `default:"1000" help:"How many players join at once."`
	Over     time.Duration `default:"1s" help:"The time in which they join."`
	Streams  int           `default:"1" help:"How many streams."`
	Warmup   time.Duration `default:"2s" help:"Time between the first players' first frames and the measurement."`
	Duration time.Duration `default:"4s" help:"How long to measure before the storm, and again from its beginning."`
	Join     time.Duration `default:"15s" help:"How long the first players may take to get their first frame."`
	Publish  string        `help:"Publish the streams too, to this URL, from this process."`
	Bitrate  int           `default:"2500000" help:"Bits per second of each stream that is published."`
	Pid      int           `help:"Process of the server, whose processor time and memory are to be reported (Linux)."`
	Insecure bool          `help:"Do not verify the server's certificate."`
}

// StormReport is what Storm saw.
type StormReport struct {
	URL        string        `json:"url"`
	Before     Spread        `json:"before"`      // latency of those already there, before
	During     Spread        `json:"during"`      // the same, from the storm's beginning on
	Main       GroupReport   `json:"players"`     // those already there
	Joined     GroupReport   `json:"joined"`      // those of the storm
	FirstFrame Spread        `json:"first_frame"` // of the storm: from connecting to the first coded video frame
	Server     *ServerReport `json:"server,omitempty"`
}

// Storm lets many players join a stream that others are playing, and measures what that
// does to both. Its errors are those of Players.
func Storm(ctx context.Context, c StormConfig) (StormReport, error) {
	if c.Joins < 1 || c.Joins > maxPlayers || c.Over < 0 {
		return StormReport{}, fmt.Errorf("%d joins within %v: there must be from 1 to %d", c.Joins, c.Over, maxPlayers)
	}
	first := PlayersConfig{Players: c.Players, Streams: c.Streams, Warmup: c.Warmup, Duration: c.Duration, Join: c.Join}
	if err := first.check(); err != nil {
		return StormReport{}, err
	}
	w, err := newWatch(c.Pid)
	if err != nil {
		return StormReport{}, err
	}
	if c.Publish != "" {
		pub, err := newPublishing(PublishersConfig{URL: c.Publish, Streams: c.Streams, Bitrate: c.Bitrate, Insecure: c.Insecure})
		if err != nil {
			return StormReport{}, err
		}
		defer pub.stop()
		if err := pub.start(ctx); err != nil {
			return StormReport{}, err
		}
	}
	a, err := newAudience(c.URL, c.Streams, 0, c.Insecure)
	if err != nil {
		return StormReport{}, err
	}
	defer a.stop()
	if err := a.join(ctx, c.Players, 1000, func(int, *player) {}); err != nil {
		return StormReport{}, err
	}
	if err := a.run.awaitStarted(ctx, c.Players, c.Join); err != nil {
		return StormReport{}, err
	}
	if err := wait(ctx, c.Warmup); err != nil {
		return StormReport{}, err
	}
	a.run.window.Store(0)
	if err := wait(ctx, c.Duration); err != nil {
		return StormReport{}, err
	}
	a.run.window.Store(1)
	end := time.Now().Add(c.Duration)
	rate := 0
	if c.Over > 0 {
		rate = max(1, int(float64(c.Joins)/c.Over.Seconds()))
	}
	if err := a.join(ctx, c.Joins, rate, func(_ int, p *player) { p.group = groupOther }); err != nil {
		return StormReport{}, err
	}
	r, err := a.measure(ctx, 1, max(time.Until(end), time.Second), w)
	if err != nil {
		return StormReport{}, err
	}
	joined := func(p *player) bool { return p.group == groupOther }
	s := StormReport{
		URL:        c.URL,
		Before:     a.run.latency(groupMain, 0),
		During:     a.run.latency(groupMain, 1),
		Main:       a.group(func(p *player) bool { return !joined(p) }),
		Joined:     a.group(joined),
		FirstFrame: a.firstFrame(joined),
		Server:     w.result(),
	}
	if s.Main.Started == 0 {
		return s, fmt.Errorf("no player of %s could start: %s (%d bytes came)", c.URL, mostFrequent(s.Main.Failed), r.Bytes)
	}
	return s, nil
}
