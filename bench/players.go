package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PlayersConfig is what Players does.
type PlayersConfig struct {
	URL      string        `arg:"" help:"What to play (rtmp, http or ws, or one of these with s). %d in it is the number of the stream, from 0."`
	Players  int           `default:"100" help:"How many players, spread over the streams."`
	Streams  int           `default:"1" help:"How many streams."`
	Rate     int           `default:"1000" help:"Players that join in a second; 0 is all at once."`
	Warmup   time.Duration `default:"2s" help:"Time between the last player's first frame and the measurement."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	Join     time.Duration `default:"15s" help:"How long the players may take to get their first frame."`
	Sample   int           `help:"How many players to look into; the others only count bytes, which costs less. 0 is all."`
	Slow     int           `help:"How many players read slowly. They are reported apart."`
	SlowRate int           `default:"500000" help:"Bits per second that a slow player reads."`
	Publish  string        `help:"Publish the streams too, to this URL, from this process."`
	Bitrate  int           `default:"2500000" help:"Bits per second of each stream that is published."`
	Pid      int           `help:"Process of the server, whose processor time and memory are to be reported (Linux)."`
	Insecure bool          `help:"Do not verify the server's certificate."`
}

// PlayersReport is what Players saw. Bytes, frames delivered and latency are those of the
// measurement; faults are counted from each player's first frame on.
type PlayersReport struct {
	URL        string            `json:"url"`
	Streams    int               `json:"streams"`
	Seconds    float64           `json:"seconds"`
	Bytes      int64             `json:"bytes"` // of all players
	Mbps       float64           `json:"mbps"`
	Latency    Spread            `json:"latency"`     // from writing a frame to reading it whole; of the players that are not slow
	FirstFrame Spread            `json:"first_frame"` // from connecting to the first coded video frame read whole
	Main       GroupReport       `json:"players"`
	Slow       *GroupReport      `json:"slow,omitempty"`
	Server     *ServerReport     `json:"server,omitempty"`
	Published  *PublishersReport `json:"published,omitempty"`
}

// GroupReport is what became of some of the players.
type GroupReport struct {
	Players     int            `json:"players"`
	Started     int            `json:"started"` // had a video frame
	Failed      map[string]int `json:"failed"`  // did not start, or ended before the measurement did, by reason
	Bytes       int64          `json:"bytes"`   // since they connected
	Frames      int64          `json:"frames"`  // of the players looked into
	Lost        int64          `json:"lost"`
	Repeated    int64          `json:"repeated"`
	Reordered   int64          `json:"reordered"`
	Torn        int64          `json:"torn"`        // frames with another's end, and connections whose framing was lost
	Misdirected int64          `json:"misdirected"` // frames of a stream that was not asked for
	Unstamped   int64          `json:"unstamped"`   // frames that are not of this program
	Restarts    int64          `json:"restarts"`    // changes of the publisher
	Keyless     int            `json:"keyless"`     // players whose first video frame was no key frame
}

const maxPlayers = 200_000

func (c *PlayersConfig) check() error {
	switch {
	case c.Players < 1 || c.Players > maxPlayers:
		return fmt.Errorf("%d players: there must be from 1 to %d", c.Players, maxPlayers)
	case c.Streams < 1 || c.Streams > maxStreams:
		return fmt.Errorf("%d streams: there must be from 1 to %d", c.Streams, maxStreams)
	case c.Slow < 0 || c.Slow > c.Players:
		return fmt.Errorf("%d slow players of %d", c.Slow, c.Players)
	case c.Sample < 0:
		return errors.New("a negative sample")
	case c.Slow > 0 && c.SlowRate < 8000:
		return fmt.Errorf("a slow rate of %d bit/s: it must be at least 8000", c.SlowRate)
	case c.Duration <= 0 || c.Warmup < 0 || c.Join <= 0:
		return errors.New("the durations must be positive")
	}
	return nil
}

// Players plays streams and measures what arrives. It fails if a configuration value is
// out of bounds, if ctx ends, or if no player could start; that some could not is in the
// report.
func Players(ctx context.Context, c PlayersConfig) (PlayersReport, error) {
	if err := c.check(); err != nil {
		return PlayersReport{}, err
	}
	w, err := newWatch(c.Pid)
	if err != nil {
		return PlayersReport{}, err
	}
	var pub *publishing
	if c.Publish != "" {
		pub, err = newPublishing(PublishersConfig{URL: c.Publish, Streams: c.Streams, Bitrate: c.Bitrate, Insecure: c.Insecure})
		if err != nil {
			return PlayersReport{}, err
		}
		defer pub.stop()
		if err := pub.start(ctx); err != nil {
			return PlayersReport{}, err
		}
	}
	a, err := newAudience(c.URL, c.Streams, c.SlowRate/8, c.Insecure)
	if err != nil {
		return PlayersReport{}, err
	}
	defer a.stop()
	spread := spreader{total: c.Players, slow: c.Slow, sample: c.Sample}
	set := func(_ int, p *player) {
		p.slow, p.drain = spread.next(len(a.players))
		if p.slow {
			p.group = groupOther
		}
	}
	if w != nil && c.Players > c.Streams {
		err = a.joinFirst(ctx, c, w, set)
	}
	if err == nil {
		err = a.join(ctx, c.Players-len(a.players), c.Rate, set)
	}
	if err == nil {
		err = a.run.awaitStarted(ctx, c.Players, c.Join)
	}
	if err == nil {
		err = wait(ctx, c.Warmup)
	}
	if err != nil {
		return PlayersReport{}, err
	}
	r, err := a.measure(ctx, 0, c.Duration, w)
	if err != nil {
		return PlayersReport{}, err
	}
	r.Main = a.group(func(p *player) bool { return !p.slow })
	if c.Slow > 0 {
		g := a.group(func(p *player) bool { return p.slow })
		r.Slow = &g
	}
	r.URL, r.Streams, r.Server = c.URL, c.Streams, w.result()
	r.Latency = a.run.latency(groupMain, 0)
	r.FirstFrame = a.firstFrame(func(*player) bool { return true })
	if pub != nil {
		pub.stop()
		r.Published = &PublishersReport{URL: c.Publish, Streams: c.Streams, Failed: pub.failed}
	}
	if r.Main.Started == 0 {
		return r, fmt.Errorf("no player of %s could start: %s", c.URL, mostFrequent(r.Main.Failed))
	}
	return r, nil
}

// firstTime is how long each stream has one player before the server's memory is taken.
const firstTime = time.Second

// joinFirst starts one player of each stream, and takes the server's memory with these:
// what a stream needs to be played at all is not what a player needs.
func (a *audience) joinFirst(ctx context.Context, c PlayersConfig, w *watch, set func(int, *player)) error {
	if err := a.join(ctx, c.Streams, c.Rate, set); err != nil {
		return err
	}
	if err := a.run.awaitStarted(ctx, c.Streams, c.Join); err != nil {
		return err
	}
	if err := wait(ctx, firstTime); err != nil {
		return err
	}
	return w.rest(len(a.players))
}

// spreader says which of the players are slow and which drain: both evenly, so that each
// stream has some of each.
type spreader struct{ total, slow, sample int }

func (s *spreader) next(i int) (slow, drain bool) {
	share := func(n int) bool { return (i+1)*n/s.total != i*n/s.total }
	slow = share(s.slow)
	return slow, !slow && s.sample > 0 && s.sample < s.total && !share(s.sample)
}

// mostFrequent returns the most frequent of the reasons.
func mostFrequent(reasons map[string]int) string {
	best, n := "nothing came", 0
	for r, k := range reasons {
		if k > n || k == n && r < best {
			best, n = r, k
		}
	}
	return best
}
